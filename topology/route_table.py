"""The table of routes that planning works on: pairs of access classes and the bundles between them."""

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from slacktide.errors import UsageError
from slacktide.topology.access import AccessClasses
from slacktide.topology.bundles import Bundles
from slacktide.topology.datacenter import Datacenter
from slacktide.topology.paths import PairLoads, pair_loads

MAX_PAIRS: Final = 8_000_000
"""Pairs of classes that a table is built for unasked: 2,800 racks.  In a three-layer fabric that is 400 MB, and 1.4 GB
while it is built (2,500 racks measured: 0.3 and 1.1 GB)."""


@dataclass(frozen=True, eq=False)
class RouteTable:
    """Which bundles a stream between two access classes crosses, and what the hosts' own links carry.

    The pair of the classes at places a and b of ``classes`` is number a * len(classes) + b; its bundles are
    ``bundle[pointer[pair]:pointer[pair + 1]]``.  Links between hosts and switches are not among the bundles.
    """

    classes: NDArray[np.int32]
    """The access classes that the table covers, ascending."""
    access_class: NDArray[np.int32]
    """Place in ``classes`` of each host's class, shape (hosts,); -1: not covered."""
    bundle_capacity_mbit_s: NDArray[np.float64]
    """Shape (bundles,)."""
    bundle_of_link: NDArray[np.int32]
    """Shape (links,); -1: a link of a host."""
    pointer: NDArray[np.int64]
    """Shape (pairs + 1,)."""
    bundle: NDArray[np.int32]
    share: NDArray[np.float64]
    """How much of the stream crosses the bundle; above 1 where a path crosses it more than once."""
    bottleneck_mbit_s: NDArray[np.float64]
    """Largest single stream that the bundles allow at all of their capacity, shape (pairs,); inf where none is crossed,
    0 where there is no path."""
    _egress_mbit_s: NDArray[np.float64]
    _ingress_mbit_s: NDArray[np.float64]
    _datacenter: Datacenter

    def egress_mbit_s(self, link_share: float) -> NDArray[np.float64]:
        """Return the largest sum of streams that each host's own links carry away at ``link_share`` of their capacity.

        Shape (hosts,).  A host with several links is limited by the one that fills first, whatever the targets among
        the covered classes; 0 for hosts that are not covered or have no way out.
        """
        return self._egress_mbit_s * link_share

    def ingress_mbit_s(self, link_share: float) -> NDArray[np.float64]:
        """Return the same for the streams that each host receives."""
        return self._ingress_mbit_s * link_share

    @cached_property
    def bundle_names(self) -> tuple[str, ...]:
        """Name of every bundle for people: its first link, and how many more there are."""
        on = np.flatnonzero(self.bundle_of_link >= 0)
        number, first, links = np.unique(self.bundle_of_link[on], return_index=True, return_counts=True)
        nodes, tail, head = self._datacenter.nodes, self._datacenter.tail, self._datacenter.head
        names = [""] * len(self.bundle_capacity_mbit_s)
        for bundle, link, count in zip(number.tolist(), on[first].tolist(), links.tolist(), strict=True):
            more = f" and {count - 1} like it" if count > 1 else ""
            names[bundle] = f"{nodes[tail[link]]} -> {nodes[head[link]]}{more}"
        return tuple(names)


def build_route_table(
    datacenter: Datacenter,
    classes: AccessClasses,
    merged: Bundles,
    switch_links: NDArray[np.int64],
    covered: NDArray[np.integer] | None,
) -> RouteTable:
    """Return the table for all pairs of ``covered`` classes (all when None); ``switch_links`` are the arcs' links.

    Raises
    ------
    UsageError
        If None is given and there are more than :data:`MAX_PAIRS` pairs.
    """
    if covered is None and len(classes) ** 2 > MAX_PAIRS:
        raise UsageError(
            "route table",
            f"{len(classes)} access classes have more than {MAX_PAIRS} pairs",
            "Name the classes that are needed, cell by cell",
        )
    chosen = np.arange(len(classes)) if covered is None else np.unique(np.asarray(covered, dtype=np.int64))
    place = np.full(len(classes), -1, dtype=np.int32)
    place[chosen] = np.arange(len(chosen), dtype=np.int32)
    rows = _Rows.of(merged, merged.coloured(classes.entries)[chosen], merged.coloured(classes.exits)[chosen])
    of_link = np.full(len(datacenter.tail), -1, dtype=np.int32)
    of_link[switch_links] = merged.of_arc
    access_class = place[classes.of_host]
    hosts = len(datacenter.hosts)
    out = (datacenter.tail < hosts) & (datacenter.head >= hosts)
    into = (datacenter.tail >= hosts) & (datacenter.head < hosts)
    return RouteTable(
        classes=chosen.astype(np.int32),
        access_class=access_class,
        bundle_capacity_mbit_s=merged.capacity_mbit_s,
        bundle_of_link=of_link,
        pointer=rows.pointer,
        bundle=rows.bundle,
        share=rows.share,
        bottleneck_mbit_s=rows.bottleneck_mbit_s,
        _egress_mbit_s=_host_limits(
            access_class,
            rows.peak_start,
            datacenter.tail[out],
            merged.colour[datacenter.head[out] - hosts],
            datacenter.capacity_mbit_s[out],
        ),
        _ingress_mbit_s=_host_limits(
            access_class,
            rows.peak_arrival,
            datacenter.head[into],
            merged.colour[datacenter.tail[into] - hosts],
            datacenter.capacity_mbit_s[into],
        ),
        _datacenter=datacenter,
    )


