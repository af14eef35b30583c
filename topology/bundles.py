"""Bundles: links that equal-cost splitting always loads alike, merged into one.

Switches are coloured: every switch with hosts has a colour of its own, all others start alike; then two switches keep
one colour only if they have as many links to, and from, every colour, until nothing changes (the coarsest equitable
partition).  All links of one capacity from one colour to another are one bundle; capacities need not be alike within
a colour, because splitting does not look at them.

That loses nothing.  Streams start and end at switches with hosts, which are alone in their colour; so, by induction
over the hops to a destination, switches of one colour are equally far from it and have equally many next hops of each
colour, and, by induction from the source, they carry equal parts of the stream and so do their links.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from slacktide.topology.paths import SwitchGraph


@dataclass(frozen=True, eq=False)
class Bundles:
    """The switch-level graph with alike switches and alike links merged."""

    colour: NDArray[np.int32]
    """Colour of each switch, shape (switches,); each switch with hosts has its own."""
    of_arc: NDArray[np.int32]
    """Bundle of each arc of the switch-level graph, shape (arcs,)."""
    links: NDArray[np.int64]
    """How many links each bundle has, shape (bundles,)."""
    capacity_mbit_s: NDArray[np.float64]
    """Sum of their capacities, shape (bundles,)."""
    graph: SwitchGraph
    """Colours as nodes, bundles as arcs."""

    def coloured(self, switches: "sparse.csr_array[np.float64]") -> "sparse.csr_array[np.float64]":
        """Return a matrix whose columns are switches, non-zero only at those with hosts, with colours as columns."""
        shape = (switches.shape[0], self.graph.nodes)
        coloured = sparse.csr_array((switches.data, self.colour[switches.indices], switches.indptr), shape=shape)
        coloured.sort_indices()
        return coloured


def bundles(graph: SwitchGraph, capacity_mbit_s: NDArray[np.int64], with_hosts: NDArray[np.bool_]) -> Bundles:
    """Return the bundles of ``graph``, whose arcs have capacities and some of whose nodes have hosts."""
    rate = np.unique(capacity_mbit_s, return_inverse=True)[1]
    colour = _refined(graph, with_hosts)
    key = np.stack([colour[graph.tail], colour[graph.head], rate.astype(np.int32)])
    distinct, first, of_arc = np.unique(key, axis=1, return_index=True, return_inverse=True)
    links = np.bincount(of_arc, minlength=len(first)).astype(np.int64)
    merged = SwitchGraph(
        nodes=int(colour.max(initial=-1)) + 1,
        tail=distinct[0].astype(np.int32),
        head=distinct[1].astype(np.int32),
        ways=links.astype(np.float64),
    )
    capacity = np.asarray(capacity_mbit_s[first] * links, dtype=np.float64)
    return Bundles(colour, of_arc.astype(np.int32), links, capacity, merged)


def _refined(graph: SwitchGraph, with_hosts: NDArray[np.bool_]) -> NDArray[np.int32]:
    colour = np.where(with_hosts, np.cumsum(with_hosts), 0).astype(np.int32)
    node = np.concatenate([graph.tail, graph.head])
    leaving = np.repeat([1, 0], len(graph.tail))
    colours = len(np.unique(colour))
    while True:
        other = np.concatenate([colour[graph.head], colour[graph.tail]]).astype(np.int64)
        key = other * 2 + leaving
        order = np.lexsort((key, node))
        begin = np.searchsorted(node[order], np.arange(graph.nodes + 1))
        signed = key[order]
        numbers: dict[tuple[int, bytes], int] = {}
        colour = np.array(
            [
                numbers.setdefault((old, signed[begin[place] : begin[place + 1]].tobytes()), len(numbers))
                for place, old in enumerate(colour.tolist())
            ],
            dtype=np.int32,
        )
        if len(numbers) == colours:
            return colour
        colours = len(numbers)
