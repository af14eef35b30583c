"""From a schedule of numbers to a plan of tables: names, waves, predictions, order and the figures of the summary."""

from dataclasses import replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from slacktide.planner.bounds import Bounds
from slacktide.planner.deferral import REMEDIES, Reason
from slacktide.planner.limits import resolved
from slacktide.planner.listing.decisions import Schedule
from slacktide.planner.plan import (
    STRATEGIES,
    AuditSummary,
    BlackoutSummary,
    DeferredTable,
    PlannedHostTable,
    PlannedMigrationTable,
    PlanSummary,
    WaveTable,
)
from slacktide.planner.precopy import MigrationEstimate, estimate, estimate_restart
from slacktide.planner.problem import Problem
from slacktide.planner.weights import THOUSANDTHS
from slacktide.units import SECONDS_PER_HOUR

Ints = NDArray[np.int64]

PLACES = ("vm_place", "source_place", "target_place")
"""Columns of migrations that are still being assembled: their VM and hosts as numbers of the problem."""
NO_WAVE = 2**31
"""Above every wave.  A VM that is under way from a host that is no longer to be drained counts to the first wave."""


def wave_numbers(problem: Problem, schedule: Schedule) -> Ints:
    """Return the wave of each scheduled host, in the schedule's order.

    Hosts that are evacuated are a wave of their own, the last by number.  Canary and strict waves are the schedule's
    own.  Waves that overlap are generations: a host belongs to the next wave once a host of the present one has
    returned, or the present one is full.
    """
    leaves = problem.hosts.evacuated[schedule.host]
    if leaves.any():
        wave = np.empty(len(schedule.host), np.int64)
        wave[~leaves] = wave_numbers(problem, schedule.part(~leaves))
        wave[leaves] = wave[~leaves].max(initial=-1) + 1
        return wave
    gates = problem.policy.gates
    if gates.kind != "pipelined":
        return _without_gaps(schedule.wave)
    selected = int(problem.selected.sum())
    canary = resolved(problem.policy.canary.hosts, selected) > 0
    most = len(schedule.host) if gates.max_wave_hosts is None else max(1, resolved(gates.max_wave_hosts, selected))
    wave = np.empty(len(schedule.host), np.int64)
    number, members, first_return_s = -1, 0, 0
    for at in np.lexsort((schedule.host, schedule.drain_start_s, schedule.wave)).tolist():
        if canary and schedule.wave[at] == 0:
            fresh = number < 0
        else:
            fresh = number < canary or members >= most or schedule.drain_start_s[at] >= first_return_s
        if fresh:
            number, members, first_return_s = number + 1, 0, int(schedule.return_s[at])
        wave[at] = number
        members += 1
        first_return_s = min(first_return_s, int(schedule.return_s[at]))
    return wave


def _without_gaps(wave: Ints) -> Ints:
    return np.unique(wave, return_inverse=True)[1].astype(np.int64)


def host_frame(problem: Problem, schedule: Schedule, wave: Ints) -> pl.DataFrame:
    """Return the plan's hosts, sorted by id."""
    names = pl.Series(problem.hosts.ids, dtype=pl.String)
    frame = pl.DataFrame(
        {
            "host_id": names.gather(schedule.host),
            "wave": wave,
            "drain_start_s": schedule.drain_start_s,
            "drained_s": schedule.drained_s,
            "return_s": schedule.return_s,
        }
    )
    return PlannedHostTable.validate(frame.sort("host_id"), cast=True)


def migration_frame(problem: Problem, schedule: Schedule, wave: Ints) -> pl.DataFrame:
    """Return the plan's migrations, numbered by start, with what the pre-copy model predicts of each."""
    frame = nameless_migrations(problem, schedule, wave)
    return in_order(frame.with_columns(migration_id=numbered(1, frame.height, len(str(frame.height)))))


def numbered(first: int, count: int, digits: int) -> pl.Series:
    """Return ids of ``count`` migrations, with six digits or more."""
    return "m" + pl.Series(range(first, first + count), dtype=pl.Int64).cast(pl.String).str.zfill(max(6, digits))


def nameless_migrations(problem: Problem, schedule: Schedule, wave: Ints) -> pl.DataFrame:
    """Return the plan's migrations by start, by name and number, without ids and what each comes after."""
    hosts, vms = problem.hosts, problem.vms
    host_names = pl.Series(hosts.ids, dtype=pl.String)
    of_host = np.full(len(hosts.ids), wave.min(initial=NO_WAVE) % NO_WAVE)
    of_host[schedule.host] = wave
    order = np.lexsort((schedule.vm, schedule.start_s))
    vm, rate = schedule.vm[order], schedule.rate[order]
    model = predictions(problem, vm, vms.rates_mbit_s[rate])
    return pl.DataFrame(
        {
            "vm_id": pl.Series(vms.ids, dtype=pl.String).gather(vm),
            "source": host_names.gather(schedule.source[order]),
            "target": host_names.gather(schedule.target[order]),
            "wave": of_host[schedule.source[order]],
            "notified_s": schedule.start_s[order] - vms.notice_s[vm],
            "start_s": schedule.start_s[order],
            "end_s": schedule.end_s[order],
            "bandwidth_mbit_s": vms.rates_mbit_s[rate],
            "predicted_brownout_s": model.brownout_s,
            "predicted_blackout_ms": model.blackout_ms,
            "predicted_transfer_mib": model.transfer_mib,
            "strategy": pl.Series(STRATEGIES).gather(model.strategy),
            **dict(zip(PLACES, (vm, schedule.source[order], schedule.target[order]), strict=True)),
        }
    )


