"""Each limit's encoding matters: without it the small fleet's best schedule is another, and breaks that very limit."""

from dataclasses import replace
from typing import Any

import polars as pl
import pytest
from small_fleet import small_fleet

from slacktide.datasets.snapshot import FleetSnapshot
from slacktide.planner.audit import audit, constraints
from slacktide.planner.constraints.constraint import Limit
from slacktide.planner.joint import Infeasible, Solved, solve_joint
from slacktide.planner.policy import Assumptions, Canary, MigrationRules, Policy, Reserve, Selection
from slacktide.planner.problem_building import build_problem
from slacktide.planner.solve import assemble

LIMITS = {limit.rule for limit in constraints(Policy()) if isinstance(limit, Limit)}


def policy(**changes: Any) -> Policy:
    """Return a policy that limits next to nothing; v6 does not move."""
    plain = Policy(
        objective=("makespan",),
        reserve=Reserve(share=0.0),
        max_out={},
        link_share=1.0,
        selection=Selection(hosts=("h1", "h2")),
        assume=Assumptions(dirty_mib_s=1.0, hot_mib=16.0),
    )
    return plain.model_copy(update=changes)


def fleet(**changes: Any) -> FleetSnapshot:
    """Return the small fleet without its service's limits, on a spine that never fills."""
    snapshot = small_fleet(**changes)
    if "services" not in changes:
        free = pl.lit(None, dtype=pl.Int32)
        services = snapshot.services.with_columns(max_per_domain=free, max_moving=free)
        snapshot = replace(snapshot, services=services)
    return snapshot


TIGHT: dict[str, tuple[FleetSnapshot, Policy]] = {
    "host-capacity": (
        fleet(
            hosts={"h4": {"state": "down"}, "h3": {"vcpus": 4, "memory_mib": 8192}, "h6": {"memory_mib": 16384}},
            vms={"v5": None},
        ),
        policy(),
    ),
    "reserve": (fleet(), policy(reserve=Reserve(share=0.55))),
    "link-share": (fleet(vms={"v3": {"eviction": "live"}}), policy(link_share=0.1)),
    "hosts-out": (fleet(), policy(max_out={"fleet": 1})),
    "service-spread": (
        fleet(
            services={"web": {"max_per_domain": 1}},
            hosts={"h3": {"state": "down"}, "h4": {"state": "down"}},
            vms={"v5": None, "v6": None},
        ),
        policy(),
    ),
    "service-moving": (
        fleet(
            services={"web": {"max_moving": 1}},
            vms={vm: {"eviction": "restart", "service_id": "web"} for vm in ("v1", "v2")},
        ),
        policy(selection=Selection(hosts=("h1",))),
    ),
    "eligibility": (
        fleet(
            vms={"v1": {"machine_types": ["m1"]}, "v3": {"machine_types": ["m1"]}},
            hosts={"h3": {"state": "down"}, "h4": {"state": "down"}},
        ),
        policy(),
    ),
    "patch-direction": (
        fleet(hosts={"h6": {"state": "down"}, "h1": {"patch_level": "patched"}, "h3": {"state": "down"}}),
        policy(selection=Selection(hosts=("h1",)), migration=MigrationRules()),
    ),
    "notice": (fleet(vms={"v1": {"notice_s": 900}}), policy()),
    "drained-host-empty": (fleet(), policy()),
    "no-arrivals-while-out": (
        fleet(hosts={"h3": {"state": "down"}, "h4": {"state": "down"}, "h6": {"state": "down"}}),
        policy(),
    ),
    "maintenance-time": (fleet(), policy()),
    "waves-and-gates": (fleet(), policy(canary=Canary(hosts=1, bake_s=100))),
}

NOT_IN_PLANS = {"drained-host-empty", "maintenance-time", "notice"}
"""Limits that a schedule cannot break, whatever the model says: it is read from the model so that it keeps them."""


def test_every_limit_has_a_case() -> None:
    assert set(TIGHT) == LIMITS


@pytest.mark.parametrize("rule", sorted(TIGHT))
def test_dropping_an_encoding_breaks_its_limit(rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    snapshot, terms = TIGHT[rule]
    problem = build_problem(snapshot, terms)
    limited = solve_joint(problem, None, effort=5.0)
    for limit in constraints(terms):
        if limit.rule == rule:
            monkeypatch.setattr(type(limit), "encode", lambda *_: None)
    free = solve_joint(problem, None, effort=5.0)
    assert isinstance(free, Solved)
    assert free.proven
    if rule not in NOT_IN_PLANS:
        plan = assemble(snapshot, problem, free.schedule, 0, 0.0)
        assert rule in {finding.rule for finding in audit(snapshot, plan).errors}
    if isinstance(limited, Infeasible):
        return
    assert isinstance(limited, Solved)
    assert limited.proven
    assert free.bound < limited.bound
    assert audit(snapshot, assemble(snapshot, problem, limited.schedule, 0, 0.0)).errors == ()
