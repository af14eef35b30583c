"""The links under a generated or imported fleet, laid from its racks."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import polars as pl

from slacktide.topology.builders import Rates, clos, fat_tree

FabricKind = Literal["leaf_spine", "fat_tree"]


def fabric_links(host_ids: Sequence[str], racks: Sequence[str], kind: FabricKind, rates: Rates) -> pl.DataFrame:
    """Return ``links.parquet``; a leaf-spine of more racks than a spine has ports gets a third layer.

    A fat tree decides itself which hosts share a switch: ``racks`` must follow :func:`hosts_per_edge_switch`.
    """
    if kind == "fat_tree":
        return fat_tree(host_ids, rates.host_mbit_s).links
    return clos(host_ids, racks, rates).links


def hosts_per_edge_switch(hosts: int) -> int:
    """Return how many hosts share an edge switch of the smallest fat tree that carries ``hosts``.

    Its switches have 2k ports, k of them towards hosts, and it carries 2 k**3 hosts.
    """
    half = max(1, int(np.cbrt(hosts / 2)) - 1)
    while 2 * half**3 < hosts:
        half += 1
    return half
