"""What is asked of a campaign, on six hosts that can be followed by hand (tests/small_fleet.py)."""

import json

import pytest
from small_fleet import POLICY, remade, small_fleet, small_plan
from story import Story, canary_back, drained_to

from slacktide.executors import control_events, events
from slacktide.executors.campaign_state import HostStage
from slacktide.executors.decisions import Scheduler
from slacktide.executors.order_words import order_words
from slacktide.executors.orders import Abort, Approve, Limits, Pause, Resume, Revise, Skip, answer
from slacktide.executors.program import build_program
from slacktide.executors.store.orders import StoredOrder
from slacktide.planner.policy import Gates

BY, WHY = "ada", "the lift is broken"


@pytest.fixture
def program():
    snapshot = small_fleet()
    return build_program(snapshot, small_plan(snapshot))


def asking(story, now, order, number=None) -> events.Event:
    """Ask for something at ``now``, and let the answer be journaled."""
    number = story.state.orders + 1 if number is None else number
    stored = StoredOrder(number, "2026-01-01T00:00:00+00:00", BY, WHY, order.kind, order.body())
    told = answer(stored, story.state, now)
    story.happens(told)
    return told


def kinds(actions) -> set[str]:
    return {action.type for action in actions}


def test_a_paused_campaign_begins_nothing_and_what_runs_ends(program) -> None:
    story = drained_to(program)
    asking(story, 70, Pause())
    assert story.at(71) == ()
    story.moved(100, "m1", "m2")
    assert story.at(103) == (events.HostDrained(103, "h1"),), "it is empty, and not patched before the campaign goes on"
    assert Scheduler(program, story.state).next_s() is None
    assert story.at(2000) == ()
    told = asking(story, 2001, Resume())
    assert told == control_events.CampaignContinued(2001, 1 + 1, BY, WHY)
    assert events.PatchIntended(2001, "h1") in story.at(2001)


def test_a_scheduler_that_is_told_of_pause_and_continuation_wakes_all_that_waits(program) -> None:
    story = Story(program)
    scheduler = Scheduler(program, story.state)
    scheduler.observe([control_events.CampaignPaused(0, 1, BY, WHY, False)])
    assert scheduler.decide(0) == scheduler.decide(60) == scheduler.decide(500) == ()
    assert scheduler.waits_for() == f"it is paused, asked for by {BY}: {WHY}; end that with `slacktide campaign resume`"
    scheduler.observe([control_events.CampaignContinued(600, 2, BY, WHY)])
    at_once = scheduler.decide(600)
    assert {"migration-notified", "wave-opened", "host-drain-started"} <= kinds(at_once)
    assert "migration-intended" not in kinds(at_once), "guests that were not told keep their whole notice"
    assert kinds(scheduler.decide(660)) == {"migration-intended"}


def test_migrations_stopped_by_a_pause_begin_again_and_do_not_count(program) -> None:
    story = drained_to(program)
    asking(story, 70, Pause(cancel=True))
    reason = f"the campaign is paused, asked for by {BY}: {WHY}"
    assert story.at(70) == (
        events.MigrationCancelled(70, "m1", 1, reason, True),
        events.MigrationCancelled(70, "m2", 1, reason, True),
    )
    for name in ("m1", "m2"):
        story.happens(events.MigrationFailed(71, name, 1, "brownout", f"stopped: {reason}", retryable=False))
    assert story.at(5000) == ()
    asking(story, 5000, Resume())
    assert story.at(5000) == (events.MigrationIntended(5000, "m1", 2), events.MigrationIntended(5000, "m2", 2))
    story.happens(events.MigrationFailed(5010, "m1", 2, "connected", "no route", retryable=True))
    assert events.MigrationIntended(5070, "m1", 3) in story.at(5070), "the attempt that was stopped does not count"


@pytest.mark.parametrize(
    ("pause", "words"),
    [
        (
            control_events.CampaignPaused(70, 1, "ada", "lunch", False),
            "it is paused, asked for by ada: lunch; end that with `slacktide campaign resume`",
        ),
        (
            control_events.CampaignPaused(70, 0, "the budget blackout_p99_ms", "p99 of 35 blackouts is 159 ms", False),
            "it is paused by the budget blackout_p99_ms: p99 of 35 blackouts is 159 ms; look into that first: "
            "`slacktide campaign resume` lets it go on and counts the budget anew from then, `slacktide campaign "
            "abort` ends it",
        ),
        (
            control_events.CampaignPaused(70, 0, "the signal shop", "status 503 and not 200", False),
            "it is paused by the signal shop: status 503 and not 200; mend that, then `slacktide campaign resume`: "
            "before the signal is well again it pauses nothing more",
        ),
    ],
    ids=["person", "budget", "signal"],
)
def test_a_pause_says_who_or_what_asked_for_it_and_what_ends_it(program, pause, words) -> None:
    scheduler = Scheduler(program, drained_to(program).state)
    scheduler.observe([pause])
    assert scheduler.waits_for() == words
    assert Scheduler(program, drained_to(program).happens(pause).state).waits_for() == words, "as before a restart"


