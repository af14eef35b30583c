"""Time as a thing that is handed in: the system's clock, a faster one, or a virtual one for a night in seconds."""

from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Anything that knows what time it is."""

    def now(self) -> datetime:
        """Return the time now, in UTC."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Return the time now, in UTC."""
        return datetime.now(UTC)


class VirtualClock:
    """A clock that moves only when told to."""

    def __init__(self, origin: datetime) -> None:
        self._now = origin

    def now(self) -> datetime:
        """Return the virtual time, in UTC."""
        return self._now

    def advance_to(self, moment: datetime) -> None:
        """Move on to ``moment``; a moment in the past leaves the clock where it is."""
        self._now = max(self._now, moment)

    def advance(self, duration_s: float) -> None:
        """Move on by ``duration_s`` seconds."""
        self.advance_to(self._now + timedelta(seconds=duration_s))


class PacedClock:
    """The machine's clock, so many times as fast from a moment on: a rehearsal that people and machines can follow."""

    def __init__(self, origin: datetime, pace: float) -> None:
        self._origin = origin
        self.pace = pace
        """Seconds of this clock to one of the machine's."""

    def now(self) -> datetime:
        """Return the time now, in UTC."""
        return self._origin + (datetime.now(UTC) - self._origin) * self.pace
