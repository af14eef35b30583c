"""Cells are parts of the fleet that share no failure domain, and budgets never add up to more than the whole."""

from dataclasses import fields, is_dataclass, replace

import numpy as np
import pytest

from slacktide.datasets.generator import generate_fleet
from slacktide.datasets.generator_settings import GeneratorSettings
from slacktide.planner import cells, decomposition
from slacktide.planner.budgets import budgeted, budgets
from slacktide.planner.cells import cell_count, cut
from slacktide.planner.needs import host_needs
from slacktide.planner.policy import PRESETS, Canary, Gates, Policy, Reserve
from slacktide.planner.problem import Problem
from slacktide.planner.problem_building import build_problem
from slacktide.planner.restriction import Part, restricted
from slacktide.planner.solve import make_plan
from slacktide.planner.stopping import Iterations
from slacktide.topology import Datacenter, clos3, fat_tree, leaf_spine
from slacktide.topology.pods import pods

FLEET = generate_fleet(GeneratorSettings(hosts=400, seed=3, hosts_per_rack=8, racks_per_power_feed=3))
PROBLEM = build_problem(FLEET, PRESETS["urgent"])
CELL = cut(PROBLEM, 5)


def parts_of(problem: Problem, cell: np.ndarray) -> list[Part]:
    return [restricted(problem, np.flatnonzero(cell == number)) for number in range(int(cell.max()) + 1)]


def with_policy(**changes: object) -> Problem:
    return build_problem(FLEET, Policy.model_validate(PRESETS["urgent"].model_copy(update=changes).model_dump()))


def test_every_host_and_every_vm_is_in_one_cell() -> None:
    parts = parts_of(PROBLEM, CELL)
    assert len(parts) == 5
    assert np.array_equal(np.sort(np.concatenate([part.host for part in parts])), np.arange(400))
    assert np.array_equal(np.sort(np.concatenate([part.vm for part in parts])), np.arange(len(PROBLEM.vms.ids)))


@pytest.mark.parametrize("kind", ["rack", "power"])
def test_no_cell_cuts_a_failure_domain_that_is_limited(kind: str) -> None:
    domain = Datacenter.from_tables(PROBLEM.hosts.ids, FLEET.links, FLEET.domains).domains.of(kind)
    assert all(len(np.unique(CELL[domain == number])) == 1 for number in np.unique(domain[domain >= 0]))


def test_cells_are_alike_in_size_and_fill() -> None:
    hosts = np.bincount(CELL)
    used = np.bincount(CELL[PROBLEM.vms.host], weights=PROBLEM.vms.demand[:, 1])
    fill = used / np.bincount(CELL, weights=PROBLEM.hosts.capacity[:, 1])
    assert hosts.max() <= 1.5 * hosts.min()
    assert fill.max() - fill.min() < 0.1


def test_a_kind_that_ties_everything_is_cut_and_the_others_are_not() -> None:
    group = np.column_stack([PROBLEM.out.group, np.full(400, len(PROBLEM.out.limit))])
    out = replace(
        PROBLEM.out, group=group, limit=np.append(PROBLEM.out.limit, 30), names=(*PROBLEM.out.names, ("room", "a"))
    )
    tied = replace(PROBLEM, out=out)
    cell = cut(tied, 5)
    assert int(cell.max()) == 4
    parts = parts_of(tied, cell)
    of_room = [
        budget.out_limit[part.out_group == len(PROBLEM.out.limit)]
        for part, budget in zip(parts, shared(tied, parts), strict=True)
    ]
    assert sum(int(limit.sum()) for limit in of_room) <= 30
    assert all(limit.sum() > 0 for limit in of_room)


def shared(problem: Problem, parts: list[Part]):
    return budgets(problem, parts, [2, *(0 for _ in parts[1:])])


def test_a_fleet_is_one_cell_unless_more_are_asked_for_and_with_gated_waves_always() -> None:
    assert cell_count(PROBLEM) == 1
    assert cell_count(PROBLEM, 5) == 5
    assert cell_count(with_policy(gates=Gates(kind="baked", bake_s=60)), 5) == 1
    assert cell_count(with_policy(max_out={"fleet": 3}), 5) == 3


def test_what_plans_cells_apart_gets_as_many_as_the_fleets_size_suggests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cells, "CELL_HOSTS", 150)
    assert cell_count(PROBLEM, apart=True) == 3
    assert cell_count(PROBLEM, 2, apart=True) == 2
    assert cell_count(with_policy(gates=Gates(kind="baked", bake_s=60)), apart=True) == 1


def test_budgets_of_hosts_out_are_the_fleets_limit_or_less() -> None:
    parts = parts_of(PROBLEM, CELL)
    shares = [int(budget.out_limit[0]) for budget in shared(PROBLEM, parts)]
    assert 0.95 * PROBLEM.out.limit[0] <= sum(shares) <= PROBLEM.out.limit[0]
    spans = [int((needs.drain_s + needs.patch_s).sum()) for needs in (host_needs(part.problem) for part in parts)]
    per_place = [span / share for span, share in zip(spans, shares, strict=True)]
    assert max(per_place) <= 1.2 * min(per_place)


