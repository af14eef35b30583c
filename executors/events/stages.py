"""The stages of one migration."""

from enum import IntEnum
from typing import Final


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


POINT_OF_NO_RETURN: Final = Stage.FORWARDING
"""From this stage on the guest runs on the target, and the only way is forward.

Before it, the way back is to discard the empty VM on the target and let the guest go on where it is: its memory on
the source is complete until the target has resumed.  From it on, the source's memory is stale; a migration that stops
here is finished by deleting the source, never by returning to it.
"""
