"""A campaign's hosts, migrations and blackouts, who waits for what, and what its guests are told."""

from typing import Annotated, Any, Literal

import polars as pl
from fastapi import APIRouter, Query
from pydantic import BaseModel
from starlette.responses import Response, StreamingResponse

from slacktide.executors.metadata.notice import MaintenanceNotice
from slacktide.executors.report_tables import ReportHostTable, ReportMigrationTable
from slacktide.executors.waiting import Waiting, waiting
from slacktide.service.campaign_view import Viewed
from slacktide.service.guests import notice_of, told_guests
from slacktide.service.http.admission import GuardedRoute, allowed
from slacktide.service.http.campaigns_there import begun
from slacktide.service.http.given import CampaignId, Name, TheAdmission, TheServer, Wave
from slacktide.service.http.pages import (
    Cursor,
    PageSize,
    TableFile,
    TableFormat,
    number_of,
    page_model,
    page_of,
    table_media,
    table_page,
)
from slacktide.service.http.problems import not_found
from slacktide.service.http.server import Server
from slacktide.service.kept_files import fleet_table
from slacktide.service.store.runs import Run

router = APIRouter(prefix="/v1/campaigns/{campaign_id}", tags=["campaigns"], route_class=GuardedRoute)

MigrationState = Literal["planned", "notified", "running", "done", "failed", "given-up"]
HostState = Literal["planned", "draining", "drained", "patching", "returned", "failed", "blocked"]
Strategy = Literal["precopy", "autoconverge", "postcopy", "restart"]
Milliseconds = Annotated[float | None, Query(ge=0, le=1e12)]
_BLACKOUT_COLUMNS = (
    *("migration_id", "vm_id", "source", "target", "wave", "strategy", "start_s", "end_s"),
    *("predicted_blackout_ms", "blackout_ms", "probe_blackout_ms", "probe_resolution_ms"),
)
AGAINST_LIMIT = {"counted_blackout_ms": float | None, "blackout_limit_ms": float, "above_limit": bool}
"""What a row says of a VM's limit: the longer count, the probe's less what it cannot see, and whether that is above."""


class Waits(BaseModel):
    """A page of hosts and VMs that are late, the longest first."""

    items: list[dict[str, Any]]
    """`subject`, a host's or a VM's id; `migration_id` of a VM; `reason`; `since_s`."""
    next: str | None


class GuestNotice(BaseModel):
    """What a guest is told of its maintenance, as its host tells it."""

    vm_id: str
    maintenance_event: str
    """`NONE`, `MIGRATE_ON_HOST_MAINTENANCE` or `TERMINATE_ON_HOST_MAINTENANCE`."""
    upcoming_maintenance: dict[str, Any]
    """`kind`, `window_start` and `window_end` in UTC, `notice_s`, `under_way`, `acknowledged`, `can_acknowledge`."""


class GuestNotices(BaseModel):
    """A page of guests that are told of something."""

    items: list[GuestNotice]
    next: str | None


@router.get(
    "/hosts",
    operation_id="list-campaign-hosts",
    response_model=page_model("CampaignHost", ReportHostTable),
    **allowed("viewer"),
)
def hosts(
    campaign_id: CampaignId,
    server: TheServer,
    state: HostState | None = None,
    wave: Wave = None,
    cursor: Cursor = None,
    limit: PageSize = 100,
) -> dict[str, Any]:
    """List the hosts of a campaign, planned and measured, by id."""
    table = _report(server, campaign_id)[0].filter(_equal(state=state, wave=wave))
    return table_page(table, "host_id", cursor, limit)


@router.get(
    "/migrations",
    operation_id="list-campaign-migrations",
    response_model=page_model("CampaignMigration", ReportMigrationTable),
    **allowed("viewer"),
)
def migrations(
    campaign_id: CampaignId,
    server: TheServer,
    state: MigrationState | None = None,
    vm_id: Name = None,
    source: Name = None,
    target: Name = None,
    wave: Wave = None,
    strategy: Strategy | None = None,
    cursor: Cursor = None,
    limit: PageSize = 100,
) -> dict[str, Any]:
    """List the migrations of a campaign, planned and measured, by id."""
    filters = _equal(state=state, vm_id=vm_id, source=source, target=target, wave=wave, strategy=strategy)
    return table_page(_report(server, campaign_id)[1].filter(filters), "migration_id", cursor, limit)


@router.get(
    "/blackouts",
    operation_id="list-campaign-blackouts",
    response_model=page_model("Blackout", ReportMigrationTable, _BLACKOUT_COLUMNS, AGAINST_LIMIT),
    **allowed("viewer"),
)
def blackouts(
    campaign_id: CampaignId,
    server: TheServer,
    vm_id: Name = None,
    at_least_ms: Milliseconds = None,
    cursor: Cursor = None,
    limit: PageSize = 100,
) -> dict[str, Any]:
    """List the blackouts of migrations that are done, predicted and measured, by migration.

    What is held against a limit, and against `at_least_ms`, is `counted_blackout_ms`: the longer count, the probe's
    less what it cannot see.  VMs that are restarted are above none.
    """
    table = _blackouts(server, campaign_id).filter(_equal(vm_id=vm_id))
    if at_least_ms is not None:
        table = table.filter(pl.col("counted_blackout_ms") >= at_least_ms)
    return table_page(table, "migration_id", cursor, limit)


