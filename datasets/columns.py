"""What one table of a snapshot must look like by itself: columns, types, values, keys."""

from collections.abc import Callable, Iterator
from typing import Any, Final

import dataframely as dy
import polars as pl

from slacktide.datasets.listing import ROW, cut, listed
from slacktide.datasets.schemas import LONGEST_NAME, OPTIONAL
from slacktide.findings import Finding

_INTEGERS: Final = (pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.UInt8, pl.UInt16, pl.UInt32, pl.UInt64)
TOO_LONG: Final = "text-too-long"
"""The rule about names that are longer than any name."""


def structure_findings(name: str, schema: type[dy.Schema], table: pl.DataFrame) -> Iterator[Finding]:
    """Yield what is wrong with the columns' names and types.

    Accepted beside the declared type: any integer for an integer, Float32 for Float64, String or Categorical for an
    enumeration, and a column of nulls only where null is allowed.  Values that do not fit are found later.
    """
    file = f"{name}.parquet"
    expected = schema.columns()
    for column in expected:
        if column not in table.columns and column not in OPTIONAL.get(name, ()):
            yield Finding(
                "column-missing",
                f"the column {column} ({expected[column].dtype}) is missing",
                "Add the column",
                subjects=(column,),
                file=file,
            )
    for column in table.columns:
        if column not in expected:
            yield Finding(
                "column-unexpected",
                f"the column {cut(column)} is not part of the format",
                "Remove the column, or correct its name",
                subjects=(cut(column),),
                file=file,
            )
        elif not _accepted(table.schema[column], expected[column].dtype, nullable=expected[column].nullable):
            yield Finding(
                "column-type",
                f"the column {column} is {table.schema[column]}, expected {expected[column].dtype}",
                f"Cast the column to {expected[column].dtype}",
                subjects=(column,),
                file=file,
            )


def _accepted(found: pl.DataType, expected: pl.DataType, *, nullable: bool) -> bool:
    if found == expected or (nullable and isinstance(found, pl.Null)):
        return True
    if isinstance(expected, pl.Enum):
        return isinstance(found, pl.String | pl.Categorical | pl.Enum)
    if expected in _INTEGERS:
        return found in _INTEGERS
    return isinstance(expected, pl.Float64) and isinstance(found, pl.Float32)


def row_findings(name: str, schema: type[dy.Schema], table: pl.DataFrame) -> Iterator[Finding]:
    """Yield which rows of a table with the right columns break a rule of its schema."""
    key = schema.primary_key()
    for column, declared in schema.columns().items():
        if isinstance(table.schema[column], pl.Null):
            continue  # allowed where null is, and null breaks no other rule
        yield from _unknown_values(name, column, declared.dtype, key, table)
        for rule, holds in _rules(column, declared).items():
            yield from _broken_rule(name, column, rule, declared, key, table.filter(~holds))
    yield from listed(
        _repeated(table.select(ROW, *key), key),
        rule="key-duplicate",
        table=name,
        message=lambda row: (
            f"{', '.join(f'{column} {row[column]}' for column in key)} is in row {row['first']} already"
        ),
        remedy="Keep one of the rows",
        subjects=tuple(key),
    )


def _broken_rule(
    name: str, column: str, rule: str, declared: dy.Column, key: list[str], broken: pl.DataFrame
) -> Iterator[Finding]:
    short, fact, remedy = _told(rule, declared)
    yield from listed(
        broken.select(list(dict.fromkeys((ROW, *key, column)))),
        rule=short,
        table=name,
        message=lambda row: f"{_key_of(row, key)}{column} {fact(row[column])}",
        remedy=remedy,
        subjects=tuple(key),
    )


def cast_table(schema: type[dy.Schema], table: pl.DataFrame) -> pl.DataFrame:
    """Return the table with the schema's columns in order and the row numbers; what does not fit becomes null."""
    casts = [pl.col(column).cast(declared.dtype, strict=False) for column, declared in schema.columns().items()]
    return table.select(ROW, *casts)


