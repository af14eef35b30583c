"""A campaign as its store has it, whoever carries it out: for looking at it, and for asking something of it."""

import io
import json
import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from slacktide.errors import ExecutionError, InputError, StoreError, UsageError
from slacktide.object_store import path_at
from slacktide.service.commands.plan import read_both

if TYPE_CHECKING:
    from slacktide.executors.campaign_file import Command
    from slacktide.executors.campaign_state import CampaignState
    from slacktide.executors.events import Event
    from slacktide.executors.orders import Order
    from slacktide.executors.store.address import Store
    from slacktide.executors.store.campaigns import StoredCampaign
    from slacktide.executors.store.orders import StoredOrder
    from slacktide.service.campaign_standing import Holding

SERVER_FILE: Final = "server.json"
"""Names server and campaign in a directory that a campaign's report is fetched to."""
ANSWER_S: Final = 5.0
"""How long an order is waited for: a coordinator looks for one four times a second."""
PLANNED_S: Final = 60.0
"""How long an order to plan anew is waited for: seconds for a thousand hosts, and somewhat more on a busy machine."""
LOOK_S: Final = 0.1


class Asked(NamedTuple):
    """What came of an order that is in the store."""

    number: int | None
    """None: it was an abort of a server's campaign that had not begun, and does not."""
    answer: "Event | None"
    """None: there was none while it was waited for."""
    holder: str | None
    """Who carries the campaign out and has not answered; None: nobody does, or there is an answer."""
    trouble: str | None = None
    """Why the store could not be looked at for an answer; None: it could."""
    command: "Command | None" = None
    """What goes on with the campaign where nobody carries it out; None: it is not known."""
    by_server: bool = False
    """Whether a server sees to it that it is carried out."""


@dataclass(frozen=True, slots=True)
class Viewed:
    """A campaign and where it stands."""

    stored: "StoredCampaign"
    state: "CampaignState"
    orders: "tuple[Event, ...]"
    """What was asked of it and answered, in order, and what it did by rules of its own."""
    first_plan: str
    """Id of the plan that it began with."""
    asked_for: "tuple[StoredOrder, ...]" = ()
    """The orders as people gave them, answered or not."""
    command: "Command | None" = None
    """What goes on with it where its process has ended; null: it is not known."""
    starting: str | None = None
    """The process that is about to take it up; null: none is known."""
    by_server: bool = False
    """Whether a server sees to it that it is carried out."""

    @property
    def held(self) -> "Holding":
        """Who carries it out."""
        from slacktide.service.campaign_standing import GOES_ON, STARTED_THERE, holding

        return holding(self.stored, self.starting, STARTED_THERE if self.by_server else GOES_ON)

    @property
    def now_s(self) -> float:
        """The campaign's moment: its newest event's, or while it is carried out its clock's, if that has a pace."""
        from slacktide.executors.store.campaigns import pace_in
        from slacktide.service.campaign_standing import holding

        if self.state.finished or holding(self.stored).word == "stopped":
            return self.state.end_s
        record, pace = self.stored.record, pace_in(self.stored.record.settings)
        if pace is None:
            return max(self.state.end_s, self.stored.clock_s or 0.0)
        return max(self.state.end_s, (datetime.now(UTC) - record.origin).total_seconds() * pace)

    def clock(self, at_s: float) -> datetime | None:
        """Return a moment of the campaign by the clock; null: its hosts are simulated, and so is their time."""
        from slacktide.executors.store.campaigns import is_simulated

        record = self.stored.record
        return None if is_simulated(record.settings) else record.origin + timedelta(seconds=at_s)


def place_of(directory: Path, store: str | None) -> "tuple[Store, StoredCampaign]":
    """Return the store of a directory's campaign, and the campaign as it lists it.

    Raises
    ------
    UsageError
        If the directory holds none.
    """
    from slacktide.executors.campaign_file import kept_in, no_campaign
    from slacktide.executors.store.campaigns import list_campaigns
    from slacktide.executors.store.refusals import of_store
    from slacktide.service.stores import store_given

    kept = kept_in(directory, store_given(store, directory))
    if kept is None:
        fact, remedy = no_campaign(directory)
        if (server := server_of(directory)) is not None:
            fact, remedy = "is for the report of a campaign on a server", f"Ask that: --server {server}"
        raise UsageError(str(directory), fact, remedy)
    found = [each for each in list_campaigns(kept.store) if kept.campaign in (None, each.record.campaign_id)]
    if not found:
        fact = f"holds no campaign {kept.campaign}"
        raise of_store(ExecutionError(kept.store.shown, fact, "Restore it from a copy"))
    return kept.store, found[-1]


