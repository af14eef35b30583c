"""Every revision audits clean, and changes only what it has to."""

from typing import Any

import numpy as np
import polars as pl
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from slacktide.datasets.snapshot import FleetSnapshot
from slacktide.datasets.validation import snapshot_findings
from slacktide.planner.audit import audit
from slacktide.planner.plan import Plan
from slacktide.planner.policy import Canary, Gates, Policy, Reserve
from slacktide.planner.problem_building import build_problem
from slacktide.planner.progress import fleet_at, progress_at
from slacktide.planner.revision import revise
from slacktide.planner.solve import assemble
from tests.late_campaigns import behind
from tests.tiny_fleets import heuristic, tiny_fleet, tiny_policy

TIMES = ("host_id", "drain_start_s", "drained_s", "return_s")
ROUTE = ("migration_id", "vm_id", "source", "target", "start_s", "end_s", "bandwidth_mbit_s", "wave", "notified_s")
lenient = settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow], deadline=None)


@st.composite
def parents(draw: st.DrawFn) -> tuple[FleetSnapshot, Policy, Plan]:
    """Return a fleet, a policy and a plan of some hosts."""
    snapshot = tiny_fleet(draw(st.integers(4, 9)), draw(st.integers(0, 300)), fill=draw(st.sampled_from([0.4, 0.6])))
    policy = tiny_policy(out=draw(st.integers(1, 3)), canary=draw(st.integers(0, 2)))
    gates = draw(st.sampled_from([Gates(), Gates(), Gates(kind="baked", bake_s=30), Gates(max_wave_hosts=2)]))
    reserve = draw(st.sampled_from([policy.reserve, Reserve(hosts=1, per="rack"), Reserve()]))
    policy = policy.model_copy(update={"gates": gates, "reserve": reserve})
    problem = build_problem(snapshot, policy)
    plan = assemble(snapshot, problem, heuristic(problem), 0, 0.0)
    assume(plan.hosts.height > 0)
    return snapshot, policy, plan


def moment_of(plan: Plan, share: float) -> int:
    return int(share * (plan.header.summary.makespan_s - 1))


def facts_at(snapshot: FleetSnapshot, plan: Plan, at_s: int, rng: np.random.Generator) -> dict[str, Any]:
    """Return what may have gone wrong by ``at_s``."""
    draining = plan.hosts.filter((pl.col("drain_start_s") < at_s) & (pl.col("drained_s") > at_s))["host_id"]
    of_draining = plan.migrations.filter(pl.col("source").is_in(draining.implode()) & (pl.col("start_s") < at_s))
    running = plan.migrations.filter((pl.col("start_s") < at_s) & (pl.col("end_s") > at_s))
    begun = pl.col("drain_start_s") < at_s
    out = plan.hosts.filter(begun & (pl.col("drained_s") <= at_s) & (pl.col("return_s") > at_s))
    late = {
        name: end_s + 40 for name, end_s in running.select("migration_id", "end_s").iter_rows() if rng.random() < 0.3
    }
    late |= {name: back_s + 200 for name, back_s in out.select("host_id", "return_s").iter_rows() if rng.random() < 0.3}
    failed = [name for name in of_draining["migration_id"] if rng.random() < 0.3 and name not in late]
    lost = [name for name in snapshot.hosts["host_id"] if rng.random() < 0.1]
    touched = set(running["vm_id"])
    gone = [name for name in snapshot.vms["vm_id"] if rng.random() < 0.05 and name not in touched]
    on_lost = running.filter(pl.col("source").is_in(lost) | pl.col("target").is_in(lost))["migration_id"]
    late = {name: time_s for name, time_s in late.items() if name not in set(on_lost) | set(lost)}
    return {"late": late, "failed": failed, "lost_hosts": lost, "gone_vms": gone}


def errors_in(snapshot: FleetSnapshot, plan: Plan) -> list[str]:
    return [str(finding) for finding in audit(snapshot, plan).errors]


@lenient
@given(parents(), st.floats(0, 1))
def test_where_nothing_has_happened_a_revision_is_the_rest_of_its_parent(
    given: tuple[FleetSnapshot, Policy, Plan], share: float
) -> None:
    snapshot, policy, plan = given
    at_s = moment_of(plan, share)
    now, progress = progress_at(snapshot, plan, at_s)
    child = revise(now, policy, plan, progress, before=snapshot)
    assert errors_in(now, child) == []
    rest = plan.hosts.filter(pl.col("return_s") > at_s)
    planned = child.hosts.filter(pl.col("host_id").is_in(rest["host_id"].implode()))
    assert planned.equals(rest)
    to_come = plan.migrations.filter(pl.col("end_s") > at_s).select(ROUTE)
    assert child.migrations.select(ROUTE).join(to_come, on=ROUTE, how="semi").equals(to_come)
    if plan.deferred.is_empty():
        assert child.migrations.height == to_come.height


