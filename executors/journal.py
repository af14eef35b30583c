"""The journal: every event of every campaign, append-only, in SQL.

It is in a store: a SQLite file or a PostgreSQL database.  An event is appended before what it intends is done, and is
never changed.  The order of the journal is the order in which the coordinator learnt or decided; ``at_s`` says when a
thing happened.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Self

import sqlalchemy as sql

from slacktide.executors import events
from slacktide.executors.event_codec import Row, decode, encode
from slacktide.executors.events import Event
from slacktide.executors.store.address import Store, store_in
from slacktide.executors.store.appending import EventRow, insert_events
from slacktide.executors.store.campaigns import CampaignRecord, find_campaign, values_of
from slacktide.executors.store.connection import Durability, StoreConnection
from slacktide.executors.store.orders import StoredOrder, orders_since
from slacktide.executors.store.schema import CAMPAIGNS, EVENTS, FORMAT_VERSION
from slacktide.executors.store.upgrading import opening
from slacktide.ids import CampaignId

__all__ = ["FORMAT_VERSION", "CampaignRecord", "Durability", "Entry", "Journal"]


class Entry(NamedTuple):
    """An event with its number in the campaign's journal, counted from 1 without gaps."""

    number: int
    event: Event


class Journal:
    """One campaign's journal within a database that may hold several.

    ``generation`` counts the coordinators that held the campaign; two that append at once collide on an event's
    number, and the second is refused.
    """

    def __init__(
        self, connection: StoreConnection, record: CampaignRecord, number: int, generation: int, last: int
    ) -> None:
        self._connection = connection
        self.record = record
        self._campaign = number
        self._generation = generation
        self._last = last

    @classmethod
    def create(cls, store: Store | Path, record: CampaignRecord, *, durability: Durability = "power") -> Self:
        """Create the campaign in a store, which is made where absent; a path is that of a SQLite file.

        Raises
        ------
        ExecutionError
            If the store already has this campaign, or is of another version.
        OutputError
            If it cannot be written.
        """
        with opening(store_in(store), durability, create=True) as connection, connection.writing() as transaction:
            result = transaction.execute(sql.insert(CAMPAIGNS).values(values_of(record)))
            key = result.inserted_primary_key
            assert key is not None
        return cls(connection, record, int(key[0]), generation=1, last=0)

    @classmethod
    def open(
        cls, store: Store | Path, campaign_id: CampaignId | None = None, *, durability: Durability = "power"
    ) -> Self:
        """Open a campaign's journal, by default the newest campaign's; the opener is the next generation.

        Raises
        ------
        ExecutionError
            If there is no such journal or campaign, or it is of another version.
        """
        place = store_in(store)
        with opening(place, durability) as connection, connection.reading() as transaction:
            number, found = find_campaign(transaction, campaign_id, place.shown)
            ends = sql.select(sql.func.max(EVENTS.c.number), sql.func.max(EVENTS.c.generation))
            last, generation = transaction.execute(ends.where(EVENTS.c.campaign == number)).one()
        return cls(connection, found.record, number, (generation or 0) + 1, last or 0)

    @property
    def last(self) -> int:
        """Number of the newest event; 0: none."""
        return self._last

    @property
    def generation(self) -> int:
        """How many coordinators have held the campaign, this one included."""
        return self._generation

    def append(self, news: Sequence[Event]) -> list[Entry]:
        """Append events in one transaction and return them numbered; on an error none is appended.

        Raises
        ------
        ExecutionError
            If another coordinator has appended, or holds the database's lock for too long.
        OutputError
            If the database cannot be written: disk full, no permission.
        """
        if not news:
            return []
        campaign, generation, first = self._campaign, self._generation, self._last + 1
        rows = [EventRow(campaign, number, generation, *row) for number, row in enumerate(map(encode, news), first)]
        with self._connection.writing() as transaction:
            insert_events(transaction, rows)
        self._last += len(rows)
        return [Entry(number, event) for number, event in enumerate(news, first)]

    def read(self, since: int = 0) -> list[Entry]:
        """Return all events after number ``since``, in order."""
        columns = (EVENTS.c.number, EVENTS.c.at_s, EVENTS.c.type, EVENTS.c.subject, EVENTS.c.body)
        query = (
            sql.select(*columns)
            .where(EVENTS.c.campaign == self._campaign, EVENTS.c.number > since)
            .order_by(EVENTS.c.number)
        )
        with self._connection.reading() as transaction:
            rows = transaction.execute(query).all()
        return [Entry(row[0], decode(Row(*row[1:]))) for row in rows]

    def migrations_done(self) -> int:
        """Return how many migrations are done."""
        kind, body = EVENTS.c.type, EVENTS.c.body
        found = sql.and_(kind == events.MigrationResolved.type, body.contains('"done"'))
        query = sql.select(sql.func.count(sql.distinct(EVENTS.c.subject))).where(
            EVENTS.c.campaign == self._campaign, sql.or_(kind == events.MigrationDone.type, found)
        )
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
