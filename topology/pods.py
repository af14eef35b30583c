"""Pods: hosts that reach each other below the top layer of the fabric."""

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from slacktide.topology.datacenter import Datacenter


def pods(datacenter: Datacenter) -> NDArray[np.int64]:
    """Return the pod of each host, shape (hosts,): hosts whose switches share a switch one layer up are in one pod.

    In a fabric of two layers that is every host, in one of three layers a pod is what hangs on one set of pod spines
    or aggregation switches.  Hosts without a link are each a pod of their own.
    """
    hosts, nodes = len(datacenter.hosts), len(datacenter.nodes)
    tail, head = datacenter.tail.astype(np.int64), datacenter.head.astype(np.int64)
    low, high = np.minimum(tail, head), np.maximum(tail, head)
    access = np.zeros(nodes, dtype=bool)
    access[high[(low < hosts) & (high >= hosts)]] = True
    to_access = (low < hosts) & (high >= hosts)
    above = (low >= hosts) & (access[low] != access[high])
    kept = to_access | above
    ones = np.ones(int(kept.sum()), dtype=np.int8)
    graph = sparse.coo_array((ones, (low[kept], high[kept])), shape=(nodes, nodes))
    component = connected_components(graph, directed=False)[1][:hosts]
    return np.unique(component, return_inverse=True)[1].astype(np.int64)
