"""Campaigns as real hosts would have measured them, from figures that are known: what a calibration has to find."""

from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np
import polars as pl

from slacktide.datasets.schemas import DomainTable, HostTable, LinkTable, ServiceTable, VmTable
from slacktide.datasets.snapshot import FleetMeta, FleetSnapshot
from slacktide.executors.report_tables import ReportMigrationTable
from slacktide.planner.calibration import MeasuredCampaign
from slacktide.planner.plan import STRATEGIES
from slacktide.planner.policy import MigrationRules, Policy
from slacktide.planner.precopy import estimate

ORIGIN = datetime(2014, 4, 8, 20, tzinfo=UTC)
PLANNED = MigrationRules()


@dataclass(frozen=True)
class Truth:
    """How migrations of one pair of machine types really go."""

    setup_s: float = 3.4
    goodput: float = 0.8
    switchover_ms: float = 75.0
    forwarding_s: float = 0.6
    sent_share: float = 1.0
    sigma: float = 0.0
    """Of the logarithm of each figure's noise."""


@dataclass(frozen=True)
class Moves:
    """So many migrations from hosts of one type to hosts of another."""

    count: int
    truth: Truth = field(default_factory=Truth)
    source_type: str = "old"
    target_type: str = "old"


def measured_campaign(
    *moves: Moves, seed: int = 0, rules: MigrationRules = PLANNED, bandwidth_mbit_s: int = 1000, probed: bool = False
) -> MeasuredCampaign:
    """Return a campaign of idle and of busy guests, planned with ``rules``."""
    rng = np.random.default_rng(seed)
    types = sorted({name for move in moves for name in (move.source_type, move.target_type)})
    total = sum(move.count for move in moves)
    memory = rng.integers(2048, 16384, total)
    vms = _vms(memory, np.where(rng.random(total) < 0.5, 0.0, 2.0), np.where(rng.random(total) < 0.5, 0.0, 16.0))
    vms = vms.with_columns(host_id=pl.lit(f"{types[0]}-a"))
    parts, first = [], 0
    for move in moves:
        part = vms.slice(first, move.count)
        parts.append(_migrations(part, move, rules, bandwidth_mbit_s, rng, first))
        first += move.count
    table = pl.concat(parts)
    if not probed:
        table = table.with_columns(
            pl.lit(None, pl.Float64).alias(name) for name in ("probe_blackout_ms", "probe_resolution_ms")
        )
    table = table.with_columns(
        pl.lit(None, pl.Float64).alias(name) for name in ReportMigrationTable.column_names() if name not in table
    )
    snapshot = _snapshot(types, vms)
    policy = Policy(migration=rules)
    return MeasuredCampaign("campaign", ReportMigrationTable.validate(table, cast=True), snapshot, policy)


def _migrations(
    vms: pl.DataFrame,
    move: Moves,
    rules: MigrationRules,
    bandwidth_mbit_s: int,
    rng: np.random.Generator,
    first: int,
) -> pl.DataFrame:
    truth, rows = move.truth, vms.height

    def noise() -> np.ndarray:
        return np.exp(truth.sigma * rng.standard_normal(rows))

    memory, hot, dirty = (vms[name].to_numpy().astype(float) for name in ("memory_mib", "hot_mib", "dirty_mib_s"))
    said = estimate(memory, hot, dirty, 0, np.nan, bandwidth_mbit_s, rules)
    really = rules.model_copy(update={"goodput": truth.goodput})
    went = estimate(memory * truth.sent_share, hot, dirty, 0, np.nan, bandwidth_mbit_s, really)
    assert (went.strategy >= 0).all()
    sending_s = went.blackout_ms / 1000 - rules.switchover_ms / 1000
    brownout_s, blackout_ms = went.brownout_s * noise(), 1000 * sending_s + truth.switchover_ms * noise()
    setup_s, forwarding_s = truth.setup_s * noise(), truth.forwarding_s * noise()
    start_s = 100.0 * np.arange(rows)
    return pl.DataFrame(
        {
            "migration_id": [f"m{first + number:06}" for number in range(rows)],
            "vm_id": vms["vm_id"],
            "source": f"{move.source_type}-a",
            "target": f"{move.target_type}-b",
            "wave": 0,
            "strategy": [STRATEGIES[place] for place in said.strategy],
            "bandwidth_mbit_s": bandwidth_mbit_s,
            "after": [[]] * rows,
            "planned_notified_s": start_s.astype(int),
            "planned_start_s": start_s.astype(int),
            "planned_end_s": start_s.astype(int) + said.duration_s,
            "predicted_brownout_s": said.brownout_s,
            "predicted_blackout_ms": said.blackout_ms,
            "predicted_transfer_mib": said.transfer_mib,
            "state": "done",
            "attempts": 1,
            "error": None,
            "failed_stage": None,
            "notified_s": start_s,
            "start_s": start_s,
            "end_s": start_s + setup_s + brownout_s + blackout_ms / 1000 + forwarding_s,
            "reserve_s": 0.1 * setup_s,
            "prepare_s": 0.6 * setup_s,
            "connect_s": 0.3 * setup_s,
            "brownout_s": brownout_s,
            "blackout_ms": blackout_ms,
            "probe_blackout_ms": blackout_ms + 7,
            "probe_resolution_ms": 5.0,
            "forwarding_s": 0.8 * forwarding_s,
            "delete_s": 0.2 * forwarding_s,
            "transfer_mib": went.transfer_mib,
        },
        schema_overrides={"after": pl.List(pl.String), "error": pl.String, "failed_stage": pl.String},
    )


def _vms(memory_mib: np.ndarray, dirty_mib_s: np.ndarray, hot_mib: np.ndarray) -> pl.DataFrame:
    rows = len(memory_mib)
    return pl.DataFrame(
        {"vm_id": [f"vm{number:06}" for number in range(rows)], "host_id": "", "service_id": None, "vcpus": 1}
        | {
            "memory_mib": memory_mib,
            "used_mib": None,
            "dirty_mib_s": dirty_mib_s,
            "hot_mib": hot_mib,
            "local_disk_mib": 0,
        }
        | {"eviction": "live", "notice_s": 0, "blackout_limit_ms": None, "machine_types": None}
    )


def _snapshot(types: list[str], vms: pl.DataFrame) -> FleetSnapshot:
    hosts = pl.DataFrame(
        [
            {"host_id": f"{name}-{place}", "rack_id": "r", "machine_type": name, "vcpus": 999, "memory_mib": 2**30}
            | {"migration_mbit_s": 1000, "patch_level": "old", "maintenance_s": 60, "state": "active"}
            for name in types
            for place in "ab"
        ]
    )
    return FleetSnapshot(
        FleetMeta(taken_at=ORIGIN, source="made up", licence="none"),
        HostTable.cast(hosts),
        VmTable.cast(vms),
        ServiceTable.create_empty(),
        LinkTable.create_empty(),
        DomainTable.create_empty(),
    )
