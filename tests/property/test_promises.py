"""A pass keeps what it is promised where that fits, and every limit in any case."""

from dataclasses import replace

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from slacktide.datasets.generator import generate_fleet
from slacktide.datasets.generator_settings import GeneratorSettings
from slacktide.datasets.snapshot import FleetSnapshot
from slacktide.planner import solve
from slacktide.planner.audit import audit
from slacktide.planner.bounds import compute_bounds
from slacktide.planner.listing.decisions import Schedule
from slacktide.planner.listing.schedule import build_instance, list_schedule
from slacktide.planner.needs import host_needs
from slacktide.planner.orders import canary_first
from slacktide.planner.policy import Gates, Policy, Reserve
from slacktide.planner.problem import Problem
from slacktide.planner.problem_building import build_problem
from tests.tiny_fleets import heuristic, tiny_fleet, tiny_policy

seeds = st.integers(0, 500)


def scheduled(problem: Problem, promised: Schedule | None, seed: int = 0) -> Schedule:
    needs = host_needs(problem)
    order = needs.host[canary_first(problem, needs, np.random.default_rng(seed).permutation(len(needs.host)))]
    found = list_schedule(
        problem,
        build_instance(problem),
        order,
        solve.terms_of(problem, needs, compute_bounds(problem)),
        promised=promised,
    )
    assert found is not None
    return found


def hosts_of(schedule: Schedule) -> set[tuple[int, ...]]:
    rows = (schedule.host, schedule.drain_start_s, schedule.drained_s, schedule.return_s)
    return set(zip(*(row.tolist() for row in rows), strict=True))


def moves_of(schedule: Schedule) -> set[tuple[int, ...]]:
    rows = (schedule.vm, schedule.source, schedule.target, schedule.start_s, schedule.end_s, schedule.rate)
    return set(zip(*(row.tolist() for row in rows), strict=True))


def errors_in(snapshot: FleetSnapshot, problem: Problem, schedule: Schedule) -> list[str]:
    """Return the errors of a single pass; that failures can be restarted is a promise of whole plans (hardening.py)."""
    plan = solve.assemble(snapshot, problem, schedule, 0, 0.0)
    return [str(finding) for finding in audit(snapshot, plan).errors if finding.rule != "failures-restartable"]


@st.composite
def tiny_problems(draw: st.DrawFn) -> tuple[FleetSnapshot, Problem]:
    snapshot = tiny_fleet(draw(st.integers(3, 9)), draw(seeds), fill=draw(st.sampled_from([0.4, 0.6])))
    policy = tiny_policy(out=draw(st.integers(1, 3)), canary=draw(st.integers(0, 2)))
    gates = draw(st.sampled_from([Gates(), Gates(kind="baked", bake_s=30), Gates(kind="baked", max_wave_hosts=2)]))
    reserve = draw(st.sampled_from([policy.reserve, Reserve(hosts=1, per="rack"), Reserve()]))
    policy = policy.model_copy(update={"gates": gates, "reserve": reserve})
    return snapshot, build_problem(snapshot, policy)


def damaged(schedule: Schedule, rng: np.random.Generator, hosts: int) -> Schedule:
    """Return the schedule with hosts and moves shifted, led elsewhere, changed in speed or left out."""
    late_s = np.where(rng.random(len(schedule.host)) < 0.3, rng.integers(-60, 600, len(schedule.host)), 0)
    shift_s = np.zeros(hosts, np.int64)
    shift_s[schedule.host] = late_s
    moved = rng.random(len(schedule.vm)) < 0.2
    kept = rng.random(len(schedule.vm)) < 0.9
    target = np.where(moved, rng.integers(0, hosts, len(schedule.vm)), schedule.target)
    start_s = np.maximum(0, schedule.start_s + shift_s[schedule.source])
    length_s = schedule.end_s - schedule.start_s - (rng.random(len(schedule.vm)) < 0.1)
    begins_s = np.maximum(0, schedule.drain_start_s + late_s)
    return replace(
        schedule,
        drain_start_s=begins_s,
        drained_s=begins_s + schedule.drained_s - schedule.drain_start_s,
        return_s=begins_s + schedule.return_s - schedule.drain_start_s,
        vm=schedule.vm[kept],
        source=schedule.source[kept],
        target=target[kept],
        start_s=start_s[kept],
        end_s=np.maximum(start_s + 1, start_s + length_s)[kept],
        rate=schedule.rate[kept],
    )


@settings(max_examples=80, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(tiny_problems(), seeds)
def test_a_pass_keeps_its_own_schedule_to_the_second(given: tuple[FleetSnapshot, Problem], seed: int) -> None:
    _, problem = given
    once = heuristic(problem)
    again = scheduled(problem, once, seed)
    assert hosts_of(once) <= hosts_of(again)
    assert moves_of(once) <= moves_of(again)
    if len(once.host) == problem.hosts.due.sum():
        assert hosts_of(once) == hosts_of(again)
        assert moves_of(once) == moves_of(again)


@settings(max_examples=80, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(tiny_problems(), seeds)
def test_a_damaged_promise_still_gives_a_plan_that_audits_clean(
    given: tuple[FleetSnapshot, Problem], seed: int
) -> None:
    snapshot, problem = given
    rng = np.random.default_rng(seed)
    schedule = scheduled(problem, damaged(heuristic(problem), rng, len(problem.hosts.ids)), seed)
    assert errors_in(snapshot, problem, schedule) == []


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(tiny_problems(), seeds, st.integers(1, 2))
def test_tighter_limits_hold_whatever_was_promised(given: tuple[FleetSnapshot, Problem], seed: int, out: int) -> None:
    snapshot, problem = given
    tight: Policy = problem.policy.model_copy(update={"max_out": {"fleet": out}, "reserve": Reserve(share=0.1)})
    tighter = build_problem(snapshot, tight)
    schedule = scheduled(tighter, heuristic(problem), seed)
    assert errors_in(snapshot, tighter, schedule) == []


@settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.integers(0, 50), st.sampled_from([2.0, 20.0, 60.0]))
def test_promises_hold_and_break_well_where_links_are_narrow(seed: int, oversubscription: float) -> None:
    fleet = GeneratorSettings(hosts=40, seed=seed, hosts_per_rack=8, oversubscription=oversubscription)
    snapshot = generate_fleet(fleet)
    problem = build_problem(snapshot, tiny_policy("exposure", "moves", out=6, canary=1))
    once = heuristic(problem)
    assert moves_of(once) <= moves_of(scheduled(problem, once, seed))
    schedule = scheduled(problem, damaged(once, np.random.default_rng(seed), 40), seed)
    assert errors_in(snapshot, problem, schedule) == []
