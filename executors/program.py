"""The plan as its execution needs it: numbered hosts, VMs, migrations, waves and limits.

Hosts, VMs and migrations are numbered in the order of their ids.  Built once per plan that a campaign carries out;
nothing here changes.  A campaign that has gone over to a revision has rows of before as well, which are over: nothing
depends on them.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from slacktide.datasets.snapshot import FleetSnapshot
from slacktide.errors import ExecutionError
from slacktide.executors.numbering import Groups, Ints, grouped, ints, positions
from slacktide.executors.out_limits import OutLimits, out_limits
from slacktide.planner.deferral import Reason
from slacktide.planner.plan import Plan
from slacktide.planner.policy import Policy

Bools = NDArray[np.bool_]

NEVER = 2**40
"""Stands for a moment that the plan does not have, and for an absent limit."""


@dataclass(frozen=True, slots=True)
class HostPart:
    """The fleet's hosts; those that the plan leaves alone have wave -1 and times ``NEVER``."""

    ids: tuple[str, ...]
    vcpus: Ints
    memory_mib: Ints
    migration_mbit_s: Ints
    maintenance_s: Ints
    wave: Ints
    drain_start_s: Ints
    drained_s: Ints
    return_s: Ints
    outgoing: Groups
    """Migrations by source, in the order of :attr:`MigrationPart.rank`."""
    incoming: Groups
    """Migrations by target, in the same order."""
    current: Bools
    """Hosts of the newest plan; of the others that are planned, all is over."""
    evacuated: Bools
    """Hosts that are emptied, or were, and stay out."""
    held: Bools
    """Hosts that wait for a gate which lost hosts keep closed, and that the newest plan therefore leaves alone."""

    @property
    def planned(self) -> Bools:
        """Hosts that are to be patched or evacuated, or were."""
        return self.wave >= 0

    @property
    def due(self) -> Bools:
        """Hosts that the newest plan patches or evacuates."""
        return self.planned & self.current


@dataclass(frozen=True, slots=True)
class MigrationPart:
    """The plan's migrations."""

    ids: tuple[str, ...]
    vm: Ints
    source: Ints
    target: Ints
    wave: Ints
    notified_s: Ints
    start_s: Ints
    end_s: Ints
    bandwidth_mbit_s: Ints
    strategy: tuple[str, ...]
    restarts: Bools
    """VMs that are restarted on the target, not migrated live."""
    predicted_brownout_s: NDArray[np.float64]
    predicted_blackout_ms: NDArray[np.float64]
    predicted_transfer_mib: NDArray[np.float64]
    vcpus: Ints
    memory_mib: Ints
    service: Ints
    """-1: none."""
    rank: Ints
    """Place in the order of planned starts, ties by number."""
    dependents: Groups
    """Migrations that may only start once this one has ended: by ``after``, and the VM's next move."""
    prerequisites: Ints
    """How many must have ended before it starts."""
    next_move: Ints
    """The VM's next migration, -1: none."""
    needs_drain: Bools
    """Starts within its source's drain."""
    needs_return: Bools
    """Its target is patched first."""
    before_drain: Bools
    """Its target is drained afterwards, and not before it has ended."""
    current: Bools
    """Migrations of the newest plan; nothing hangs on the others any more."""
    tried: Ints
    """How often its VM was tried to be moved from the same host by migrations that are over."""


@dataclass(frozen=True, slots=True)
class VmPart:
    """The fleet's VMs."""

    ids: tuple[str, ...]
    host: Ints
    """Where each runs at the start."""
    vcpus: Ints
    memory_mib: Ints
    blackout_limit_ms: Ints
    """Its own, or the policy's."""


@dataclass(frozen=True, slots=True)
class WavePart:
    """The plan's waves, numbered from 0."""

    gate: tuple[str, ...]
    start_s: Ints
    hosts: Ints
    """How many hosts each has."""
    before: Ints
    """The wave that each comes after, -1: none."""
    apart: Bools
    """Waves of hosts that are evacuated: no gate is before them."""


@dataclass(frozen=True, slots=True)
class Program:
    """A plan and the fleet it is for, numbered."""

    policy: Policy
    hosts: HostPart
    vms: VmPart
    migrations: MigrationPart
    waves: WavePart
    out: OutLimits
    max_moving: Ints
    """VMs of each service that may migrate at once."""
    makespan_s: int


