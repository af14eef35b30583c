"""The datacenter: hosts, switches and the directed links between them."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from slacktide.errors import InputError
from slacktide.ids import HostId
from slacktide.topology.domains import FailureDomains

if TYPE_CHECKING:
    import networkx as nx

FILE = "links.parquet"

Array = TypeVar("Array", bound=NDArray[Any])


@dataclass(frozen=True, eq=False)
class Datacenter:
    """Hosts, switches, directed links and failure domains; immutable.

    A node is numbered: hosts first, in the order of ``hosts``, then switches, in the order of ``switches``.
    Links are sorted by (tail, head).  All arrays are read-only.
    """

    hosts: tuple[HostId, ...]
    """Sorted."""
    switches: tuple[str, ...]
    """Every node of a link that is not a host, sorted."""
    tail: NDArray[np.int32]
    """Node that a link leaves, shape (links,)."""
    head: NDArray[np.int32]
    """Node that a link enters, shape (links,)."""
    capacity_mbit_s: NDArray[np.int64]
    """Capacity of each link, shape (links,)."""
    domains: FailureDomains

    @classmethod
    def from_tables(cls, host_ids: Iterable[str], links: pl.DataFrame, domains: pl.DataFrame) -> "Datacenter":
        """Return the datacenter of ``host_ids`` with the tables ``links`` and ``domains`` of a fleet snapshot.

        The tables are taken as they are: :func:`slacktide.topology.topology_findings` says what is wrong with them.

        Raises
        ------
        InputError
            If a host or a link is there twice, or ``domains`` does not fit the hosts.
        """
        hosts = pl.Series("node", list(host_ids), dtype=pl.String).sort()
        switches = switch_names(hosts, links)
        nodes = pl.DataFrame({"name": pl.concat([hosts, switches])})
        if nodes["name"].is_duplicated().any():
            first = nodes["name"].filter(nodes["name"].is_duplicated()).first()
            raise InputError("hosts.parquet", f"host {first!s} is listed twice", "Remove one of the rows")
        ends = numbered_links(nodes["name"], links).sort("tail_node", "head_node")
        _refuse_duplicates(ends)
        return cls(
            hosts=tuple(hosts.to_list()),
            switches=tuple(switches.to_list()),
            tail=_frozen(ends["tail_node"].to_numpy().astype(np.int32)),
            head=_frozen(ends["head_node"].to_numpy().astype(np.int32)),
            capacity_mbit_s=_frozen(ends["capacity_mbit_s"].to_numpy().astype(np.int64)),
            domains=FailureDomains.from_table(hosts.to_list(), domains),
        )

    @cached_property
    def nodes(self) -> tuple[str, ...]:
        """Names of all nodes: hosts, then switches."""
        return (*self.hosts, *self.switches)

    @cached_property
    def link_names(self) -> tuple[str, ...]:
        """Name of every link for people: ``tail -> head``."""
        names = pl.Series(self.nodes, dtype=pl.String)
        ends = pl.DataFrame({"tail": names.gather(self.tail), "head": names.gather(self.head)})
        return tuple(ends.select(pl.concat_str("tail", "head", separator=" -> ")).to_series().to_list())

    @cached_property
    def graph(self) -> "nx.DiGraph[Any]":
        """The datacenter as a frozen networkx graph over node names; edges carry ``capacity_mbit_s``."""
        import networkx as nx  # takes long to load, and planning does without

        graph: nx.DiGraph[Any] = nx.DiGraph()
        graph.add_nodes_from(self.hosts, kind="host")
        graph.add_nodes_from(self.switches, kind="switch")
        names = self.nodes
        graph.add_edges_from(
            (names[tail], names[head], {"capacity_mbit_s": capacity})
            for tail, head, capacity in zip(
                self.tail.tolist(), self.head.tolist(), self.capacity_mbit_s.tolist(), strict=True
            )
        )
        frozen: nx.DiGraph[Any] = nx.freeze(graph)
        return frozen


def switch_names(hosts: pl.Series, links: pl.DataFrame) -> pl.Series:
    """Return the nodes of ``links`` that are not among ``hosts``, sorted."""
    ends = pl.concat([links["tail"].rename("node"), links["head"].rename("node")]).cast(pl.String)
    return ends.filter(~ends.is_in(hosts.implode())).unique().sort()


def numbered_links(nodes: pl.Series, links: pl.DataFrame) -> pl.DataFrame:
    """Return ``links`` with ``row`` and the places of ``tail`` and ``head`` in ``nodes``, in the order of ``links``."""
    places = pl.DataFrame({"name": nodes}).with_row_index("place")
    rows = links.select(pl.col("tail", "head").cast(pl.String), "capacity_mbit_s").with_row_index("row")
    for end in ("tail", "head"):
        place = places.rename({"name": end, "place": f"{end}_node"})
        rows = rows.join(place, on=end, how="left", maintain_order="left")
    return rows


def _refuse_duplicates(ends: pl.DataFrame) -> None:
    twice = ends.filter(~pl.struct("tail_node", "head_node").is_first_distinct())
    if len(twice):
        row = twice.row(0, named=True)
        raise InputError(
            FILE,
            f"the link {row['tail']} -> {row['head']} is listed twice",
            "Give parallel cables as one row with the sum of their capacities",
        )


def _frozen(array: Array) -> Array:
    array.flags.writeable = False
    return array
