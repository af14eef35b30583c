"""From a fleet snapshot and a policy to an audited plan; read :func:`make_plan` as the table of contents."""

import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from slacktide.datasets.digest import digest
from slacktide.datasets.snapshot import FleetSnapshot
from slacktide.planner.assembly import deferred_frame, figures, host_frame, migration_frame, wave_frame, wave_numbers
from slacktide.planner.audited import audited
from slacktide.planner.bounds import FEWEST_HOSTS, Bounds, compute_bounds
from slacktide.planner.cells import cell_count
from slacktide.planner.hardening import hardened
from slacktide.planner.limits import resolved
from slacktide.planner.listing.decisions import Schedule
from slacktide.planner.listing.gating import Terms
from slacktide.planner.listing.schedule import build_instance
from slacktide.planner.needs import Needs, canary_size, host_needs
from slacktide.planner.orders import Queue, waiting_pays
from slacktide.planner.pacing import REACH, longest_pause, pace_s
from slacktide.planner.plan import Plan, PlanHeader
from slacktide.planner.policy import Policy
from slacktide.planner.policy_files import policy_digest
from slacktide.planner.pressing import pressing_order
from slacktide.planner.problem import NO_LIMIT, Problem, positions
from slacktide.planner.problem_building import build_problem
from slacktide.planner.rehearsing import Rehearsals
from slacktide.planner.search import Order, Report, Search, improve, join, passes, score_of, until_interrupted
from slacktide.planner.stopping import Iterations, NoImprovement, Progress, Stop
from slacktide.planner.straggling import end_anew

if TYPE_CHECKING:
    from slacktide.planner.cell_plans import CellMap

MOST_HOSTS_TWICE = 20_000
"""Due hosts up to which two passes are made for the first plan and the better one is taken."""


def make_plan(
    snapshot: FleetSnapshot,
    policy: Policy,
    *,
    seed: int = 0,
    stop: Stop | None = None,
    workers: int = 1,
    progress: Report | None = None,
    cells: int | None = None,
    cell_map: "CellMap | None" = None,
) -> Plan:
    """Return an audited plan for ``snapshot`` under ``policy``, the best found until ``stop``.

    The first pass gives a complete plan, however long it takes; further ones improve it.  An interrupt (Ctrl-C) during
    the search ends it and returns the best plan so far; one before that is raised, for there is no plan yet.  Where
    VMs of failing hosts would find no room, it is planned again (:mod:`slacktide.planner.hardening`).  Hosts that
    cannot be planned are deferred, each with its reason and remedy.  The same snapshot, policy and seed give the same
    plan, with any number of workers, if ``stop`` counts iterations.

    The fleet is cut into ``cells`` (1: none) that are planned apart by ``cell_map`` (None: ``workers`` threads), and
    where they are planned changes nothing in the plan; see :mod:`cells`.  None: as many as the fleet's size suggests
    with a ``cell_map``, one without.

    Raises
    ------
    InputError
        If the policy does not fit the snapshot.
    KeyboardInterrupt
        If the first pass is interrupted.
    """
    origin_s = time.monotonic()
    report, whole = progress or (lambda _: None), stop or NoImprovement()
    report(Progress("reading the fleet", 0, None, None, None, 0.0, None))

    def plan_of(problem: Problem, thorough: bool) -> Plan:
        ends = whole if thorough and not whole.interrupted else Iterations(0)
        return plan_problem(
            snapshot,
            problem,
            seed=seed,
            stop=ends,
            workers=workers,
            progress=report,
            origin_s=origin_s,
            cells=cells,
            cell_map=cell_map,
        )

    return hardened(snapshot, build_problem(snapshot, policy), plan_of)


def plan_problem(
    snapshot: FleetSnapshot,
    problem: Problem,
    *,
    seed: int = 0,
    stop: Stop | None = None,
    workers: int = 1,
    progress: Report | None = None,
    origin_s: float | None = None,
    cells: int | None = None,
    cell_map: "CellMap | None" = None,
    known: Plan | None = None,
) -> Plan:
    """Return an audited plan for ``problem``, which is what ``snapshot`` poses; see :func:`make_plan`.

    With a ``known`` plan for these hosts, under other limits, the search begins with its order as well.
    """
    origin_s = time.monotonic() if origin_s is None else origin_s
    report, stop = progress or (lambda _: None), stop or NoImprovement()
    bounds = compute_bounds(problem)
    if (count := cell_count(problem, cells, apart=cell_map is not None)) > 1:
        from slacktide.planner.cell_plans import in_threads
        from slacktide.planner.decomposition import planned_in_cells

        cell_map = cell_map or in_threads(workers)
        search = planned_in_cells(problem, bounds, count, seed, stop, workers, cell_map, report, origin_s)
    else:
        order = None if known is None else order_in(problem, known)
        search = planned_whole(problem, bounds, seed, stop, workers, report, origin_s, order)
    search.phase = "auditing"
    search.tell()
    return assemble(snapshot, problem, search.best, seed, origin_s, bounds)


