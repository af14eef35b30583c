"""The report of a campaign that has finished, made again from its journal where its tables are gone."""

import json
from pathlib import Path

from slacktide.datasets.snapshot import FleetSnapshot
from slacktide.errors import ExecutionError, InputError, UsageError
from slacktide.executors.campaign_directory import journal_of, journal_standing
from slacktide.executors.events import CampaignFinished
from slacktide.executors.journal import CampaignRecord
from slacktide.executors.journal_notes import journal_notes
from slacktide.executors.report import (
    LATER_TABLES,
    SUMMARY_FILE,
    TABLES,
    CampaignReport,
    Execution,
    make_report,
    read_summary,
    write_report,
)
from slacktide.executors.store.address import Store
from slacktide.ids import CampaignId
from slacktide.planner.plan import Plan


def is_gone(directory: Path) -> bool:
    """Return whether a report's figures or tables are not all in a campaign's directory."""
    tables = (f"{name}.parquet" for name in TABLES if name not in LATER_TABLES)
    return not all((directory / name).is_file() for name in (SUMMARY_FILE, *tables))


def finished_record(directory: Path, store: Store | None = None) -> CampaignRecord:
    """Return which campaign has finished in a directory, by its journal.

    Raises
    ------
    ExecutionError
        If it holds none, or one that has not finished; if its store does not answer.
    """
    journal = journal_of(directory, store)
    try:
        if journal.of_types(CampaignFinished.type):
            return journal.record
    finally:
        journal.close()
    fact = "the campaign has not finished, so it has no report"
    raise ExecutionError(str(directory), fact, "Give the command again that began it: it goes on from its journal")


def report_again(directory: Path, snapshot: FleetSnapshot, plan: Plan, store: Store | None = None) -> CampaignReport:
    """Return the report of the campaign that has finished in ``directory``, and write it there.

    Parameters
    ----------
    plan
        The plan that it began with.

    Raises
    ------
    ExecutionError
        As :func:`finished_record`; if it is of another plan.
    OutputError
        If it cannot be written.
    """
    record = finished_record(directory, store)
    return written_report(directory, snapshot, plan, store, record, _unknown(record))


def written_report(
    directory: Path, snapshot: FleetSnapshot, plan: Plan, store: Store | None, record: CampaignRecord, done: Execution
) -> CampaignReport:
    """Return the report of a campaign's journal, and write it; errors as :func:`report_again`.

    Parameters
    ----------
    done
        How it was executed, unless a report that is there says so.
    """
    course, state = journal_standing(snapshot, plan, directory, store)
    execution = execution_before(directory, record.campaign_id) or done
    report = make_report(course.fleet, course.shown, state, record, execution, journal_notes(directory, store))
    write_report(report, directory)
    return report


def execution_before(directory: Path, campaign: CampaignId) -> Execution | None:
    """Return how a campaign was executed that had finished before; None: it had not, or nothing says so any more."""
    try:
        summary = read_summary(directory)
    except (InputError, UsageError):
        return None
    if not summary.finished or summary.campaign_id != campaign:
        return None
    return Execution(summary.simulated, summary.seed, summary.execution_wall_s, summary.ray, summary.agents)


def _unknown(record: CampaignRecord) -> Execution:
    """Return what a journal says of how its campaign was executed: no agents stand for what it does not."""
    settings = json.loads(record.settings)
    simulation = settings.get("simulation", {})
    return Execution(settings.get("driver") == "simulated", simulation.get("seed", 0), wall_s=0.0, ray=False, agents=0)
