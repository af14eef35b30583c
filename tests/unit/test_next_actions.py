"""What is done when, on six hosts that can be followed by hand (tests/small_fleet.py)."""

import pytest
from campaigns import RULES
from small_fleet import POLICY, remade, small_fleet, small_plan
from story import Story, canary_back, drained_to

from slacktide.executors import events
from slacktide.executors.campaign_state import HostStage
from slacktide.executors.decisions import Scheduler
from slacktide.executors.program import build_program
from slacktide.executors.rules import MIGRATION_DEADLINE_FACTOR
from slacktide.planner.policy import Gates


@pytest.fixture
def program():
    snapshot = small_fleet()
    return build_program(snapshot, small_plan(snapshot))


def test_guests_are_told_before_the_drain_begins(program) -> None:
    assert Story(program).at(0) == (
        events.MigrationNotified(0, "m1"),
        events.MigrationNotified(0, "m2"),
    )


def test_nothing_happens_before_its_planned_moment(program) -> None:
    story = Story(program)
    story.at(0)
    assert story.at(59) == ()
    assert story.at(60) == (
        events.WaveOpened(60, 0),
        events.HostDrainStarted(60, "h1"),
        events.MigrationIntended(60, "m1", 1),
        events.MigrationIntended(60, "m2", 1),
    )
    assert story.at(61) == ()


def test_a_guest_told_late_keeps_its_whole_notice(program) -> None:
    story = Story(program)
    assert story.at(50) == (events.MigrationNotified(50, "m1"), events.MigrationNotified(50, "m2"))
    assert events.MigrationIntended(60, "m1", 1) not in story.at(60)
    scheduler = Scheduler(program, story.state, RULES)
    scheduler.decide(61)
    assert scheduler.next_s() == 110
    assert story.at(110) == (events.MigrationIntended(110, "m1", 1), events.MigrationIntended(110, "m2", 1))


def test_a_host_is_patched_once_its_last_vm_is_gone(program) -> None:
    story = Story(program)
    story.at(0)
    story.at(60)
    story.moved(100, "m1")
    assert story.at(100) == ()
    story.moved(103, "m2")
    assert story.at(103) == (events.HostDrained(103, "h1"), events.PatchIntended(103, "h1"))
    assert story.at(104) == ()


def test_the_canary_bakes_before_the_next_wave_opens(program) -> None:
    story = canary_back(program, 900)
    assert story.at(999) == ()
    opened = story.at(1000)
    assert opened[0] == events.WaveOpened(1000, 1)
    assert events.HostDrainStarted(1000, "h2") in opened


def test_guests_of_a_wave_that_is_held_up_are_told_once_it_opens(program) -> None:
    story = Story(program)
    story.at(0)
    story.at(60)
    story.moved(100, "m1", "m2")
    story.at(101)
    assert not [action for action in story.at(900) if isinstance(action, events.MigrationNotified)]
    story.happens(events.PatchStarted(101, "h1"), events.HostReturned(900, "h1"))
    story.at(901)
    told = [action for action in story.at(1000) if isinstance(action, events.MigrationNotified)]
    assert {action.migration_id for action in told} == {"m3", "m4", "m5"}


def test_no_more_hosts_are_out_than_allowed_even_if_earlier_ones_are_late(program) -> None:
    """h1 and h2 share a rack of which one may be out: h2 waits, and h4 does not take the fleet's last place from it."""
    policy = POLICY.model_copy(update={"canary": POLICY.canary.model_copy(update={"hosts": 0, "bake_s": 0})})
    plan = small_plan(small_fleet(), policy)
    plan = remade(
        small_fleet(),
        policy,
        waves=plan.waves.with_columns(gate=plan.waves["gate"].replace({"canary": "pipelined"})),
        hosts=plan.hosts,
        migrations=plan.migrations,
        deferred=plan.deferred,
    )
    program = build_program(small_fleet(), plan)
    story = Story(program)
    story.at(0)
    story.at(60)
    story.moved(100, "m1", "m2")
    story.at(101)
    late = story.at(950)
    assert not [action for action in late if isinstance(action, events.HostDrainStarted)]
    story.happens(events.HostReturned(1200, "h1"))
    started = [action.host_id for action in story.at(1200) if isinstance(action, events.HostDrainStarted)]
    assert started == ["h2", "h4"]


