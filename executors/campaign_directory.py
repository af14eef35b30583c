"""A campaign's directory: its journal, and whose it is."""

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from slacktide.clock import SystemClock
from slacktide.datasets.snapshot import FleetSnapshot
from slacktide.errors import ExecutionError, OutputError, SlacktideError
from slacktide.executors.campaign_state import CampaignState, apply, initial_state
from slacktide.executors.drivers.making import DriverSettings, begins_now, identity_text, settings_text
from slacktide.executors.drivers.settings import SimulationSettings
from slacktide.executors.journal import CampaignRecord, Durability, Journal
from slacktide.executors.program import build_program
from slacktide.ids import CampaignId, PlanId
from slacktide.planner.plan import Plan

JOURNAL_FILE: Final = "journal.sqlite"
RAY_LOG_FILE: Final = "ray.log"
"""What Ray says; taken away at the end where it has said nothing."""


def campaign_id(plan: Plan, settings: DriverSettings) -> CampaignId:
    """Return the id of the campaign that carries a plan out so: the same for the same, so that it can be resumed."""
    text = f"{plan.header.id}\n{identity_text(settings)}"
    return CampaignId(hashlib.sha256(text.encode()).hexdigest()[:16])


def durability_of(settings: DriverSettings) -> Durability:
    """Return what a campaign's journal has to outlast: of real hosts, a power cut as well."""
    return "process" if isinstance(settings, SimulationSettings) else "power"


def open_campaign(
    snapshot: FleetSnapshot,
    plan: Plan,
    settings: DriverSettings,
    directory: Path,
    paths: tuple[Path | None, Path | None],
) -> CampaignRecord:
    """Return the campaign in ``directory``, begun there if it is empty.

    A campaign on a virtual clock begins when the snapshot was taken, any other now.

    Parameters
    ----------
    paths
        Where plan and fleet were read from, for the report.

    Raises
    ------
    ExecutionError
        If the directory holds another campaign.
    OutputError
        If it is not empty, or cannot be made.
    """
    if refuse_other_campaign(plan, settings, directory):
        return _record(directory)
    _make(directory)
    plan_path, fleet_path = paths
    record = CampaignRecord(
        campaign_id=campaign_id(plan, settings),
        plan_id=PlanId(plan.header.id),
        snapshot_digest=plan.header.snapshot_digest,
        policy_digest=plan.header.policy_digest,
        origin=SystemClock().now() if begins_now(settings) else snapshot.meta.taken_at,
        settings=settings_text(settings),
        plan_path=None if plan_path is None else str(plan_path),
        fleet_path=None if fleet_path is None else str(fleet_path),
    )
    Journal.create(directory / JOURNAL_FILE, record, durability=durability_of(settings)).close()
    return record


def refuse_other_campaign(plan: Plan, settings: DriverSettings, directory: Path) -> bool:
    """Return whether ``directory`` holds this campaign; it may also be empty, or not there.

    Raises
    ------
    ExecutionError
        If it holds another one.
    OutputError
        If it is not empty and holds none.
    """
    if (directory / JOURNAL_FILE).exists():
        record = _record(directory)
        if record.campaign_id != campaign_id(plan, settings):
            raise other_campaign(directory, record)
        return True
    if directory.is_dir() and any(path.name != RAY_LOG_FILE for path in directory.iterdir()):
        raise OutputError(str(directory), "is not empty and holds no campaign", "Choose a new directory")
    return False


def _record(directory: Path) -> CampaignRecord:
    journal = Journal.open(directory / JOURNAL_FILE)
    journal.close()
    return journal.record


def _make(directory: Path) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        fact = f"cannot be made: {error.strerror or error}"
        raise OutputError(str(directory), fact, "Choose a folder that you may write to") from error


@contextmanager
def alone_in(directory: Path) -> Iterator[None]:
    """Have a campaign's directory for this process alone; it is made if it is not there.

    Raises
    ------
    ExecutionError
        If another process has it.
    OutputError
        If it cannot be made.
    """
    _make(directory)
    folder = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            fact = "its campaign is being carried out by another process"
            raise ExecutionError(str(directory), fact, "Wait for that one, or end it first") from error
        yield
    finally:
        os.close(folder)


def migrations_done(directory: Path) -> int | None:
    """Return how many migrations are done by the journal; None: nothing has begun."""
    if not (directory / JOURNAL_FILE).exists():
        return None
    journal = Journal.open(directory / JOURNAL_FILE)
    try:
        return journal.migrations_done() if journal.last else None
    finally:
        journal.close()


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
            raise other_campaign(directory, journal.record)
        state = initial_state(build_program(snapshot, plan))
        apply(state, journal.read())
    finally:
        journal.close()
    return state


def other_campaign(directory: Path, record: CampaignRecord) -> SlacktideError:
    """Return the error of a directory that holds another campaign than the one that was asked for."""
    return ExecutionError(
        str(directory),
        f"holds campaign {record.campaign_id} of plan {record.plan_id}, run with other settings or another plan",
        "Choose a new directory, or resume with the same plan, driver, seed and failures",
    )
