"""How a campaign is to be carried out, as it may be asked from afar: nothing here names a file or a command.

What reaches real hosts (where they answer, what patches them, which signals are looked at) is in profiles, which
whoever runs the server writes down; from afar they are asked for by name.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from slacktide.errors import InputError, UsageError
from slacktide.executors.health.settings import Budgets

if TYPE_CHECKING:
    from slacktide.executors.drivers.making import DriverSettings
    from slacktide.planner.plan import Plan

_OPTION: Final = re.compile(r"--([a-z]+(?:-[a-z]+)*)")


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Simulation(_Part):
    """Simulated hosts: what goes wrong, and how fast their time goes by."""

    seed: int = Field(default=0, ge=0, lt=2**63)
    """Decides durations, blackouts and failures."""
    failures_per_mille: float = Field(default=0.0, ge=0, le=1000)
    """Attempts to migrate that fail."""
    retryable_share: float = Field(default=1.0, ge=0, le=1)
    lost_hosts_per_mille: float = Field(default=0.0, ge=0, le=1000)
    """Hosts that do not come back from their patch."""
    overruns_per_mille: float = Field(default=0.0, ge=0, le=1000)
    """Hosts whose patch takes ``overrun_factor`` times as long as planned."""
    overrun_factor: float = Field(default=2.0, ge=1, le=1000)
    answering_per_mille: float = Field(default=0.0, ge=0, le=1000)
    """Guests that say they are ready some 30 s after they are told of their migration."""
    created_vms_per_mille: float = Field(default=0.0, ge=0, le=1000)
    """VMs that others create meanwhile, of the fleet's."""
    deleted_vms_per_mille: float = Field(default=0.0, ge=0, le=1000)
    moved_vms_per_mille: float = Field(default=0.0, ge=0, le=1000)
    """VMs that others move to another host."""
    speed: float | None = Field(default=None, gt=0, le=1e6)
    """Simulated seconds for each second; null: as fast as it goes."""
    ask_for_approval: bool = False
    """Wait for a person where a gate asks for one, as real hosts do."""

    @model_validator(mode="after")
    def _each_touched_once(self) -> "Simulation":
        if self.created_vms_per_mille + self.deleted_vms_per_mille + self.moved_vms_per_mille > 1000:
            raise ValueError("others touch more than 1000 per mille of the VMs; give smaller shares")
        return self


