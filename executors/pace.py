"""Waiting: on a virtual clock by moving it, on the system's by sleeping."""

import time
from datetime import datetime

from slacktide.clock import Clock, PacedClock, VirtualClock


def wait_until(clock: Clock, moment: datetime) -> None:
    """Return once ``clock`` has come to ``moment``."""
    if isinstance(clock, VirtualClock):
        clock.advance_to(moment)
        return
    while (left_s := (moment - clock.now()).total_seconds()) > 0:
        time.sleep(left_s / pace_of(clock))


def pace_of(clock: Clock) -> float:
    """Return how many seconds of ``clock`` go by in one of the machine's; a virtual one has no pace of its own."""
    return clock.pace if isinstance(clock, PacedClock) else 1.0
