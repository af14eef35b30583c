"""Every schedule respects every bound, and relaxing a limit never raises one."""

from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from slacktide.datasets.generator import generate_fleet
from slacktide.datasets.generator_settings import GeneratorSettings
from slacktide.datasets.snapshot import FleetSnapshot
from slacktide.planner.assembly import weighted_exposure_s
from slacktide.planner.bounds import compute_bounds, fluid_exposure_s
from slacktide.planner.listing.gating import Terms
from slacktide.planner.listing.schedule import build_instance, list_schedule
from slacktide.planner.needs import canary_size, host_needs
from slacktide.planner.orders import canary_first
from slacktide.planner.policy import (
    Assumptions,
    Canary,
    DomainName,
    Gates,
    MigrationRules,
    Policy,
    Reserve,
    WeightRule,
)
from slacktide.planner.problem import NO_LIMIT, Problem
from slacktide.planner.problem_building import build_problem
from slacktide.planner.wave_bound import most_in_a_wave
from slacktide.planner.weights import THOUSANDTHS

ROUNDING = 1e-9

limits = st.one_of(st.integers(1, 8), st.integers(1, 100).map(lambda share: f"{share}%"))


@st.composite
def fleets(draw: st.DrawFn) -> FleetSnapshot:
    return generate_fleet(
        GeneratorSettings(
            hosts=draw(st.integers(3, 30)),
            seed=draw(st.integers(0, 10_000)),
            fill=draw(st.sampled_from([0.2, 0.5, 0.75, 0.9])),
            empty_share=draw(st.sampled_from([0.0, 0.1, 0.4])),
            down_share=draw(st.sampled_from([0.0, 0.1])),
            patched_share=draw(st.sampled_from([0.0, 0.2])),
            restart_share=draw(st.sampled_from([0.0, 0.01, 0.3, 1.0])),
            local_disk_share=draw(st.sampled_from([0.0, 0.1])),
            hosts_per_rack=draw(st.integers(2, 12)),
            racks_per_power_feed=draw(st.integers(1, 3)),
            host_link_mbit_s=draw(st.sampled_from([1_000, 25_000])),
            notice_s=draw(st.sampled_from([((0, 0.7), (300, 0.3)), ((0, 0.5), (600, 0.3), (7_200, 0.2))])),
            largest_vm_share=draw(st.sampled_from([0.1, 0.5])),
        )
    )


@st.composite
def weights(draw: st.DrawFn) -> tuple[WeightRule, ...]:
    """Return rules for what every fleet here has."""
    weight = st.floats(1, 1000).map(lambda value: round(value, 3))
    hosts = WeightRule(hosts=("host-000000", "host-000002"), weight=draw(weight))
    rack = WeightRule(domain=DomainName(kind="rack", id="rack-00000"), weight=draw(weight))
    return draw(st.sampled_from([(), (hosts,), (rack,), (hosts, rack)]))


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    max_out: dict[str, int | str] = {"fleet": draw(limits)}
    for kind in ("rack", "power"):
        if draw(st.booleans()):
            max_out[kind] = draw(limits)
    bake_s, wave_hosts = draw(st.integers(0, 1_000)), draw(st.sampled_from([None, 1, 2, 5]))
    baked = Gates(kind="baked", bake_s=draw(st.integers(0, bake_s)), max_wave_hosts=wave_hosts)
    gates = draw(st.sampled_from([Gates(), baked]))
    return Policy(
        objective=draw(st.sampled_from([("exposure",), ("makespan", "moves")])),
        weights=draw(weights()),
        reserve=Reserve(share=draw(st.sampled_from([0.0, 0.03, 0.07, 0.2]))),
        max_out=max_out,
        link_share=draw(st.sampled_from([0.05, 0.3, 0.5, 1.0])),
        canary=Canary(hosts=draw(st.integers(0, 4)), bake_s=bake_s),
        gates=gates,
        assume=Assumptions(dirty_mib_s=20.0, hot_mib=64.0),
        migration=MigrationRules(
            strategies=draw(st.sampled_from([("precopy",), ("precopy", "autoconverge", "postcopy")])),
            allow_patched_to_unpatched=draw(st.booleans()),
        ),
    )


