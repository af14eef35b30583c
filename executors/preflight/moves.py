"""Which of a plan's migrations are asked about."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import polars as pl

from slacktide.datasets.snapshot import FleetSnapshot
from slacktide.ids import HostId, VmId
from slacktide.planner.plan import Plan


class PlannedMove(NamedTuple):
    """One migration of a plan, as far as hosts are asked about it."""

    vm_id: VmId
    source: HostId
    target: HostId
    live: bool
    """Whether it keeps running; else it is restarted."""
    copies_disks: bool
    """Whether, by the fleet, disks go with it."""


def planned_moves(snapshot: FleetSnapshot, plan: Plan) -> list[PlannedMove]:
    """Return the migrations that are still to begin, in the order of their starts."""
    from_s = 0 if plan.header.revision is None else plan.header.revision.from_s
    rows = (
        plan.migrations.filter(pl.col("start_s") >= from_s)
        .join(snapshot.vms.select("vm_id", "local_disk_mib"), on="vm_id", how="left", maintain_order="left")
        .sort("start_s", "migration_id")
        .select("vm_id", "source", "target", pl.col("strategy") != "restart", pl.col("local_disk_mib") > 0)
    )
    return [PlannedMove(*row) for row in rows.iter_rows()]


def asked_moves(moves: Sequence[PlannedMove]) -> Iterator[tuple[PlannedMove, bool]]:
    """Yield of each VM its first move, and later ones to hosts that it has not been on; with whether it is the first.

    A VM that comes back to a host runs there today: nothing about it has to be asked.
    """
    been: dict[VmId, set[HostId]] = {}
    for move in moves:
        hosts = been.setdefault(move.vm_id, {move.source})
        if move.target not in hosts:
            yield move, len(hosts) == 1
            hosts.add(move.target)
