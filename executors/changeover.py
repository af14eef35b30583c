"""From one plan to its revision while the campaign runs: one program of what is over and of what the revision holds.

Pure.  The program that a campaign goes on with joins two things: rows of before that are over, or that the revision
does not hold although they had begun, and the revision's own rows.  What is under way is in the revision, under the
same ids, so that all that is known of it is carried over by id.

Rows of before that had begun and are not in the revision are still open in the joined program; the scheduler gives them
up with its next decision (reason ``revised``), as it would after a crash.
"""

from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from slacktide.datasets.snapshot import FleetSnapshot
from slacktide.errors import ExecutionError
from slacktide.executors.campaign_state import OUT_STAGES, CampaignState, HostStage, initial_state
from slacktide.executors.control_events import PlanRevised
from slacktide.executors.events import Stage
from slacktide.executors.gates import Gates
from slacktide.executors.joined_plans import joined_plan, shown_plan
from slacktide.executors.journal import Entry
from slacktide.executors.numbering import Ints
from slacktide.executors.order_state import asked
from slacktide.executors.program import Program, build_program
from slacktide.executors.vm_state import NOWHERE, place_of
from slacktide.planner.plan import Plan

BY_MIGRATION = (
    *("stage", "attempts", "times", "failed_stage", "retryable", "cancelled", "again", "uncounted"),
    *("blackout_ms", "probe_blackout_ms", "probe_resolution_ms", "transfer_mib"),
    *("fabric_s", "forwarded_packets", "lost_packets"),
    *("begun_s", "acknowledged_s"),
)
"""What a state has of every migration, as arrays."""


@dataclass(frozen=True, slots=True)
class Course:
    """What a campaign carries out: its first plan, or a revision joined with what is over."""

    first: Plan
    plan: Plan
    """The newest: the first, or a revision."""
    snapshot: FleetSnapshot
    """The fleet that the newest plan was made for."""
    fleet: FleetSnapshot
    """The fleet that the first was made for, with the VMs that have come since."""
    joined: Plan
    """The newest plan's rows and those that are over."""
    program: Program
    """The same, numbered."""
    shown: Plan
    """The same, each row as in the plan under which it began: what a report compares with."""


def first_course(snapshot: FleetSnapshot, plan: Plan) -> Course:
    """Return what a campaign carries out at its beginning."""
    return Course(plan, plan, snapshot, snapshot, plan, build_program(snapshot, plan), plan)


def changed_over(course: Course, child: Plan, snapshot: FleetSnapshot, state: CampaignState) -> Course:
    """Return what a campaign goes on with that stands as ``state`` says and goes over to ``child``.

    Raises
    ------
    ExecutionError
        If ``child`` is no revision of what is carried out, or does not hold what is under way.
    """
    _refuse_another(course, child, snapshot, state)
    joined = joined_plan(course.joined, child, state)
    fleet = _with_vms_of(course.fleet, snapshot)
    tried = _tried(joined, state)
    program = build_program(fleet, joined, child, tried)
    first = course.first.header
    program = replace(program, policy=first.policy, out=course.program.out)
    return Course(
        course.first,
        child,
        snapshot,
        fleet,
        joined,
        program,
        shown_plan(course.first, course.shown, child, joined, state),
    )


def not_held(course: Course, child: Plan, state: CampaignState) -> list[str]:
    """Return what is under way, migrations and hosts by id, and is not in a revision."""
    program, moves, hosts = course.program, child.migrations["migration_id"], child.hosts["host_id"]
    running = (state.stage >= Stage.INTENDED) & (state.stage < Stage.DONE)
    patching = (state.host_stage >= HostStage.DRAINED) & (state.host_stage <= HostStage.PATCHING)
    ids = [program.migrations.ids[number] for number in np.flatnonzero(running).tolist()]
    out = [program.hosts.ids[host] for host in np.flatnonzero(patching).tolist()]
    return sorted(set(ids) - set(moves)) + sorted(set(out) - set(hosts))


