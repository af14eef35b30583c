"""Run a campaign from its plan to its report; run again, it goes on where it stopped."""

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Final, Protocol

from slacktide.clock import VirtualClock
from slacktide.datasets.digest import digest
from slacktide.datasets.snapshot import FleetSnapshot
from slacktide.errors import ExecutionError, InputError, OutputError, SlacktideError, UsageError
from slacktide.executors.campaign_state import CampaignState, apply, initial_state
from slacktide.executors.coordinator import Progress
from slacktide.executors.drivers.settings import Failures, SimulationSettings
from slacktide.executors.drivers.simulated import Quiet
from slacktide.executors.journal import CampaignRecord, Journal
from slacktide.executors.local_campaign import LocalCampaign
from slacktide.executors.program import Program, build_program
from slacktide.executors.report import (
    CampaignReport,
    Execution,
    make_report,
    read_report,
    read_summary,
    write_report,
)
from slacktide.executors.rules import Rules
from slacktide.findings import errors_in
from slacktide.ids import CampaignId, PlanId
from slacktide.planner.audit import audit
from slacktide.planner.belonging import refuse_a_revision
from slacktide.planner.plan import Plan

JOURNAL_FILE: Final = "journal.sqlite"
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
    plan_path: Path | None = None
    """Where the plan was read from, for the report."""
    fleet_path: Path | None = None


class _Campaign(Protocol):
    def step(self, wall_s: float) -> Progress: ...

    def state(self) -> CampaignState: ...

    def close(self) -> None: ...


def run_campaign(
    snapshot: FleetSnapshot,
    plan: Plan,
    directory: Path,
    *,
    seed: int = 0,
    failures: Failures | None = None,
    progress: Callable[[Progress], None] | None = None,
    resumed: Callable[[int], None] | None = None,
    options: RunOptions | None = None,
) -> CampaignReport:
    """Carry ``plan`` out on simulated hosts and return the report, which is also written to ``directory``.

    A campaign that stopped half-way in ``directory`` goes on; of one that has finished the report is returned.

    Parameters
    ----------
    resumed
        Called with the number of migrations that are done where a campaign goes on from its journal.

    Raises
    ------
    InputError
        If the plan is not for this snapshot, or its audit finds an error.
    ExecutionError
        If ``directory`` holds another campaign, or the campaign cannot go on.
    OutputError
        If the journal or the report cannot be written.
    """
    finished = finished_report(snapshot, plan, directory, seed=seed, failures=failures)
    if finished is not None:
        return finished
    options = options or RunOptions()
    settings = SimulationSettings(seed=seed, failures=failures or Failures())
    refuse_unsound(snapshot, plan)
    record = _record(snapshot, plan, settings, options)
    program = build_program(snapshot, plan)
    journal = _prepare(directory, record)
    done = _migrations_done(journal)
    if resumed is not None and done is not None:
        resumed(done)
    begun = time.monotonic()
    agents = options.agents or min(len(os.sched_getaffinity(0)), ceil(len(program.hosts.ids) / HOSTS_PER_AGENT))
    with _campaign(program, journal, record.campaign_id, settings, agents, use_ray=options.use_ray) as campaign:
        while True:
            told = campaign.step(PROGRESS_INTERVAL_S)
            if progress is not None:
                progress(told)
            if told.finished:
                break
        state = campaign.state()
    wall_s = time.monotonic() - begun
    execution = _execution_before(directory, record.campaign_id) or Execution(
        simulated=True, seed=seed, wall_s=wall_s, ray=options.use_ray, agents=agents
    )
    report = make_report(snapshot, plan, state, record, execution)
    write_report(report, directory)
    return report


def finished_report(
    snapshot: FleetSnapshot, plan: Plan, directory: Path, *, seed: int = 0, failures: Failures | None = None
) -> CampaignReport | None:
    """Return the report of the campaign that has finished in ``directory``; None: it is still to be run.

    It is None also where ``directory`` holds another campaign, or its report cannot be read.
    """
    if not (directory / JOURNAL_FILE).is_file():
        return None
    try:
        report = read_report(directory)
    except (InputError, UsageError):
        return None
    text = _settings_text(SimulationSettings(seed=seed, failures=failures or Failures()))
    same = report.summary.campaign_id == _campaign_id(plan, text) and plan.header.snapshot_digest == digest(snapshot)
    return report if same and report.summary.finished else None


def _execution_before(directory: Path, campaign: CampaignId) -> Execution | None:
    """Return how a campaign was executed that had finished before; None: it had not."""
    try:
        summary = read_summary(directory)
    except (InputError, UsageError):
        return None
    if not summary.finished or summary.campaign_id != campaign:
        return None
    return Execution(summary.simulated, summary.seed, summary.execution_wall_s, summary.ray, summary.agents)