def in_order(frame: pl.DataFrame) -> pl.DataFrame:
    """Return migrations, which are sorted by id, with those that each comes after."""
    return PlannedMigrationTable.validate(frame.with_columns(after=_predecessors(frame)), cast=True)


def predictions(problem: Problem, vm: Ints, bandwidth_mbit_s: Ints) -> MigrationEstimate:
    """Return what the pre-copy model says of moves of ``vm`` at ``bandwidth_mbit_s``, both of shape (moves,)."""
    vms, rules = problem.vms, problem.policy.migration
    model = estimate(
        vms.sent_mib[vm],
        vms.hot_mib[vm],
        vms.dirty_mib_s[vm],
        vms.local_disk_mib[vm],
        vms.blackout_limit_ms[vm],
        np.maximum(bandwidth_mbit_s, 1),
        rules,
    )
    cold = vms.restart[vm]
    if not cold.any():
        return model
    restart = estimate_restart(vms.local_disk_mib[vm[cold]], np.maximum(bandwidth_mbit_s[cold], 1), rules)
    changed = {}
    for name in ("strategy", "duration_s", "brownout_s", "blackout_ms", "transfer_mib"):
        changed[name] = getattr(model, name).copy()
        changed[name][cold] = getattr(restart, name)
    return replace(model, **changed)


def _predecessors(frame: pl.DataFrame) -> pl.Series:
    """Return for each migration those that free its VM, its source's NIC and its target's NIC last before its start.

    Of several that end at once the one with the last id.
    """
    starts_s, ends_s = (frame[name].cast(pl.Int64).to_numpy() for name in ("start_s", "end_s"))
    before = np.stack([_last_before(frame[place].to_numpy(), starts_s, ends_s) for place in PLACES], axis=1)
    none = frame.height
    row = np.sort(np.where(before < 0, none, before), axis=1)
    row[:, 1:][row[:, 1:] == row[:, :-1]] = none
    row.sort(axis=1)
    three = frame["migration_id"].extend_constant(None, 1).gather(row.ravel()).reshape(row.shape).arr.to_list()
    found = pl.DataFrame({"three": three, "count": (row < none).sum(axis=1)})
    return found.select(pl.col("three").list.head("count")).to_series()


def _last_before(number: Ints, starts_s: Ints, ends_s: Ints) -> Ints:
    """Return for each row the row of the same number that ends last by its start, the last of several, -1: none."""
    span_s = int(ends_s.max(initial=0)) + 1
    before = np.full(len(number), -1)
    rows = np.flatnonzero(np.bincount(number + 1)[number + 1] > 1)
    ended = number[rows] * span_s + ends_s[rows]
    order = np.argsort(ended, kind="stable")
    wanted = number[rows] * span_s + np.minimum(starts_s[rows], span_s - 1)
    at = np.searchsorted(ended[order], wanted, side="right") - 1
    row = rows[order[at]]
    found = (at >= 0) & (number[row] == number[rows])
    before[rows[found]] = row[found]
    return before


def wave_frame(problem: Problem, hosts: pl.DataFrame, migrations: pl.DataFrame) -> pl.DataFrame:
    """Return the plan's waves, summed up from its hosts and migrations."""
    canary = resolved(problem.policy.canary.hosts, int(problem.selected.sum())) > 0
    counts = migrations.group_by("wave").agg(migrations=pl.len())
    apart = hosts.filter(pl.col("host_id").is_in(list(problem.policy.evacuate)))["wave"].unique()
    frame = (
        hosts.group_by("wave")
        .agg(start_s=pl.col("drain_start_s").min(), end_s=pl.col("return_s").max(), hosts=pl.len())
        .join(counts, on="wave", how="left")
        .with_columns(
            pl.col("migrations").fill_null(0),
            gate=pl.when(pl.col("wave") == 0)
            .then(pl.lit("approval" if problem.policy.approve_start else "start"))
            .when(pl.col("wave").is_in(apart.implode()))
            .then(pl.lit("start"))
            .when((pl.col("wave") == 1) & canary)
            .then(pl.lit("canary"))
            .otherwise(pl.lit(problem.policy.gates.kind)),
        )
        .select("wave", "gate", "start_s", "end_s", "hosts", "migrations")
        .sort("wave")
    )
    return WaveTable.validate(frame, cast=True)


