"""What happens in a campaign, as typed and versioned events.

An event says what was decided or what was observed, and when: ``at_s``, seconds from the campaign's origin.  Events
are facts and never change; state is folded from them (:mod:`slacktide.executors.campaign_state`).  A decision that a
driver has to carry out is journaled before the driver is called, its outcome after.
"""

from dataclasses import dataclass, fields
from enum import IntEnum
from typing import ClassVar

from slacktide.ids import CampaignId, HostId, MigrationId, PlanId


class Stage(IntEnum):
    """Where a migration is; the order is the order of time."""

    PLANNED = 0
    NOTIFIED = 1
    """The guest is to be told."""
    WAITING = 2
    """The guest has been told; the notice period runs."""
    INTENDED = 3
    """The driver is to be called; whether it was is not known."""
    RESERVED = 4
    PREPARED = 5
    """An empty VM waits on the target."""
    CONNECTED = 6
    """Source and target are authenticated to each other."""
    BROWNOUT = 7
    BLACKOUT = 8
    FORWARDING = 9
    """The guest runs on the target; the source forwards its packets."""
    SOURCE_DELETED = 10
    DONE = 11
    FAILED = 12
    """The last attempt failed and the VM is on its source; it will be tried again or given up."""
    GIVEN_UP = 13


POINT_OF_NO_RETURN = Stage.FORWARDING
"""From this stage on the guest runs on the target, and the only way is forward.

Before it, the way back is to discard the empty VM on the target and let the guest go on where it is: its memory on
the source is complete until the target has resumed.  From it on, the source's memory is stale; a migration that stops
here is finished by deleting the source, never by returning to it.
"""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened at a moment of the campaign."""

    type: ClassVar[str]
    subject_field: ClassVar[str | None] = None
    """Field that names whom it is about; the journal keeps it in a column of its own."""

    at_s: float

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), tuple(getattr(self, name) for name in field_names(type(self)))


_FIELD_NAMES: dict[type[Event], tuple[str, ...]] = {}


def field_names(kind: type[Event]) -> tuple[str, ...]:
    """Return the names of an event's fields in order, ``at_s`` first."""
    names = _FIELD_NAMES.get(kind)
    if names is None:
        names = _FIELD_NAMES[kind] = tuple(field.name for field in fields(kind))
    return names


@dataclass(frozen=True, slots=True)
class MigrationEvent(Event):
    """Something about one migration."""

    subject_field = "migration_id"
    migration_id: MigrationId


@dataclass(frozen=True, slots=True)
class AttemptEvent(MigrationEvent):
    """Something about one attempt at a migration, counted from 1."""

    attempt: int


@dataclass(frozen=True, slots=True)
class HostEvent(Event):
    """Something about one host."""

    subject_field = "host_id"
    host_id: HostId


# The campaign and its waves


@dataclass(frozen=True, slots=True)
class CampaignCreated(Event):
    """The campaign exists; nothing has been touched."""

    type = "campaign-created"
    campaign_id: CampaignId
    plan_id: PlanId


@dataclass(frozen=True, slots=True)
class CampaignResumed(Event):
    """A coordinator took the campaign up again from its journal."""

    type = "campaign-resumed"


@dataclass(frozen=True, slots=True)
class AgentEvent(Event):
    """Something about one agent."""

    subject_field = "agent"
    agent: str
    """Its name, without that of the campaign."""


@dataclass(frozen=True, slots=True)
class AgentAway(AgentEvent):
    """An agent has ended, or does not answer: what it began goes on without it, what it is asked waits."""

    type = "agent-away"
    reason: str


@dataclass(frozen=True, slots=True)
class AgentBack(AgentEvent):
    """An agent that was away, or another process in its place, has taken charge of what was under way."""

    type = "agent-back"


@dataclass(frozen=True, slots=True)
class CampaignFinished(Event):
    """Every host has returned, failed or is blocked."""

    type = "campaign-finished"


@dataclass(frozen=True, slots=True)
class WaveApproved(Event):
    """Someone lets the wave begin."""

    type = "wave-approved"
    wave: int
    by: str
    order: int | None = None
    """The order in the campaign's store; null: there is none."""
    why: str | None = None


@dataclass(frozen=True, slots=True)
class WaveOpened(Event):
    """What the wave's gate asks for holds; its hosts may be drained."""

    type = "wave-opened"
    wave: int


@dataclass(frozen=True, slots=True)
class WaveClosed(Event):
    """What the wave's gate asks for can no longer come true; neither it nor a later wave begins."""

    type = "wave-closed"
    wave: int
    reason: str


# Migrations


@dataclass(frozen=True, slots=True)
class MigrationNotified(MigrationEvent):
    """Intent: the guest is to be told that a migration is imminent."""

    type = "migration-notified"


@dataclass(frozen=True, slots=True)
class MigrationWaiting(MigrationEvent):
    """The guest has been told."""

    type = "migration-waiting"


@dataclass(frozen=True, slots=True)
class GuestAcknowledged(MigrationEvent):
    """The guest says that it is ready; the rest of its notice period holds nothing up."""

    type = "guest-acknowledged"


@dataclass(frozen=True, slots=True)
class MigrationIntended(AttemptEvent):
    """Intent: the driver is to migrate the VM."""

    type = "migration-intended"


@dataclass(frozen=True, slots=True)
class TargetReserved(AttemptEvent):
    """The target keeps room for the VM."""

    type = "target-reserved"


