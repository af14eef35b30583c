"""``slacktide run --driver libvirt``: what has to be known and checked before anything is moved."""

import os
import shlex
import shutil
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from slacktide.errors import ExecutionError, InputError, UsageError
from slacktide.findings import errors_in
from slacktide.object_store import AnyPath
from slacktide.service.console import progress
from slacktide.service.words import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from slacktide.datasets.snapshot import FleetSnapshot
    from slacktide.executors.drivers.libvirt.settings import LibvirtSettings, MetadataSettings
    from slacktide.executors.maintenance.action import MaintenanceAction
    from slacktide.ids import HostId
    from slacktide.planner.plan import Plan

HOSTS_NAMED = 5
"""Hosts that an error names of many."""
REFUSALS_SHOWN = 20
"""Refusals that an error lists; `slacktide preflight` lists all."""


def libvirt_settings(
    connections: AnyPath,
    action: "MaintenanceAction",
    shared_paths: tuple[str, ...],
    probe: tuple[int | None, str | None],
    approve_as: str | None,
    metadata: tuple[str | None, str | None, str | None] = (None, None, None),
    fabric: AnyPath | None = None,
) -> "LibvirtSettings":
    """Return how real hosts are reached and patched.

    Parameters
    ----------
    action
        What patches them.
    probe
        Port and network namespace in which heartbeats are heard.
    metadata
        Address with or without a port, bridge and network namespace at which guests ask what is to come for them.
    fabric
        File that says what is told where guests are.

    Raises
    ------
    UsageError
        If a namespace is named without a port or is not there, or an address is none.
    InputError
        If the file of connections or of the fabric is damaged.
    """
    from slacktide.executors.connections_file import read_connections
    from slacktide.executors.drivers.libvirt.settings import LibvirtSettings, ProbeSettings
    from slacktide.executors.fabrics.settings import read_fabric
    from slacktide.executors.probes.namespaces import NAMESPACES

    port, namespace = probe
    if port is None and namespace is not None:
        raise UsageError("--probe-namespace", "names where to listen, but not at which port", "Give --probe-port too")
    if namespace is not None and "RAY_ADDRESS" not in os.environ and not (NAMESPACES / namespace).exists():
        there = ", ".join(sorted(path.name for path in NAMESPACES.glob("*")))
        remedy = f"Name one that is: {there}" if there else "This machine has none: leave --probe-namespace out"
        raise UsageError(f"network namespace {namespace}", "is not there", remedy)
    return LibvirtSettings(
        addresses=read_connections(connections),
        maintenance=action,
        shared_paths=tuple(map(PurePosixPath, shared_paths)),
        probe=None if port is None else ProbeSettings(port=port, namespace=namespace),
        metadata=_metadata(*metadata),
        fabric=None if fabric is None else read_fabric(fabric),
        approve_as=approve_as,
    )


def maintenance_action(file: Path | None, patch_command: str | None, hosts: "Sequence[HostId]") -> "MaintenanceAction":
    """Return what patches these hosts: the action in a file, or a command.

    Raises
    ------
    UsageError
        If neither or both are given, or the command cannot be read.
    InputError
        If the file is not an action, or something that the action needs is not on this machine.
    """
    from slacktide.executors.maintenance.action import command_action
    from slacktide.executors.maintenance.action_check import action_findings
    from slacktide.executors.maintenance.action_files import read_action

    if file is None:
        return command_action(_words(patch_command))
    if patch_command is not None:
        raise UsageError("--maintenance", "is given beside --patch-command", "Give one of them")
    action = read_action(file)
    wrong = errors_in(action_findings(action, file.name, hosts))
    if wrong:
        raise InputError(str(file), "cannot be carried out from this machine", "Do what is listed here", wrong)
    return action


