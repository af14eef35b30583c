"""A campaign is killed around what others do with VMs meanwhile, and goes on."""

import mortal_journal
import pytest
from campaigns import RULES
from revised_campaigns import agents_of, assert_all_ended, assert_safe, begun, coordinator_in
from test_killed_in_a_changeover import entries_in

from slacktide.executors.coordinator import Coordinator
from slacktide.executors.drivers.settings import Others, SimulationSettings
from slacktide.executors.events import VmCreated, VmDeleted, VmMoved
from slacktide.executors.journal import Journal
from slacktide.executors.rules import Rules

NAME = "urgent"
OTHERS = Others(created_per_mille=10, deleted_per_mille=10, moved_per_mille=10)
SIMULATED = SimulationSettings(seed=2, others=OTHERS)
PLANNING_ANEW = Rules(approve_as=RULES.approve_as, on_drift="revise", vms="told")


def go_on(folder, agents, more: int) -> bool:
    def begin(journal: Journal) -> Coordinator:
        return coordinator_in(NAME, folder, journal, agents, PLANNING_ANEW)

    return mortal_journal.go_on(folder / "journal.sqlite", begin, more)


def agents():
    return agents_of(NAME, SIMULATED)


@pytest.mark.parametrize(("world", "after"), [("kept", -1), ("lost", 0), ("kept", 1)])
def test_killed_around_what_others_do(tmp_path, world, after) -> None:
    """``kept``: the agents live on; ``lost``: they are killed with the coordinator, only hosts and directory stay.

    ``after``: how many events after what others did.
    """
    whole = tmp_path / "whole"
    whole.mkdir()
    begun(NAME, whole)
    assert go_on(whole, agents(), 10**9)
    first = {}
    for entry in entries_in(whole):
        if isinstance(entry.event, VmCreated | VmDeleted | VmMoved):
            first.setdefault(type(entry.event), entry.number)
    assert len(first) == 3
    for place in sorted(number + after for number in first.values()):
        folder = tmp_path / str(place)
        folder.mkdir()
        begun(NAME, folder)
        before = agents()
        assert not go_on(folder, before, place)
        assert go_on(folder, before if world == "kept" else agents(), 10**9)
        entries = entries_in(folder)
        assert [entry.number for entry in entries] == list(range(1, len(entries) + 1))
        assert_safe(NAME, folder, entries)
        state = assert_all_ended(NAME, folder, entries)
        touched = [each.vm_id for each in state.deeds]
        assert len(touched) == len(set(touched)), "what others did is journaled twice"
        assert {VmCreated, VmDeleted, VmMoved} <= {type(each) for each in state.deeds}


def test_killed_again_and_again(tmp_path) -> None:
    begun(NAME, tmp_path)
    kills = 0
    while not go_on(tmp_path, agents(), 150):
        kills += 1
        assert kills < 2_000, "it gets no further"
    entries = entries_in(tmp_path)
    assert kills > 5
    assert_safe(NAME, tmp_path, entries)
    assert assert_all_ended(NAME, tmp_path, entries).deeds
