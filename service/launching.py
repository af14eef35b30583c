"""Campaigns carried out by `slacktide run`, in processes of their own that outlive whoever started them."""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from slacktide.executors.detached import begin
from slacktide.executors.store.address import Store
from slacktide.service.client.access import SERVER_VARIABLE, TOKEN_VARIABLE
from slacktide.service.stores import VARIABLE

OF_CLUSTER: Final = ("RAY_ADDRESS", "RAY_AUTH_", "RAY_USE_TLS", "RAY_TLS_", "RAY_TMPDIR", "RAY_USAGE_", "RAY_ACCEL_")
"""How the names of Ray's settings begin that lead into a cluster; others are of the worker that begins the process."""


@dataclass(frozen=True, slots=True)
class CampaignLaunch:
    """What `slacktide run` is to do, and where it says what."""

    fleet: Path
    plan: Path
    directory: Path
    """Of the campaign."""
    log_folder: Path
    """Has what the process says, and its lock; not the campaign's own directory."""
    store: Store | None = None
    options: Sequence[str] = ()
    ray_address: str | None = None
    """Of the cluster that it is to be carried out on; null: as the environment says."""


def launch_campaign(launch: CampaignLaunch) -> None:
    """Start a process that carries a campaign out, or goes on with it; nothing is done where one runs.

    Raises
    ------
    OutputError
        If its log cannot be written, or it cannot be started.
    """
    run = [sys.executable, "-m", "slacktide.service.cli", "run", str(launch.fleet), str(launch.plan)]
    environment = environment_of_campaign(launch.store, launch.ray_address)
    begin(launch.log_folder, [*run, "-o", str(launch.directory), *launch.options], environment)


def environment_of_campaign(store: Store | None, ray_address: str | None = None) -> dict[str, str]:
    """Return the environment of the process: the store's URL is in it, and not among what others see of processes.

    It names no server: the process carries the campaign out, and asks nobody else to.
    """
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith("RAY_") or name.startswith(OF_CLUSTER)
    }
    for name in (SERVER_VARIABLE, TOKEN_VARIABLE):
        kept.pop(name, None)
    if ray_address is not None:
        kept["RAY_ADDRESS"] = ray_address  # a node, whose process this may be, need not know its cluster so
    if store is not None:
        kept[VARIABLE] = store.url.render_as_string(hide_password=False)
    return kept
