"""A campaign's directory: which campaign it is, and what its journal says."""

import hashlib
import json
from contextlib import suppress
from pathlib import Path

from slacktide.clock import SystemClock
from slacktide.datasets.snapshot import FleetSnapshot
from slacktide.errors import ExecutionError, OutputError, SlacktideError
from slacktide.executors.beginning import beginning
from slacktide.executors.campaign_file import (
    JOURNAL_FILE,
    Command,
    Kept,
    command_in,
    kept_in,
    left_behind,
    no_campaign,
    write_campaign_file,
)
from slacktide.executors.campaign_state import CampaignState
from slacktide.executors.changeover import Course
from slacktide.executors.drivers.making import DriverSettings, begins_now, identity_text, settings_text
from slacktide.executors.drivers.settings import SimulationSettings
from slacktide.executors.journal import CampaignRecord, Durability
from slacktide.executors.standing import standing_in
from slacktide.executors.store.address import Store, store_in
from slacktide.executors.store.campaigns import begin_campaign, has_campaign
from slacktide.executors.store.reading import JournalReader, read_journal
from slacktide.ids import CampaignId, PlanId
from slacktide.object_store import AnyPath
from slacktide.planner.plan import Plan


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
    paths: tuple[AnyPath | None, AnyPath | None],
    store: Store | None = None,
    command: Command | None = None,
) -> CampaignRecord:
    """Return the campaign in ``directory``, begun there if it is empty.

    A campaign on a virtual clock begins when the snapshot was taken, any other now.  Where ``store`` has the campaign
    already, begun from another directory, it is that one.

    Parameters
    ----------
    paths
        Where plan and fleet were read from, for the report.
    store
        Where a new campaign is kept. [default: in the directory]
    command
        What carries it out, to be noted in the directory.

    Raises
    ------
    ExecutionError
        If the directory holds another campaign, it was taken back, or the store does not answer.
    OutputError
        If it is not empty, or cannot be made.
    """
    kept = refuse_other_campaign(plan, settings, directory, store)
    if kept is not None and kept.campaign is None:
        record = _record(kept)
        write_campaign_file(directory, kept.store, record.campaign_id, command)
        return _as_it_began(record, settings, directory)
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
    place = store_for(directory, store)
    if kept is None:
        with beginning(directory):
            found = begin_campaign(place, record, durability_of(settings))
            write_campaign_file(directory, place, record.campaign_id, command)
        return _as_it_began(found, settings, directory)
    found = begin_campaign(place, record, durability_of(settings))
    if command is not None and command != command_in(directory):
        with suppress(OutputError):  # a full disk keeps no campaign in another store from going on
            write_campaign_file(directory, place, record.campaign_id, command)
    return _as_it_began(found, settings, directory)


def _as_it_began(record: CampaignRecord, settings: DriverSettings, directory: Path) -> CampaignRecord:
    """Return a campaign's record, unless other folders are said to be shared, or no fabric, than when it began.

    What is copied along is deleted where the VM does not run any more; of a folder that is shared that would be the
    disk itself.  A fabric that learns of moves by the campaign alone would hear of no more.
    """
    if isinstance(settings, SimulationSettings):
        return record
    before = json.loads(record.settings).get("libvirt", {}).get("shared_paths", [])
    if sorted(before) != sorted(map(str, settings.shared_paths)):
        named = ", ".join(sorted(before)) or "none"
        fact = f"its campaign began with other folders that all hosts see: {named}"
        raise ExecutionError(str(directory), fact, "Give the same --shared-path options as then")
    if settings.fabric is None and json.loads(record.settings).get("libvirt", {}).get("fabric") is not None:
        fact = "its campaign began with a fabric that has to be told where guests are"
        raise ExecutionError(str(directory), fact, "Give --fabric as then")
    return record


def store_for(directory: Path, given: Store | None) -> Store:
    """Return the store of a directory's campaign: where it is, or where it is to be kept."""
    kept = kept_in(directory, given)
    return kept.store if kept is not None else given or store_in(directory / JOURNAL_FILE)


def refuse_other_campaign(
    plan: Plan, settings: DriverSettings, directory: Path, store: Store | None = None
) -> Kept | None:
    """Return where this campaign is kept if ``directory`` holds it; it may also be empty, or not there.

    Raises
    ------
    ExecutionError
        If it holds another one.
    OutputError
        If it is not empty and holds none.
    """
    kept = kept_in(directory, store)
    if kept is not None:
        if (kept.campaign or _record(kept).campaign_id) != campaign_id(plan, settings):
            raise other_campaign(directory, _record(kept))
        return kept
    if directory.is_dir() and len(left_behind(directory)) < len(list(directory.iterdir())):
        raise OutputError(str(directory), "is not empty and holds no campaign", "Choose a new directory")
    return None


def _record(kept: Kept) -> CampaignRecord:
    journal = read_journal(kept.store, kept.campaign)
    journal.close()
    return journal.record


def _make(directory: Path) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        fact = f"cannot be made: {error.strerror or error}"
        raise OutputError(str(directory), fact, "Choose a folder that you may write to") from error


def begun_at(directory: Path, store: Store | None, campaign: CampaignId) -> Kept | None:
    """Return where a campaign is that was begun, from ``directory`` or, in this ``store``, from another; None: nowhere.

    Raises
    ------
    ExecutionError
        If the store does not answer.
    """
    kept = kept_in(directory, store)
    if kept is None and store is not None and has_campaign(store, campaign):
        return Kept(store, campaign)
    return kept


def goes_on(kept: Kept) -> bool:
    """Return whether a campaign has begun, so that whoever takes it up goes on with it."""
    journal = read_journal(kept.store, kept.campaign)
    journal.close()
    return journal.last > 0


def journal_of(directory: Path, store: Store | None = None) -> JournalReader:
    """Open the journal of the campaign in ``directory`` to read it.

    Raises
    ------
    ExecutionError
        If there is none, or its store does not answer.
    """
    kept = kept_in(directory, store)
    if kept is None:
        raise ExecutionError(str(directory), *no_campaign(directory))
    return read_journal(kept.store, kept.campaign)


def journal_standing(
    snapshot: FleetSnapshot, plan: Plan, directory: Path, store: Store | None = None
) -> tuple[Course, CampaignState]:
    """Return what the campaign of ``directory`` carries out, and where it stands, finished or not.

    Parameters
    ----------
    plan
        The plan that it began with.

    Raises
    ------
    ExecutionError
        If there is no journal of this plan.
    """
    journal = journal_of(directory, store)
    try:
        if journal.record.plan_id != plan.header.id:
            raise other_campaign(directory, journal.record)
        return standing_in(directory, snapshot, plan, journal.read())
    finally:
        journal.close()


def other_campaign(directory: Path, record: CampaignRecord) -> SlacktideError:
    """Return the error of a directory that holds another campaign than the one that was asked for."""
    return ExecutionError(
        str(directory),
        f"holds campaign {record.campaign_id} of plan {record.plan_id}, run with other settings or another plan",
        "Choose a new directory, or resume with the same plan, driver, seed and failures",
    )