def refuse_unsound(snapshot: FleetSnapshot, plan: Plan) -> None:
    """Refuse a plan for another snapshot, a revision, and a plan whose audit finds an error.

    Raises
    ------
    InputError
        With the findings.
    """
    if plan.header.snapshot_digest != digest(snapshot):
        raise InputError(
            f"plan {plan.header.id}",
            "was made for another fleet snapshot: the digests differ",
            "Plan again on this snapshot, or give the snapshot that it was made for",
        )
    refuse_a_revision(plan)
    errors = errors_in(audit(snapshot, plan).findings)
    if errors:
        fact = f"breaks the rules in {len(errors)} places and is not executed"
        raise InputError(f"plan {plan.header.id}", fact, "Plan again; `slacktide audit` lists everything", errors)


def journal_state(snapshot: FleetSnapshot, plan: Plan, directory: Path) -> CampaignState:
    """Return what the journal in ``directory`` says of a campaign, finished or not.

    Raises
    ------
    ExecutionError
        If there is no journal of this plan.
    """
    journal = Journal.open(directory / JOURNAL_FILE)
    try:
        if journal.record.plan_id != plan.header.id:
            raise _other_campaign(directory, journal.record)
        state = initial_state(build_program(snapshot, plan))
        apply(state, journal.read())
    finally:
        journal.close()
    return state


def _record(snapshot: FleetSnapshot, plan: Plan, settings: SimulationSettings, options: RunOptions) -> CampaignRecord:
    text = _settings_text(settings)
    return CampaignRecord(
        campaign_id=_campaign_id(plan, text),
        plan_id=PlanId(plan.header.id),
        snapshot_digest=plan.header.snapshot_digest,
        policy_digest=plan.header.policy_digest,
        origin=snapshot.meta.taken_at,
        settings=text,
        plan_path=None if options.plan_path is None else str(options.plan_path),
        fleet_path=None if options.fleet_path is None else str(options.fleet_path),
    )


def _settings_text(settings: SimulationSettings) -> str:
    return json.dumps({"driver": "simulated", "simulation": settings.model_dump(mode="json")}, sort_keys=True)


def _campaign_id(plan: Plan, settings: str) -> CampaignId:
    return CampaignId(hashlib.sha256(f"{plan.header.id}\n{settings}".encode()).hexdigest()[:16])


def _migrations_done(path: Path) -> int | None:
    """Return how many migrations are done by the journal; None: the campaign has only been created."""
    journal = Journal.open(path)
    try:
        return journal.migrations_done() if journal.last else None
    finally:
        journal.close()


def _prepare(directory: Path, record: CampaignRecord) -> Path:
    """Return the path of the campaign's journal, begun where there is none."""
    path = directory / JOURNAL_FILE
    if path.exists():
        journal = Journal.open(path)
        journal.close()
        if journal.record.campaign_id != record.campaign_id:
            raise _other_campaign(directory, journal.record)
        return path
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        fact = f"cannot be made: {error.strerror or error}"
        raise OutputError(str(directory), fact, "Choose a folder that you may write to") from error
    if any(directory.iterdir()):
        raise OutputError(str(directory), "is not empty and holds no campaign", "Choose a new directory")
    Journal.create(path, record, durability="process").close()
    return path


def _other_campaign(directory: Path, record: CampaignRecord) -> SlacktideError:
    return ExecutionError(
        str(directory),
        f"holds campaign {record.campaign_id} of plan {record.plan_id}, run with other settings or another plan",
        "Choose a new directory, or resume with the same plan, seed and failures",
    )


@contextmanager
def _campaign(
    program: Program, journal: Path, campaign: CampaignId, settings: SimulationSettings, agents: int, *, use_ray: bool
) -> Iterator[_Campaign]:
    """Have a campaign that can be stepped, on Ray or within this process."""
    rules = Rules(approve_as=SIMULATION_APPROVES)
    migration = program.policy.migration
    if not use_ray:
        local = LocalCampaign(program, journal, campaign, rules, settings, agents)
        try:
            yield local
        finally:
            local.close()
        return
    from slacktide.executors import actors  # Ray takes seconds to import, and is not needed without it

    record = _journal_record(journal, campaign)
    with actors.cluster(agents):
        terms = actors.CoordinatorTerms(VirtualClock(record.origin), rules, "process", Quiet(migration))
        on_ray = actors.RayCampaign(program, journal, campaign, terms, (settings, migration), agents)
        try:
            yield on_ray
        finally:
            on_ray.close()


def _journal_record(path: Path, campaign: CampaignId) -> CampaignRecord:
    journal = Journal.open(path, campaign)
    journal.close()
    return journal.record
