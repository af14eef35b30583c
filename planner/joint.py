"""An exact joint model for small problems: hosts' times and VMs' targets and starts decided together, with CP-SAT.

The family of plans searched is that of :mod:`slacktide.planner.encoding`: the fastest rate for every migration, no more
moves of one VM than there given, VMs on hosts that are not due stay.  What is proven is proven within that family.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from ortools.sat.python import cp_model
from ortools.sat.python.cp_model import CpSolver, LinearExprT

from slacktide.planner.assembly import exposure_s, predictions, weighted_exposure_s
from slacktide.planner.audit import constraints
from slacktide.planner.constraints.constraint import Limit
from slacktide.planner.deferral import Reason
from slacktide.planner.encoded_schedules import add_hint, schedule_of
from slacktide.planner.encoding import Encoding, fastest_rates
from slacktide.planner.listing.decisions import Schedule
from slacktide.planner.needs import canary_size
from slacktide.planner.problem import Problem
from slacktide.planner.weights import THOUSANDTHS

MOST_DUE_HOSTS = 8
"""Due hosts at most: at eight, half a minute improves on list scheduling by 1 %, and proves nothing.

Measured with benchmarks/joint.py; a solver that proves six hosts within seconds would allow more.
"""
MOST_VMS = 24
"""VMs on due hosts at most: a third more than eight hosts of that benchmark hold on average (18), unmeasured beyond."""
MOST_HOSTS = 100
"""Hosts of the fleet at most, due or not: each is a possible target of every VM that moves, and has limits of its own.

Of one due host among 1,000 the model was not even encoded after minutes of processor time.
"""
MOST_LEGS = 3
"""Moves of one VM that are modelled at most; a longer chain in a hint is kept only as the plan to beat."""
FIRST_SHARE = 0.7
"""Part of what is left of the effort that one goal may use while others follow."""
MICROSECONDS_PER_MS = 1000
"""Blackouts are summed up in whole microseconds, since the solver counts in whole numbers."""


@dataclass(frozen=True, slots=True)
class Solved:
    """The best schedule found."""

    schedule: Schedule
    proven: bool
    """Whether no plan of the family is better in any goal; False also where the effort ended before the last goal."""
    proven_goals: tuple[str, ...]
    """Goals that were proven, in their order: ``patched``, then the policy's."""
    bound: float
    """Lower limit on the policy's first objective in the family, if as many hosts are patched.

    Host-seconds for ``exposure``, weighted where the policy has weights, seconds for ``makespan``, migrations for
    ``moves``, milliseconds for ``blackout``.
    """


@dataclass(frozen=True, slots=True)
class Infeasible:
    """Not one of the due hosts can be patched by a plan of the family."""

    reasons: Mapping[Reason, int]
    """How many hosts each reason keeps."""


@dataclass(frozen=True, slots=True)
class Undecided:
    """The effort ended before anything was found, and there was no hint."""

    most_patched: float
    """Upper limit on the hosts that can be patched."""


@dataclass(frozen=True, slots=True)
class Declined:
    """The problem is not one for this model."""

    reason: str


Outcome = Solved | Infeasible | Undecided | Declined


def solve_joint(
    problem: Problem,
    hint: Schedule | None,
    *,
    effort: float = 20.0,
    time_limit_s: float | None = None,
    seed: int = 0,
    workers: int = 1,
) -> Outcome:
    """Return the best schedule in the order of hosts patched, then the policy's objectives.

    ``effort`` is the solver's deterministic time, about a second each: with one worker the same effort and seed give
    the same schedule.  ``time_limit_s`` also ends it, at a moment that the machine's load decides.  The schedule is
    never worse than ``hint``.
    """
    if reason := declined(problem):
        return Declined(reason)
    search = _Search(problem, hint, effort, time_limit_s, seed, workers)
    if not search.maximise_patched():
        return Undecided(search.bound) if hint is None else Solved(hint, False, (), 0.0)
    if search.patched == 0 and problem.hosts.due.any():
        return Infeasible(_reasons(problem)) if search.proven else Undecided(search.bound)
    bounds = [search.minimise(goal) for goal in problem.policy.objective]
    best = search.schedule()
    if hint is not None and scores(problem, hint) < scores(problem, best):
        return Solved(hint, False, (), bounds[0])
    return Solved(best, len(search.proven) == 1 + len(bounds), tuple(search.proven), bounds[0])