def terms(problem: Problem) -> Terms:
    policy, most = problem.policy, most_in_a_wave(problem)
    values = dict.fromkeys(Terms._fields, 1) | {
        "canary_hosts": canary_size(policy, int(problem.selected.sum())),
        "canary_bake_s": policy.canary.bake_s,
        "strict": policy.gates.kind != "pipelined",
        "bake_s": policy.gates.bake_s,
        "wave_hosts": most or NO_LIMIT,
        "reach": 24,
        "scatter_until_s": 10_000,
        "complete": True,
        "in_turn": False,
        "promised_first": True,
    }
    return Terms(**values)


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(fleets(), policies(), st.integers(0, 100))
def test_every_schedule_respects_every_bound(fleet: FleetSnapshot, policy: Policy, seed: int) -> None:
    problem = build_problem(fleet, policy)
    needs = host_needs(problem)
    if not len(needs.host):
        return
    order = needs.host[canary_first(problem, needs, np.random.default_rng(seed).permutation(len(needs.host)))]
    schedule = list_schedule(problem, build_instance(problem), order, terms(problem))
    planned = np.zeros(len(problem.hosts.ids), bool)
    planned[schedule.host] = True
    narrowed = replace(problem, hosts=replace(problem.hosts, due=planned))
    bounds, planned_needs = compute_bounds(narrowed), host_needs(narrowed)
    for resource, bound_s in bounds.makespan_s.items():
        assert bound_s <= schedule.makespan_s * (1 + ROUNDING), resource
    returns_s = np.sort(schedule.return_s)
    assert np.all(bounds.returns_s <= returns_s * (1 + ROUNDING))
    if len(planned_needs.host):
        weight = problem.hosts.weight[planned_needs.host] / THOUSANDTHS
        fluid_s = fluid_exposure_s(narrowed, planned_needs, weight, bounds.best_s, fewest_hosts=1)
        return_of = dict(zip(schedule.host.tolist(), schedule.return_s.tolist(), strict=True))
        weighted_s = sum(each * return_of[host] for each, host in zip(weight, planned_needs.host.tolist(), strict=True))
        assert fluid_s <= weighted_s * (1 + ROUNDING)
    left_alone = int(problem.selected.sum()) - len(schedule.host)
    assert bounds.exposure_s <= (returns_s.sum() + left_alone * schedule.makespan_s) * (1 + ROUNDING)
    assert bounds.weighted_exposure_s <= weighted_exposure_s(problem, schedule) * (1 + ROUNDING)


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(fleets(), policies(), st.data())
def test_relaxing_a_limit_never_raises_a_bound(fleet: FleetSnapshot, policy: Policy, data: st.DataObject) -> None:
    before = compute_bounds(build_problem(fleet, policy))
    kind = data.draw(st.sampled_from(["max_out", "remove", "reserve", "bake", "canary", "notice"]))
    relaxed_fleet, changes = _relaxed(fleet, policy, kind, data)
    after = compute_bounds(build_problem(relaxed_fleet, policy.model_copy(update=changes)))
    for resource, bound_s in after.makespan_s.items():
        assert bound_s <= before.makespan_s[resource] * (1 + ROUNDING), resource
    assert np.all(after.returns_s <= before.returns_s * (1 + ROUNDING))
    assert after.exposure_s <= before.exposure_s * (1 + ROUNDING)


def _relaxed(
    fleet: FleetSnapshot, policy: Policy, kind: str, data: st.DataObject
) -> tuple[FleetSnapshot, dict[str, Any]]:
    """Return the fleet and the policy's changes with one limit looser."""
    if kind == "max_out":
        loosened = data.draw(st.sampled_from(sorted(policy.max_out)))
        return fleet, {"max_out": {**policy.max_out, loosened: _more(policy.max_out[loosened])}}
    if kind == "remove":
        removed = data.draw(st.sampled_from(sorted(policy.max_out)))
        return fleet, {"max_out": {name: limit for name, limit in policy.max_out.items() if name != removed}}
    if kind == "reserve":
        return fleet, {"reserve": Reserve(share=max(0.0, policy.reserve.share - 0.01))}
    if kind == "bake":
        return fleet, {"canary": policy.canary.model_copy(update={"bake_s": policy.canary.bake_s // 2})}
    if kind == "canary":
        return fleet, {"canary": Canary(hosts=0, bake_s=policy.canary.bake_s)}
    return replace(fleet, vms=fleet.vms.with_columns(fleet.vms["notice_s"] // 2)), {}


def _more(limit: int | str) -> int | str:
    if isinstance(limit, int):
        return limit + 1
    return f"{min(100, int(limit.removesuffix('%')) + 5)}%"