@pytest.mark.parametrize("reserve", [Reserve(share=0.05), Reserve(hosts=6), Reserve(hosts=2, per="row")])
def test_what_cells_may_use_up_is_what_the_reserve_leaves_or_less(reserve: Reserve) -> None:
    problem = with_policy(reserve=reserve)
    parts = parts_of(problem, cut(problem, 5))
    group = problem.reserves.group[:, 0]
    spare = np.zeros_like(problem.reserves.required)
    for part, budget in zip(parts, shared(problem, parts), strict=True):
        of_part = part.problem
        free = of_part.hosts.capacity * of_part.hosts.in_service[:, None]
        np.subtract.at(free, of_part.vms.host, of_part.vms.demand * of_part.hosts.in_service[of_part.vms.host, None])
        for place, number in enumerate(part.reserve_group):
            inside = of_part.reserves.group[:, 0] == place
            spare[number] += free[inside].sum(axis=0) - budget.reserve[place]
    free = problem.hosts.capacity * problem.hosts.in_service[:, None]
    np.subtract.at(free, problem.vms.host, problem.vms.demand * problem.hosts.in_service[problem.vms.host, None])
    whole = np.zeros_like(spare)
    np.add.at(whole, group[group >= 0], free[group >= 0])
    assert (spare <= whole - problem.reserves.required).all()
    assert (spare > 0.9 * (whole - problem.reserves.required)).all()


def test_links_that_several_cells_use_are_shared_out_once() -> None:
    problem = build_problem(
        generate_fleet(GeneratorSettings(hosts=128, seed=1, topology="fat_tree", oversubscription=4.0)),
        PRESETS["urgent"].model_copy(update={"max_out": {"fleet": "20%"}}),
    )
    cell = np.arange(128) % 4
    parts = parts_of(problem, cell)
    total = np.zeros(len(problem.network.bundle_limit))
    for part, budget in zip(parts, shared(problem, parts), strict=True):
        np.add.at(total, part.bundle, budget.bundle_limit)
        network = budgeted(part.problem, budget).network
        assert (network.path_mbit_s <= part.problem.network.path_mbit_s).all()
    assert (total <= problem.network.bundle_limit * (1 + 1e-9)).all()


def test_one_cell_has_the_canary_and_a_service_in_one_cell_keeps_its_limit() -> None:
    parts = parts_of(PROBLEM, CELL)
    found = shared(PROBLEM, parts)
    assert [budget.canary_hosts for budget in found] == [2, 0, 0, 0, 0]
    assert budgeted(parts[1].problem, found[1]).policy.canary == Canary(hosts=0, bake_s=300)
    whole = np.bincount(PROBLEM.vms.service[PROBLEM.vms.service >= 0], minlength=len(PROBLEM.services.max_moving))
    for part, budget in zip(parts, found, strict=True):
        here = np.bincount(part.problem.vms.service[part.problem.vms.service >= 0], minlength=len(part.service))
        alone = (here == whole[part.service]) & (PROBLEM.services.max_moving[part.service] < here)
        assert np.array_equal(budget.max_moving[alone], PROBLEM.services.max_moving[part.service][alone])
        assert (budget.max_moving >= 1).all()


def test_a_problem_restricted_to_all_its_hosts_is_the_problem() -> None:
    def same(one: object, other: object) -> bool:
        if is_dataclass(one) and not isinstance(one, type):
            return all(same(getattr(one, each.name), getattr(other, each.name)) for each in fields(one))
        if isinstance(one, np.ndarray):
            return one.dtype == other.dtype and np.array_equal(one, other, equal_nan=one.dtype.kind == "f")
        return one == other

    assert same(restricted(PROBLEM, np.arange(400)).problem, PROBLEM)


def test_pods_are_what_hangs_on_one_set_of_switches_above_the_racks() -> None:
    hosts = [f"h{number:03}" for number in range(32)]
    racks = [f"r{number // 4}" for number in range(32)]

    def pods_of(fabric) -> np.ndarray:
        return pods(Datacenter.from_tables(hosts, fabric.links, fabric.domains))

    assert pods_of(leaf_spine(hosts, racks)).tolist() == [0] * 32
    assert pods_of(clos3(hosts, racks, racks_per_pod=2)).tolist() == [number // 8 for number in range(32)]
    assert len(np.unique(pods_of(fat_tree(hosts, ports=6)))) == 4


def test_where_the_join_ends_late_its_end_is_decided_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that collides would come back long after all others, which keep their places."""
    fleet = generate_fleet(GeneratorSettings(hosts=600, seed=5))
    made = make_plan(fleet, PRESETS["urgent"], stop=Iterations(0), cells=2)
    monkeypatch.setattr(decomposition, "end_anew", lambda *_: None)
    late = make_plan(fleet, PRESETS["urgent"], stop=Iterations(0), cells=2)
    assert made.header.summary.hosts == late.header.summary.hosts
    assert made.header.summary.makespan_s < 0.97 * late.header.summary.makespan_s
    assert not made.header.summary.audit.findings


def test_cells_of_a_fleet_without_services_are_joined() -> None:
    fleet = generate_fleet(GeneratorSettings(hosts=60, seed=2, service_share=0.0))
    plan = make_plan(fleet, PRESETS["routine"], stop=Iterations(0), cells=2)
    assert plan.header.summary.audit.findings == ()
    assert plan.header.summary.hosts > 50
