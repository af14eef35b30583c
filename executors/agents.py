"""How a coordinator reaches its agents; here within one process, in :mod:`slacktide.executors.actors` over Ray."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from slacktide.executors.agent import HostAgent
from slacktide.executors.commands import Report, Turn
from slacktide.executors.drivers.protocol import (
    Adoption,
    HostCondition,
    MigrationRequest,
    PatchRequest,
    VmLocation,
)
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

    def exchange(self, turns: Mapping[int, Turn]) -> dict[int, Report]:
        """Have several agents take a turn at once, and return their reports."""
        ...

    def adopt(self, adoptions: Mapping[int, Adoption]) -> None:
        """Have agents take charge of what others began."""
        ...

    def locate(self, requests: Mapping[int, Sequence[MigrationRequest]]) -> dict[int, list[VmLocation]]:
        """Ask agents where VMs are."""
        ...

    def inspect(self, requests: Mapping[int, Sequence[PatchRequest]]) -> dict[int, list[HostCondition]]:
        """Ask agents how far patches are."""
        ...


class LocalAgents:
    """Agents within this process, one after the other."""

    def __init__(self, agents: Sequence[HostAgent]) -> None:
        self._agents = tuple(agents)

    @property
    def count(self) -> int:
        """How many agents there are."""
        return len(self._agents)

    def exchange(self, turns: Mapping[int, Turn]) -> dict[int, Report]:
        """Have several agents take a turn, and return their reports."""
        return {number: self._agents[number].turn(turn) for number, turn in turns.items()}

    def adopt(self, adoptions: Mapping[int, Adoption]) -> None:
        """Have agents take charge of what others began."""
        for number, adoption in adoptions.items():
            self._agents[number].adopt(adoption)

    def locate(self, requests: Mapping[int, Sequence[MigrationRequest]]) -> dict[int, list[VmLocation]]:
        """Ask agents where VMs are."""
        return {number: self._agents[number].locate(asked) for number, asked in requests.items()}

    def inspect(self, requests: Mapping[int, Sequence[PatchRequest]]) -> dict[int, list[HostCondition]]:
        """Ask agents how far patches are."""
        return {number: self._agents[number].inspect(asked) for number, asked in requests.items()}
