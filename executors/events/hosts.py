"""Events about hosts: drains, patches and returns."""

from dataclasses import dataclass

from slacktide.executors.events.event import HostEvent


@dataclass(frozen=True, slots=True)
class HostDrainStarted(HostEvent):
    """Decision: the host takes no more VMs, and its VMs leave it."""

    type = "host-drain-started"


@dataclass(frozen=True, slots=True)
class HostDrained(HostEvent):
    """No VM is on the host, or the patch is applied in place and all stay."""

    type = "host-drained"


@dataclass(frozen=True, slots=True)
class HostEvacuated(HostEvent):
    """Decision: the host, which is empty, is not patched (any more) and stays out of service."""

    type = "host-evacuated"


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


@dataclass(frozen=True, slots=True)
class HostRefilled(HostEvent):
    """A host that was drained has VMs again, and nothing was done to it: it drains on."""

    type = "host-refilled"
    detail: str
