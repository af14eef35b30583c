"""Agents that a coordinator has yet to meet: all when it begins, and later each that was started again.

An agent is met in two steps.  It takes a turn without requests, and with that tells what it still knows; then it takes
charge of what the journal has under way with it, and says where that is.  Until then its requests wait.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from slacktide.executors.agents import Agents
from slacktide.executors.campaign_state import CampaignState
from slacktide.executors.commands import Dispatch, Requests
from slacktide.executors.drivers.protocol import Adoption
from slacktide.executors.resolution import Resolved, outcomes, under_way, untold


class Met(NamedTuple):
    """What came of meeting agents."""

    agents: frozenset[int]
    resolved: list[Resolved]
    asked: dict[int, Requests]
    """Requests that they may not have heard."""


class Meetings:
    """Which agents are yet to be met, and how far that is."""

    def __init__(self, agents: Iterable[int] = ()) -> None:
        self.pending = set(agents)
        self._heard: set[int] = set()
        self._adopting: dict[int, Adoption] = {}

    def begin(self, agents: Iterable[int]) -> None:
        """Have agents met from the beginning."""
        for agent in agents:
            self.pending.add(agent)
            self._heard.discard(agent)
            self._adopting.pop(agent, None)

    def hear(self, agents: Iterable[int]) -> None:
        """Note that agents have taken a turn."""
        self._heard.update(self.pending.intersection(agents))

    def go_on(
        self,
        state: CampaignState,
        dispatch: Dispatch,
        agents: Agents,
        told: frozenset[str],
        waiting: Mapping[int, Requests],
        now: float,
    ) -> Met:
        """Have agents that were heard take charge, and return what those say that have.

        Parameters
        ----------
        told
            Migrations and hosts whose outcome an agent has told already.
        waiting
            Requests that were never sent: what they are to begin has not begun.
        now
            Seconds from the origin.
        """
        ready = {agent for agent in self._heard if agent not in self._adopting and not agents.busy(agent)}
        known = told | unsent(waiting, ready)
        adoptions = under_way(state, dispatch, ready, known)
        self._adopting |= adoptions
        answers = {agent: said for agent, said in agents.take_over(adoptions).items() if agent in self._adopting}
        resolved = [
            event for agent, said in sorted(answers.items()) for event in outcomes(self._adopting[agent], said, now)
        ]
        for agent in answers:
            del self._adopting[agent]
        met = frozenset(answers)
        self.pending -= met
        self._heard -= met
        return Met(met, resolved, untold(state, dispatch, met))


def unsent(waiting: Mapping[int, Requests], agents: Iterable[int]) -> frozenset[str]:
    """Return the migrations and hosts that requests to these agents are about, where they begin something."""
    found: set[str] = set()
    for agent in agents:
        if agent in waiting:
            found.update(request.migration_id for request in waiting[agent].migrate)
            found.update(request.host_id for request in waiting[agent].patch)
    return frozenset(found)
