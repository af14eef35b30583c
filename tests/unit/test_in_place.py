"""Patches in place: hosts go out with their VMs on them, under the same limits, and nothing moves."""

import polars as pl
import pytest
from small_fleet import POLICY, edited, small_fleet, small_plan
from story import Story

from slacktide.datasets.generator import generate_fleet
from slacktide.datasets.generator_settings import GeneratorSettings
from slacktide.errors import InputError
from slacktide.executors import events
from slacktide.executors.campaign_file import JOURNAL_FILE
from slacktide.executors.campaign_state import HostStage, initial_state
from slacktide.executors.commands import Dispatch
from slacktide.executors.decisions import Scheduler
from slacktide.executors.drivers.settings import Failures
from slacktide.executors.program import build_program
from slacktide.executors.report_page import render_report
from slacktide.executors.run import RunOptions, run_campaign
from slacktide.executors.store.reading import read_journal
from slacktide.ids import HostId
from slacktide.planner.audit import audit
from slacktide.planner.needs import beside_reserve
from slacktide.planner.plan import Plan
from slacktide.planner.policy import Canary, Gates, Policy, Reserve
from slacktide.planner.policy_files import policy_digest
from slacktide.planner.problem_building import build_problem
from slacktide.planner.revision import revise
from slacktide.planner.solve import make_plan
from slacktide.planner.stopping import Iterations

TERMS = {"reserve": Reserve(share=0.0), "canary": Canary(hosts=0), "in_place": True, "deadline_s": None}
IN_PLACE = POLICY.model_copy(update=TERMS)
FLEET = generate_fleet(GeneratorSettings(hosts=60, seed=4, hosts_per_rack=10))


def planned(policy: Policy = IN_PLACE, **changes) -> Plan:
    """Plan the small fleet, and see that its audit finds nothing."""
    plan = make_plan(small_fleet(**changes), policy, stop=Iterations(4))
    assert [str(finding) for finding in audit(small_fleet(**changes), plan).findings] == []
    return plan


def rules_broken(plan: Plan, policy: Policy, **changes) -> set[str]:
    snapshot = small_fleet()
    rules = {finding.rule for finding in audit(snapshot, edited(plan, snapshot, policy, **changes)).errors}
    return rules - {"summary"}


def test_hosts_are_out_for_their_patch_alone_under_the_limits_on_hosts_out() -> None:
    plan = planned()
    assert plan.migrations.is_empty()
    assert plan.hosts["host_id"].to_list() == ["h1", "h2", "h3", "h4"], "also h3, whose VM is pinned"
    assert dict(plan.deferred.select("host_id", "reason").iter_rows()) == {"h5": "host-down"}
    assert (plan.hosts["return_s"] - plan.hosts["drain_start_s"] == 600).all()
    summary = plan.header.summary
    assert summary.makespan_s == summary.makespan_bound_s == 1800, "three hosts of rack r1, one at a time"
    assert summary.binding_resource == "hosts-out:rack:r1"
    assert (summary.vms, summary.moves_per_vm) == (0, 0.0)


def test_a_host_that_is_out_withdraws_what_was_free_on_it_from_the_reserve() -> None:
    # Free on h1, h2, h3, h4 and h6 are 8, 8, 12, 12 and 16 vCPUs, 56 of the 80 that they sell.  Beside a reserve of 43
    # there are 13, which is one host at a time, although hosts of two racks may be out.
    tight = IN_PLACE.model_copy(update={"reserve": Reserve(share=43 / 80)})
    summary = planned(tight).header.summary
    assert summary.makespan_s == 2400
    assert summary.makespan_bound_s == 2400, "any two of them have 16 free, and 13 may be out"
    loose = IN_PLACE.model_copy(update={"reserve": Reserve(share=32 / 80)})
    assert planned(loose).header.summary.makespan_s == 1800


def test_the_reserve_is_kept_beside_an_overfull_host() -> None:
    # v1 alone takes 80 GiB on h1, which has 64.
    full = {"vms": {"v1": {"memory_mib": 81920}}}
    policy = IN_PLACE.model_copy(update={"reserve": Reserve(share=0.3), "max_out": {"fleet": 4}})
    plan = planned(policy, **full)
    hosts = build_problem(small_fleet(**full), policy).hosts
    assert (hosts.capacity >= 0).all()
    assert hosts.sold.tolist() == [[16, 65536]] * 6
    assert hosts.lacking[:, 1].tolist() == [24576, 0, 0, 0, 0, 0]
    assert plan.header.summary.makespan_s >= plan.header.summary.makespan_bound_s


def test_a_bound_beside_an_overfull_host_lets_others_take_what_its_outage_gives_back() -> None:
    full = {"vms": {"v1": {"memory_mib": 81920}}}
    problem = build_problem(small_fleet(**full), IN_PLACE.model_copy(update={"reserve": Reserve(share=0.99)}))
    assert beside_reserve(problem).tolist() == [56 - 80, 24576], "short of it: only what h1 lacks may be out beside h1"


def test_waves_bake_and_the_canary_goes_first() -> None:
    gates, canary = Gates(kind="baked", bake_s=60, max_wave_hosts=1), Canary(hosts=1, bake_s=100)
    plan = planned(IN_PLACE.model_copy(update={"gates": gates, "canary": canary}))
    waves = plan.waves.sort("wave")
    assert waves["hosts"].to_list() == [1, 1, 1, 1]
    assert waves["start_s"].to_list() == [0, 700, 1360, 2020]


