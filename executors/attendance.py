"""Where an agent that has ended is started again, and how often a process may end before a person is asked; pure."""

from collections import deque
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, NamedTuple

from slacktide.errors import ExecutionError

RESTARTS: Final = 5
"""Times that a process may be started again within ``RESTARTS_WITHIN_S``.

Whoever tests failures kills one every few minutes; a process that cannot run at all ends every few seconds."""
RESTARTS_WITHIN_S: Final = 120.0


class ClusterError(ExecutionError):
    """There is no cluster, and none can be started."""


class Placement(Enum):
    """Where an agent is to be started."""

    NODE = "its host's node"
    GATEWAY = "a gateway"
    """Another node, from where it reaches its host over the network."""
    NOWHERE = "nowhere yet"


class Absence(NamedTuple):
    """That an agent has ended."""

    reason: str
    patching: bool
    """Whether its host is being patched: then its node may go, and comes back."""


def placement(*, has_node: bool, had_node: bool, patching: bool) -> Placement:
    """Return where an agent is to be started.

    Parameters
    ----------
    has_node
        Whether its host is a node of the cluster now.
    had_node
        Whether the agent that ended was there.
    patching
        Whether the host is being patched.  A node that goes then is expected back: the host is lost once the patch has
        taken too long, and until then there is nothing to do for its agent but wait.
    """
    if has_node:
        return Placement.NODE
    return Placement.NOWHERE if had_node and patching else Placement.GATEWAY


@dataclass(slots=True)
class Restarts:
    """Counts how often something was started again lately."""

    most: int = RESTARTS
    within_s: float = RESTARTS_WITHIN_S
    _moments: deque[float] = field(default_factory=deque)

    def allow(self, now_s: float) -> bool:
        """Note another start at ``now_s``; return whether it is still one that mends something."""
        while self._moments and self._moments[0] <= now_s - self.within_s:
            self._moments.popleft()
        self._moments.append(now_s)
        return len(self._moments) <= self.most
