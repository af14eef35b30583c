"""Reading a campaign's journal, whoever holds it."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import sqlalchemy as sql

from slacktide.errors import ExecutionError, InputError
from slacktide.executors import events
from slacktide.executors.event_codec import Row, decode
from slacktide.executors.events import Event
from slacktide.executors.store.address import Store, store_in
from slacktide.executors.store.campaigns import CampaignRecord, damaged, find_campaign
from slacktide.executors.store.connection import StoreConnection
from slacktide.executors.store.orders import StoredOrder, orders_since
from slacktide.executors.store.refusals import of_store
from slacktide.executors.store.schema import EVENTS
from slacktide.executors.store.upgrading import opening
from slacktide.ids import CampaignId

READ_AT_ONCE: Final = 100_000
"""Events that are read by one statement: about 15 MB, a second or so, so that no server takes it for one that hangs."""


class Entry(NamedTuple):
    """An event with its number in the campaign's journal, counted from 1 without gaps."""

    number: int
    event: Event


class JournalReader:
    """One campaign's journal within a store that may hold several; nothing here changes it."""

    def __init__(self, connection: StoreConnection, record: CampaignRecord, campaign: int, last: int) -> None:
        self._connection = connection
        self.record = record
        self._campaign = campaign
        self._last = last

    @property
    def last(self) -> int:
        """Number of the newest event when the journal was opened, or of the newest appended since; 0: none."""
        return self._last

    def read(self, since: int = 0, most: int | None = None, *, to_damage: bool = False) -> list[Entry]:
        """Return the events after number ``since``, in order: all, or the first ``most``.

        Parameters
        ----------
        to_damage
            Where some come before one that is missing or cannot be read, return these; whoever reads on is told.

        Raises
        ------
        StoreError
            If the store does not answer now.
        ExecutionError
            If the journal is damaged, or of a newer release: an event is missing, or cannot be read.
        """
        columns = (EVENTS.c.number, EVENTS.c.at_s, EVENTS.c.type, EVENTS.c.subject, EVENTS.c.body)
        query = sql.select(*columns).where(EVENTS.c.campaign == self._campaign).order_by(EVENTS.c.number)
        entries: list[Entry] = []
        while True:
            wanted = READ_AT_ONCE if most is None else min(READ_AT_ONCE, most - len(entries))
            with self._connection.reading() as transaction:
                rows = transaction.execute(query.where(EVENTS.c.number > since).limit(wanted)).all()
            try:
                for entry in self._entries(rows, since):
                    entries.append(entry)
            except ExecutionError:
                if not (to_damage and entries):
                    raise
                return entries
            if len(rows) < wanted or len(entries) == most:
                return entries
            since = rows[-1][0]

    def about(self, subjects: Sequence[str]) -> list[Entry]:
        """Return the events about some migrations, VMs or hosts, in order; errors as :meth:`read`."""
        columns = (EVENTS.c.number, EVENTS.c.at_s, EVENTS.c.type, EVENTS.c.subject, EVENTS.c.body)
        mine = sql.and_(EVENTS.c.campaign == self._campaign, EVENTS.c.subject.in_(list(subjects)))
        with self._connection.reading() as transaction:
            rows = transaction.execute(sql.select(*columns).where(mine).order_by(EVENTS.c.number)).all()
        return [self._entry(*row) for row in rows]

    def _entries(self, rows: Sequence[Sequence[Any]], since: int) -> Iterator[Entry]:
        """Yield the events in rows that follow number ``since`` without a gap; errors as :meth:`read`."""
        for expected, (number, *row) in enumerate(rows, start=since + 1):
            if number != expected:
                fact = f"event {expected} is missing before event {number}"
                raise damaged(self._shown, fact, self._about)
            yield self._entry(number, *row)

    def _entry(self, number: int, *row: Any) -> Entry:  # noqa: ANN401  (columns of several types)
        try:
            return Entry(number, decode(Row(*row)))
        except InputError as error:
            fact = f"event {number} cannot be read: {error.subject} {error.fact}"
            raise of_store(ExecutionError(self._shown, fact, error.remedy), self._about) from error

    @property
    def _shown(self) -> str:
        return f"{self._about} in {self._connection.store.shown}"

    @property
    def _about(self) -> str:
        return f"the journal of campaign {self.record.campaign_id}"

    def untouched_hosts(self) -> frozenset[str]:
        """Return the hosts whose patch failed before anything was done to them."""
        query = sql.select(EVENTS.c.subject).where(
            EVENTS.c.campaign == self._campaign,
            EVENTS.c.type == events.PatchFailed.type,
            EVENTS.c.body.contains('"untouched":true'),
        )
        with self._connection.reading() as transaction:
            return frozenset(transaction.execute(query).scalars())

    def of_types(self, *types: str) -> list[Event]:
        """Return the events of some types, in order."""
        columns = (EVENTS.c.at_s, EVENTS.c.type, EVENTS.c.subject, EVENTS.c.body)
        mine = sql.and_(EVENTS.c.campaign == self._campaign, EVENTS.c.type.in_(types))
        with self._connection.reading() as transaction:
            rows = transaction.execute(sql.select(*columns).where(mine).order_by(EVENTS.c.number)).all()
        return [decode(Row(*row)) for row in rows]

    def coordinators(self) -> int:
        """Return how many coordinators have written the journal, one after the other."""
        query = sql.select(sql.func.count(sql.distinct(EVENTS.c.generation))).where(EVENTS.c.campaign == self._campaign)
        with self._connection.reading() as transaction:
            return int(transaction.execute(query).scalar_one())

    def orders(self, since: int) -> list[StoredOrder]:
        """Return what people have asked of the campaign after number ``since``, in order.

        Raises
        ------
        StoreError
            If the store does not answer now.
        """
        with self._connection.reading() as transaction:
            return orders_since(transaction, self._campaign, since)

    def close(self) -> None:
        """Let go of the store."""
        self._connection.close()


def read_journal(store: Store | Path, campaign_id: CampaignId | None = None) -> JournalReader:
    """Open a campaign's journal to read it, by default the newest campaign's.

    Raises
    ------
    ExecutionError
        If there is no such store or campaign, or it is of a revision that this release does not know.
    """
    place = store_in(store)
    with opening(place) as connection, connection.reading() as transaction:
        number, found = find_campaign(transaction, campaign_id, place.shown)
        return JournalReader(connection, found.record, number, newest_event(transaction, number))


def newest_event(transaction: sql.Connection, campaign: int) -> int:
    """Return the number of a campaign's newest event; 0: none."""
    newest = sql.select(sql.func.max(EVENTS.c.number)).where(EVENTS.c.campaign == campaign)
    return transaction.execute(newest).scalar() or 0
