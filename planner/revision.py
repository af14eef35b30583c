"""From a plan, and what has happened of it, to a child plan that keeps what has been promised.

The child is on its parent's clock.  It holds what is under way at ``from_s`` and what comes after; what is over is in
the parent and in the campaign's journal.
"""

import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from slacktide.datasets.digest import digest
from slacktide.datasets.snapshot import FleetSnapshot
from slacktide.errors import InputError
from slacktide.planner.assembly import (
    deferred_frame,
    figures,
    host_frame,
    in_order,
    nameless_migrations,
    wave_frame,
)
from slacktide.planner.audited import audited
from slacktide.planner.bounds import Bounds
from slacktide.planner.canary import given_up_by, is_short, lacking, without_hosts
from slacktide.planner.deferral import Reason
from slacktide.planner.hardening import hardened
from slacktide.planner.limits import resolved
from slacktide.planner.listing.decisions import Schedule, Underway
from slacktide.planner.listing.gating import Terms
from slacktide.planner.listing.schedule import build_instance, list_schedule
from slacktide.planner.needs import Needs, host_needs
from slacktide.planner.pacing import REACH, longest_pause, pace_s
from slacktide.planner.parent_bounds import so_far, with_parents
from slacktide.planner.plan import ParentBounds, Plan, PlanHeader, Revision
from slacktide.planner.policy import Policy
from slacktide.planner.policy_files import policy_digest
from slacktide.planner.pressing import pressing_order
from slacktide.planner.problem import NO_LIMIT, Problem
from slacktide.planner.problem_building import build_problem
from slacktide.planner.progress import Progress
from slacktide.planner.revision_bounds import revision_bounds
from slacktide.planner.revision_changes import changes_of, named_as_before, stranded_in, wave_numbers
from slacktide.planner.situation import Situation, short_at_start, situation_of, still_selecting
from slacktide.planner.underway import promised_by, with_hosts_out

Ints = NDArray[np.int64]

CANARY_PATIENCE_S = 900
"""By how much a revision with a canary that has not passed may end later than its parent before it is tried to end
sooner by giving up what was promised: below it promises to guests are worth more than minutes.
"""


def revise(
    snapshot: FleetSnapshot,
    policy: Policy,
    parent: Plan,
    progress: Progress,
    before: FleetSnapshot | None = None,
    held: Mapping[str, str] = MappingProxyType({}),
) -> Plan:
    """Return an audited child of ``parent`` from ``progress.at_s`` on, for the fleet as it is then.

    Hosts and moves of the parent that still keep every limit are kept to the second; what no longer does is decided
    anew, and disturbs the rest as little as possible.  Where VMs of failing hosts would find no room, it is planned
    again, as a plan is (:mod:`slacktide.planner.hardening`).  ``policy`` is the parent's, or one with other limits.
    Where it is shown to be sound, with the fleet from ``before``, for which the parent was made, the parent's bounds
    hold as well.  Hosts that are ``held`` are left alone, each for the closed gate that is given with it.

    Raises
    ------
    InputError
        If the policy does not fit the snapshot, or the parent, or its progress.
    """
    if policy.in_place or parent.header.policy.in_place:
        fact = "patches hosts in place, of which there are no revisions"
        remedy = "Import the fleet as it is now, and plan the rest anew: nothing has moved"
        raise InputError(f"plan {parent.header.id}", fact, remedy)
    origin_s = time.monotonic()
    with ThreadPoolExecutor(max_workers=1) as beside:
        fingerprint = beside.submit(digest, snapshot)
        ground = so_far(before, snapshot, policy, parent, progress)
        policy = still_selecting(policy, parent, progress)
        problem = without_held(build_problem(snapshot, policy), held)
        situation = situation_of(parent, progress, policy, problem)
        problem, underway = with_hosts_out(problem, situation)

        def plan_of(stronger: Problem, _: bool) -> Plan:
            schedule, going_on = decided(stronger, situation, underway)
            own = beside.submit(revision_bounds, problem, schedule, going_on, situation.canary_hosts)
            plan = assemble(snapshot, problem, schedule, situation, own, ground, fingerprint.result())
            return audited(snapshot, plan, origin_s)

        return hardened(snapshot, problem, plan_of)


def without_held(problem: Problem, held: Mapping[str, str]) -> Problem:
    """Return the problem in which hosts that wait for a closed gate are deferred, each with its reason."""
    waits = [host for host in np.flatnonzero(problem.hosts.due).tolist() if problem.hosts.ids[host] in held]
    problem.hosts.due[waits] = False
    deferred = tuple((host, Reason.GATE_CLOSED, held[problem.hosts.ids[host]]) for host in waits)
    return replace(problem, deferred=(*problem.deferred, *deferred))


