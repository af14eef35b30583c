"""Smallest conflicts: known ones, and that every one is out of reach as a whole and in reach without any member."""

import pytest
from small_fleet import POLICY, small_fleet
from tiny_fleets import tiny_fleet, tiny_policy

from slacktide.datasets.snapshot import FleetSnapshot
from slacktide.planner.conflict import Conflict, smallest_conflict
from slacktide.planner.explanation import explain
from slacktide.planner.levers import levers
from slacktide.planner.loosening import Case
from slacktide.planner.policy import Canary, Policy, Reserve
from slacktide.planner.problem_building import build_problem
from slacktide.planner.reach import Effort, Oracle, TimeIsOver, everything
from slacktide.planner.solve import make_plan
from slacktide.planner.stopping import Iterations

CALM = POLICY.model_copy(
    update={"canary": Canary(), "reserve": Reserve(), "max_out": {"fleet": 3, "rack": 2}, "deadline_s": None}
)


def oracle_of(fleet: FleetSnapshot, policy: Policy, by_s: int | None = None, *, plans: bool = True) -> Oracle:
    case = Case(fleet, build_problem(fleet, policy))
    return Oracle(case, everything(case.problem, by_s), Effort(tries=1), plans=plans)


def conflict_of(oracle: Oracle) -> Conflict | None:
    return smallest_conflict(oracle, levers(oracle.case))


def limits(conflict: Conflict | None) -> list[str]:
    assert conflict is not None
    return [member.limit for member in conflict.members]


def check_smallest(oracle: Oracle, conflict: Conflict) -> None:
    """Check that the members alone rule the goal out, and any but one of them do not, with all else given up."""
    known = levers(oracle.case)
    members = set(limits(conflict))
    others = [(lever, lever.most) for lever in known if lever.limit not in members]
    whole = oracle.answer(others)
    assert not whole.reached
    assert whole.proven == conflict.proven
    for member in conflict.members:
        (lever,) = (lever for lever in known if lever.limit == member.limit)
        without = oracle.answer([*others, (lever, lever.most)])
        if conflict.proven:
            assert not without.proven
        else:
            assert without.reached
        if member.plan_id is not None:
            assert without.reached


def test_what_can_be_reached_has_no_conflict() -> None:
    assert conflict_of(oracle_of(small_fleet(), CALM)) is None
    assert conflict_of(oracle_of(small_fleet(), CALM, 3600)) is None


def test_a_limit_of_no_host_out_is_a_conflict_of_its_own() -> None:
    oracle = oracle_of(small_fleet(), CALM.model_copy(update={"max_out": {"fleet": 3, "rack": 0}}))
    conflict = conflict_of(oracle)
    assert limits(conflict) == ["max_out.rack"]
    assert conflict.ground == "bounds"
    assert conflict.members[0].plan_id is not None
    assert conflict.text().startswith(
        "This limit alone is in conflict: max_out.rack 0 (proven), however loose all others are; without it "
        "as well a plan exists"
    )
    (line,) = conflict.lines(lambda seconds: f"{seconds:.0f} s")
    assert line.startswith("without max_out.rack, and with all others loose too: ")
    check_smallest(oracle, conflict)


def test_a_reserve_that_nothing_is_left_of() -> None:
    oracle = oracle_of(small_fleet(), CALM.model_copy(update={"reserve": Reserve(share=0.8)}))
    conflict = conflict_of(oracle)
    assert limits(conflict) == ["reserve.share"]
    assert conflict.proven
    check_smallest(oracle, conflict)


def test_notice_and_patch_time_together_are_too_long() -> None:
    fleet = small_fleet(vms={f"v{number}": {"notice_s": 200} for number in range(1, 6)})
    oracle = oracle_of(fleet, CALM.model_copy(update={"max_out": {"fleet": "100%"}}), 750)
    conflict = conflict_of(oracle)
    assert limits(conflict) == ["notice of every VM", "patch time of every host"]
    assert conflict.proven
    assert "drop any one as well and a plan" in conflict.text()
    check_smallest(oracle, conflict)