def planned_whole(
    problem: Problem,
    bounds: Bounds,
    seed: int,
    stop: Stop,
    workers: int,
    report: Report,
    origin_s: float,
    known: NDArray[np.int64] | None = None,
) -> Search:
    """Return the best schedule found for the fleet in one piece, a ``known`` order among the first."""
    needs, instance = host_needs(problem), build_instance(problem)
    terms = terms_of(problem, needs, bounds)
    report(Progress("first plan", 0, None, None, None, time.monotonic() - origin_s, None))
    orders = first_orders(problem, needs, bounds)
    if known is not None:
        orders.append(partial(_as_it_is, Queue(known, in_turn=waiting_pays(problem, bounds))))
    firsts = passes(problem, instance, terms, orders, workers=workers)
    search = Search(problem, bounds, report, origin_s, firsts[0], score_of(problem, firsts[0]), seed=seed)
    for schedule in firsts[1:]:
        search.offer(schedule)
    with until_interrupted(stop):
        search.tell()
        for schedule in passes(problem, instance, terms, other_ends(needs, firsts), workers=workers):
            search.offer(schedule)
        join(search)
        improve(search, instance, Rehearsals(problem, needs, bounds), terms, stop, workers)
    return search


def first_orders(problem: Problem, needs: Needs, bounds: Bounds) -> list[Order]:
    """Return the orders of the first passes: by pressing groups and, where that is worth its time, by profile.

    Where free capacity binds, large hosts leave when a profile says so only if they are waited for.
    """

    def by_pressing(_: object) -> Queue:
        return Queue(pressing_order(problem, needs))

    if not FEWEST_HOSTS <= len(needs.host) <= MOST_HOSTS_TWICE:
        return [by_pressing]
    return [lambda _: Rehearsals(problem, needs, bounds).first_order(), by_pressing]


def order_in(problem: Problem, plan: Plan) -> NDArray[np.int64]:
    """Return the due hosts as they leave in a plan, those that it leaves alone behind them."""
    due = np.flatnonzero(problem.hosts.due)
    leaving = positions(plan.hosts.sort("drain_start_s", "host_id")["host_id"], problem.hosts.ids)
    planned = leaving[np.isin(leaving, due)]
    return np.concatenate([planned, np.setdiff1d(due, planned)])


def other_ends(needs: Needs, firsts: Sequence[Schedule]) -> list[Order]:
    """Return the orders of another end for each of the first schedules in which somebody straggles."""
    if len(needs.host) < FEWEST_HOSTS:
        return []
    queues = [end_anew(needs.host, schedule) for schedule in firsts]
    return [partial(_as_it_is, queue) for queue in queues if queue is not None]


def _as_it_is(queue: Queue, _halt: object) -> Queue:
    return queue


def assemble(
    snapshot: FleetSnapshot,
    problem: Problem,
    schedule: Schedule,
    seed: int,
    origin_s: float,
    bounds: Bounds | None = None,
) -> Plan:
    """Return the schedule as a plan with its figures, bounds and audit; ``bounds`` are those for all due hosts."""
    planned = np.zeros(len(problem.hosts.ids), bool)
    planned[schedule.host] = True
    asked = problem.hosts
    if bounds is None or not np.array_equal(planned, asked.due | asked.evacuated):
        leaving = replace(asked, due=planned & ~asked.evacuated, evacuated=planned & asked.evacuated)
        bounds = compute_bounds(replace(problem, hosts=leaving))
    wave = wave_numbers(problem, schedule)
    hosts, migrations = host_frame(problem, schedule, wave), migration_frame(problem, schedule, wave)
    tables = {
        "hosts": hosts,
        "migrations": migrations,
        "waves": wave_frame(problem, hosts, migrations),
        "deferred": deferred_frame(problem, schedule),
    }
    header = PlanHeader(
        id="",
        snapshot_digest=digest(snapshot),
        policy_digest=policy_digest(problem.policy),
        policy=problem.policy,
        seed=seed,
        objective=problem.policy.objective,
        summary=figures(problem, schedule, bounds, tables, 0.0),
    )
    return audited(snapshot, Plan(header=header, **tables), origin_s)


def terms_of(problem: Problem, needs: Needs, bounds: Bounds) -> Terms:
    """Return how list scheduling goes about a problem."""
    policy, selected = problem.policy, int(problem.selected.sum())
    most = NO_LIMIT if policy.gates.max_wave_hosts is None else max(1, resolved(policy.gates.max_wave_hosts, selected))
    return Terms(
        canary_hosts=canary_size(policy, selected),
        canary_bake_s=policy.canary.bake_s,
        strict=policy.gates.kind != "pipelined",
        bake_s=policy.gates.bake_s,
        wave_hosts=most,
        reach=REACH,
        pace_s=pace_s(needs),
        scatter_until_s=int(min(bounds.best_s, NO_LIMIT) / 2),
        longest_pause=longest_pause(needs),
    )
