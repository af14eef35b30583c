"""A fingerprint of a snapshot's content, independent of how Parquet stores it."""

import hashlib
from typing import Final

import numpy as np
import polars as pl

from slacktide.datasets.schemas import OPTIONAL, TABLES
from slacktide.datasets.snapshot import FORMAT_VERSION, FleetSnapshot

_INTEGER_TYPES: Final = (pl.Int32(), pl.Int64())


def digest(snapshot: FleetSnapshot) -> str:
    """Return SHA-256 over the tables' content and the format version, in hexadecimal.

    The order of rows does not count, nor does where the snapshot comes from, nor an optional column that is unknown
    throughout: two snapshots with the same digest give the same plan.
    """
    state = hashlib.sha256(f"slacktide fleet snapshot {FORMAT_VERSION}\n".encode())
    for name, schema in TABLES.items():
        table = in_key_order(getattr(snapshot, name), schema.primary_key())
        state.update(f"{name} {len(table)}\n".encode())
        for column in schema.column_names():
            if column in OPTIONAL.get(name, ()) and table[column].null_count() == len(table):
                continue
            state.update(f"{column}\n".encode())
            for part in _canonical(table[column]):
                state.update(len(part).to_bytes(8, "little"))
                state.update(part)
    return state.hexdigest()


def in_key_order(table: pl.DataFrame, key: list[str]) -> pl.DataFrame:
    """Return the table sorted by its key, without work where it is already."""
    if len(table) < 2:
        return table
    here, after = table.select(key)[:-1], table.select(key)[1:]
    in_order = pl.lit(False)
    for column in reversed(key):
        follows = pl.col(f"{column}_after")
        in_order = (pl.col(column) < follows) | ((pl.col(column) == follows) & in_order)
    ordered = pl.concat([here, after.rename(lambda column: f"{column}_after")], how="horizontal").select(in_order.all())
    return table if ordered.item() else table.sort(key)


def _canonical(column: pl.Series) -> list[bytes]:
    """Return the column as bytes: which values are known, then the values with 0 or "" for the unknown."""
    known = np.packbits(column.is_not_null().to_numpy()).tobytes()
    if isinstance(column.dtype, pl.List):
        lengths = column.list.len().fill_null(0).cast(pl.Int64).to_numpy().tobytes()
        return [known, lengths, *_canonical(column.drop_nulls().explode(empty_as_null=False))]
    if isinstance(column.dtype, pl.Enum | pl.String):
        texts = column.cast(pl.String).fill_null("")
        lengths = texts.str.len_bytes().cast(pl.Int64).to_numpy().tobytes()
        return [known, lengths, texts.str.join("").item().encode()]
    if column.dtype in _INTEGER_TYPES:
        return [known, column.fill_null(0).cast(pl.Int64).to_numpy().astype("<i8").tobytes()]
    return [known, (column.fill_null(0.0).to_numpy() + 0.0).astype("<f8").tobytes()]
