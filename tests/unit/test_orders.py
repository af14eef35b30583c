"""Orders of hosts: few VMs move twice, notice is waited for, and limits that bind nobody are left out."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from test_bounds_by_hand import UNLIMITED, row_fleet

from slacktide.datasets.generator import generate_fleet
from slacktide.datasets.generator_settings import GeneratorSettings
from slacktide.planner.bounds import compute_bounds, fluid_exposure_s
from slacktide.planner.listing.rehearsal import rehearse
from slacktide.planner.listing.schedule import build_instance, list_schedule, new_halt
from slacktide.planner.needs import canary_gate, host_needs
from slacktide.planner.orders import light_first
from slacktide.planner.policy import PRESETS, Canary
from slacktide.planner.problem import Problem, build_problem
from slacktide.planner.rehearsing import Rehearsals, Trial, binding
from slacktide.planner.solve import first_orders, terms_of

ROUTINE = PRESETS["routine"].model_copy(update={"max_out": {"fleet": 3, "rack": 2}})


def generated(preset: str, **settings: object) -> Problem:
    fleet = generate_fleet(GeneratorSettings.model_validate({"hosts": 200, "seed": 3, **settings}))
    return build_problem(fleet, PRESETS[preset])


def test_where_moves_count_most_the_lightest_hosts_that_may_be_out_together_go_first() -> None:
    problem = build_problem(generate_fleet(GeneratorSettings(hosts=30, seed=3, hosts_per_rack=10)), ROUTINE)
    needs = host_needs(problem)
    vms = np.bincount(problem.vms.host, minlength=len(problem.hosts.ids))[needs.host]
    start_s = np.arange(len(needs.host), dtype=np.float64)
    moved = light_first(problem, needs, start_s)
    first = np.flatnonzero(moved < 0)
    assert len(first) == 3
    assert np.bincount(problem.hosts.rack[needs.host[first]]).max() <= 2
    by_rack = [np.sort(vms[problem.hosts.rack[needs.host] == rack])[:2] for rack in range(3)]
    assert sorted(vms[first]) == sorted(np.concatenate(by_rack))[:3]
    assert np.array_equal(np.delete(moved, first), np.delete(start_s, first))


def test_where_other_goals_count_more_the_order_stays() -> None:
    problem = generated("urgent")
    needs = host_needs(problem)
    start_s = np.arange(len(needs.host), dtype=np.float64)
    assert light_first(problem, needs, start_s) is start_s


def test_a_first_plan_for_few_moves_begins_with_hosts_of_few_vms() -> None:
    problem = generated("routine")
    needs, instance = host_needs(problem), build_instance(problem)
    bounds = compute_bounds(problem)
    order = first_orders(problem, needs, bounds)[0](new_halt()).order
    schedule = list_schedule(problem, instance, order, terms_of(problem, needs, bounds))
    assert schedule is not None
    vms = np.bincount(problem.vms.host, minlength=len(problem.hosts.ids))
    early = schedule.host[np.argsort(schedule.drain_start_s, kind="stable")][: int(problem.out.limit[0])]
    assert vms[early].mean() < 0.6 * vms[needs.host].mean()


def test_the_gate_opens_when_the_whole_canary_has_baked() -> None:
    vms = [{"host_id": "h2", "memory_mib": 100, "notice_s": 500}]
    problem = build_problem(row_fleet(3, vms), UNLIMITED.model_copy(update={"canary": Canary(hosts=3, bake_s=50)}))
    assert canary_gate(problem, host_needs(problem)) == (0, 0)
    problem = build_problem(row_fleet(4, vms), UNLIMITED.model_copy(update={"canary": Canary(hosts=2, bake_s=50)}))
    needs = host_needs(problem)
    assert canary_gate(problem, needs) == (2, np.sort(needs.earliest_s)[1] + 50)
    assert canary_gate(problem, needs, complete=False) == (2, needs.earliest_s.min() + 50)
    late = replace(needs, earliest_s=needs.earliest_s + np.arange(4) * 10)
    assert canary_gate(problem, late)[1] == np.sort(late.earliest_s)[1] + 50


def test_hosts_that_wait_for_notice_are_told_apart_in_the_exposure_s_bound() -> None:
    """Two hosts can leave at once, two not before an hour: as one class all four could."""
    vms = [{"host_id": f"h{number}", "memory_mib": 10, "notice_s": 3600 * (number > 2)} for number in (1, 2, 3, 4)]
    problem = build_problem(row_fleet(4, vms), UNLIMITED.model_copy(update={"max_out": {"fleet": 2}}))
    needs = host_needs(problem)
    least_s = fluid_exposure_s(problem, needs, np.ones(4), compute_bounds(problem).best_s, fewest_hosts=1)
    assert 2 * 100 + 2 * 3700 - 4 * 60 < least_s <= needs.earliest_s.sum()


def test_a_domain_whose_hosts_may_all_be_out_holds_nobody_back() -> None:
    groups = np.array([[0, 1, 3], [0, 1, 3], [0, 2, 3], [0, -1, 3]])
    assert binding(groups, np.array([9, 1, 1, 3])).tolist() == [[0, 1, 3], [0, 1, 3], [0, -1, 3], [0, -1, 3]]


@pytest.mark.parametrize("notice_s", [0, 3600])
def test_rehearsed_hosts_leave_after_their_notice(notice_s: int) -> None:
    problem = generated("urgent", notice_s=((notice_s, 1.0),))
    needs, bounds = host_needs(problem), compute_bounds(problem)
    rehearsals = Rehearsals(problem, needs, bounds)
    behind = rehearsals.behind()
    cast = rehearsals.cast(np.asarray(needs.drain_s + needs.patch_s, np.float64), behind, Trial(1.0, 1.0))
    leaves_s = cast.from_s + rehearse(cast, np.arange(len(behind)))
    soonest_s = (needs.earliest_s - needs.drain_s - needs.patch_s)[behind]
    assert (leaves_s >= soonest_s - 60).all()
    assert leaves_s.min() <= max(cast.from_s, soonest_s.min()) + 60


def test_a_host_leaves_as_soon_as_the_last_vm_on_its_way_to_it_is_there() -> None:
    """h1's VM goes to h2, the fullest of its type; h2 need not wait for h1 to be back.  h3 finds no room until then."""
    vms = [
        {"host_id": "h1", "memory_mib": 200, "machine_types": ["m"]},
        {"host_id": "h2", "memory_mib": 500},
        {"host_id": "h3", "memory_mib": 400, "machine_types": ["m"]},
    ]
    fleet = row_fleet(3, vms)
    other = pl.when(pl.col("host_id") == "e").then(pl.lit("other")).otherwise(pl.col("machine_type"))
    fleet = replace(fleet, hosts=fleet.hosts.with_columns(other.alias("machine_type")))
    problem = build_problem(fleet, UNLIMITED.model_copy(update={"max_out": {"fleet": 2}}))
    needs, bounds = host_needs(problem), compute_bounds(problem)
    places = [problem.hosts.ids.index(host_id) for host_id in ("h1", "h2", "h3")]
    schedule = list_schedule(problem, build_instance(problem), np.array(places), terms_of(problem, needs, bounds))
    assert schedule is not None
    row = {problem.hosts.ids[host]: at for at, host in enumerate(schedule.host.tolist())}
    assert problem.hosts.ids[schedule.target[schedule.source == places[0]][0]] == "h2"
    assert schedule.drain_start_s[row["h2"]] == schedule.drained_s[row["h1"]]
    assert schedule.drain_start_s[row["h3"]] >= schedule.return_s[row["h1"]]
