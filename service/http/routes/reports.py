"""What came of a campaign that has finished: its figures, its tables as files, its page."""

import json
from pathlib import Path
from typing import Any, Literal

from fastapi import APIRouter
from starlette.responses import FileResponse, JSONResponse, Response

from slacktide.errors import ExecutionError
from slacktide.executors.report import PAGE_FILE, SUMMARY_FILE
from slacktide.executors.store.campaigns import FINISHED, StoredCampaign
from slacktide.service.http.admission import GuardedRoute, allowed
from slacktide.service.http.campaigns_there import run_of
from slacktide.service.http.given import CampaignId, TheServer
from slacktide.service.http.server import Server
from slacktide.service.store.runs import Run

router = APIRouter(prefix="/v1/campaigns", tags=["campaigns"], route_class=GuardedRoute)
_PARQUET = "application/vnd.apache.parquet"


@router.get(
    "/{campaign_id}/report", operation_id="get-campaign-report", response_model=dict[str, Any], **allowed("viewer")
)
def report(campaign_id: CampaignId, server: TheServer) -> Response:
    """Get the figures of a campaign that has finished: planned and measured."""
    try:
        figures = dict(json.loads(_report_path(server, campaign_id, SUMMARY_FILE).read_bytes()))
    except (ValueError, TypeError):
        raise ExecutionError(
            f"campaign {campaign_id}", "has a report that is damaged", _made_again(campaign_id)
        ) from None
    return JSONResponse(figures | {"plan_path": None, "fleet_path": None})  # where the server keeps them is its own


@router.get(
    "/{campaign_id}/report.html",
    operation_id="get-campaign-report-page",
    response_class=Response,
    responses={200: {"content": {"text/html": {"schema": {"type": "string"}}}}},
    **allowed("viewer"),
)
def report_page(campaign_id: CampaignId, server: TheServer) -> Response:
    """Get the report of a campaign that has finished, for people."""
    return _report_file(server, campaign_id, PAGE_FILE, "text/html")


@router.get(
    "/{campaign_id}/report/tables/{table}",
    operation_id="get-campaign-report-table",
    response_class=Response,
    responses={200: {"content": {_PARQUET: {"schema": {"type": "string", "format": "binary"}}}}},
    **allowed("viewer"),
)
def report_table(
    campaign_id: CampaignId, table: Literal["hosts", "migrations", "troubles", "others"], server: TheServer
) -> Response:
    """Get a table of the report of a campaign that has finished, as the campaign's process wrote it."""
    return _report_file(server, campaign_id, f"{table}.parquet", _PARQUET)


def _report_file(server: Server, campaign_id: str, name: str, media: str) -> Response:
    headers = {"Content-Security-Policy": "sandbox allow-scripts"}
    return FileResponse(_report_path(server, campaign_id, name), media_type=media, headers=headers)


def _report_path(server: Server, campaign_id: str, name: str) -> Path:
    run = run_of(server, campaign_id)
    path = server.places.campaign(campaign_id) / name
    if not path.is_file():
        raise ExecutionError(f"campaign {campaign_id}", *_why_none(run, server.views.stored(campaign_id)))
    return path


def _made_again(campaign_id: str) -> str:
    return f"Have it made again on the server: `slacktide report DATA/campaigns/{campaign_id}`"


def _why_none(run: Run, stored: StoredCampaign | None) -> tuple[str, str]:
    """Return why a campaign has no report, and what is to be done."""
    place = f"/v1/campaigns/{run.campaign_id}"
    if stored is None or stored.state != FINISHED:
        return "has no report: it has not finished", f"Look at where it stands: GET {place}"
    if run.state == "wanted":
        return "has finished, and its report is not written yet", "Ask again in some seconds"
    if run.state == "ended":
        return "has finished, and its report is gone", _made_again(run.campaign_id)
    said = (run.said or "").strip().splitlines()
    fact = f"has finished, and its report was not written: {said[-1] if said else 'its process said nothing'}"
    return fact, f"Mend that, then start it again: POST {place}/start"
