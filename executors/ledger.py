"""What is heard and decided on its way into the journal, and the state that the journal makes."""

import time
from collections import deque
from collections.abc import Iterable
from typing import Final

from slacktide.executors.campaign_log import CampaignLog
from slacktide.executors.campaign_state import initial_state
from slacktide.executors.changeover import Course, turned
from slacktide.executors.control_events import PlanRevised
from slacktide.executors.events import Event
from slacktide.executors.folding import apply
from slacktide.executors.journal import Entry, Journal
from slacktide.executors.news import News
from slacktide.executors.program import Program
from slacktide.executors.revising import Made, Revising
from slacktide.executors.standing import standing

APPENDS_KEPT: Final = 4_096
"""Batches whose times are kept until somebody measures them: nobody does outside Ray."""


class Ledger:
    """The one owner of a running campaign's state; nothing is folded that is not journaled."""

    def __init__(self, program: Program, journal: Journal, agents: int, revising: Revising | None) -> None:
        self.program = program
        """What is carried out now."""
        self.journal = journal
        self.news = News(agents)
        self.state = initial_state(program)
        self.going_over: Made | None = None
        """Revision whose changeover is being journaled."""
        self._revising = revising
        self._unwritten: list[Event] = []
        self._log = CampaignLog(journal.record.campaign_id)
        self.append_s: deque[float] = deque(maxlen=APPENDS_KEPT)
        """How long the store took for each batch that was not measured yet."""

    def take_up(self) -> list[Entry]:
        """Rebuild the state from the journal, and return all that is in it."""
        journaled = self.journal.read()
        if self._revising is None:
            apply(self.state, journaled)
        else:
            course, self.state = standing(self._revising.course, journaled, self._revising.load)
            self._carry_out(course)
        return journaled

    def note(self, events: Iterable[Event]) -> None:
        """Have events journaled with the next write."""
        self._unwritten += events

    def take_news(self, now: float) -> list[Event]:
        """Note the news of all seconds that have begun, and return it."""
        news = self.news.until(now)
        self._unwritten += news
        return news

    def write(self, now: float) -> None:
        """Journal what was heard and decided up to ``now``.

        Raises
        ------
        StoreError
            If the store does not answer; it is all written with the next call that succeeds.
        """
        self.append()
        self.news.acknowledge(now)

    def append(self) -> None:
        """Journal what was noted; errors as :meth:`write`."""
        if self._unwritten:
            begun_s = time.monotonic()
            written = self.journal.append(self._unwritten)
            self.append_s.append(time.monotonic() - begun_s)
            self._unwritten = []
            self._fold(written)
            self._log.tell(self.program, self.state.numbers, written)

    @property
    def unwritten(self) -> int:
        """How many events wait to be journaled."""
        return len(self._unwritten)

    def _fold(self, entries: list[Entry]) -> None:
        """Take in what was journaled; what comes after a changeover is about the plan that it goes over to."""
        for place, entry in enumerate(entries):
            if isinstance(entry.event, PlanRevised):
                apply(self.state, entries[:place])
                made = self.going_over
                assert made is not None, "it was journaled here"
                assert self._revising is not None, "that made it"
                course, self.state = turned(self._revising.course, self.state, entry, made.plan, made.snapshot)
                self._carry_out(course)
                apply(self.state, entries[place + 1 :])
                return
        apply(self.state, entries)

    def _carry_out(self, course: Course) -> None:
        """Go by the plan that is carried out now."""
        assert self._revising is not None, "otherwise there is one plan"
        self._revising.course, self.program = course, course.program
