"""Run a campaign from its plan to its report; run again, it goes on where it stopped."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache, partial
from math import ceil
from pathlib import Path
from typing import Final, Protocol

from slacktide.datasets.digest import digest
from slacktide.datasets.snapshot import FleetSnapshot
from slacktide.errors import InputError, UsageError
from slacktide.executors.agents import AgentPlace
from slacktide.executors.campaign_directory import (
    begun_at,
    campaign_id,
    durability_of,
    goes_on,
    open_campaign,
    refuse_other_campaign,
    store_for,
)
from slacktide.executors.campaign_file import Command, holds_campaign, refuse_other_store
from slacktide.executors.changeover import first_course
from slacktide.executors.drivers.libvirt.settings import LibvirtSettings
from slacktide.executors.drivers.making import DriverSettings
from slacktide.executors.drivers.settings import Answering, Failures, Others, SimulationSettings
from slacktide.executors.health.settings import Health
from slacktide.executors.journal import CampaignRecord, JournalPlace
from slacktide.executors.local_campaign import LocalCampaign
from slacktide.executors.program import Program
from slacktide.executors.progress import Progress
from slacktide.executors.ray_process import RayProcess
from slacktide.executors.readable import count
from slacktide.executors.report import CampaignReport, Execution, read_report
from slacktide.executors.report_again import written_report
from slacktide.executors.revising import Revising
from slacktide.executors.rules import NOTHING, Hearing, OnDrift, Rules
from slacktide.executors.starting import starting
from slacktide.executors.store.address import Store
from slacktide.executors.terms import CampaignSetup, CampaignTerms
from slacktide.findings import errors_in
from slacktide.ids import HostId
from slacktide.object_store import AnyPath
from slacktide.planner.audit import audit
from slacktide.planner.belonging import refuse_a_revision, refuse_another_snapshot
from slacktide.planner.plan import Plan

PROGRESS_INTERVAL_S: Final = 0.25
"""How often progress is told: as often as an eye follows."""
HOSTS_PER_AGENT: Final = 5_000
"""Simulated hosts that one agent process stands for.

A call to an agent costs a millisecond whatever it carries, and a fleet of thousands makes a few thousand calls in a
night; below this many hosts a second agent costs more in calls than it takes off the first.
"""
SIMULATION_APPROVES: Final = "the simulation"
"""Who approves waves in a simulated campaign."""


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How a campaign is run; nothing here changes what it does."""

    agents: int | None = None
    """Agent processes; null: as many as the fleet needs (``HOSTS_PER_AGENT``), at most one for each processor."""
    use_ray: bool = True
    plan_path: AnyPath | None = None
    """Where the plan was read from, for the report."""
    fleet_path: AnyPath | None = None
    store: Store | None = None
    """Where a new campaign is kept; null: in its directory."""
    take_over: bool = False
    """Whether the lease of another coordinator does not count: it is fenced off."""
    speed: float | None = None
    """Simulated seconds for each second; null: as fast as it goes."""
    health: Health = NOTHING
    """What pauses the campaign."""
    ask_for_approval: bool = False
    """Whether simulated hosts wait for a person where a gate asks for one."""
    agent_per_host: bool = False
    """Whether simulated hosts have an agent each as well, on their nodes, as real ones have."""
    on_drift: OnDrift = "ignore"
    """What is done where something planned can no longer happen."""
    command: Command | None = None
    """What is to be given again where this process ends; null: a program that is not ours."""


_Telling = tuple[Callable[[Progress], None] | None, Callable[[Progress], None] | None, Callable[[str], None] | None]


class _Campaign(Protocol):
    @property
    def last(self) -> Progress: ...

    def step(self, wall_s: float) -> Progress: ...

    def close(self) -> None: ...


def run_campaign(
    snapshot: FleetSnapshot,
    plan: Plan,
    directory: Path,
    *,
    seed: int = 0,
    failures: Failures | None = None,
    answering: Answering | None = None,
    pace: float | None = None,
    others: Others | None = None,
    live: LibvirtSettings | None = None,
    progress: Callable[[Progress], None] | None = None,
    resumed: Callable[[Progress], None] | None = None,
    tell: Callable[[str], None] | None = None,
    options: RunOptions | None = None,
) -> CampaignReport:
    """Carry ``plan`` out and return the report, which is also written to ``directory``.

    Hosts are simulated, by ``seed``, ``failures``, ``answering``, ``others`` and ``pace`` (seconds that go by in one of
    the machine's; null: as fast as can be, on a virtual clock), unless ``live`` says how real ones are reached.  A
    campaign that stopped half-way in ``directory`` goes on; of one that has finished the report is returned.

    Parameters
    ----------
    resumed
        Called with how far a campaign is that goes on from its journal, once this process holds it.
    tell
        Called with words for an operator: what ended of the campaign's processes, and what is done about it.

    Raises
    ------
    InputError
        If the plan is not for this snapshot, or its audit finds an error.
    ExecutionError
        If ``directory`` holds another campaign, another process carries this one out, or it cannot go on.
    OutputError
        If the journal or the report cannot be written.
    """
    settings = live or simulation(seed, failures, answering, pace, others)
    finished = finished_report(snapshot, plan, directory, settings)
    if finished is not None:
        return finished
    options = options or RunOptions()
    refuse_unsound(snapshot, plan)
    refuse_other_store(directory, options.store)
    refuse_other_campaign(plan, settings, directory, options.store)
    return _carried_out(snapshot, plan, directory, settings, (progress, resumed, tell), options)


