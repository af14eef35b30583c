"""Small campaigns carried out within the test's process, and what must hold at every moment of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from slacktide.clock import VirtualClock
from slacktide.datasets.files import read_snapshot
from slacktide.datasets.snapshot import FleetSnapshot
from slacktide.executors import events
from slacktide.executors.agent import HostAgent
from slacktide.executors.agents import LocalAgents
from slacktide.executors.campaign_state import OUT_STAGES, CampaignState, HostStage, initial_state
from slacktide.executors.coordinator import Coordinator
from slacktide.executors.drivers.making import deeds_of_agents
from slacktide.executors.drivers.settings import Answering, Failures, SimulationSettings
from slacktide.executors.drivers.simulated import Quiet, SimulatedDriver
from slacktide.executors.events import Stage
from slacktide.executors.folding import apply
from slacktide.executors.journal import CampaignRecord, Entry, Journal
from slacktide.executors.program import Program, build_program
from slacktide.executors.rules import Rules
from slacktide.ids import CampaignId, PlanId
from slacktide.planner.plan import Plan
from slacktide.planner.plan_files import read_plan

RULES = Rules(approve_as="the test")
SOME_WRONG = Failures(migrations_per_mille=40, overruns_per_mille=100, overrun_factor=1.3)
"""Failures that cost no host."""

REPLAY = Path(__file__).parent / "replay"
"""Fleets, plans and journals as they were once written: everything here must be readable and carried out for ever."""


@cache
def planned_fleet(name: str = "urgent") -> tuple[FleetSnapshot, Plan]:
    """Return a generated fleet and a real plan for it.

    ``urgent``: 24 hosts, pipelined waves; ``baked``: 30 hosts, every wave bakes.
    """
    return read_snapshot(REPLAY / name / "fleet"), read_plan(REPLAY / name / "plan")


@cache
def program_of(name: str = "urgent") -> Program:
    return build_program(*planned_fleet(name))


def record_of(name: str = "test") -> CampaignRecord:
    origin = planned_fleet()[0].meta.taken_at
    return CampaignRecord(CampaignId(name), PlanId("plan"), "s" * 64, "p" * 64, origin, "{}")


def drivers_of(program: Program, settings: SimulationSettings, agents: int = 1) -> list[SimulatedDriver]:
    deeds = deeds_of_agents(settings, program, agents)
    return [SimulatedDriver(settings, program.policy.migration, told) for told in deeds]


def agents_of(program: Program, settings: SimulationSettings, agents: int = 2) -> LocalAgents:
    return LocalAgents([HostAgent(driver) for driver in drivers_of(program, settings, agents)])


def coordinator_of(
    program: Program,
    journal: Journal,
    agents: LocalAgents,
    rules: Rules = RULES,
    *,
    quiet: bool = True,
    answering: Answering | None = None,
) -> Coordinator:
    clock = VirtualClock(journal.record.origin)
    until = Quiet(program.policy.migration, answering) if quiet else None
    return Coordinator(program, journal, agents, clock, rules, until)


@dataclass(frozen=True)
class Ran:
    """A campaign that was carried out."""

    coordinator: Coordinator
    entries: list[Entry]
    driver: SimulatedDriver


def run(
    program: Program,
    folder: Path,
    failures: Failures | None = None,
    seed: int = 0,
    agents: int = 1,
    sigma: float = 0.05,
) -> Ran:
    """Carry a campaign out from beginning to end; it ends, or this fails."""
    settings = SimulationSettings(seed=seed, duration_sigma=sigma, failures=failures or Failures())
    journal = Journal.create(folder / "journal.sqlite", record_of(), durability="process")
    drivers = drivers_of(program, settings, agents)
    coordinator = coordinator_of(program, journal, LocalAgents([HostAgent(driver) for driver in drivers]))
    for _ in range(200_000):
        if coordinator.state.finished:
            break
        coordinator.round()
    assert coordinator.state.finished, "the campaign does not end"
    entries = journal.read()
    journal.close()
    return Ran(coordinator, entries, drivers[0])


def assert_safe(program: Program, entries: Sequence[Entry]) -> None:
    """Replay the events in order of time and check that nothing was ever violated.

    Independent of the scheduler's own books: counts from the events alone.
    """
    part, hosts = program.migrations, program.hosts
    numbers = {name: number for number, name in enumerate(part.ids)}
    host_numbers = {name: number for number, name in enumerate(hosts.ids)}
    taken = np.zeros((len(hosts.ids), 2), np.int64)
    np.add.at(taken, program.vms.host, np.column_stack([program.vms.vcpus, program.vms.memory_mib]))
    capacity = np.column_stack([hosts.vcpus, hosts.memory_mib])
    demand = np.column_stack([part.vcpus, part.memory_mib])
    at = program.vms.host.copy()
    moving: dict[int, int] = {}
    out: set[int] = set()
    lost: set[int] = set()
    vms_on = np.bincount(at, minlength=len(hosts.ids))
    ends = (events.MigrationDone, events.MigrationFailed, events.HostReturned)
    for _, event in sorted(entries, key=lambda entry: (entry.event.at_s, not isinstance(entry.event, ends))):
        if isinstance(event, events.MigrationIntended):
            number = numbers[event.migration_id]
            vm, source, target = part.vm[number], part.source[number], part.target[number]
            assert vm not in moving, "a VM moves twice at once"
            assert at[vm] == source, "a VM is moved from where it is not"
            assert target not in out, "a VM is moved to a host that is out"
            assert event.at_s >= part.start_s[number], "a migration starts before its planned moment"
            if part.needs_drain[number]:
                assert source in out, "a VM is evicted from a host that is not drained"
            moving[int(vm)] = number
            taken[target] += demand[number]
            assert (taken[target] <= capacity[target]).all(), "a target is overcommitted"
        elif isinstance(event, events.MigrationDone) or _resolved(event, "done"):
            number = numbers[event.migration_id]
            assert moving.pop(int(part.vm[number])) == number
            at[part.vm[number]] = part.target[number]
            taken[part.source[number]] -= demand[number]
            vms_on[part.source[number]] -= 1
            vms_on[part.target[number]] += 1
        elif isinstance(event, events.MigrationFailed) or _resolved(event, "not-started"):
            number = numbers[event.migration_id]
            assert moving.pop(int(part.vm[number])) == number
            taken[part.target[number]] -= demand[number]
        elif isinstance(event, events.HostDrainStarted):
            out.add(host_numbers[event.host_id])
            for limit, most in enumerate(program.out.limit):
                assert sum(limit in program.out.of_host[host] for host in out) <= most, program.out.names[limit]
        elif isinstance(event, events.PatchIntended):
            host = host_numbers[event.host_id]
            assert vms_on[host] == 0, "a host with VMs on it is patched"
            assert not any(part.target[number] == host for number in moving.values())
        elif isinstance(event, events.PatchFailed | events.HostReturned | events.HostFailed | events.HostBlocked):
            _end_out(event, host_numbers[event.host_id], out, lost)
    assert not moving, "a migration has no end"
    _assert_folded(program, entries, at, out, lost)


def _resolved(event: events.Event, outcome: str) -> bool:
    return isinstance(event, events.MigrationResolved) and event.outcome == outcome


def _end_out(event: events.HostEvent, host: int, out: set[int], lost: set[int]) -> None:
    """Count a host back in, unless it was lost: that is for good."""
    if isinstance(event, events.PatchFailed):
        lost.add(host)
    elif host not in lost:
        out.discard(host)


def _assert_folded(program: Program, entries: Sequence[Entry], at: np.ndarray, out: set[int], lost: set[int]) -> None:
    state = initial_state(program)
    apply(state, entries)
    assert (state.vm_host == at).all(), "the state and the events disagree on where VMs are"
    assert out == lost, "a host that was not lost is still out"
    assert set(np.flatnonzero(np.isin(state.host_stage, OUT_STAGES)).tolist()) == lost


def assert_all_ended(program: Program, ran: Ran) -> None:
    """Check that nothing is left open: every migration done or given up, every planned host back or with a reason."""
    state = ran.coordinator.state
    assert np.isin(state.stage, [Stage.DONE, Stage.GIVEN_UP]).all()
    assert (state.host_stage[program.hosts.planned] >= HostStage.RETURNED).all()
    unfinished = np.flatnonzero(program.hosts.planned & (state.host_stage > HostStage.RETURNED)).tolist()
    assert sorted(state.host_reasons) == unfinished
    assert sorted(state.given_up) == np.flatnonzero(state.stage == Stage.GIVEN_UP).tolist()


def assert_outcomes_once(entries: Sequence[Entry]) -> None:
    """Check that no number is missing from a journal, and that no outcome is in it twice."""
    assert [entry.number for entry in entries] == list(range(1, len(entries) + 1))
    outcomes = [
        (entry.event.migration_id, entry.event.attempt)
        for entry in entries
        if isinstance(entry.event, events.MigrationDone | events.MigrationFailed)
    ]
    assert len(outcomes) == len(set(outcomes)), "an outcome is journaled twice"


def assert_same_end(one: CampaignState, other: CampaignState) -> None:
    """Check that two campaigns ended alike, however many entries their journals have."""
    other.last = one.last
    assert_same(one, other)


def assert_same(one: CampaignState, other: CampaignState) -> None:
    """Check that two states say the same."""
    for name, value in vars(one).items():
        if name == "program":
            continue
        if isinstance(value, np.ndarray):
            np.testing.assert_array_equal(value, getattr(other, name), err_msg=name)
        else:
            assert value == getattr(other, name), name
