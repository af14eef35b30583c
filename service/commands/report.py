"""``slacktide report``: what came of a campaign, from the tables in its directory."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from slacktide.errors import InputError, UsageError
from slacktide.object_store import AnyPath, path_at
from slacktide.service.commands.options import HERE, Afar, AsJson, CampaignPath, PathOption
from slacktide.service.commands.plan import read_both
from slacktide.service.console import document, figures, progress, show, tell
from slacktide.service.failures import OK, REFUSED
from slacktide.service.stores import store_given

if TYPE_CHECKING:
    from slacktide.datasets.snapshot import FleetSnapshot
    from slacktide.executors.report import CampaignReport
    from slacktide.executors.report_summary import CampaignSummary
    from slacktide.executors.store.address import Store
    from slacktide.executors.store.campaigns import CampaignRecord
    from slacktide.planner.plan import Plan
    from slacktide.service.campaign_text import PlannedHosts


def report(
    path: CampaignPath,
    /,
    *,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None,
    fleet: PathOption = None,
    plan: PathOption = None,
    afar: Afar = HERE,
    as_json: AsJson = False,
) -> int:
    """Write a campaign's page again from its tables, and print its figures.

    Tables that are gone are made again from the journal. The exit code is 1 if a planned host did not return. With
    --json prints report.json.

    Parameters
    ----------
    output
        With a server: directory to write page and tables to; a report that is there is replaced. [default: CAMPAIGN, if
        it is a directory; else nothing is written]
    fleet
        Directory of the fleet snapshot. [default: where it was when the campaign ran]
    plan
        Directory of the plan. [default: where it was when the campaign ran]
    """
    if afar.named:
        from slacktide.service.afar.reports import report_there

        afar.refuse_here({"--fleet": fleet, "--plan": plan}, "Leave it out: the server knows where both are")
        return report_there(afar, path, output, as_json=as_json)
    afar.refuse_here({"--output": output}, "Leave it out: the page is written to the campaign's directory")
    with progress("Reading the campaign"):
        done = read_campaign(path, fleet, plan)
        snapshot, made = _began_with(path, done.summary, fleet, plan)
    if done.summary.revisions:
        snapshot, made = carried_out(snapshot, made, path, store_given(None, path))
    from slacktide.service.campaign_text import planned_hosts

    page = write_page(path, snapshot, made, done)
    return show_report(done, planned_hosts(made), page, as_json=as_json)


def carried_out(
    snapshot: "FleetSnapshot", plan: "Plan", directory: Path, store: "Store | None"
) -> "tuple[FleetSnapshot, Plan]":
    """Return fleet and plan as a campaign carried them out: its revisions are part of it."""
    from slacktide.executors.campaign_directory import journal_standing

    course, _ = journal_standing(snapshot, plan, directory, store)
    return course.fleet, course.shown


def read_campaign(path: Path, fleet: AnyPath | None = None, plan: AnyPath | None = None) -> "CampaignReport":
    """Return the report of a campaign that has finished, from its directory; made again where it is gone.

    Raises
    ------
    UsageError
        If there is neither report nor campaign; if the report is gone, and fleet or plan are not where they were.
    InputError
        If the report is damaged; if it is gone, and the plan is another one by now.
    ExecutionError
        If the campaign has not finished.
    """
    from slacktide.executors.campaign_file import holds_campaign
    from slacktide.executors.report import read_report
    from slacktide.executors.report_again import finished_record, is_gone, report_again

    if not path.is_dir():
        fact = "is not a directory" if path.exists() else "there is no such directory"
        raise UsageError(str(path), fact, "Give the directory of a campaign, as `slacktide run` made it")
    if not is_gone(path) or not holds_campaign(path):
        return read_report(path)
    store = store_given(None, path)
    began = _began_with(path, finished_record(path, store), fleet, plan)
    done = report_again(path, *began, store)
    tell(f"the report of {path} was not all there: it is made again from the journal")
    return done


def _began_with(
    path: Path, told: "CampaignSummary | CampaignRecord", fleet: AnyPath | None, plan: AnyPath | None
) -> "tuple[FleetSnapshot, Plan]":
    """Return fleet and plan that a campaign began with, from where it says that they are, or where they are given."""
    fleet_path = _place(fleet, told.fleet_path, "--fleet", path)
    plan_path = _place(plan, told.plan_path, "--plan", path)
    snapshot, made = read_both(fleet_path, plan_path)
    if made.header.id != told.plan_id:
        fact = f"is plan {made.header.id}; the campaign ran plan {told.plan_id}"
        raise InputError(str(plan_path), fact, "Give that one: --plan")
    return snapshot, made


def _place(given: AnyPath | None, recorded: str | None, option: str, campaign: Path) -> AnyPath:
    if given is not None:
        return given
    if recorded is None or not path_at(recorded).is_dir():
        where = "nowhere" if recorded is None else f"in {recorded} any more"
        fact = (
            f"its {option.removeprefix('--')} is not {where}" if recorded else f"names no {option.removeprefix('--')}"
        )
        raise UsageError(str(campaign), fact, f"Say where it is with {option}")
    return path_at(recorded)


def write_page(directory: Path, snapshot: "FleetSnapshot", plan: "Plan", done: "CampaignReport") -> Path:
    """Write a campaign's page, and return where it is."""
    with progress("Drawing the report"):
        from slacktide.executors.report_page import write_report_page

        return write_report_page(directory, snapshot, plan, done)


def show_report(done: "CampaignReport", hosts: "PlannedHosts", page: Path | str, *, as_json: bool) -> int:
    """Print a campaign's figures, and return the exit code: 1 if a planned host did not return."""
    from slacktide.service.campaign_text import campaign_rows, campaign_title, complete, not_patched_text

    if as_json:
        document(done.summary.model_dump(mode="json"))
    else:
        show(campaign_title(done.summary, hosts))
        show(figures([*campaign_rows(done.summary, hosts), ("report", str(page))]))
        if done.summary.not_patched:
            show(not_patched_text(done))
    return OK if complete(done.summary, hosts) else REFUSED