def server_of(directory: Path) -> str | None:
    """Return the address of the server that carries out the campaign whose report goes to a directory; None: none."""
    try:
        found = json.loads((directory / SERVER_FILE).read_bytes())["server"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found if isinstance(found, str) else None


def view(directory: Path, store: str | None = None) -> Viewed:
    """Return where a campaign stands.

    Raises
    ------
    UsageError
        If the directory holds none, or its plan or fleet is not where it was.
    """
    return Followed(directory, store).look()


class Followed:
    """A campaign that is looked at again and again: what is folded grows with its journal.

    Making one raises as :func:`view` does.
    """

    def __init__(self, directory: Path, store: str | None = None) -> None:
        from slacktide.executors.campaign_state import initial_state
        from slacktide.executors.changeover import first_course
        from slacktide.executors.standing import revisions_in

        place, stored = place_of(directory, store)
        record = stored.record
        if record.fleet_path is None or record.plan_path is None:
            fact = "its store does not say where its fleet and its plan are"
            raise UsageError(str(directory), fact, "Look at it with the process that carries it out")
        snapshot, plan = read_both(path_at(record.fleet_path), path_at(record.plan_path))
        if plan.header.id != record.plan_id:
            fact = f"{record.plan_path} is plan {plan.header.id}; the campaign carries out plan {record.plan_id}"
            raise UsageError(str(directory), fact, "Put that plan back where it was")
        self._directory, self._given, self._place, self._plan = directory, store, place, plan.header.id
        self._course, self._load = first_course(snapshot, plan), revisions_in(directory)
        self._state, self._last = initial_state(self._course.program), 0
        self._asked: list[Event] = []
        self.news: list[Event] = []
        """What has happened since the look before, or all of it."""

    def look(self) -> Viewed:
        """Return where it stands now.

        Raises
        ------
        StoreError
            If the store does not answer now.
        ExecutionError
            If a plan that it went over to is not there.
        """
        from slacktide.executors.campaign_file import command_in
        from slacktide.executors.control_events import OrderRefused
        from slacktide.executors.order_state import ORDERS
        from slacktide.executors.standing import advanced
        from slacktide.executors.starting import process_starting
        from slacktide.executors.store.reading import read_journal

        _, stored = place_of(self._directory, self._given)
        journal = read_journal(self._place, stored.record.campaign_id)
        try:
            entries, asked_for = journal.read(self._last), tuple(journal.orders(0))
        finally:
            journal.close()
        self._course, self._state = advanced(self._course, self._state, entries, self._load)
        self._last = entries[-1].number if entries else self._last
        self.news = [entry.event for entry in entries]
        self._asked += [event for event in self.news if type(event) in (*ORDERS, OrderRefused)]
        around = command_in(self._directory), process_starting(self._directory)
        return Viewed(stored, self._state, tuple(self._asked), self._plan, asked_for, *around)


def refuse_unknown_host(directory: Path, store: str | None, host: str) -> None:
    """Refuse a host that the campaign's fleet does not have.

    Where its fleet is not where it was, nothing is refused here: who carries the campaign out knows.

    Raises
    ------
    UsageError
        If the fleet has no such host, with the names that are nearest.
    """
    import difflib

    import polars as pl

    path = place_of(directory, store)[1].record.fleet_path
    if path is None:
        return
    try:
        content = io.BytesIO((path_at(path) / "hosts.parquet").read_bytes())
        known = pl.read_parquet(content, columns=["host_id"])["host_id"].to_list()
    except (OSError, InputError, pl.exceptions.PolarsError):
        return
    if host in known:
        return
    near = difflib.get_close_matches(host, known, n=3, cutoff=0.6)
    remedy = f"Give its id in the fleet, such as {' or '.join(near)}" if near else "Give its id in the fleet"
    if len({_shape(name) for name in (host, *known)}) == 1:
        remedy = f"Give its id in the fleet, from {min(known)} to {max(known)}"
    raise UsageError(f"host {host}", f"the campaign's fleet in {path} has none of this name", remedy)


def _shape(name: str) -> str:
    """Return a name with its digits alike: where all hosts have the same, only the number can be wrong."""
    return re.sub(r"\d", "0", name)


def ask_for(directory: Path, store: str | None, order: "Order", by: str, why: str, most_s: float = PLANNED_S) -> Asked:
    """Ask something of a campaign and return what its coordinator answers within some seconds.

    Nobody answers while nobody carries the campaign out; the order waits for who does.

    Parameters
    ----------
    most_s
        How long an answer is waited for at most.

    Raises
    ------
    ExecutionError
        If the campaign has finished, or waits for its release, or its store does not take the order.
    """
    from slacktide.executors.campaign_file import command_in
    from slacktide.executors.store.campaigns import FINISHED, RESTORED
    from slacktide.executors.store.orders import ask
    from slacktide.service.campaign_standing import holding

    try:
        place, stored = place_of(directory, store)
        if stored.state == FINISHED:
            fact = "its campaign has finished: nothing can be asked of it any more"
            remedy = "Plan anew for what is left: `slacktide campaign show` says how it ended"
            raise ExecutionError(str(directory), fact, remedy)
        if stored.state == RESTORED:
            raise waits_for_release(stored)
        last = _newest_event(place, stored)
        name = stored.record.campaign_id
        number = ask(place, name, by=by, why=why or None, kind=order.kind, body=order.body())
    except StoreError as error:
        raise _not_asked(error) from error
    patience_s = min(most_s, PLANNED_S if order.kind in ("revise", "evacuate") else ANSWER_S)
    answers = stored.is_held and holding(stored).word == "running"
    try:
        answer = _answer(place, stored, number, last, patience_s if answers else 0.0)
        return Asked(number, answer, None if answer else _carried_out_by(place, stored), None, command_in(directory))
    except StoreError as error:
        return Asked(number, None, stored.holder, f"{error.subject} {error.fact}")


def waits_for_release(stored: "StoredCampaign") -> ExecutionError:
    """Return the error of a campaign that came back from a backup, and that nobody goes on with before its release."""
    name = stored.record.campaign_id
    fact = "came back from a backup, and waits for its release"
    remedy = f"Where nothing was done on its hosts since, `slacktide store release {name}`; else plan anew"
    return ExecutionError(f"campaign {name}", fact, remedy)


def _not_asked(error: StoreError) -> StoreError:
    """Return the error of a store as one of an order: what it says of campaigns is no comfort to who asked."""
    remedy = f"{error.remedy.partition(';')[0]}, then ask again"
    return StoreError(error.subject, f"{error.fact}; nothing was asked", remedy, retryable=error.retryable)


def _newest_event(place: "Store", stored: "StoredCampaign") -> int:
    from slacktide.executors.store.reading import read_journal

    journal = read_journal(place, stored.record.campaign_id)
    try:
        return journal.last
    finally:
        journal.close()


def _answer(place: "Store", stored: "StoredCampaign", number: int, last: int, patience_s: float) -> "Event | None":
    """Return what a coordinator answers an order in the journal, after event ``last``; None: nothing in this time."""
    from slacktide.executors.store.reading import read_journal

    end = time.monotonic() + patience_s
    journal = read_journal(place, stored.record.campaign_id)
    try:
        while True:
            for entry in journal.read(last):
                last = entry.number
                if getattr(entry.event, "order", None) == number:
                    return entry.event
            if time.monotonic() >= end:
                return None
            time.sleep(LOOK_S)
    finally:
        journal.close()


def _carried_out_by(place: "Store", stored: "StoredCampaign") -> str | None:
    """Return who carries a campaign out now, or would if its store let it; None: nobody of whom that is known."""
    from slacktide.executors.store.campaigns import list_campaigns
    from slacktide.service.campaign_standing import holding

    for now in list_campaigns(place):
        if now.record.campaign_id == stored.record.campaign_id:
            return now.holder if holding(now).word != "stopped" else None
    return None
