"""Campaigns as they stand, folded as their journals grow: a question costs what is new since the one before."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import Final, TypeVar, cast

import polars as pl

from slacktide.executors.campaign_state import initial_state
from slacktide.executors.changeover import first_course
from slacktide.executors.control_events import OrderRefused
from slacktide.executors.events import Event
from slacktide.executors.order_state import ORDERS
from slacktide.executors.over_limits import held_against_limits, with_limits
from slacktide.executors.report import CampaignReport, Execution, make_report
from slacktide.executors.standing import advanced
from slacktide.executors.starting import process_starting
from slacktide.executors.store.campaigns import FINISHED, StoredCampaign, find_campaign, is_simulated
from slacktide.executors.store.orders import NoCampaignError, StoredOrder
from slacktide.executors.store.reading import Entry, read_journal
from slacktide.ids import CampaignId
from slacktide.service.campaign_view import Viewed
from slacktide.service.kept_files import kept_fleet, kept_plan, kept_revisions
from slacktide.service.places import Places
from slacktide.service.store.database import Database
from slacktide.service.store.runs import Run

KEPT: Final = 4
"""Campaigns that are kept folded: of 10,000 hosts each takes some 150 MiB."""
FRESH_S: Final = 0.5
"""What is this old counts as new: as often as an eye follows."""
SOON_S: Final = 0.1
"""How long a caller waits for something newer than what was seen before."""
STALE_S: Final = 15.0
"""What is older is not answered with: it is looked anew, however long that takes."""
LOOKERS: Final = 2
"""Campaigns that are folded at once: more would only take the processor from each other."""
RESTS: Final = 4
"""How many times as long as the processor takes to look anew is waited before."""
LONGEST_REST_S: Final = 5.0
"""What is waited at most: somebody compares the figures with a night that goes on."""
Seen = TypeVar("Seen")
Glanced = TypeVar("Glanced")
_ASKED: Final = (*ORDERS, OrderRefused)


class _Folded:
    """One campaign, folded up to an event; whoever calls holds the lock."""

    def __init__(self, run: Run, places: Places) -> None:
        snapshot, plan = kept_fleet(places.fleet(run.fleet_id)), kept_plan(places.plan(run.plan_id))
        self.lock = threading.Lock()
        self.drawing = threading.Lock()
        """Held by whoever derives something from a report, while others look."""
        self.seen: dict[str, _Seen] = {}
        """What was seen last, by name."""
        self._first_plan, self._directory = run.plan_id, places.campaign(run.campaign_id)
        self._load = kept_revisions(self._directory)
        self._course = first_course(snapshot, plan)
        self._state = initial_state(self._course.program)
        self._last = 0
        self._asked: list[Event] = []
        self.asked_for: tuple[StoredOrder, ...] = ()
        """The orders that are answered, as people gave them."""
        self._folding = _Pace()

    def fold(self, database: Database, stored: StoredCampaign) -> None:
        """Take in what is new, unless that was done a moment ago."""
        if self._folding.is_due() or (stored.state == FINISHED and not self._state.finished):
            with self._folding.timed(), closing(read_journal(database.store, stored.record.campaign_id)) as journal:
                entries = journal.read(self._last)
                if entries:
                    self._course, self._state = advanced(self._course, self._state, entries, self._load)
                    self._last = entries[-1].number
                    self._asked += [entry.event for entry in entries if type(entry.event) in _ASKED]
                    answered = self._state.orders
                    self.asked_for = tuple(order for order in journal.orders(0) if order.number <= answered)

    def viewed_now(self, database: Database, stored: StoredCampaign) -> Viewed:
        """Return the campaign as it is at this moment, with the orders that wait."""
        self._folding = _Pace()
        self.fold(database, stored)
        with closing(read_journal(database.store, stored.record.campaign_id)) as journal:
            orders = tuple(journal.orders(0))
        return self.viewed(stored, orders)

    def viewed(self, stored: StoredCampaign, orders: tuple[StoredOrder, ...]) -> Viewed:
        """Return the campaign as far as it is folded, and which process is about to take it up."""
        seen = stored, self._state, tuple(self._asked), self._first_plan, orders
        return Viewed(*seen, starting=process_starting(self._directory), by_server=True)

    def look_anew(self) -> None:
        """Have nothing that was seen before be answered with."""
        self._folding = _Pace()
        for seen in self.seen.values():
            seen.pace, seen.looked_s = _Pace(), -float("inf")

    @property
    def last(self) -> int:
        """Number of the newest event that is folded."""
        return self._last

    def see(self, name: str, see: Callable[[], object], *, by_clock: bool = False) -> object:
        """Return what ``see`` sees, as before where nothing has happened since or it is not yet time to look again.

        Parameters
        ----------
        by_clock
            It depends on the clock or on who carries the campaign out as well, which change without an event.
        """
        is_over = self._state.finished
        known = self.seen.setdefault(name, _Seen())
        return known.see(self._last, see, is_over=is_over, by_clock=by_clock and not is_over)

    def derive(self, name: str, last: int, see: Callable[[], object]) -> object:
        """Return the same of what ``see`` sees elsewhere than in the state, as it was after event ``last``."""
        return self.seen.setdefault(name, _Seen()).see(last, see, is_over=self._state.finished)

    @property
    def planned(self) -> tuple[int, int]:
        """How many hosts are planned, and how many deferred; of the newest plan and what is over."""
        shown = self._course.shown
        return shown.hosts.height, shown.deferred.height

    def against_limits(self, stored: StoredCampaign) -> pl.DataFrame:
        """Return the report's migrations, with what is held against which limit."""
        report = cast("CampaignReport", self.see("report", lambda: self.report(stored)))
        return held_against_limits(with_limits(report.migrations, self._course.fleet, self._course.shown))

    def report(self, stored: StoredCampaign) -> CampaignReport:
        """Return the report of what is folded."""
        simulated = is_simulated(stored.record.settings)
        unknown = Execution(simulated=simulated, seed=0, wall_s=0.0, ray=False, agents=0)
        return make_report(self._course.fleet, self._course.shown, self._state, stored.record, unknown)