def declined(problem: Problem) -> str | None:
    """Return why a problem is not for this model, None: it is."""
    due, moving = int(problem.hosts.due.sum()), int(problem.hosts.due[problem.vms.host].sum())
    if problem.policy.gates.kind != "pipelined":
        return f"gates of kind {problem.policy.gates.kind} are not modelled"
    if len(problem.hosts.ids) > MOST_HOSTS:
        return f"the fleet has {len(problem.hosts.ids):,} hosts; up to {MOST_HOSTS} are worth modelling"
    if problem.hosts.evacuated.any():
        return "hosts that are evacuated are not modelled"
    if due > MOST_DUE_HOSTS:
        return f"{due} hosts are due; up to {MOST_DUE_HOSTS} are worth solving"
    if moving > MOST_VMS:
        return f"{moving} VMs are on due hosts; up to {MOST_VMS} are worth solving"
    return None


def encoded(problem: Problem, hint: Schedule | None) -> Encoding:
    """Return the model of a problem with all its limits, large enough for ``hint``."""
    canary = canary_size(problem.policy, int(problem.selected.sum()))
    encoding = Encoding(problem, _horizon_s(problem, hint), _most_legs(hint), canary)
    for limit in constraints(problem.policy):
        if isinstance(limit, Limit):
            limit.encode(problem, encoding)
    return encoding


def scores(problem: Problem, schedule: Schedule) -> tuple[float, ...]:
    """Return what is to be made small, in the order of the goals."""
    rates_mbit_s = problem.vms.rates_mbit_s[schedule.rate]
    blackout_ms = predictions(problem, schedule.vm, rates_mbit_s).blackout_ms if len(schedule.vm) else np.zeros(0)
    values = {
        "exposure": float((weighted_exposure_s if problem.policy.weights else exposure_s)(problem, schedule)),
        "makespan": float(schedule.makespan_s),
        "moves": float(len(schedule.vm)),
        "blackout": float(np.round(blackout_ms * MICROSECONDS_PER_MS).sum() / MICROSECONDS_PER_MS),
    }
    return (-float(len(schedule.host)), *(values[goal] for goal in problem.policy.objective))


