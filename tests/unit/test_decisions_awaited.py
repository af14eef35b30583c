"""A campaign that waits for a person to decide says so: in its journal, by its standing, with since when and why."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from campaigns import REPLAY, RULES
from revised_campaigns import carried_out
from small_fleet import POLICY, small_fleet, small_plan
from story import Story, canary_back, drained_to

from slacktide.executors import control_events, events
from slacktide.executors.campaign_file import JOURNAL_FILE
from slacktide.executors.decisions import Scheduler
from slacktide.executors.drivers.settings import Failures, SimulationSettings
from slacktide.executors.folding import fold
from slacktide.executors.journal import CampaignRecord, Entry, Journal
from slacktide.executors.order_state import DECIDE
from slacktide.executors.program import build_program
from slacktide.executors.waiting import waiting
from slacktide.planner.plan_files import read_plan
from slacktide.service.cli import main
from slacktide.service.words import plain

ASK = replace(RULES, on_drift="ask")
FULL = "fleet: at most 1 host out, and h2, which is lost, counts as out"


def one_lost() -> Story:
    """Return a campaign with one place for hosts that are out, which a host takes that is lost."""
    policy = POLICY.model_copy(update={"max_out": {"fleet": 1, "rack": 1}})
    story = canary_back(build_program(small_fleet(), small_plan(small_fleet(), policy)), 900, ASK)
    for now in range(1000, 1600, 100):
        begun = [each.migration_id for each in story.at(now) if isinstance(each, events.MigrationIntended)]
        story.moved(now + 50, *begun)
    assert story.state.host_stage[1] in (3, 4)
    story.at(1600)
    story.happens(events.PatchFailed(8000, "h2", "not back"))
    return story


def test_what_no_place_is_left_for_waits_for_a_person_and_says_which_host_takes_it() -> None:
    story = one_lost()
    scheduler = Scheduler(story.program, story.state, ASK)
    assert scheduler.decide(8001) == ()
    assert scheduler.asks() == f"h4 cannot leave: {FULL}"
    assert scheduler.waits_for() == f"h4 cannot leave: {FULL}; {DECIDE}"
    assert {each.subject: each.reason for each in waiting(story.state, 8001, ASK)} == {"h4": FULL}


def test_a_higher_limit_has_it_tried_again_and_nothing_is_to_be_decided_any_more() -> None:
    story = one_lost()
    scheduler = Scheduler(story.program, story.state, ASK)
    scheduler.decide(8001)
    scheduler.observe([control_events.LimitsChanged(8100, 1, "ada", "", '{"fleet": 2}')])
    assert events.HostDrainStarted(8100, "h4") in scheduler.decide(8100)
    assert scheduler.asks() is None


def test_another_order_that_changes_nothing_leaves_it_asking() -> None:
    story = one_lost()
    scheduler = Scheduler(story.program, story.state, ASK)
    scheduler.decide(8001)
    scheduler.observe([control_events.LimitsChanged(8100, 1, "ada", "", '{"rack": 2}')])
    assert scheduler.decide(8100) == ()
    assert scheduler.asks() == f"h4 cannot leave: {FULL}"


def test_a_person_may_give_it_up() -> None:
    story = one_lost()
    scheduler = Scheduler(story.program, story.state, ASK)
    scheduler.decide(8001)
    scheduler.observe([control_events.DriftAccepted(8100, 1, "ada", "")])
    decided = scheduler.decide(8100)
    assert events.HostBlocked(8100, "h4", "stuck", FULL) in decided
    assert isinstance(decided[-1], events.CampaignFinished)


PAUSED = control_events.CampaignPaused(8100, 1, "ada", "", False)
RESUMED = control_events.CampaignContinued(8400, 9, "ada", "")
GIVEN_UP = control_events.DriftAccepted(8300, 3, "ada", "")


def stuck_and_paused() -> Scheduler:
    story = one_lost()
    scheduler = Scheduler(story.program, story.state, ASK)
    scheduler.decide(8001)
    scheduler.observe([PAUSED])
    assert scheduler.decide(8100) == ()
    return scheduler


def taken_up_paused() -> Scheduler:
    story = one_lost()
    story.happens(control_events.DecisionAwaited(8001, f"h4 cannot leave: {FULL}"), PAUSED)
    scheduler = Scheduler(story.program, story.state, ASK)
    assert scheduler.decide(8100) == ()
    return scheduler


@pytest.mark.parametrize("begun", [stuck_and_paused, taken_up_paused])
def test_a_pause_neither_ends_a_decision_nor_restarts_it(begun) -> None:
    scheduler = begun()
    assert scheduler.asks() == f"h4 cannot leave: {FULL}"
    scheduler.observe([control_events.LimitsChanged(8200, 2, "ada", "", '{"rack": 2}')])
    assert scheduler.decide(8200) == ()
    assert scheduler.asks() == f"h4 cannot leave: {FULL}"
    scheduler.observe([RESUMED])
    assert scheduler.decide(8400) == ()
    assert scheduler.asks() == f"h4 cannot leave: {FULL}"
    assert scheduler.waits_for() == f"h4 cannot leave: {FULL}; {DECIDE}"


def test_what_a_person_gives_up_while_it_is_paused_is_given_up_at_once() -> None:
    scheduler = stuck_and_paused()
    scheduler.observe([GIVEN_UP])
    decided = scheduler.decide(8300)
    assert events.HostBlocked(8300, "h4", "stuck", FULL) in decided
    assert isinstance(decided[-1], events.CampaignFinished)
    assert scheduler.asks() is None


def test_what_a_person_gives_up_of_a_campaign_taken_up_paused_is_given_up_once_it_goes_on() -> None:
    scheduler = taken_up_paused()
    scheduler.observe([GIVEN_UP])
    assert scheduler.decide(8300) == ()
    assert scheduler.asks() is None
    scheduler.observe([RESUMED])
    assert events.HostBlocked(8400, "h4", "stuck", FULL) in scheduler.decide(8400)


@pytest.mark.parametrize("begun", [stuck_and_paused, taken_up_paused])
def test_a_higher_limit_given_while_it_is_paused_counts_once_it_goes_on(begun) -> None:
    scheduler = begun()
    scheduler.observe([control_events.LimitsChanged(8200, 2, "ada", "", '{"fleet": 2}')])
    assert scheduler.decide(8200) == ()
    scheduler.observe([RESUMED])
    assert events.HostDrainStarted(8400, "h4") in scheduler.decide(8400)
    assert scheduler.asks() is None


def test_what_is_skipped_while_it_is_paused_is_no_question_any_more() -> None:
    scheduler = stuck_and_paused()
    scheduler.observe([control_events.HostSkipped(8200, "h4", 2, "ada", "")])
    decided = scheduler.decide(8200)
    assert events.HostBlocked(8200, "h4", "skipped", "asked for by ada") in decided
    assert f"h4 cannot leave: {FULL}" != scheduler.asks()


def test_an_abort_of_what_is_stuck_and_paused_gives_it_up_as_aborted() -> None:
    scheduler = stuck_and_paused()
    scheduler.observe([control_events.CampaignAborted(8200, 2, "ada", "", False)])
    assert events.HostBlocked(8200, "h4", "aborted", "asked for by ada") in scheduler.decide(8200)


def test_without_anybody_to_ask_it_is_given_up_as_before() -> None:
    story = one_lost()
    assert events.HostBlocked(8001, "h4", "stuck", FULL) in Scheduler(story.program, story.state).decide(8001)


def test_since_when_counts_from_the_first_of_several_things_to_decide() -> None:
    told = [control_events.DecisionAwaited(70, "h4 is lost"), control_events.DecisionAwaited(90, "h4, and 1 more")]
    state = one_lost().state
    state = fold(state, [Entry(state.last + 1 + place, event) for place, event in enumerate(told)])
    assert state.decision == control_events.DecisionAwaited(70, "h4, and 1 more")
    state = fold(state, [Entry(state.last + 1, control_events.DecisionOver(99))])
    assert state.decision is None


def test_another_coordinator_says_the_same_of_what_had_happened() -> None:
    story = drained_to(build_program(small_fleet(), small_plan()), ASK)
    story.happens(events.MigrationFailed(80, "m1", 1, "connected", "no route", retryable=False))
    story.at(81)
    why = "m1 failed: no route"
    story.happens(control_events.DecisionAwaited(81, why))
    scheduler = Scheduler(story.program, story.state, ASK)
    scheduler.decide(90)
    assert scheduler.asks() == why


def test_a_campaign_writes_what_is_to_be_decided_and_that_it_is_over(tmp_path) -> None:
    lossy = SimulationSettings(seed=5, failures=Failures(lost_hosts_per_mille=200))
    entries, _ = carried_out("urgent", [], lossy, ASK, tmp_path)
    told = [entry.event for entry in entries]
    decisions = [
        each for each in told if isinstance(each, control_events.DecisionAwaited | control_events.DecisionOver)
    ]
    assert isinstance(decisions[0], control_events.DecisionAwaited)
    lost = next(place for place, each in enumerate(told) if isinstance(each, events.PatchFailed))
    assert lost < told.index(decisions[0])
    assert all(one != other for one, other in pairwise(decisions)), "nothing is said twice"


@pytest.fixture
def asking(tmp_path):
    fleet, plan = REPLAY / "urgent" / "fleet", REPLAY / "urgent" / "plan"
    origin, about = datetime(2014, 4, 8, 20, tzinfo=UTC), '{"driver": "simulated"}'
    name = read_plan(plan).header.id
    record = CampaignRecord("c1", name, "s", "p", origin, about, str(plan), str(fleet))
    made = Journal.create(tmp_path / JOURNAL_FILE, record)
    made.append([events.CampaignCreated(0.0, "c1", name), events.WaveOpened(0.0, 0)])
    made.append([control_events.DecisionAwaited(60.0, "h2 is lost"), events.WaveOpened(180.0, 1)])
    yield made
    made.close()


def test_show_and_list_say_since_when_why_and_what_to_do(asking, tmp_path, capsys) -> None:
    assert main(["campaign", "list", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["standing"] == "waiting for a decision"
    assert main(["campaign", "show", str(tmp_path), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["standing"] == "waiting for a decision"
    assert shown["decision"] == {"since_s": 60.0, "why": "h2 is lost", "remedy": DECIDE}
    assert main(["campaign", "show", str(tmp_path)]) == 0
    words = " ".join(plain(capsys.readouterr().out).split())
    assert f"stands waiting for a decision since 1 min, for 2 min; h2 is lost; {DECIDE}" in words
    asking.append([control_events.DecisionOver(200.0)])
    assert main(["campaign", "list", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["standing"] == "running"
    assert main(["campaign", "show", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["decision"] is None