def _refuse_another(course: Course, child: Plan, snapshot: FleetSnapshot, state: CampaignState) -> None:
    name, remedy = f"revision {child.header.id}", "Revise the plan that the campaign carries out, as it is now"
    if child.header.parent != course.plan.header.id:
        raise ExecutionError(name, f"is one of plan {child.header.parent}, not of {course.plan.header.id}", remedy)
    if tuple(snapshot.hosts["host_id"]) != course.program.hosts.ids:
        raise ExecutionError(name, "is for a fleet with other hosts", "Patch new hosts with a campaign of their own")
    if missing := not_held(course, child, state):
        raise ExecutionError(name, f"does not hold {missing[0]}, which is under way", remedy)


def _with_vms_of(fleet: FleetSnapshot, now: FleetSnapshot) -> FleetSnapshot:
    fresh = now.vms.filter(~pl.col("vm_id").is_in(fleet.vms["vm_id"].implode()))
    return fleet if fresh.is_empty() else replace(fleet, vms=pl.concat([fleet.vms, fresh]).sort("vm_id"))


def _tried(joined: Plan, state: CampaignState) -> Ints:
    """Return how often each migration's VM was tried to be moved from the same host by others, that are over."""
    part = state.program.migrations
    counted = (state.attempts - state.uncounted).astype(np.int64) * (state.stage != Stage.DONE)
    over = pl.DataFrame(
        {
            "vm_id": pl.Series([state.program.vms.ids[vm] for vm in part.vm.tolist()], dtype=pl.String),
            "source": pl.Series([state.program.hosts.ids[host] for host in part.source.tolist()], dtype=pl.String),
            "before": pl.Series(part.ids, dtype=pl.String),
            "attempts": counted,
        }
    ).filter(pl.col("attempts") > 0)
    pairs = joined.migrations.select("migration_id", "vm_id", "source").join(over, on=["vm_id", "source"])
    sums = pairs.filter(pl.col("before") != pl.col("migration_id")).group_by("migration_id").agg(pl.sum("attempts"))
    found = joined.migrations.select("migration_id").join(sums, on="migration_id", how="left", maintain_order="left")
    return found["attempts"].fill_null(0).to_numpy().astype(np.int64)


def turned(
    course: Course, state: CampaignState, entry: Entry, child: Plan, snapshot: FleetSnapshot
) -> tuple[Course, CampaignState]:
    """Return what is carried out, and where it stands, after the journal's entry of a changeover.

    Raises
    ------
    ExecutionError
        As :func:`changed_over`.
    """
    after = changed_over(course, child, snapshot, state)
    return after, carried_over(state, after, entry)


def carried_over(state: CampaignState, course: Course, entry: Entry) -> CampaignState:
    """Return the state as of the program that ``course`` goes on with; ``state`` is not changed."""
    event = entry.event
    assert isinstance(event, PlanRevised), "nothing else changes the plan"
    program, before = course.program, state.program
    after = initial_state(program)
    from_old = np.array([state.numbers.get(name, -1) for name in program.migrations.ids], np.int64)
    known = np.flatnonzero(from_old >= 0)
    for name in BY_MIGRATION:
        getattr(after, name)[known] = getattr(state, name)[from_old[known]]
    to_new = {int(from_old[number]): number for number in known.tolist()}
    for name in ("errors", "given_up", "unconfirmed"):
        kept = {to_new[number]: text for number, text in getattr(state, name).items() if number in to_new}
        setattr(after, name, kept)
    after.host_stage, after.host_times = state.host_stage.copy(), state.host_times.copy()
    after.host_reasons, after.skipped = dict(state.host_reasons), dict(state.skipped)
    after.signals = dict(state.signals)
    for name in ("finished", "paused", "aborted", "decision", "judged_from_s", "failures_before", "lost_before"):
        setattr(after, name, getattr(state, name))
    after.failed_attempts, after.max_out = dict(state.failed_attempts), dict(state.max_out)
    after.last, after.end_s = entry.number, max(state.end_s, event.at_s)
    after.orders = max(state.orders, event.order)
    after.revisions = (*state.revisions, event)
    lost = np.flatnonzero(state.host_stage == HostStage.LOST).tolist()
    forgives = event.order and event.evacuates is None
    after.forgiven = state.forgiven | (set(lost) if forgives else set())
    after.evacuated = dict(state.evacuated)
    places = {name: number for number, name in enumerate(program.vms.ids)}
    after.lost_vms = {places[before.vms.ids[vm]] for vm in state.lost_vms}
    after.touched, after.deeds = dict(state.touched), list(state.deeds)
    _carry_vms(state, after, course)
    _begin_anew(after)
    _carry_waves(state, after, course, event.at_s)
    if event.evacuates is not None:
        _begin_evacuation(state, after, event)
    return after


