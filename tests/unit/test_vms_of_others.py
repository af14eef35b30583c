"""VMs that others create, delete and move, on six hosts that can be followed by hand (tests/small_fleet.py)."""

from dataclasses import replace

import pytest
from campaigns import RULES
from small_fleet import small_fleet, small_plan
from story import Story, drained_to

from slacktide.executors import control_events, events
from slacktide.executors.campaign_state import HostStage
from slacktide.executors.decisions import Scheduler
from slacktide.executors.event_codec import decode, encode
from slacktide.executors.events import HostRefilled, Stage, VmCreated, VmDeleted, VmMoved
from slacktide.executors.program import build_program
from slacktide.executors.vm_state import Stray, strays
from slacktide.executors.waiting import waiting

REVISING = replace(RULES, on_drift="revise")
ASKING = replace(RULES, vms="asked")


@pytest.fixture
def program():
    snapshot = small_fleet()
    return build_program(snapshot, small_plan(snapshot))


def created(at_s, host, name="n1", vcpus=4):
    return VmCreated(at_s, name, host, vcpus, 8192, 0, False, False)


def given_up(actions) -> dict[str, str]:
    return {each.migration_id: each.reason for each in actions if isinstance(each, events.MigrationGivenUp)}


def scheduler_of(story) -> Scheduler:
    return Scheduler(story.program, story.state, story.rules)


@pytest.mark.parametrize(
    "event",
    [
        created(1.5, "h1"),
        VmDeleted(2.0, "v1", "h1"),
        VmMoved(3.0, "v1", "h2", "h1"),
        HostRefilled(4.0, "h1", "n1 came to it"),
    ],
)
def test_the_journal_keeps_what_others_do(event) -> None:
    assert decode(encode(event)) == event


def test_a_vm_that_is_gone_needs_no_migration_and_its_host_is_patched(program) -> None:
    story = Story(program)
    story.at(0)
    story.happens(VmDeleted(30, "v2", "h1"))
    assert given_up(story.at(60)) == {"m2": "gone"}
    story.moved(100, "m1")
    assert story.at(101) == (events.HostDrained(101, "h1"), events.PatchIntended(101, "h1"))
    assert story.state.errors[1] == "others deleted v2, found 30\u202fs into the campaign"


def test_a_vm_that_is_gone_is_not_tried_again(program) -> None:
    story = drained_to(program)
    story.happens(events.MigrationFailed(70, "m2", 1, "brownout", "lost its link", True))
    story.at(71)
    story.happens(VmDeleted(80, "v2", "h1"))
    assert given_up(story.at(81)) == {"m2": "gone"}
    story.moved(100, "m1")
    assert events.PatchIntended(140, "h1") in story.at(140)


def test_a_vm_that_others_moved_off_needs_no_migration_from_there(program) -> None:
    story = Story(program)
    story.at(0)
    story.happens(VmMoved(30, "v2", "h6", "h1"))
    assert given_up(story.at(60)) == {"m2": "moved-by-others"}
    story.moved(100, "m1")
    assert events.PatchIntended(101, "h1") in story.at(101)
    assert strays(story.state) == [], "h6 is not to be drained"


def test_a_vm_that_others_moved_to_a_host_that_will_be_drained_is_to_leave_it(program) -> None:
    story = Story(program)
    story.at(0)
    story.happens(VmMoved(30, "v2", "h4", "h1"))
    story.at(60)
    assert strays(story.state) == [Stray("v2", 3, 30)]
    assert scheduler_of(story).beside_the_plan() == {("v2", 3): "v2, which others have put on h4, is to leave it"}
    (wait,) = [each for each in waiting(story.state, 61, RULES) if each.subject == "v2"]
    assert wait.reason.startswith("others have put it on h4, which is to be drained")
    assert wait.since_s == 30


def test_a_host_with_a_vm_that_nothing_moves_is_given_up_by_name(program) -> None:
    story = drained_to(program)
    story.happens(created(70, "h1"))
    story.moved(100, "m1", "m2")
    (failed,) = [each for each in story.at(101) if isinstance(each, events.HostFailed)]
    assert failed == events.HostFailed(101, "h1", "vms-remain", "n1 on it, which the plan does not move")


def test_a_host_with_such_a_vm_waits_for_a_revision_and_is_patched_when_the_vm_is_gone(program) -> None:
    story = drained_to(program, REVISING)
    story.happens(created(70, "h1"))
    story.moved(100, "m1", "m2")
    assert story.at(101) == ()
    assert scheduler_of(story).beside_the_plan()
    scheduler = scheduler_of(story)
    scheduler.decide(102)
    assert scheduler.drifted() == "h1 has n1 on it, which the plan does not move"
    left = [each.reason for each in waiting(story.state, 500, REVISING) if each.subject == "h1"]
    assert left[0].endswith("1 VM is still on it (n1)")
    gone = VmDeleted(103, "n1", "h1")
    scheduler.observe([gone])
    assert scheduler.drifted() is None
    assert scheduler.decide(103) == (events.HostDrained(103, "h1"), events.PatchIntended(103, "h1"))
    story.happens(gone)
    assert story.at(103) == (events.HostDrained(103, "h1"), events.PatchIntended(103, "h1"))


