"""Six hosts in two racks, six VMs, and a good plan for three of the hosts: small enough to follow by hand.

::

    rack r1: h1 (v1 v2)  h2 (v3 v4)  h3 (v6, pinned)      leaf1 --- leaf2      rack r2: h4 (v5)  h5 (down)  h6 (spare)

Every host sells 16 vCPUs and 65,536 MiB; every VM has 4 vCPUs and 8,192 MiB.  h6 is patched already.  v1 and v4 are one
service, one per host at most, one moving at a time.  v3 is restarted, not migrated.  v5 runs on machine type m1 only.

``small_plan()`` drains h1 to h6 as canary, then h2 and h4 to the patched h1; h3 and h5 are deferred.
"""

import functools
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import polars as pl

from slacktide.datasets.digest import digest
from slacktide.datasets.schemas import TABLES
from slacktide.datasets.snapshot import FleetMeta, FleetSnapshot
from slacktide.planner.plan import (
    AuditSummary,
    BlackoutSummary,
    DeferredTable,
    Plan,
    PlanHeader,
    PlannedHostTable,
    PlannedMigrationTable,
    PlanSummary,
    WaveTable,
)
from slacktide.planner.plan_files import plan_id
from slacktide.planner.policy import Assumptions, Canary, Policy, Reserve
from slacktide.planner.policy_files import policy_digest
from slacktide.planner.precopy import STRATEGIES, estimate, estimate_restart
from slacktide.planner.selection import due

HOSTS = ("h1", "h2", "h3", "h4", "h5", "h6")
RACKS = {"h1": "r1", "h2": "r1", "h3": "r1", "h4": "r2", "h5": "r2", "h6": "r2"}
LEAVES = {"r1": "leaf1", "r2": "leaf2"}

PLAN_TABLES = {
    "waves": WaveTable,
    "hosts": PlannedHostTable,
    "migrations": PlannedMigrationTable,
    "deferred": DeferredTable,
}

POLICY = Policy(
    name="small",
    deadline_s=3600,
    objective=("makespan",),
    reserve=Reserve(share=0.1, hosts=1),
    max_out={"fleet": 2, "rack": 1},
    link_share=0.5,
    canary=Canary(hosts=1, bake_s=100),
    assume=Assumptions(dirty_mib_s=1.0, hot_mib=16.0),
)


def small_fleet(**changes: Mapping[str, Mapping[str, Any]]) -> FleetSnapshot:
    """Return the fleet; ``changes`` are table=key -> column -> value, such as ``vms={"v1": {"notice_s": 90}}``."""
    hosts = pl.DataFrame(
        {
            "host_id": HOSTS,
            "rack_id": list(RACKS.values()),
            "machine_type": ["m1"] * 5 + ["m2"],
            "vcpus": [16] * 6,
            "memory_mib": [65536] * 6,
            "migration_mbit_s": [10_000] * 6,
            "patch_level": ["old"] * 5 + ["patched"],
            "maintenance_s": [600] * 6,
            "state": ["active"] * 4 + ["down", "empty"],
        }
    )
    vms = pl.DataFrame(
        {
            "vm_id": ["v1", "v2", "v3", "v4", "v5", "v6"],
            "host_id": ["h1", "h1", "h2", "h2", "h4", "h3"],
            "service_id": ["web", None, None, "web", None, None],
            "vcpus": [4] * 6,
            "memory_mib": [8192] * 6,
            "used_mib": [None] * 6,
            "dirty_mib_s": [1.0, None, 1.0, 1.0, 1.0, 1.0],
            "hot_mib": [16.0, None, 16.0, 16.0, 16.0, 16.0],
            "local_disk_mib": [0] * 6,
            "eviction": ["live", "live", "restart", "live", "live", "pinned"],
            "notice_s": [60] * 6,
            "blackout_limit_ms": [None, 300, None, None, None, None],
            "machine_types": [None, None, None, None, ["m1"], None],
        }
    )
    services = pl.DataFrame({"service_id": ["web"], "spread_over": ["host"], "max_per_domain": [1], "max_moving": [1]})
    cables = [(host, LEAVES[rack], 10_000) for host, rack in RACKS.items()] + [("leaf1", "leaf2", 10_000)]
    links = pl.DataFrame(
        [*cables, *((head, tail, capacity) for tail, head, capacity in cables)],
        schema=["tail", "head", "capacity_mbit_s"],
        orient="row",
    )
    domains = pl.DataFrame({"host_id": HOSTS, "kind": ["rack"] * 6, "domain_id": list(RACKS.values())})
    tables = {"hosts": hosts, "vms": vms, "services": services, "links": links, "domains": domains}
    for name, rows in changes.items():
        tables[name] = _changed(tables[name], f"{name.removesuffix('s')}_id", rows)
    meta = FleetMeta(taken_at=datetime(2026, 1, 1, tzinfo=UTC), source="by hand", licence="none")
    sound = {name: schema.cast(tables[name].sort(schema.primary_key())) for name, schema in TABLES.items()}
    return FleetSnapshot(meta, **sound)


