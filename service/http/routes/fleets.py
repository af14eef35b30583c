"""Fleets: uploaded, checked, listed, looked at."""

from typing import Annotated, Any, Literal

import polars as pl
from anyio.to_thread import run_sync
from fastapi import APIRouter, Query
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from slacktide.datasets.schemas import TABLES
from slacktide.errors import InputError
from slacktide.findings import Finding
from slacktide.service.fleet_intake import OWN, Bounds, Intake, take_in
from slacktide.service.http.admission import GuardedRoute, allowed
from slacktide.service.http.bodies import received_parts
from slacktide.service.http.given import FleetId, Name, TheAdmission, TheCaller, TheServer
from slacktide.service.http.pages import (
    Cursor,
    PageSize,
    TableFile,
    TableFormat,
    key_of,
    model_of,
    page_model,
    page_of,
    pages_of,
    table_media,
    table_page,
)
from slacktide.service.http.problems import there
from slacktide.service.http.server import Server
from slacktide.service.http.settings import Limits
from slacktide.service.http.under_way import finished
from slacktide.service.kept_files import fleet_table
from slacktide.service.store.inventory import StoredFleet, add_fleet, find_fleet, list_fleets

router = APIRouter(prefix="/v1/fleets", tags=["fleets"], route_class=GuardedRoute)
FleetView = model_of(StoredFleet)

UPLOAD = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": list(OWN),
                    "additionalProperties": False,
                    "properties": {part: {"type": "string", "format": "binary"} for part in OWN},
                },
                "encoding": {
                    part: {"contentType": "application/json" if part == "fleet" else "application/vnd.apache.parquet"}
                    for part in OWN
                },
            }
        },
    }
}
HostState = Literal["active", "empty", "down", "quarantined"]


class Checked(BaseModel):
    """Whether an upload is a sound fleet."""

    sound: bool
    summary: dict[str, Any] | None
    findings: list[dict[str, Any]]


@router.post(
    "",
    operation_id="upload-fleet",
    status_code=201,
    response_model=FleetView,
    **allowed("operator", body="upload", described=UPLOAD),
)
async def upload(request: Request, server: TheServer, caller: TheCaller, admission: TheAdmission) -> Response:
    """Upload a fleet snapshot: `fleet.json` as the part `fleet`, and a part of Parquet for each of its tables.

    It is checked as `slacktide fleet check` does, and taken if no finding is an error. The same tables have the same
    id; uploaded again they are answered with 200.
    """
    most = server.settings.limits.upload_bytes
    async with received_parts(request, server.places.uploads, OWN, most) as (folder, fingerprint):
        before = await admission.claim(request, fingerprint)
        if before is not None:
            return before
        async with server.intakes:
            found = await take_in(folder, server.places.data / "fleets", _bounds(server.settings.limits))
    fleet_id = _sound(found)
    adding = run_sync(add_fleet, server.database, fleet_id, caller.who, found.summary, found.findings)
    is_new = await finished(adding)
    stored = await run_sync(fleet_of, server, fleet_id)
    headers = {"Location": f"/v1/fleets/{fleet_id}"}
    return JSONResponse(stored._asdict(), 201 if is_new else 200, headers)


@router.post(
    "/check", operation_id="check-fleet", response_model=Checked, **allowed("operator", body="upload", described=UPLOAD)
)
async def check(request: Request, server: TheServer) -> Checked:
    """Check a fleet snapshot as an upload does, and keep nothing."""
    most = server.settings.limits.upload_bytes
    async with received_parts(request, server.places.uploads, OWN, most) as (folder, _), server.intakes:
        found = await take_in(folder, None, _bounds(server.settings.limits))
    return Checked(sound=found.fleet_id is not None, summary=found.summary, findings=found.findings)


@router.get("", operation_id="list-fleets", response_model=pages_of(FleetView), **allowed("viewer"))
def list_all(server: TheServer, cursor: Cursor = None, limit: PageSize = 100) -> dict[str, Any]:
    """List fleets, by id."""
    found = list_fleets(server.database, key_of(cursor), limit + 1)
    return page_of([each._asdict() for each in found], limit, [each.fleet_id for each in found])


@router.get("/{fleet_id}", operation_id="get-fleet", response_model=FleetView, **allowed("viewer"))
def get(fleet_id: FleetId, server: TheServer) -> dict[str, Any]:
    """Look at a fleet: its figures, and the warnings about it."""
    return fleet_of(server, fleet_id)._asdict()


@router.get(
    "/{fleet_id}/hosts",
    operation_id="list-fleet-hosts",
    response_model=page_model("FleetHost", TABLES["hosts"]),
    **allowed("viewer"),
)
def hosts(
    fleet_id: FleetId,
    server: TheServer,
    rack_id: Name = None,
    machine_type: Name = None,
    patch_level: Name = None,
    state: HostState | None = None,
    cursor: Cursor = None,
    limit: PageSize = 100,
) -> dict[str, Any]:
    """List the hosts of a fleet, by id."""
    filters = {"rack_id": rack_id, "machine_type": machine_type, "patch_level": patch_level, "state": state}
    return table_page(_table(server, fleet_id, "hosts", filters), "host_id", cursor, limit)


@router.get(
    "/{fleet_id}/vms",
    operation_id="list-fleet-vms",
    response_model=page_model("FleetVm", TABLES["vms"]),
    **allowed("viewer"),
)
def vms(
    fleet_id: FleetId,
    server: TheServer,
    host_id: Name = None,
    service_id: Name = None,
    cursor: Cursor = None,
    limit: PageSize = 100,
) -> dict[str, Any]:
    """List the VMs of a fleet, by id."""
    return table_page(
        _table(server, fleet_id, "vms", {"host_id": host_id, "service_id": service_id}), "vm_id", cursor, limit
    )


@router.get(
    "/{fleet_id}/tables/{table}",
    operation_id="export-fleet-table",
    response_class=StreamingResponse,
    responses=table_media("rows"),
    **allowed("viewer"),
)
def export(
    fleet_id: FleetId,
    table: Literal["hosts", "vms", "services", "links", "domains"],
    server: TheServer,
    admission: TheAdmission,
    format: Annotated[TableFormat, Query()] = "parquet",
) -> Response:
    """Get a whole table of a fleet as a file."""
    return TableFile(lambda: _table(server, fleet_id, table, {}), format, f"{fleet_id}-{table}", server, admission)


def fleet_of(server: Server, fleet_id: str) -> StoredFleet:
    """Return a fleet.

    Raises
    ------
    ApiError
        404, if there is none.
    """
    remedy = "Upload it: POST /v1/fleets; or list fleets: GET /v1/fleets"
    return there(find_fleet(server.database, fleet_id), "fleet", fleet_id, remedy)


def _table(server: Server, fleet_id: str, name: str, filters: dict[str, str | None]) -> pl.DataFrame:
    fleet_of(server, fleet_id)
    given = [pl.col(column).cast(pl.String) == value for column, value in filters.items() if value is not None]
    return fleet_table(server.places.fleet(fleet_id), name, given)


def _bounds(limits: Limits) -> Bounds:
    return Bounds(limits.upload_rows, limits.upload_memory_bytes, limits.upload_cpu_s)


def _sound(found: Intake) -> str:
    if found.fleet_id is not None:
        return found.fleet_id
    findings = tuple(Finding(**{**each, "subjects": tuple(each["subjects"])}) for each in found.findings)
    errors = sum(finding.severity == "error" for finding in findings)
    fact = f"the fleet snapshot has {errors} error{'s' if errors > 1 else ''}"
    raise InputError("upload", fact, "Correct what is listed, then send it again", findings)
