"""From a fleet snapshot and a policy to an audited plan; read :func:`make_plan` as the table of contents."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from slacktide.datasets.digest import digest
from slacktide.datasets.snapshot import FleetSnapshot
from slacktide.planner.assembly import (
    deferred_frame,
    exposure_s,
    figures,
    host_frame,
    migration_frame,
    predictions,
    wave_frame,
    wave_numbers,
)
from slacktide.planner.audit import audit
from slacktide.planner.bounds import Bounds, Needs, compute_bounds, host_needs
from slacktide.planner.cells import cell_count
from slacktide.planner.joint import Solved, declined, solve_joint
from slacktide.planner.limits import resolved
from slacktide.planner.listing.arrays import Instance
from slacktide.planner.listing.decisions import Schedule
from slacktide.planner.listing.gating import Terms
from slacktide.planner.listing.schedule import build_instance, list_schedule, new_halt
from slacktide.planner.orders import first_order
from slacktide.planner.plan import AuditSummary, Plan, PlanHeader
from slacktide.planner.plan_files import plan_id
from slacktide.planner.policy import Policy
from slacktide.planner.policy_files import policy_digest
from slacktide.planner.problem import NO_LIMIT, Problem, build_problem
from slacktide.planner.stopping import NoImprovement, Progress, Stop

if TYPE_CHECKING:
    from slacktide.planner.cell_plans import CellMap

REACH = 1024
"""Targets that are looked at for one VM, the fullest that fit first; a host that finds no room looks at more later.

With 96 a third of the first wave of 4,034 hosts at 75 % fill found no room that was there: the plan took 6 % longer and
its pass no less time (4,034 hosts: 18 s with 96, 16 s with 1,536; 10,000 hosts: 6.8 s and 6.6 s; measured before a
drained host went whole to a returned one, which made either pass several times faster).
"""
HALT_CHECK_S = 0.1
"""How often a search looks whether its time is over while passes run: sooner than anybody would notice."""
LATE_SHARE = 0.1
"""Hosts that return in the last tenth of a plan are what it waits for: they are pressed harder in the next try."""
PRESS = 1.08
"""How much harder: a few tries take a host past its neighbours, one does not take it past the whole fleet."""

MANY_HOSTS = 2_000
PACE = 0.002
"""In fleets of many hosts, freed places are given away at steps of this share of a host's time out.

A host comes back every second or so there; trying all that wait each time would cost more than it gains.
"""

ALIKE = 0.001
"""Plans are compared by the values of their goals in steps of this share.

Of 10,000 hosts a plan with 0.01 % less exposure took 2.4 % longer and moved 1.6 % more: nobody would choose it.
"""

JOINT_EFFORT = 0.3
"""Deterministic time of the joint solver, some seconds of a clock: what it finds on a few hosts it finds early."""

Score = tuple[float, ...]
Report = Callable[[Progress], None]


@dataclass
class Search:
    """The best schedule so far, and how it compares."""

    problem: Problem
    bounds: Bounds
    report: Report
    origin_s: float
    best: Schedule
    score: Score
    phase: str = "improving"
    fraction: float | None = None
    iteration: int = 0
    press: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))

    def offer(self, schedule: Schedule) -> bool:
        """Keep the schedule if it is better; return whether it is."""
        score = score_of(self.problem, schedule)
        if rank_of(score) >= rank_of(self.score):
            return False
        self.best, self.score = schedule, score
        return True

    def tell(self) -> None:
        """Report how far the search has come."""
        self.report(
            Progress(
                phase=self.phase,
                iteration=self.iteration,
                makespan_s=self.best.makespan_s,
                bound_s=self.bounds.best_s,
                exposure_host_h=exposure_s(self.problem, self.best) / 3600,
                elapsed_s=time.monotonic() - self.origin_s,
                fraction=self.fraction,
            )
        )


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
    the search ends it and returns the best plan so far; one before that is raised, for there is no plan yet.  Hosts
    that cannot be planned are deferred, each with its reason and remedy.  The same snapshot, policy, seed and number of
    workers give the same plan if ``stop`` counts iterations.

    A large fleet is cut into ``cells`` (None: as many as its size suggests, 1: none) that are planned apart by
    ``cell_map`` (None: ``workers`` threads), which changes nothing in the plan; see :mod:`cells`.

    Raises
    ------
    InputError
        If the policy does not fit the snapshot.
    KeyboardInterrupt
        If the first pass is interrupted.
    """
    origin_s = time.monotonic()
    report = progress or (lambda _: None)
    report(Progress("reading the fleet", 0, None, None, None, 0.0, None))
    problem = build_problem(snapshot, policy)
    stop = stop or NoImprovement()
    if (count := cell_count(problem, cells)) > 1:
        from slacktide.planner.cell_plans import in_threads
        from slacktide.planner.decomposition import planned_in_cells

        search = planned_in_cells(problem, count, seed, stop, cell_map or in_threads(workers), report, origin_s)
    else:
        search = planned_whole(problem, seed, stop, workers, report, origin_s)
    search.phase = "auditing"
    search.tell()
    return assemble(snapshot, problem, search.best, seed, origin_s)