def decided(problem: Problem, situation: Situation, underway: Underway) -> tuple[Schedule, Underway]:
    """Return the rest of the campaign, and what is under way of it.

    Where the canary lacks hosts, or turns out to, for some find no room or are left alone while they drain, others are
    let into it, and what is behind it is decided anew.  So it is where that ends sooner and the canary is late: what is
    promised to those behind it holds room that the canary may need.
    """
    promised = promised_by(problem, situation)
    found = _decided(problem, situation, underway, promised, lacking(problem, situation, underway, promised) > 0)
    late_s = situation.parent.header.summary.makespan_s + CANARY_PATIENCE_S
    if not situation.canary_due or found[0].makespan_s <= late_s:
        return found
    anew = _decided(problem, situation, underway, promised, True)
    fewer = len(anew[0].host) < len(found[0].host)
    return found if fewer or anew[0].makespan_s >= found[0].makespan_s else anew


def _decided(
    problem: Problem, situation: Situation, underway: Underway, promised: Schedule, whole: bool
) -> tuple[Schedule, Underway]:
    """Return the rest, what is behind the canary as promised, or decided anew (``whole``)."""
    while True:
        needs = host_needs(problem)
        schedule = list_schedule(
            problem,
            build_instance(problem, situation.progress.at_s),
            pressing_order(problem, needs),
            terms_of(problem, situation, needs, whole),
            promised=promised.part(promised.wave <= 0) if whole else promised,
            underway=underway,
        )
        assert schedule is not None, "nobody halts this pass"
        given_up = given_up_by(schedule, underway)
        if not is_short(schedule, situation) or (whole and not len(given_up)):
            return schedule, underway
        whole = True
        problem, underway = without_hosts(problem, underway, given_up)


def terms_of(problem: Problem, situation: Situation, needs: Needs, complete: bool) -> Terms:
    """Return how list scheduling goes about the rest of a campaign; a canary may have to wait until it is complete."""
    gates, selected = problem.policy.gates, situation.selected
    most = NO_LIMIT if gates.max_wave_hosts is None else max(1, resolved(gates.max_wave_hosts, selected))
    return Terms(
        canary_hosts=situation.canary_hosts,
        canary_bake_s=problem.policy.canary.bake_s,
        strict=gates.kind != "pipelined",
        bake_s=gates.bake_s,
        wave_hosts=most,
        reach=REACH,
        pace_s=pace_s(needs),
        scatter_until_s=situation.progress.at_s,
        longest_pause=longest_pause(needs),
        complete=complete,
    )


def assemble(
    snapshot: FleetSnapshot,
    problem: Problem,
    schedule: Schedule,
    situation: Situation,
    own: Future[Bounds],
    ground: ParentBounds | None,
    fingerprint: str,
) -> Plan:
    """Return the schedule as a child plan with its figures, beside bounds that are being worked out meanwhile."""
    parent, progress = situation.parent, situation.progress
    wave = wave_numbers(problem, schedule, situation)
    hosts = host_frame(problem, schedule, wave)
    nameless = nameless_migrations(problem, schedule, wave)
    named = named_as_before(nameless, parent, situation.moves, progress.at_s, situation.first_new_id)
    migrations = in_order(named)
    tables = {
        "hosts": hosts,
        "migrations": migrations,
        "waves": wave_frame(problem, hosts, migrations),
        "deferred": deferred_frame(problem, schedule),
    }
    bounds, ground = with_parents(own.result(), ground, problem, parent, progress, tables)
    revision = Revision(
        from_s=progress.at_s,
        canary_passed=situation.canary_passed,
        canary_returned=situation.canary_returned,
        gate_s=situation.gate_s,
        selected_hosts=situation.selected,
        first_new_id=situation.first_new_id,
        short_at_start=short_at_start(parent, problem.policy),
        parent_bounds=ground,
        changes=changes_of(parent, progress, situation.moves, named, tables, snapshot),
        stranded=stranded_in(snapshot),
    )
    header = PlanHeader(
        id="",
        parent=parent.header.id,
        revision=revision,
        snapshot_digest=fingerprint,
        policy_digest=policy_digest(problem.policy),
        policy=problem.policy,
        seed=parent.header.seed,
        objective=problem.policy.objective,
        summary=figures(problem, schedule, bounds, tables, 0.0),
    )
    return Plan(header=header, **tables)
