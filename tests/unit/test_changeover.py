"""A campaign goes over to a revision: by order, by itself or not at all; its report says what was planned when."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from asked_campaigns import ask_it, orders_looked_for_in_every_round
from campaigns import RULES, planned_fleet
from revised_campaigns import agents_of, assert_all_ended, assert_safe, begun, coordinator_in, course_of, stood

from slacktide.errors import ExecutionError, InputError, InternalError
from slacktide.executors import events
from slacktide.executors.campaign_directory import journal_standing
from slacktide.executors.campaign_state import HostStage, initial_state
from slacktide.executors.changeover import changed_over, turned
from slacktide.executors.control_events import DriftAccepted, OrderRefused, PlanRevised
from slacktide.executors.drivers.settings import Failures, SimulationSettings
from slacktide.executors.events import Stage
from slacktide.executors.folding import fold
from slacktide.executors.journal import Entry, Journal
from slacktide.executors.orders import Revise, Skip
from slacktide.executors.report import read_report
from slacktide.executors.report_page import render_report
from slacktide.executors.revising import revision_of
from slacktide.executors.run import RunOptions, run_campaign
from slacktide.executors.standing import revisions_in
from slacktide.executors.wanted import Wanted
from slacktide.service.kept_files import DamagedError, kept_revisions

NO_FAILURES = SimulationSettings(seed=3)
FAILING = SimulationSettings(seed=1, failures=Failures(migrations_per_mille=30, retryable_share=0.3))


class Campaign:
    """A campaign within the test's process that is stepped round by round."""

    def __init__(self, folder, name: str = "urgent", settings=NO_FAILURES, rules=RULES) -> None:
        self.name, self.folder = name, folder
        begun(name, folder)
        self.journal = Journal.hold(folder / "journal.sqlite", durability="process")
        self.coordinator = coordinator_in(name, folder, self.journal, agents_of(name, settings), rules)

    def rounds(self, most: int) -> "Campaign":
        with orders_looked_for_in_every_round():
            for _ in range(most):
                if self.coordinator.state.finished:
                    break
                self.coordinator.round()
        return self

    def ask(self, order) -> "Campaign":
        ask_it(self.folder / "journal.sqlite", order, by="Ada", why="to see")
        return self

    def told(self, kind: type) -> list:
        return [entry.event for entry in self.journal.read() if isinstance(entry.event, kind)]

    def end(self) -> list[Entry]:
        self.rounds(20_000)
        entries = self.journal.read()
        assert_safe(self.name, self.folder, entries)
        assert_all_ended(self.name, self.folder, entries)
        self.coordinator.close()
        self.journal.close()
        return entries


def test_an_order_to_plan_anew_is_answered_by_the_changeover(tmp_path) -> None:
    campaign = Campaign(tmp_path).rounds(60).ask(Revise()).rounds(2)
    (turn,) = campaign.told(PlanRevised)
    assert (turn.order, turn.by, turn.why, turn.number) == (1, "Ada", "to see", 1)
    plan, fleet = revisions_in(tmp_path)(turn)
    assert plan.header.parent == planned_fleet()[1].header.id
    assert fleet.hosts.height == planned_fleet()[0].hosts.height
    campaign.end()


def test_a_revision_whose_files_have_changed_is_not_gone_over_to(tmp_path) -> None:
    (turn,) = Campaign(tmp_path).rounds(60).ask(Revise()).rounds(2).told(PlanRevised)
    file = tmp_path / turn.fleet / "vms.parquet"
    before = pl.read_parquet(file)
    before.with_columns(pl.col("memory_mib") + 1).write_parquet(file)
    with pytest.raises(InputError, match=f"is not the fleet that plan {turn.plan_id} was made for"):
        revisions_in(tmp_path)(turn)
    with pytest.raises(DamagedError, match=f"{tmp_path.name}: has files that are gone or damaged"):
        kept_revisions(tmp_path)(turn)
    file.unlink()
    with pytest.raises(DamagedError):
        kept_revisions(tmp_path)(turn)
    before.write_parquet(file)
    assert kept_revisions(tmp_path)(turn)[0].header.id == turn.plan_id


def test_several_changeovers_in_a_row_each_revise_the_one_before(tmp_path) -> None:
    settings = SimulationSettings(seed=1, failures=Failures(migrations_per_mille=30))
    campaign = Campaign(tmp_path, settings=settings).rounds(60)
    for _ in range(4):
        campaign.ask(Revise()).rounds(15)
    entries = campaign.end()
    turns = [entry.event for entry in entries if isinstance(entry.event, PlanRevised)]
    plans = [planned_fleet()[1], *(revisions_in(tmp_path)(turn)[0] for turn in turns)]
    assert [each.header.parent for each in plans[1:]] == [each.header.id for each in plans[:-1]]
    assert [turn.number for turn in turns] == [1, 2, 3, 4]