def test_a_retryable_failure_is_tried_again_once(program) -> None:
    story = drained_to(program)
    story.happens(events.MigrationFailed(80, "m1", 1, "connected", "no route", retryable=True))
    assert story.at(81) == ()
    assert story.at(139) == ()
    assert story.at(140) == (events.MigrationIntended(140, "m1", 2),)
    story.happens(events.MigrationFailed(150, "m1", 2, "connected", "no route", retryable=True))
    ended = story.at(151)
    assert ended[0] == events.MigrationGivenUp(151, "m1", "migration-failed", "no route")
    assert events.HostFailed(151, "h1", "migration-failed", "m1: no route") in ended


def test_what_depends_on_a_failed_host_is_blocked_and_the_campaign_ends(program) -> None:
    story = drained_to(program)
    story.moved(100, "m2")
    story.happens(events.MigrationFailed(80, "m1", 1, "brownout", "does not converge", retryable=False))
    ended = story.at(101)
    assert {a.host_id: type(a) for a in ended if hasattr(a, "host_id")} == {
        "h1": events.HostFailed,
        "h2": events.HostBlocked,
        "h4": events.HostBlocked,
    }
    assert isinstance(ended[-1], events.CampaignFinished)
    assert story.state.host_stage[program.hosts.ids.index("h1")] == HostStage.FAILED
    assert story.at(102) == ()


def test_a_lost_canary_closes_the_gate(program) -> None:
    story = drained_to(program)
    story.moved(100, "m1", "m2")
    story.at(101)
    deadline_s = 101 + 4 * 600 + 120
    assert story.at(deadline_s - 1) == ()
    ended = story.at(deadline_s)
    assert ended[0] == events.PatchFailed(deadline_s, "h1", "not back after 42\u202fmin")
    closed = [action for action in ended if isinstance(action, events.WaveClosed)]
    assert [action.wave for action in closed] == [1]
    assert "did not come back" in closed[0].reason
    assert isinstance(ended[-1], events.CampaignFinished)


def test_an_attempt_that_takes_far_too_long_is_stopped_once(program) -> None:
    story = drained_to(program)
    story.moved(100, "m2")
    planned_s = int(program.migrations.end_s[0] - program.migrations.start_s[0])
    deadline_s = 60 + MIGRATION_DEADLINE_FACTOR * planned_s + 120
    assert story.at(deadline_s - 1) == ()
    assert story.at(deadline_s) == (events.MigrationCancelled(deadline_s, "m1", 1, "took much longer than planned"),)
    assert story.at(deadline_s + 1) == ()


def test_a_gate_that_asks_for_approval_waits_for_a_person() -> None:
    policy = POLICY.model_copy(update={"gates": Gates(kind="approval", bake_s=0)})
    plan = small_plan(small_fleet(), policy)
    waves = plan.waves.with_columns(gate=plan.waves["gate"].replace({"pipelined": "approval"}))
    parts = {"hosts": plan.hosts, "migrations": plan.migrations, "deferred": plan.deferred}
    program = build_program(small_fleet(), remade(small_fleet(), policy, waves=waves, **parts))
    alone = canary_back(program, 700, rules=None)
    alone.at(800)
    alone.moved(900, "m3", "m4")
    alone.at(900)
    alone.happens(events.HostReturned(1500, "h2"))
    assert alone.at(1501) == ()
    approved = Story(program)
    approved.state, approved.entries = alone.state, list(alone.entries)
    assert approved.at(1501)[:2] == (events.WaveApproved(1501, 2, "the test"), events.WaveOpened(1501, 2))
