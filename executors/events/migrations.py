"""Events about migrations, from the guest's notice to the end."""

from dataclasses import dataclass

from slacktide.executors.events.event import AttemptEvent, MigrationEvent


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
class ForwardingEnded(AttemptEvent):
    """The source forwards no more: the fabric has caught up, or the limit was reached."""

    type = "forwarding-ended"
    forwarded_packets: int | None
    """Sent on to the target; null: nobody counts."""
    lost_packets: int | None
    """For the VM, after its pause, and not sent on; null: nobody counts."""
    unconfirmed: str | None
    """Who still sent elsewhere when the limit was reached, or what went wrong; null: every endpoint has confirmed."""


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
