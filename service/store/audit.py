"""The audit log: every call that may change something, written before it is carried out and completed after."""

from typing import Final, NamedTuple

import sqlalchemy as sql

from slacktide.service.store.database import Database, now_utc
from slacktide.service.store.schema import AUDIT


class Call(NamedTuple):
    """Who asks for what."""

    who: str | None
    """Null: not known; the call is then refused."""
    role: str | None
    address: str | None
    action: str
    """Name of the operation."""
    method: str
    path: str
    idempotency_key: str | None
    request_id: str


class AuditEntry(NamedTuple):
    """One call as the log has it."""

    number: int
    at: str
    who: str | None
    role: str | None
    address: str | None
    action: str
    method: str
    path: str
    idempotency_key: str | None
    request_id: str
    status: int | None
    """HTTP status of the answer; null: it is under way, or the server ended before it answered."""
    outcome: str | None
    """What was refused and why, by the server or by a campaign's coordinator; null: nothing was."""
    asked: str | None
    """Kind of an order to a campaign, such as `pause`; null: it was none, or could not be read."""
    why: str | None
    """The reason that was given for the order."""
    granted: bool | None
    """Whether the campaign's coordinator did what the order asks; null: it was none, or was not answered meanwhile."""
    made: str | None
    """What the call made, or found made before under its terms or key: `job a1b2c3d4e5f60718`; of a token its id."""


class Deed(NamedTuple):
    """What a call asked of a campaign, and what it made, as :class:`AuditEntry` has it."""

    asked: str | None = None
    why: str | None = None
    granted: bool | None = None
    made: str | None = None
    outcome: str | None = None
    """Why a coordinator refused it."""


NOTHING: Final = Deed()
_COLUMNS: Final = tuple(AUDIT.c[name] for name in AuditEntry._fields)


def begin_call(database: Database, call: Call) -> int:
    """Write a call down that is about to be carried out, and return its number."""
    with database.writing() as transaction:
        result = transaction.execute(sql.insert(AUDIT).values(**call._asdict(), at=now_utc()))
        key = result.inserted_primary_key
        assert key is not None
        return int(key[0])


def end_call(database: Database, number: int, status: int, outcome: str | None, deed: Deed = NOTHING) -> None:
    """Write down what came of a call; ``outcome``: what was refused and why, None: as ``deed`` says."""
    with database.writing() as transaction:
        values = {**deed._asdict(), "status": status, "outcome": outcome or deed.outcome}
        transaction.execute(sql.update(AUDIT).where(AUDIT.c.number == number).values(values))


def audit_entries(database: Database, after: int, most: int, who: str | None, action: str | None) -> list[AuditEntry]:
    """Return at most ``most`` calls numbered above ``after``, in order."""
    query = sql.select(*_COLUMNS).where(AUDIT.c.number > after).order_by(AUDIT.c.number).limit(most)
    if who is not None:
        query = query.where(AUDIT.c.who == who)
    if action is not None:
        query = query.where(AUDIT.c.action == action)
    with database.reading() as transaction:
        return [AuditEntry(*row) for row in transaction.execute(query)]