def test_a_host_that_was_skipped_is_not_planned_again_and_can_not_be_added(tmp_path) -> None:
    host = planned_fleet()[1].hosts.sort("drain_start_s")["host_id"][-1]
    campaign = Campaign(tmp_path).rounds(60).ask(Skip(host_id=host)).rounds(3).ask(Revise()).rounds(3)
    plan = revisions_in(tmp_path)(campaign.told(PlanRevised)[0])[0]
    assert host not in plan.hosts["host_id"]
    campaign.ask(Revise(add_hosts=(host,))).rounds(3)
    assert "is to be left alone" in campaign.told(OrderRefused)[-1].reason
    campaign.ask(Revise(add_hosts=("nobody",))).rounds(3)
    assert "the fleet has no host nobody" in campaign.told(OrderRefused)[-1].reason
    campaign.end()


def test_hosts_that_fell_are_planned_again_by_an_order(tmp_path) -> None:
    rules = replace(RULES, on_drift="ignore")
    campaign = Campaign(tmp_path, settings=FAILING, rules=rules)
    fallen = (HostStage.FAILED, HostStage.BLOCKED)
    while not np.isin(campaign.coordinator.state.host_stage, fallen).any():
        campaign.rounds(1)
    state = campaign.coordinator.state
    names = {state.program.hosts.ids[host] for host in np.flatnonzero(np.isin(state.host_stage, fallen)).tolist()}
    campaign.ask(Revise()).rounds(2)
    after = campaign.coordinator.state
    again = {after.program.hosts.ids[host] for host in np.flatnonzero(after.program.hosts.due).tolist()}
    assert names & again
    assert not np.isin(after.host_stage[after.program.hosts.due], fallen).any()
    campaign.end()


def test_ask_holds_what_depends_on_a_failure_until_a_person_gives_it_up(tmp_path) -> None:
    campaign = Campaign(tmp_path, settings=FAILING, rules=replace(RULES, on_drift="ask"))
    while campaign.coordinator.progress().waits_for is None:
        campaign.rounds(1)
    assert "slacktide campaign revise" in campaign.coordinator.progress().waits_for
    campaign.rounds(300)
    assert not campaign.told(events.HostFailed)
    assert not campaign.told(events.HostBlocked)
    campaign.ask(Revise(give_up=True)).rounds(3)
    assert campaign.told(DriftAccepted)
    assert campaign.told(events.HostFailed)


def test_a_campaign_that_plans_anew_by_itself_patches_more_than_one_that_does_not(tmp_path) -> None:
    patched, planned_s = {}, planned_fleet()[1].header.summary.makespan_s
    for on_drift in ("ignore", "revise"):
        folder = tmp_path / on_drift
        folder.mkdir()
        entries = Campaign(folder, settings=FAILING, rules=replace(RULES, on_drift=on_drift)).end()
        returned_s = [entry.event.at_s for entry in entries if isinstance(entry.event, events.HostReturned)]
        patched[on_drift] = len(returned_s)
    assert max(returned_s) < 1.2 * planned_s, "a canary that is late holds up the whole night"
    assert patched["revise"] > patched["ignore"]


def test_an_error_of_the_planners_own_ends_no_campaign(tmp_path, monkeypatch, caplog) -> None:
    def broken(*_args: object, **_terms: object) -> None:
        raise IndexError("index 7 is out of bounds")

    monkeypatch.setattr("slacktide.planner.revision.revise", broken)
    entries = Campaign(tmp_path).rounds(60).ask(Revise()).end()
    (refused,) = (entry.event for entry in entries if isinstance(entry.event, OrderRefused))
    assert refused.reason == "it could not be made: IndexError, index 7 is out of bounds"
    assert "in broken" in caplog.text, "where it came from is in the log"


def test_a_revised_campaign_still_waits_until_the_hosts_that_did_return_have_baked(tmp_path) -> None:
    """Not until those were to return: the canary is later than planned here."""
    late = SimulationSettings(seed=94, failures=Failures(overruns_per_mille=1000, overrun_factor=1.5))
    campaign = Campaign(tmp_path, name="baked", settings=late)
    while len(campaign.told(events.HostReturned)) < 2:
        campaign.rounds(1)
    campaign.ask(Revise()).rounds(2)
    returned_s = [event.at_s for event in campaign.told(events.HostReturned)]
    plan = revisions_in(tmp_path)(campaign.told(PlanRevised)[0])[0]
    bake_s = plan.header.policy.canary.bake_s
    assert plan.header.revision.gate_s >= max(returned_s) + bake_s
    assert plan.hosts["drain_start_s"].min() >= max(returned_s) + bake_s