def small_plan(snapshot: FleetSnapshot | None = None, policy: Policy = POLICY) -> Plan:
    """Return a plan for the fleet that breaks no rule."""
    return _good_plan() if snapshot is None and policy is POLICY else _planned(snapshot or small_fleet(), policy)


@functools.cache
def _good_plan() -> Plan:
    return _planned(small_fleet(), POLICY)


def _planned(snapshot: FleetSnapshot, policy: Policy) -> Plan:
    moves = [
        ("m1", "v1", "h1", "h6", 0, 0, 60),
        ("m2", "v2", "h1", "h6", 0, 0, 60),
        ("m3", "v3", "h2", "h1", 1, 740, 800),
        ("m4", "v4", "h2", "h1", 1, 740, 800),
        ("m5", "v5", "h4", "h1", 2, 840, 900),
    ]
    migrations = pl.DataFrame(
        [_migration(*move, snapshot=snapshot, policy=policy) for move in moves], infer_schema_length=None
    )
    hosts = pl.DataFrame(
        {
            "host_id": ["h1", "h2", "h4"],
            "wave": [0, 1, 2],
            "drain_start_s": [60, 800, 900],
            "drained_s": [100, 863, 940],
            "return_s": [700, 1463, 1540],
        }
    )
    waves = pl.DataFrame(
        {
            "wave": [0, 1, 2],
            "gate": ["start", "canary", "pipelined"],
            "start_s": [60, 800, 900],
            "end_s": [700, 1463, 1540],
            "hosts": [1, 1, 1],
            "migrations": [2, 2, 1],
        }
    )
    deferred = pl.DataFrame(
        {
            "host_id": ["h3", "h5"],
            "reason": ["pinned-vm", "down"],
            "detail": ["v6 may not be moved", "h5 is down"],
            "remedy": ["Stop v6, or change its eviction", "Bring h5 back, or exclude it"],
        }
    )
    return remade(snapshot, policy, waves=waves, hosts=hosts, migrations=migrations, deferred=deferred)


def edited(
    plan: Plan, snapshot: FleetSnapshot, policy: Policy | None = None, **changes: Mapping[str, Mapping[str, Any] | None]
) -> Plan:
    """Return the plan with rows changed, its waves and figures counted again.

    ``changes`` are table=key -> column -> value, or key -> None to remove the row, or an unknown key to add one.
    """
    keys = {"hosts": "host_id", "migrations": "migration_id", "deferred": "host_id", "waves": "wave"}
    tables = {name: getattr(plan, name) for name in PLAN_TABLES}
    for name, rows in changes.items():
        tables[name] = _changed(tables[name], keys[name], rows)
    if "waves" not in changes:
        tables["waves"] = _waves(tables["waves"], tables["hosts"], tables["migrations"])
    return remade(snapshot, policy or plan.header.policy, **tables)


def remade(snapshot: FleetSnapshot, policy: Policy, **tables: pl.DataFrame) -> Plan:
    """Return a plan of these tables, with the figures and digests that belong to them."""
    sound = {name: schema.cast(tables[name].sort(schema.primary_key())) for name, schema in PLAN_TABLES.items()}
    header = PlanHeader(
        id="",
        snapshot_digest=digest(snapshot),
        policy_digest=policy_digest(policy),
        policy=policy,
        seed=0,
        objective=policy.objective,
        summary=_summary(snapshot, policy, **sound),
    )
    plan = Plan(header, **sound)
    return replace(plan, header=header.model_copy(update={"id": plan_id(plan)}))


