"""The one narrow seam between a campaign and hypervisors.

A driver begins what it is asked and returns at once; what comes of it is reported by :meth:`Driver.poll`, in the order
in which it happened.  The same request twice is one request: a driver knows an attempt by migration and number.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple, Protocol

from slacktide.executors.events import Event, Stage
from slacktide.ids import HostId, MigrationId, VmId

Telling = Literal["new", "again", "ready", "withdrawn"]


class NotifyRequest(NamedTuple):
    """Tell a guest that its migration is imminent, or that it is not any more."""

    migration_id: MigrationId
    vm_id: VmId
    host_id: HostId
    at_s: float
    """When it was asked, in seconds from the campaign's origin."""
    start_s: float
    """When the migration begins at the earliest, unless the guest is ready before."""
    end_s: float
    """When it will be over, as far as is known."""
    notice_s: int
    strategy: str
    telling: Telling = "new"
    """``again``: it was told, perhaps by an agent that has ended; ``ready``: and has acknowledged; nothing is reported
    of either.  ``withdrawn``: the migration was given up before it began."""


class MigrationRequest(NamedTuple):
    """Migrate a VM; everything is decided."""

    migration_id: MigrationId
    attempt: int
    vm_id: VmId
    source: HostId
    target: HostId
    strategy: str
    bandwidth_mbit_s: int
    blackout_limit_ms: int
    """The VM's, or the policy's."""
    predicted_brownout_s: float
    """The plan's estimates by :mod:`slacktide.planner.precopy`, for drivers that simulate or watch over progress."""
    predicted_blackout_ms: float
    predicted_transfer_mib: float
    at_s: float
    tried: int = 0
    """How often the VM was tried to be moved from there before, by migrations that a revision has replaced."""


class CancelRequest(NamedTuple):
    """Stop an attempt, if it has not passed the point of no return."""

    migration_id: MigrationId
    attempt: int
    reason: str
    at_s: float


class PatchRequest(NamedTuple):
    """Patch a drained host and bring it back."""

    host_id: HostId
    patch_level: str
    maintenance_s: int
    at_s: float
    in_place: bool = False
    """While guests run on it; otherwise it is drained."""


class Adoption(NamedTuple):
    """What an earlier agent began and did not see the end of."""

    migrations: tuple[tuple[MigrationRequest, Stage], ...]
    """With the stage that each was last known to have reached."""
    patches: tuple[PatchRequest, ...]


class VmLocation(NamedTuple):
    """Where both hypervisors say a VM is."""

    vm_id: VmId
    host_id: HostId | None
    """Where the guest runs; null: nowhere that was asked."""
    migration_id: MigrationId | None
    """The migration that is under way."""


Condition = Literal["not-started", "running", "returned", "unknown"]


class HostCondition(NamedTuple):
    """What a host says of its patch."""

    host_id: HostId
    condition: Condition


class TakenOver(NamedTuple):
    """What an agent says of an adoption, in its order."""

    locations: tuple[VmLocation, ...]
    conditions: tuple[HostCondition, ...]


class LookRequest(NamedTuple):
    """Say which VMs are on a host, and from then on whenever that changes."""

    host_id: HostId
    ticket: int
    """Rises with each request for the host; the answer repeats it."""


class SeenVm(NamedTuple):
    """A VM on a host, by the word of its hypervisor."""

    vm_id: VmId
    vcpus: int
    memory_mib: int
    local_disk_mib: int = 0
    """Storage that only this host sees."""
    pinned: bool = False
    """Something keeps it on its host."""
    follows_host: bool = False
    """It was promised its host's processor."""
    whole: bool = True
    """False: it is arriving, or is what a migration has left; the figures are unknown and 0."""


class HostVms(NamedTuple):
    """What is on a host."""

    at_s: float
    host_id: HostId
    there: tuple[SeenVm, ...]
    gone: tuple[VmId, ...] | None = None
    """Where only what has changed is told, VMs that are no more; null: ``there`` is all that is on the host."""
    ticket: int = 0
    """Of the newest request that came before the look; 0: none did."""


class Driver(Protocol):
    """Migrates VMs and patches hosts; raises ``DriverError`` only where not even an attempt can be made."""

    def notify(self, requests: Sequence[NotifyRequest]) -> None:
        """Tell guests."""
        ...

    def migrate(self, requests: Sequence[MigrationRequest]) -> None:
        """Begin migrations."""
        ...

    def cancel(self, requests: Sequence[CancelRequest]) -> None:
        """Stop attempts; one that has passed the point of no return goes on."""
        ...

    def patch(self, requests: Sequence[PatchRequest]) -> None:
        """Begin to patch hosts."""
        ...

    def look(self, requests: Sequence[LookRequest]) -> None:
        """Begin to look at hosts."""
        ...

    def seen(self, now_s: float) -> list[HostVms]:
        """Return what was seen on hosts up to ``now_s`` and was not returned before: what was asked for or is new."""
        ...

    def poll(self, now_s: float) -> list[Event]:
        """Return what happened up to ``now_s`` and was not returned before, in order of time."""
        ...

    def next_s(self) -> float | None:
        """Return when something will next end; null: not known, or nothing is under way."""
        ...

    def adopt(self, adoption: Adoption) -> None:
        """Take charge of what an earlier agent began, and report what comes of it.

        A real driver finds it at the hypervisors; the simulated one plays it on.
        """
        ...

    def locate(self, requests: Sequence[MigrationRequest]) -> list[VmLocation]:
        """Return where the VMs of these migrations are, by asking their sources and their targets."""
        ...

    def inspect(self, requests: Sequence[PatchRequest]) -> list[HostCondition]:
        """Return how far these hosts' patches are."""
        ...

    def close(self) -> None:
        """Let go of hosts; what is under way goes on by itself."""
        ...
