"""Where a VM is, from what both hypervisors say of it: pure, and the only place where that is decided.

A guest runs on the source until the switch and on the target from then on; what is left of it on the other host is
paused, and libvirt says why.  Nothing is concluded from a host that does not answer, with two exceptions: a guest that
runs on its source has not been switched, and one that is torn on its target is lost, whatever the other would say.
"""

from enum import Enum
from typing import Final, NamedTuple


class GuestState(Enum):
    """What one hypervisor says of a VM."""

    ABSENT = "is not there"
    OFF = "is there and off"
    RUNNING = "runs"
    """Or is paused by somebody: it is there as a whole."""
    MIGRATING = "is being migrated"
    INCOMING = "is an empty VM that waits for its memory"
    SENT = "is paused with its memory sent away"
    TORN = "has one part of its memory, of a post-copy that failed"
    ENDED = "has crashed, or its QEMU has ended"
    UNKNOWN = "cannot be asked"


class Place(Enum):
    """Where a VM is."""

    SOURCE = "source"
    TARGET = "target"
    MOVING = "moving"
    """The migration is under way, or a host has to be asked again."""
    NOWHERE = "nowhere"
    TWICE = "twice"


class Verdict(NamedTuple):
    """Where a VM is, and what is to be cleared away there."""

    place: Place
    discard_on_source: bool = False
    """A paused copy is left on the source, whose memory is stale, or its definition, from which it could be started a
    second time."""
    discard_on_target: bool = False
    """An empty VM is left on the target."""
    resume_on_source: bool = False
    """The guest is whole on its source and paused only for the switch, which did not come."""


_GONE: Final = (GuestState.ABSENT, GuestState.OFF, GuestState.ENDED)


def verdict(source: GuestState, target: GuestState, *, moved: bool = False) -> Verdict:
    """Return where a VM is once its migration is over; ask again where that is still ``MOVING``.

    ``moved``: its target was heard to resume it, so that what its source has is stale, and never resumed.  A target
    where it is defined and off has resumed it, too: it is defined there last of all.
    """
    if GuestState.MIGRATING in (source, target):
        return Verdict(Place.MOVING)
    if source is GuestState.RUNNING:
        if target is GuestState.RUNNING:
            return Verdict(Place.TWICE)
        return Verdict(Place.SOURCE, discard_on_target=target is GuestState.INCOMING)
    if target is GuestState.RUNNING:
        return _on_target(source)
    if target is GuestState.TORN:
        return Verdict(Place.NOWHERE)
    if GuestState.UNKNOWN in (source, target):
        return Verdict(Place.MOVING)
    if source is GuestState.SENT and (moved or target in (GuestState.OFF, GuestState.ENDED)):
        return Verdict(Place.NOWHERE)
    if source is GuestState.SENT and target in (GuestState.ABSENT, GuestState.INCOMING):
        return Verdict(Place.SOURCE, discard_on_target=target is GuestState.INCOMING, resume_on_source=True)
    if source is GuestState.TORN or source in _GONE:
        return Verdict(Place.NOWHERE)
    return Verdict(Place.MOVING)


def _on_target(source: GuestState) -> Verdict:
    """Return the verdict for a guest that runs on its target: it has been switched, and there is no way back."""
    if source is GuestState.UNKNOWN:
        return Verdict(Place.MOVING)
    return Verdict(Place.TARGET, discard_on_source=source is not GuestState.ABSENT)
