"""How a coordinator reaches its agents; here within one process, in :mod:`slacktide.executors.ray_agents` over Ray.

Agents come and go: a process is killed, a host reboots.  So an answer may be missing, and come with a later question.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple, Protocol

from slacktide.executors.agent import HostAgent
from slacktide.executors.commands import Report, Turn
from slacktide.executors.drivers.protocol import Adoption, TakenOver
from slacktide.ids import HostId


class AgentPlace(NamedTuple):
    """Which agent is meant, and where it belongs."""

    name: str
    host: HostId | None = None
    """Pinned to the node of this host; null: anywhere."""


class Agents(Protocol):
    """Agents by number, from 0."""

    @property
    def count(self) -> int:
        """How many agents there are."""
        ...

    def name(self, agent: int) -> str:
        """Return the name by which an operator knows an agent."""
        ...

    def away(self) -> Mapping[int, str]:
        """Return the agents that have ended or have not answered for long, with what is known of why."""
        ...

    def busy(self, agent: int) -> bool:
        """Return whether an agent cannot be asked now: it is away, or has not yet answered what it was asked."""
        ...

    def renewed(self) -> Collection[int]:
        """Return the agents that are other processes than when this was last asked, and know nothing."""
        ...

    def exchange(self, turns: Mapping[int, Turn]) -> dict[int, Report]:
        """Have several agents take a turn at once; return the reports that are there, those of earlier turns too."""
        ...

    def take_over(self, adoptions: Mapping[int, Adoption]) -> dict[int, TakenOver]:
        """Have agents take charge of what was under way; return the answers that are there, earlier ones too."""
        ...


class LocalAgents:
    """Agents within this process, one after the other; none of them is ever away."""

    def __init__(self, agents: Sequence[HostAgent]) -> None:
        self._agents = tuple(agents)

    @property
    def count(self) -> int:
        """How many agents there are."""
        return len(self._agents)

    def name(self, agent: int) -> str:
        """Return the name by which an operator knows an agent."""
        return f"{agent}-of-{self.count}"

    def away(self) -> Mapping[int, str]:
        """Return none."""
        return {}

    def busy(self, agent: int) -> bool:
        """Return false."""
        return False

    def renewed(self) -> Collection[int]:
        """Return none."""
        return ()

    def exchange(self, turns: Mapping[int, Turn]) -> dict[int, Report]:
        """Have several agents take a turn, and return their reports."""
        return {number: self._agents[number].turn(turn) for number, turn in turns.items()}

    def take_over(self, adoptions: Mapping[int, Adoption]) -> dict[int, TakenOver]:
        """Have agents take charge of what was under way."""
        return {number: self._agents[number].take_over(adoption) for number, adoption in adoptions.items()}
