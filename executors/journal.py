"""The journal: every event of every campaign, append-only, in SQL.

It is in a store: a SQLite file or a PostgreSQL database.  An event is appended before what it intends is done, and is
never changed.  The order of the journal is the order in which the coordinator learnt or decided; ``at_s`` says when a
thing happened.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import sqlalchemy as sql

from slacktide.errors import ExecutionError, SlacktideError
from slacktide.executors.event_codec import encode
from slacktide.executors.events import CampaignFinished, Event
from slacktide.executors.store.address import Store, store_in
from slacktide.executors.store.appending import COLUMNS, EventRow, insert_events
from slacktide.executors.store.campaigns import FINISHED, CampaignRecord, find_campaign, values_of
from slacktide.executors.store.connection import Durability, StoreConnection
from slacktide.executors.store.holder import let_go
from slacktide.executors.store.lease import Lease
from slacktide.executors.store.reading import Entry, JournalReader, newest_event
from slacktide.executors.store.schema import CAMPAIGNS, EVENTS
from slacktide.executors.store.upgrading import opening
from slacktide.ids import CampaignId

__all__ = ["CampaignRecord", "Durability", "Entry", "Journal", "JournalPlace"]


@dataclass(frozen=True, slots=True)
class JournalPlace:
    """Where a campaign's journal is, and how it is to be held."""

    store: Store
    campaign: CampaignId
    durability: Durability = "power"
    take_over: bool = False
    """Whether another coordinator's lease does not count."""


class Journal(JournalReader):
    """One campaign's journal, held by one coordinator: it alone appends.

    Holding is by a lease with a generation.  A coordinator that another has replaced finds so with whatever it does
    next here, and appends nothing any more.
    """

    def __init__(
        self, connection: StoreConnection, record: CampaignRecord, campaign: int, last: int, lease: Lease
    ) -> None:
        super().__init__(connection, record, campaign, last)
        self._lease = lease

    @classmethod
    def create(cls, store: Store | Path, record: CampaignRecord, *, durability: Durability = "power") -> Self:
        """Create the campaign in a store, which is made where absent, and hold it; a path is that of a SQLite file.

        Raises
        ------
        ExecutionError
            If the store already has this campaign, or is of a revision that this release does not know.
        OutputError
            If it cannot be written.
        """
        place = store_in(store)
        with opening(place, durability, create=True) as connection:
            with connection.writing() as transaction:
                transaction.execute(sql.insert(CAMPAIGNS).values(values_of(record)))
            return cls._held(connection, record.campaign_id, take_over=False)

    @classmethod
    def hold(
        cls,
        store: Store | Path,
        campaign_id: CampaignId | None = None,
        *,
        durability: Durability = "power",
        take_over: bool = False,
    ) -> Self:
        """Open a campaign's journal to carry it out, by default the newest campaign's: as its next generation.

        Raises
        ------
        ExecutionError
            If there is no such journal or campaign, or another coordinator holds it.
        StoreError
            If the store does not answer.
        """
        with opening(store_in(store), durability) as connection:
            return cls._held(connection, campaign_id, take_over=take_over)

    @classmethod
    def hold_at(cls, place: JournalPlace) -> Self:
        """Hold the journal at a place, as :meth:`hold`."""
        return cls.hold(place.store, place.campaign, durability=place.durability, take_over=place.take_over)

    @classmethod
    def _held(cls, connection: StoreConnection, campaign_id: CampaignId | None, *, take_over: bool) -> Self:
        with connection.writing() as transaction:
            number, found = find_campaign(transaction, campaign_id, connection.store.shown, locked=True)
            lease = Lease(number, f"campaign {found.record.campaign_id}")
            lease.take(transaction, found, take_over=take_over)
            last = newest_event(transaction, number)
        return cls(connection, found.record, number, last, lease)

    @property
    def generation(self) -> int:
        """How many coordinators have held the campaign, this one included."""
        return self._lease.generation

    @property
    def holder(self) -> str:
        """Who holds the campaign by this journal, as host:process:token."""
        return self._lease.holder

    def append(self, news: Sequence[Event]) -> list[Entry]:
        """Append events in one transaction and return them numbered.

        After an error it is not known whether they are in; appending the same again, and more if need be, finds out
        and doubles nothing.

        Raises
        ------
        StoreError
            If the store does not answer now: locked, disk full, away.
        ExecutionError
            If another coordinator has taken the campaign over, or the store refuses for good.
        """
        if not news:
            return []
        campaign, generation, first = self._campaign, self._lease.generation, self._last + 1
        rows = [(campaign, number, generation, *row) for number, row in enumerate(map(encode, news), first)]
        with self._connection.writing() as transaction:
            if self._lease.is_due:
                self._lease.renew(transaction)
            newest = self._lease.newest(transaction)
            missing = rows if newest == self._last else self._missing(transaction, rows, newest)
            insert_events(transaction, missing)
            if isinstance(news[-1], CampaignFinished):
                self._lease.change(transaction, state=FINISHED)
        self._last += len(rows)
        return [Entry(number, event) for number, event in enumerate(news, first)]

    def _missing(self, transaction: sql.Connection, rows: list[EventRow], newest: int) -> list[EventRow]:
        """Return the rows that are still to be written, where a commit whose answer was lost has written some.

        Raises
        ------
        ExecutionError
            If what is there was not written by this coordinator, or the store has lost what it had written.
        """
        columns = [EVENTS.c[name] for name in COLUMNS]
        mine = sql.and_(EVENTS.c.campaign == self._campaign, EVENTS.c.number > self._last)
        there = [tuple(row) for row in transaction.execute(sql.select(*columns).where(mine).order_by("number"))]
        if newest < self._last or there != rows[: len(there)]:
            fact = f"ends with event {newest}, where this coordinator has written {self._last}: other events are there"
            raise ExecutionError(self._connection.store.shown, fact, "Restore it from a copy, and resume the campaign")
        return rows[len(there) :]

    def tell_clock(self, now_s: float, pace: float) -> None:
        """Have the moment of the campaign's clock, and its pace, told with each renewal of the lease."""
        self._lease.clock = now_s, pace

    def keep(self) -> None:
        """Renew the lease where it is time; between two appends nothing else does.

        Raises
        ------
        StoreError
            If the store does not answer now.
        ExecutionError
            If another coordinator has taken the campaign over.
        """
        if self._lease.is_due:
            with self._connection.writing() as transaction:
                self._lease.renew(transaction)

    def close(self) -> None:
        """Give the campaign back and let go of the store; where that does not answer, the lease runs out by itself."""
        with suppress(SlacktideError), self._connection.writing() as transaction:
            self._lease.give_back(transaction)
        let_go(self._lease.holder)
        super().close()