class CampaignTerms(_Part):
    """How a plan is carried out."""

    profile: str | None = Field(default=None, pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")
    """Name of the server's profile of real hosts; null: hosts are simulated."""
    simulation: Simulation = Simulation()
    """Counts only without a profile."""
    on_drift: Literal["revise", "ask", "ignore"] | None = None
    """Where something planned can no longer happen; null: `revise` on simulated hosts, `ask` on real ones."""
    budgets: Budgets | None = None
    """What pauses the campaign once it is used up; null: the profile's, or nothing."""
    agents: int | None = Field(default=None, ge=1, le=10_000)
    """Agent processes; null: one for each real host, one for every 5,000 simulated ones."""
    ray: bool | None = None
    """Whether coordinator and agents are actors of Ray, with names, metrics and logs there; else all is in one process.

    Null: as the profile says; of simulated hosts where the server is served on a cluster, since on one machine alone
    each campaign would start a Ray of its own."""


class Profile(_Part):
    """Real hosts, as whoever runs the server writes them down."""

    connections: Path
    """Where each host's libvirtd answers."""
    patch_command: str | None = None
    maintenance: Path | None = None
    """File of the action that patches a host; this or ``patch_command``."""
    shared_paths: tuple[str, ...] = ()
    probe_port: int | None = Field(default=None, ge=1, le=65535)
    probe_namespace: str | None = None
    metadata_address: str | None = None
    metadata_bridge: str | None = None
    metadata_namespace: str | None = None
    fabric: Path | None = None
    """File that says what is told where guests are; null: the network finds out by itself."""
    health: Path | None = None
    """File of signals and budgets."""
    ray: bool = True
    """Whether coordinator and agents are actors of Ray, each agent on its host's node where the cluster has that."""


def driver_settings(terms: CampaignTerms, profile: Profile | None, plan: "Plan") -> "DriverSettings":
    """Return the settings of the driver that `slacktide run` makes of the same terms; the campaign's id is from these.

    Raises
    ------
    UsageError, InputError
        If the profile's files are not right.
    """
    from slacktide.executors.drivers.settings import Answering, Failures, Others
    from slacktide.executors.run import simulation
    from slacktide.service.libvirt_run import libvirt_settings, maintenance_action

    if profile is not None:
        probe = profile.probe_port, profile.probe_namespace
        metadata = profile.metadata_address, profile.metadata_bridge, profile.metadata_namespace
        with in_words_of_profile(f"profile {terms.profile}"):
            action = maintenance_action(profile.maintenance, profile.patch_command, plan.hosts["host_id"].to_list())
            paths = profile.connections, action, profile.shared_paths
            return libvirt_settings(*paths, probe, None, metadata, profile.fabric)
    asked = terms.simulation
    failures = Failures(
        migrations_per_mille=asked.failures_per_mille,
        retryable_share=asked.retryable_share,
        lost_hosts_per_mille=asked.lost_hosts_per_mille,
        overruns_per_mille=asked.overruns_per_mille,
        overrun_factor=asked.overrun_factor,
    )
    answering = Answering(per_mille=asked.answering_per_mille) if asked.answering_per_mille else None
    others = Others(
        created_per_mille=asked.created_vms_per_mille,
        deleted_per_mille=asked.deleted_vms_per_mille,
        moved_per_mille=asked.moved_vms_per_mille,
    )
    touched = asked.created_vms_per_mille or asked.deleted_vms_per_mille or asked.moved_vms_per_mille
    return simulation(asked.seed, failures, answering, others=others if touched else None)


@contextmanager
def in_words_of_profile(name: str) -> Iterator[None]:
    """Have errors in the block be about keys of a profile, in place of options of the command line."""

    def keyed(text: str) -> str:
        return _OPTION.sub(lambda found: _key(found[1]) or found[0], text)

    try:
        yield
    except (UsageError, InputError) as error:
        said = f"{name}, {keyed(error.subject)}", keyed(error.fact), f"{keyed(error.remedy)}, in the server's profile"
        if isinstance(error, InputError):
            raise InputError(*said, error.findings) from error
        raise UsageError(*said) from error


def _key(option: str) -> str | None:
    """Return the key of a profile that is what an option is to a command; None: there is none."""
    key = {"shared-path": "shared_paths"}.get(option, option.replace("-", "_"))
    return f"`{key}`" if key in Profile.model_fields else None


def run_options(
    terms: CampaignTerms, profile: Profile | None, health: Path | None, *, on_cluster: bool = False
) -> list[str]:
    """Return the options of `slacktide run` for these terms.

    Parameters
    ----------
    health
        The file that the budgets were written to.
    on_cluster
        Whether there is a cluster of Ray that outlives the server.
    """
    options = [] if terms.on_drift is None else ["--on-drift", terms.on_drift]
    if health is not None:
        options += ["--health", str(health)]
    if terms.agents is not None:
        options += ["--agents", str(terms.agents)]
    usual = on_cluster if profile is None else profile.ray
    last = [] if (usual if terms.ray is None else terms.ray) else ["--no-ray"]
    if profile is not None:
        return options + _live_options(profile) + last
    asked = terms.simulation
    values = {
        "--seed": asked.seed,
        "--failures": asked.failures_per_mille,
        "--retryable-share": asked.retryable_share,
        "--lost-hosts": asked.lost_hosts_per_mille,
        "--overruns": asked.overruns_per_mille,
        "--overrun-factor": asked.overrun_factor,
        "--answering": asked.answering_per_mille,
        "--created-vms": asked.created_vms_per_mille,
        "--deleted-vms": asked.deleted_vms_per_mille,
        "--moved-vms": asked.moved_vms_per_mille,
        "--speed": asked.speed,
    }
    for option, value in values.items():
        options += [] if value is None else [option, str(value)]
    return options + (["--ask-for-approval"] if asked.ask_for_approval else []) + last


def _live_options(profile: Profile) -> list[str]:
    values = {
        "--connections": profile.connections,
        "--patch-command": profile.patch_command,
        "--maintenance": profile.maintenance,
        "--probe-port": profile.probe_port,
        "--probe-namespace": profile.probe_namespace,
        "--metadata-address": profile.metadata_address,
        "--metadata-bridge": profile.metadata_bridge,
        "--metadata-namespace": profile.metadata_namespace,
        "--fabric": profile.fabric,
    }
    options = ["--driver", "libvirt"]
    for option, value in values.items():
        options += [] if value is None else [option, str(value)]
    for path in profile.shared_paths:
        options += ["--shared-path", path]
    return options