class _Seen:
    """Something that was seen of a campaign."""

    def __init__(self) -> None:
        self.value: object = None
        self.last = -1
        """Number of the newest event then; -1: it was not seen yet."""
        self.looked_s = -float("inf")
        """When it was last known to be as it was seen."""
        self.pace = _Pace()

    def see(self, last: int, see: Callable[[], object], *, is_over: bool, by_clock: bool = False) -> object:
        """Return what ``see`` sees after event ``last``, as before where that is known or was seen a moment ago."""
        is_new = self.last != last or by_clock
        if self.last < 0 or (is_new and (self.pace.is_due() or is_over or not self.serves())):
            with self.pace.timed():
                self.value = see()
            self.last, is_new = last, False
        if not is_new:
            self.looked_s = time.monotonic()
        return self.value

    def serves(self) -> bool:
        """Return whether it may be answered with while somebody looks anew."""
        return self.last >= 0 and time.monotonic() - self.looked_s < STALE_S


class _Pace:
    """How often something is done that takes its time: seldom enough that it takes a fifth of a processor's at most.

    What counts is the processor's time of the thread that does it: neither what it waits for the store, nor what others
    take of the processor meanwhile, so that on a busy machine nothing is looked at less often.
    """

    def __init__(self) -> None:
        self._done_s, self._took_s = -float("inf"), 0.0

    def is_due(self) -> bool:
        """Return whether it is time to do it again."""
        rest_s = min(RESTS * self._took_s, LONGEST_REST_S)
        return time.monotonic() - self._done_s >= max(FRESH_S, rest_s)

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Note how long the block takes of this thread's processor."""
        begun_s = time.thread_time()
        yield
        self._done_s = time.monotonic()
        self._took_s = time.thread_time() - begun_s


