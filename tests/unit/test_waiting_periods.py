"""Notice periods at run time, on six hosts that can be followed by hand: m1 and m2 have 60 s, from 0 to 60."""

from pathlib import Path

import numpy as np
import pytest
from campaigns import RULES, assert_safe, coordinator_of, drivers_of, program_of, record_of
from small_fleet import small_fleet, small_plan

from slacktide.executors import events
from slacktide.executors.agent import HostAgent
from slacktide.executors.agents import LocalAgents
from slacktide.executors.campaign_state import initial_state
from slacktide.executors.commands import Dispatch
from slacktide.executors.decisions import Scheduler
from slacktide.executors.drivers.protocol import NotifyRequest
from slacktide.executors.drivers.settings import Answering, Failures, SimulationSettings
from slacktide.executors.drivers.simulated import Quiet, SimulatedDriver
from slacktide.executors.events import Event, Stage
from slacktide.executors.folding import fold
from slacktide.executors.journal import Entry, Journal
from slacktide.executors.program import Program, build_program
from slacktide.executors.resolution import untold
from slacktide.planner.policy import MigrationRules


@pytest.fixture
def program() -> Program:
    snapshot = small_fleet()
    return build_program(snapshot, small_plan(snapshot))


def folded(program: Program, *told: Event):
    return fold(initial_state(program), [Entry(number, event) for number, event in enumerate(told, start=1)])


def begun(scheduler: Scheduler, now: float) -> set[str]:
    return {event.migration_id for event in scheduler.decide(now) if isinstance(event, events.MigrationIntended)}


def test_the_period_counts_from_when_the_guest_was_told(program: Program) -> None:
    scheduler = Scheduler(program, initial_state(program), RULES)
    scheduler.decide(0)
    scheduler.observe([events.MigrationWaiting(7.5, "m1"), events.MigrationWaiting(0.0, "m2")])
    assert begun(scheduler, 60) == {"m2"}
    assert begun(scheduler, 67.25) == set()
    assert begun(scheduler, 67.5) == {"m1"}


def test_who_is_told_only_once_all_else_allows_still_gets_the_whole_period(program: Program) -> None:
    scheduler = Scheduler(program, initial_state(program), RULES)
    scheduler.decide(0)
    scheduler.decide(59)
    scheduler.observe([events.MigrationWaiting(58.0, "m1")])
    assert begun(scheduler, 60) == {"m2"}
    assert begun(scheduler, 118) == {"m1"}


def test_a_guest_that_is_ready_ends_a_wait_that_is_late(program: Program) -> None:
    scheduler = Scheduler(program, initial_state(program), RULES)
    scheduler.decide(50)
    scheduler.observe([events.MigrationWaiting(50.0, "m1"), events.MigrationWaiting(50.0, "m2")])
    scheduler.observe([events.GuestAcknowledged(63.0, "m1")])
    assert scheduler.next_s() == 60, "its host is to be drained"
    assert begun(scheduler, 63) == {"m1"}
    assert begun(scheduler, 109) == set()
    assert begun(scheduler, 110) == {"m2"}


def test_a_guest_that_is_ready_does_not_move_before_its_planned_start(program: Program) -> None:
    scheduler = Scheduler(program, initial_state(program), RULES)
    scheduler.decide(50)
    scheduler.observe([events.GuestAcknowledged(52.0, "m1")])
    assert begun(scheduler, 59) == set()
    assert begun(scheduler, 60) == {"m1"}


def test_word_that_it_was_told_does_not_take_back_that_it_is_ready(program: Program) -> None:
    scheduler = Scheduler(program, initial_state(program), RULES)
    scheduler.decide(50)
    scheduler.observe([events.GuestAcknowledged(52.0, "m1"), events.MigrationWaiting(51.0, "m1")])
    assert begun(scheduler, 60) == {"m1"}


def test_a_guest_that_was_not_told_has_nothing_to_acknowledge(program: Program) -> None:
    scheduler = Scheduler(program, initial_state(program), RULES)
    scheduler.observe([events.GuestAcknowledged(0.0, "m1")])
    scheduler.decide(50)
    assert begun(scheduler, 60) == set()


def test_a_coordinator_that_goes_on_counts_the_same_periods(program: Program) -> None:
    told = [events.MigrationNotified(50.0, "m1"), events.MigrationNotified(50.0, "m2")]
    heard = [events.MigrationWaiting(55.0, "m1"), events.MigrationWaiting(50.0, "m2")]
    scheduler = Scheduler(program, folded(program, *told, *heard), RULES)
    assert begun(scheduler, 60) == set()
    assert begun(scheduler, 110) == {"m2"}
    assert begun(scheduler, 115) == {"m1"}
    ready = folded(program, *told, *heard, events.GuestAcknowledged(58.0, "m1"))
    assert begun(Scheduler(program, ready, RULES), 60) == {"m1"}


