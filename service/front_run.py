"""A Pareto front as a whole: plans made and kept one after the other, stopped at any time, then table and picture."""

import json
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from slacktide.executors.pareto_chart import pareto_files
from slacktide.planner.loosening import Case
from slacktide.planner.pareto import FrontPoint, candidates, front, front_points, front_table
from slacktide.planner.reach import TRIES, Effort
from slacktide.service.console import Told
from slacktide.service.what_if_run import PLANS, Question, plan_keeper, time_is_over


@dataclass(frozen=True)
class FoundFront:
    """Every plan that was made, and those on the front."""

    policy: str
    points: tuple[FrontPoint, ...]
    front: tuple[FrontPoint, ...]
    not_planned: int
    """Candidates for which the time did not suffice."""
    elapsed_s: float


def found_front(
    case: Case, question: Question, points: int, folder: Path, told: Told, interrupted: Callable[[], bool]
) -> FoundFront:
    """Return the front of the plans that the time allows; the plans are in ``folder``."""
    origin_s = time.monotonic()
    over = time_is_over(question.time_limit_s, interrupted)
    effort = Effort(
        question.tries or TRIES, question.seed, question.workers, over, report=told, keep=plan_keeper(folder / PLANS)
    )
    tried, made = candidates(case, points), list[FrontPoint]()
    try:
        for point in front_points(case, tried, effort):
            made.append(point)
    except KeyboardInterrupt:
        pass
    planned = [point for point in made if point.hosts]
    elapsed_s = time.monotonic() - origin_s
    return FoundFront(case.problem.policy.name, tuple(planned), front(planned), len(tried) - len(made), elapsed_s)


def front_document(found: FoundFront) -> dict[str, Any]:
    """Return the front, and what it was chosen from, as plain data for JSON."""
    return {
        "policy": found.policy,
        "front": [asdict(point) for point in found.front],
        "others": [asdict(point) for point in found.points if point not in found.front],
        "not_planned": found.not_planned,
        "elapsed_s": found.elapsed_s,
    }


def front_of(told: Mapping[str, Any]) -> FoundFront:
    """Return what was found from :func:`front_document`; other plans come after those of the front."""
    points = TypeAdapter(tuple[FrontPoint, ...])
    best, others = points.validate_python(told["front"]), points.validate_python(told["others"])
    return FoundFront(told["policy"], (*best, *others), best, told["not_planned"], told["elapsed_s"])


def write_front(found: FoundFront, folder: Path) -> None:
    """Write table and picture, and remove the plans that are not on the front."""
    table = front_table(found.front)
    (folder / "front.json").write_text(json.dumps(front_document(found), indent=2) + "\n", encoding="utf-8")
    table.write_parquet(folder / "front.parquet")
    table.write_csv(folder / "front.csv")
    if found.front:
        for name, content in pareto_files(table).items():
            (folder / name).write_bytes(content)
    kept = {point.plan_id for point in found.front}
    for plan in (folder / PLANS).iterdir():
        if plan.name not in kept:
            shutil.rmtree(plan)