def test_a_vm_that_comes_to_a_drained_host_before_its_patch_has_it_drain_on(program) -> None:
    story = drained_to(program, REVISING)
    story.happens(control_events.CampaignPaused(90, 1, "ada", "", False))
    story.moved(100, "m1", "m2")
    assert story.at(101) == (events.HostDrained(101, "h1"),)
    story.happens(created(150, "h1"), control_events.CampaignContinued(160, 2, "ada", ""))
    assert story.at(161) == (HostRefilled(161, "h1", "n1 came to it"),)
    assert story.state.host_stage[0] == HostStage.DRAINING
    story.happens(VmMoved(170, "n1", "h6", "h1"))
    assert story.at(171) == (events.HostDrained(171, "h1"), events.PatchIntended(171, "h1"))


def test_a_host_that_refused_its_patch_for_a_vm_is_patched_later_and_has_its_whole_time(program) -> None:
    story = drained_to(program, REVISING)
    story.moved(100, "m1", "m2")
    story.at(101)
    scheduler = scheduler_of(story)
    refused = HostRefilled(102, "h1", "n1 run on it")
    scheduler.observe([refused, created(103, "h1")])
    assert scheduler.decide(103) == ()
    scheduler.observe([VmDeleted(2000, "n1", "h1")])
    assert events.PatchIntended(2000, "h1") in scheduler.decide(2000)
    limit_s = RULES.patch_limit_s(600)
    assert not any(isinstance(each, events.PatchFailed) for each in scheduler.decide(101 + limit_s + 1))
    assert any(isinstance(each, events.PatchFailed) for each in scheduler.decide(2000 + limit_s + 1))


def test_a_new_vm_takes_room_and_gives_it_back(program) -> None:
    story = Story(program)
    story.at(0)
    story.happens(created(30, "h6", vcpus=12))
    begun = story.at(60)
    assert events.MigrationIntended(60, "m1", 1) in begun
    assert events.MigrationIntended(60, "m2", 1) not in begun
    scheduler = scheduler_of(story)
    scheduler.decide(61)
    assert scheduler.beside_the_plan() == {("m2", 5): "m2 finds no room on h6, where others have put VMs"}
    (wait,) = [each for each in waiting(story.state, 61, RULES) if each.migration_id == "m2"]
    assert wait.reason.endswith("where others have put VMs")
    scheduler.observe([VmDeleted(70, "n1", "h6")])
    assert scheduler.decide(70) == (events.MigrationIntended(70, "m2", 1),)
    assert scheduler.beside_the_plan() == {}


def test_a_vm_that_is_seen_again_after_it_was_lost_is_lost_no_more(program) -> None:
    story = drained_to(program)
    story.happens(events.VmLost(80, "m1", 1, "runs nowhere"))
    assert story.state.lost_vms == {0}
    story.happens(VmMoved(200, "v1", "h6", "h1"))
    assert story.state.lost_vms == set()
    assert story.state.vm_host[0] == 5


# Real hosts, that are asked


def test_a_real_host_counts_as_drained_once_it_has_said_so(program) -> None:
    story = drained_to(program, ASKING)
    story.moved(100, "m1", "m2")
    scheduler = scheduler_of(story)
    assert scheduler.decide(101) == ()
    assert scheduler.unforeseen.looks == {0}
    scheduler.looked(0, frozenset(), ("n1",), 102)
    assert scheduler.decide(102) == (), "something is on it that may pass"
    scheduler.looked(0, frozenset(), (), 103)
    assert scheduler.decide(103) == (events.HostDrained(103, "h1"), events.PatchIntended(103, "h1"))
    assert scheduler.unforeseen.looks == set()


def test_what_stays_on_a_real_host_keeps_it_from_being_patched(program) -> None:
    story = drained_to(program, ASKING)
    story.moved(100, "m1", "m2")
    scheduler = scheduler_of(story)
    scheduler.decide(101)
    scheduler.looked(0, frozenset({"v1"}), ("v1",), 102)
    assert scheduler.decide(102) == ()
    scheduler.looked(0, frozenset({"v1"}), ("v1",), 300)
    (failed,) = [each for each in scheduler.decide(300) if isinstance(each, events.HostFailed)]
    assert failed.detail == "v1 on it, which the plan does not move"


@pytest.mark.parametrize(
    ("there", "told", "reason"),
    [
        (frozenset({"v2"}), (), "migration-failed"),
        (frozenset(), (VmDeleted(75, "v2", "h1"),), "gone"),
        (frozenset(), (VmMoved(75, "v2", "h6", "h1"),), "moved-by-others"),
    ],
)
def test_a_failed_migration_is_given_up_once_it_is_known_where_its_vm_is(program, there, told, reason) -> None:
    story = drained_to(program, ASKING)
    story.happens(events.MigrationFailed(70, "m2", 1, "reserved", "h1 knows no domain of this name", False))
    scheduler = scheduler_of(story)
    assert scheduler.decide(71) == ()
    assert scheduler.unforeseen.looks == {0}
    scheduler.looked(0, there, (), 74)
    scheduler.observe(told)
    assert given_up(scheduler.decide(75))["m2"] == reason
    assert scheduler.unforeseen.looks == set()


def test_a_state_ends_what_is_not_needed_whatever_else_had_failed(program) -> None:
    """As a coordinator finds it that was killed after it had heard of others, and before it gave anything up."""
    story = drained_to(program, RULES)
    story.happens(
        events.MigrationFailed(70, "m2", 1, "reserved", "no such domain", False),
        VmMoved(71, "v1", "h6", "h1"),
    )
    assert story.state.stage[0] >= Stage.INTENDED
    story.happens(VmDeleted(72, "v2", "h1"))
    assert given_up(story.at(73)) == {"m2": "gone"}