def _carried_out(
    snapshot: FleetSnapshot,
    plan: Plan,
    directory: Path,
    settings: DriverSettings,
    telling: _Telling,
    options: RunOptions,
) -> CampaignReport:
    """Carry the plan out; the journal's lease sees to it that no other process does."""
    progress, resumed, tell = telling
    course = first_course(snapshot, plan)
    before = begun_at(directory, options.store, campaign_id(plan, settings))
    again = before is not None and goes_on(before)
    begun = time.monotonic()
    paths = options.plan_path, options.fleet_path
    begin = cache(partial(open_campaign, snapshot, plan, settings, directory, paths, options.store, options.command))
    places = _places(course.program, settings, options)
    store = store_for(directory, options.store)
    journal = JournalPlace(store, campaign_id(plan, settings), durability_of(settings), options.take_over)
    setup = CampaignSetup(
        course, directory.resolve(), journal, tuple(places), CampaignTerms(settings, _rules(settings, options))
    )
    with _campaign(setup, begin, tell or _unheard, use_ray=options.use_ray) as campaign:
        if resumed is not None and again:
            resumed(campaign.last)
        while True:
            told = campaign.step(PROGRESS_INTERVAL_S)
            if progress is not None:
                progress(told)
            if told.finished:
                break
    done_by = Execution(
        simulated=isinstance(settings, SimulationSettings),
        seed=settings.seed if isinstance(settings, SimulationSettings) else 0,
        wall_s=time.monotonic() - begun,
        ray=options.use_ray,
        agents=len(places),
    )
    return written_report(directory, snapshot, plan, options.store, begin(), done_by)


def _unheard(_words: str) -> None:
    """Tell nobody."""


def simulation(
    seed: int = 0,
    failures: Failures | None = None,
    answering: Answering | None = None,
    pace: float | None = None,
    others: Others | None = None,
) -> SimulationSettings:
    """Return the settings of a campaign on simulated hosts."""
    return SimulationSettings(seed=seed, failures=failures or Failures(), answering=answering, pace=pace, others=others)


def finished_report(
    snapshot: FleetSnapshot, plan: Plan, directory: Path, settings: DriverSettings
) -> CampaignReport | None:
    """Return the report of the campaign that has finished in ``directory``; None: it is still to be run.

    It is None also where ``directory`` holds another campaign, or its report cannot be read.
    """
    if not holds_campaign(directory):
        return None
    try:
        report = read_report(directory)
    except (InputError, UsageError):
        return None
    same = report.summary.campaign_id == campaign_id(plan, settings) and plan.header.snapshot_digest == digest(snapshot)
    return report if same and report.summary.finished else None


def refuse_unsound(snapshot: FleetSnapshot, plan: Plan) -> None:
    """Refuse a plan for another snapshot, a revision, and a plan whose audit finds an error.

    Raises
    ------
    InputError
        With the findings.
    """
    refuse_another_snapshot(snapshot, plan)
    refuse_a_revision(plan)
    errors = errors_in(audit(snapshot, plan).findings)
    if errors:
        fact = f"breaks the rules in {len(errors)} places and is not executed"
        raise InputError(f"plan {plan.header.id}", fact, "Plan again; `slacktide audit` lists everything", errors)


def _places(program: Program, settings: DriverSettings, options: RunOptions) -> list[AgentPlace]:
    """Return the agents of a campaign: of real hosts each has its own, unless it is said how many there are."""
    hosts = program.hosts.ids
    own = isinstance(settings, LibvirtSettings) or options.agent_per_host
    if own and options.use_ray and options.agents is None:
        return [AgentPlace(host, HostId(host)) for host in hosts]
    most = len(os.sched_getaffinity(0)) if isinstance(settings, SimulationSettings) else 1
    agents = options.agents or min(most, ceil(len(hosts) / HOSTS_PER_AGENT))
    return [AgentPlace(f"{number}-of-{agents}") for number in range(agents)]


def _approves(settings: DriverSettings, options: RunOptions) -> str | None:
    """Return who approves waves; None: a person, by an order."""
    if isinstance(settings, LibvirtSettings):
        return settings.approve_as
    return None if options.ask_for_approval else SIMULATION_APPROVES


def _rules(settings: DriverSettings, options: RunOptions) -> Rules:
    return Rules(
        approve_as=_approves(settings, options),
        speed=options.speed,
        health=options.health,
        on_drift=options.on_drift,
        vms=_hearing(settings),
    )


def _hearing(settings: DriverSettings) -> Hearing:
    if isinstance(settings, LibvirtSettings):
        return "asked"
    return "nothing" if settings.others is None else "told"


@contextmanager
def _campaign(
    setup: CampaignSetup, begin: Callable[[], CampaignRecord], tell: Callable[[str], None], *, use_ray: bool
) -> Iterator[_Campaign]:
    """Have a campaign that can be stepped, on Ray or within this process; ``begin`` is called once all is there."""
    if not use_ray:
        begin()
        rules, settings = setup.terms.rules, setup.terms.driver
        local = LocalCampaign(
            setup.program, setup.journal, rules, settings, len(setup.places), Revising(setup.course, setup.directory)
        )
        try:
            yield local
        finally:
            local.close()
        return
    agents = len(setup.places)
    who = f"the coordinator and {count(agents)} agent{'' if agents == 1 else 's'}"
    with ExitStack() as stack:
        with starting(setup.directory):
            tell(f"starting on Ray: {who}; the campaign is taken up once they are there")
            on_ray = RayProcess(setup, len(os.sched_getaffinity(0)), tell)
            stack.callback(on_ray.close)
            on_ray.begin(begin())
        yield on_ray