def planned_whole(problem: Problem, seed: int, stop: Stop, workers: int, report: Report, origin_s: float) -> Search:
    """Return the best schedule found for the fleet in one piece."""
    needs, instance = host_needs(problem), build_instance(problem)
    terms = terms_of(problem, needs)
    report(Progress("first plan", 0, None, None, None, time.monotonic() - origin_s, None))
    (first,) = passes(problem, instance, terms, [first_order(problem, needs)])
    search = Search(problem, compute_bounds(problem), report, origin_s, first, score_of(problem, first))
    with until_interrupted():
        join(search, seed, workers)
        improve(search, instance, needs, terms, stop, np.random.default_rng(seed), workers)
    return search


def join(search: Search, seed: int, workers: int) -> None:
    """Solve a problem that is small enough for it as one model, from the first schedule on."""
    if declined(search.problem) is None:
        search.phase = "solving jointly"
        search.tell()
        outcome = solve_joint(search.problem, search.best, effort=JOINT_EFFORT, seed=seed, workers=workers)
        if isinstance(outcome, Solved):
            search.offer(outcome.schedule)
        search.phase = "improving"


def improve(
    search: Search,
    instance: Instance,
    needs: Needs,
    terms: Terms,
    stop: Stop,
    rng: np.random.Generator,
    workers: int,
) -> None:
    """Try further orders until ``stop``: shuffled a little, and with the hosts that came last pressed harder."""
    search.press = pressed(np.ones(len(needs.host)), needs, search.best)
    while not stop(search.iteration, search.score[1], bound_of(search)):
        noises = [rng.random(len(needs.host)) for _ in range(max(1, workers))]
        orders = [first_order(search.problem, needs, noise, search.press) for noise in noises]
        for schedule in passes(search.problem, instance, terms, orders, stop):
            search.iteration += 1
            search.offer(schedule)
            search.press = pressed(search.press, needs, schedule)
        search.fraction = stop.fraction(search.iteration)
        search.tell()


def passes(
    problem: Problem,
    instance: Instance,
    terms: Terms,
    orders: Sequence[NDArray[np.int64]],
    stop: Stop | None = None,
    promised: Schedule | None = None,
) -> list[Schedule]:
    """Return the schedules of one pass over each of ``orders``, each in a thread of its own.

    An interrupt, and ``stop`` once it is over, halt the passes; what they had is not returned.
    """
    halt = new_halt()
    with ThreadPoolExecutor(max_workers=len(orders)) as pool:
        tries = [pool.submit(list_schedule, problem, instance, order, terms, halt, promised) for order in orders]
        try:
            while wait(tries, timeout=None if stop is None else HALT_CHECK_S).not_done:
                if stop is not None and stop.over():
                    halt[0] = 1
        except KeyboardInterrupt:
            halt[0] = 1
            raise
    return [schedule for each in tries if (schedule := each.result()) is not None]