def deferred_frame(problem: Problem, schedule: Schedule) -> pl.DataFrame:
    """Return the due hosts that the plan leaves alone, with reason, detail and remedy."""
    rows = [(problem.hosts.ids[host], reason, detail) for host, reason, detail in problem.deferred]
    planned = np.zeros(len(problem.hosts.ids), bool)
    planned[schedule.host] = True
    left = np.flatnonzero((problem.hosts.due | problem.hosts.evacuated) & ~planned)
    of_left = np.isin(problem.vms.host, left)
    for host in left.tolist():
        forbidden = [problem.out.names[group] for group in problem.out.group[host] if problem.out.limit[group] == 0]
        if forbidden:
            detail = f"`max_out` lets no host out in {' '.join(dict.fromkeys(forbidden[0]))}"
            rows.append((problem.hosts.ids[host], Reason.HOSTS_OUT, detail))
            continue
        demand = problem.vms.demand[of_left & (problem.vms.host == host)]
        size = f"{int(demand[:, 0].sum())} vCPUs, {int(demand[:, 1].sum()):,} MiB"
        detail = (
            f"its {len(demand)} VMs ({size}) found no targets that keep the reserve, the services' spread and the "
            "links' shares"
        )
        if not len(demand):
            detail = "it has no VM; without it too little would be free for the reserve"
        rows.append((problem.hosts.ids[host], Reason.NO_ROOM, detail))
    frame = pl.DataFrame(
        [(host, str(reason), detail, REMEDIES[reason]) for host, reason, detail in sorted(rows)],
        schema={"host_id": pl.String, "reason": pl.String, "detail": pl.String, "remedy": pl.String},
        orient="row",
    )
    return DeferredTable.validate(frame)


def figures(
    problem: Problem, schedule: Schedule, bounds: Bounds, tables: dict[str, pl.DataFrame], planning_s: float
) -> PlanSummary:
    """Return the plan's figures beside their bounds; the audit is still to be filled in."""
    vms = int(np.isin(problem.vms.host, schedule.host).sum())
    evacuated = int(problem.hosts.evacuated[schedule.host].sum())
    migrations, deferred = tables["migrations"], tables["deferred"]
    exposure_h = exposure_s(problem, schedule) / SECONDS_PER_HOUR
    exposure_bound_h = bounds.exposure_s / SECONDS_PER_HOUR
    live = migrations.filter(pl.col("strategy") != "restart")
    return PlanSummary(
        hosts=len(schedule.host) - evacuated,
        evacuated=evacuated,
        vms=vms,
        waves=tables["waves"].height,
        migrations=migrations.height,
        moves_per_vm=migrations.height / vms if vms else 0.0,
        makespan_s=schedule.makespan_s,
        exposure_host_h=exposure_h,
        bounds=dict(sorted(bounds.makespan_s.items())),
        makespan_bound_s=bounds.best_s,
        makespan_gap=_gap(schedule.makespan_s, bounds.best_s),
        exposure_bound_host_h=exposure_bound_h,
        exposure_gap=_gap(exposure_h, exposure_bound_h),
        **_weighted(problem, schedule, bounds),
        binding_resource=bounds.binding_resource,
        predicted_blackout_ms=BlackoutSummary.over(live["predicted_blackout_ms"]),
        deferred={reason: int(count) for reason, count in sorted(deferred["reason"].value_counts().iter_rows())},
        audit=AuditSummary(checked_rules=(), findings=()),
        planning_s=planning_s,
    )


def exposure_s(problem: Problem, schedule: Schedule) -> int:
    """Return unpatched host-seconds: return times, and the makespan for each host left alone."""
    patched = ~problem.hosts.evacuated[schedule.host]
    left_alone = int(problem.selected.sum()) - int(patched.sum())
    return int(schedule.return_s[patched].sum()) + left_alone * schedule.makespan_s


def weighted_exposure_s(problem: Problem, schedule: Schedule) -> float:
    """Return unpatched host-seconds, each host's times its weight; whole thousandths."""
    planned = np.zeros(len(problem.hosts.ids), bool)
    planned[schedule.host] = True
    left_alone = int(problem.hosts.weight[problem.selected & ~planned].sum())
    weight = np.where(problem.hosts.evacuated, 0, problem.hosts.weight)[schedule.host]
    returned = int(np.dot(weight, schedule.return_s))
    return (returned + left_alone * schedule.makespan_s) / THOUSANDTHS


def _weighted(problem: Problem, schedule: Schedule, bounds: Bounds) -> dict[str, float]:
    """Return the figures that only a policy with weights has."""
    if not problem.policy.weights:
        return {}
    value_h = weighted_exposure_s(problem, schedule) / SECONDS_PER_HOUR
    bound_h = bounds.weighted_exposure_s / SECONDS_PER_HOUR
    return {
        "weighted_exposure_host_h": value_h,
        "weighted_exposure_bound_host_h": bound_h,
        "weighted_exposure_gap": _gap(value_h, bound_h),
    }


def _gap(value: float, bound: float) -> float:
    return (value - bound) / bound if bound > 0 else 0.0
