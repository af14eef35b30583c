"""Blackouts as distributions: how many of which length, and how well they were foretold."""

from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from slacktide.executors.drivers.settings import PROBE_INTERVAL_MS

Floats = NDArray[np.float64]

SHORTEST_MS: Final = 1.0
"""Left end of the scale at least; shorter blackouts (0 where nothing is paused) are counted there."""
BINS: Final = 60
"""Bins of the distribution: about nine pixels each in the widest plot."""
CELLS: Final = 36
"""Rows and columns of the comparison: cells of about nine pixels."""
LOWEST_MARGIN: Final = 1.2
"""Room left and right of the outermost values, as a factor."""


def log_edges(samples_ms: list[Floats], bins: int) -> Floats:
    """Return ``bins`` + 1 edges, equal in the logarithm, that enclose every sample."""
    known = np.concatenate([np.maximum(sample, SHORTEST_MS) for sample in samples_ms] or [np.empty(0)])
    if known.size == 0:
        return np.geomspace(SHORTEST_MS, 10 * SHORTEST_MS, bins + 1)
    return np.geomspace(known.min() / LOWEST_MARGIN, known.max() * LOWEST_MARGIN, bins + 1)


def _at_least_apart(edges: Floats, least_ms: float) -> Floats:
    """Return some of the edges, so that no two are closer than ``least_ms``; the first and the last stay."""
    kept = [edges[0]]
    for edge in edges[1:]:
        if edge - kept[-1] >= least_ms:
            kept.append(edge)
    return np.array([*kept[:-1], edges[-1]] if len(kept) > 1 else [edges[0], edges[-1]])


def known_ms(column: pl.Series) -> Floats:
    """Return the blackouts that are known, in milliseconds."""
    return column.drop_nulls().cast(pl.Float64).to_numpy()


def distribution(samples_ms: dict[str, Floats], limit_ms: float) -> pl.DataFrame:
    """Return ``series``, ``from_ms``, ``to_ms``, ``count``, ``share``: a histogram of each series over common bins.

    With a probe's series no bin is narrower than its interval: it sees whole multiples of that, and finer bins would
    be full or empty by turns.
    """
    edges = log_edges([*samples_ms.values(), np.array([limit_ms])], BINS)
    if len(samples_ms.get("probe", ())):
        edges = _at_least_apart(edges, PROBE_INTERVAL_MS)
    bins = len(edges) - 1
    parts = []
    for series, sample in samples_ms.items():
        count = np.histogram(np.maximum(sample, SHORTEST_MS), edges)[0]
        parts.append(
            pl.DataFrame(
                {
                    "series": np.full(bins, series),
                    "from_ms": edges[:-1],
                    "to_ms": edges[1:],
                    "count": count.astype(np.int64),
                    "share": count / max(1, len(sample)),
                }
            )
        )
    return pl.concat(parts)


def comparison(predicted_ms: pl.Series, measured_ms: pl.Series) -> pl.DataFrame:
    """Return the occupied cells of predicted against measured: the ranges of both in ms, and ``count``."""
    both = pl.DataFrame({"predicted": predicted_ms, "measured": measured_ms}).drop_nulls().cast(pl.Float64)
    predicted, measured = (np.maximum(both[name].to_numpy(), SHORTEST_MS) for name in ("predicted", "measured"))
    edges = log_edges([predicted, measured], CELLS)
    count = np.histogram2d(predicted, measured, [edges, edges])[0].astype(np.int64)
    row, column = np.nonzero(count)
    return pl.DataFrame(
        {
            "predicted_from_ms": edges[row],
            "predicted_to_ms": edges[row + 1],
            "measured_from_ms": edges[column],
            "measured_to_ms": edges[column + 1],
            "count": count[row, column],
        }
    )
