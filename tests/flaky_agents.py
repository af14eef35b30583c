"""Agents within the test's process that end, are slow and are started again, as processes are."""

import random
from collections.abc import Callable, Collection, Mapping
from typing import Any

from slacktide.executors.agent import HostAgent
from slacktide.executors.commands import Report, Turn
from slacktide.executors.drivers.protocol import Adoption, TakenOver

ENDED = "killed by the test"


class FlakyAgents:
    """Agents of which each call may be the last, or be answered late.

    ``odds`` of a call: to end the agent before it has heard it, to end it after it has acted but before it answers, to
    be answered only some calls later.
    """

    def __init__(
        self, make: Callable[[], HostAgent], count: int, rng: random.Random, odds: tuple[float, float, float]
    ) -> None:
        self._make, self._rng, self._odds = make, rng, odds
        self._agents: list[HostAgent | None] = [make() for _ in range(count)]
        self._absent: dict[int, int] = {}
        """Looks after which an agent that has ended is started again."""
        self._late: dict[int, tuple[str, Any, int]] = {}
        self._renewed: set[int] = set()
        self.ended = self.slow = 0
        self.calls: list[tuple[str, int]] = []
        self.away_for: tuple[int, int] = (0, 6)

    @property
    def count(self) -> int:
        return len(self._agents)

    def name(self, agent: int) -> str:
        return f"a{agent}"

    def away(self) -> Mapping[int, str]:
        for agent in sorted(self._absent):
            self._absent[agent] -= 1
            if self._absent[agent] <= 0:
                del self._absent[agent]
                self._agents[agent] = self._make()
                self._renewed.add(agent)
        return dict.fromkeys(self._absent, ENDED)

    def busy(self, agent: int) -> bool:
        return agent in self._absent or agent in self._late

    def renewed(self) -> Collection[int]:
        found, self._renewed = sorted(self._renewed), set()
        return found

    def exchange(self, turns: Mapping[int, Turn]) -> dict[int, Report]:
        return self._ask("turn", turns)

    def take_over(self, adoptions: Mapping[int, Adoption]) -> dict[int, TakenOver]:
        return self._ask("take_over", adoptions)

    def end(self, agent: int) -> None:
        """End an agent as ``kill -9`` does."""
        self.ended += 1
        self._agents[agent] = None
        self._absent[agent] = self._rng.randint(*self.away_for)
        self._late.pop(agent, None)
        self._renewed.discard(agent)

    def _ask(self, method: str, arguments: Mapping[int, Any]) -> dict[int, Any]:
        before, after, slow = self._odds
        found = self._arrived(method)
        for agent, argument in arguments.items():
            assert not self.busy(agent), "an agent is asked that is not there"
            luck = self._rng.random()
            if luck < before:
                self.end(agent)
                continue
            answer = getattr(self._agents[agent], method)(argument)
            self.calls.append((method, agent))
            if luck < before + after:
                self.end(agent)
            elif luck < before + after + slow:
                self.slow += 1
                self._late[agent] = method, answer, self._rng.randint(1, 5)
            else:
                found[agent] = answer
        return found

    def _arrived(self, method: str) -> dict[int, Any]:
        found = {}
        for agent, (of, answer, left) in sorted(self._late.items()):
            if of != method:
                continue
            if left <= 1:
                del self._late[agent]
                found[agent] = answer
            else:
                self._late[agent] = of, answer, left - 1
        return found
