"""A fleet planned by cells: every limit holds, no host is forgotten, and it is the same wherever cells are planned."""

from collections.abc import Iterator, Sequence

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from slacktide.datasets.generator import generate_fleet
from slacktide.datasets.generator_settings import GeneratorSettings
from slacktide.planner.audit import audit
from slacktide.planner.cell_plans import CellTask, Planner, in_threads
from slacktide.planner.cells import cut
from slacktide.planner.decomposition import CellPlans
from slacktide.planner.listing.decisions import Schedule
from slacktide.planner.policy import PRESETS, Assumptions, Canary, Gates, Policy, Reserve
from slacktide.planner.problem import Problem
from slacktide.planner.problem_building import build_problem
from slacktide.planner.solve import make_plan
from slacktide.planner.stopping import Iterations
from slacktide.planner.untangling import untangled

fleets = st.builds(
    GeneratorSettings,
    hosts=st.integers(12, 60),
    seed=st.integers(0, 10_000),
    fill=st.sampled_from([0.3, 0.6, 0.75]),
    empty_share=st.sampled_from([0.0, 0.1]),
    down_share=st.sampled_from([0.0, 0.1]),
    patched_share=st.sampled_from([0.0, 0.3]),
    hosts_per_rack=st.sampled_from([4, 8]),
    racks_per_power_feed=st.sampled_from([1, 3]),
    topology=st.sampled_from(["leaf_spine", "fat_tree"]),
    oversubscription=st.sampled_from([1.0, 8.0, 40.0]),
    restart_share=st.sampled_from([0.0, 0.3]),
    pinned_share=st.sampled_from([0.0, 0.02]),
)
policies = st.builds(
    Policy,
    objective=st.sampled_from([("exposure", "moves"), ("makespan",), ("moves", "makespan"), ("blackout", "makespan")]),
    reserve=st.sampled_from(
        [Reserve(), Reserve(share=0.1), Reserve(hosts=1, per="rack"), Reserve(share=0.02, hosts=1)]
    ),
    max_out=st.sampled_from([{}, {"fleet": "20%"}, {"fleet": 5, "rack": 1}, {"rack": "34%", "power": "25%"}]),
    link_share=st.sampled_from([0.1, 0.5]),
    canary=st.sampled_from([Canary(), Canary(hosts=1, bake_s=60), Canary(hosts="10%")]),
    gates=st.sampled_from([Gates(), Gates(max_wave_hosts="15%")]),
    assume=st.just(Assumptions(dirty_mib_s=20.0, hot_mib=64.0)),
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(fleets, policies, st.integers(2, 5))
def test_a_plan_by_cells_audits_clean_and_leaves_no_host_alone_that_one_piece_patches(
    fleet: GeneratorSettings, policy: Policy, cells: int
) -> None:
    snapshot = generate_fleet(fleet)
    by_cells = make_plan(snapshot, policy, stop=Iterations(1), cells=cells)
    in_one_piece = make_plan(snapshot, policy, stop=Iterations(0), cells=1)
    errors = [finding for finding in audit(snapshot, by_cells).errors if finding.rule != "failures-restartable"]
    assert [str(finding) for finding in errors] == []
    if policy.reserve.hosts == 0:  # else hosts may stand by for failures, in another number
        assert by_cells.hosts.height >= in_one_piece.hosts.height
    assert by_cells.hosts.height + by_cells.deferred.height == in_one_piece.hosts.height + in_one_piece.deferred.height


def backwards(function: Planner, problems: Sequence[Problem], tasks: Sequence[CellTask]) -> Iterator[Schedule]:
    """Plan the last cell first."""
    found = [function(*each) for each in reversed(list(zip(problems, tasks, strict=True)))]
    yield from reversed(found)


@settings(max_examples=10, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 1000), st.sampled_from(sorted(PRESETS)))
def test_the_plan_is_the_same_wherever_its_cells_are_planned(seed: int, preset: str) -> None:
    snapshot = generate_fleet(GeneratorSettings(hosts=48, seed=seed, hosts_per_rack=8))
    plans = [
        make_plan(snapshot, PRESETS[preset], stop=Iterations(2), cells=3, seed=seed, cell_map=cell_map)
        for cell_map in (map, in_threads(1), in_threads(3), backwards)
    ]
    assert len({plan.header.id for plan in plans}) == 1


@settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 1000))
def test_untangling_moves_no_host_and_leaves_fewer_services_moving_too_much(seed: int) -> None:
    crowded = GeneratorSettings(hosts=120, seed=seed, hosts_per_rack=8, service_share=1.0, max_moving_share=1.0)
    problem = build_problem(generate_fleet(crowded), PRESETS["urgent"])
    cell = cut(problem, 4)
    search = CellPlans.of(problem, cell, map, 0, lambda _words, _share: None)
    search.make()
    before = search.schedule()
    after, left = untangled(problem, cell, before)
    assert left == _too_many(problem, after)
    assert left < max(1, _too_many(problem, before))
    assert np.array_equal(after.return_s, before.return_s)
    assert np.array_equal(after.end_s - after.start_s, before.end_s - before.start_s)
    for host in range(len(problem.hosts.ids)):
        rows = before.source == host
        if rows.any():
            assert after.start_s[rows].min() == before.start_s[rows].min()
            assert after.end_s[rows].max() == before.end_s[rows].max()


def _too_many(problem: Problem, schedule: Schedule) -> int:
    """Return how many moves start while their service already moves as many VMs as it may."""
    service = problem.vms.service[schedule.vm]
    count = 0
    for number in np.unique(service[service >= 0]).tolist():
        rows = np.flatnonzero(service == number)
        for row in rows:
            at_s = schedule.start_s[row]
            moving = ((schedule.start_s[rows] <= at_s) & (schedule.end_s[rows] > at_s)).sum()
            count += int(moving > problem.services.max_moving[number])
    return count
