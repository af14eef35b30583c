"""The joint model: what it declines, what it answers, that it repeats itself, and that it agrees with brute force."""

import signal
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from every_plan import shortest_makespan_s
from small_fleet import POLICY, small_fleet
from tiny_fleets import tiny_fleet, tiny_policy

from slacktide.planner.audit import audit
from slacktide.planner.deferral import Reason
from slacktide.planner.joint import MOST_DUE_HOSTS, MOST_HOSTS, Declined, Infeasible, Solved, Undecided, solve_joint
from slacktide.planner.listing.decisions import Schedule
from slacktide.planner.policy import Gates, Selection
from slacktide.planner.problem_building import build_problem
from slacktide.planner.solve import assemble


def test_a_plan_of_the_small_fleet_is_proven_and_audits_clean() -> None:
    snapshot = small_fleet()
    problem = build_problem(snapshot, POLICY)
    outcome = solve_joint(problem, None, effort=5.0)
    assert isinstance(outcome, Solved)
    assert outcome.proven
    assert outcome.proven_goals == ("patched", "makespan")
    assert outcome.bound == outcome.schedule.makespan_s
    assert audit(snapshot, assemble(snapshot, problem, outcome.schedule, 0, 0.0)).errors == ()


def test_the_same_effort_and_seed_give_the_same_schedule() -> None:
    problem = build_problem(tiny_fleet(4, 1), tiny_policy())
    first, second = (solve_joint(problem, None, effort=0.05, seed=3) for _ in range(2))
    assert type(first) is type(second)
    if isinstance(first, Solved) and isinstance(second, Solved):
        for name in Schedule.__dataclass_fields__:
            np.testing.assert_array_equal(getattr(first.schedule, name), getattr(second.schedule, name))


def test_ctrl_c_is_pythons_own_after_a_solution() -> None:
    solve_joint(build_problem(small_fleet(), POLICY), None, effort=0.5)
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_without_effort_the_hint_comes_back() -> None:
    problem = build_problem(small_fleet(), POLICY)
    hint = solve_joint(problem, None, effort=5.0)
    assert isinstance(hint, Solved)
    outcome = solve_joint(problem, hint.schedule, effort=0.0)
    assert isinstance(outcome, Solved)
    assert outcome.schedule is hint.schedule
    assert not outcome.proven


def test_without_effort_and_hint_nothing_is_decided() -> None:
    problem = build_problem(small_fleet(), POLICY)
    assert solve_joint(problem, None, effort=0.0) == Undecided(3.0)


def test_hosts_that_may_not_be_out_are_infeasible_with_their_reason() -> None:
    problem = build_problem(small_fleet(), POLICY.model_copy(update={"max_out": {"fleet": 0}}))
    assert solve_joint(problem, None, effort=5.0) == Infeasible({Reason.HOSTS_OUT: 3})


def test_hosts_without_room_are_infeasible() -> None:
    snapshot = small_fleet(hosts={host: {"state": "down"} for host in ("h3", "h4", "h6")}, vms={"v5": None, "v6": None})
    sized = snapshot.vms.with_columns(memory_mib=pl.lit(32768, dtype=pl.Int64))
    problem = build_problem(replace(snapshot, vms=sized), POLICY)
    assert solve_joint(problem, None, effort=5.0) == Infeasible({Reason.NO_ROOM: 2})


def test_strict_gates_and_large_problems_are_declined() -> None:
    strict = POLICY.model_copy(update={"gates": Gates(kind="baked", bake_s=10)})
    assert isinstance(solve_joint(build_problem(small_fleet(), strict), None), Declined)
    large = build_problem(tiny_fleet(MOST_DUE_HOSTS + 1, 1), tiny_policy())
    assert isinstance(solve_joint(large, None), Declined)
    one = tiny_policy().model_copy(update={"selection": Selection(hosts=("host-000001",))})
    wide = build_problem(tiny_fleet(MOST_HOSTS + 1, 1), one)
    assert int(wide.hosts.due.sum()) == 1
    assert solve_joint(wide, None) == Declined("the fleet has 101 hosts; up to 100 are worth modelling")


@pytest.mark.parametrize("seed", range(4))
def test_no_plan_at_all_is_shorter(seed: int) -> None:
    rng = np.random.default_rng(seed)
    vms = {
        f"v{number}": {
            "host_id": f"h{rng.integers(1, 3)}",
            "memory_mib": int(rng.integers(1, 4)) * 8192,
            "eviction": str(rng.choice(["live", "restart"])),
            "notice_s": int(rng.choice([0, 60])),
            "service_id": None,
        }
        for number in range(1, 5)
    }
    hosts = {"h3": {"state": "down"}, "h4": {"state": "down"}, "h6": {"memory_mib": 24576}}
    snapshot = small_fleet(hosts=hosts, vms={**vms, "v5": None, "v6": None})
    policy = POLICY.model_copy(
        update={
            "selection": Selection(hosts=("h1", "h2")),
            "max_out": {"fleet": int(rng.integers(1, 3))},
            "canary": POLICY.canary.model_copy(update={"hosts": 0}),
            "reserve": POLICY.reserve.model_copy(update={"share": 0.0, "hosts": 0}),
            "objective": ("makespan",),
        }
    )
    problem = build_problem(snapshot, policy)
    outcome = solve_joint(problem, None, effort=10.0)
    shortest_s = shortest_makespan_s(problem)
    if shortest_s is None:
        assert not isinstance(outcome, Solved) or len(outcome.schedule.host) < 2
        return
    assert isinstance(outcome, Solved)
    assert outcome.proven
    assert outcome.schedule.makespan_s == shortest_s