@router.get(
    "/tables/{table}",
    operation_id="export-campaign-table",
    response_class=StreamingResponse,
    responses=table_media("rows"),
    **allowed("viewer"),
)
def export(
    campaign_id: CampaignId,
    table: Literal["hosts", "migrations", "blackouts"],
    server: TheServer,
    admission: TheAdmission,
    format: Annotated[TableFormat, Query()] = "parquet",
) -> Response:
    """Get a whole table of a campaign as a file, as far as the campaign has got."""

    def read() -> pl.DataFrame:
        if table == "blackouts":
            return _blackouts(server, campaign_id)
        of_hosts, of_migrations = _report(server, campaign_id)
        return of_hosts if table == "hosts" else of_migrations

    return TableFile(read, format, f"{campaign_id}-{table}", server, admission)


@router.get("/waiting", operation_id="list-campaign-waits", response_model=Waits, **allowed("viewer"))
def waits(campaign_id: CampaignId, server: TheServer, cursor: Cursor = None, limit: PageSize = 100) -> dict[str, Any]:
    """List every host and VM that is due and has not gone on, or takes longer than planned: why, and since when."""
    run, stored = begun(server, campaign_id)
    begin = number_of(cursor)

    def late(viewed: Viewed) -> list[Waiting]:
        return waiting(viewed.state, viewed.now_s)

    found = server.views.look(run, stored, "waiting", late, by_clock=True)[begin : begin + limit + 1]
    return page_of([each._asdict() for each in found], limit, [str(begin + place) for place in range(1, limit + 2)])


@router.get(
    "/guests", operation_id="list-campaign-guests", response_model=GuestNotices, tags=["guests"], **allowed("viewer")
)
def guests(campaign_id: CampaignId, server: TheServer, cursor: Cursor = None, limit: PageSize = 100) -> dict[str, Any]:
    """List the guests that are told of a migration to come or under way, by id."""
    _, stored = begun(server, campaign_id)
    told = told_guests(_report(server, campaign_id)[1])
    page = table_page(told.select("vm_id").unique(), "vm_id", cursor, limit)
    names = [row["vm_id"] for row in page["items"]]
    origin = stored.record.origin
    few = told.filter(pl.col("vm_id").is_in(names))
    items = [guest_notice(name, notice_of(few, name, origin)) for name in names]
    return {"items": items, "next": page["next"]}


@router.get(
    "/guests/{vm_id:path}",
    operation_id="get-campaign-guest",
    response_model=GuestNotice,
    tags=["guests"],
    **allowed("viewer"),
)
def guest(campaign_id: CampaignId, vm_id: str, server: TheServer) -> dict[str, Any]:
    """Look at what a guest is told by its host; `NONE` where nothing is to come."""
    run, stored = begun(server, campaign_id)
    migrations = _report(server, campaign_id)[1]
    if not has_vm(server, run, migrations, vm_id):
        raise not_found("VM", vm_id, f"Find its id: GET /v1/fleets/{run.fleet_id}/vms")
    return guest_notice(vm_id, notice_of(told_guests(migrations), vm_id, stored.record.origin))


def has_vm(server: Server, run: Run, migrations: pl.DataFrame, vm_id: str) -> bool:
    """Return whether a campaign's fleet has a VM, or had one meanwhile; ``migrations``: of its report."""
    if vm_id in migrations["vm_id"] or fleet_has_vm(server, run.fleet_id, vm_id):
        return True
    return bool(server.views.events_about(run.campaign_id, (vm_id,)))


def fleet_has_vm(server: Server, fleet_id: str, vm_id: str) -> bool:
    """Return whether a fleet has a VM, as it was uploaded."""
    folder = server.places.fleet(fleet_id)
    ids = server.vms.get("VMs", fleet_id, lambda: fleet_table(folder, "vms", columns=["vm_id"])["vm_id"].sort())
    place = ids.search_sorted(vm_id)
    return bool(place < len(ids) and ids[place] == vm_id)


def guest_notice(vm_id: str, notice: MaintenanceNotice) -> dict[str, Any]:
    """Return what a guest is told as plain data."""
    return {"vm_id": vm_id, "maintenance_event": notice.event, "upcoming_maintenance": notice.upcoming}


def _report(server: Server, campaign_id: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    found = server.views.report(*begun(server, campaign_id))
    return found.hosts, found.migrations


def _blackouts(server: Server, campaign_id: str) -> pl.DataFrame:
    """Return what is known of the blackout of every migration that is done, predicted and measured."""
    migrations = server.views.migrations(*begun(server, campaign_id))
    return migrations.filter(pl.col("state") == "done").select(*_BLACKOUT_COLUMNS, *AGAINST_LIMIT)


def _equal(**values: str | int | None) -> pl.Expr:
    conditions = [pl.col(column) == value for column, value in values.items() if value is not None]
    return pl.all_horizontal(pl.lit(True), *conditions)