class _Search:
    """One model, solved for one goal after the other, the values of the goals before kept."""

    def __init__(
        self,
        problem: Problem,
        hint: Schedule | None,
        effort: float,
        time_limit_s: float | None,
        seed: int,
        workers: int,
    ) -> None:
        self.problem = problem
        self.hint = hint
        self.encoding = encoded(problem, hint)
        self.model = self.encoding.model
        self.proven: list[str] = []
        self.bound = float(problem.hosts.due.sum())
        self.patched = 0
        self._effort, self._time_limit_s, self._seed, self._workers = effort, time_limit_s, seed, workers
        self._values: list[int] = []
        self._goals_left = len(problem.policy.objective)
        self._makespan_s = self.encoding.time("the makespan")
        for out in self.encoding.outs.values():
            self.encoding.at_least(self._makespan_s, out.return_s)
        if hint is not None:
            add_hint(self.encoding, hint)
            self.model.add_hint(self._makespan_s, hint.makespan_s)

    def maximise_patched(self) -> bool:
        """Patch as many hosts as possible; return whether any schedule is known."""
        total: LinearExprT = sum(out.patched for out in self.encoding.outs.values())
        due = len(self.encoding.outs)
        if self.hint is not None and len(self.hint.host) == due:
            self.patched = due
            self.proven.append("patched")
        else:
            self.model.maximize(total)
            if not self._solve("patched", FIRST_SHARE):
                self.bound = float(due)
                return False
            self.patched = sum(self._values[out.patched.index] for out in self.encoding.outs.values())
        self.model.add(total == self.patched)
        return True

    def minimise(self, goal: str) -> float:
        """Make a goal small and keep it there; return its lower bound."""
        self._goals_left -= 1
        value = self._expression(goal)
        self.model.minimize(value)
        unit = {"blackout": MICROSECONDS_PER_MS, "exposure": self._weight_unit()}.get(goal, 1)
        if not self._solve(goal, 1.0 if self._goals_left == 0 else FIRST_SHARE):
            return 0.0
        self.model.clear_objective()  # type: ignore[no-untyped-call]
        self.model.add(value <= round(self._objective))
        return self.bound / unit

    def schedule(self) -> Schedule:
        """Return the last solution, drains no longer than their migrations."""
        if not self._values:
            assert self.hint is not None
            return self.hint
        return schedule_of(self.encoding, self._values)

    def _solve(self, goal: str, share: float) -> bool:
        """Solve for the present objective; return whether there is a solution, and keep it as the next hint."""
        solver = CpSolver()
        solver.parameters.catch_sigint_signal = False  # its handler would leave none behind, and Ctrl-C end us at once
        solver.parameters.num_workers = self._workers
        solver.parameters.random_seed = self._seed
        solver.parameters.max_deterministic_time = max(0.0, share * self._effort)
        if self._time_limit_s is not None:
            solver.parameters.max_time_in_seconds = max(0.0, share * self._time_limit_s)
        status = solver.solve(self.model)
        self._effort -= solver.response_proto.deterministic_time
        if self._time_limit_s is not None:
            self._time_limit_s -= solver.wall_time
        self.bound = solver.best_objective_bound
        if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
            return False
        if status == cp_model.OPTIMAL:
            self.proven.append(goal)
        self._objective = solver.objective_value
        self._values = list(solver.response_proto.solution)
        self.model.clear_hints()  # type: ignore[no-untyped-call]
        self.model.proto.solution_hint.vars.extend(range(len(self._values)))
        self.model.proto.solution_hint.values.extend(self._values)
        return True

    def _expression(self, goal: str) -> LinearExprT:
        encoding = self.encoding
        if goal == "makespan":
            return self._makespan_s
        if goal == "exposure":
            return self._weighted_exposure() if self.problem.policy.weights else self._exposure()
        if goal == "moves":
            return sum(move.present for move in encoding.moves.values())
        legs = list(encoding.legs.values())
        vm, rate = (np.array([getattr(leg, name) for leg in legs], np.int64) for name in ("vm", "rate"))
        blackout_ms = predictions(self.problem, vm, self.problem.vms.rates_mbit_s[rate]).blackout_ms
        blackout_us = np.round(blackout_ms * MICROSECONDS_PER_MS).astype(np.int64).tolist()
        return cp_model.LinearExpr.weighted_sum([leg.present for leg in legs], blackout_us)

    def _exposure(self) -> LinearExprT:
        left_alone = int(self.problem.selected.sum()) - self.patched
        return sum(out.return_s for out in self.encoding.outs.values()) + left_alone * self._makespan_s

    def _weight_unit(self) -> int:
        """Return how many of a weight's units there are in 1: as few as give whole numbers."""
        if not self.problem.policy.weights:
            return 1
        return THOUSANDTHS // int(np.gcd.reduce(self.problem.hosts.weight, initial=THOUSANDTHS))

    def _weighted_exposure(self) -> LinearExprT:
        """Return the weighted exposure: hosts that are left alone are exposed until the makespan."""
        hosts, encoding = self.problem.hosts, self.encoding
        weight = (hosts.weight * self._weight_unit() // THOUSANDTHS).tolist()
        deferred = sum(weight[host] for host in np.flatnonzero(self.problem.selected & ~hosts.due).tolist())
        exposed: list[LinearExprT] = [deferred * self._makespan_s]
        for host, out in encoding.outs.items():
            until_s = out.return_s
            if self.patched < len(encoding.outs):
                until_s = encoding.time(f"{hosts.ids[host]} is exposed")
                encoding.equal(until_s, out.return_s, out.patched)
                encoding.at_least(until_s, self._makespan_s, ~out.patched)
            exposed.append(weight[host] * until_s)
        return sum(exposed)


def _horizon_s(problem: Problem, hint: Schedule | None) -> int:
    """Return a time by which some best plan has ended.

    A plan in which nothing goes on for a while can be shortened by that while: so a best one needs no longer than all
    notices, migrations, patches and the canary's baking one after the other.
    """
    hosts, vms = problem.hosts, problem.vms
    total_s = problem.policy.canary.bake_s + int(hosts.maintenance_s[hosts.due].sum())
    due = np.flatnonzero(hosts.due).tolist()
    for vm in np.flatnonzero(hosts.due[vms.host]).tolist():
        rates = {rate for source in due for _, rate in fastest_rates(problem, vm, source)}
        longest_s = max((int(vms.duration_s[vm, rate]) for rate in sorted(rates)), default=0)
        total_s += _most_legs(hint) * (longest_s + int(vms.notice_s[vm]))
    timed = problem.policy.objective[0] in ("makespan", "exposure")
    if timed and hint is not None and len(hint.host) == len(due):
        total_s = min(total_s, math.ceil(scores(problem, hint)[1]))
    return max(total_s, 0 if hint is None else hint.makespan_s)


def _most_legs(hint: Schedule | None) -> int:
    hinted = 0 if hint is None or len(hint.vm) == 0 else int(np.bincount(hint.vm).max())
    return min(MOST_LEGS, max(2, hinted))


def _reasons(problem: Problem) -> dict[Reason, int]:
    """Return why hosts cannot be patched, counted."""
    group = problem.out.group
    closed = ((group >= 0) & (problem.out.limit[np.maximum(group, 0)] == 0)).any(axis=1) & problem.hosts.due
    counts = {Reason.HOSTS_OUT: int(closed.sum()), Reason.NO_ROOM: int((problem.hosts.due & ~closed).sum())}
    return {reason: count for reason, count in counts.items() if count}
