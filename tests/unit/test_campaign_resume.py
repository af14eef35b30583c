"""A coordinator that stops anywhere is replaced by one that goes on from the journal."""

import numpy as np
import pytest
from campaigns import (
    RULES,
    SOME_WRONG,
    agents_of,
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

from slacktide.errors import ExecutionError
from slacktide.executors import events
from slacktide.executors.agent import HostAgent
from slacktide.executors.campaign_state import initial_state
from slacktide.executors.commands import Turn
from slacktide.executors.drivers.settings import Failures, SimulationSettings
from slacktide.executors.events import Stage
from slacktide.executors.folding import fold
from slacktide.executors.journal import Journal


def host_agents(program, failures=SOME_WRONG):
    return agents_of(program, SimulationSettings(seed=4, failures=failures))


@pytest.mark.parametrize("rounds", [1, 7, 60, 150, 300])
@pytest.mark.parametrize("world", ["kept", "lost"])
def test_a_resumed_campaign_ends_as_if_it_had_not_stopped(tmp_path, rounds, world) -> None:
    """``kept``: the agents live on with news for the next coordinator; ``lost``: everything but the journal ends."""
    program = program_of()
    (tmp_path / "whole").mkdir()
    whole = run(program, tmp_path / "whole", SOME_WRONG, seed=4, agents=2)
    path = tmp_path / "journal.sqlite"
    agents = host_agents(program)
    journal = Journal.create(path, record_of(), durability="process")
    stopped = coordinator_of(program, journal, agents)
    for _ in range(rounds):
        stopped.round()
    assert not stopped.state.finished
    journal.close()
    again = Journal.hold(path, durability="process")
    resumed = coordinator_of(program, again, agents if world == "kept" else host_agents(program))
    resumed.step(60)
    entries = again.read()
    again.close()
    assert_safe(program, entries)
    assert [type(entry.event) for entry in entries].count(events.CampaignResumed) == 1
    assert_same_end(whole.coordinator.state, resumed.state)


def test_stopping_again_and_again_loses_nothing(tmp_path) -> None:
    program = program_of("baked")
    path = tmp_path / "journal.sqlite"
    Journal.create(path, record_of(), durability="process").close()
    agents = host_agents(program)
    for _ in range(100):
        journal = Journal.hold(path, durability="process")
        coordinator = coordinator_of(program, journal, agents)
        for _ in range(100):
            if not coordinator.state.finished:
                coordinator.round()
        entries = journal.read()
        journal.close()
        if coordinator.state.finished:
            break
    assert coordinator.state.finished
    assert_safe(program, entries)
    assert_outcomes_once(entries)


def test_an_intent_that_reached_nobody_is_begun_again(tmp_path) -> None:
    """The coordinator died between the journal and the agents, which live on."""
    program = program_of()
    path = tmp_path / "journal.sqlite"
    agents = host_agents(program, failures=Failures())
    journal = Journal.create(path, record_of(), durability="process")
    coordinator = coordinator_of(program, journal, agents, quiet=False)
    while not any(isinstance(entry.event, events.MigrationDone) for entry in journal.read(max(journal.last - 20, 0))):
        coordinator.round()
    state = fold(initial_state(program), journal.read())
    first = next(number for number, stage in enumerate(state.stage.tolist()) if stage < 3)
    lost = events.MigrationIntended(state.end_s, program.migrations.ids[first], 1)
    journal.append([lost])
    journal.close()
    again = Journal.hold(path, durability="process")
    resumed = coordinator_of(program, again, agents, RULES)
    answers = [entry.event for entry in again.read() if isinstance(entry.event, events.MigrationResolved)]
    assert {answer.outcome for answer in answers if answer.migration_id == lost.migration_id} == {"not-started"}
    assert resumed.state.attempts[first] == 0
    resumed.step(60)
    assert resumed.state.finished
    assert resumed.state.attempts[first] == 1
    assert resumed.state.stage[first] == Stage.DONE
    assert not np.isnan(resumed.state.blackout_ms[first])
    again.close()


def test_an_agent_refuses_a_coordinator_that_was_replaced() -> None:
    agent = HostAgent(drivers_of(program_of(), SimulationSettings())[0])
    agent.turn(Turn(generation=2, acknowledged=-1, until_s=0.0))
    with pytest.raises(ExecutionError, match="generation 1 are refused"):
        agent.turn(Turn(generation=1, acknowledged=-1, until_s=0.0))


def test_all_ended_says_so(tmp_path) -> None:
    program = program_of("baked")
    ran = run(program, tmp_path, SOME_WRONG, seed=4, agents=2)
    assert_all_ended(program, ran)
