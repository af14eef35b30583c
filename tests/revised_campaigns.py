"""Campaigns that go over to revisions, and what must hold at every moment of them, whatever plan it belongs to."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from pathlib import Path

import asked_campaigns
import numpy as np
from campaigns import RULES, drivers_of, planned_fleet, program_of, record_of

from slacktide.clock import VirtualClock
from slacktide.executors import events
from slacktide.executors.agent import HostAgent
from slacktide.executors.agents import LocalAgents
from slacktide.executors.campaign_state import OUT_STAGES, UNPATCHED_STAGES, CampaignState, HostStage, initial_state
from slacktide.executors.changeover import Course, first_course, turned
from slacktide.executors.control_events import PlanRevised
from slacktide.executors.coordinator import Coordinator
from slacktide.executors.drivers.settings import SimulationSettings
from slacktide.executors.drivers.simulated import Quiet
from slacktide.executors.events import Stage, VmCreated, VmDeleted, VmEvent, VmMoved
from slacktide.executors.folding import apply
from slacktide.executors.journal import Entry, Journal
from slacktide.executors.orders import Limits, Resume, Revise
from slacktide.executors.revising import Revising
from slacktide.executors.rules import Rules
from slacktide.executors.standing import Load, revisions_in, standing
from slacktide.executors.vm_state import NOWHERE, place_of


def course_of(name: str) -> Course:
    return first_course(*planned_fleet(name))


def agents_of(name: str, settings: SimulationSettings, agents: int = 2) -> LocalAgents:
    return LocalAgents([HostAgent(driver) for driver in drivers_of(program_of(name), settings, agents)])


def begun(name: str, folder: Path) -> None:
    """Begin a campaign whose journal and revisions are in ``folder``."""
    Journal.create(folder / "journal.sqlite", record_of(), durability="process").close()


def coordinator_in(name: str, folder: Path, journal: Journal, agents: LocalAgents, rules: Rules = RULES) -> Coordinator:
    course = course_of(name)
    clock = VirtualClock(journal.record.origin)
    quiet = Quiet(course.program.policy.migration)
    return Coordinator(course.program, journal, agents, clock, rules, quiet, Revising(course, folder))


@lru_cache(maxsize=1)
def revisions_of(folder: Path) -> Load:
    """Return what loads the revisions in a folder, each once: what was written there stays as it is."""
    return cache(revisions_in(folder))


def carried_out(name, asking, simulated, rules, folder: Path):
    """Carry a campaign out to its end and return its journal; where it waits for a person, it goes on after a while."""
    begun(name, folder)
    path = folder / "journal.sqlite"
    journal = Journal.hold(path, durability="process")
    coordinator = coordinator_in(name, folder, journal, agents_of(name, simulated), rules)
    giving_way = Resume(), Revise(give_up=True), Limits(max_out={"fleet": "100%"})
    return asked_campaigns.carried_out(coordinator, journal, path, asking, [giving_way])


def stood(name: str, folder: Path, entries: Sequence[Entry]) -> tuple[Course, CampaignState]:
    return standing(course_of(name), entries, revisions_of(folder))


def courses(name: str, folder: Path, entries: Sequence[Entry]) -> list[tuple[Course, list[Entry]]]:
    """Return what was carried out, plan by plan, each with its part of the journal."""
    load, found, part = revisions_of(folder), [], []
    course = course_of(name)
    state = initial_state(course.program)
    for entry in entries:
        if isinstance(entry.event, PlanRevised):
            apply(state, part)
            found.append((course, part))
            course, state = turned(course, state, entry, *load(entry.event))
            part = []
        else:
            part.append(entry)
    return [*found, (course, part)]


@dataclass
class Books:
    """What is counted from events alone, by id: it outlives every plan."""

    at: dict[str, str]
    taken: dict[str, np.ndarray]
    size: dict[str, tuple[int, int]]
    """vCPUs and memory in MiB of every VM that was ever there."""
    moving: dict[str, tuple[str, str, str]] = field(default_factory=dict)
    """VM: migration, source and target."""
    out: set[str] = field(default_factory=set)
    lost: set[str] = field(default_factory=set)
    evacuated: set[str] = field(default_factory=set)
    returned: list[tuple[float, str]] = field(default_factory=list)


def books_of(course: Course) -> Books:
    program = course.program
    hosts, vms = program.hosts, program.vms
    taken = {host: np.zeros(2, np.int64) for host in hosts.ids}
    at, size = {}, {}
    for number, vm in enumerate(vms.ids):
        host = hosts.ids[vms.host[number]]
        at[vm] = host
        size[vm] = int(vms.vcpus[number]), int(vms.memory_mib[number])
        taken[host] += size[vm]
    return Books(at, taken, size)


ENDS = (events.MigrationDone, events.MigrationFailed, events.HostReturned)


def assert_safe(name: str, folder: Path, entries: Sequence[Entry], *, limits_hold: bool = True) -> Books:
    """Replay a whole journal, in order of time, and check that nothing was violated before or after a changeover.

    Independent of the scheduler's books, of states and of what is carried over: counts by id, from the events alone.
    """
    chapters = courses(name, folder, entries)
    books = books_of(chapters[0][0])
    for course, part in chapters:
        _check(course, part, books, limits_hold=limits_hold)
    assert not books.moving, "a migration has no end"
    assert books.out == books.lost, "a host that was not lost is still out"
    _assert_folded(name, folder, entries, books)
    return books


def _check(course: Course, part: Sequence[Entry], books: Books, *, limits_hold: bool) -> None:
    program = course.program
    moves, hosts = program.migrations, program.hosts
    numbers = {each: number for number, each in enumerate(moves.ids)}
    place = {each: number for number, each in enumerate(hosts.ids)}
    capacity = np.column_stack([hosts.vcpus, hosts.memory_mib])
    demand = np.column_stack([moves.vcpus, moves.memory_mib])
    for _, event in sorted(part, key=lambda entry: (entry.event.at_s, not isinstance(entry.event, ENDS))):
        if isinstance(event, events.MigrationIntended):
            number = numbers[event.migration_id]
            vm, source, target = _ends(course, number)
            assert moves.current[number], "a migration is begun that the newest plan does not have"
            assert vm not in books.moving, "a VM moves twice at once"
            assert books.at[vm] == source, "a VM is moved from where it is not"
            assert target not in books.out | books.evacuated, "a VM is moved to a host that is out"
            assert event.at_s >= moves.start_s[number], "a migration starts before its planned moment"
            if moves.needs_drain[number]:
                assert source in books.out, "a VM is evicted from a host that is not drained"
            books.moving[vm] = event.migration_id, source, target
            books.taken[target] += demand[number]
            assert (books.taken[target] <= capacity[place[target]]).all(), "a target is overcommitted"
        elif isinstance(event, events.MigrationDone) or _resolved(event, "done"):
            number = numbers[event.migration_id]
            vm, source, target = _ends(course, number)
            assert books.moving.pop(vm) == (event.migration_id, source, target)
            books.at[vm] = target
            books.taken[source] -= demand[number]
        elif isinstance(event, events.MigrationFailed) or _resolved(event, "not-started"):
            number = numbers[event.migration_id]
            vm, source, target = _ends(course, number)
            assert books.moving.pop(vm) == (event.migration_id, source, target)
            books.taken[target] -= demand[number]
        elif isinstance(event, events.HostEvent):
            _check_host(course, event, books, limits_hold=limits_hold)
        elif isinstance(event, VmEvent):
            _others_did(event, books)


def _others_did(event: VmEvent, books: Books) -> None:
    """Count what others did with a VM; they may fill a host beyond what it sells, and touch none that is moving."""
    vm, host = event.vm_id, event.host_id
    assert vm not in books.moving, "others touch a VM whose migration is under way"
    if isinstance(event, VmCreated):
        assert vm not in books.at, "a VM is created that is there"
        books.size[vm] = event.vcpus, event.memory_mib
    else:
        left = books.at.pop(vm)
        assert left == (event.source if isinstance(event, VmMoved) else host), "others find a VM where it is not"
        books.taken[left] -= books.size[vm]
    if not isinstance(event, VmDeleted):
        books.at[vm] = host
        books.taken[host] += books.size[vm]


def _check_host(course: Course, event: events.HostEvent, books: Books, *, limits_hold: bool) -> None:
    program = course.program
    place = {each: number for number, each in enumerate(program.hosts.ids)}
    if isinstance(event, events.HostDrainStarted):
        assert program.hosts.due[place[event.host_id]], "a host is drained that the newest plan does not patch"
        assert event.host_id not in books.evacuated, "a host that is evacuated is drained again"
        books.out.add(event.host_id)
        for limit, most in enumerate(program.out.limit if limits_hold else ()):
            assert sum(limit in program.out.of_host[place[host]] for host in books.out) <= most
        _check_canary(course, event, books)
    elif isinstance(event, events.PatchIntended):
        assert event.host_id not in books.evacuated, "a host that is evacuated is patched"
        assert event.host_id not in books.at.values(), "a host with VMs on it is patched"
        assert all(event.host_id != target for _, _, target in books.moving.values())
    elif isinstance(event, events.HostReturned):
        books.returned.append((event.at_s, event.host_id))
        _end_out(event, books)
    elif isinstance(event, events.HostEvacuated):
        assert event.host_id not in books.at.values(), "a host with VMs on it is evacuated"
        assert all(event.host_id not in ends for ends in books.moving.values())
        books.evacuated.add(event.host_id)
        _end_out(event, books)
    elif isinstance(event, events.PatchFailed | events.HostFailed | events.HostBlocked):
        _end_out(event, books)


def _check_canary(course: Course, event: events.HostDrainStarted, books: Books) -> None:
    """Check that no host leaves behind a canary that has not returned, each host of it, and baked."""
    policy, program = course.program.policy, course.program
    place = program.hosts.ids.index(event.host_id)
    if policy.canary.hosts == 0 or program.hosts.wave[place] == 0 or program.hosts.evacuated[place]:
        return
    back_s = [at_s for at_s, _ in books.returned]
    assert back_s, "a host leaves before any canary has returned"
    assert event.at_s >= min(back_s) + policy.canary.bake_s, "a host leaves before the canary has baked"


def _ends(course: Course, number: int) -> tuple[str, str, str]:
    part, hosts = course.program.migrations, course.program.hosts.ids
    return course.program.vms.ids[part.vm[number]], hosts[part.source[number]], hosts[part.target[number]]


def _resolved(event: events.Event, outcome: str) -> bool:
    return isinstance(event, events.MigrationResolved) and event.outcome == outcome


def _end_out(event: events.HostEvent, books: Books) -> None:
    if isinstance(event, events.PatchFailed):
        books.lost.add(event.host_id)
    elif event.host_id not in books.lost:
        books.out.discard(event.host_id)


def _assert_folded(name: str, folder: Path, entries: Sequence[Entry], books: Books) -> None:
    course, state = stood(name, folder, entries)
    hosts = course.program.hosts.ids
    for vm in (*course.program.vms.ids, *state.strangers, *books.at):
        place = place_of(state, vm)
        there = None if place == NOWHERE else hosts[place]
        assert there == books.at.get(vm), "state and events disagree on where a VM is"
    out = {hosts[host] for host in np.flatnonzero(np.isin(state.host_stage, OUT_STAGES)).tolist()}
    assert out == books.lost


def assert_all_ended(name: str, folder: Path, entries: Sequence[Entry]) -> CampaignState:
    """Check that nothing is left open: every migration done or given up, every host back or with a reason."""
    course, state = stood(name, folder, entries)
    assert state.finished
    assert np.isin(state.stage, [Stage.DONE, Stage.GIVEN_UP]).all()
    planned = course.program.hosts.planned
    assert (state.host_stage[planned] >= HostStage.RETURNED).all()
    unfinished = np.flatnonzero(planned & np.isin(state.host_stage, UNPATCHED_STAGES)).tolist()
    assert sorted(state.host_reasons) == unfinished
    return state
