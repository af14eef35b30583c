"""Shortest paths with equal-cost splitting, for many pairs at once.

At every switch a stream splits evenly over all next hops that lie on a shortest path (in hops) to its destination, as
switches do that hash flows over equal-cost routes (ECMP).  Hosts never forward.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

UNREACHED: Final = -1

BATCH_ARCS: Final = 2_000_000
"""Arcs times destinations worked on at once: bounds the working memory to about 200 MB."""

BATCH_PAIRS: Final = 400_000
"""Pairs worked on at once, for the same reason: rows of a three-layer fabric have some hundred entries."""


@dataclass(frozen=True, eq=False)
class SwitchGraph:
    """Switches and the arcs between them, sorted by (tail, head)."""

    nodes: int
    tail: NDArray[np.int32]
    head: NDArray[np.int32]
    ways: NDArray[np.float64]
    """Links that an arc stands for, shape (arcs,): a stream splits over arcs in proportion to them."""


@dataclass(frozen=True, eq=False)
class PairLoads:
    """What a stream of rate 1 puts where, for some pairs of access classes; all matrices have one row per pair."""

    pairs: NDArray[np.int64]
    """Place of each pair among those asked for."""
    arcs: "sparse.csr_array[np.float64]"
    """Amount on each arc, shape (pairs, arcs)."""
    start: "sparse.csr_array[np.float64]"
    """Amount that enters at each switch, shape (pairs, nodes)."""
    arrival: "sparse.csr_array[np.float64]"
    """Amount that leaves at each switch, shape (pairs, nodes)."""

    @property
    def reachable(self) -> NDArray[np.bool_]:
        """Whether there is a path, shape (pairs,)."""
        found: NDArray[np.bool_] = np.diff(self.start.indptr) > 0
        return found


def pair_loads(
    graph: SwitchGraph,
    entries: "sparse.csr_array[np.float64]",
    exits: "sparse.csr_array[np.float64]",
    sources: NDArray[np.int64],
    targets: NDArray[np.int64],
) -> Iterator[PairLoads]:
    """Yield the loads of the pairs of classes ``sources`` x ``targets``, in batches ordered by target.

    ``entries`` and ``exits``, shape (classes, nodes), say where streams of a class may enter and leave.
    """
    order = np.argsort(targets, kind="stable")
    distinct, first, count = np.unique(targets[order], return_index=True, return_counts=True)
    room = max(1, BATCH_ARCS // max(1, len(graph.tail) + graph.nodes))
    begin = 0
    while begin < len(distinct):
        full = int(np.searchsorted(np.cumsum(count[begin:]), BATCH_PAIRS, side="right"))
        end = min(begin + room, begin + max(1, full), len(distinct))
        pairs = order[first[begin] : first[end - 1] + count[end - 1]]
        slot = np.repeat(np.arange(end - begin), count[begin:end])
        yield _batch(graph, entries[sources[pairs]], exits[distinct[begin:end]], slot, pairs)
        begin = end


def hops_to(graph: SwitchGraph, exits: "sparse.csr_array[np.float64]") -> NDArray[np.int32]:
    """Return the hops from every switch to the nearest exit, shape (destinations, nodes); -1: none is reached."""
    one = np.ones(len(graph.tail), dtype=np.float32)
    forward = sparse.csr_array((one, (graph.tail, graph.head)), shape=(graph.nodes, graph.nodes))
    frontier = exits.T.toarray() > 0
    hops = np.full(frontier.shape, UNREACHED, dtype=np.int32)
    level = 0
    while frontier.any():
        hops[frontier] = level
        level += 1
        frontier = (forward @ frontier.astype(np.float32) > 0) & (hops == UNREACHED)
    return np.ascontiguousarray(hops.T)


def _batch(
    graph: SwitchGraph,
    entries: "sparse.csr_array[np.float64]",
    exits: "sparse.csr_array[np.float64]",
    slot: NDArray[np.int64],
    pairs: NDArray[np.int64],
) -> PairLoads:
    """Walk the streams of one batch from their entries to their exits; ``slot`` is each pair's row in ``exits``.

    A state is a switch on the way to one of the batch's destinations, numbered slot * nodes + switch.
    """
    hops = hops_to(graph, exits)
    onward, crossing = _splits(graph, hops)
    start = _starts(entries, hops, slot)
    step = visits = _states(start, slot, hops.size)
    while step.nnz:
        step = step @ onward
        visits = visits + step
    arrived = hops.ravel()[visits.indices] == 0
    arrival = _csr(
        visits.data[arrived],
        visits.indices[arrived] % graph.nodes,
        _row_counts(visits.indptr, arrived),
        graph.nodes,
    )
    return PairLoads(pairs, visits @ crossing, start, arrival)


def _splits(
    graph: SwitchGraph, hops: NDArray[np.int32]
) -> tuple["sparse.csr_array[np.float64]", "sparse.csr_array[np.float64]"]:
    """Return how the stream at each state splits: over the next states, and over the arcs to them."""
    after = hops[:, graph.head]
    slot, arc = np.nonzero((after != UNREACHED) & (hops[:, graph.tail] == after + 1))
    state = slot * graph.nodes + graph.tail[arc]
    ways = graph.ways[arc]
    share = ways / np.bincount(state, weights=ways, minlength=hops.size)[state]
    counts = np.bincount(state, minlength=hops.size)
    onward = _csr(share, slot * graph.nodes + graph.head[arc], counts, hops.size)
    return onward, _csr(share, arc, counts, len(graph.tail))


def _starts(
    entries: "sparse.csr_array[np.float64]", hops: NDArray[np.int32], slot: NDArray[np.int64]
) -> "sparse.csr_array[np.float64]":
    """Return how each stream splits over the entries nearest to its destination, shape (pairs, nodes)."""
    row = np.repeat(np.arange(len(slot)), np.diff(entries.indptr))
    distance = hops[slot[row], entries.indices]
    reached = distance != UNREACHED
    nearest = np.full(len(slot), np.iinfo(np.int32).max, dtype=np.int32)
    np.minimum.at(nearest, row[reached], distance[reached])
    kept = reached & (distance == nearest[row])
    counts = _row_counts(entries.indptr, kept)
    return _csr(1.0 / np.repeat(counts, counts), entries.indices[kept], counts, hops.shape[1])


def _states(
    start: "sparse.csr_array[np.float64]", slot: NDArray[np.int64], states: int
) -> "sparse.csr_array[np.float64]":
    counts = np.diff(start.indptr)
    return _csr(start.data, np.repeat(slot, counts) * start.shape[1] + start.indices, counts, states)


def _row_counts(pointer: NDArray[np.int32], kept: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return how many entries of each row of a compressed matrix are kept."""
    before = np.concatenate([[0], np.cumsum(kept)])
    return np.diff(before[pointer])


def _csr(
    data: NDArray[np.float64], column: NDArray[np.integer], counts: NDArray[np.integer], columns: int
) -> "sparse.csr_array[np.float64]":
    """Return the matrix whose rows have ``counts`` entries, listed row after row."""
    pointer = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    return sparse.csr_array((data, column.astype(np.int32), pointer), shape=(len(counts), columns))