def build_program(
    snapshot: FleetSnapshot, plan: Plan, newest: Plan | None = None, tried: Ints | None = None
) -> Program:
    """Return ``plan`` numbered.

    Parameters
    ----------
    newest
        The revision whose rows ``plan`` joins with what is over; null: all of it is one plan.
    tried
        How often the VM of each of its migrations was tried before; null: never.

    Raises
    ------
    ExecutionError
        If the plan names a host, VM or migration that is not there: it is not a plan for this snapshot.
    """
    host_ids, vm_ids = snapshot.hosts["host_id"], snapshot.vms["vm_id"]
    table = plan.migrations
    source = positions(table["source"], host_ids, "host")
    target = positions(table["target"], host_ids, "host")
    vm = positions(table["vm_id"], vm_ids, "VM")
    rank = np.empty(len(table), np.int64)
    order = np.lexsort((np.arange(len(table)), table["start_s"].to_numpy()))
    rank[order] = np.arange(len(table))
    outgoing, incoming = (grouped(ends, order, len(host_ids)) for ends in (source, target))
    hosts = _host_part(snapshot, plan, newest or plan, outgoing, incoming)
    current = table["migration_id"].is_in((newest or plan).migrations["migration_id"].implode()).to_numpy()
    vms = VmPart(
        ids=tuple(vm_ids.to_list()),
        host=positions(snapshot.vms["host_id"], host_ids, "host"),
        vcpus=ints(snapshot.vms["vcpus"]),
        memory_mib=ints(snapshot.vms["memory_mib"]),
        blackout_limit_ms=ints(
            snapshot.vms["blackout_limit_ms"].fill_null(plan.header.policy.migration.blackout_limit_ms)
        ),
    )
    services = snapshot.services["service_id"]
    service = positions(snapshot.vms["service_id"], services, None)[vm]
    return Program(
        policy=plan.header.policy,
        hosts=hosts,
        vms=vms,
        migrations=_migration_part(table, hosts, vms, (vm, source, target, service), (rank, order), current, tried),
        waves=_wave_part(plan, newest or plan),
        out=out_limits(snapshot, plan.header.policy),
        max_moving=ints(snapshot.services["max_moving"].fill_null(2**31 - 1)),
        makespan_s=plan.header.summary.makespan_s,
    )


def _migration_part(
    table: pl.DataFrame,
    hosts: HostPart,
    vms: VmPart,
    places: tuple[Ints, Ints, Ints, Ints],
    ranked: tuple[Ints, Ints],
    current: Bools,
    tried: Ints | None,
) -> MigrationPart:
    (vm, source, target, service), (rank, order) = places, ranked
    start_s, end_s = ints(table["start_s"]), ints(table["end_s"])
    next_move = _next_moves(vm, order[current[order]])
    dependents, prerequisites = _dependencies(table, next_move, current)
    source_drains, target_drains = hosts.drain_start_s[source], hosts.drain_start_s[target]
    after_return = hosts.due[target] & (hosts.return_s[target] <= start_s) & current
    return MigrationPart(
        ids=tuple(table["migration_id"].to_list()),
        vm=vm,
        source=source,
        target=target,
        wave=ints(table["wave"]),
        notified_s=ints(table["notified_s"]),
        start_s=start_s,
        end_s=end_s,
        bandwidth_mbit_s=ints(table["bandwidth_mbit_s"]),
        strategy=tuple(table["strategy"].cast(pl.String).to_list()),
        restarts=(table["strategy"].cast(pl.String) == "restart").to_numpy(),
        predicted_brownout_s=table["predicted_brownout_s"].to_numpy(),
        predicted_blackout_ms=table["predicted_blackout_ms"].to_numpy(),
        predicted_transfer_mib=table["predicted_transfer_mib"].to_numpy(),
        vcpus=vms.vcpus[vm],
        memory_mib=vms.memory_mib[vm],
        service=service,
        rank=rank,
        dependents=dependents,
        prerequisites=prerequisites,
        next_move=next_move,
        needs_drain=hosts.due[source] & (start_s >= source_drains) & current,
        needs_return=after_return,
        before_drain=hosts.due[target] & ~after_return & (end_s <= target_drains) & current,
        current=current,
        tried=np.zeros(len(table), np.int64) if tried is None else tried,
    )


