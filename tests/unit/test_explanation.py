"""What an explanation says, on fleets small enough to know it beforehand."""

import json
from dataclasses import replace

import polars as pl
import pytest
from small_fleet import POLICY, small_fleet, small_plan

from slacktide.datasets.generator import generate_fleet
from slacktide.datasets.generator_settings import GeneratorSettings
from slacktide.datasets.snapshot import FleetSnapshot
from slacktide.errors import InputError
from slacktide.planner.explanation import Explanation, explain
from slacktide.planner.plan import Plan
from slacktide.planner.policy import PRESETS, Canary, Policy, Reserve, Selection
from slacktide.planner.relaxation import Relaxation
from slacktide.planner.solve import make_plan
from slacktide.planner.stopping import Iterations


def planned(fleet: FleetSnapshot, policy: Policy) -> tuple[Plan, Explanation]:
    plan = make_plan(fleet, policy, stop=Iterations(0))
    return plan, explain(fleet, plan)


def hosts_of(count: int, **settings: object) -> FleetSnapshot:
    return generate_fleet(GeneratorSettings(hosts=count, hosts_per_rack=10, pinned_share=0.0, **settings))


def relaxation(explanation: Explanation, limit: str) -> Relaxation:
    return next(one for one in explanation.relaxations if one.limit == limit)


def test_the_bounds_are_the_plans_with_the_binding_one_first() -> None:
    plan, explanation = planned(hosts_of(40), PRESETS["urgent"])
    summary = plan.header.summary
    assert {bound.resource: bound.bound_s for bound in explanation.bounds} == summary.bounds
    assert explanation.bounds[0].resource == summary.binding_resource
    assert explanation.bounds[0].gap == pytest.approx(summary.makespan_gap)
    assert [bound.bound_s for bound in explanation.bounds] == sorted(summary.bounds.values(), reverse=True)


def test_the_words_carry_the_limits_and_the_needs() -> None:
    policy = PRESETS["urgent"].model_copy(update={"max_out": {"fleet": 3}, "canary": Canary(hosts=0)})
    _, explanation = planned(hosts_of(40, fill=0.3), policy)
    words = explanation.bounds[0].words
    assert words.startswith("hosts out in the fleet: 3 of 40 at once; 40 hosts x (drain >= ")
    assert words.endswith(f"need at least {explanation.bounds[0].bound_s:,.0f} s")
    assert words in explanation.text()


def test_one_host_more_shortens_the_bound_that_binds() -> None:
    policy = PRESETS["urgent"].model_copy(update={"max_out": {"fleet": 3, "rack": 9}, "canary": Canary(hosts=0)})
    _, explanation = planned(hosts_of(40, fill=0.3), policy)
    more = relaxation(explanation, "max_out.fleet")
    assert (more.before, more.after) == ("3", "4")
    assert more.bound_s == pytest.approx(explanation.bounds[0].bound_s * 3 / 4, rel=0.05)
    assert more.gain_s == pytest.approx(explanation.bounds[0].bound_s - more.bound_s)
    assert relaxation(explanation, "max_out.rack").gain_s == 0
    assert explanation.relaxations[0] == more
    assert "nothing: " in explanation.text()


def test_shares_are_raised_by_points() -> None:
    _, explanation = planned(hosts_of(40), PRESETS["urgent"])
    more = relaxation(explanation, "max_out.fleet")
    assert (more.before, more.after) == ("20%", "25%")
    assert relaxation(explanation, "reserve.share").after == "2.0%"
    assert relaxation(explanation, "canary.bake_s").after == "150 s"


def test_no_relaxation_raises_the_bound() -> None:
    for preset in PRESETS.values():
        _, explanation = planned(hosts_of(30, seed=3), preset)
        best_s = explanation.bounds[0].bound_s
        assert explanation.relaxations
        assert all(one.bound_s <= best_s and one.gain_s >= 0 for one in explanation.relaxations)


def test_the_gate_of_the_canary_is_told() -> None:
    _, explanation = planned(hosts_of(30), PRESETS["urgent"])
    assert explanation.canary_hosts == 2
    assert explanation.gate_s > 300
    assert "All wait for the canary, 2 hosts" in explanation.text()


def test_deferred_hosts_are_counted_with_remedy_and_examples() -> None:
    plan = small_plan()
    explanation = explain(small_fleet(), plan)
    assert [(one.reason, one.hosts) for one in explanation.deferred] == [("down", 1), ("pinned-vm", 1)]
    pinned = explanation.deferred[1]
    assert pinned.examples == (("h3", "v6 may not be moved"),)
    assert "Deferred, pinned-vm: 1 host. Stop v6, or change its eviction" in explanation.text()


def test_the_longest_notice_is_named() -> None:
    explanation = explain(small_fleet(), small_plan())
    assert [(host.host_id, host.notice_s) for host in explanation.longest_notices] == [
        ("h1", 60),
        ("h2", 60),
        ("h4", 60),
    ]
    assert explanation.longest_drains[0].host_id == "h2"
    assert explanation.longest_drains[0].drain_s == 2 + 60 + 1


def test_a_full_fleet_says_what_is_short() -> None:
    fleet = small_fleet(hosts={host: {"memory_mib": 8192 * 2} for host in ("h1", "h2", "h4", "h6")})
    policy = POLICY.model_copy(update={"reserve": Reserve(share=0.9)})
    plan, explanation = planned(fleet, policy)
    assert plan.hosts.height == 0
    assert explanation.text().startswith(f"Plan {plan.header.id} patches no host; 5 hosts deferred")
    assert any(fact.startswith("free memory beyond the reserve: 0 GiB; 3 hosts") for fact in explanation.obstacles)
    assert explanation.bounds[0].words.endswith("there is nothing to plan with")
    json.dumps(explanation.as_dict(), allow_nan=False)


def test_a_limit_of_no_host_out_is_an_obstacle() -> None:
    policy = POLICY.model_copy(update={"max_out": {"fleet": 5, "rack": 0}})
    plan, explanation = planned(small_fleet(), policy)
    assert plan.hosts.height == 0
    assert "`max_out` is 0 for rack r1; 2 hosts are in it" in explanation.obstacles
    more = relaxation(explanation, "max_out.rack")
    assert more.gain_s == float("inf")
    assert "a plan becomes possible as far as bounds can say" in explanation.text()
    assert relaxation(explanation, "max_out.fleet").gain_s == 0


def test_nothing_due_is_said() -> None:
    plan, explanation = planned(small_fleet(), POLICY.model_copy(update={"selection": Selection(hosts=())}))
    assert explanation.text() == f"Plan {plan.header.id} patches no host: none is due"
    assert explanation.bounds == ()


def test_another_snapshot_is_refused() -> None:
    with pytest.raises(InputError, match="was made for another snapshot"):
        explain(small_fleet(vms={"v1": {"notice_s": 61}}), small_plan())


def test_plain_data_is_json() -> None:
    _, explanation = planned(hosts_of(30), PRESETS["routine"])
    data = json.loads(json.dumps(explanation.as_dict(), allow_nan=False))
    assert data["bounds"][0]["resource"] == explanation.bounds[0].resource
    assert set(data) == {field for field in Explanation.__dataclass_fields__}


def test_the_same_plan_is_explained_in_the_same_words() -> None:
    fleet = hosts_of(30)
    plan, explanation = planned(fleet, PRESETS["urgent"])
    shuffled = replace(fleet, vms=fleet.vms.sort("vm_id"), hosts=fleet.hosts.sort(pl.col("host_id")))
    assert explain(shuffled, plan) == explanation
