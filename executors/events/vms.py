"""What others do to the fleet while a campaign runs, as it is found out: facts, as all events.

Others are whoever creates, deletes and moves VMs beside the campaign: people, schedulers, guests that end themselves.
"""

from dataclasses import dataclass
from typing import ClassVar

from slacktide.executors.events.event import Event
from slacktide.ids import HostId, VmId


@dataclass(frozen=True, slots=True)
class VmEvent(Event):
    """Something that others did with one VM."""

    subject_field = "vm_id"
    vm_id: VmId
    host_id: HostId
    """Where it is now, or was last."""


@dataclass(frozen=True, slots=True)
class VmCreated(VmEvent):
    """A VM runs on a host that the campaign did not have on any; its dirty rate is not known."""

    type: ClassVar[str] = "vm-created"
    vcpus: int
    memory_mib: int
    local_disk_mib: int
    pinned: bool
    """Something keeps it on its host."""
    follows_host: bool
    """It was promised its host's processor."""


@dataclass(frozen=True, slots=True)
class VmDeleted(VmEvent):
    """A VM runs nowhere in the fleet any more, and no migration of the campaign was under way."""

    type: ClassVar[str] = "vm-deleted"


@dataclass(frozen=True, slots=True)
class VmMoved(VmEvent):
    """A VM runs on another host than the campaign had it on, and not by a migration of the campaign."""

    type: ClassVar[str] = "vm-moved"
    source: HostId
