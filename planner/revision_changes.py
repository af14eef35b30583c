"""What a revision shares with its parent: numbers of waves, names of migrations, and the count of what differs."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from slacktide.datasets.snapshot import FleetSnapshot
from slacktide.planner.assembly import PLACES, numbered
from slacktide.planner.limits import resolved
from slacktide.planner.listing.decisions import Schedule
from slacktide.planner.plan import Changes, Plan, StrandedVm
from slacktide.planner.problem import Problem, positions
from slacktide.planner.progress import Progress
from slacktide.planner.situation import Situation

Ints = NDArray[np.int64]

SAME_MOVE = (*PLACES, "start_s", "end_s", "bandwidth_mbit_s")
"""What makes a migration of a revision its parent's."""


def wave_numbers(problem: Problem, schedule: Schedule, situation: Situation) -> Ints:
    """Return the wave of each scheduled host: the parent's, or a new one behind all of the parent's.

    Hosts that are evacuated are a new wave of their own, the last by number.  Waves that wait for each other are
    numbered in their order, with the parent's numbers wherever these leave room.  Others lose the hosts that are too
    many for them, as far as these have not left.
    """
    parent, leaves = situation.parent.hosts, problem.hosts.evacuated[schedule.host]
    if leaves.any():
        wave = np.empty(len(schedule.host), np.int64)
        wave[~leaves] = wave_numbers(problem, schedule.part(~leaves), situation)
        wave[leaves] = max(wave[~leaves].max(initial=-1), parent["wave"].cast(pl.Int64).to_numpy().max(initial=-1)) + 1
        return wave
    known = np.full(len(problem.hosts.ids), -1, np.int64)
    place = positions(parent["host_id"], problem.hosts.ids)
    known[place[place >= 0]] = parent["wave"].cast(pl.Int64).to_numpy()[place >= 0]
    before = known[schedule.host]
    if problem.policy.gates.kind != "pipelined":
        return _in_order(schedule, before, situation.canary_due)
    wave = before.copy()
    most = _most_hosts(problem, situation.selected)
    wave[_too_many(schedule, before, situation, most)] = -1
    if situation.canary_due:
        wave[schedule.wave == 0] = 0
        wave[(schedule.wave > 0) & (before == 0)] = -1
    fresh = np.flatnonzero(wave < 0)
    fresh = fresh[np.argsort(schedule.drain_start_s[fresh], kind="stable")]
    first = int(max(known.max(initial=0), 0)) + 1
    wave[fresh] = first + np.arange(len(fresh)) // most
    return wave


def _too_many(schedule: Schedule, before: Ints, situation: Situation, most: int) -> NDArray[np.bool_]:
    """Return the hosts still to leave that are behind the first ``most`` of their wave, those back included."""
    progress = situation.progress
    back = situation.parent.hosts.join(progress.hosts.filter(pl.col("state") == "returned"), on="host_id", how="semi")
    gone = np.bincount(back["wave"].cast(pl.Int64).to_numpy(), minlength=int(before.max(initial=0)) + 1)
    order = np.lexsort((schedule.drain_start_s, before))
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order)) - np.searchsorted(before[order], before[order])
    return (before >= 0) & (schedule.drain_start_s >= progress.at_s) & (rank + gone[before] >= most)


def _in_order(schedule: Schedule, before: Ints, canary_due: bool) -> Ints:
    """Return the numbers of waves that wait for each other: rising in their order, the parent's where possible.

    A canary that is due is wave 0, whichever hosts it has.
    """
    numbers = np.empty(len(schedule.host), np.int64)
    last = -1
    for wave in np.unique(schedule.wave).tolist():
        members = schedule.wave == wave
        known, count = np.unique(before[members & (before >= 0)], return_counts=True)
        last = max(last + 1, int(known[np.argmax(count)]) if len(known) and not (canary_due and wave == 0) else 0)
        numbers[members] = last
    return numbers


def _most_hosts(problem: Problem, selected: int) -> int:
    limit = problem.policy.gates.max_wave_hosts
    return max(1, selected) if limit is None else max(1, resolved(limit, selected))