@dataclass(frozen=True, eq=False)
class _Rows:
    pointer: NDArray[np.int64]
    bundle: NDArray[np.int32]
    share: NDArray[np.float64]
    bottleneck_mbit_s: NDArray[np.float64]
    peak_start: "sparse.csr_array[np.float64]"
    """Largest share of any stream that a class sends through each of its switches, shape (classes, colours)."""
    peak_arrival: "sparse.csr_array[np.float64]"

    @classmethod
    def of(
        cls, merged: Bundles, entries: "sparse.csr_array[np.float64]", exits: "sparse.csr_array[np.float64]"
    ) -> "_Rows":
        count = entries.shape[0]
        source = np.repeat(np.arange(count), count)
        target = np.tile(np.arange(count), count)
        counts = np.zeros(count * count, dtype=np.int64)
        bottleneck = np.zeros(count * count)
        peaks = [_zeros_like(entries), _zeros_like(exits)]
        parts = []
        for part in pair_loads(merged.graph, entries, exits, source, target):
            counts[part.pairs] = np.diff(part.arcs.indptr)
            bottleneck[part.pairs] = _bottlenecks(part, merged.capacity_mbit_s)
            _raise_peaks(peaks[0], part.start, source[part.pairs])
            _raise_peaks(peaks[1], part.arrival, target[part.pairs])
            parts.append((part.pairs, part.arcs))
        pointer = np.concatenate([[0], np.cumsum(counts)])
        bundle = np.empty(pointer[-1], dtype=np.int32)
        share = np.empty(pointer[-1], dtype=np.float64)
        while parts:
            pairs, arcs = parts.pop()
            to = np.arange(arcs.nnz) + np.repeat(pointer[pairs] - arcs.indptr[:-1], np.diff(arcs.indptr))
            bundle[to] = arcs.indices
            share[to] = arcs.data
        return cls(pointer, bundle, share, bottleneck, peaks[0], peaks[1])


def _bottlenecks(part: PairLoads, capacity_mbit_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the largest single stream of each pair: inf where no bundle is crossed, 0 where there is no path."""
    allowed = np.where(part.reachable, np.inf, 0.0)
    crossed = np.flatnonzero(np.diff(part.arcs.indptr))
    if len(crossed):
        each = capacity_mbit_s[part.arcs.indices] / part.arcs.data
        allowed[crossed] = np.minimum.reduceat(each, part.arcs.indptr[crossed])
    return allowed


def _zeros_like(matrix: "sparse.csr_array[np.float64]") -> "sparse.csr_array[np.float64]":
    return sparse.csr_array((np.zeros(matrix.nnz), matrix.indices, matrix.indptr), shape=matrix.shape)


def _raise_peaks(
    peak: "sparse.csr_array[np.float64]", shares: "sparse.csr_array[np.float64]", owner: NDArray[np.int64]
) -> None:
    """Raise ``peak`` to the largest of ``shares``, whose rows belong to the rows ``owner`` of ``peak``."""
    columns = peak.shape[1]
    keys = np.repeat(np.arange(peak.shape[0]), np.diff(peak.indptr)) * columns + peak.indices
    key = np.repeat(owner, np.diff(shares.indptr)) * columns + shares.indices
    np.maximum.at(peak.data, np.searchsorted(keys, key), shares.data)


def _host_limits(
    access_class: NDArray[np.int32],
    peak: "sparse.csr_array[np.float64]",
    host: NDArray[np.int32],
    colour: NDArray[np.int32],
    capacity_mbit_s: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Return what each host's own links carry in sum, given the links' hosts, switches and capacities."""
    inside = access_class[host] >= 0
    host, colour, capacity = host[inside], colour[inside], capacity_mbit_s[inside]
    columns = peak.shape[1]
    keys = np.repeat(np.arange(peak.shape[0]), np.diff(peak.indptr)) * columns + peak.indices
    share = peak.data[np.searchsorted(keys, access_class[host].astype(np.int64) * columns + colour)]
    used = share > 0
    limit = np.full(len(access_class), np.inf)
    np.minimum.at(limit, host[used], capacity[used] / share[used])
    limit[np.isinf(limit)] = 0.0
    return limit
