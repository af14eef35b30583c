"""What agents see on hosts, against what the campaign knows, on six hosts (tests/small_fleet.py)."""

from functools import partial

import pytest
from campaigns import program_of
from small_fleet import small_fleet, small_plan

from slacktide.executors import events
from slacktide.executors.campaign_state import initial_state
from slacktide.executors.drivers.deeds import deeds_of
from slacktide.executors.drivers.making import deeds_of_agents
from slacktide.executors.drivers.protocol import HostVms, SeenVm
from slacktide.executors.drivers.settings import Others, SimulationSettings
from slacktide.executors.events import VmCreated, VmDeleted, VmMoved
from slacktide.executors.folding import fold
from slacktide.executors.journal import Entry
from slacktide.executors.program import build_program
from slacktide.executors.sightings import AGAIN_S, GONE_S, SeenLists, ToldDeeds

ON = {"h1": ("v1", "v2"), "h2": ("v3", "v4"), "h3": ("v6",), "h4": ("v5",), "h5": (), "h6": ()}


class World:
    """Real hosts, what is on them, and a coordinator that asks."""

    def __init__(self) -> None:
        snapshot = small_fleet()
        self.state = initial_state(build_program(snapshot, small_plan(snapshot)))
        self.lists = SeenLists(self.state.program.hosts.ids)
        self.on = {host: dict.fromkeys(vms, True) for host, vms in ON.items()}
        """VMs by host, and whether they are there as a whole."""
        self.mute: set[str] = set()
        for host in range(6):
            self.lists.ask(host)

    def happens(self, *told) -> "World":
        new = [Entry(self.state.last + 1 + place, event) for place, event in enumerate(told)]
        self.state = fold(self.state, new)
        return self

    def sends(self, host: str, ticket: int = 0, now: float = 0.0) -> None:
        there = tuple(SeenVm(vm, 4, 8192, whole=whole) for vm, whole in sorted(self.on[host].items()))
        self.lists.take([HostVms(now, host, there, None, ticket)])

    def round(self, now: float) -> list:
        """Have hosts asked and answer, and return what is certain then."""
        for request in self.lists.requests(range(6), now):
            if request.host_id not in self.mute:
                self.sends(request.host_id, request.ticket, now)
        found = self.lists.judge(self.state, now)
        self.happens(*found)
        return found

    def until(self, end: float, step: float = 1.0) -> list:
        """Go on until a moment, and return all that was found."""
        found, now = [], 0.0
        while now <= end:
            found += self.round(now)
            now += step
        return found


def test_nothing_is_found_where_all_is_as_it_is_known() -> None:
    world = World()
    assert world.until(60) == []
    assert world.lists.requests(range(6), 100.0) == (), "and nobody is asked again"


def test_a_new_vm_is_created_with_its_size() -> None:
    world = World()
    world.on["h4"]["n1"] = True
    (event,) = world.until(10)
    assert event == VmCreated(event.at_s, "n1", "h4", 4, 8192, 0, False, False)
    assert world.state.strangers["n1"].host == 3


def test_a_vm_that_no_host_has_is_deleted_after_a_while() -> None:
    world = World()
    del world.on["h1"]["v2"]
    (event,) = world.until(60)
    assert event == VmDeleted(event.at_s, "v2", "h1")
    assert event.at_s >= GONE_S
    world.on["h4"]["v2"] = True
    world.sends("h4")
    (again,) = world.until(10)
    assert isinstance(again, VmCreated)
    assert world.state.vm_host[1] == 3


def test_a_vm_that_is_away_for_a_moment_is_not_deleted() -> None:
    world = World()
    del world.on["h1"]["v2"]
    assert world.until(GONE_S - 1) == []
    world.on["h1"]["v2"] = True
    world.sends("h1")
    assert world.until(60) == []


def test_a_vm_on_another_host_is_moved_once_its_host_has_it_no_more() -> None:
    world = World()
    world.on["h4"]["v1"] = True
    assert world.until(30) == [], "both have it: it is on its way, or another of its name"
    del world.on["h1"]["v1"]
    world.sends("h1")
    (event,) = world.until(20)
    assert event == VmMoved(event.at_s, "v1", "h4", "h1")


def test_what_arrives_is_no_vm_yet() -> None:
    world = World()
    world.on["h4"]["v1"] = False
    assert world.until(30) == []


