"""Whoever is late has a reason and a moment, on six hosts that can be followed by hand (tests/small_fleet.py)."""

from dataclasses import replace

import pytest
from small_fleet import POLICY, small_fleet, small_plan
from story import Story, canary_back, drained_to

from slacktide.executors import control_events, events
from slacktide.executors.campaign_state import HostStage
from slacktide.executors.program import build_program
from slacktide.executors.waiting import waiting


@pytest.fixture
def program():
    snapshot = small_fleet()
    return build_program(snapshot, small_plan(snapshot))


def said(story, now) -> dict[str, tuple[str, float]]:
    return {each.subject: (each.reason, each.since_s) for each in waiting(story.state, now, story.rules)}


def test_nothing_waits_while_all_goes_as_planned(program) -> None:
    story = Story(program)
    story.at(0)
    assert said(story, 59) == {}
    story.at(60)
    assert said(story, 61) == {}


def test_a_host_planned_to_drain_at_once_is_late_after_some_seconds(program) -> None:
    at_once = replace(program, hosts=replace(program.hosts, drained_s=program.hosts.drain_start_s))
    story = drained_to(at_once)
    began_s = float(story.state.host_times[0, HostStage.DRAINING])
    assert "h1" not in said(story, began_s + 2)
    assert said(story, began_s + 11)["h1"][0].startswith("drains longer than the 0\u202fs planned")


def test_hosts_behind_a_gate_say_what_it_waits_for(program) -> None:
    story = drained_to(program)
    story.moved(100, "m1", "m2")
    story.at(101)
    late = said(story, 1100)
    starts = dict(zip(program.hosts.ids, program.hosts.drain_start_s.tolist(), strict=True))
    assert late["h2"] == (
        "wave 1 has not opened: its gate is `canary`, and hosts of the wave before have yet to return",
        float(starts["h2"]),
    )
    assert late["h1"][0].startswith("is patched longer than the 10\u202fmin planned; it counts as lost after")
    assert late["h1"][1] == 101
    story.happens(events.HostReturned(1100, "h1"))
    assert said(story, 1150)["h2"][0] == "wave 1 has not opened: the wave before bakes until 20\u202fmin"


def test_a_paused_campaign_says_who_asked_for_it(program) -> None:
    story = canary_back(program, 900)
    story.happens(control_events.CampaignPaused(950, 1, "ada", "the lift is broken", False))
    assert said(story, 1200)["h2"] == ("the campaign is paused, asked for by ada: the lift is broken", 950.0)


def test_a_host_that_drains_in_a_paused_campaign_waits_for_the_end_of_the_pause(program) -> None:
    story = drained_to(program)
    story.happens(control_events.CampaignPaused(70, 1, "ada", "lunch", False))
    drain_s = float((program.hosts.drained_s - program.hosts.drain_start_s)[0])
    paused = "the campaign is paused, asked for by ada: lunch; 2 VMs are still on it (v1, v2)"
    assert said(story, 61 + drain_s)["h1"] == (paused, 70.0)


def test_a_host_that_may_not_be_out_names_the_limit(program) -> None:
    policy = POLICY.model_copy(update={"max_out": {"fleet": 1, "rack": 1}})
    story = canary_back(build_program(small_fleet(), small_plan(small_fleet(), policy)), 900)
    story.at(1000)
    late = said(story, 1001)
    assert set(late) == {"h4"}
    assert late["h4"][0] == "fleet: at most 1 host out"


def test_a_vm_says_what_it_waits_for_and_how_its_last_attempt_ended(program) -> None:
    story = drained_to(program)
    story.happens(events.MigrationFailed(80, "m1", 1, "connected", "no route", retryable=True))
    reason, since_s = said(story, 90)["v1"]
    assert (reason, since_s) == (
        "is tried again 2\u202fmin 20\u202fs into the campaign; the attempt before: no route",
        80,
    )
    reason, since_s = said(story, 500)["v2"]
    assert reason.startswith("migrates longer than the")
    assert since_s == 60


def test_a_guest_that_was_told_late_is_waited_for(program) -> None:
    story = Story(program)
    story.at(50)
    story.at(60)
    assert said(story, 70)["v1"] == ("its guest's notice runs until 1\u202fmin 50\u202fs", 60.0)


def test_who_has_ended_waits_for_nothing(program) -> None:
    story = drained_to(program)
    story.happens(control_events.CampaignAborted(70, 1, "ada", "", True), events.CampaignFinished(90))
    assert said(story, 5000) == {}
