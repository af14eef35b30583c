"""Fleets with little room: hosts leave as soon as there is room for them, and large ones are not left to the end."""

from functools import cache

import numpy as np
import pytest

from slacktide.datasets.generator import generate_fleet
from slacktide.datasets.generator_settings import GeneratorSettings
from slacktide.planner.bounds import compute_bounds
from slacktide.planner.listing.decisions import Schedule
from slacktide.planner.listing.schedule import build_instance, list_schedule, new_halt, reserve_of_all
from slacktide.planner.needs import demands, host_needs
from slacktide.planner.orders import waiting_pays
from slacktide.planner.policy import PRESETS, Policy, Reserve
from slacktide.planner.pressing import pressing_order
from slacktide.planner.problem import Problem
from slacktide.planner.problem_building import build_problem
from slacktide.planner.rehearsing import END, Rehearsals
from slacktide.planner.search import passes
from slacktide.planner.solve import first_orders, make_plan, terms_of
from slacktide.planner.stopping import Iterations


@cache
def full_fleet(reserve: Reserve | None = None, seed: int = 2) -> Problem:
    """Return 200 hosts at 92 % fill under the preset ``urgent``: memory binds, and not the hosts out."""
    fleet = generate_fleet(GeneratorSettings(hosts=200, seed=seed, fill=0.92, fill_spread=0.05))
    return build_problem(fleet, policy_with(reserve or PRESETS["urgent"].reserve))


def policy_with(reserve: Reserve) -> Policy:
    return PRESETS["urgent"].model_copy(update={"reserve": reserve})


def planned(problem: Problem, order: np.ndarray, *, in_turn: bool = False) -> Schedule:
    """Return the schedule of one pass."""
    terms = terms_of(problem, host_needs(problem), compute_bounds(problem, fluid=False))
    schedule = list_schedule(problem, build_instance(problem), order, terms._replace(in_turn=in_turn))
    assert schedule is not None
    return schedule


def test_hosts_leave_as_soon_as_there_is_room_for_them() -> None:
    """Hosts that wait for the reserve and not for a place among targets take part in every moment."""
    problem = full_fleet()
    bounds = compute_bounds(problem, fluid=False)
    schedule = planned(problem, pressing_order(problem, host_needs(problem)))
    assert bounds.binding_resource == "memory"
    assert len(schedule.host) == problem.hosts.due.sum()
    assert schedule.makespan_s < 1.15 * bounds.best_s


def test_a_large_host_is_waited_for_in_turn() -> None:
    """In turn hardly any other host leaves before the largest, which come first; otherwise small ones overtake them.

    Six fleets together: in some of them the large ones find room all the same.
    """
    overtaking, all_large = {True: 0, False: 0}, 0
    for seed in range(1, 7):
        problem = full_fleet(seed=seed)
        host, memory = host_needs(problem).host, problem.hosts.capacity[:, 1]
        order = host[np.argsort(-memory[host], kind="stable")]
        all_large += int((memory[order] == memory[order].max()).sum())
        for in_turn in overtaking:
            large = memory[planned(problem, order, in_turn=in_turn).host] == memory[order].max()
            overtaking[in_turn] += int((~large[: np.flatnonzero(large)[-1]]).sum())
    assert overtaking[True] < 0.02 * all_large < 0.1 * all_large < overtaking[False]


def test_in_turn_hosts_leave_in_the_order_of_their_profile() -> None:
    """A host that counts on returns, and finds no target before they are there, is waited for."""
    problem = full_fleet()
    needs = host_needs(problem)
    queue = Rehearsals(problem, needs, compute_bounds(problem)).first_order()
    assert queue.in_turn
    schedule = planned(problem, queue.order, in_turn=True)
    place = np.argsort(queue.order)[np.searchsorted(np.sort(queue.order), schedule.host)]
    left = place[np.argsort(schedule.drain_start_s, kind="stable")]
    assert (np.maximum.accumulate(left) - left > 8).mean() < 0.05