def test_lists_of_before_a_migration_say_nothing_after_it() -> None:
    """h1 is silent since before v1 left it, and h6 before v1 came."""
    world = World()
    world.until(5)
    world.mute = {"h1", "h6"}
    world.happens(
        events.MigrationIntended(6, "m1", 1),
        events.ForwardingStarted(9, "m1", 1, 50.0),
        events.MigrationDone(10, "m1", 1, None, None),
    )
    world.lists.open(5)
    world.on["h2"]["n1"] = True
    world.sends("h2")
    found = []
    for now in range(11, 60):
        found += world.round(float(now))
    assert [type(each) for each in found] == [VmCreated]
    del world.on["h1"]["v1"]
    world.on["h6"]["v1"] = True
    world.mute.clear()
    for now in range(60, 90):
        found += world.round(float(now))
    assert len(found) == 1


def test_a_vm_whose_migration_is_under_way_is_left_out() -> None:
    world = World()
    world.happens(events.MigrationIntended(0, "m1", 1))
    del world.on["h1"]["v1"]
    assert world.until(60) == []


def test_a_lost_vm_is_nobodys_until_it_is_seen_elsewhere() -> None:
    world = World()
    world.happens(events.MigrationIntended(0, "m1", 1), events.VmLost(1, "m1", 1, "torn"))
    del world.on["h1"]["v1"]
    assert world.until(60) == []
    world.on["h4"]["v1"] = True
    world.sends("h4")
    assert [type(each) for each in world.until(20)] == [VmMoved]
    assert world.state.lost_vms == set()


def test_a_look_is_asked_for_until_it_is_answered() -> None:
    world = World()
    world.until(5)
    world.lists.ask(0)
    (first,) = world.lists.requests([0], 10.0)
    assert world.lists.requests([0], 10.0 + AGAIN_S / 2) == ()
    (second,) = world.lists.requests([0], 10.0 + AGAIN_S)
    assert first == second
    world.lists.answers(world.state)
    world.sends("h1", first.ticket - 1)
    assert world.lists.answers(world.state) == [], "that is the answer to a look before"
    world.on["h1"] = {"v1": True, "v9": False}
    world.sends("h1", first.ticket)
    (answer,) = world.lists.answers(world.state)
    assert (answer.there, answer.others) == (frozenset({"v1"}), ("v9",))


# What simulated agents tell


def deed(at_s, host, *there, gone=()) -> HostVms:
    return HostVms(at_s, host, tuple(SeenVm(vm, 4, 8192) for vm in there), tuple(gone))


@pytest.fixture
def state():
    snapshot = small_fleet()
    return initial_state(build_program(snapshot, small_plan(snapshot)))


def test_deeds_are_taken_when_their_moment_has_come_and_once(state) -> None:
    told = ToldDeeds()
    seen = [deed(50.5, "h4", "n1"), deed(40.5, "h1", gone=["v2"])]
    told.take(seen)
    told.take(seen)
    assert told.next_s() == 40.5
    assert told.judge(state, 41.0) == [VmDeleted(40.5, "v2", "h1")]
    assert told.judge(state, 60.0) == [VmCreated(50.5, "n1", "h4", 4, 8192, 0, False, False)]
    assert told.next_s() is None


def test_what_the_journal_has_is_not_done_again_after_a_resumption(state) -> None:
    state = fold(state, [Entry(1, VmMoved(40.5, "v2", "h4", "h1"))])
    told = ToldDeeds()
    told.take([deed(40.5, "h4", "v2"), deed(50.5, "h6", "n1")])
    (event,) = told.judge(state, 90.0)
    assert isinstance(event, VmCreated)


def test_others_leave_alone_what_the_campaign_is_at(state) -> None:
    state = fold(
        state,
        [
            Entry(1, events.MigrationIntended(30, "m1", 1)),
            Entry(2, events.HostDrainStarted(30, "h4")),
            Entry(3, events.HostDrained(31, "h4")),
            Entry(4, events.PatchIntended(31, "h4")),
        ],
    )
    told = ToldDeeds()
    told.take([deed(40, "h2", "v1"), deed(41, "h4", "n1"), deed(42, "h1", gone=["v1"])])
    assert told.judge(state, 60.0) == []


def test_what_others_do_hangs_on_the_seed_alone() -> None:
    program = program_of("urgent")
    others = Others(created_per_mille=50, deleted_per_mille=50, moved_per_mille=50)
    deeds = partial(deeds_of, program, others)
    assert deeds(seed=1) == deeds(seed=1) != deeds(seed=2)
    assert [each.at_s for each in deeds(seed=1)] == sorted(each.at_s for each in deeds(seed=1))
    settings = SimulationSettings(seed=1, others=others)
    for agents in (1, 2, 5):
        parts = deeds_of_agents(settings, program, agents)
        assert sorted(each for part in parts for each in part) == sorted(deeds(seed=1))
    assert deeds_of(program, None, 1) == ()
    kinds = {(bool(each.there), bool(each.gone)) for each in deeds(seed=1)}
    assert kinds == {(True, False), (False, True)}
