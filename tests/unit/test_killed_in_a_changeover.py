"""A campaign that has the rest planned anew by itself is killed after events all over its journal, and goes on."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import mortal_journal
import pytest
from campaigns import RULES
from revised_campaigns import agents_of, assert_all_ended, assert_safe, begun, coordinator_in

from slacktide.executors import events
from slacktide.executors.campaign_state import HostStage
from slacktide.executors.control_events import OrderRefused, PlanRevised
from slacktide.executors.coordinator import Coordinator
from slacktide.executors.drivers.settings import Failures, SimulationSettings
from slacktide.executors.journal import Entry, Journal
from slacktide.executors.orders import Evacuate
from slacktide.executors.store.orders import ask
from slacktide.ids import CampaignId

NAME = "urgent"
WRONG = SimulationSettings(seed=1, failures=Failures(migrations_per_mille=30, retryable_share=0.3))
PLANNING_ANEW = replace(RULES, on_drift="revise")
AROUND = 3
"""Events before and after a changeover at which the coordinator is killed: the falls that lead to it, and after."""


def go_on(folder, agents, more: int) -> bool:
    def begin(journal: Journal) -> Coordinator:
        return coordinator_in(NAME, folder, journal, agents, PLANNING_ANEW)

    return mortal_journal.go_on(folder / "journal.sqlite", begin, more)


def entries_in(folder) -> list[Entry]:
    journal = Journal.hold(folder / "journal.sqlite", durability="process")
    entries = journal.read()
    journal.close()
    return entries


def undisturbed(folder) -> list[Entry]:
    folder.mkdir()
    begun(NAME, folder)
    assert go_on(folder, agents_of(NAME, WRONG), 10**9)
    return entries_in(folder)


@pytest.mark.parametrize("world", ["kept", "lost"])
def test_killed_between_any_two_events_around_changeovers(tmp_path, world) -> None:
    """``kept``: the agents live on; ``lost``: they are killed with the coordinator, only hosts and directory stay."""
    whole = undisturbed(tmp_path / "whole")
    turns = [entry.number for entry in whole if isinstance(entry.event, PlanRevised)]
    assert len(turns) > 1
    returned = Counter(type(entry.event) for entry in whole)[events.HostReturned]
    places = sorted({turn + by for turn in turns[:2] for by in range(-AROUND, AROUND + 1)} | {turns[1] + 40})
    for place in places:
        folder = tmp_path / str(place)
        folder.mkdir()
        begun(NAME, folder)
        agents = agents_of(NAME, WRONG)
        assert not go_on(folder, agents, place)
        assert go_on(folder, agents if world == "kept" else agents_of(NAME, WRONG), 10**9)
        entries = entries_in(folder)
        assert [entry.number for entry in entries] == list(range(1, len(entries) + 1))
        assert_safe(NAME, folder, entries)
        state = assert_all_ended(NAME, folder, entries)
        assert state.revisions
        assert Counter(type(entry.event) for entry in entries)[events.HostReturned] >= returned // 2


def counted(entries: Sequence[Entry], number: int) -> int:
    """Return how many events a mortal journal counts until an entry."""
    return sum(type(entry.event) not in mortal_journal.TAKING_UP for entry in entries if entry.number <= number)


def test_killed_between_any_two_events_around_an_evacuation(tmp_path) -> None:
    """The order comes while nobody carries the campaign out; it is answered once, and the host emptied once."""
    goes_well, begun_by = SimulationSettings(seed=1), 150

    def asked_for(folder):
        folder.mkdir()
        begun(NAME, folder)
        agents = agents_of(NAME, goes_well)
        assert not go_on(folder, agents, begun_by)
        order = Evacuate(host_id="host-000018")
        ask(folder / "journal.sqlite", CampaignId("test"), by="an alert", why="fan", kind=order.kind, body=order.body())
        return agents

    folder = tmp_path / "whole"
    assert go_on(folder, asked_for(folder), 10**9)
    whole = entries_in(folder)
    turn = next(entry.number for entry in whole if isinstance(entry.event, PlanRevised))
    empty = next(entry.number for entry in whole if isinstance(entry.event, events.HostEvacuated))
    places = [turn + by for by in range(-AROUND, AROUND + 1)] + [empty - 1, empty, empty + 1]
    for place in places:
        folder = tmp_path / str(place)
        agents = asked_for(folder)
        if (more := counted(whole, place) - begun_by) > 0:
            assert not go_on(folder, agents, more)
        assert go_on(folder, agents, 10**9)
        entries = entries_in(folder)
        assert_safe(NAME, folder, entries)
        state = assert_all_ended(NAME, folder, entries)
        host = state.host_numbers["host-000018"]
        assert state.host_stage[host] == HostStage.EVACUATED
        assert state.evacuated == {host: "asked for by an alert: fan"}
        kinds = Counter(type(entry.event) for entry in entries)
        assert (kinds[PlanRevised], kinds[events.HostEvacuated], kinds[OrderRefused]) == (1, 1, 0)


def test_killed_again_and_again(tmp_path) -> None:
    begun(NAME, tmp_path)
    kills = 0
    while not go_on(tmp_path, agents_of(NAME, WRONG), 120):
        kills += 1
        assert kills < 2_000, "it gets no further"
    entries = entries_in(tmp_path)
    assert kills > 5
    assert_safe(NAME, tmp_path, entries)
    assert assert_all_ended(NAME, tmp_path, entries).revisions
