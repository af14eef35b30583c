"""What a revision shares with its parent: numbers of waves, names of migrations, and the count of what differs."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from slacktide.datasets.snapshot import FleetSnapshot
from slacktide.planner.limits import resolved
from slacktide.planner.listing.decisions import Schedule
from slacktide.planner.plan import Changes, Plan
from slacktide.planner.problem import Problem, positions
from slacktide.planner.progress import Progress

Ints = NDArray[np.int64]

SAME_MOVE = ("vm_id", "source", "target", "start_s", "end_s", "bandwidth_mbit_s")
"""What makes a migration of a revision its parent's."""


def wave_numbers(problem: Problem, schedule: Schedule, parent: Plan, selected: int, canary_passed: bool) -> Ints:
    """Return the wave of each scheduled host: the parent's, or a new one behind all of the parent's.

    Waves that wait for each other are numbered in their order, with the parent's numbers wherever these leave room.
    """
    known = np.full(len(problem.hosts.ids), -1, np.int64)
    place = positions(parent.hosts["host_id"], problem.hosts.ids)
    known[place[place >= 0]] = parent.hosts["wave"].cast(pl.Int64).to_numpy()[place >= 0]
    before = known[schedule.host]
    if problem.policy.gates.kind != "pipelined":
        return _in_order(schedule, before)
    wave = before.copy()
    most = _most_hosts(problem, selected)
    if not canary_passed:
        wave[schedule.wave == 0] = 0
        wave[(schedule.wave > 0) & (before == 0)] = -1
    fresh = np.flatnonzero(wave < 0)
    fresh = fresh[np.argsort(schedule.drain_start_s[fresh], kind="stable")]
    first = int(max(known.max(initial=0), 0)) + 1
    wave[fresh] = first + np.arange(len(fresh)) // most
    return wave


def _in_order(schedule: Schedule, before: Ints) -> Ints:
    """Return the numbers of waves that wait for each other: rising in their order, the parent's where possible."""
    numbers = np.empty(len(schedule.host), np.int64)
    last = -1
    for wave in np.unique(schedule.wave).tolist():
        members = schedule.wave == wave
        known, count = np.unique(before[members & (before >= 0)], return_counts=True)
        last = max(last + 1, int(known[np.argmax(count)]) if len(known) else 0)
        numbers[members] = last
    return numbers


def _most_hosts(problem: Problem, selected: int) -> int:
    limit = problem.policy.gates.max_wave_hosts
    return max(1, selected) if limit is None else max(1, resolved(limit, selected))


def named_as_before(frame: pl.DataFrame, parent: Plan, progress: Progress, first_new_id: int) -> pl.DataFrame:
    """Return a revision's migrations with the parent's ids where they are the parent's, and new ones elsewhere.

    Of those under way all but their times is as the parent says.
    """
    running = progress.migrations.filter(pl.col("state") == "running").select("migration_id")
    facts = parent.migrations.join(running, on="migration_id", how="semi")
    ahead = parent.migrations.join(progress.migrations, on="migration_id", how="anti")
    under_way = frame.filter(pl.col("start_s") < progress.at_s)
    kept_columns = [name for name in facts.columns if name not in ("wave", "start_s", "end_s", "after")]
    under_way = under_way.select("vm_id", "wave", "start_s", "end_s").join(
        facts.select(kept_columns), on="vm_id", how="left"
    )
    later = frame.filter(pl.col("start_s") >= progress.at_s).drop("migration_id")
    later = later.join(ahead.select("migration_id", *SAME_MOVE), on=SAME_MOVE, how="left", maintain_order="left")
    fresh = later["migration_id"].is_null()
    width = len(parent.migrations["migration_id"][0]) - 1 if parent.migrations.height else 6
    numbers = first_new_id + fresh.cast(pl.Int64).cum_sum() - 1
    new_names = ("m" + numbers.cast(pl.String).str.zfill(max(6, width))).alias("new_name")
    later = later.with_columns(new_names).with_columns(migration_id=pl.coalesce("migration_id", "new_name"))
    columns = [name for name in frame.columns if name != "after"]
    later = later.select(columns)
    return pl.concat([under_way.select(columns).cast(later.schema), later]).sort("migration_id")


def changes_of(parent: Plan, progress: Progress, tables: dict[str, pl.DataFrame], snapshot: FleetSnapshot) -> Changes:
    """Return the counts of what a revision keeps and changes."""
    started = progress.migrations.filter(pl.col("state") != "failed").select("migration_id")
    promised = parent.migrations.join(started, on="migration_id", how="anti")
    planned = tables["migrations"].filter(pl.col("start_s") >= progress.at_s)
    kept = planned.join(promised.select(SAME_MOVE), on=SAME_MOVE, how="semi").height
    journey = ("vm_id", "source")
    both = planned.join(promised.select(*journey, before="target"), on=journey, how="inner")
    same_target = both.filter(pl.col("target") == pl.col("before")).height
    times = ("host_id", "drain_start_s", "return_s")
    out = progress.hosts.filter(pl.col("state") == "out")
    hosts = tables["hosts"]
    ahead = hosts.join(out, on="host_id", how="anti")
    down = snapshot.hosts.filter(pl.col("state").cast(pl.String).is_in(["down", "quarantined"]))
    known_ahead = ahead.join(parent.hosts, on="host_id", how="semi").height
    hosts_kept = ahead.join(parent.hosts, on=times, how="semi").height
    return Changes(
        moves_under_way=tables["migrations"].height - planned.height,
        moves_kept=kept,
        moves_led_elsewhere=both.height - same_target,
        moves_rescheduled=same_target - kept,
        moves_new=planned.height - both.height,
        moves_dropped=promised.join(planned, on=journey, how="anti").height,
        hosts_under_way=hosts.height - ahead.height,
        hosts_kept=hosts_kept,
        hosts_changed=known_ahead - hosts_kept,
        hosts_new=ahead.height - known_ahead,
        hosts_deferred=tables["deferred"].join(parent.hosts, on="host_id", how="semi").height,
        stranded_vms=snapshot.vms.join(down, on="host_id", how="semi").height,
    )
