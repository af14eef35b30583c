"""The Pareto front: what is on it, what it is chosen from, and its picture."""

import random
from dataclasses import replace

import polars as pl
import pytest
from small_fleet import POLICY, small_fleet, small_plan

from slacktide.datasets.generator import generate_fleet
from slacktide.datasets.generator_settings import GeneratorSettings
from slacktide.executors.pareto_chart import pareto_chart, pareto_files
from slacktide.planner.bounds import compute_bounds
from slacktide.planner.loosening import Case, with_max_out
from slacktide.planner.pareto import (
    FrontPoint,
    candidates,
    fleet_limits,
    front,
    front_points,
    front_table,
    most_out,
    present_limit,
)
from slacktide.planner.plan import Plan
from slacktide.planner.policy import PRESETS, Selection
from slacktide.planner.problem_building import build_problem
from slacktide.planner.reach import Effort


@pytest.fixture(scope="module")
def case() -> Case:
    fleet = generate_fleet(GeneratorSettings(hosts=60, hosts_per_rack=10, fill=0.6))
    return Case(fleet, build_problem(fleet, PRESETS["urgent"]))


@pytest.fixture(scope="module")
def made(case: Case) -> tuple[list[FrontPoint], list[Plan]]:
    kept: list[Plan] = []
    return list(front_points(case, candidates(case, 4), Effort(tries=1, keep=kept.append))), kept


def point(makespan_s: int, migrations: int, hosts_out: int, hosts: int = 10, **others: object) -> FrontPoint:
    return FrontPoint(
        max_out_fleet=hosts_out,
        first_objective="makespan",
        hosts_out=hosts_out,
        hosts=hosts,
        makespan_s=makespan_s,
        makespan_bound_s=0.9 * makespan_s,
        makespan_gap=1 / 9,
        moves_per_vm=migrations / 100,
        migrations=migrations,
        exposure_host_h=1.0,
        exposure_bound_host_h=0.5,
        exposure_gap=1.0,
        plan_id=f"{makespan_s}-{migrations}-{hosts_out}",
        present=False,
    )


def test_what_another_point_beats_is_not_on_the_front() -> None:
    fast, calm, few = point(100, 150, 9), point(200, 100, 9), point(300, 150, 3)
    worse, same_but_later = point(201, 100, 9), point(100, 150, 10)
    assert front([worse, few, calm, same_but_later, fast]) == (fast, calm, few)


def test_of_equal_points_one_is_kept() -> None:
    first, second = point(100, 100, 5), replace(point(100, 100, 5), plan_id="another")
    assert front([first, second]) == (first,)


def test_plans_that_leave_more_hosts_alone_are_no_match() -> None:
    whole, partial = point(200, 200, 5), point(100, 100, 5, hosts=9)
    assert front([partial, whole]) == (whole,)
    assert front([]) == ()
    assert front([point(0, 0, 0, hosts=0)]) == ()


def test_a_front_is_what_brute_force_finds() -> None:
    rng = random.Random(3)
    points = [point(rng.randint(1, 9), rng.randint(1, 9), rng.randint(1, 9)) for _ in range(60)]
    costs = {one.costs for one in points}
    best = {
        one
        for one in costs
        if not any(all(o <= c for o, c in zip(other, one, strict=True)) and other != one for other in costs)
    }
    assert {one.costs for one in front(points)} == best


def test_limits_reach_from_few_to_where_the_bound_no_longer_falls(case: Case) -> None:
    limits = fleet_limits(case, 5)
    assert limits == sorted(set(limits))
    assert present_limit(case) in limits
    assert 5 <= len(limits) <= 6
    bounds_s = [compute_bounds(with_max_out(case, "fleet", limit).problem).best_s for limit in limits]
    assert bounds_s == sorted(bounds_s, reverse=True)
    most = compute_bounds(with_max_out(case, "fleet", 60).problem).best_s
    assert min(bounds_s) <= most * 1.002


def test_candidates_span_the_range_early(case: Case) -> None:
    tried = candidates(case, 5)
    limits = fleet_limits(case, 5)
    assert [limit for limit, first in tried if first == "exposure"][:2] == [limits[0], limits[-1]]
    assert sorted(tried) == sorted((limit, first) for limit in limits for first in ("exposure", "makespan", "moves"))


def test_points_are_their_plans(made) -> None:
    points, plans = made
    by_id = {plan.header.id: plan for plan in plans}
    for one in points:
        plan = by_id[one.plan_id]
        summary = plan.header.summary
        assert summary.audit.findings == ()
        assert plan.header.policy.max_out["fleet"] == one.max_out_fleet
        assert plan.header.policy.objective[0] == one.first_objective
        assert one.hosts_out == most_out(plan) <= one.max_out_fleet
        assert (one.makespan_s, one.makespan_bound_s) == (summary.makespan_s, summary.makespan_bound_s)
        assert one.makespan_bound_s <= one.makespan_s
    assert {one.max_out_fleet for one in points if one.present} == {12}


def test_more_hosts_out_are_faster(made) -> None:
    points = front(made[0])
    assert len(points) > 2
    slowest, fastest = points[-1], points[0]
    assert fastest.hosts_out > slowest.hosts_out
    assert fastest.makespan_s < slowest.makespan_s


def test_when_the_time_is_over_there_are_fewer_points(case: Case) -> None:
    asked = iter([False] * 4 + [True] * 1000)
    points = list(front_points(case, candidates(case, 4), Effort(tries=1, over=lambda: next(asked))))
    assert 0 < len(points) < len(candidates(case, 4))


def test_nothing_due_has_no_candidates() -> None:
    fleet = small_fleet()
    nothing = Case(fleet, build_problem(fleet, POLICY.model_copy(update={"selection": Selection(hosts=())})))
    assert candidates(nothing) == ()


def test_most_hosts_out_counts_returns_before_starts() -> None:
    plan = small_plan()
    assert most_out(plan) == 2
    after = plan.hosts.with_columns(
        drain_start_s=pl.Series([0, 700, 1463]),
        drained_s=pl.Series([100, 863, 1500]),
        return_s=pl.Series([700, 1463, 2100]),
    )
    assert most_out(replace(plan, hosts=after)) == 1
    assert most_out(replace(plan, hosts=plan.hosts.clear())) == 0


def test_the_picture_has_every_plan_and_its_bound(made) -> None:
    points = front(made[0])
    files = pareto_files(front_table(points))
    assert files["front.png"].startswith(b"\x89PNG")
    text = files["front.svg"].decode()
    assert "makespan and its bound" in text
    assert "most hosts out at once" in text
    assert "moves per VM" in text
    data = pareto_chart(front_table(points)).to_dict(validate=False)["datasets"]
    assert any(len(rows) == len(points) and all("bound" in row for row in rows) for rows in data.values())


def test_a_front_of_one_point_can_be_drawn() -> None:
    files = pareto_files(front_table([point(100, 100, 5)]))
    assert len(files["front.png"]) > 1000
