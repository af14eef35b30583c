"""How much of an agent its guests may take up: connections are counted, and cut where there are too many."""

import resource
import time
from collections import Counter
from dataclasses import dataclass
from typing import Final

SHARE_OF_FILES: Final = 0.5
"""Of the files that the process may have open, what connections may take; the rest is for its hypervisors and logs."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What is too much."""

    connections: int = 4096
    """In all; 4,000 hanging polls take 47 MiB.  Fewer where the process may not have so many files open."""
    of_one_address: int = 8
    """At once: an agent and a few programs that wait beside it."""
    a_second: int = 20
    """Connections that one address may begin in a second: each has the host's tables looked at, some milliseconds."""
    request_s: float = 5.0
    """How long a request may take to arrive: it is one packet."""
    line_bytes: int = 1024
    """Of a request's first line, and of each header."""
    headers: int = 32

    @property
    def most(self) -> int:
        """Connections in all that the process can have."""
        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        return (
            self.connections if files == resource.RLIM_INFINITY else min(self.connections, int(files * SHARE_OF_FILES))
        )


class Gate:
    """Counts connections, and says which are too many."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._most = limits.most
        self._open: Counter[str] = Counter()
        self._second = 0
        self._begun: Counter[str] = Counter()

    def enter(self, address: str) -> bool:
        """Return whether a connection may stay; if so, :meth:`leave` it at its end."""
        second = int(time.monotonic())
        if second != self._second:
            self._second = second
            self._begun.clear()
        self._begun[address] += 1
        too_many = self._open[address] >= self._limits.of_one_address or self._open.total() >= self._most
        if too_many or self._begun[address] > self._limits.a_second:
            return False
        self._open[address] += 1
        return True

    def leave(self, address: str) -> None:
        """Count a connection that has ended."""
        self._open[address] -= 1
        if not self._open[address]:
            del self._open[address]