def _host_part(snapshot: FleetSnapshot, plan: Plan, newest: Plan, outgoing: Groups, incoming: Groups) -> HostPart:
    frame = snapshot.hosts
    place = positions(plan.hosts["host_id"], frame["host_id"], "host")

    def planned(column: str, absent: int) -> Ints:
        values = np.full(len(frame), absent, np.int64)
        values[place] = plan.hosts[column].to_numpy()
        return values

    held = newest.deferred.filter(pl.col("reason") == Reason.GATE_CLOSED)
    return HostPart(
        ids=tuple(frame["host_id"].to_list()),
        vcpus=ints(frame["vcpus"]),
        memory_mib=ints(frame["memory_mib"]),
        migration_mbit_s=ints(frame["migration_mbit_s"]),
        maintenance_s=ints(frame["maintenance_s"]),
        wave=planned("wave", -1),
        drain_start_s=planned("drain_start_s", NEVER),
        drained_s=planned("drained_s", NEVER),
        return_s=planned("return_s", NEVER),
        outgoing=outgoing,
        incoming=incoming,
        current=frame["host_id"].is_in(newest.hosts["host_id"].implode()).to_numpy(),
        evacuated=frame["host_id"].is_in(list(newest.header.policy.evacuate)).to_numpy() & (planned("wave", -1) >= 0),
        held=frame["host_id"].is_in(held["host_id"].implode()).to_numpy(),
    )


def _wave_part(plan: Plan, newest: Plan) -> WavePart:
    waves = plan.waves
    if waves["wave"].to_list() != list(range(len(waves))):
        raise ExecutionError("waves.parquet", "does not number the waves from 0", "Make the plan again")
    before = np.full(len(waves), -1, np.int64)
    numbers = newest.waves["wave"].cast(pl.Int64).to_numpy()
    before[numbers[1:]] = numbers[:-1]
    patched = plan.hosts.filter(~pl.col("host_id").is_in(list(newest.header.policy.evacuate)))["wave"].to_numpy()
    evacuated = plan.hosts.filter(pl.col("host_id").is_in(list(newest.header.policy.evacuate)))["wave"].to_numpy()
    places = np.arange(len(waves))
    return WavePart(
        apart=np.isin(places, evacuated) & ~np.isin(places, patched),
        before=before,
        gate=tuple(waves["gate"].cast(pl.String).to_list()),
        start_s=ints(waves["start_s"]),
        hosts=np.bincount(plan.hosts["wave"].to_numpy(), minlength=len(waves)).astype(np.int64),
    )


def _dependencies(table: pl.DataFrame, next_move: Ints, current: Bools) -> tuple[Groups, Ints]:
    """Return who waits for each migration, and for how many each waits; what is over waits for nothing."""
    pairs = table.select("migration_id", "after").with_row_index("waits").filter(pl.Series(current, dtype=pl.Boolean))
    pairs = pairs.explode("after", empty_as_null=True)
    pairs = pairs.filter(pl.col("after").is_not_null())
    waits = pairs["waits"].cast(pl.Int64).to_numpy()
    first = positions(pairs["after"], table["migration_id"], "migration")
    moved = np.flatnonzero(next_move >= 0)
    both = np.unique(np.stack([np.append(first, moved), np.append(waits, next_move[moved])], axis=1), axis=0)
    start = np.searchsorted(both[:, 0], np.arange(len(table) + 1)).astype(np.int64)
    return Groups(start, both[:, 1]), np.bincount(both[:, 1], minlength=len(table)).astype(np.int64)


def _next_moves(vm: Ints, order: Ints) -> Ints:
    """Return the next migration of the same VM, -1: none."""
    following = np.full(len(vm), -1, np.int64)
    by_vm = order[np.argsort(vm[order], kind="stable")]
    same = vm[by_vm[:-1]] == vm[by_vm[1:]]
    following[by_vm[:-1][same]] = by_vm[1:][same]
    return following
