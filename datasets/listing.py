"""Broken rows as findings: the first of each rule listed, the rest counted."""

from collections.abc import Callable, Iterator
from typing import Any, Final

import polars as pl

from slacktide.datasets.schemas import LONGEST_NAME
from slacktide.findings import Finding, Severity

LISTED_PER_RULE: Final = 100
"""Findings of one rule about one file that are listed; a wrong column has as many as it has rows."""

ROW: Final = "row number in the file"
"""Name of the column that numbers the rows as read, from 0; no table has a column of this name."""


def listed(
    broken: pl.DataFrame,
    *,
    rule: str,
    table: str,
    message: Callable[[dict[str, Any]], str],
    remedy: str,
    subjects: tuple[str, ...] = (),
    severity: Severity = "error",
) -> Iterator[Finding]:
    """Yield one finding for each of the first ``broken`` rows, and one that counts the others.

    ``message`` is called with a row by column name; ``subjects`` are the columns that hold the ids concerned.
    """
    if broken.is_empty():
        return
    file = f"{table}.parquet"
    for row in broken.sort(ROW).head(LISTED_PER_RULE).iter_rows(named=True):
        ids = tuple(cut(str(row[column])) for column in subjects if row[column] is not None)
        yield Finding(rule, message(row), remedy, severity, ids, file=file, row=row[ROW])
    rest = len(broken) - LISTED_PER_RULE
    if rest > 0:
        yield Finding(rule, f"{rest} more rows break the rule {rule}", remedy, severity, file=file)


def cut(text: str) -> str:
    """Return a text as it is where it may be a name, else its beginning."""
    return text if len(text) <= LONGEST_NAME else f"{text[:LONGEST_NAME]}..."
