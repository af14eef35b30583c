"""Time as a thing that is handed in: the system's clock, or a virtual one for a night in seconds."""

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