def test_a_revision_of_another_plan_and_one_without_what_is_under_way_are_refused(tmp_path) -> None:
    campaign = Campaign(tmp_path).rounds(30)
    state = campaign.coordinator.state
    course = course_of("urgent")
    child, fleet = revision_of(course, state, Wanted("", order=1), state.end_s)
    other = replace(child, header=child.header.model_copy(update={"parent": "another"}))
    with pytest.raises(ExecutionError, match="is one of plan another"):
        changed_over(course, other, fleet, state)
    running = state.program.migrations.ids[
        int(np.flatnonzero((state.stage >= Stage.INTENDED) & (state.stage < Stage.DONE))[0])
    ]
    without = replace(child, migrations=child.migrations.filter(pl.col("migration_id") != running))
    with pytest.raises(ExecutionError, match="which is under way"):
        changed_over(course, without, fleet, state)


def test_what_is_known_of_migrations_is_carried_over_by_id_and_folding_alone_is_refused(tmp_path) -> None:
    campaign = Campaign(tmp_path, settings=FAILING).rounds(80)
    state, course = campaign.coordinator.state, course_of("urgent")
    child, fleet = revision_of(course, state, Wanted("", order=1), state.end_s)
    entry = Entry(state.last + 1, PlanRevised(state.end_s, 1, "Ada", "", 1, child.header.id, "p", "f"))
    after = turned(course, state, entry, child, fleet)[1]
    for number, name in enumerate(after.program.migrations.ids):
        if (old := state.numbers.get(name)) is not None and state.stage[old] != Stage.GIVEN_UP:
            assert after.stage[number] == state.stage[old]
            assert after.attempts[number] == state.attempts[old]
            np.testing.assert_array_equal(after.times[number], state.times[old])
    gone = set(state.numbers) - set(after.numbers)
    assert all(state.stage[state.numbers[name]] == Stage.PLANNED for name in gone)
    assert (after.vm_host >= 0).all()
    with pytest.raises(InternalError, match="which is not at hand"):
        fold(initial_state(course.program), [Entry(1, entry.event)])


def test_a_vm_that_is_gone_holds_no_room_and_a_new_one_is_known(tmp_path) -> None:
    campaign = Campaign(tmp_path).rounds(5)
    state, course = campaign.coordinator.state, course_of("urgent")
    child, fleet = revision_of(course, state, Wanted("", order=1), state.end_s)
    to_come = child.migrations.filter(pl.col("start_s") > state.end_s + 1)["vm_id"]
    idle = fleet.vms.filter(pl.col("vm_id").is_in(to_come.implode()))
    gone = idle["vm_id"][0]
    left = child.migrations.filter(pl.col("vm_id") != gone)
    ids = left["migration_id"].implode()
    left = left.with_columns(after=pl.col("after").list.eval(pl.element().filter(pl.element().is_in(ids))))
    child = replace(child, migrations=left)
    fresh = idle[:1].with_columns(vm_id=pl.lit("vm-fresh"))
    changed = replace(fleet, vms=pl.concat([fleet.vms.filter(pl.col("vm_id") != gone), fresh]).sort("vm_id"))
    entry = Entry(state.last + 1, PlanRevised(state.end_s, 1, "Ada", "", 1, child.header.id, "p", "f"))
    after = turned(course, state, entry, child, changed)[1]
    place = {name: number for number, name in enumerate(after.program.vms.ids)}
    assert after.vm_host[place[gone]] == -1
    assert after.program.hosts.ids[after.vm_host[place["vm-fresh"]]] == fresh["host_id"][0]


def test_the_report_compares_each_row_with_the_plan_under_which_it_began(tmp_path) -> None:
    snapshot, plan = planned_fleet()
    options = RunOptions(use_ray=False, on_drift="revise")
    wrong = Failures(migrations_per_mille=30, retryable_share=0.3)
    report = run_campaign(snapshot, plan, tmp_path / "c", seed=1, failures=wrong, options=options)
    summary = report.summary
    assert summary.revisions
    assert summary.plan_id == plan.header.id
    assert summary.notices is None or summary.notices.short is None
    first_s = summary.revisions[0].at_s
    early = report.migrations.filter((pl.col("start_s") < first_s) & (pl.col("attempts") == 1))
    planned = plan.migrations.select("migration_id", "start_s", "end_s")
    both = early.join(planned, on="migration_id", suffix="_first")
    assert both.height == early.height > 0
    assert (both["planned_start_s"] == both["start_s_first"]).all()
    assert (both["planned_end_s"] == both["end_s_first"]).all()
    assert read_report(tmp_path / "c").summary == summary
    course, _ = journal_standing(snapshot, plan, tmp_path / "c")
    assert course.shown.hosts.height == report.hosts.height
    page = render_report(course.fleet, course.shown, report)
    assert "Revisions" in page
    assert summary.revisions[0].plan_id in page
    again = run_campaign(snapshot, plan, tmp_path / "c", seed=1, failures=wrong, options=options)
    assert again.summary == summary
    assert stood("urgent", tmp_path / "c", [])[1].last == 0
