"""Every limit that can be loosened: arrays and tables say the same at every level, and looser is never tighter."""

from dataclasses import fields, replace

import numpy as np
import pytest
from small_fleet import POLICY, small_fleet

from slacktide.datasets.generator import generate_fleet
from slacktide.datasets.generator_settings import GeneratorSettings
from slacktide.planner.bounds import compute_bounds
from slacktide.planner.levers import Lever, levers, loosened
from slacktide.planner.loosening import Case
from slacktide.planner.policy import PRESETS, Gates, MigrationRules, Policy, Reserve
from slacktide.planner.problem import Problem
from slacktide.planner.problem_building import build_problem

STRICT = PRESETS["urgent"].model_copy(
    update={
        "reserve": Reserve(share=0.025, hosts=2, per="rack"),
        "max_out": {"fleet": 4, "rack": "15%"},
        "gates": Gates(kind="baked", bake_s=120, max_wave_hosts=3),
        "migration": MigrationRules(strategies=("precopy",)),
    }
)


def case_of(policy: Policy = STRICT) -> Case:
    fleet = generate_fleet(GeneratorSettings(hosts=30, hosts_per_rack=6, seed=2, local_disk_share=0.1))
    return Case(fleet, build_problem(fleet, policy))


CASE = case_of()
LEVERS = levers(CASE)


def test_every_limit_of_a_policy_has_its_lever() -> None:
    assert [lever.limit for lever in LEVERS] == [
        "canary.bake_s",
        "canary",
        "max_out.fleet",
        "max_out.rack",
        "link_share",
        "reserve.share",
        "reserve.hosts",
        "gates.max_wave_hosts",
        "gates.kind",
        "migration.blackout_limit_ms",
        "migration.strategies",
        "migration.allow_patched_to_unpatched",
        "spread of every service",
        "VMs of a service moving at once",
        "notice of every VM",
        "patch time of every host",
    ]


@pytest.mark.parametrize("lever", LEVERS, ids=lambda lever: lever.limit)
def test_the_arrays_are_those_of_the_tables_at_every_level(lever: Lever) -> None:
    for level in sorted({1, lever.step, lever.most}):
        changed = lever.loosen(CASE, level)
        same(changed.problem, build_problem(changed.snapshot, changed.problem.policy))
        assert lever.value(level) != lever.before
        assert Policy.model_validate(changed.problem.policy.model_dump()) == changed.problem.policy
        assert (changed.snapshot is not CASE.snapshot) == lever.of_fleet


def test_levers_add_up_in_any_order() -> None:
    everything = [(lever, lever.most) for lever in LEVERS]
    there, back = loosened(CASE, everything), loosened(CASE, everything[::-1])
    same(there.problem, back.problem)
    same(there.problem, build_problem(there.snapshot, there.problem.policy))
    assert there.problem.policy == back.problem.policy
    assert loosened(CASE, [(lever, 0) for lever in LEVERS]) is CASE


@pytest.mark.parametrize("lever", [one for one in LEVERS if one.limit != "link_share"], ids=lambda lever: lever.limit)
def test_no_level_raises_a_bound(lever: Lever) -> None:
    bounds = [compute_bounds(lever.loosen(CASE, level).problem).best_s for level in (lever.step, lever.most)]
    assert bounds[1] <= bounds[0] <= compute_bounds(CASE.problem).best_s


def test_words_at_levels() -> None:
    said = {lever.limit: (lever.before, lever.value(lever.step), lever.value(lever.most)) for lever in LEVERS}
    assert said["max_out.fleet"] == ("4", "5", "30")
    assert said["max_out.rack"] == ("15%", "20%", "100%")
    assert said["reserve.share"] == ("2.5%", "1.5%", "0.0%")
    assert said["reserve.hosts"] == ("2", "1", "0")
    assert said["canary.bake_s"] == ("300 s", "150 s", "0 s")
    assert said["link_share"] == ("70%", "80%", "100%")
    assert said["gates.kind"] == ("baked, 120 s", "pipelined", "pipelined")
    assert said["migration.blackout_limit_ms"] == ("500 ms", "1,000 ms", "10,000 ms")


def test_what_is_loose_already_has_no_lever() -> None:
    loose = Policy(
        max_out={"fleet": "100%"},
        link_share=1,
        reserve=Reserve(),
        migration=MigrationRules(
            strategies=("precopy", "autoconverge", "postcopy"),
            allow_patched_to_unpatched=True,
            blackout_limit_ms=10_000,
        ),
        assume=STRICT.assume,
    )
    names = [lever.limit for lever in levers(case_of(loose))]
    assert names == [
        "spread of every service",
        "VMs of a service moving at once",
        "notice of every VM",
        "patch time of every host",
    ]


def test_a_narrowed_case_stays_narrow() -> None:
    fleet = small_fleet()
    problem = build_problem(fleet, POLICY)
    only = problem.hosts.due & (np.arange(6) != 1)
    case = Case(fleet, replace(problem, hosts=replace(problem.hosts, due=only)), only=only)
    for lever in levers(case):
        assert (lever.loosen(case, lever.most).problem.hosts.due == only).all()


def same(one: Problem, other: Problem) -> None:
    """Check that two problems are the same, array by array."""
    for part in ("hosts", "vms", "services", "out", "reserves"):
        for field in fields(getattr(one, part)):
            mine, theirs = (getattr(getattr(problem, part), field.name) for problem in (one, other))
            np.testing.assert_array_equal(mine, theirs, err_msg=f"{part}.{field.name}")
    np.testing.assert_array_equal(one.network.bundle_limit, other.network.bundle_limit)
    np.testing.assert_array_equal(one.network.egress_mbit_s, other.network.egress_mbit_s)