def with_optional(name: str, schema: type[dy.Schema], table: pl.DataFrame) -> pl.DataFrame:
    """Return the table with the columns that it may leave out and does, unknown."""
    missing = sorted(OPTIONAL.get(name, frozenset()) - set(table.columns))
    types = schema.columns()
    return table.with_columns(pl.lit(None, dtype=types[column].dtype).alias(column) for column in missing)


def _rules(column: str, declared: dy.Column) -> dict[str, pl.Expr]:
    """Return dataframely's rules of one column that a null passes, except the rule about null."""
    rules = declared.validation_rules(pl.col(column))
    return {rule: holds if rule == "nullability" else holds.fill_null(True) for rule, holds in rules.items()}


def _told(rule: str, declared: dy.Column) -> tuple[str, Callable[[Any], str], str]:
    """Return the finding's rule, the fact about a value, and the remedy."""
    match rule:
        case "nullability":
            return "value-missing", lambda _value: "is null", "Give a value; this column is never unknown"
        case "inner_nullability":
            return "value-missing", lambda value: f"{cut(str(value))} holds a null", "Remove the null from the list"
        case "min":
            least = getattr(declared, "min", None)
            fact = f"the least allowed is {least}"
            return "value-too-small", lambda value: f"is {value}, {fact}", f"Give {least} or more"
        case "max":
            most = getattr(declared, "max", None)
            fact = f"the most allowed is {most}"
            return "value-too-large", lambda value: f"is {value}, {fact}", f"Give {most} or less"
        case "min_length":
            return "text-empty", lambda _value: "is empty", "Give a name"
        case "max_length":
            return TOO_LONG, _long, f"Give a name of at most {LONGEST_NAME} bytes"
        case "inner_max_length":
            fact = f"holds a name of more than {LONGEST_NAME} bytes"
            return TOO_LONG, lambda _value: fact, f"Give names of at most {LONGEST_NAME} bytes"
        case "inf" | "nan":
            return "value-not-finite", lambda value: f"is {value}", "Give a number, or null where it is unknown"
        case _:
            return f"value-{rule}", lambda value: f"is {cut(repr(value))}", "Correct the value"


def _long(value: str) -> str:
    return f"has {len(value.encode()):,} bytes of UTF-8, the most allowed is {LONGEST_NAME}"


def _unknown_values(
    name: str, column: str, expected: pl.DataType, key: list[str], table: pl.DataFrame
) -> Iterator[Finding]:
    """Yield values that the declared type cannot hold: outside an enumeration, or beyond 32 bits."""
    found = table.schema[column]
    if found == expected or isinstance(found, pl.Null) or isinstance(expected, pl.Float64):
        return
    is_enum = isinstance(expected, pl.Enum)
    lost = pl.col(column).is_not_null() & pl.col(column).cast(expected, strict=False).is_null()
    allowed = ", ".join(expected.categories) if isinstance(expected, pl.Enum) else f"what {expected} holds"
    yield from listed(
        table.filter(lost).select(list(dict.fromkeys((ROW, *key, column)))),
        rule="value-unknown" if is_enum else "value-too-large",
        table=name,
        message=lambda row: f"{_key_of(row, key)}{column} is {cut(str(row[column]))!r}, allowed is {allowed}",
        remedy=f"Give one of {allowed}" if is_enum else "Give a smaller number",
        subjects=tuple(key),
    )


def _repeated(keys: pl.DataFrame, key: list[str]) -> pl.DataFrame:
    """Return rows whose key an earlier row has, with the number of that row as ``first``."""
    if keys.select(pl.struct(key).n_unique()).item() == len(keys):
        return keys.clear()
    return keys.with_columns(first=pl.col(ROW).min().over(key)).filter(
        (pl.col(ROW) > pl.col("first")) & pl.all_horizontal(pl.col(key).is_not_null())
    )


def _key_of(row: dict[str, Any], key: list[str]) -> str:
    named = [cut(str(row[column])) for column in key if row.get(column)]
    return f"{' '.join(named)}: " if named else ""
