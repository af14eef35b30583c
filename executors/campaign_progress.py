"""How far a campaign has got with its plan, as a revision wants to know it."""

from math import floor
from pathlib import Path

import numpy as np
import polars as pl

from slacktide.datasets.snapshot import FleetSnapshot
from slacktide.errors import InputError
from slacktide.executors.campaign_state import RUNNING_STAGES, CampaignState, HostStage
from slacktide.executors.changeover import Course
from slacktide.executors.events import Stage
from slacktide.executors.standing import standing_in
from slacktide.executors.store.reading import JournalReader
from slacktide.executors.vm_state import strays
from slacktide.planner.plan import Plan
from slacktide.planner.progress import HOST_STATES, MOVE_STATES, Progress

PATCHING_STAGES = (HostStage.DRAINED, HostStage.PATCH_INTENDED, HostStage.PATCHING)


def journaled_standing(
    snapshot: FleetSnapshot, plan: Plan, journal: JournalReader, directory: Path
) -> tuple[Course, CampaignState]:
    """Return what the campaign in a journal, which is closed, carries out at its last event, and where it stands.

    Parameters
    ----------
    plan
        The plan that it began with.
    directory
        The campaign's, which has its revisions.

    Raises
    ------
    InputError
        If it is a campaign of another plan.
    ExecutionError
        If a revision that it has gone over to is not there.
    """
    try:
        if journal.record.plan_id != plan.header.id:
            fact = f"is a campaign of plan {journal.record.plan_id}, not of {plan.header.id}"
            raise InputError(str(directory), fact, "Give the plan that it began with")
        return standing_in(directory, snapshot, plan, journal.read())
    finally:
        journal.close()


def progress_of(
    snapshot: FleetSnapshot, plan: Plan, state: CampaignState, now_s: float = 0.0
) -> tuple[Progress, tuple[str, ...]]:
    """Return the progress of a campaign just after its last event, or after ``now_s``, and the hosts that it has lost.

    What takes longer than planned is expected to end with the next second: nobody knows better.  Of a campaign that has
    gone over to a revision it is the progress of that: what was over before is in no table.
    """
    at_s = floor(max(state.end_s, now_s)) + 1
    planned = plan.migrations["migration_id"].implode()
    moves = _moves(plan, state, at_s).filter(pl.col("migration_id").is_in(planned))
    hosts = _hosts(snapshot, plan, state, moves, at_s)
    hosts = hosts.filter(pl.col("host_id").is_in(plan.hosts["host_id"].implode()))
    lost = [state.program.hosts.ids[host] for host in np.flatnonzero(state.host_stage == HostStage.LOST).tolist()]
    told = _notified(state).filter(pl.col("migration_id").is_in(planned))
    return Progress(at_s, moves, hosts, told), tuple(lost)


def evacuated_hosts(state: CampaignState) -> tuple[str, ...]:
    """Return the hosts that are evacuated and empty."""
    gone = np.flatnonzero(state.host_stage == HostStage.EVACUATED).tolist()
    return tuple(state.program.hosts.ids[host] for host in gone)


def _notified(state: CampaignState) -> pl.DataFrame:
    told_s = state.times[:, Stage.NOTIFIED]
    return pl.DataFrame(
        {
            "migration_id": pl.Series(state.program.migrations.ids, dtype=pl.String),
            "notified_s": np.ceil(np.nan_to_num(told_s)).astype(np.int64),
        }
    ).filter(pl.Series(~np.isnan(told_s), dtype=pl.Boolean))


def _moves(plan: Plan, state: CampaignState, at_s: int) -> pl.DataFrame:
    stage = state.stage
    running = np.isin(stage, RUNNING_STAGES)
    names = np.where(stage == Stage.DONE, "done", np.where(running, "running", "failed"))
    tried = (stage == Stage.FAILED) | ((stage == Stage.GIVEN_UP) & (state.attempts > 0))
    listed = running | (stage == Stage.DONE) | tried
    known = pl.DataFrame(
        {
            "migration_id": pl.Series(state.program.migrations.ids, dtype=pl.String),
            "state": names,
            "begun_s": np.nan_to_num(state.times[:, Stage.INTENDED]),
            "done_s": np.nan_to_num(state.times[:, Stage.DONE]),
        }
    ).filter(pl.Series(listed, dtype=pl.Boolean))
    lasts_s = plan.migrations.select("migration_id", lasts_s=pl.col("end_s") - pl.col("start_s"))
    ends = pl.max_horizontal((pl.col("begun_s") + pl.col("lasts_s")).ceil().cast(pl.Int64), pl.lit(at_s + 1))
    done = pl.col("done_s").ceil().cast(pl.Int64)
    return known.join(lasts_s, on="migration_id", how="left", maintain_order="left").select(
        "migration_id",
        state=pl.col("state").cast(pl.Enum(MOVE_STATES)),
        start_s=pl.col("begun_s").floor().cast(pl.Int64),
        end_s=pl.when(pl.col("state") == "running").then(ends).otherwise(done),
    )


def _hosts(snapshot: FleetSnapshot, plan: Plan, state: CampaignState, moves: pl.DataFrame, at_s: int) -> pl.DataFrame:
    stage, times = state.host_stage, np.nan_to_num(state.host_times)
    table = pl.DataFrame(
        {
            "host_id": pl.Series(state.program.hosts.ids, dtype=pl.String),
            "returned": stage == HostStage.RETURNED,
            "draining": stage == HostStage.DRAINING,
            "patching": np.isin(stage, PATCHING_STAGES),
            "drain_start_s": np.floor(times[:, HostStage.DRAINING]).astype(np.int64),
            "drained_s": np.ceil(times[:, HostStage.DRAINED]).astype(np.int64),
            "patch_s": np.ceil(times[:, HostStage.PATCHING]).astype(np.int64),
            "back_s": np.ceil(times[:, HostStage.RETURNED]).astype(np.int64),
        }
    ).filter(pl.col("returned") | pl.col("draining") | pl.col("patching"))
    under_way = moves.filter(pl.col("state") != "failed")
    leaving = (
        plan.migrations.select("migration_id", host_id="source")
        .join(under_way, on="migration_id", how="left")
        .group_by("host_id")
        .agg(to_come=pl.col("state").is_null().any(), last_s=pl.col("end_s").max())
    )
    needs = snapshot.hosts.select("host_id", "maintenance_s")
    full = table.join(leaving, on="host_id", how="left").join(needs, on="host_id", how="left").sort("host_id")
    stray = pl.col("host_id").is_in(sorted({state.program.hosts.ids[each.host] for each in strays(state)}))
    to_come = pl.col("draining") & (pl.col("to_come").fill_null(False) | stray)
    drained = pl.when("draining").then(pl.col("last_s").fill_null(at_s)).otherwise("drained_s")
    back = pl.max_horizontal(pl.lit(at_s + 1), pl.max_horizontal(drained, "patch_s") + pl.col("maintenance_s"))
    return full.select(
        "host_id",
        state=pl.when("returned").then(pl.lit("returned")).otherwise(pl.lit("out")).cast(pl.Enum(HOST_STATES)),
        drain_start_s="drain_start_s",
        drained_s=pl.when(~to_come).then(drained),
        return_s=pl.when("returned").then("back_s").when(~to_come).then(back),
    )
