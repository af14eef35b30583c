"""Our plan for a fleet beside what an operator would do instead, all of it in one network model."""

import resource
import time
from collections.abc import Iterator

from benchmarks.families import family_named, fleet_of
from benchmarks.rolling import rolling_work
from benchmarks.rows import Row, row_of_plan, row_of_replay
from slacktide.planner.policy import PRESETS, Policy
from slacktide.planner.problem import Problem
from slacktide.planner.problem_building import build_problem
from slacktide.planner.solve import make_plan
from slacktide.planner.stopping import Iterations, Stop, TimeLimit
from slacktide.planner.streams.replayed import replay
from slacktide.planner.streams.rules import ONE_PER_NIC, RULES
from slacktide.planner.streams.work import work_of

WORKERS = 2
"""What a plan is searched for with: every machine has two processors."""
WARM_HOSTS = 12
"""Enough for every function to be compiled, too many for the joint model."""


def against(
    name: str, preset: str, hosts: int, seed: int, limit: float | int, traces: tuple[str, str] | None
) -> list[Row]:
    """Return the rows of a family under a preset; ``limit`` is seconds, or, if a whole number, tries."""
    family = family_named(name)
    fleet = fleet_of(family, hosts, seed, traces)
    policy = PRESETS[preset]
    warm(policy)
    plan = make_plan(fleet, policy, stop=stop_of(limit), workers=WORKERS)
    problem = build_problem(fleet, policy)
    row = row_of_plan(problem, plan, name, peak_mib())
    work = work_of(problem, plan)
    rows = [row, *_rolling(problem, work.order, name)]
    for rule in RULES.values():
        rows.append(row_of_replay(problem, replay(problem, work, rule), f"our moves, {rule.name}'s constants", name))
    return rows


def warm(policy: Policy) -> None:
    """Plan a small fleet, so that no compiling is counted."""
    make_plan(fleet_of(family_named("fill 60 %"), WARM_HOSTS, 0), policy, stop=Iterations(0))


def _rolling(problem: Problem, due: object, name: str) -> Iterator[Row]:
    for back, who in ((True, "even spread, back"), (False, "even spread, not back")):
        begun_s = time.monotonic()
        work, state = rolling_work(problem, due, back=back)  # type: ignore[arg-type]
        spent_s = time.monotonic() - begun_s
        done = replay(problem, work, ONE_PER_NIC)
        crowded = f"breaks the spread {state.crowded} times" if state.crowded else ""
        yield row_of_replay(problem, done, who, name, planning_s=spent_s, waves=len(work.behind), remark=crowded)


def stop_of(limit: float | int) -> Stop:
    """Return a condition that counts tries for a whole number, else seconds."""
    return Iterations(limit) if isinstance(limit, int) else TimeLimit(limit)


def peak_mib() -> float:
    """Return the most memory that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
