"""``slacktide report``: what came of a campaign, from the tables in its directory."""

from pathlib import Path
from typing import TYPE_CHECKING

from slacktide.errors import ExecutionError, InputError, UsageError
from slacktide.service.commands.options import AsJson, CampaignPath
from slacktide.service.commands.plan import read_both
from slacktide.service.console import document, figures, progress, show
from slacktide.service.failures import OK, REFUSED
from slacktide.service.stores import store_given

if TYPE_CHECKING:
    from slacktide.datasets.snapshot import FleetSnapshot
    from slacktide.executors.report import CampaignReport
    from slacktide.executors.store.address import Store
    from slacktide.planner.plan import Plan


def report(
    path: CampaignPath, /, *, fleet: Path | None = None, plan: Path | None = None, as_json: AsJson = False
) -> int:
    """Write a campaign's page again from its tables, and print its figures.

    The exit code is 1 if a planned host did not return. With --json prints report.json.

    Parameters
    ----------
    fleet
        Directory of the fleet snapshot. [default: where it was when the campaign ran]
    plan
        Directory of the plan. [default: where it was when the campaign ran]
    """
    with progress("Reading the campaign"):
        done = read_campaign(path)
        summary = done.summary
        fleet_path = _place(fleet, summary.fleet_path, "--fleet", path)
        plan_path = _place(plan, summary.plan_path, "--plan", path)
        snapshot, made = read_both(fleet_path, plan_path)
    if made.header.id != summary.plan_id:
        raise InputError(
            str(plan_path),
            f"is plan {made.header.id}; the campaign ran plan {summary.plan_id}",
            "Give that one: --plan",
        )
    if summary.revisions:
        snapshot, made = carried_out(snapshot, made, path, store_given(None, path))
    page = write_page(path, snapshot, made, done)
    return show_report(done, made, page, as_json=as_json)


def carried_out(
    snapshot: "FleetSnapshot", plan: "Plan", directory: Path, store: "Store | None"
) -> "tuple[FleetSnapshot, Plan]":
    """Return fleet and plan as a campaign carried them out: its revisions are part of it."""
    from slacktide.executors.campaign_directory import journal_standing

    course, _ = journal_standing(snapshot, plan, directory, store)
    return course.fleet, course.shown


def read_campaign(path: Path) -> "CampaignReport":
    """Return the report of a campaign that has finished, from its directory."""
    from slacktide.executors.campaign_file import holds_campaign
    from slacktide.executors.report import SUMMARY_FILE, read_report

    if not path.is_dir():
        fact = "is not a directory" if path.exists() else "there is no such directory"
        raise UsageError(str(path), fact, "Give the directory of a campaign, as `slacktide run` made it")
    if holds_campaign(path) and not (path / SUMMARY_FILE).is_file():
        fact = "the campaign has not finished, so it has no report"
        raise ExecutionError(str(path), fact, "Give the command again that began it: it goes on from its journal")
    return read_report(path)


def _place(given: Path | None, recorded: str | None, option: str, campaign: Path) -> Path:
    if given is not None:
        return given
    if recorded is None or not Path(recorded).is_dir():
        where = "nowhere" if recorded is None else f"in {recorded} any more"
        fact = (
            f"its {option.removeprefix('--')} is not {where}" if recorded else f"names no {option.removeprefix('--')}"
        )
        raise UsageError(str(campaign), fact, f"Say where it is with {option}")
    return Path(recorded)


def write_page(directory: Path, snapshot: "FleetSnapshot", plan: "Plan", done: "CampaignReport") -> Path:
    """Write a campaign's page, and return where it is."""
    with progress("Drawing the report"):
        from slacktide.executors.report_page import write_report_page

        return write_report_page(directory, snapshot, plan, done)


def show_report(done: "CampaignReport", plan: "Plan", page: Path, *, as_json: bool) -> int:
    """Print a campaign's figures, and return the exit code: 1 if a planned host did not return."""
    from slacktide.service.campaign_text import campaign_rows, campaign_title, complete, not_patched_text

    if as_json:
        document(done.summary.model_dump(mode="json"))
    else:
        show(campaign_title(done.summary, plan))
        show(figures([*campaign_rows(done.summary, plan), ("report", str(page))]))
        if done.summary.not_patched:
            show(not_patched_text(done))
    return OK if complete(done.summary, plan) else REFUSED
