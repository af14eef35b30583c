"""Traces in CSV, read strictly: every value that is not what it should be is a finding with its row."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from slacktide.datasets.listing import LISTED_PER_RULE
from slacktide.errors import InputError, UsageError
from slacktide.findings import Finding


@dataclass(frozen=True, slots=True)
class TraceColumn:
    """One column that a trace must have."""

    dtype: type[pl.Int64] | type[pl.Float64] | type[pl.String]
    least: float | None = None
    """Least allowed value, for numbers."""
    unique: bool = False


def read_trace(path: Path, columns: Mapping[str, TraceColumn]) -> pl.DataFrame:
    """Read the named columns of a CSV file with a header; others are left out.

    Raises
    ------
    UsageError
        If there is no file at ``path``.
    InputError
        If the file is no CSV, lacks a column or a row, or holds a value that is no number, too small or repeated.
    """
    if not path.is_file():
        fact = "is not a file" if path.exists() else "does not exist"
        raise UsageError(str(path), fact, "Give the path of the trace's CSV file")
    try:
        table = pl.read_csv(path, infer_schema=False)
    except (pl.exceptions.PolarsError, OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        finding = Finding("file-unreadable", f"no readable CSV: {reason}", "Fetch the file again", file=path.name)
        raise _refused(path, [finding]) from error
    missing = [
        Finding(
            "column-missing", f"the column {column} is missing", "Add the column", subjects=(column,), file=path.name
        )
        for column in columns
        if column not in table.columns
    ]
    if missing:
        raise _refused(path, missing)
    if table.is_empty():
        finding = Finding("trace-empty", "the file has no rows", "Fetch the file again", file=path.name)
        raise _refused(path, [finding])
    findings = [finding for name, column in columns.items() for finding in _value_findings(path, table, name, column)]
    if findings:
        raise _refused(path, findings)
    return table.select(pl.col(name).str.strip_chars().cast(column.dtype) for name, column in columns.items())


def _value_findings(path: Path, table: pl.DataFrame, name: str, column: TraceColumn) -> Iterator[Finding]:
    texts = table[name].str.strip_chars()
    values = texts.cast(column.dtype, strict=False)
    numeric = column.dtype is not pl.String
    broken = values.is_null() | (texts == "")
    if column.dtype is pl.Float64:
        broken |= ~values.is_finite()
    expected = "a number" if numeric else "a name"
    yield from _listed(path, "value-invalid", name, texts.set(~broken, None), broken, f"expected {expected}")
    if column.least is not None:
        low = ~broken & (values < column.least)
        yield from _listed(path, "value-too-small", name, texts, low, f"the least allowed is {column.least:g}")
    if column.unique:
        again = ~broken & ~texts.is_first_distinct()
        yield from _listed(path, "key-duplicate", name, texts, again, "an earlier row has it already")


def _listed(
    path: Path, rule: str, column: str, texts: pl.Series, broken: pl.Series, expected: str
) -> Iterator[Finding]:
    rows = broken.fill_null(True).arg_true().to_list()
    for row in rows[:LISTED_PER_RULE]:
        found = "empty" if texts[row] in (None, "") else repr(texts[row])
        message = f"{column} is {found}, {expected}"
        yield Finding(rule, message, "Correct the row, or fetch the file again", file=path.name, row=row)
    if len(rows) > LISTED_PER_RULE:
        message = f"{len(rows) - LISTED_PER_RULE} more rows break the rule {rule} in {column}"
        yield Finding(rule, message, "Correct the rows, or fetch the file again", file=path.name)


def _refused(path: Path, findings: list[Finding]) -> InputError:
    return InputError(str(path), "the trace cannot be used", "Correct what is listed, then try again", findings)
