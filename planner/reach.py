"""Whether a goal can be reached under limits that are loosened: proven by bounds, shown by a plan, or neither.

Every answer "yes" has an audited plan behind it, every answer "proven" a bound or the joint model's proof.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal

import numpy as np

from slacktide.planner.bounds import compute_bounds
from slacktide.planner.deferral import Reason
from slacktide.planner.joint import Infeasible, Solved, declined, solve_joint
from slacktide.planner.levers import Lever, levers, loosened
from slacktide.planner.loosening import Bools, Case
from slacktide.planner.needs import demands, host_needs
from slacktide.planner.plan import Plan
from slacktide.planner.policy import Objective, Policy
from slacktide.planner.problem import Problem
from slacktide.planner.solve import assemble, plan_problem
from slacktide.planner.tries import CountedTries, RunsDry, Tries

TRIES: Final = 4
"""Orders tried for every plan: as many as bring most of what a search brings, and the same for all that is compared."""
PROOF_EFFORT: Final = 5.0
"""Deterministic time of the joint solver for a proof, some seconds of a clock."""

Levels = Sequence[tuple[Lever, int]]
Ground = Literal["bounds", "joint model", "search"]
"""What says that a goal is out of reach; ``search``: no plan was found, which proves nothing."""


def _never() -> bool:
    return False


def _silent(_fraction: float | None, _words: str) -> None:
    """Say nothing."""


@dataclass(frozen=True)
class Effort:
    """How much is done for a plan, and who is told."""

    tries: int = TRIES
    seed: int = 0
    workers: int = 1
    over: Callable[[], bool] = _never
    """Whether the time is over; asked between and within searches."""
    report: Callable[[float | None, str], None] = _silent
    """Takes how much is done (None: unknown) and a few words."""
    keep: Callable[[Plan], None] = lambda _plan: None
    """Is given every audited plan that a figure rests on."""


@dataclass(frozen=True)
class Goal:
    """What is to be reached."""

    hosts: Bools
    """Hosts that are to be patched, shape (N,)."""
    by_s: int | None = None
    """When all are to be back; None: at any time."""


@dataclass(frozen=True)
class Answer:
    """Whether a goal can be reached."""

    plan: Plan | None
    """An audited plan that reaches it."""
    ground: Ground | None
    """What says that it cannot be, None where it can."""

    @property
    def reached(self) -> bool:
        """Whether there is a plan."""
        return self.plan is not None

    @property
    def proven(self) -> bool:
        """Whether it is proven that there is none."""
        return self.ground not in (None, "search")


class TimeIsOver(Exception):  # noqa: N818  (an event, not an error)
    """The time ended before a question was decided."""


def everything(problem: Problem, by_s: int | None = None) -> Goal:
    """Return the goal that all hosts are patched that can be under some policy.

    Hosts that are down, or hold a VM that is pinned, may run nowhere else or was never measured, are not part of it: no
    limit keeps them.
    """
    hosts = problem.hosts.due.copy()
    too_strict = (Reason.BLACKOUT_LIMIT, Reason.NO_CONVERGENCE)
    hosts[[host for host, reason, _ in problem.deferred if reason in too_strict]] = True
    return Goal(hosts, by_s)


def planned_to_the_end(case: Case, effort: Effort) -> Plan:
    """Return the audited plan that others are compared with: its search ends where nothing more comes of it."""
    stop = RunsDry(effort.over)
    return _sound(plan_problem(case.snapshot, case.problem, seed=effort.seed, stop=stop, workers=effort.workers))


def planned_within(case: Case, effort: Effort) -> tuple[Plan, bool]:
    """Return the audited plan that so many tries find, and whether their number ended the search before it ran dry."""
    stop = CountedTries(effort.tries, effort.over)
    plan = plan_problem(case.snapshot, case.problem, seed=effort.seed, stop=stop, workers=effort.workers)
    return _sound(plan), not stop.dry


def planned(case: Case, effort: Effort, by_s: int | None = None, known: Plan | None = None) -> Plan:
    """Return an audited plan for a case, the search ended early once all hosts are back ``by_s``.

    It begins with the order of a ``known`` plan for the same hosts as well.

    Raises
    ------
    RuntimeError
        If the audit finds an error: then the planner is wrong, and no figure of it is to be shown.
    """
    stop = Tries(effort.tries, effort.over, by_s)
    plan = plan_problem(
        case.snapshot,
        case.problem,
        seed=effort.seed,
        stop=stop,
        workers=effort.workers,
        progress=stop.note,
        known=known,
    )
    return _sound(plan)


def soonest(case: Case) -> Case:
    """Return the case with the makespan as the first objective: what decides whether a time can be kept."""
    policy = case.problem.policy
    others: tuple[Objective, ...] = tuple(goal for goal in policy.objective if goal != "makespan")
    changed: Policy = policy.model_copy(update={"objective": ("makespan", *others)})
    return replace(case, problem=replace(case.problem, policy=changed))


@dataclass
class Oracle:
    """Answers whether ``goal`` can be reached, each question once."""

    case: Case
    goal: Goal
    effort: Effort = field(default_factory=Effort)
    plans: bool = True
    """Whether to look for plans where bounds do not decide."""
    _answers: dict[tuple[tuple[str, int], ...], Answer] = field(default_factory=dict)

    def looks_at_all(self, among: Sequence[Lever]) -> bool:
        """Return whether these are all limits that can be loosened: only then can it be said that no other matters."""
        return {lever.limit for lever in among} >= {lever.limit for lever in levers(self.case)}

    def bound_s(self, levels: Levels = ()) -> float:
        """Return the bound on the time at which all hosts are back; infinite: they cannot all be patched."""
        problem = self._loosened(levels).problem
        if (self.goal.hosts & ~problem.hosts.due).any() or _too_large(problem):
            return math.inf
        return compute_bounds(problem, fluid=False).best_s

    def impossible(self, levels: Levels = ()) -> bool:
        """Return whether bounds prove that the goal cannot be reached."""
        bound_s = self.bound_s(levels)
        return math.isinf(bound_s) or (self.goal.by_s is not None and bound_s > self.goal.by_s)

    def answer(self, levels: Levels = ()) -> Answer:
        """Return whether the goal can be reached with limits loosened to ``levels``.

        Without plans, what bounds do not exclude has neither a plan nor a ground.

        Raises
        ------
        TimeIsOver
            If the time ended before a plan was looked for.
        """
        key = tuple(sorted((lever.limit, level) for lever, level in levels if level > 0))
        if key not in self._answers:
            if (known := self._stricter(dict(key))) is not None:
                self._answers[key] = known
            elif self.impossible(levels):
                self._answers[key] = Answer(None, "bounds")
            elif not self.plans:
                self._answers[key] = Answer(None, None)
            elif self.effort.over():
                raise TimeIsOver
            else:
                self._answers[key] = self._searched(self._loosened(levels))
        return self._answers[key]

    def _stricter(self, levels: dict[str, int]) -> Answer | None:
        """Return an answer with a plan that was found under limits no looser: the plan keeps these as well."""
        for key, answer in self._answers.items():
            if answer.reached and all(level <= levels.get(limit, 0) for limit, level in key):
                return answer
        return None

    def _loosened(self, levels: Levels) -> Case:
        return soonest(loosened(self.case, levels))

    def _searched(self, case: Case) -> Answer:
        plan = planned(case, self.effort, self.goal.by_s)
        if self._reaches(plan):
            self.effort.keep(plan)
            return Answer(plan, None)
        return Answer(None, "search") if declined(case.problem) else self._solved(case)

    def _reaches(self, plan: Plan) -> bool:
        summary = plan.header.summary
        if summary.hosts < int(self.goal.hosts.sum()):
            return False
        return self.goal.by_s is None or summary.makespan_s <= self.goal.by_s

    def _solved(self, case: Case) -> Answer:
        """Return what the joint model says of a small problem."""
        outcome = solve_joint(case.problem, None, effort=PROOF_EFFORT, seed=self.effort.seed, workers=1)
        if isinstance(outcome, Infeasible):
            return Answer(None, "joint model")
        if not isinstance(outcome, Solved):
            return Answer(None, "search")
        plan = _sound(assemble(case.snapshot, case.problem, outcome.schedule, self.effort.seed, 0.0))
        if self._reaches(plan):
            self.effort.keep(plan)
            return Answer(plan, None)
        fewer = len(outcome.schedule.host) < int(self.goal.hosts.sum())
        too_late = self.goal.by_s is not None and not fewer and outcome.bound > self.goal.by_s
        proven = "patched" in outcome.proven_goals and (fewer or too_late)
        return Answer(None, "joint model" if proven else "search")


def _too_large(problem: Problem) -> bool:
    """Return whether a host takes more of something, alone, than there ever is."""
    needs = host_needs(problem)
    if not len(needs.host):
        return False
    return any(bool(np.any(demand.amount > demand.limit)) for demand in demands(problem, needs))


def _sound(plan: Plan) -> Plan:
    errors = [finding for finding in plan.header.summary.audit.findings if finding.get("severity") == "error"]
    if errors:
        raise RuntimeError(f"the audit refuses a plan of ours: {errors[0].get('message')} [{errors[0].get('rule')}]")
    return plan
