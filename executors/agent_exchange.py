"""What is asked of agents and heard from them, turn by turn, and who of them is there."""

from collections.abc import Callable, Iterable
from math import inf
from typing import Final

from slacktide.executors import events
from slacktide.executors.agents import Agents
from slacktide.executors.commands import Dispatch, Requests
from slacktide.executors.events import Event
from slacktide.executors.journal import Entry
from slacktide.executors.ledger import Ledger
from slacktide.executors.meeting import Meetings
from slacktide.executors.others_heard import OthersHeard

TOLD_AHEAD_S: Final = 120.0
"""How far ahead simulated agents tell what will happen.

Longer means fewer calls; an attempt whose end is told can no longer be stopped, so this is no longer than the least
time by which an attempt may overrun (``DEADLINE_FLOOR_S``)."""

QuietUntil = Callable[[Requests], float]
"""Until when nothing can come of requests, in seconds from the origin."""


class AgentExchange:
    """Requests on their way to agents, and agents on their way to the campaign.

    On the system's clock every request is sent at once.  On a virtual one ``quiet_until_s`` says how long nothing can
    come of a request, and it is sent, together with others, no later than then.
    """

    def __init__(
        self, agents: Agents, ledger: Ledger, others: OthersHeard, quiet_until_s: QuietUntil | None, *, virtual: bool
    ) -> None:
        self._agents, self._ledger, self._others = agents, ledger, others
        self._quiet_until_s = quiet_until_s
        self._virtual = virtual
        self._by_program = Dispatch(ledger.program, agents.count)
        self._next_s: list[float | None] = [0.0 if others.tells else None] * agents.count
        """When something will next end at each agent."""
        self._asked: dict[int, Requests] = {}
        """Requests to be sent."""
        self._send_s = inf
        """Until when they must be sent."""
        self._meetings = Meetings()
        self._away: set[int] = set()
        """Agents that are known to be away."""
        self.outdated = False
        """Whether agents that are new have said what the scheduler does not know of."""

    @property
    def _dispatch(self) -> Dispatch:
        """What makes requests by the plan that is carried out now."""
        if self._by_program.program is not self._ledger.program:
            self._by_program = Dispatch(self._ledger.program, self._agents.count)
        return self._by_program

    def take_up(self, now: float, journaled: list[Entry]) -> None:
        """Meet all agents, to resolve every intent without outcome; ``journaled``: all of the journal."""
        self._next_s = [now] * self._agents.count
        self._meetings.begin(range(self._agents.count))
        self.exchange(now, journaled)
        self._ledger.take_news(now)
        self._ledger.write(now)
        self._meet(now)
        self._next_s = [now] * self._agents.count
        self._send_s = now

    def ask(self, actions: Iterable[Event]) -> None:
        """Line up what drivers have to do, to be sent before anything can come of it."""
        new = self._dispatch.requests(actions, self._asked)
        if self._asked:
            quiet_until_s = -inf if self._quiet_until_s is None else self._quiet_until_s(new)
            self._send_s = min(self._send_s, quiet_until_s)

    @property
    def unsent(self) -> int:
        """How many requests wait to be sent."""
        return sum(requests.count for requests in self._asked.values())

    @property
    def away(self) -> int:
        """How many agents are known to be away."""
        return len(self._away)

    @property
    def asks(self) -> bool:
        """Whether requests wait to be sent."""
        return bool(self._asked)

    def moments(self) -> list[float]:
        """Return when something will next end at agents that know of it."""
        return [next_s for next_s in self._next_s if next_s is not None]

    def send_s(self, now: float, *, at_once: bool) -> float:
        """Return when requests are to be sent, at the latest; infinite: there are none, or none that matters yet.

        ``at_once``: nothing else is waited for.
        """
        if not self._asked:
            return inf
        if at_once:
            self._send_s = min(self._send_s, now)
        return max(now, self._send_s)

    def is_due(self, moment: float) -> bool:
        """Return whether by ``moment`` requests are to be sent, or an agent has something to tell."""
        return moment > self._send_s or any(next_s is not None and next_s <= moment for next_s in self._next_s)

    def exchange(self, now: float, journaled: list[Entry] | None = None) -> None:
        """Send what is asked, and hear from agents; on a virtual clock also what will soon happen.

        Requests to agents that are not there, or not met yet, wait.  ``journaled``: the journal, if it is at hand.  A
        coordinator that was asleep for long looks first whether the campaign is still its own.
        """
        journal, news = self._ledger.journal, self._ledger.news
        journal.keep()
        until_s = now + (TOLD_AHEAD_S if self._virtual else 0.0)
        turns, pending = {}, frozenset(self._meetings.pending)
        for agent in range(self._agents.count):
            if self._agents.busy(agent):
                continue
            requests, next_s = None if agent in pending else self._asked.pop(agent, None), self._next_s[agent]
            if requests is None and self._virtual and (next_s is None or next_s > until_s):
                continue
            look = () if agent in pending else self._others.requests(agent, now)
            turns[agent] = (requests or Requests()).turn(journal.generation, news.acknowledged(agent), until_s, look)
        self._send_s = now if self._asked else inf
        reports = self._agents.exchange(turns)
        for agent, report in sorted(reports.items()):
            news.tell(agent, report, repeats=agent in pending)
            self._next_s[agent] = report.next_s
            self._others.take(report.seen)
        self._meetings.hear(reports)
        if any(reports[agent].events for agent in pending.intersection(reports)):
            news.forget(entry.event for entry in journaled or journal.read())

    def all_there(self, now: float) -> bool:
        """Note which agents have gone or come, and have those that are new take charge; return whether all have."""
        away, name = self._agents.away(), self._agents.name
        gone = sorted(away.keys() - self._away)
        self._ledger.note(events.AgentAway(now, name(agent), away[agent]) for agent in gone)
        self._away.update(away)
        renewed = self._agents.renewed()
        for agent in renewed:
            self._ledger.news.begin_anew(agent)
            self._next_s[agent] = now
        self._meetings.begin(renewed)
        if self._virtual and self.waits:
            self._ledger.append()
            self.exchange(now)
        if self._meetings.pending:
            self._meet(now)
        back = sorted(self._away - self._meetings.pending - away.keys())
        self._ledger.note(events.AgentBack(now, name(agent)) for agent in back)
        self._away.difference_update(back)
        return not self.waits

    @property
    def waits(self) -> bool:
        """Whether an agent has yet to be met, or to answer."""
        return bool(self._meetings.pending) or any(map(self._agents.busy, range(self._agents.count)))

    def _meet(self, now: float) -> None:
        """Resolve what agents that are new have under way."""
        ledger = self._ledger
        ledger.append()
        told = ledger.news.subjects()
        met = self._meetings.go_on(ledger.state, self._dispatch, self._agents, told, self._asked, now)
        for agent in met.agents:
            self._next_s[agent] = now
            self._others.meet(agent)
        for agent, requests in met.asked.items():
            self._asked.setdefault(agent, Requests()).add_untold(requests)
            self._send_s = now
        ledger.note(met.resolved)
        self.outdated |= any(event.outcome != "running" for event in met.resolved)
        ledger.append()