def test_an_outcome_that_was_known_when_it_was_to_be_stopped_counts(program) -> None:
    scheduler = Scheduler(program, drained_to(program).state)
    scheduler.observe([control_events.CampaignPaused(70, 1, BY, WHY, True)])
    for stop in scheduler.decide(70):
        scheduler.spare(stop)
    scheduler.observe([events.MigrationFailed(71, "m1", 1, "brownout", "does not converge", retryable=False)])
    assert "migration-given-up" in kinds(scheduler.decide(71))


def test_an_aborted_campaign_ends_with_every_vm_where_it_is(program) -> None:
    story = drained_to(program)
    asking(story, 70, Abort())
    ended = story.at(70)
    blocked = {action.host_id: action.reason for action in ended if isinstance(action, events.HostBlocked)}
    assert blocked == {"h1": "aborted", "h2": "aborted", "h4": "aborted"}
    assert not story.state.finished, "two migrations are under way"
    story.moved(100, "m1")
    story.happens(events.MigrationFailed(101, "m2", 1, "connected", "no route", retryable=True))
    assert isinstance(story.at(102)[-1], events.CampaignFinished), "nothing is tried again"
    vms = dict(zip(program.vms.ids, story.state.vm_host.tolist(), strict=True))
    assert (vms["v1"], vms["v2"]) == (program.hosts.ids.index("h6"), program.hosts.ids.index("h1"))


def test_a_host_that_is_being_patched_when_the_campaign_is_aborted_comes_back(program) -> None:
    story = drained_to(program)
    story.moved(100, "m1", "m2")
    story.at(101)
    asking(story, 110, Abort(cancel=True))
    ended = story.at(110)
    assert {action.host_id for action in ended if isinstance(action, events.HostBlocked)} == {"h2", "h4"}
    story.happens(events.PatchStarted(111, "h1"), events.HostReturned(900, "h1"))
    assert isinstance(story.at(900)[-1], events.CampaignFinished)


def test_a_host_that_was_emptied_during_a_pause_goes_back_into_service_when_the_campaign_is_aborted(program) -> None:
    for journaled in (False, True):
        story = drained_to(program)
        asking(story, 70, Pause())
        story.moved(100, "m1", "m2")
        assert story.at(103) == (events.HostDrained(103, "h1"),)
        scheduler = Scheduler(program, story.state)
        told = asking(story, 110, Abort())
        if journaled:
            scheduler = Scheduler(program, story.state)
        else:
            scheduler.observe([told])
        ended = scheduler.decide(110)
        assert events.HostBlocked(110, "h1", "aborted", f"asked for by {BY}: {WHY}") in ended
        assert isinstance(ended[-1], events.CampaignFinished)


def test_an_abort_that_stops_what_runs_tries_nothing_again(program) -> None:
    story = drained_to(program)
    asking(story, 70, Abort())
    story.at(70)
    asking(story, 75, Abort(cancel=True))
    assert [type(action) for action in story.at(75)] == [events.MigrationCancelled] * 2
    for name in ("m1", "m2"):
        story.happens(events.MigrationFailed(76, name, 1, "brownout", "stopped", retryable=False))
    assert isinstance(story.at(77)[-1], events.CampaignFinished)


def test_a_skipped_host_is_left_alone_with_what_depends_on_it(program) -> None:
    story = canary_back(program, 900)
    asking(story, 950, Skip(host_id="h2"))
    skipped = story.at(950)
    assert events.HostBlocked(950, "h2", "skipped", f"asked for by {BY}: {WHY}") in skipped
    drained = [action.host_id for action in story.at(1000) if isinstance(action, events.HostDrainStarted)]
    assert drained == ["h4"]


def test_a_crash_between_an_order_and_what_follows_from_it_loses_nothing(program) -> None:
    """The order is in the journal, what follows is not: a scheduler made from the state says the same."""
    for order, follows in (
        (Skip(host_id="h2"), events.HostBlocked),
        (Abort(), events.HostBlocked),
        (Pause(cancel=True), events.MigrationCancelled),
        (Abort(cancel=True), events.MigrationCancelled),
    ):
        story = drained_to(program)
        running = Scheduler(program, story.state)
        told = asking(story, 70, order)
        running.observe([told])
        assert set(running.decide(70)) == set(Scheduler(program, story.state).decide(70))
        assert follows in {type(action) for action in story.at(70)}


def test_a_lower_limit_holds_at_once_and_a_higher_one_lets_hosts_go() -> None:
    policy = POLICY.model_copy(update={"max_out": {"fleet": 1, "rack": 1}})
    snapshot = small_fleet()
    program = build_program(snapshot, small_plan(snapshot, policy))
    story = canary_back(program, 900)
    first = [action.host_id for action in story.at(1000) if isinstance(action, events.HostDrainStarted)]
    assert len(first) == 1
    told = asking(story, 1010, Limits(max_out={"fleet": "50%"}))
    assert json.loads(told.max_out) == {"fleet": "50%"}
    running = Scheduler(program, story.state)
    second = [action.host_id for action in story.at(1500) if isinstance(action, events.HostDrainStarted)]
    assert len(second) == 1
    running.observe([control_events.LimitsChanged(1011, 2, BY, WHY, '{"fleet": 0}')])
    assert not [action for action in running.decide(1500) if isinstance(action, events.HostDrainStarted)]


