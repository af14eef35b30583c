"""Agents that end or are slow, one by one, while the coordinator goes on."""

import random

import numpy as np
import pytest
from campaigns import (
    RULES,
    SOME_WRONG,
    Ran,
    assert_all_ended,
    assert_outcomes_once,
    assert_safe,
    assert_same_end,
    coordinator_of,
    drivers_of,
    program_of,
    record_of,
    run,
)
from flaky_agents import ENDED, FlakyAgents

from slacktide.clock import Clock
from slacktide.executors import coordinator as coordinator_module
from slacktide.executors import events
from slacktide.executors.agent import HostAgent
from slacktide.executors.campaign_state import HostStage
from slacktide.executors.coordinator import Coordinator
from slacktide.executors.drivers.settings import SimulationSettings
from slacktide.executors.journal import Journal

AGENTS = 5


class SteppedClock:
    """A clock as real as can be: it goes on by itself, here by a few seconds at every look."""

    def __init__(self, origin) -> None:
        self.virtual = coordinator_module.VirtualClock(origin)

    def now(self):
        self.virtual.advance(2.0)
        return self.virtual.now()


def flaky(program, seed, odds):
    settings = SimulationSettings(seed=4, failures=SOME_WRONG)
    return FlakyAgents(lambda: HostAgent(drivers_of(program, settings)[0]), AGENTS, random.Random(seed), odds)


def carried_out(coordinator):
    for _ in range(200_000):
        if coordinator.state.finished:
            return
        coordinator.round()
    raise AssertionError("the campaign does not end")


@pytest.fixture
def no_sleep(monkeypatch):
    monkeypatch.setattr("slacktide.executors.coordinator.time.sleep", lambda _: None)
    monkeypatch.setattr("slacktide.executors.coordinator.wait_until", lambda *_: None)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("odds", [(0.02, 0.02, 0.1), (0.1, 0.1, 0.0), (0.0, 0.0, 0.5)])
def test_on_a_virtual_clock_agents_that_end_or_are_slow_change_nothing(tmp_path, monkeypatch, seed, odds) -> None:
    monkeypatch.setattr("slacktide.executors.coordinator.time.sleep", lambda _: None)
    program = program_of()
    (tmp_path / "whole").mkdir()
    whole = run(program, tmp_path / "whole", SOME_WRONG, seed=4, agents=AGENTS)
    journal = Journal.create(tmp_path / "journal.sqlite", record_of(), durability="process")
    agents = flaky(program, seed, odds)
    coordinator = coordinator_of(program, journal, agents)
    carried_out(coordinator)
    entries = journal.read()
    journal.close()
    assert agents.ended + agents.slow > 20, "nothing happened"
    assert_safe(program, entries)
    one, other = whole.coordinator.state, coordinator.state
    for state in (one, other):  # an agent that ended before it could say so took that with it
        state.host_times[:, HostStage.PATCHING] = np.nan
    assert_same_end(one, other)
    gone = [entry.event for entry in entries if isinstance(entry.event, events.AgentAway)]
    back = [entry.event for entry in entries if isinstance(entry.event, events.AgentBack)]
    assert {event.reason for event in gone} <= {ENDED}
    assert sorted(event.agent for event in gone) == sorted(event.agent for event in back)
    assert_each_told_once(entries)


@pytest.mark.parametrize("seed", range(6))
def test_on_a_clock_that_goes_on_every_migration_and_patch_ends_once(tmp_path, no_sleep, seed) -> None:
    program = program_of()
    journal = Journal.create(tmp_path / "journal.sqlite", record_of(), durability="process")
    agents = flaky(program, seed, (0.001, 0.001, 0.01))
    agents.away_for = (1, 50)
    clock: Clock = SteppedClock(journal.record.origin)
    coordinator = Coordinator(program, journal, agents, clock, RULES)
    carried_out(coordinator)
    entries = journal.read()
    journal.close()
    assert agents.ended > 20
    assert agents.slow > 20
    assert_each_told_once(entries)
    assert not [entry for entry in entries if isinstance(entry.event, events.PatchFailed)], "absent is not lost"
    assert_all_ended(program, Ran(coordinator, entries, drivers_of(program, SimulationSettings())[0]))
    assert not coordinator.state.given_up, {
        coordinator.state.errors[n] for n, why in coordinator.state.given_up.items() if why == "migration-failed"
    }
    assert (coordinator.state.stage == events.Stage.DONE).all(), "an absence cost a migration"


@pytest.mark.parametrize("restarts", [3, 25])
def test_coordinator_and_agents_end_in_turn(tmp_path, monkeypatch, restarts) -> None:
    monkeypatch.setattr("slacktide.executors.coordinator.time.sleep", lambda _: None)
    program = program_of("baked")
    path = tmp_path / "journal.sqlite"
    Journal.create(path, record_of(), durability="process").close()
    agents = flaky(program, 7, (0.01, 0.01, 0.05))
    for _ in range(restarts):
        journal = Journal.hold(path, durability="process")
        coordinator = coordinator_of(program, journal, agents)
        for _ in range(150):
            if not coordinator.state.finished:
                coordinator.round()
        journal.close()
    journal = Journal.hold(path, durability="process")
    coordinator = coordinator_of(program, journal, agents)
    carried_out(coordinator)
    entries = journal.read()
    journal.close()
    assert_safe(program, entries)
    assert_each_told_once(entries)
    assert agents.ended > 5


def test_an_agent_that_is_away_keeps_no_other_waiting(tmp_path, no_sleep) -> None:
    program = program_of()
    journal = Journal.create(tmp_path / "journal.sqlite", record_of(), durability="process")
    agents = flaky(program, 0, (0.0, 0.0, 0.0))
    coordinator = Coordinator(program, journal, agents, SteppedClock(journal.record.origin), RULES)
    while not coordinator.state.stage.max() >= events.Stage.BROWNOUT:
        coordinator.round()
    agents.away_for = (400, 400)
    agents.end(2)
    before = len(agents.calls)
    for _ in range(300):
        coordinator.round()
    asked = {agent for _, agent in agents.calls[before:]}
    assert asked == {0, 1, 3, 4}
    carried_out(coordinator)
    entries = journal.read()
    journal.close()
    away, back = (
        next(entry.number for entry in entries if isinstance(entry.event, kind))
        for kind in (events.AgentAway, events.AgentBack)
    )
    between = [entry.event for entry in entries if away < entry.number < back]
    assert any(isinstance(event, events.MigrationDone) for event in between)


def assert_each_told_once(entries) -> None:
    """Check that nothing is repeated: no attempt begins or ends twice, no number is missing."""
    assert_outcomes_once(entries)
    intents = [entry.event for entry in entries if isinstance(entry.event, events.MigrationIntended)]
    assert len(intents) == len({(event.migration_id, event.attempt) for event in intents})
