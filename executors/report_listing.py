"""One table of a report page: its columns, its rows, and what stands below it."""

from dataclasses import dataclass
from typing import Final

from slacktide.executors.readable import count

REASONS_SHOWN: Final = 40
"""Reasons listed, the most frequent first; error texts may name single VMs and be as many as these."""


@dataclass(frozen=True, slots=True)
class Column:
    """Head of a column."""

    name: str
    number: bool = False
    """Numbers are set flush right."""


@dataclass(frozen=True, slots=True)
class Listing:
    """One table."""

    key: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""
    nothing: str = ""
    """What stands there if there are no rows."""


def numbers(*names: str) -> tuple[Column, ...]:
    """Return columns of numbers."""
    return tuple(Column(name, number=True) for name in names)


def more(total: int, shown: int, file: str) -> str:
    """Return where the rows are that are not shown; nothing where all are."""
    return f"{count(total - shown)} more in {file}." if total > shown else ""
