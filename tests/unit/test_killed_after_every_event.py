"""The coordinator is killed after every single event of a campaign, and another goes on from what was written."""

from functools import cache

import mortal_journal
import numpy as np
import pytest
from campaigns import (
    RULES,
    agents_of,
    assert_outcomes_once,
    assert_safe,
    coordinator_of,
    program_of,
    record_of,
)
from small_fleet import small_fleet, small_plan

from slacktide.executors import events
from slacktide.executors.agents import LocalAgents
from slacktide.executors.drivers.settings import Failures, SimulationSettings
from slacktide.executors.journal import Entry, Journal
from slacktide.executors.program import Program, build_program

WRONG = {
    "small": Failures(migrations_per_mille=300, overruns_per_mille=300, overrun_factor=1.3),
    "urgent": Failures(migrations_per_mille=40, lost_hosts_per_mille=20, overruns_per_mille=100, overrun_factor=1.3),
}
KILLS_OF_A_LARGE_CAMPAIGN = 20
"""Places in a journal of thousands of events, evenly spread: each takes a campaign of its own."""


EVENTS_OF_A_LIFE = 4
"""With one only, an intent would never be acted on: whoever writes it dies, and the next has to take it back."""


@cache
def campaign(name: str) -> Program:
    if name == "urgent":
        return program_of(name)
    snapshot = small_fleet()
    return build_program(snapshot, small_plan(snapshot))


def host_agents(name: str) -> LocalAgents:
    return agents_of(campaign(name), SimulationSettings(seed=4, failures=WRONG[name]))


def go_on(name: str, path, agents: LocalAgents, more: int) -> bool:
    return mortal_journal.go_on(path, lambda journal: coordinator_of(campaign(name), journal, agents, RULES), more)


@cache
def whole(name: str, folder: str):
    """Return the state at the end, and the count of events, of the campaign that nobody kills."""
    from pathlib import Path

    path = Path(folder) / f"{name}.sqlite"
    journal = Journal.create(path, record_of(), durability="process")
    coordinator = coordinator_of(campaign(name), journal, host_agents(name), RULES)
    while not coordinator.state.finished:
        coordinator.round()
    journal.close()
    return coordinator.state, journal.last


def checked(name: str, path, expected) -> list[Entry]:
    """Return the journal, in which nothing is missing, doubled or violated, and that ends as the undisturbed one."""
    journal = Journal.hold(path, durability="process")
    entries = journal.read()
    coordinator = coordinator_of(campaign(name), journal, host_agents(name), RULES)
    journal.close()
    assert_safe(campaign(name), entries)
    assert_outcomes_once(entries)
    state = coordinator.state
    assert (state.vm_host == expected.vm_host).all()
    assert (state.host_stage == expected.host_stage).all()
    np.testing.assert_array_equal(state.blackout_ms, expected.blackout_ms)
    return entries


def places(name: str, last: int) -> list[int]:
    if name == "small":
        return list(range(1, last))
    return np.unique(np.linspace(1, last - 1, KILLS_OF_A_LARGE_CAMPAIGN).astype(int)).tolist()


@pytest.mark.parametrize("name", ["small", "urgent"])
@pytest.mark.parametrize("world", ["kept", "lost"])
def test_killed_once_after_each_event(tmp_path, name, world) -> None:
    """``kept``: the agents live on; ``lost``: they are killed with the coordinator, only hosts and journal stay."""
    expected, last = whole(name, str(tmp_path))
    for place in places(name, last):
        path = tmp_path / f"{place}.sqlite"
        Journal.create(path, record_of(), durability="process").close()
        agents = host_agents(name)
        assert not go_on(name, path, agents, place), f"the campaign has more than {place} events"
        assert go_on(name, path, agents if world == "kept" else host_agents(name), 10**9)
        entries = checked(name, path, expected)
        assert [type(entry.event) for entry in entries].count(events.CampaignResumed) == 1
        path.unlink()


@pytest.mark.parametrize("world", ["kept", "lost"])
def test_killed_again_and_again_in_one_campaign(tmp_path, world) -> None:
    """Each coordinator writes a few events, and dies before it acts on the last: as if killed every few seconds."""
    expected, last = whole("small", str(tmp_path))
    path = tmp_path / "journal.sqlite"
    Journal.create(path, record_of(), durability="process").close()
    agents, kills = host_agents("small"), 0
    while not go_on("small", path, agents, EVENTS_OF_A_LIFE):
        kills += 1
        agents = agents if world == "kept" else host_agents("small")
        assert kills < 10 * last, "it gets no further"
    assert kills > last // (2 * EVENTS_OF_A_LIFE)
    checked("small", path, expected)
