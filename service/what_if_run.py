"""A what-if as a whole: questions in the order of their weight, plans kept as they are made, stopped at any time."""

import json
import shutil
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from math import inf
from pathlib import Path
from typing import Any, Final, Literal

import polars as pl
from pydantic import TypeAdapter

from slacktide.datasets.snapshot import FleetSnapshot
from slacktide.errors import UsageError
from slacktide.planner.bounds import compute_bounds
from slacktide.planner.conflict import Conflict, smallest_conflict
from slacktide.planner.deadline_ways import DeadlineAnswer, DeadlineSearch
from slacktide.planner.levers import Lever, levers
from slacktide.planner.loosening import Case
from slacktide.planner.plan import Plan
from slacktide.planner.plan_files import write_plan
from slacktide.planner.policy import Policy
from slacktide.planner.problem_building import build_problem
from slacktide.planner.reach import Effort, Oracle, TimeIsOver, everything, planned_to_the_end, planned_within
from slacktide.planner.relaxation import Relaxation, relaxations
from slacktide.planner.whatif import PlanFigures, Purchase, figures_of, purchases
from slacktide.service.console import Told

PLANS: Final = "plans"
"""Folder of the plans behind the figures, each in a folder named by its id."""
PRESENT_SHARE: Final = 0.25
"""Part of the time that the present plan may take."""
DEADLINE_SHARE: Final = 0.6
"""Part of the rest that the question after a deadline may take: it needs most plans."""