@dataclass(frozen=True, slots=True)
class TargetPrepared(AttemptEvent):
    """An empty VM waits on the target."""

    type = "target-prepared"


@dataclass(frozen=True, slots=True)
class TargetConnected(AttemptEvent):
    """Source and target are authenticated to each other."""

    type = "target-connected"


@dataclass(frozen=True, slots=True)
class BrownoutStarted(AttemptEvent):
    """Memory is copied while the guest runs on the source."""

    type = "brownout-started"


@dataclass(frozen=True, slots=True)
class BlackoutStarted(AttemptEvent):
    """The guest runs nowhere."""

    type = "blackout-started"


@dataclass(frozen=True, slots=True)
class ForwardingStarted(AttemptEvent):
    """The guest runs on the target; the source forwards its packets.  The point of no return is passed."""

    type = "forwarding-started"
    blackout_ms: float | None
    """By the hypervisor's count; null: it gave none."""


@dataclass(frozen=True, slots=True)
class SourceDeleted(AttemptEvent):
    """Forwarding has ended and the source's copy is gone."""

    type = "source-deleted"


@dataclass(frozen=True, slots=True)
class MigrationDone(AttemptEvent):
    """The VM runs on the target and nowhere else."""

    type = "migration-done"
    transfer_mib: float | None
    probe_blackout_ms: float | None
    """Blackout as a probe outside the VM saw it; null: not probed."""
    probe_resolution_ms: float | None = None
    """How exactly the probe sees; null: not probed, or an older journal."""
    blackout_ms: float | None = None
    """By the hypervisor's count, where it gave none yet when the guest moved; null: it was told then, or never."""


@dataclass(frozen=True, slots=True)
class MigrationProgress(AttemptEvent):
    """How far an attempt has got in copying."""

    type = "migration-progress"
    iteration: int
    """Round of copying, counted from 1."""
    sent_mib: float
    remaining_mib: float
    """Memory and disk that are still to be sent, as far as the hypervisor knows."""
    dirty_mib_s: float
    """Rate at which the guest dirties memory, by the hypervisor's last look."""
    rate_mib_s: float
    """Rate of sending."""
    throttle: float
    """Share of its processor time that is taken from the guest."""
    estimate_s: float | None
    """Until the rest is sent; null: at these rates never."""


@dataclass(frozen=True, slots=True)
class MigrationForced(AttemptEvent):
    """A step was taken because the attempt did not converge by itself."""

    type = "migration-forced"
    step: str
    """``raise-limit``, ``throttle`` or ``postcopy``."""
    reason: str


@dataclass(frozen=True, slots=True)
class MigrationFailed(AttemptEvent):
    """The attempt ended before the point of no return; the VM runs on its source."""

    type = "migration-failed"
    stage: str
    """The stage it had reached, by its lower-case name."""
    error: str
    retryable: bool


@dataclass(frozen=True, slots=True)
class MigrationCancelled(AttemptEvent):
    """Intent: the attempt is to be stopped, if it has not passed the point of no return."""

    type = "migration-cancelled"
    reason: str
    again: bool | None = None
    """It is to be begun again and does not count among the attempts; null: it does."""


@dataclass(frozen=True, slots=True)
class MigrationGivenUp(MigrationEvent):
    """Decision: the migration will not be tried (again); the VM stays where it is."""

    type = "migration-given-up"
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class VmLost(AttemptEvent):
    """The VM runs nowhere any more, by the word of both hypervisors; what its host holds of it is left as it is."""

    type = "vm-lost"
    error: str


@dataclass(frozen=True, slots=True)
class MigrationResolved(AttemptEvent):
    """What both hypervisors say of an intent without outcome: ``running``, ``done`` or ``not-started``."""

    type = "migration-resolved"
    outcome: str


# Hosts


@dataclass(frozen=True, slots=True)
class HostDrainStarted(HostEvent):
    """Decision: the host takes no more VMs, and its VMs leave it."""

    type = "host-drain-started"


@dataclass(frozen=True, slots=True)
class HostDrained(HostEvent):
    """No VM is on the host, or the patch is applied in place and all stay."""

    type = "host-drained"


@dataclass(frozen=True, slots=True)
class PatchIntended(HostEvent):
    """Intent: the driver is to patch and reboot the host."""

    type = "patch-intended"


@dataclass(frozen=True, slots=True)
class PatchStarted(HostEvent):
    """The host is being patched."""

    type = "patch-started"


@dataclass(frozen=True, slots=True)
class HostReturned(HostEvent):
    """The host is patched and in service."""

    type = "host-returned"


@dataclass(frozen=True, slots=True)
class PatchFailed(HostEvent):
    """The host did not come back from its patch, or was refused it; it stays out of service."""

    type = "patch-failed"
    reason: str
    untouched: bool | None = None
    """Whether nothing was done to it; null: not known, or an older journal."""


@dataclass(frozen=True, slots=True)
class HostFailed(HostEvent):
    """Decision: the host is not drained and stays in service, unpatched; ``reason`` is a short name for counting."""

    type = "host-failed"
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class HostBlocked(HostEvent):
    """Decision: the host will not be drained, because something that it depends on failed."""

    type = "host-blocked"
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class HostResolved(HostEvent):
    """What the host says of a patch without outcome: ``running``, ``returned`` or ``not-started``."""

    type = "host-resolved"
    outcome: str
