"""The report of a campaign on a server: fetched, printed as one that was made here."""

import json
import tempfile
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from slacktide import atomic
from slacktide.service.afar.objects import campaign_there
from slacktide.service.campaign_view import SERVER_FILE
from slacktide.service.client.api import Api
from slacktide.service.commands.options import Afar
from slacktide.service.commands.report import show_report
from slacktide.service.console import progress
from slacktide.service.destinations import check_directory

if TYPE_CHECKING:
    from slacktide.executors.report import CampaignReport

REPORT_FILES: Final = (
    *("report.json", "report.html"),
    *("migrations.parquet", "hosts.parquet", "troubles.parquet", "others.parquet"),
    SERVER_FILE,
)
"""What a directory holds that a report was fetched to."""


def report_there(afar: Afar, path: Path, output: Path | None, *, as_json: bool) -> int:
    """Fetch the report of a campaign that has finished, and print it."""
    place = output or (path if path.is_dir() else None)
    check_place(place)
    with afar.api() as api:
        return show_fetched(api, campaign_there(path), place, as_json=as_json)


def check_place(place: Path | None) -> None:
    """Check that a report can be written to a directory; errors as :func:`check_directory`."""
    if place is not None:
        check_directory(place, REPORT_FILES)


def begin_place(api: Api, campaign_id: str, place: Path) -> None:
    """Note in a directory which campaign its report will be of, so that the directory can be named for it."""
    with atomic.staged_directory(place, REPORT_FILES) as folder:
        _note(api, campaign_id, folder)


def show_fetched(api: Api, campaign_id: str, place: Path | None, *, as_json: bool) -> int:
    """Fetch a report, to a directory if one is given, print it, and return the exit code."""
    from slacktide.service.campaign_text import PlannedHosts

    looked = api.get(f"/v1/campaigns/{campaign_id}/look")
    hosts = PlannedHosts(looked["planned_hosts"], looked["deferred_hosts"])
    with _folder(place) as folder:
        done = _fetched(api, campaign_id, Path(folder))
        if place is not None:
            _note(api, campaign_id, Path(folder))
    there = f"{api.url}/v1/campaigns/{campaign_id}/report.html"
    return show_report(done, hosts, there if place is None else place / "report.html", as_json=as_json)


def _fetched(api: Api, campaign_id: str, folder: Path) -> "CampaignReport":
    from slacktide.executors.report import PAGE_FILE, SUMMARY_FILE, TABLES, read_report

    path = f"/v1/campaigns/{campaign_id}"
    with progress("Fetching the report"):
        for name in TABLES:
            api.fetch(f"{path}/report/tables/{name}", folder / f"{name}.parquet")
        api.fetch(f"{path}/report.html", folder / PAGE_FILE)
        api.fetch(f"{path}/report", folder / SUMMARY_FILE)
    return read_report(folder)


def _folder(place: Path | None) -> AbstractContextManager[Path | str]:
    if place is None:
        return tempfile.TemporaryDirectory(prefix="slacktide-")
    return atomic.staged_directory(place, REPORT_FILES)


def _note(api: Api, campaign_id: str, folder: Path) -> None:
    content = {"server": api.url, "campaign_id": campaign_id}
    atomic.write_file(folder / SERVER_FILE, (json.dumps(content, indent=2) + "\n").encode())
