"""How streams share links: max-min fairness."""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

SATURATED: Final = 1e-12
"""Relative distance to the level at which a link is full that counts as full: some thousand roundings of a double."""


def max_min_rates(
    capacity: NDArray[np.float64],
    loads: "sparse.csr_array[np.float64]",
    demand: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Return the max-min fair rates of streams over links, shape (streams,), in the unit of ``capacity``.

    All rates rise together; where a link is full, the streams on it stop, and the others go on (progressive filling).
    So no stream's rate can be raised without lowering that of one that is no faster.

    Parameters
    ----------
    capacity
        What each link carries, shape (links,), not negative.
    loads
        What a stream of rate 1 puts on each link, shape (streams, links), not negative.
    demand
        The rate that each stream does not exceed, shape (streams,); None: no limit.  A stream that neither a link nor
        a demand limits has the rate inf.

    References
    ----------
    Bertsekas, Gallager: "Data Networks", 2nd edition, section 6.5.2.
    """
    streams = loads.shape[0]
    limit = np.full(streams, np.inf) if demand is None else np.asarray(demand, dtype=np.float64)
    columns, link = np.unique(loads.indices, return_inverse=True)
    rows = sparse.csr_array((loads.data, link, loads.indptr), shape=(streams, len(columns)))
    rows.eliminate_zeros()
    by_link = rows.tocsc()
    left = np.asarray(capacity, dtype=np.float64)[columns]
    weight = np.asarray(rows.sum(axis=0), dtype=np.float64).ravel()
    active_on = np.diff(by_link.indptr).astype(np.int64)
    rate = np.full(streams, np.inf)
    active = np.ones(streams, dtype=bool)
    while active.any():
        full_at = np.full(len(columns), np.inf)
        used = active_on > 0
        full_at[used] = np.maximum(left[used], 0.0) / weight[used]
        level = min(full_at.min(initial=np.inf), limit[active].min())
        if np.isinf(level):
            break
        reached = level * (1 + SATURATED)
        stopped = active & (limit <= reached)
        stopped[_streams_on(by_link, np.flatnonzero(full_at <= reached))] = True
        stopped &= active
        rate[stopped] = np.minimum(level, limit[stopped])
        active &= ~stopped
        gone = rows[np.flatnonzero(stopped)]
        left -= gone.T @ rate[stopped]
        weight -= np.bincount(gone.indices, weights=gone.data, minlength=len(columns))
        active_on -= np.bincount(gone.indices, minlength=len(columns))
    return rate


def _streams_on(by_link: "sparse.csc_array[np.float64]", links: NDArray[np.int64]) -> NDArray[np.int32]:
    """Return the streams that put something on any of ``links``."""
    on: NDArray[np.int32] = by_link[:, links].indices
    return on