@dataclass
class WhatIf:
    """What is known so far."""

    policy: str
    present: PlanFigures
    deadline: DeadlineAnswer | None = None
    conflict: Conflict | None = None
    """Limits that keep hosts from being patched, where the present plan leaves any alone."""
    purchases: list[Purchase] = field(default_factory=list)
    not_planned: list[str] = field(default_factory=list)
    """Limits for which the time did not suffice."""
    promised: tuple[Relaxation, ...] = ()
    """What bounds say of these, the quick ones without the fluid program."""
    interrupted: bool = False
    """Whether it was an interrupt that ended the work, and not the time."""
    whole: bool = False
    elapsed_s: float = 0.0
    ended_by: Literal["time", "tries"] | None = None
    """What ended the search for the present plan before it ran dry: then part of what limits seem to buy is the
    search's."""

    def plan_ids(self) -> set[str]:
        """Return the ids of the plans behind the figures."""
        found = {self.present.plan_id, *(one.plan.plan_id for one in self.purchases)}
        conflicts = [self.conflict]
        if self.deadline is not None:
            ways = [*self.deadline.alone, *([] if self.deadline.together is None else [self.deadline.together])]
            found |= {way.plan.plan_id for way in ways}
            found |= set() if self.deadline.present is None else {self.deadline.present.plan_id}
            conflicts.append(self.deadline.conflict)
        for conflict in conflicts:
            found |= {one.plan_id for one in (conflict.members if conflict else ()) if one.plan_id}
        return found

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain data for JSON."""
        return {
            "policy": self.policy,
            "present": vars(self.present),
            "present_ended_early": self.ended_by is not None,
            "present_ended_by": self.ended_by,
            "deadline": None if self.deadline is None else self.deadline.as_dict(),
            "conflict": None if self.conflict is None else self.conflict.as_dict(),
            "purchases": [one.as_dict() for one in self.purchases],
            "not_planned": self.not_planned,
            "promised": [one.as_dict() for one in self.promised],
            "interrupted": self.interrupted,
            "whole": self.whole,
            "elapsed_s": self.elapsed_s,
        }


def what_if_of(told: Mapping[str, Any]) -> WhatIf:
    """Return what was found from :meth:`WhatIf.as_dict`; figures that are infinite are null there."""
    promised = [{name: inf if value is None else value for name, value in one.items()} for one in told["promised"]]
    return TypeAdapter(WhatIf).validate_python({**told, "promised": promised, "ended_by": told["present_ended_by"]})


@dataclass(frozen=True)
class Question:
    """What is asked."""

    by_s: int | None
    limits: Collection[str]
    """Limits that may be loosened; none: all."""
    time_limit_s: float | None
    tries: int | None
    """For each plan; None: as is usual, and for the present plan as many as bring anything."""
    seed: int
    workers: int


def case_of(snapshot: FleetSnapshot, policy: Policy) -> Case:
    """Return a fleet under a policy."""
    return Case(snapshot, build_problem(snapshot, policy))


def chosen_levers(case: Case, limits: Collection[str]) -> tuple[Lever, ...]:
    """Return the levers of these limits, or all.

    Raises
    ------
    UsageError
        If there is no such limit.
    """
    known = levers(case)
    names = [lever.limit for lever in known]
    for limit in limits:
        if limit not in names:
            raise UsageError(
                "--relax", f"{limit!r} is no limit that can be loosened here", f"One of: {', '.join(names)}"
            )
    return tuple(lever for lever in known if not limits or lever.limit in limits)


def time_is_over(time_limit_s: float | None, interrupted: Callable[[], bool]) -> Callable[[], bool]:
    """Return what says whether the time, counted from now, is over or an interrupt has come."""
    origin_s = time.monotonic()
    return lambda: interrupted() or (time_limit_s is not None and time.monotonic() - origin_s >= time_limit_s)


def plan_keeper(folder: Path) -> Callable[[Plan], None]:
    """Return what writes each plan into ``folder``, once."""
    folder.mkdir()

    def keep(plan: Plan) -> None:
        if not (folder / plan.header.id).exists():
            write_plan(plan, folder / plan.header.id)

    return keep


def write_what_if(found: "WhatIf", folder: Path) -> None:
    """Write what was found as JSON, the table also as Parquet, and remove the plans that no figure rests on."""
    (folder / "what-if.json").write_text(json.dumps(found.as_dict(), indent=2) + "\n", encoding="utf-8")
    rows = []
    for one in found.purchases:
        row = one.as_dict()
        plan = row.pop("plan")
        rows.append({**row, **{f"plan_{name.removeprefix('plan_')}": value for name, value in plan.items()}})
    pl.DataFrame(rows, infer_schema_length=None).write_parquet(folder / "what-if.parquet")
    kept = found.plan_ids()
    for plan_folder in sorted((folder / PLANS).iterdir()):
        if plan_folder.name not in kept:
            shutil.rmtree(plan_folder)


def ask(
    case: Case, question: Question, among: Sequence[Lever], effort: Effort, told: Told, present: Plan | None = None
) -> WhatIf:
    """Return what must give and what each limit buys, as far as the effort's time allows.

    Raises
    ------
    KeyboardInterrupt
        If there is an interrupt before the present plan is there.
    """
    origin_s = time.monotonic()
    told(None, "the present plan")
    made, ended_by = (present, None) if present is not None else _present(case, question, effort)
    effort.keep(made)
    found = WhatIf(case.problem.policy.name, figures_of(made), ended_by=ended_by)
    try:
        split = DEADLINE_SHARE if question.by_s is not None else 0.0
        until = share_of_the_rest(question, origin_s, split, effort.over)
        _must_give(found, case, question, among, replace(effort, over=until, report=_part(told, 0.0, split)))
        _buys(found, case, made, among, replace(effort, report=_part(told, split, 1.0)))
    except KeyboardInterrupt:
        pass
    bought = {one.limit for one in found.purchases}
    left = [lever for lever in among if lever.limit not in bought]
    found.not_planned = [lever.limit for lever in left]
    with suppress(KeyboardInterrupt):
        found.promised = _promised(case, left, told)
    found.whole = (
        not found.not_planned and found.ended_by != "time" and (found.deadline is None or found.deadline.whole)
    )
    found.elapsed_s = time.monotonic() - origin_s
    return found


def _present(case: Case, question: Question, effort: Effort) -> tuple[Plan, Literal["time", "tries"] | None]:
    """Return the plan that all others are compared with, and what ended the search for it before it ran dry."""
    over = effort.over
    if question.time_limit_s is not None:
        over = time_is_over(PRESENT_SHARE * question.time_limit_s, effort.over)
    limited = replace(effort, over=over)
    few = False
    if question.tries is not None:
        made, few = planned_within(case, limited)
    else:
        made = planned_to_the_end(case, limited)
    return made, "time" if over() else "tries" if few else None


def share_of_the_rest(
    question: Question, origin_s: float, share: float, over: Callable[[], bool]
) -> Callable[[], bool]:
    """Return what says whether so much of the time that is left is over, so that what comes after has its turn."""
    if question.time_limit_s is None:
        return over
    left_s = question.time_limit_s - (time.monotonic() - origin_s)
    return time_is_over(share * left_s, over)


def _must_give(found: WhatIf, case: Case, question: Question, among: Sequence[Lever], effort: Effort) -> None:
    goal = everything(case.problem, question.by_s)
    oracle = Oracle(case, goal, effort)
    if question.by_s is not None:
        search = DeadlineSearch(oracle, among)
        try:
            search.run()
        finally:
            found.deadline = search.answer
    elif found.present.hosts < int(goal.hosts.sum()):
        try:
            found.conflict = smallest_conflict(oracle, among)
        except TimeIsOver:
            return


def _buys(found: WhatIf, case: Case, made: Plan, among: Sequence[Lever], effort: Effort) -> None:
    for one in purchases(case, made, effort, among):
        found.purchases.append(one)


def _promised(case: Case, left: Sequence[Lever], told: Told) -> tuple[Relaxation, ...]:
    """Return what bounds say of limits for which there was no time: they need none."""
    if not left:
        return ()
    told(None, "bounds of what was not planned")
    return relaxations(case, compute_bounds(case.problem, fluid=False), left)


def _part(told: Told, low: float, high: float) -> Told:
    """Return what tells of a part of the whole."""
    return lambda fraction, words: told(low if fraction is None else low + fraction * (high - low), words)