@lenient
@given(parents(), st.floats(0, 1), st.integers(0, 1000))
def test_whatever_has_happened_a_revision_audits_clean(
    given: tuple[FleetSnapshot, Policy, Plan], share: float, seed: int
) -> None:
    snapshot, policy, plan = given
    at_s, rng = moment_of(plan, share), np.random.default_rng(seed)
    now, progress = progress_at(snapshot, plan, at_s, **facts_at(snapshot, plan, at_s, rng))
    assert not [finding for finding in snapshot_findings(now) if finding.severity == "error"]
    child = revise(now, policy, plan, progress)
    assert errors_in(now, child) == []
    assert child.header.parent == plan.header.id
    ids = child.migrations["migration_id"]
    fresh = ids.filter(~ids.is_in(plan.migrations["migration_id"].implode()))
    assert ids.n_unique() == len(ids)
    assert fresh.str.slice(1).cast(pl.Int64).to_list() == sorted(
        range(child.header.revision.first_new_id, child.header.revision.first_new_id + len(fresh))
    )


@lenient
@given(parents(), st.floats(0, 1), st.integers(1, 2000))
def test_a_campaign_that_is_behind_keeps_its_targets_and_falls_no_further_behind(
    given: tuple[FleetSnapshot, Policy, Plan], share: float, by_s: int
) -> None:
    snapshot, policy, plan = given
    now, on_time = progress_at(snapshot, plan, moment_of(plan, share))
    assume(revise(now, policy, plan, on_time).header.summary.makespan_s == plan.header.summary.makespan_s)
    progress = behind(on_time, by_s)
    now = fleet_at(snapshot, plan, progress)
    child = revise(now, policy, plan, progress)
    assert errors_in(now, child) == []
    assert child.header.revision.changes.moves_led_elsewhere == 0
    assert child.header.summary.makespan_s <= plan.header.summary.makespan_s + by_s


@lenient
@given(parents(), st.floats(0, 1), st.integers(0, 2000), st.integers(0, 1000))
def test_a_campaign_that_is_behind_and_has_failures_audits_clean(
    given: tuple[FleetSnapshot, Policy, Plan], share: float, by_s: int, seed: int
) -> None:
    snapshot, policy, plan = given
    at_s, rng = moment_of(plan, share), np.random.default_rng(seed)
    facts = facts_at(snapshot, plan, at_s, rng)
    _, on_time = progress_at(snapshot, plan, at_s, **facts)
    progress = behind(on_time, by_s)
    now = fleet_at(snapshot, plan, progress, lost_hosts=facts["lost_hosts"], gone_vms=facts["gone_vms"])
    assert errors_in(now, revise(now, policy, plan, progress)) == []


@lenient
@given(parents(), st.floats(0, 1), st.floats(0, 1), st.integers(0, 1000))
def test_a_revision_can_be_revised(
    given: tuple[FleetSnapshot, Policy, Plan], share: float, later: float, seed: int
) -> None:
    snapshot, policy, plan = given
    at_s, rng = moment_of(plan, share), np.random.default_rng(seed)
    now, progress = progress_at(snapshot, plan, at_s, **facts_at(snapshot, plan, at_s, rng))
    child = revise(now, policy, plan, progress)
    last_s = child.header.summary.makespan_s
    assume(child.hosts.height > 0 and last_s > at_s + 1)
    then_s = at_s + int(later * (last_s - 1 - at_s))
    then, progress = progress_at(now, child, then_s, **facts_at(now, child, then_s, rng))
    grandchild = revise(then, policy, child, progress)
    assert errors_in(then, grandchild) == []
    fresh = set(grandchild.migrations["migration_id"]) - set(child.migrations["migration_id"])
    assert not fresh & set(plan.migrations["migration_id"])


LIMITS = st.fixed_dictionaries(
    {},
    optional={
        "max_out": st.integers(1, 3).map(lambda out: {"fleet": out}),
        "reserve": st.sampled_from([0.0, 0.1, 0.25]).map(lambda share: Reserve(share=share)),
        "link_share": st.sampled_from([0.1, 0.3, 1.0]),
        "canary": st.builds(Canary, hosts=st.integers(0, 4), bake_s=st.sampled_from([0, 60])),
        "gates": st.sampled_from([Gates(), Gates(kind="baked", bake_s=30), Gates(max_wave_hosts=1)]),
    },
)


@lenient
@given(parents(), st.floats(0, 1), LIMITS, st.integers(0, 1000), st.floats(0, 1))
def test_limits_that_have_changed_hold_from_then_on(
    given: tuple[FleetSnapshot, Policy, Plan], share: float, limits: dict[str, Any], seed: int, later: float
) -> None:
    snapshot, policy, plan = given
    changed = policy.model_copy(update=limits)
    at_s, rng = moment_of(plan, share), np.random.default_rng(seed)
    now, progress = progress_at(snapshot, plan, at_s, **facts_at(snapshot, plan, at_s, rng))
    child = revise(now, changed, plan, progress)
    assert blamed_but_for_failures(now, child) == []
    last_s = child.header.summary.makespan_s
    if child.hosts.height and last_s > at_s + 1:
        then_s = at_s + int(later * (last_s - 1 - at_s))
        then, progress = progress_at(now, child, then_s, **facts_at(now, child, then_s, rng))
        assert blamed_but_for_failures(then, revise(then, changed, child, progress)) == []


def blamed_but_for_failures(now: FleetSnapshot, child: Plan) -> list[str]:
    """Return the errors of a revision; hosts that are out already may leave failing ones without room."""
    return [str(finding) for finding in audit(now, child).errors if finding.rule != "failures-restartable"]