def _begin_evacuation(state: CampaignState, after: CampaignState, event: PlanRevised) -> None:
    """Have a host leave whatever was to become of it; a gate that lost hosts keep closed stays closed.

    One that is out goes on, and stays out.
    """
    host = after.host_numbers[event.evacuates or ""]
    after.evacuated[host] = asked(event.by, event.why)
    after.skipped.pop(host, None)
    if after.host_stage[host] not in OUT_STAGES:
        after.host_stage[host] = HostStage.IN_SERVICE
        after.host_times[host] = np.nan
        after.host_reasons.pop(host, None)
    shut = Gates(state.program, state).shut()
    if shut is not None:
        after.wave_closed[shut[0]] = shut[1]


def _carry_vms(state: CampaignState, after: CampaignState, course: Course) -> None:
    """Say where VMs are: where the state has them; those that it does not know where the fleet has them, if it does."""
    names = after.program.vms.ids
    before = np.array([state.vm_numbers.get(name, -1) for name in names], np.int64)
    after.vm_host = np.where(before >= 0, state.vm_host[before], NOWHERE)
    there = dict(course.snapshot.vms.select("vm_id", "host_id").iter_rows())
    for number in np.flatnonzero(before < 0).tolist():
        known = names[number] in state.touched
        after.vm_host[number] = place_of(state, names[number]) if known else after.host_numbers[there[names[number]]]
    for name in state.vm_numbers.keys() - there.keys() - state.touched.keys():
        after.vm_host[after.vm_numbers[name]] = NOWHERE
    after.strangers = {name: each for name, each in state.strangers.items() if name not in after.vm_numbers}


def _begin_anew(after: CampaignState) -> None:
    """Open again what had been given up and is planned again; what had been tried has another id now."""
    part, hosts = after.program.migrations, after.program.hosts
    told = ~np.isnan(after.times[:, Stage.NOTIFIED])
    waited = ~np.isnan(after.times[:, Stage.WAITING])
    for number in np.flatnonzero(part.current & (after.stage == Stage.GIVEN_UP)).tolist():
        stage = Stage.WAITING if waited[number] else Stage.NOTIFIED if told[number] else Stage.PLANNED
        after.stage[number] = stage
        after.times[number, Stage.INTENDED :] = np.nan
        after.given_up.pop(number, None)
        after.errors.pop(number, None)
    left_alone = np.isin(after.host_stage, (HostStage.FAILED, HostStage.BLOCKED))
    for host in np.flatnonzero(hosts.due & left_alone).tolist():
        after.host_stage[host] = HostStage.IN_SERVICE
        after.host_times[host] = np.nan
        after.host_reasons.pop(host, None)


def _carry_waves(state: CampaignState, after: CampaignState, course: Course, at_s: float) -> None:
    """Open the waves of the revision that have begun, and numbers that it does not use; of others gates ask anew."""
    numbers = course.plan.waves["wave"].cast(pl.Int64).to_numpy()
    hosts = after.program.hosts
    begun = hosts.wave[hosts.due & ~hosts.evacuated & (after.host_stage >= HostStage.DRAINING)]
    opened = ~np.isin(np.arange(len(after.wave_opened_s)), numbers[numbers > begun.max(initial=-1)])
    opened |= after.program.waves.apart
    before = np.full(len(opened), np.nan)
    before[: len(state.wave_opened_s)] = state.wave_opened_s
    after.wave_opened_s = np.where(opened, np.where(np.isnan(before), at_s, before), np.nan)
    after.wave_approved[: len(state.wave_approved)] = state.wave_approved[: len(after.wave_approved)]