def _summary(
    snapshot: FleetSnapshot,
    policy: Policy,
    waves: pl.DataFrame,
    hosts: pl.DataFrame,
    migrations: pl.DataFrame,
    deferred: pl.DataFrame,
) -> PlanSummary:
    makespan_s = max(hosts["return_s"].to_list(), default=0)
    vms = snapshot.vms.filter(pl.col("host_id").is_in(hosts["host_id"].to_list())).height
    returns = dict(hosts.select("host_id", "return_s").iter_rows())
    selected = snapshot.hosts.filter(due(snapshot.hosts, policy))["host_id"].to_list()
    exposure_host_h = sum(returns.get(host, makespan_s) for host in selected) / 3600
    live = migrations.filter(pl.col("strategy") != "restart")
    bound_s = min(700.0, makespan_s)
    evacuated = hosts.filter(pl.col("host_id").is_in(list(policy.evacuate))).height
    return PlanSummary(
        hosts=hosts.height - evacuated,
        evacuated=evacuated,
        vms=vms,
        waves=waves.height,
        migrations=migrations.height,
        moves_per_vm=migrations.height / vms if vms else 0.0,
        makespan_s=makespan_s,
        exposure_host_h=exposure_host_h,
        bounds={"chain": bound_s},
        makespan_bound_s=bound_s,
        makespan_gap=(makespan_s - bound_s) / bound_s if bound_s else 0.0,
        exposure_bound_host_h=exposure_host_h / 2,
        exposure_gap=1.0 if exposure_host_h else 0.0,
        binding_resource="chain",
        predicted_blackout_ms=BlackoutSummary.over(live["predicted_blackout_ms"]),
        deferred=dict(sorted(deferred["reason"].value_counts().iter_rows())),
        audit=AuditSummary(checked_rules=(), findings=()),
        planning_s=0.0,
    )


def _migration(
    migration_id: str,
    vm_id: str,
    source: str,
    target: str,
    wave: int,
    notified_s: int,
    start_s: int,
    *,
    snapshot: FleetSnapshot,
    policy: Policy,
) -> dict[str, Any]:
    vm = snapshot.vms.row(by_predicate=pl.col("vm_id") == vm_id, named=True)
    restart = vm["eviction"] == "restart"
    bandwidth = 0 if restart else 2000
    if restart:
        figures = estimate_restart(vm["local_disk_mib"], bandwidth, policy.migration)
    else:
        hot = policy.assume.hot_mib if vm["hot_mib"] is None else vm["hot_mib"]
        dirty = policy.assume.dirty_mib_s if vm["dirty_mib_s"] is None else vm["dirty_mib_s"]
        limit = float("nan") if vm["blackout_limit_ms"] is None else vm["blackout_limit_ms"]
        figures = estimate(vm["memory_mib"], hot, dirty, vm["local_disk_mib"], limit, bandwidth, policy.migration)
    return {
        "migration_id": migration_id,
        "vm_id": vm_id,
        "source": source,
        "target": target,
        "wave": wave,
        "notified_s": notified_s,
        "start_s": start_s,
        "end_s": start_s + int(figures.duration_s),
        "bandwidth_mbit_s": bandwidth,
        "predicted_brownout_s": float(figures.brownout_s),
        "predicted_blackout_ms": float(figures.blackout_ms),
        "predicted_transfer_mib": float(figures.transfer_mib),
        "strategy": STRATEGIES[int(figures.strategy)],
        "after": [],
    }


def _waves(waves: pl.DataFrame, hosts: pl.DataFrame, migrations: pl.DataFrame) -> pl.DataFrame:
    times = hosts.group_by("wave").agg(
        start_s=pl.col("drain_start_s").min(), end_s=pl.col("return_s").max(), hosts=pl.len()
    )
    moves = migrations.group_by("wave").agg(migrations=pl.len())
    gates = waves.select("wave", "gate")
    return (
        times.join(gates, on="wave", how="left")
        .join(moves, on="wave", how="left")
        .with_columns(pl.col("migrations").fill_null(0), pl.col("gate").fill_null("pipelined"))
        .select(WaveTable.column_names())
    )


def _changed(table: pl.DataFrame, key: str, rows: Mapping[Any, Mapping[str, Any] | None]) -> pl.DataFrame:
    kept = {row[key]: row for row in table.iter_rows(named=True)}
    for name, values in rows.items():
        if values is None:
            del kept[name]
        else:
            kept[name] = {**kept.get(name, {key: name}), **values}
    return pl.DataFrame(list(kept.values()), schema=table.schema)
