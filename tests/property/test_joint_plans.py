"""Joint plans of random fleets: clean, never worse than their hint, never better than a proven bound."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_fleets import heuristic, tiny_fleet, tiny_policy

from slacktide.planner.audit import audit
from slacktide.planner.bounds import compute_bounds
from slacktide.planner.joint import Solved, scores, solve_joint
from slacktide.planner.problem_building import build_problem
from slacktide.planner.solve import assemble, score_of


@settings(max_examples=8)
@given(
    hosts=st.integers(3, 5),
    seed=st.integers(0, 10_000),
    objective=st.sampled_from([("makespan", "moves"), ("exposure",), ("moves", "makespan", "exposure"), ("blackout",)]),
    out=st.integers(1, 3),
    canary=st.integers(0, 1),
)
def test_joint_plans_are_clean_and_between_bound_and_hint(
    hosts: int, seed: int, objective: tuple[str, ...], out: int, canary: int
) -> None:
    snapshot, policy = tiny_fleet(hosts, seed), tiny_policy(*objective, out=out, canary=canary)
    problem = build_problem(snapshot, policy)
    hint = heuristic(problem)
    outcome = solve_joint(problem, hint, effort=0.2)
    if not isinstance(outcome, Solved):
        assert len(hint.host) == 0
        return
    schedule = outcome.schedule
    assert audit(snapshot, assemble(snapshot, problem, schedule, 0, 0.0)).errors == ()
    assert scores(problem, schedule) <= scores(problem, hint)
    assert score_of(problem, schedule)[1:] == pytest.approx(scores(problem, schedule)[1:], abs=0.1)
    if len(schedule.host) == problem.hosts.due.sum():
        bounds = compute_bounds(problem)
        assert schedule.makespan_s >= bounds.best_s
        assert int(schedule.return_s.sum()) >= bounds.returns_s.sum() - 1e-6
