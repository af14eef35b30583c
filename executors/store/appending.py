"""Rows of events into a store, many at once."""

from typing import Any, Final

import sqlalchemy as sql

EventRow = tuple[int, int, int, float, str, str | None, str | None]
"""A row of the table of events, in the order of ``COLUMNS``; a plain tuple, since there are millions."""
COLUMNS: Final = ("campaign", "number", "generation", "at_s", "type", "subject", "body")

_COLUMNS: Final = ", ".join(COLUMNS)
_SQLITE: Final = f"INSERT INTO events ({_COLUMNS}) VALUES ({', '.join('?' * len(COLUMNS))})"
_POSTGRESQL: Final = (
    f"INSERT INTO events ({_COLUMNS}) SELECT %s, number, %s, at_s, type, subject, body FROM "
    "unnest(%s::int[], %s::float8[], %s::text[], %s::text[], %s::text[]) AS rows(number, at_s, type, subject, body)"
)
"""One statement for a batch of any size: a row each would be a message each."""


def insert_events(transaction: sql.Connection, rows: list[EventRow]) -> None:
    """Insert events of one campaign and one generation."""
    if not rows:
        return
    if transaction.dialect.name == "sqlite":
        transaction.exec_driver_sql(_SQLITE, rows)
        return
    columns: list[list[Any]] = [list(column) for column in zip(*rows, strict=True)]
    campaigns, numbers, generations, at_s, types, subjects, bodies = columns
    values = campaigns[0], generations[0], numbers, at_s, types, subjects, bodies
    transaction.exec_driver_sql(_POSTGRESQL, values)