def test_hosts_out_and_patch_time_together_are_too_long() -> None:
    oracle = oracle_of(small_fleet(), CALM.model_copy(update={"max_out": {"fleet": 1}}), 1500)
    conflict = conflict_of(oracle)
    assert limits(conflict) == ["max_out.fleet", "patch time of every host"]
    assert all(member.plan_id for member in conflict.members)
    lines = list(conflict.lines(lambda seconds: f"{seconds:.0f} s"))
    assert lines[0].startswith("without max_out.fleet, and with all others outside this conflict loose too: ")
    assert all(member.without_s <= 1500 for member in conflict.members)
    check_smallest(oracle, conflict)


def test_spread_is_found_where_no_bound_sees_it() -> None:
    """v1 and v4 may not share a host, and h2 is the only one left for v1."""
    hosts = {name: {"state": "down"} for name in ("h3", "h4", "h5", "h6")}
    fleet = small_fleet(
        hosts={**hosts, "h2": {"patch_level": "patched"}}, vms={"v2": None, "v3": None, "v5": None, "v6": None}
    )
    oracle = oracle_of(fleet, CALM)
    conflict = conflict_of(oracle)
    assert limits(conflict) == ["spread of every service"]
    assert conflict.ground == "joint model"
    check_smallest(oracle, conflict)


def test_a_fleet_without_room_is_no_limits_fault() -> None:
    fleet = small_fleet(
        hosts={"h3": {"state": "down"}, "h4": {"state": "down"}, "h6": {"state": "down"}},
        vms={name: {"memory_mib": 32768, "vcpus": 8} for name in ("v1", "v2", "v3", "v4")} | {"v5": None, "v6": None},
    )
    conflict = conflict_of(oracle_of(fleet, CALM))
    assert limits(conflict) == []
    assert conflict.text() == "No limit of the policy stands in the way, but the fleet itself (proven)"


@pytest.mark.parametrize("seed", range(6))
def test_conflicts_of_random_fleets_are_smallest(seed: int) -> None:
    policy = tiny_policy("makespan", out=1, canary=1, reserve=0.3)
    oracle = oracle_of(tiny_fleet(4, seed), policy, 700 + 100 * seed)
    conflict = conflict_of(oracle)
    assert conflict is not None
    check_smallest(oracle, conflict)


@pytest.mark.parametrize("seed", range(4))
def test_bounds_alone_never_call_a_conflict_that_plans_refute(seed: int) -> None:
    policy = tiny_policy("makespan", out=1, canary=1)
    with_plans = oracle_of(tiny_fleet(4, seed), policy, 900)
    by_bounds = oracle_of(tiny_fleet(4, seed), policy, 900, plans=False)
    conflict = conflict_of(by_bounds)
    if conflict is None:
        return
    assert conflict.ground == "bounds"
    assert all(member.plan_id is None for member in conflict.members)
    assert not with_plans.answer().reached
    check_smallest(by_bounds, conflict)


def test_when_the_time_is_over_nothing_is_claimed() -> None:
    oracle = oracle_of(small_fleet(), CALM, 800)
    oracle.effort = Effort(tries=1, over=lambda: True)
    with pytest.raises(TimeIsOver):
        conflict_of(oracle)


def test_explain_names_the_conflict_by_bounds() -> None:
    policy = CALM.model_copy(update={"max_out": {"fleet": 1}, "deadline_s": 1500})
    plan = make_plan(small_fleet(), policy, stop=Iterations(0))
    explanation = explain(small_fleet(), plan)
    assert limits(explanation.conflict) == ["max_out.fleet", "patch time of every host"]
    assert "These limits together are in conflict: max_out.fleet 1, patch time of every host" in explanation.text()
    assert "drop any one as well and a plan may exist" in explanation.text()
    assert "`slacktide what-if`" in explanation.text()
    assert explain(small_fleet(), make_plan(small_fleet(), CALM, stop=Iterations(0))).conflict is None
