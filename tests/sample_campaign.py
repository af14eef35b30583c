"""A plausible fleet, plan and report of any size, made up with numpy: for tests of what people see."""

from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np
import polars as pl

from slacktide.datasets.schemas import HOST_STATES, DomainTable, HostTable, LinkTable, ServiceTable, VmTable
from slacktide.datasets.snapshot import FleetMeta, FleetSnapshot
from slacktide.executors.report_figures import blackouts, counts_differ, restarts
from slacktide.executors.report_others import others_table
from slacktide.executors.report_summary import (
    BlackoutsOver,
    CampaignSummary,
    Exposure,
    Makespan,
    OverLimits,
)
from slacktide.executors.report_tables import ReportHostTable, ReportMigrationTable
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
from slacktide.planner.policy import PRESETS

ORIGIN = datetime(2014, 4, 8, 20, tzinfo=UTC)
RACK_HOSTS = 20
SPINES = 4
DRAIN_S = 400
PATCH_S = 600
POLICY = PRESETS["urgent"]


@dataclass(frozen=True)
class SampleReport:
    summary: CampaignSummary
    hosts: pl.DataFrame
    migrations: pl.DataFrame
    others: pl.DataFrame = field(default_factory=lambda: others_table(()))


def sample_snapshot(hosts: int, vms_per_host: int = 12) -> FleetSnapshot:
    number = np.arange(hosts)
    host_id = pl.Series([f"h{i:05}" for i in number], dtype=pl.String)
    rack = pl.Series([f"rack-{i // RACK_HOSTS:03}" for i in number], dtype=pl.String)
    host_table = pl.DataFrame(
        {"host_id": host_id, "rack_id": rack, "machine_type": "m1", "vcpus": 96, "memory_mib": 393_216}
        | {"migration_mbit_s": 25_000, "patch_level": "old", "maintenance_s": PATCH_S, "state": HOST_STATES[0]}
    )
    vms = hosts * vms_per_host
    owner = np.repeat(number, vms_per_host)
    vm_table = pl.DataFrame(
        {"vm_id": [f"vm{i:06}" for i in range(vms)], "host_id": host_id.gather(owner)}
        | {"service_id": None, "vcpus": 4, "memory_mib": 16_384, "used_mib": None, "dirty_mib_s": 20.0, "hot_mib": 64.0}
        | {"local_disk_mib": 0, "eviction": "live", "notice_s": 60, "blackout_limit_ms": None, "machine_types": None}
    )
    up = pl.DataFrame({"tail": host_id, "head": "leaf-" + rack.str.slice(5), "capacity_mbit_s": 25_000})
    leaves = rack.unique().sort().str.slice(5)
    fabric = pl.DataFrame({"tail": "leaf-" + leaves}).join(
        pl.DataFrame({"head": [f"spine-{s}" for s in range(SPINES)]}), how="cross"
    )
    fabric = fabric.with_columns(capacity_mbit_s=pl.lit(100_000))
    links = pl.concat([up, fabric], how="vertical_relaxed")
    links = pl.concat([links, links.select(tail="head", head="tail", capacity_mbit_s="capacity_mbit_s")])
    power = pl.Series([f"feed-{i % 4}" for i in number], dtype=pl.String)
    domains = pl.concat(
        pl.DataFrame({"host_id": host_id, "kind": kind, "domain_id": ids})
        for kind, ids in (("power", power), ("rack", rack))
    )
    return FleetSnapshot(
        FleetMeta(taken_at=ORIGIN, source="made up", licence="none"),
        HostTable.cast(host_table),
        VmTable.cast(vm_table),
        ServiceTable.create_empty(),
        LinkTable.cast(links.sort("tail", "head")),
        DomainTable.cast(domains.sort("host_id", "kind")),
    )


