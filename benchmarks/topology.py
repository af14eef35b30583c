"""Seconds and memory that the topology takes: ``python benchmarks/topology.py [hosts] [pairs]``.

Racks of 40 hosts; a leaf-spine fabric with 16 spines up to 576 racks, a three-layer fabric above.
"""

import resource
import sys
import time
from collections.abc import Callable
from typing import TypeVar

import numpy as np

from slacktide.topology import Datacenter, Routing, clos3, leaf_spine, max_min_rates, topology_findings
from slacktide.topology.builders import SPINE_PORTS

Result = TypeVar("Result")
RACK = 40


def timed(name: str, work: Callable[[], Result]) -> Result:
    """Print how long ``work`` takes, and the process's peak memory after it."""
    begin = time.perf_counter()
    result = work()
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"{name:<28}{time.perf_counter() - begin:8.2f} s {peak_mib:6} MiB peak")
    return result


def main(hosts: int = 10_000, pairs: int = 130_000) -> None:
    """Run every step once."""
    ids = [f"h{host:06}" for host in range(hosts)]
    racks = [f"r{host // RACK:05}" for host in range(hosts)]
    two_layers = hosts <= RACK * SPINE_PORTS
    fabric = timed("build", lambda: leaf_spine(ids, racks, spines=16) if two_layers else clos3(ids, racks))
    timed("topology_findings", lambda: topology_findings(ids, fabric.links, fabric.domains))
    datacenter = timed("Datacenter.from_tables", lambda: Datacenter.from_tables(ids, fabric.links, fabric.domains))
    routing = Routing(datacenter)
    timed("bundles", lambda: routing.bundles)
    timed("route_table", routing.route_table)
    rng = np.random.default_rng(1)
    sources, targets = rng.integers(0, hosts, pairs), rng.integers(0, hosts, pairs)
    timed("bundle_loads", lambda: routing.bundle_loads(sources, targets))
    parts = np.array_split(np.arange(pairs), max(1, pairs // 130_000))
    timed("link_loads, in parts", lambda: [routing.link_loads(sources[part], targets[part]).nnz for part in parts])
    few = routing.bundle_loads(sources[:5000], targets[:5000])
    timed("max_min_rates, 5,000 streams", lambda: max_min_rates(routing.bundle_capacity_mbit_s, few))


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:]))
