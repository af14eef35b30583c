"""What people ask of a campaign that runs: kept in its store, in the order in which they asked.

Whoever asks writes here, from any process; the coordinator reads what is new, and journals what comes of it.
"""

from contextlib import closing
from pathlib import Path
from typing import Final, NamedTuple

import sqlalchemy as sql

from slacktide.errors import ExecutionError, SlacktideError, UsageError
from slacktide.executors.store.address import Store, store_in
from slacktide.executors.store.connection import now_text
from slacktide.executors.store.refusals import of_store
from slacktide.executors.store.schema import CAMPAIGNS, ORDERS
from slacktide.executors.store.upgrading import opening
from slacktide.ids import CampaignId

KIND_LENGTH: Final = 40
"""Characters that the kind of an order may have."""


class NoCampaignError(ExecutionError):
    """A store does not have the campaign."""


class StoredOrder(NamedTuple):
    """An order with its number among those of its campaign, counted from 1 without gaps."""

    number: int
    asked_at: str
    """When it was asked, in UTC by the database's clock, as ISO text."""
    by: str
    why: str | None
    kind: str
    body: str
    """What exactly is asked, as JSON."""


def ask(store: Store | Path, campaign_id: CampaignId, *, by: str, why: str | None, kind: str, body: str) -> int:
    """Have an order wait for a campaign's coordinator, and return its number.

    Raises
    ------
    UsageError
        If ``kind`` is too long.
    ExecutionError
        If the store has no such campaign, or cannot be written.
    """
    if not 0 < len(kind) <= KIND_LENGTH:
        raise UsageError(f"order {kind!r}", f"its kind has not 1 to {KIND_LENGTH} characters", "Shorten it")
    with opening(store_in(store)) as connection, closing(connection), connection.writing() as transaction:
        return ask_within(transaction, campaign_id, connection.store.shown, by=by, why=why, kind=kind, body=body)


def ask_within(
    transaction: sql.Connection, campaign_id: CampaignId, shown: str, *, by: str, why: str | None, kind: str, body: str
) -> int:
    """Have an order wait as :func:`ask` does, within a transaction that writes other things as well."""
    campaign = _locked(transaction, campaign_id, shown)
    newest = sql.select(sql.func.max(ORDERS.c.number)).where(ORDERS.c.campaign == campaign)
    number = int(transaction.execute(newest).scalar() or 0) + 1
    values = {"campaign": campaign, "number": number, "asked_by": by, "why": why, "kind": kind, "body": body}
    asked_at = now_text(transaction.dialect.name)
    transaction.execute(sql.insert(ORDERS).values(asked_at=asked_at, **values))
    return number


def _locked(transaction: sql.Connection, campaign_id: CampaignId, shown: str) -> int:
    """Return the number of a campaign; others who ask of it wait until the transaction ends.

    A SQLite file is locked as a whole.  In PostgreSQL it is a lock apart from the campaign's row, which the coordinator
    has while it appends.
    """
    query = sql.select(CAMPAIGNS.c.number).where(CAMPAIGNS.c.campaign_id == campaign_id)
    number = transaction.execute(query).scalar()
    if number is None:
        raise no_such_campaign(shown)
    if transaction.dialect.name == "postgresql":
        table = sql.cast(sql.cast("orders", sql.dialects.postgresql.REGCLASS), sql.Integer)
        transaction.execute(sql.select(sql.func.pg_advisory_xact_lock(table, number)))
    return int(number)


def orders_since(transaction: sql.Connection, campaign: int, since: int) -> list[StoredOrder]:
    """Return a campaign's orders after number ``since``, in order."""
    c = ORDERS.c
    query = (
        sql.select(c.number, c.asked_at, c.asked_by, c.why, c.kind, c.body)
        .where(c.campaign == campaign, c.number > since)
        .order_by(c.number)
    )
    return [StoredOrder(*row) for row in transaction.execute(query)]


def no_such_campaign(shown: str) -> SlacktideError:
    """Return the error of a campaign that a store does not have."""
    return of_store(NoCampaignError(shown, "holds no such campaign", "Give a campaign that was begun here"))