class FoldedCampaigns:
    """Looks at campaigns, whoever carries them out; for any thread."""

    def __init__(self, places: Places, database: Database) -> None:
        self._places, self._database = places, database
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, _Folded] = OrderedDict()
        self._lookers = ThreadPoolExecutor(LOOKERS, "look at campaigns")
        self._drawers = ThreadPoolExecutor(LOOKERS, "derive from reports of campaigns")
        """They wait for lookers, which may not wait for them."""

    def stored(self, campaign_id: str) -> StoredCampaign | None:
        """Return a campaign as its store lists it, None: nobody has begun it.

        Raises
        ------
        ExecutionError
            If the store does not answer, or what it has of the campaign is damaged.
        """
        try:
            with self._database.reading() as transaction:
                return find_campaign(transaction, CampaignId(campaign_id), self._database.store.shown)[1]
        except NoCampaignError:
            return None

    def look(
        self, run: Run, stored: StoredCampaign, name: str, see: Callable[[Viewed], Seen], *, by_clock: bool = False
    ) -> Seen:
        """Return what ``see`` sees of a campaign that has begun; what it saw a moment ago where that takes its time.

        Nobody folds the campaign further while it looks.  ``name`` is the same for the same ``see``, and so is
        ``by_clock``: what it sees depends on the clock or the lease too, and is looked at again without a new event.
        """
        folded = self._folded(run)

        def seen() -> object:
            return see(folded.viewed(stored, folded.asked_for))

        return cast("Seen", self._seen(folded, stored, name, seen, by_clock=by_clock))

    def glance(self, run: Run, stored: StoredCampaign, see: Callable[[Viewed], Glanced]) -> tuple[Glanced, int]:
        """Return what ``see`` sees of a campaign as it is at this moment, and the number of its newest event.

        Unlike :meth:`look` it waits for whoever folds the campaign; orders that wait for an answer are seen too.
        """
        folded = self._folded(run)
        with folded.lock:
            return see(folded.viewed_now(self._database, stored)), folded.last

    def refresh(self, run: Run) -> None:
        """Have whoever looks next see the campaign as it is now: something was asked of it, and it was answered."""
        folded = self._folded(run)
        with folded.lock:
            folded.look_anew()

    def planned(self, run: Run) -> tuple[int, int]:
        """Return how many hosts are planned, and how many deferred, as a report of the campaign counts them."""
        return self._folded(run).planned

    def report(self, run: Run, stored: StoredCampaign) -> CampaignReport:
        """Return what was planned and what is measured so far, as tables; as recent as :meth:`look`."""
        folded = self._folded(run)
        return cast("CampaignReport", self._seen(folded, stored, "report", lambda: folded.report(stored)))

    def migrations(self, run: Run, stored: StoredCampaign) -> pl.DataFrame:
        """Return the report's migrations with ``blackout_limit_ms``, ``counted_blackout_ms`` and ``above_limit``."""
        folded = self._folded(run)

        def against_limits() -> pl.DataFrame:
            return folded.against_limits(stored)

        return cast("pl.DataFrame", self._seen(folded, stored, "against limits", against_limits))

    def derive(self, run: Run, stored: StoredCampaign, name: str, see: Callable[[CampaignReport, int], Seen]) -> Seen:
        """Return what ``see`` sees in the report and the number of deferred hosts, as often as :meth:`look`.

        Others look at the campaign while it sees: only the report is made of what nobody may fold further.
        """
        folded = self._folded(run)

        def looked() -> object:
            with folded.lock:
                folded.fold(self._database, stored)
                report = cast("CampaignReport", folded.see("report", lambda: folded.report(stored)))
                last, deferred = folded.seen["report"].last, folded.planned[1]
            return folded.derive(name, last, lambda: see(report, deferred))

        return cast("Seen", self._recent(folded, name, folded.drawing, self._drawers, looked))

    def _seen(
        self,
        folded: _Folded,
        stored: StoredCampaign,
        name: str,
        see: Callable[[], object],
        *,
        by_clock: bool = False,
    ) -> object:
        def looked() -> object:
            folded.fold(self._database, stored)
            return folded.see(name, see, by_clock=by_clock)

        return self._recent(folded, name, folded.lock, self._lookers, looked)

    def _recent(
        self,
        folded: _Folded,
        name: str,
        lock: threading.Lock,
        lookers: ThreadPoolExecutor,
        look: Callable[[], object],
    ) -> object:
        """Return what ``look`` returns, which holds ``lock``; what it returned last where that would take a while."""

        def looked() -> object:
            try:
                return look()
            finally:
                lock.release()

        known = folded.seen.get(name)
        if known is None or not known.serves():
            lock.acquire()
            return looked()
        before = known.value
        if not lock.acquire(blocking=False):
            return before
        try:
            return lookers.submit(looked).result(SOON_S)
        except TimeoutError:
            return before

    def events(self, campaign_id: str, after: int, most: int, *, to_damage: bool = False) -> list[Entry]:
        """Return at most ``most`` events after number ``after`` of a campaign that has begun.

        ``to_damage``: as :meth:`JournalReader.read` has it.
        """
        with closing(read_journal(self._database.store, CampaignId(campaign_id))) as journal:
            return journal.read(after, most, to_damage=to_damage)

    def orders(self, campaign_id: str) -> tuple[StoredOrder, ...]:
        """Return what was asked of a campaign that has begun, as of now, answered or not."""
        with closing(read_journal(self._database.store, CampaignId(campaign_id))) as journal:
            return tuple(journal.orders(0))

    def events_about(self, campaign_id: str, subjects: Sequence[str]) -> list[Entry]:
        """Return the events about some VMs, migrations or hosts of a campaign that has begun, in order."""
        with closing(read_journal(self._database.store, CampaignId(campaign_id))) as journal:
            return journal.about(subjects)

    def _folded(self, run: Run) -> _Folded:
        with self._lock:
            if run.campaign_id not in self._kept:
                self._kept[run.campaign_id] = _Folded(run, self._places)
            self._kept.move_to_end(run.campaign_id)
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
            return self._kept[run.campaign_id]
