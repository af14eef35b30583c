"""Every plan is complete and audits clean, whatever the fleet and the policy."""

import math

import polars as pl
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from slacktide.datasets.generator import generate_fleet
from slacktide.datasets.generator_settings import GeneratorSettings
from slacktide.datasets.snapshot import FleetSnapshot
from slacktide.planner.audit import audit
from slacktide.planner.plan import Plan
from slacktide.planner.policy import PRESETS, Assumptions, Canary, Gates, MigrationRules, Policy, Reserve
from slacktide.planner.search import ALIKE
from slacktide.planner.solve import make_plan
from slacktide.planner.stopping import Iterations

fleets = st.builds(
    GeneratorSettings,
    hosts=st.integers(2, 40),
    seed=st.integers(0, 10_000),
    fill=st.sampled_from([0.3, 0.6, 0.75, 0.9]),
    empty_share=st.sampled_from([0.0, 0.05, 0.3]),
    down_share=st.sampled_from([0.0, 0.1]),
    patched_share=st.sampled_from([0.0, 0.3]),
    hosts_per_rack=st.sampled_from([4, 8, 40]),
    topology=st.sampled_from(["leaf_spine", "fat_tree"]),
    oversubscription=st.sampled_from([1.0, 8.0, 40.0]),
    restart_share=st.sampled_from([0.0, 0.3]),
    pinned_share=st.sampled_from([0.0, 0.02]),
    local_disk_share=st.sampled_from([0.0, 0.3]),
)
policies = st.builds(
    Policy,
    objective=st.sampled_from([("exposure", "moves"), ("makespan",), ("moves", "makespan"), ("blackout", "makespan")]),
    selection=st.sampled_from([{"hosts": "due"}, {"hosts": "all"}]),
    reserve=st.sampled_from(
        [Reserve(), Reserve(share=0.1), Reserve(hosts=1, per="rack"), Reserve(share=0.02, hosts=1)]
    ),
    max_out=st.sampled_from([{}, {"fleet": "20%"}, {"fleet": 3, "rack": 1}, {"rack": "34%", "power": "25%"}]),
    link_share=st.sampled_from([0.1, 0.5, 1.0]),
    canary=st.sampled_from([Canary(), Canary(hosts=1, bake_s=60), Canary(hosts="10%")]),
    gates=st.sampled_from(
        [
            Gates(),
            Gates(kind="baked", bake_s=120),
            Gates(kind="approval", max_wave_hosts=4),
            Gates(max_wave_hosts="15%"),
        ]
    ),
    assume=st.sampled_from([Assumptions(), Assumptions(dirty_mib_s=20.0, hot_mib=64.0)]),
    migration=st.sampled_from(
        [
            MigrationRules(),
            MigrationRules(strategies=("precopy",), blackout_limit_ms=100),
            MigrationRules(strategies=("precopy", "postcopy"), allow_patched_to_unpatched=True),
        ]
    ),
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(fleet=fleets, policy=policies)
def test_every_plan_audits_clean_and_leaves_no_due_host_unmentioned(fleet: GeneratorSettings, policy: Policy) -> None:
    snapshot = generate_fleet(fleet)
    plan = make_plan(snapshot, policy, stop=Iterations(1))
    assert [str(finding) for finding in audit(snapshot, plan).errors] == []
    due = snapshot.hosts if policy.selection.hosts == "all" else _unpatched(snapshot, policy)
    named = pl.concat([plan.hosts["host_id"], plan.deferred["host_id"]])
    assert sorted(named) == sorted(due["host_id"])


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(fleet=fleets, policy=policies)
def test_every_plan_in_place_audits_clean_moves_no_vm_and_keeps_its_bounds(
    fleet: GeneratorSettings, policy: Policy
) -> None:
    snapshot, policy = generate_fleet(fleet), policy.model_copy(update={"in_place": True})
    plan = make_plan(snapshot, policy, stop=Iterations(1))
    assert [str(finding) for finding in audit(snapshot, plan).errors] == []
    assert plan.migrations.is_empty()
    assert (plan.hosts["drained_s"] == plan.hosts["drain_start_s"]).all()
    summary = plan.header.summary
    assert summary.makespan_s >= summary.makespan_bound_s
    assert summary.exposure_host_h >= summary.exposure_bound_host_h * (1 - 1e-9)
    due = snapshot.hosts if policy.selection.hosts == "all" else _unpatched(snapshot, policy)
    named = pl.concat([plan.hosts["host_id"], plan.deferred["host_id"]])
    assert sorted(named) == sorted(due["host_id"])


@settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow])
@given(fleet=fleets, preset=st.sampled_from(sorted(PRESETS)))
def test_further_tries_give_up_no_more_of_the_first_goal_than_a_step(fleet: GeneratorSettings, preset: str) -> None:
    snapshot = generate_fleet(fleet)
    policy = PRESETS[preset]
    first = make_plan(snapshot, policy, seed=3, stop=Iterations(0))
    later = make_plan(snapshot, policy, seed=3, stop=Iterations(6))
    (alone, value, *_), (alone_first, value_first, *_) = _score(later), _score(first)
    assert alone <= alone_first
    assert alone < alone_first or value <= value_first * math.exp(ALIKE[policy.objective[0]]) * (1 + 1e-9)


@settings(max_examples=10, suppress_health_check=[HealthCheck.too_slow])
@given(fleet=fleets, preset=st.sampled_from(sorted(PRESETS)), seed=st.integers(0, 5))
def test_the_same_snapshot_policy_and_seed_give_the_same_plan(fleet: GeneratorSettings, preset: str, seed: int) -> None:
    snapshot = generate_fleet(fleet)
    once = make_plan(snapshot, PRESETS[preset], seed=seed, stop=Iterations(3))
    again = make_plan(snapshot, PRESETS[preset], seed=seed, stop=Iterations(3), workers=2)
    assert once.header.id == again.header.id
    assert once.migrations.equals(again.migrations)


def _unpatched(snapshot: FleetSnapshot, policy: Policy) -> pl.DataFrame:
    return snapshot.hosts.filter(pl.col("patch_level") != policy.patch_level)


def _score(plan: Plan) -> tuple[float, ...]:
    summary = plan.header.summary
    values = {
        "exposure": round(summary.exposure_host_h * 3600),
        "makespan": summary.makespan_s,
        "moves": summary.migrations,
    }
    return (-summary.hosts, *(values[goal] for goal in plan.header.objective))