def approval_program():
    policy = POLICY.model_copy(update={"gates": Gates(kind="approval", bake_s=0)})
    plan = small_plan(small_fleet(), policy)
    waves = plan.waves.with_columns(gate=plan.waves["gate"].replace({"pipelined": "approval"}))
    parts = {"hosts": plan.hosts, "migrations": plan.migrations, "deferred": plan.deferred}
    return build_program(small_fleet(), remade(small_fleet(), policy, waves=waves, **parts))


def test_a_person_approves_a_wave_before_or_after_it_is_due() -> None:
    program = approval_program()
    story = canary_back(program, 700, rules=None)
    story.at(800)
    story.moved(900, "m3", "m4")
    story.at(900)
    early = Story(program, None)
    early.state, early.entries = story.state, list(story.entries)
    story.happens(events.HostReturned(1500, "h2"))
    assert story.at(1501) == ()
    assert Scheduler(program, story.state).waits_for().startswith("wave 2 waits for approval")
    assert asking(story, 1510, Approve()) == events.WaveApproved(1510, 2, BY, 1, WHY)
    assert story.at(1510)[0] == events.WaveOpened(1510, 2)
    asking(early, 901, Approve(wave=2))
    early.happens(events.HostReturned(1500, "h2"))
    assert early.at(1501)[0] == events.WaveOpened(1501, 2)
    assert "approved already" in asking(early, 1502, Approve(wave=2)).reason


def test_an_approval_of_what_waits_now_approves_nothing_that_comes_later() -> None:
    story = Story(approval_program(), None)
    story.at(0)
    reason = asking(story, 10, Approve()).reason
    assert reason == "no wave waits for an approval now; wave 2 will, approve it ahead with --wave 2"
    asking(story, 11, Approve(wave=2))
    assert asking(story, 12, Approve()).reason == "no wave asks for an approval"


@pytest.mark.parametrize("ahead", [False, True])
def test_guests_of_a_wave_that_a_person_has_yet_to_approve_are_not_told(ahead: bool) -> None:
    program = approval_program()
    part = program.migrations
    later = [number for number, wave in enumerate(part.wave.tolist()) if wave == 2]
    told_s = min(int(part.notified_s[number]) for number in later if part.notified_s[number] < part.start_s[number])
    assert told_s < program.waves.start_s[2]
    story = Story(program, None)
    if ahead:
        asking(story, 0, Approve(wave=2))
    told = {event.migration_id for event in story.at(told_s) if isinstance(event, events.MigrationNotified)}
    assert bool(told & {part.ids[number] for number in later}) == ahead


@pytest.mark.parametrize(
    ("order", "says"),
    [
        (Resume(), "it is not paused"),
        (Approve(), "no wave asks for an approval"),
        (Approve(wave=1), "wave 1 asks for no approval, its gate is `canary`"),
        (Approve(wave=9), "there is no wave 9"),
        (Skip(host_id="h9"), "the fleet has no host h9"),
        (Skip(host_id="h3"), "not to be patched"),
        (Skip(host_id="h1"), "too far: it is being patched"),
        (Limits(max_out={"row": 1}), "limits no hosts out by row"),
        (
            Limits(max_out={"fleet": 0}),
            "fleet 0 lets no host out, so no plan could go on; to let nobody out",
        ),
        (Limits(max_out={"fleet": 2, "rack": "0%"}), "rack 0% lets no host out"),
    ],
)
def test_what_cannot_be_granted_is_refused_with_the_reason(program, order, says) -> None:
    story = drained_to(program)
    story.moved(100, "m1", "m2")
    story.at(101)
    told = asking(story, 110, order)
    assert isinstance(told, control_events.OrderRefused)
    assert says in told.reason
    assert (told.order, told.by, told.kind) == (1, BY, order.kind)
    assert story.state.orders == 1


def test_a_refused_addition_is_named_as_it_was_asked_for(program) -> None:
    told = asking(Story(program), 0, Revise(add_hosts=("h9",)))
    assert order_words(told).startswith("refused `add`: the fleet has no host h9")
    assert order_words(asking(Story(program), 0, Revise())).startswith("refused `revise`: it was begun without a place")


def test_orders_of_another_release_are_refused_and_not_asked_again(program) -> None:
    story = Story(program)
    for number, (kind, body) in enumerate([("dance", "{}"), ("pause", '{"gently": true}'), ("skip", "nonsense")], 1):
        told = answer(StoredOrder(number, "", BY, None, kind, body), story.state, 1)
        story.happens(told)
        assert isinstance(told, control_events.OrderRefused)
    assert story.state.orders == 3


def test_nothing_is_asked_of_a_campaign_that_has_ended(program) -> None:
    story = Story(program)
    asking(story, 0, Abort())
    story.at(0)
    assert story.state.finished
    assert asking(story, 1, Pause()).reason == "the campaign has finished"
    assert set(story.state.host_stage[program.hosts.planned].tolist()) == {HostStage.BLOCKED}
