"""How many hosts may be out at once, as execution counts them."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from slacktide.datasets.snapshot import FleetSnapshot
from slacktide.executors.numbering import Ints, positions
from slacktide.planner.limits import resolved
from slacktide.planner.policy import Policy


@dataclass(frozen=True, slots=True)
class OutLimits:
    """How many hosts may be out at once, in the fleet and in failure domains."""

    names: tuple[str, ...]
    """``fleet``, or kind and domain."""
    kinds: tuple[str, ...]
    """``fleet``, or the kind of domain."""
    sizes: Ints
    """Hosts in each: what a share is one of."""
    limit: Ints
    of_host: tuple[tuple[int, ...], ...]
    """Limits that each host counts against."""


def out_limits(snapshot: FleetSnapshot, policy: Policy) -> OutLimits:
    """Return the limits of ``max_out``; a share is one of all hosts in the domain, as the planner reads it."""
    frame = snapshot.hosts
    names, kinds, counts = ["fleet"], ["fleet"], [len(frame)]
    limits = [resolved(policy.max_out.get("fleet", len(frame)), len(frame))]
    columns = [np.zeros(len(frame), np.int64)]
    for kind, limit in policy.max_out.items():
        if kind == "fleet":
            continue
        members = snapshot.domains.filter(pl.col("kind") == kind)
        sizes = members.group_by("domain_id").agg(pl.len().alias("size")).sort("domain_id")
        domain = dict(zip(members["host_id"].to_list(), members["domain_id"].to_list(), strict=True))
        of_host = pl.Series([domain.get(host) for host in frame["host_id"].to_list()], dtype=pl.String)
        place = positions(of_host, sizes["domain_id"], None)
        columns.append(np.where(place >= 0, place + len(names), -1))
        limits.extend(resolved(limit, size) for size in sizes["size"].to_list())
        names.extend(f"{kind} {name}" for name in sizes["domain_id"].to_list())
        kinds.extend([kind] * len(sizes))
        counts.extend(sizes["size"].to_list())
    of_host_rows = np.stack(columns, axis=1).tolist()
    return OutLimits(
        names=tuple(names),
        kinds=tuple(kinds),
        sizes=np.array(counts, np.int64),
        limit=np.array(limits, np.int64),
        of_host=tuple(tuple(place for place in row if place >= 0) for row in of_host_rows),
    )