def test_a_policy_that_is_not_in_place_keeps_its_digest_and_plans_their_ids() -> None:
    assert policy_digest(POLICY) == policy_digest(Policy.model_validate(POLICY.model_dump(exclude={"in_place"})))
    assert policy_digest(POLICY) != policy_digest(POLICY.model_copy(update={"in_place": True}))
    without = small_plan().header.model_dump(mode="json")["policy"]
    assert without["in_place"] is False


def test_vms_may_not_stay_unless_the_policy_says_so() -> None:
    assert rules_broken(planned(), IN_PLACE) == set()
    drained = IN_PLACE.model_copy(update={"in_place": False})
    assert rules_broken(planned(), drained) == {"drained-host-empty", "plan-complete"}


def test_nothing_comes_to_a_host_that_is_patched_in_place_and_nothing_leaves_it() -> None:
    plan = planned()
    begin_s = plan.hosts.filter(pl.col("host_id") == "h1")["drain_start_s"][0]
    like = small_plan().migrations.row(by_predicate=pl.col("migration_id") == "m5", named=True)
    move = like | {"start_s": begin_s + 60, "end_s": begin_s + 120, "notified_s": begin_s + 60, "wave": 0}
    arrives = move | {"migration_id": "x", "vm_id": "v5", "source": "h4", "target": "h1", "after": []}
    assert "no-arrivals-while-out" in rules_broken(plan, IN_PLACE, migrations={"x": arrives})
    leaves = move | {"migration_id": "x", "vm_id": "v2", "source": "h1", "target": "h6", "after": []}
    assert "drained-host-empty" in rules_broken(plan, IN_PLACE, migrations={"x": leaves})


@pytest.mark.parametrize("reserve", [Reserve(share=0.2), Reserve(hosts=1, per="rack"), Reserve(share=0.05, hosts=1)])
@pytest.mark.parametrize("cells", [None, 3])
def test_fleets_are_planned_in_place_whole_and_in_cells(reserve: Reserve, cells: int | None) -> None:
    policy = Policy(in_place=True, reserve=reserve, max_out={"fleet": "20%", "rack": "30%"})
    plan = make_plan(FLEET, policy, stop=Iterations(2), **({} if cells is None else {"cells": cells}))
    assert [str(finding) for finding in audit(FLEET, plan).errors] == []
    assert plan.migrations.is_empty()
    assert plan.hosts.height >= 0.8 * 60
    assert plan.header.summary.makespan_gap >= 0


def test_a_campaign_patches_in_place_and_leaves_every_vm_where_it_is(tmp_path) -> None:
    plan = make_plan(FLEET, Policy(in_place=True, max_out={"fleet": 6}), stop=Iterations(1))
    report = run_campaign(FLEET, plan, tmp_path / "c", options=RunOptions(use_ray=False))
    assert report.summary.hosts == {"returned": plan.hosts.height}
    assert report.summary.migrations == {}
    assert report.summary.over_limits.hosts_out == ()
    assert "All patched" in render_report(FLEET, plan, report)
    journal = read_journal(tmp_path / "c" / JOURNAL_FILE)
    kinds = {type(event) for _, event in journal.read()}
    journal.close()
    assert not any(issubclass(kind, events.MigrationEvent) for kind in kinds)


def test_hosts_that_are_lost_in_place_are_told_and_the_others_go_on(tmp_path) -> None:
    plan = make_plan(FLEET, Policy(in_place=True, max_out={"fleet": 20}), stop=Iterations(1))
    wrong = Failures(lost_hosts_per_mille=100)
    report = run_campaign(FLEET, plan, tmp_path / "c", seed=1, failures=wrong, options=RunOptions(use_ray=False))
    lost = report.summary.not_patched["patch-failed"]
    assert 0 < lost < 20
    assert report.summary.hosts["returned"] == plan.hosts.height - lost


@pytest.mark.parametrize("untouched", [True, False])
def test_a_host_that_was_not_touched_serves_on_and_its_place_is_anothers(untouched: bool) -> None:
    plan = planned(IN_PLACE.model_copy(update={"max_out": {"fleet": 1}}))
    program = build_program(small_fleet(), plan)
    first, second = plan.hosts.sort("drain_start_s")["host_id"].to_list()[:2]
    story, scheduler = Story(program), Scheduler(program, initial_state(program))
    assert events.PatchIntended(0, first) in story.at(0)
    scheduler.decide(0)
    failed = events.PatchFailed(5, first, "it was not touched: no answer", untouched)
    story.happens(failed)
    scheduler.observe((failed,))
    begins = events.HostDrainStarted(600, second)
    assert (begins in story.at(600)) is (begins in scheduler.decide(600)) is untouched
    stage = HostStage.FAILED if untouched else HostStage.LOST
    assert story.state.host_stage[story.state.host_numbers[first]] == stage


def test_agents_are_told_that_guests_run_on_a_host() -> None:
    for policy in (IN_PLACE, POLICY):
        plan = make_plan(small_fleet(), policy, stop=Iterations(1))
        request = Dispatch(build_program(small_fleet(), plan), 1).patch(0, 5.0)
        assert (request.host_id, request.in_place) == (HostId("h1"), policy.in_place)


def test_a_plan_in_place_is_not_revised() -> None:
    plan, snapshot = planned(), small_fleet()
    with pytest.raises(InputError, match="plan the rest anew"):
        revise(snapshot, POLICY, plan, None)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="of which there are no revisions"):
        revise(snapshot, IN_PLACE, small_plan(), None)  # type: ignore[arg-type]
