"""A plan beside the same moves under constant rules: what the handling of bandwidth alone changes."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from slacktide.datasets.snapshot import FleetSnapshot
from slacktide.planner.belonging import refuse_a_revision, refuse_another_snapshot
from slacktide.planner.plan import Plan
from slacktide.planner.precopy import RESTART
from slacktide.planner.problem import Problem, positions
from slacktide.planner.problem_building import build_problem
from slacktide.planner.streams.replayed import Replayed, replay
from slacktide.planner.streams.rules import StreamRule
from slacktide.planner.streams.work import work_of
from slacktide.units import SECONDS_PER_HOUR

OVER_MS = 0.01
"""Milliseconds above its limit from which a blackout counts as too long; less is the rounding of sums."""


@dataclass(frozen=True, slots=True)
class Figures:
    """How one way of carrying out the moves goes; blackouts are those of live migrations, null where there is none."""

    name: str
    makespan_s: float
    exposure_host_h: float
    """Return times summed over the selected hosts, those left alone counted until the makespan."""
    drain_s: float
    """Mean time from the start of a drain to the empty host."""
    brownout_s: float
    """Sum over all migrations."""
    blackout_s: float
    """Sum over live migrations."""
    blackout_p50_ms: float | None
    blackout_p99_ms: float | None
    blackout_max_ms: float | None
    over_limit: int
    """Live migrations whose blackout is longer than their VM's limit."""
    let_out_against_limits: int
    """Hosts that could only be drained by breaking a limit on hosts out or the reserve."""

    def as_dict(self) -> dict[str, Any]:
        """Return the figures as plain data for JSON."""
        return asdict(self)


def compare(snapshot: FleetSnapshot, plan: Plan, rules: Sequence[StreamRule]) -> Iterator[Figures]:
    """Yield the figures of ``plan``, then those of its moves in its order under each of ``rules``.

    Raises
    ------
    InputError
        If the plan was made for another snapshot, or is a revision.
    """
    refuse_another_snapshot(snapshot, plan)
    refuse_a_revision(plan)
    problem = build_problem(snapshot, plan.header.policy)
    yield of_plan(problem, plan)
    if plan.hosts.height:
        work = work_of(problem, plan)
        for rule in rules:
            yield of_replay(problem, rule.name, replay(problem, work, rule))


def of_plan(problem: Problem, plan: Plan) -> Figures:
    """Return the figures of a plan as it predicts them."""
    moves = plan.migrations
    live = (moves["strategy"].cast(pl.String) != "restart").to_numpy()
    drain_s = (plan.hosts["drained_s"] - plan.hosts["drain_start_s"]).to_numpy()
    return _figures(
        "plan",
        plan.hosts["return_s"].to_numpy().astype(np.float64),
        drain_s.astype(np.float64),
        moves["predicted_brownout_s"].to_numpy(),
        moves["predicted_blackout_ms"].to_numpy()[live],
        problem.vms.blackout_limit_ms[positions(moves["vm_id"], problem.vms.ids)[live]],
        0,
        int(problem.selected.sum()) - plan.hosts.height,
    )


def of_replay(problem: Problem, name: str, done: Replayed) -> Figures:
    """Return the figures of moves carried out on paper."""
    live = done.strategy != RESTART
    return _figures(
        name,
        done.return_s,
        done.drained_s - done.drain_start_s,
        done.brownout_s,
        1000 * done.blackout_s[live],
        problem.vms.blackout_limit_ms[done.vm[live]],
        done.let_out_against_limits,
        int(problem.selected.sum()) - len(done.return_s),
    )


def _figures(
    name: str,
    return_s: NDArray[np.float64],
    drain_s: NDArray[np.float64],
    brownout_s: NDArray[np.float64],
    blackout_ms: NDArray[np.float64],
    limit_ms: NDArray[np.int64],
    let_out: int,
    left_alone: int,
) -> Figures:
    makespan_s = float(return_s.max(initial=0.0))
    p50, p99, most = (
        float(np.quantile(blackout_ms, share, method="nearest")) if len(blackout_ms) else None
        for share in (0.5, 0.99, 1.0)
    )
    return Figures(
        name=name,
        makespan_s=makespan_s,
        exposure_host_h=(float(return_s.sum()) + left_alone * makespan_s) / SECONDS_PER_HOUR,
        drain_s=float(drain_s.mean()) if len(drain_s) else 0.0,
        brownout_s=float(brownout_s.sum()),
        blackout_s=float(blackout_ms.sum()) / 1000,
        blackout_p50_ms=p50,
        blackout_p99_ms=p99,
        blackout_max_ms=most,
        over_limit=int((blackout_ms > limit_ms + OVER_MS).sum()),
        let_out_against_limits=let_out,
    )
