"""Numbers in place of ids: places in a table, and what belongs to each."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from slacktide.errors import ExecutionError

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Groups:
    """Members of each group, one group after the other: those of ``g`` are ``members[start[g] : start[g + 1]]``."""

    start: Ints
    members: Ints

    def lists(self) -> list[list[int]]:
        """Return the members of every group."""
        return [part.tolist() for part in np.split(self.members, self.start[1:-1])]


def grouped(key: Ints, order: Ints, groups: int) -> Groups:
    """Return the places of each key in ``order``."""
    by_key = order[np.argsort(key[order], kind="stable")]
    return Groups(np.searchsorted(key[by_key], np.arange(groups + 1)).astype(np.int64), by_key)


def positions(values: pl.Series, keys: Sequence[str] | pl.Series, noun: str | None) -> Ints:
    """Return the place of each value among ``keys``; -1 where it is absent and no ``noun`` asks for an error.

    Raises
    ------
    ExecutionError
        If a value is not among ``keys``, of which ``noun`` says what they are.
    """
    places = pl.DataFrame({"value": pl.Series(keys, dtype=pl.String)}).with_row_index("place")
    found = pl.DataFrame({"value": values.cast(pl.String)}).join(places, on="value", how="left", maintain_order="left")
    if noun is not None and found["place"].null_count():
        stranger = found.filter(pl.col("place").is_null())["value"][0]
        raise ExecutionError(f"{noun} {stranger}", "is in the plan but not in the fleet", "Plan again on this snapshot")
    return found["place"].cast(pl.Int64).fill_null(-1).to_numpy().copy()


def ints(column: pl.Series) -> Ints:
    """Return a column of whole numbers as an array of its own."""
    return column.cast(pl.Int64).to_numpy().copy()
