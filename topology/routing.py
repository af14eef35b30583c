"""Routes between hosts with equal-cost splitting, without a table of all pairs of hosts."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from slacktide.errors import UsageError
from slacktide.topology.access import AccessClasses, access_classes
from slacktide.topology.bundles import Bundles, bundles
from slacktide.topology.datacenter import Datacenter
from slacktide.topology.paths import SwitchGraph, pair_loads
from slacktide.topology.route_table import RouteTable, build_route_table


@dataclass(frozen=True, eq=False)
class _Columns:
    """What the columns of a load matrix are, and the graph that fills them."""

    graph: SwitchGraph
    entries: "sparse.csr_array[np.float64]"
    exits: "sparse.csr_array[np.float64]"
    switch: NDArray[np.int64]
    """Switch that each node of ``graph`` is, where it has hosts."""
    of_arc: NDArray[np.integer]
    """Column of each arc of ``graph``."""
    of_link: NDArray[np.integer]
    """Column of each link of the datacenter."""
    count: int


class Routing:
    """The routes of one datacenter.

    At every node a stream splits evenly over all next hops that lie on a shortest path, in hops, to its target; hosts
    never forward.  Links between two hosts are not used.
    """

    def __init__(self, datacenter: Datacenter) -> None:
        self.datacenter = datacenter
        hosts = len(datacenter.hosts)
        between = (datacenter.tail >= hosts) & (datacenter.head >= hosts) & (datacenter.tail != datacenter.head)
        self._switch_links = np.flatnonzero(between)
        self._graph = SwitchGraph(
            nodes=len(datacenter.switches),
            tail=datacenter.tail[between] - hosts,
            head=datacenter.head[between] - hosts,
            ways=np.ones(len(self._switch_links)),
        )

    @cached_property
    def classes(self) -> AccessClasses:
        """Hosts grouped by the switches they hang on."""
        datacenter = self.datacenter
        return access_classes(len(datacenter.hosts), len(datacenter.switches), datacenter.tail, datacenter.head)

    @cached_property
    def bundles(self) -> Bundles:
        """Links between switches, those merged that are always loaded alike."""
        with_hosts = np.zeros(self._graph.nodes, dtype=bool)
        with_hosts[self.classes.entries.indices] = True
        with_hosts[self.classes.exits.indices] = True
        return bundles(self._graph, self.datacenter.capacity_mbit_s[self._switch_links], with_hosts)

    @cached_property
    def bundle_of_link(self) -> NDArray[np.int32]:
        """Bundle of each link, shape (links,): those of :meth:`route_table` first, then each host's link by itself."""
        of_link = np.empty(len(self.datacenter.tail), dtype=np.int32)
        of_link[self._switch_links] = self.bundles.of_arc
        alone = np.ones(len(of_link), dtype=bool)
        alone[self._switch_links] = False
        of_link[alone] = len(self.bundles.links) + np.arange(alone.sum())
        return of_link

    @cached_property
    def bundle_capacity_mbit_s(self) -> NDArray[np.float64]:
        """Sum of the capacities of each bundle's links, shape (bundles,), hosts' links included."""
        capacity = self.datacenter.capacity_mbit_s.astype(np.float64)
        return np.bincount(self.bundle_of_link, weights=capacity).astype(np.float64)

    def link_loads(self, sources: NDArray[np.integer], targets: NDArray[np.integer]) -> "sparse.csr_array[np.float64]":
        """Return the share of each stream on every directed link, shape (pairs, links).

        ``sources`` and ``targets`` are places in ``datacenter.hosts``, shape (pairs,).  A stream from a host to itself
        crosses nothing.  A row of a three-layer fabric may have some hundred entries: ask for millions of pairs in
        parts, or for :meth:`bundle_loads`.

        Raises
        ------
        UsageError
            If there is no path from a source to its target.
        """
        return self._loads(self._by_link, sources, targets)

    def bundle_loads(
        self, sources: NDArray[np.integer], targets: NDArray[np.integer]
    ) -> "sparse.csr_array[np.float64]":
        """Return the share of each stream on every bundle of :attr:`bundle_of_link`, shape (pairs, bundles).

        What fits into :attr:`bundle_capacity_mbit_s` fits into every link, and the other way round, in rows shorter by
        the number of alike switches.  Otherwise as :meth:`link_loads`.
        """
        return self._loads(self._by_bundle, sources, targets)

    def route_table(self, classes: NDArray[np.integer] | None = None) -> RouteTable:
        """Return the bundle-level routes between all pairs of ``classes`` (all classes when None).

        Raises
        ------
        UsageError
            If None is given and there are more pairs than a table should have.
        """
        return build_route_table(self.datacenter, self.classes, self.bundles, self._switch_links, classes)

    @cached_property
    def _by_link(self) -> "_Columns":
        classes, links = self.classes, np.arange(len(self.datacenter.tail))
        switches = np.arange(self._graph.nodes)
        return _Columns(self._graph, classes.entries, classes.exits, switches, self._switch_links, links, len(links))

    @cached_property
    def _by_bundle(self) -> "_Columns":
        classes, merged = self.classes, self.bundles
        switch = np.empty(merged.graph.nodes, dtype=np.int64)
        switch[merged.colour] = np.arange(self._graph.nodes)
        return _Columns(
            merged.graph,
            merged.coloured(classes.entries),
            merged.coloured(classes.exits),
            switch,
            np.arange(len(merged.links)),
            self.bundle_of_link,
            len(self.bundle_capacity_mbit_s),
        )

    def _loads(
        self, by: "_Columns", sources: NDArray[np.integer], targets: NDArray[np.integer]
    ) -> "sparse.csr_array[np.float64]":
        source, target = np.asarray(sources, dtype=np.int64), np.asarray(targets, dtype=np.int64)
        away = np.flatnonzero(source != target)
        count, of_host = len(self.classes), self.classes.of_host.astype(np.int64)
        asked = of_host[target[away]] * count + of_host[source[away]]
        distinct, inverse = np.unique(asked, return_inverse=True)
        row = inverse.astype(np.int64)
        parts = list(pair_loads(by.graph, by.entries, by.exits, distinct % count, distinct // count)) if count else []
        if not parts:
            return sparse.csr_array((len(source), by.count))
        reachable = np.concatenate([part.reachable for part in parts])[row]
        if not reachable.all():
            first = away[np.argmin(reachable)]
            self._refuse_unreachable(int(source[first]), int(target[first]))
        start = sparse.vstack([part.start for part in parts], format="csr")[row]
        arrival = sparse.vstack([part.arrival for part in parts], format="csr")[row]
        ends = self._at_hosts(by, source[away], start, leaving=True)
        ends = ends + self._at_hosts(by, target[away], arrival, leaving=False)
        between = sparse.vstack([part.arcs for part in parts], format="csr")
        del parts
        loads: sparse.csr_array[np.float64] = ends + _renamed(between, by.of_arc, by.count)[row]
        if len(away) == len(source):
            return loads
        counts = np.zeros(len(source), dtype=np.int64)
        counts[away] = np.diff(loads.indptr)
        pointer = np.concatenate([[0], np.cumsum(counts)])
        return sparse.csr_array((loads.data, loads.indices, pointer), shape=(len(source), by.count))

    @cached_property
    def _link_keys(self) -> NDArray[np.int64]:
        return self.datacenter.tail.astype(np.int64) * len(self.datacenter.nodes) + self.datacenter.head

    def _at_hosts(
        self, by: "_Columns", host: NDArray[np.int64], shares: "sparse.csr_array[np.float64]", *, leaving: bool
    ) -> "sparse.csr_array[np.float64]":
        """Return the loads on the links between each pair's host and switches, of which ``shares`` says how much."""
        hosts, nodes = len(self.datacenter.hosts), len(self.datacenter.nodes)
        end = np.repeat(host, np.diff(shares.indptr))
        switch = by.switch[shares.indices] + hosts
        key = end * nodes + switch if leaving else switch * nodes + end
        column = by.of_link[np.searchsorted(self._link_keys, key)].astype(np.int32)
        return sparse.csr_array((shares.data, column, shares.indptr), shape=(len(host), by.count))

    def _refuse_unreachable(self, source: int, target: int) -> None:
        names = self.datacenter.hosts
        raise UsageError(
            f"stream from {names[source]} to {names[target]}",
            "no path leads from one to the other",
            "Check the links (`slacktide fleet check`), or choose another target",
        )


def _renamed(
    matrix: "sparse.csr_array[np.float64]", column: NDArray[np.integer], columns: int
) -> "sparse.csr_array[np.float64]":
    """Return ``matrix`` with its columns numbered as ``column`` says."""
    renamed = column[matrix.indices].astype(np.int32)
    return sparse.csr_array((matrix.data, renamed, matrix.indptr), shape=(matrix.shape[0], columns))