def sample_plan(snapshot: FleetSnapshot, seed: int = 1, deferred: int = 4) -> Plan:
    rng = np.random.default_rng(seed)
    ids = snapshot.hosts["host_id"]
    due = len(ids) - deferred
    order = rng.permutation(due)
    per_wave = max(2, len(ids) // 12)
    wave = np.zeros(due, dtype=np.int64)
    wave[order] = np.where(np.arange(due) < 2, 0, 1 + (np.arange(due) - 2) // per_wave)
    start = np.where(wave == 0, 0, PATCH_S + DRAIN_S + 300 + (wave - 1) * 520) + rng.integers(0, 60, due)
    drained = start + DRAIN_S + rng.integers(0, 60, due)
    hosts = pl.DataFrame({"host_id": ids.head(due), "wave": wave, "drain_start_s": start, "drained_s": drained})
    hosts = hosts.with_columns(return_s=pl.col("drained_s") + PATCH_S)
    migrations = _migrations(rng, snapshot, hosts)
    waves = (
        hosts.group_by("wave")
        .agg(start_s=pl.col("drain_start_s").min(), end_s=pl.col("return_s").max(), hosts=pl.len())
        .sort("wave")
        .join(migrations.group_by("wave").agg(migrations=pl.len()), on="wave", how="left")
        .with_columns(
            pl.col("migrations").fill_null(0),
            gate=pl.when(pl.col("wave") == 0)
            .then(pl.lit("start"))
            .otherwise(pl.when(pl.col("wave") == 1).then(pl.lit("canary")).otherwise(pl.lit("pipelined"))),
        )
    )
    left = pl.DataFrame({"host_id": ids.tail(deferred)}, schema={"host_id": pl.String}).with_columns(
        reason=pl.lit("pinned-vm"), detail=pl.lit("vm000007 is pinned"), remedy=pl.lit("Make the VM movable.")
    )
    header = _header(snapshot, hosts, migrations, len(waves), deferred, seed)
    return Plan(
        header,
        WaveTable.cast(waves.select(WaveTable.column_names())),
        PlannedHostTable.cast(hosts),
        PlannedMigrationTable.cast(migrations.select(PlannedMigrationTable.column_names())),
        DeferredTable.cast(left),
    )


def _migrations(rng: np.random.Generator, snapshot: FleetSnapshot, hosts: pl.DataFrame) -> pl.DataFrame:
    moves = snapshot.vms.select("vm_id", source="host_id").join(hosts.rename({"host_id": "source"}), on="source")
    count = len(moves)
    target = snapshot.hosts["host_id"].gather(rng.integers(0, len(snapshot.hosts), count))
    length = rng.integers(10, 60, count)
    latest = (moves["drained_s"] - moves["drain_start_s"]).to_numpy() - length
    start = moves["drain_start_s"].to_numpy() + (rng.random(count) * latest).astype(np.int64)
    blackout = np.exp(rng.normal(np.log(110), 0.45, count)) + 30
    return moves.with_columns(
        migration_id=pl.Series([f"m{i:06}" for i in range(count)], dtype=pl.String),
        target=target,
        notified_s=pl.Series(np.maximum(0, start - 60)),
        start_s=pl.Series(start),
        end_s=pl.Series(start + length),
        bandwidth_mbit_s=pl.Series(rng.integers(1, 4, count) * 1000),
        predicted_brownout_s=pl.Series(length - 3.0),
        predicted_blackout_ms=pl.Series(blackout),
        predicted_transfer_mib=pl.lit(18_000.0),
        strategy=pl.lit("precopy"),
        after=pl.Series([[]] * count, dtype=pl.List(pl.String)),
    )


def _header(
    snapshot: FleetSnapshot, hosts: pl.DataFrame, migrations: pl.DataFrame, waves: int, deferred: int, seed: int
) -> PlanHeader:
    makespan = int(hosts["return_s"].max() or 0)
    vms = max(1, len(snapshot.vms))
    exposure = (int(hosts["return_s"].sum()) + deferred * makespan) / 3600
    blackout = migrations["predicted_blackout_ms"]
    summary = PlanSummary(
        hosts=len(hosts),
        vms=vms,
        waves=waves,
        migrations=len(migrations),
        moves_per_vm=len(migrations) / vms,
        makespan_s=makespan,
        exposure_host_h=exposure,
        bounds={"memory": 0.93 * makespan, "hosts-out:fleet": 0.8 * makespan, "chain": 1060.0},
        makespan_bound_s=0.93 * makespan,
        makespan_gap=1 / 0.93 - 1,
        exposure_bound_host_h=0.9 * exposure,
        exposure_gap=1 / 0.9 - 1,
        binding_resource="memory",
        predicted_blackout_ms=BlackoutSummary(
            p50=blackout.quantile(0.5), p99=blackout.quantile(0.99), max=blackout.max()
        ),
        deferred={"pinned-vm": deferred} if deferred else {},
        audit=AuditSummary(checked_rules=("host-capacity", "link-share", "hosts-out"), findings=()),
        planning_s=3.2,
    )
    return PlanHeader(
        id="0123456789abcdef",
        snapshot_digest="a" * 64,
        policy_digest="b" * 64,
        policy=POLICY,
        seed=seed,
        objective=POLICY.objective,
        summary=summary,
    )


def sample_report(plan: Plan, seed: int = 2, failed: int = 9) -> SampleReport:
    rng = np.random.default_rng(seed)
    count = len(plan.migrations)
    failed = min(failed, count)
    lost = np.zeros(count, dtype=bool)
    lost[rng.choice(count, failed, replace=False) if count else []] = True
    late = rng.gamma(2, 5, len(plan.hosts)) + plan.hosts["wave"].to_numpy() * 8.0
    hosts = plan.hosts.rename({name: f"planned_{name}" for name in ("drain_start_s", "drained_s", "return_s")})
    hosts = hosts.with_columns(
        state=pl.lit("returned"),
        reason=pl.lit(None, dtype=pl.String),
        drain_start_s=plan.hosts["drain_start_s"] + late,
        drained_s=plan.hosts["drained_s"] + late + 5,
        return_s=plan.hosts["return_s"] + late + rng.gamma(2, 10, len(plan.hosts)),
        released_s=pl.lit(None, dtype=pl.Float64),
        gone_vms=pl.lit(None, dtype=pl.Int32),
        remaining_vms=pl.lit(None, dtype=pl.Int32),
    )
    blackout = plan.migrations["predicted_blackout_ms"].to_numpy() * np.exp(rng.normal(0.04, 0.18, count))
    probed = pl.Series(blackout + rng.gamma(2, 3, count))
    done = pl.Series(~lost)
    start = plan.migrations["start_s"] + rng.gamma(2, 5, count)
    times = {name: f"planned_{name}" for name in ("notified_s", "start_s", "end_s")}
    names = ReportMigrationTable.column_names()
    table = plan.migrations.rename(times).with_columns(
        done=done,
        state=pl.when(done).then(pl.lit("done")).otherwise(pl.lit("failed")),
        attempts=pl.lit(1),
        error=pl.when(done).then(None).otherwise(pl.lit("target refused the connection")),
        failed_stage=pl.when(done).then(None).otherwise(pl.lit("connected")),
        notified_s=plan.migrations["notified_s"].cast(pl.Float64),
        start_s=start,
        end_s=plan.migrations["end_s"] + (start - plan.migrations["start_s"]),
        blackout_ms=pl.when(done).then(pl.Series(blackout)),
        probe_blackout_ms=pl.when(done).then(probed),
        probe_resolution_ms=pl.when(done).then(pl.lit(10.0)),
    )
    table = table.with_columns(pl.lit(None, dtype=pl.Float64).alias(n) for n in names if n not in table.columns)
    migrations = ReportMigrationTable.cast(table.select(names))
    return SampleReport(
        _summary(plan, hosts, migrations),
        ReportHostTable.cast(hosts.select(ReportHostTable.column_names())),
        migrations,
    )


def _summary(plan: Plan, hosts: pl.DataFrame, migrations: pl.DataFrame) -> CampaignSummary:
    figures = plan.header.summary
    end = float(hosts["return_s"].max() or 0.0)
    done = migrations.filter(pl.col("state") == "done")
    return CampaignSummary(
        campaign_id="c-2014-04-08",
        plan_id=plan.header.id,
        snapshot_digest="a" * 64,
        policy_name="urgent",
        simulated=True,
        seed=2,
        origin=ORIGIN,
        finished=True,
        end_s=end,
        hosts={"returned": len(hosts)},
        migrations=dict(sorted(migrations["state"].cast(pl.String).value_counts().iter_rows())),
        attempts=len(migrations),
        failed_attempts={"connected": len(migrations) - len(done)} if len(done) < len(migrations) else {},
        not_patched={},
        over_limits=OverLimits(
            hosts_out=(),
            blackouts=BlackoutsOver(count=2, longest_ms=612.0, longest_limit_ms=500.0) if len(done) else None,
        ),
        makespan=Makespan(planned_s=figures.makespan_s, bound_s=figures.makespan_bound_s, measured_s=end or None),
        exposure=Exposure(
            planned_host_h=figures.exposure_host_h,
            bound_host_h=figures.exposure_bound_host_h,
            measured_host_h=(float(hosts["return_s"].sum()) + len(plan.deferred) * end) / 3600,
        ),
        blackout=blackouts(migrations),
        counts_differ=counts_differ(migrations),
        restarts=restarts(migrations),
        execution_wall_s=21.4,
        ray=True,
        agents=2,
    )
