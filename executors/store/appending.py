"""Rows of events into a store, many at once."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import sqlalchemy as sql


class EventRow(NamedTuple):
    """A row of the table of events."""

    campaign: int
    number: int
    generation: int
    at_s: float
    type: str
    subject: str | None
    body: str | None


_COLUMNS: Final = ", ".join(EventRow._fields)
_SQLITE: Final = f"INSERT INTO events ({_COLUMNS}) VALUES ({', '.join('?' * len(EventRow._fields))})"
_POSTGRESQL: Final = (
    f"INSERT INTO events ({_COLUMNS}) SELECT %s, number, %s, at_s, type, subject, body FROM "
    "unnest(%s::int[], %s::float8[], %s::text[], %s::text[], %s::text[]) AS rows(number, at_s, type, subject, body)"
)
"""One statement for a batch of any size: a row each would be a message each."""


def insert_events(transaction: sql.Connection, rows: Sequence[EventRow]) -> None:
    """Insert events of one campaign and one generation."""
    if not rows:
        return
    if transaction.dialect.name == "sqlite":
        transaction.exec_driver_sql(_SQLITE, list(rows))
        return
    columns: list[list[Any]] = [list(column) for column in zip(*rows, strict=True)]
    campaigns, numbers, generations, at_s, types, subjects, bodies = columns
    values = campaigns[0], generations[0], numbers, at_s, types, subjects, bodies
    transaction.exec_driver_sql(_POSTGRESQL, values)