def test_who_was_told_is_told_again_and_by_what_it_has_said(program: Program) -> None:
    told = [events.MigrationNotified(0.0, "m1"), events.MigrationNotified(0.0, "m2"), events.MigrationWaiting(0, "m1")]
    dispatch = Dispatch(program, 1)

    def tellings(*more: Event) -> dict[str, str]:
        asked = untold(folded(program, *told, *more), dispatch, {0})
        return {each.migration_id: each.telling for each in asked[0].notify}

    assert tellings() == {"m1": "again", "m2": "new"}
    assert tellings(events.GuestAcknowledged(3.0, "m1")) == {"m1": "ready", "m2": "new"}


def test_a_notice_says_when_and_is_withdrawn_with_its_migration(program: Program) -> None:
    dispatch = Dispatch(program, 1)
    new = dispatch.requests([events.MigrationNotified(50.0, "m1")], {}).notify[0]
    lasts_s = new.end_s - new.start_s
    assert (new.start_s, new.notice_s, new.telling) == (110.0, 60, "new")
    assert lasts_s == program.migrations.end_s[0] - program.migrations.start_s[0]
    gone = dispatch.requests([events.MigrationGivenUp(70.0, "m1", "stuck", "why")], {}).notify
    assert [(each.migration_id, each.telling) for each in gone] == [("m1", "withdrawn")]


def test_what_is_heard_late_of_a_guest_is_kept_and_what_it_says_after_its_move_began_is_not(program: Program) -> None:
    state = folded(
        program,
        events.MigrationNotified(0.0, "m1"),
        events.MigrationIntended(60.0, "m1", 1),
        events.MigrationWaiting(1.0, "m1"),
        events.GuestAcknowledged(61.0, "m1"),
        events.MigrationFailed(65.0, "m1", 1, "brownout", "it broke", retryable=True),
        events.MigrationIntended(125.0, "m1", 2),
    )
    assert (state.times[0, Stage.WAITING], state.begun_s[0]) == (1.0, 60.0)
    assert np.isnan(state.acknowledged_s[0])


REQUEST = NotifyRequest("m1", "vm1", "h1", 100.0, 160.0, 170.0, 60, "precopy")


def test_simulated_guests_answer_once_within_their_period_unless_it_ends_before() -> None:
    settings = SimulationSettings(answering=Answering(per_mille=1000, after_s=20))
    driver = SimulatedDriver(settings, MigrationRules())
    driver.notify([REQUEST, REQUEST._replace(telling="again")])
    assert driver.poll(100.0) == [events.MigrationWaiting(100.0, "m1")]
    ready_s = driver.next_s()
    assert 116 <= ready_s < 160
    assert Quiet(MigrationRules(), settings.answering)(_requests(REQUEST)) <= ready_s
    assert driver.poll(200.0) == [events.GuestAcknowledged(ready_s, "m1")]
    driver.notify([REQUEST._replace(migration_id="m2"), REQUEST._replace(migration_id="m2", telling="withdrawn")])
    driver.notify([REQUEST._replace(migration_id="m3", telling="ready")])
    assert [type(event) for event in driver.poll(1000.0)] == [events.MigrationWaiting]
    assert driver.next_s() is None


def _requests(notice: NotifyRequest):
    from slacktide.executors.commands import Requests

    return Requests(notify=[notice])


def test_a_simulated_campaign_with_guests_that_answer_is_safe_and_goes_on_as_if_it_had_never_stopped(
    tmp_path: Path,
) -> None:
    program = program_of("baked")
    settings = SimulationSettings(
        seed=5,
        failures=Failures(overruns_per_mille=300, migrations_per_mille=30),
        answering=Answering(per_mille=700, after_s=10),
    )
    whole = carried_out(program, settings, tmp_path / "whole", None)
    state = whole.state
    acknowledged = ~np.isnan(state.acknowledged_s)
    assert 0 < acknowledged.sum() < len(acknowledged)
    assert (state.acknowledged_s[acknowledged] <= state.begun_s[acknowledged]).all()
    notice_s = program.migrations.start_s - program.migrations.notified_s
    given_s = state.begun_s - state.times[:, Stage.WAITING]
    with_notice = (notice_s > 0) & ~np.isnan(state.begun_s)
    assert (given_s[with_notice & ~acknowledged] >= notice_s[with_notice & ~acknowledged]).all()
    stopped = carried_out(program, settings, tmp_path / "stopped", 40)
    np.testing.assert_array_equal(stopped.state.begun_s, state.begun_s)


def carried_out(program: Program, settings: SimulationSettings, folder: Path, stop_after: int | None):
    """Carry a campaign out, with a new coordinator and a new agent after so many rounds."""
    folder.mkdir()
    journal = Journal.create(folder / "journal.sqlite", record_of(), durability="process")
    agents = LocalAgents([HostAgent(driver) for driver in drivers_of(program, settings)])
    coordinator = coordinator_of(program, journal, agents, answering=settings.answering)
    for number in range(100_000):
        if coordinator.state.finished:
            break
        coordinator.round()
        if number == stop_after:
            journal.close()
            journal = Journal.hold(folder / "journal.sqlite", record_of().campaign_id, durability="process")
            agents = LocalAgents([HostAgent(driver) for driver in drivers_of(program, settings)])
            coordinator = coordinator_of(program, journal, agents, answering=settings.answering)
    assert coordinator.state.finished
    assert_safe(program, journal.read())
    journal.close()
    return coordinator
