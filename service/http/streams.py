"""Event streams that are open, of all callers and of each: nobody takes the room of the others."""

import threading
from collections import Counter


class Streams:
    """How many streams a replica has open; for any thread."""

    def __init__(self, most: int, most_each: int) -> None:
        self._most, self._most_each = most, most_each
        self._lock = threading.Lock()
        self._open: Counter[str] = Counter()

    @property
    def open(self) -> int:
        """Streams that are open."""
        return self._open.total()

    def take(self, who: str) -> str | None:
        """Take room for one more stream of a caller, or return why there is none."""
        with self._lock:
            if self._open.total() >= self._most:
                return "has as many streams as it may"
            if self._open[who] >= self._most_each:
                return f"has {self._most_each} streams of {who}, the most for one caller"
            self._open[who] += 1
        return None

    def leave(self, who: str) -> None:
        """Give the room of a stream back."""
        with self._lock:
            self._open[who] -= 1
            if not self._open[who]:
                del self._open[who]