def test_vms_that_leave_later_count_on_hosts_that_are_back_by_then() -> None:
    """Hosts that are out sell more together than is free beside the reserve: some of their VMs are still on them."""
    problem = full_fleet()
    needs = host_needs(problem)
    schedule = planned(problem, pressing_order(problem, needs))
    limit = next(demand.limit for demand in demands(problem, needs) if demand.name == "memory")
    sold = problem.hosts.capacity[schedule.host, 1]
    out = (schedule.drain_start_s[:, None] >= schedule.drain_start_s[None, :]) & (
        schedule.drain_start_s[:, None] < schedule.return_s[None, :]
    )
    assert (out * sold[None, :]).sum(axis=1).max() > limit


def test_another_end_keeps_what_went_before() -> None:
    problem = full_fleet()
    needs = host_needs(problem)
    best = planned(problem, pressing_order(problem, needs))
    rehearsals = Rehearsals(problem, needs, compute_bounds(problem, fluid=False))
    queue = rehearsals.other_end(best, np.random.default_rng(1), new_halt())
    kept = queue.kept
    assert kept is not None
    assert sorted([*kept.host.tolist(), *queue.order.tolist()]) == sorted(needs.host.tolist())
    from_s = best.makespan_s - END[1] * (best.return_s - best.drain_start_s).mean()
    assert (best.drain_start_s < from_s).sum() <= len(kept.host) < len(best.host)
    terms = terms_of(problem, needs, compute_bounds(problem, fluid=False))
    again = passes(problem, build_instance(problem), terms, [lambda _: queue])[0]
    for columns in (("host", "drain_start_s", "drained_s", "return_s"), ("vm", "source", "target", "start_s", "end_s")):
        before, after = (
            set(zip(*(getattr(each, name).tolist() for name in columns), strict=True)) for each in (kept, again)
        )
        assert before < after


def test_a_profile_waits_for_large_hosts_and_pressing_groups_do_not() -> None:
    problem = full_fleet()
    needs = host_needs(problem)
    by_profile, by_pressing = (order(None) for order in first_orders(problem, needs, compute_bounds(problem)))
    assert by_profile.in_turn
    assert not by_pressing.in_turn


@pytest.mark.parametrize(("share", "fits"), [(0.03, True), (0.079, False)])
def test_nobody_waits_for_a_host_larger_than_all_that_is_free(share: float, fits: bool) -> None:
    problem = full_fleet(Reserve(share=share))
    assert waiting_pays(problem, compute_bounds(problem, fluid=False)) is fits


def test_nobody_is_waited_for_where_hosts_out_bind() -> None:
    roomy = build_problem(generate_fleet(GeneratorSettings(hosts=200, seed=2)), PRESETS["urgent"])
    needs, bounds = host_needs(roomy), compute_bounds(roomy)
    assert bounds.binding_resource == "hosts-out:fleet"
    assert not any(order(None).in_turn for order in first_orders(roomy, needs, bounds))


def test_only_a_reserve_of_all_hosts_says_beforehand_that_there_is_no_room() -> None:
    """VMs of a rack may go to another rack, whose reserve is another."""
    assert reserve_of_all(full_fleet()).tolist() == [1]
    racks = full_fleet(Reserve(share=0.03, hosts=1, per="rack"))
    of_all = reserve_of_all(racks)
    assert of_all.sum() == 1
    assert len(of_all) > 2


def test_a_plan_with_little_room_passes_its_audit_whatever_the_number_of_workers() -> None:
    fleet = generate_fleet(GeneratorSettings(hosts=100, seed=2, fill=0.92, fill_spread=0.05))
    one, two = (make_plan(fleet, PRESETS["urgent"], stop=Iterations(2), workers=count) for count in (1, 2))
    assert one.header.summary.audit.findings == ()
    assert one.header.id == two.header.id
