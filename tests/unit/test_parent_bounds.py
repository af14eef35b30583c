"""The parent's bounds hold for a revision that only goes on as planned, and nothing is claimed of any other."""

from functools import cache
from typing import Any

import pytest

from slacktide.datasets.generator import generate_fleet
from slacktide.datasets.generator_settings import GeneratorSettings
from slacktide.datasets.snapshot import FleetSnapshot
from slacktide.planner.audit import audit
from slacktide.planner.plan import Plan
from slacktide.planner.policy import PRESETS, Gates, Policy
from slacktide.planner.progress import progress_at
from slacktide.planner.revision import revise
from slacktide.planner.solve import make_plan
from slacktide.planner.stopping import Iterations
from slacktide.service.revision_text import revision_rows
from slacktide.service.words import plain
from slacktide.units import SECONDS_PER_HOUR

POLICY = PRESETS["urgent"]


@cache
def parent(gates: Gates = POLICY.gates) -> tuple[FleetSnapshot, Plan]:
    snapshot = generate_fleet(GeneratorSettings(hosts=120, seed=4))
    policy = POLICY.model_copy(update={"gates": gates})
    return snapshot, make_plan(snapshot, policy, stop=Iterations(0))


def child_at(at_s: int, policy: Policy = POLICY, **facts: Any) -> Plan:
    snapshot, plan = parent(policy.gates)
    now, progress = progress_at(snapshot, plan, at_s, **facts)
    child = revise(now, policy, plan, progress, before=snapshot)
    assert audit(now, child).errors == ()
    return child


def ground(child: Plan) -> str | None:
    assert child.header.revision is not None
    return child.header.revision.parent_bounds


def bounds_row(child: Plan) -> str:
    (row,) = (row for row in revision_rows(child) if row[0] == "bounds")
    return plain("  ".join(row))


def test_a_revision_that_changes_nothing_is_as_near_its_bounds_as_its_parent() -> None:
    before, child = parent()[1].header.summary, child_at(0)
    after = child.header.summary
    assert ground(child) == "kept"
    assert after.makespan_bound_s >= before.makespan_bound_s
    assert after.exposure_bound_host_h >= before.exposure_bound_host_h * (1 - 1e-9)
    assert after.exposure_gap <= before.exposure_gap + 1e-9
    assert bounds_row(child) == "bounds  parent's  hold as well: all has gone as planned, under the same limits"


def test_what_hosts_that_are_back_have_taken_is_taken_off() -> None:
    snapshot, plan = parent()
    at_s = plan.header.summary.makespan_s // 2
    child = child_at(at_s)
    back_s = plan.hosts.filter(plan.hosts["return_s"] <= at_s)["return_s"].sum()
    assert back_s > 0
    assert ground(child) == "kept"
    rest_h = plan.header.summary.exposure_bound_host_h - back_s / SECONDS_PER_HOUR
    assert child.header.summary.exposure_bound_host_h >= rest_h * (1 - 1e-9)
    now, progress = progress_at(snapshot, plan, at_s)
    alone = revise(now, POLICY, plan, progress)
    assert ground(alone) is None
    assert alone.header.summary.exposure_bound_host_h <= child.header.summary.exposure_bound_host_h


def test_nothing_is_claimed_where_something_is_not_as_planned() -> None:
    plan = parent()[1]
    at_s = plan.header.summary.makespan_s // 2
    waiting = plan.hosts.filter(plan.hosts["drain_start_s"] > at_s)["host_id"][0]
    out = plan.hosts.filter((plan.hosts["drained_s"] <= at_s) & (plan.hosts["return_s"] > at_s)).row(0, named=True)
    assert ground(child_at(at_s, lost_hosts=[waiting])) == "other-fleet"
    assert ground(child_at(at_s, gone_vms=[parent()[0].vms["vm_id"][0]])) == "other-fleet"
    late = child_at(at_s, late={out["host_id"]: out["return_s"] + 600})
    assert ground(late) == "departed"
    assert "often weaker than the parent's, which do not hold: not all has gone as planned" in bounds_row(late)
    assert ground(child_at(at_s, POLICY.model_copy(update={"link_share": 0.6}))) == "other-limits"


@pytest.mark.parametrize(("most", "said"), [(30, "waves"), (None, "kept")])
def test_waves_that_may_still_grow_have_no_bound_of_before(most: int | None, said: str) -> None:
    gates = Gates(kind="baked", bake_s=60, max_wave_hosts=most)
    assert ground(child_at(0, POLICY.model_copy(update={"gates": gates}))) == said