def assemble(snapshot: FleetSnapshot, problem: Problem, schedule: Schedule, seed: int, origin_s: float) -> Plan:
    """Return the schedule as a plan with its figures, bounds and audit."""
    planned = np.zeros(len(problem.hosts.ids), bool)
    planned[schedule.host] = True
    bounds = compute_bounds(replace(problem, hosts=replace(problem.hosts, due=planned)))
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
    plan = Plan(header=header, **tables)
    report = audit(snapshot, plan)
    checked = AuditSummary(
        checked_rules=report.checked_rules, findings=tuple(finding.as_dict() for finding in report.findings)
    )
    summary = header.summary.model_copy(update={"audit": checked, "planning_s": time.monotonic() - origin_s})
    plan = replace(plan, header=header.model_copy(update={"summary": summary}))
    return replace(plan, header=plan.header.model_copy(update={"id": plan_id(plan)}))


def score_of(problem: Problem, schedule: Schedule) -> Score:
    """Return what is to be made small, in the order of importance: hosts left alone, then the policy's objective."""
    values: dict[str, Callable[[], float]] = {
        "exposure": lambda: exposure_s(problem, schedule),
        "makespan": lambda: schedule.makespan_s,
        "moves": lambda: len(schedule.vm),
        "blackout": lambda: round(
            float(predictions(problem, schedule.vm, problem.vms.rates_mbit_s[schedule.rate]).blackout_ms.sum()), 3
        ),
    }
    left_alone = int(problem.hosts.due.sum()) - len(schedule.host)
    return (left_alone, *(values[name]() for name in problem.policy.objective))


def rank_of(score: Score) -> Score:
    """Return what schedules are compared by: values in steps of :data:`ALIKE`, then, between equals, as they are."""
    left_alone, *values = score
    return (left_alone, *(round(math.log(max(value, 1.0)) / ALIKE) for value in values), *values)


def bound_of(search: Search) -> float:
    """Return the bound on the first objective, 0 where there is none."""
    known = {"exposure": search.bounds.exposure_s, "makespan": search.bounds.best_s}
    bound = known.get(search.problem.policy.objective[0], 0.0)
    return bound if math.isfinite(bound) else 0.0


def terms_of(problem: Problem, needs: Needs) -> Terms:
    """Return how list scheduling goes about a problem."""
    policy, selected = problem.policy, int(problem.selected.sum())
    most = NO_LIMIT if policy.gates.max_wave_hosts is None else max(1, resolved(policy.gates.max_wave_hosts, selected))
    bound_s = compute_bounds(problem).best_s
    return Terms(
        canary_hosts=min(most, resolved(policy.canary.hosts, selected)),
        canary_bake_s=policy.canary.bake_s,
        strict=policy.gates.kind != "pipelined",
        bake_s=policy.gates.bake_s,
        wave_hosts=most,
        reach=REACH,
        pace_s=_pace_s(needs),
        scatter_until_s=int(min(bound_s, NO_LIMIT) / 2),
    )


def _pace_s(needs: Needs) -> int:
    if len(needs.host) <= MANY_HOSTS:
        return 1
    return max(1, round(PACE * float(np.median(needs.drain_s + needs.patch_s))))


def pressed(press: NDArray[np.float64], needs: Needs, schedule: Schedule) -> NDArray[np.float64]:
    """Return the weights of the due hosts, raised for those that a schedule waits for."""
    late = schedule.host[schedule.return_s > (1 - LATE_SHARE) * schedule.makespan_s]
    return np.where(np.isin(needs.host, late), press * PRESS, press)


@contextmanager
def until_interrupted() -> Iterator[None]:
    """End the block at Ctrl-C, keeping what it has done."""
    try:
        yield
    except KeyboardInterrupt:
        return