def named_as_before(
    frame: pl.DataFrame, parent: Plan, moves: pl.DataFrame, at_s: int, first_new_id: int
) -> pl.DataFrame:
    """Return a revision's migrations with the parent's ids where they lead the same way, and new ones elsewhere.

    ``moves`` are the parent's by number.  Of those under way all but their times is as the parent says.  Guests that
    have been notified of a move that is made at another time now were notified when they were.
    """
    facts = parent.migrations.filter((moves["state"] == "running").fill_null(False))
    ahead = moves.filter(pl.col("state").is_null())
    under_way = frame.filter(pl.col("start_s") < at_s)
    kept_columns = [name for name in facts.columns if name not in ("wave", "start_s", "end_s", "after")]
    under_way = under_way.select("vm_id", *PLACES, "wave", "start_s", "end_s").join(
        facts.select(kept_columns), on="vm_id", how="left"
    )
    later = _known_as_before(frame.filter(pl.col("start_s") >= at_s), ahead)
    again = pl.col("vm_id").is_in(under_way["vm_id"].implode()) | ~pl.col("vm_id").is_first_distinct()
    told = pl.col("told_s").is_not_null() & ~again
    width = len(parent.migrations["migration_id"][0]) - 1 if parent.migrations.height else 6
    fresh = numbered(first_new_id, later["migration_id"].null_count(), width)
    row = np.cumsum(later["migration_id"].is_null().to_numpy()) - 1
    later = later.with_columns(
        migration_id=pl.col("migration_id").fill_null(fresh.gather(np.maximum(row, 0)))
        if len(fresh)
        else "migration_id",
        notified_s=pl.when(told).then(pl.min_horizontal("notified_s", "told_s")).otherwise("notified_s"),
    ).drop("told_s")
    return pl.concat([under_way.select(later.columns).cast(later.schema), later]).sort("migration_id")


def _known_as_before(moves: pl.DataFrame, ahead: pl.DataFrame) -> pl.DataFrame:
    """Return moves with the ids, and the notices, of those ``ahead`` that lead the same VM the same way, or none.

    No VM goes from one host to another twice: a host is drained once.
    """
    known = ahead.select(*PLACES, "migration_id", "told_s").unique(PLACES, keep="first")
    return moves.join(known, on=PLACES, how="left", maintain_order="left")


def same_move(moves: pl.DataFrame, others: pl.DataFrame) -> Ints:
    """Return for each of ``moves`` which of ``others`` is the same, -1: none; a VM starts one at a time."""
    count = 2 + int(max(frame["vm_place"].to_numpy().max(initial=0) for frame in (moves, others)))
    key, known = (frame["start_s"].to_numpy() * count + frame["vm_place"].to_numpy() + 1 for frame in (moves, others))
    order = np.append(np.argsort(known, kind="stable"), -1)
    row = order[np.searchsorted(known[order[:-1]], key)]
    same = row >= 0
    for name in SAME_MOVE if others.height else ():
        same &= moves[name].to_numpy() == others[name].to_numpy()[row]
    return np.where(same, row, -1)


def changes_of(
    parent: Plan,
    progress: Progress,
    moves: pl.DataFrame,
    named: pl.DataFrame,
    tables: dict[str, pl.DataFrame],
    snapshot: FleetSnapshot,
) -> Changes:
    """Return the counts of what a revision keeps and changes: of the parent's ``moves``, in its ``named`` ones."""
    promised = moves.filter(pl.col("state").is_null() | (pl.col("state") == "failed")).select(SAME_MOVE)
    planned = named.filter(pl.col("start_s") >= progress.at_s).select(SAME_MOVE)
    kept = int(np.count_nonzero(same_move(planned, promised) >= 0))
    journey = (pl.col("vm_place") + 1) * (len(snapshot.hosts) + 1) + pl.col("source_place") + 1
    before, after = (moves.select("target_place", journey=journey) for moves in (promised, planned))
    both = after.join(before, on="journey", how="inner", suffix="_before")
    same_target = both.filter(pl.col("target_place") == pl.col("target_place_before")).height
    times = ("host_id", "drain_start_s", "return_s")
    out = progress.hosts.filter(pl.col("state") == "out")
    hosts = tables["hosts"]
    ahead = hosts.join(out, on="host_id", how="anti")
    known_ahead = ahead.join(parent.hosts, on="host_id", how="semi").height
    hosts_kept = ahead.join(parent.hosts, on=times, how="semi").height
    return Changes(
        moves_under_way=tables["migrations"].height - planned.height,
        moves_kept=kept,
        moves_led_elsewhere=both.height - same_target,
        moves_rescheduled=same_target - kept,
        moves_new=planned.height - both.height,
        moves_dropped=before.join(after, on="journey", how="anti").height,
        hosts_under_way=hosts.height - ahead.height,
        hosts_kept=hosts_kept,
        hosts_changed=known_ahead - hosts_kept,
        hosts_new=ahead.height - known_ahead,
        hosts_deferred=tables["deferred"].join(parent.hosts, on="host_id", how="semi").height,
        stranded_vms=len(stranded_in(snapshot)),
    )


def stranded_in(snapshot: FleetSnapshot) -> tuple[StrandedVm, ...]:
    """Return the VMs on hosts that are down or quarantined, by host and id."""
    down = snapshot.hosts.filter(pl.col("state").cast(pl.String).is_in(["down", "quarantined"]))
    vms = snapshot.vms.join(down, on="host_id", how="semi").sort("host_id", "vm_id")
    return tuple(StrandedVm(vm_id=vm, host_id=host) for vm, host in vms.select("vm_id", "host_id").iter_rows())
