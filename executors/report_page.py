"""The report as one HTML file that a person reads at a glance, offline, on a desk, a telephone or paper."""

import os
import secrets
from functools import cache
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup

from slacktide.datasets.snapshot import FleetSnapshot
from slacktide.errors import OutputError
from slacktide.executors.report import PAGE_FILE
from slacktide.executors.report_lists import listings
from slacktide.executors.report_plots import hottest, plots
from slacktide.executors.report_tiles import blackout_tile, tiles, verdict
from slacktide.executors.report_view import CampaignReport, ReportView
from slacktide.planner.plan import Plan


def plan_page(snapshot: FleetSnapshot, plan: Plan) -> str:
    """Return the page of a plan before any run."""
    return render_report(snapshot, plan, None)


def render_report(snapshot: FleetSnapshot, plan: Plan, report: CampaignReport | None) -> str:
    """Return the page of a campaign, or of a plan alone where there is no report yet: one HTML document, nothing else.

    It refers to no other file and no network, and all that comes from the tables is escaped.
    """
    view = ReportView(snapshot, plan, report)
    links = hottest(view)
    return _template().render(
        name=f"Plan {plan.header.id}" if report is None else f"Campaign {report.summary.campaign_id}",
        style=Markup(_resource("report_page.css")),
        header=plan.header,
        summary=None if report is None else report.summary,
        verdict=verdict(view),
        tiles=tiles(view),
        blackout=blackout_tile(view),
        plots=plots(view, links),
        listings=listings(view, links),
    )


def write_report_page(directory: Path, snapshot: FleetSnapshot, plan: Plan, report: CampaignReport | None) -> Path:
    """Write the page into ``directory`` and return its path; an older one is replaced as a whole.

    Raises
    ------
    OutputError
        If it cannot be written; nothing is left behind.
    """
    page = render_report(snapshot, plan, report).encode()
    path = directory / PAGE_FILE
    beside = directory / f".{PAGE_FILE}.{secrets.token_hex(4)}.part"
    try:
        with beside.open("wb") as file:
            file.write(page)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        remedy = "Free space, or choose a folder that exists and that you may write to; nothing was left behind"
        raise OutputError(str(path), f"cannot be written: {reason}", remedy) from error
    finally:
        beside.unlink(missing_ok=True)
    return path


def _resource(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


@cache
def _template() -> Template:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(_resource("report_page.html"))
