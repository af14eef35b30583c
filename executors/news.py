"""News from agents on its way to the coordinator: held back until the clock has come to it.

On a virtual clock an agent may tell ahead what will happen, so that a night does not need a call for every second.
"""

from collections import deque
from collections.abc import Iterable
from heapq import heappop, heappush
from math import ceil, inf
from typing import Final

from slacktide.executors import events
from slacktide.executors.commands import NOTHING, Report
from slacktide.executors.events import Event, HostRefilled

OUTCOMES: Final = frozenset(
    {
        events.MigrationDone,
        events.MigrationFailed,
        events.VmLost,
        events.HostReturned,
        events.PatchFailed,
        HostRefilled,
        events.GuestAcknowledged,
    }
)
"""News that a decision may hang on; other news waits for the next of them."""


class News:
    """What agents have told and the coordinator has not yet taken in."""

    def __init__(self, agents: int) -> None:
        self._held: dict[int, list[Event]] = {}
        """By the second at whose end it is taken in."""
        self._seconds: list[int] = []
        """Those seconds, as a heap."""
        self._outcomes: list[float] = []
        """When each outcome that is held happens, as a heap."""
        self._told: set[tuple[str, int]] = set()
        """Attempts whose outcome is held."""
        self._open: list[deque[tuple[int, float]]] = [deque() for _ in range(agents)]
        """Reports of each agent by number, with the moment up to which they tell."""
        self._safe = [NOTHING] * agents

    def begin_anew(self, agent: int) -> None:
        """Expect the reports of another process in place of an agent: it counts from the beginning again."""
        self._open[agent].clear()
        self._safe[agent] = NOTHING

    def tell(self, agent: int, report: Report, *, repeats: bool = False) -> None:
        """Take in a report; ``repeats``: it may tell what an earlier process of the agent has told."""
        held = set(self._all()) if repeats and report.events else ()
        for event in report.events:
            if event not in held:
                self._hold(event)
        last_s = max((event.at_s for event in report.events), default=-inf)
        last_s = max((last_s, *(seen.at_s for seen in report.seen)))
        self._open[agent].append((report.number, last_s))

    def _hold(self, event: Event) -> None:
        second = ceil(event.at_s)
        held = self._held.get(second)
        if held is None:
            held = self._held[second] = []
            heappush(self._seconds, second)
        held.append(event)
        if type(event) in OUTCOMES:
            heappush(self._outcomes, event.at_s)
            if isinstance(event, events.AttemptEvent):
                self._told.add((event.migration_id, event.attempt))

    def held(self) -> int:
        """Return how many events are held."""
        return sum(map(len, self._held.values()))

    def next_s(self) -> float | None:
        """Return when the next outcome is to be taken in; null: none is held."""
        return self._outcomes[0] if self._outcomes else None

    def until(self, now: float) -> list[Event]:
        """Return the news of all seconds that have begun, in order; it must be journaled before :meth:`acknowledge`.

        The order is that of time, then of ids: the same for any number of agents.
        """
        found: list[Event] = []
        last = ceil(now)
        while self._seconds and self._seconds[0] <= last:
            held = self._held.pop(heappop(self._seconds))
            held.sort(key=_order)
            found += held
        for event in found:
            if type(event) in OUTCOMES:
                heappop(self._outcomes)
                if isinstance(event, events.AttemptEvent):
                    self._told.discard((event.migration_id, event.attempt))
        return found

    def outcome_told(self, event: Event) -> bool:
        """Return whether the outcome of the attempt that ``event`` is about is held: too late to stop it."""
        return isinstance(event, events.AttemptEvent) and (event.migration_id, event.attempt) in self._told

    def forget(self, journaled: Iterable[Event]) -> None:
        """Drop news that is in the journal already: reports whose acknowledgement was lost."""
        held = self._all()
        known = set(held).intersection(journaled)
        self._held, self._seconds, self._outcomes, self._told = {}, [], [], set()
        for event in held:
            if event not in known:
                self._hold(event)

    def subjects(self) -> frozenset[str]:
        """Return the migrations and hosts whose outcome is held."""
        ends = OUTCOMES - {events.GuestAcknowledged}
        return frozenset(_subject(event) for event in self._all() if type(event) in ends)

    def _all(self) -> list[Event]:
        return [event for second in sorted(self._held) for event in self._held[second]]

    def acknowledge(self, now: float) -> None:
        """Note that all news up to ``now`` is in the journal."""
        for agent, reports in enumerate(self._open):
            while reports and reports[0][1] <= now:
                self._safe[agent] = reports.popleft()[0]

    def acknowledged(self, agent: int) -> int:
        """Return the number of the agent's newest report that is in the journal as a whole."""
        return self._safe[agent]


def _subject(event: Event) -> str:
    return event.migration_id if isinstance(event, events.MigrationEvent) else getattr(event, "host_id", "")


def _order(event: Event) -> tuple[float, str]:
    return event.at_s, _subject(event)
