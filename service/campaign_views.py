"""Campaigns as they stand, folded as their journals grow: a question costs what is new since the one before."""

import threading
from collections import OrderedDict
from contextlib import closing
from typing import Final

import polars as pl

from slacktide.datasets.files import read_snapshot
from slacktide.errors import ExecutionError
from slacktide.executors.campaign_state import CampaignState, initial_state
from slacktide.executors.changeover import Course, first_course
from slacktide.executors.control_events import OrderRefused
from slacktide.executors.events import Event
from slacktide.executors.order_state import ORDERS
from slacktide.executors.report import CampaignReport, Execution, make_report
from slacktide.executors.standing import advanced, revisions_in
from slacktide.executors.store.campaigns import StoredCampaign, find_campaign
from slacktide.executors.store.reading import Entry, read_journal
from slacktide.ids import CampaignId
from slacktide.planner.plan_files import read_plan
from slacktide.service.campaign_view import Viewed
from slacktide.service.places import Places
from slacktide.service.store.database import Database
from slacktide.service.store.runs import Run

KEPT: Final = 4
"""Campaigns that are kept folded: of 10,000 hosts each takes some 150 MiB."""
_ASKED: Final = (*ORDERS, OrderRefused)


class _Folded:
    """One campaign, folded up to an event."""

    def __init__(self, run: Run, places: Places) -> None:
        snapshot, plan = read_snapshot(places.fleet(run.fleet_id)), read_plan(places.plan(run.plan_id))
        self.lock = threading.Lock()
        self._load = revisions_in(places.campaign(run.campaign_id))
        self._course = first_course(snapshot, plan)
        self._state = initial_state(self._course.program)
        self._last = 0
        self._asked: list[Event] = []
        self._report: tuple[int, CampaignReport] | None = None

    def fold(self, database: Database, campaign_id: str) -> tuple[Course, CampaignState, tuple[Event, ...]]:
        """Take in what is new."""
        with closing(read_journal(database.store, CampaignId(campaign_id))) as journal:
            entries = journal.read(self._last)
        if entries:
            self._course, self._state = advanced(self._course, self._state, entries, self._load)
            self._last = entries[-1].number
            self._asked += [entry.event for entry in entries if type(entry.event) in _ASKED]
        return self._course, self._state, tuple(self._asked)

    def report(self, stored: StoredCampaign) -> CampaignReport:
        """Return the report as far as the campaign has got, made anew where something has happened since."""
        if self._report is None or self._report[0] != self._last:
            unknown = Execution(
                simulated='"driver": "simulated"' in stored.record.settings, seed=0, wall_s=0.0, ray=False, agents=0
            )
            made = make_report(self._course.fleet, self._course.shown, self._state, stored.record, unknown)
            self._report = self._last, made
        return self._report[1]


class CampaignViews:
    """Looks at campaigns, whoever carries them out; for any thread."""

    def __init__(self, places: Places, database: Database) -> None:
        self._places, self._database = places, database
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, _Folded] = OrderedDict()

    def stored(self, campaign_id: str) -> StoredCampaign | None:
        """Return a campaign as its store lists it, None: nobody has begun it."""
        try:
            with self._database.reading() as transaction:
                return find_campaign(transaction, CampaignId(campaign_id), self._database.store.shown)[1]
        except ExecutionError:
            return None

    def viewed(self, run: Run, stored: StoredCampaign) -> Viewed:
        """Return where a campaign stands that has begun."""
        folded = self._folded(run)
        with folded.lock:
            _, state, asked = folded.fold(self._database, run.campaign_id)
            return Viewed(stored, state, asked, run.plan_id)

    def report(self, run: Run, stored: StoredCampaign) -> CampaignReport:
        """Return what was planned and what is measured so far, as tables."""
        folded = self._folded(run)
        with folded.lock:
            folded.fold(self._database, run.campaign_id)
            return folded.report(stored)

    def events(self, campaign_id: str, after: int, most: int) -> list[Entry]:
        """Return at most ``most`` events after number ``after`` of a campaign that has begun."""
        with closing(read_journal(self._database.store, CampaignId(campaign_id))) as journal:
            return journal.read(after, most)

    def _folded(self, run: Run) -> _Folded:
        with self._lock:
            known = self._kept.get(run.campaign_id)
            if known is not None:
                self._kept.move_to_end(run.campaign_id)
                return known
        made = _Folded(run, self._places)
        with self._lock:
            known = self._kept.setdefault(run.campaign_id, made)
            self._kept.move_to_end(run.campaign_id)
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
            return known


def blackouts_of(migrations: pl.DataFrame) -> pl.DataFrame:
    """Return what is known of the blackout of every migration that is done, predicted and measured."""
    columns = (
        *("migration_id", "vm_id", "source", "target", "wave", "strategy", "start_s", "end_s"),
        *("predicted_blackout_ms", "blackout_ms", "probe_blackout_ms", "probe_resolution_ms"),
    )
    return migrations.filter(pl.col("state") == "done").select(columns)