def _metadata(address: str | None, bridge: str | None, namespace: str | None) -> "MetadataSettings | None":
    from pydantic import ValidationError

    from slacktide.executors.drivers.libvirt.settings import MetadataSettings

    remedy = "Give one such as --metadata-address 169.254.169.254:80"
    if address is None:
        for option, value in (("--metadata-bridge", bridge), ("--metadata-namespace", namespace)):
            if value is not None:
                raise UsageError(option, "says where an address is, but not which", remedy)
        return None
    host, _, port = address.partition(":")
    given = {"address": host, "port": port or None, "bridge": bridge, "namespace": namespace}
    try:
        return MetadataSettings.model_validate({name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        fact = f"is no address to listen at: {error.errors()[0]['msg']}"
        raise UsageError(f"--metadata-address {address}", fact, remedy) from error


def _words(command: str | None) -> tuple[str, ...]:
    remedy = "Give the command that patches and reboots a host, such as --patch-command 'ssh {host} patch-and-reboot'"
    if command is None:
        fact = "is missing, and so is --maintenance: real hosts are to be patched"
        raise UsageError("--patch-command", fact, remedy)
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise UsageError("--patch-command", f"cannot be read: {error}", remedy) from error
    if not words:
        raise UsageError("--patch-command", "is empty", remedy)
    if shutil.which(words[0]) is None:
        raise UsageError("--patch-command", f"there is no program {words[0]} on this machine", remedy)
    return tuple(words)


def refuse_simulation(figures: dict[str, float]) -> None:
    """Refuse simulated failures for real hosts.

    Raises
    ------
    UsageError
        With the first option that asks for some.
    """
    for option, value in figures.items():
        if value:
            raise UsageError(option, "is for simulated hosts", "Leave it out with --driver libvirt")


def refuse_real_hosts(files: Mapping[str, Path | None]) -> None:
    """Refuse for simulated hosts what says how real ones are patched, or what is told where their guests are.

    Raises
    ------
    UsageError
        With the first option that is given.
    """
    for option, file in files.items():
        if file is not None:
            raise UsageError(option, "is for real hosts", "Leave it out, or run with --driver libvirt")


def refuse_unheard_guests(live: "LibvirtSettings", hosts: int, *, own_agents: bool) -> None:
    """Refuse to have guests ask where one process stands for several hosts and is on the bridge of none.

    Raises
    ------
    UsageError
        If each host has no agent of its own, and no namespace of its own on the agents' machine.
    """
    if live.metadata is None or live.metadata.is_of_any_host or own_agents or hosts < 2:
        return
    fact = f"is an address of each of {hosts} hosts, for whose guests no agent on their host would answer"
    remedy = "Leave out --no-ray and --agents, name hosts' namespaces on this machine with --metadata-namespace {host}"
    raise UsageError("--metadata-address", fact, f"{remedy}, or leave it out: guests are then not told")


def preflight_or_refuse(snapshot: "FleetSnapshot", plan: "Plan", live: "LibvirtSettings") -> None:
    """Ask all hosts of a plan whether they could carry it out, before any guest is told.

    Raises
    ------
    UsageError
        If a host that VMs leave or go to is not in the fabric.
    ExecutionError
        If one refuses a migration, or does not answer.
    """
    from slacktide.executors.preflight.moves import planned_moves
    from slacktide.executors.preflight.whole import preflight

    _refuse_outside_fabric(plan, live)
    with progress("Asking hosts") as told:
        lasts_s = plan.header.summary.makespan_s
        found = preflight(planned_moves(snapshot, plan), live.addresses, told, live.shared_paths, lasts_s)
    if found:
        lines = [f"{one.vm_id} from {one.source} to {one.target}: {one.fact}. {one.remedy}" for one in found]
        more = f"\n  and {len(lines) - REFUSALS_SHOWN} more" if len(lines) > REFUSALS_SHOWN else ""
        listed = "".join(f"\n  {line}" for line in lines[:REFUSALS_SHOWN])
        fact = f"{counted(len(found), 'obstacle')} on the hosts; nothing was touched"
        remedy = f"Remove what stands in the way, and give the command again:{listed}{more}"
        raise ExecutionError(f"plan {plan.header.id}", fact, remedy)


def _refuse_outside_fabric(plan: "Plan", live: "LibvirtSettings") -> None:
    """Refuse a fabric that could not be told of a host: its guests would be lost to all others."""
    from slacktide.executors.fabrics.settings import known_hosts

    if live.fabric is None:
        return
    moves = plan.migrations
    missing = sorted({*moves["source"].to_list(), *moves["target"].to_list()} - known_hosts(live.fabric))
    if missing:
        more = f" and {len(missing) - HOSTS_NAMED} more" if len(missing) > HOSTS_NAMED else ""
        fact = f"does not have {', '.join(missing[:HOSTS_NAMED])}{more}, from or to which the plan migrates VMs"
        raise UsageError("--fabric", fact, "Name every host in the file, and give the command again")
