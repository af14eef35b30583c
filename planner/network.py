"""The network as the planner sees it: NIC limits, rates to choose from, and the shared links that can fill up."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from slacktide.topology.datacenter import Datacenter
from slacktide.topology.pods import pods
from slacktide.topology.route_table import RouteTable
from slacktide.topology.routing import Routing

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

MOST_RATES = 12
"""Rates that a migration can be given.

Every VM's duration is worked out at each, so more cost time and memory; a fleet has few kinds of NIC.
"""


@dataclass(frozen=True)
class Network:
    """Limits of NICs and shared links under the policy's share; N hosts, C access classes, B bundles of links."""

    egress_mbit_s: Ints
    """What a host may send, shape (N,)."""
    ingress_mbit_s: Ints
    """What a host may receive, shape (N,)."""
    rates_mbit_s: Ints
    """Rates to choose from, ascending, the first 0."""
    access_class: Ints
    """Hosts of one class reach the rest through the same switches, shape (N,)."""
    classes: int
    path_mbit_s: Floats
    """The most that one stream may take between two classes, infinite within one switch; shape (C * C,)."""
    route_start: Ints
    """Where the route of a pair of classes starts in ``route_bundle``, shape (C * C + 1,)."""
    route_bundle: Ints
    route_share: Floats
    """Part of a stream that each bundle carries."""
    bundle_limit: Floats
    """What migrations may fill of each bundle in Mbit/s, shape (B,)."""
    pod: Ints
    """Hosts of one pod reach each other below the top layer of the fabric, shape (N,)."""


def build_network(datacenter: Datacenter, hosts: pl.DataFrame, link_share: float) -> Network:
    """Return the network of ``datacenter`` where migrations may fill ``link_share`` of every link.

    Links that cannot fill up, because the hosts behind them cannot send or receive enough, are left out.
    """
    routing = Routing(datacenter)
    table = routing.route_table()
    nic = hosts["migration_mbit_s"].to_numpy()
    egress = np.minimum(nic, np.floor(table.egress_mbit_s(link_share))).astype(np.int64)
    ingress = np.minimum(nic, np.floor(table.ingress_mbit_s(link_share))).astype(np.int64)
    classes = len(table.classes)
    path = np.asarray(table.bottleneck_mbit_s, np.float64).ravel() * link_share
    limit = table.bundle_capacity_mbit_s * link_share
    length, every = np.diff(table.pointer), np.arange(classes)
    access = table.access_class.astype(np.int64)
    peak = np.minimum(
        _most_load(np.repeat(every, np.diff(table.pointer[:: max(1, classes)])), access, egress, table, len(limit)),
        _most_load(np.repeat(np.tile(every, classes), length), access, ingress, table, len(limit)),
    )
    can_fill = peak > limit
    kept = can_fill[table.bundle]
    renumbered = np.cumsum(can_fill) - 1
    return Network(
        egress_mbit_s=egress,
        ingress_mbit_s=ingress,
        rates_mbit_s=_rates(egress, ingress, path),
        access_class=access,
        classes=classes,
        path_mbit_s=path,
        route_start=np.concatenate([[0], np.cumsum(kept)])[table.pointer],
        route_bundle=renumbered[table.bundle[kept]].astype(np.int64),
        route_share=table.share[kept].astype(np.float64),
        bundle_limit=limit[can_fill],
        pod=pods(datacenter),
    )


def _most_load(side: Ints, access: Ints, nic_mbit_s: Ints, table: RouteTable, bundles: int) -> Floats:
    """Return what each bundle carries if every host on one side of the routes uses its NIC to the full."""
    classes = int(side.max(initial=-1)) + 1
    of_class = np.bincount(access, weights=nic_mbit_s, minlength=classes)[:classes]
    most = np.zeros(classes * bundles)
    np.maximum.at(most, side * bundles + table.bundle, table.share)
    load: Floats = (most.reshape(classes, bundles) * of_class[:, None]).sum(axis=0)
    return load


def _rates(egress: Ints, ingress: Ints, path: Floats) -> Ints:
    """Return the rates to choose from: every NIC's and every narrower path's, thinned to a few."""
    fastest = min(egress.max(), ingress.max())
    narrow = np.floor(path[np.isfinite(path) & (path < fastest) & (path >= 1)]).astype(np.int64)
    rates = np.unique(np.concatenate([egress, ingress, narrow]))
    rates = rates[(rates > 0) & (rates <= fastest)]
    if len(rates) > MOST_RATES:
        rates = rates[np.unique(np.linspace(0, len(rates) - 1, MOST_RATES).astype(np.int64))]
    return np.concatenate([[0], rates])
