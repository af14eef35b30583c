"""Plans: asked for, looked at, audited, compared, explained, and what would have to give."""

from typing import Annotated, Any, Literal

import polars as pl
from fastapi import APIRouter, Body, Query
from pydantic import BaseModel, ConfigDict
from starlette.responses import Response, StreamingResponse

from slacktide.planner.plan_files import TABLES
from slacktide.service.http.admission import GuardedRoute, allowed
from slacktide.service.http.given import Name, PlanId, TheAdmission, TheCaller, TheServer, Wave
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
from slacktide.service.http.routes.fleets import fleet_of
from slacktide.service.http.routes.jobs import JobView, begin
from slacktide.service.http.server import Server
from slacktide.service.jobs.asked import AboutPlan, ParetoAsked, PlanAsked, WhatIfAsked
from slacktide.service.jobs.selecting import refuse_unknown
from slacktide.service.kept_files import plan_table
from slacktide.service.store.inventory import StoredPlan, find_plan, list_plans

router = APIRouter(prefix="/v1", tags=["plans"], route_class=GuardedRoute)
PlanView = model_of(StoredPlan)
Constants = Annotated[str, Query(pattern=r"^(kubevirt|nova|vsphere|ovirt|[0-9]{1,6}:[0-9]{1,6})$")]


class Comparison(BaseModel):
    """What a plan is compared with."""

    model_config = ConfigDict(extra="forbid")
    constants: tuple[Constants, ...] = ()
    """kubevirt, nova, vsphere or ovirt, or N:M for N migrations per host and M per cluster; none: all four."""


@router.post("/plans", operation_id="create-plan", status_code=202, response_model=JobView, **allowed("operator"))
def create(asked: PlanAsked, server: TheServer, caller: TheCaller) -> Response:
    """Have a plan made for a fleet, as a job; its result names the plan."""
    fleet_of(server, asked.fleet_id)
    refuse_unknown(server.places.fleet(asked.fleet_id), asked.evacuate, "body.evacuate")
    return begin(server, "plan", caller.who, asked)


@router.post("/what-ifs", operation_id="ask-what-if", status_code=202, response_model=JobView, **allowed("operator"))
def what_if(asked: WhatIfAsked, server: TheServer, caller: TheCaller) -> Response:
    """Ask which limits have to give for everything to be done by a time and what each buys, as a job.

    Every figure has an audited plan behind it, which is kept as any other.
    """
    fleet_of(server, asked.fleet_id)
    if asked.plan_id is not None:
        plan_of(server, asked.plan_id)
    return begin(server, "what-if", caller.who, asked)


@router.post("/paretos", operation_id="ask-pareto", status_code=202, response_model=JobView, **allowed("operator"))
def pareto(asked: ParetoAsked, server: TheServer, caller: TheCaller) -> Response:
    """Ask for the plans that none beats in makespan, moves and hosts out at once, as a job.

    They are kept as any other.
    """
    fleet_of(server, asked.fleet_id)
    return begin(server, "pareto", caller.who, asked)


@router.get("/plans", operation_id="list-plans", response_model=pages_of(PlanView), **allowed("viewer"))
def list_all(
    server: TheServer,
    fleet_id: Annotated[str | None, Query(pattern=r"^[0-9a-f]{16}$")] = None,
    cursor: Cursor = None,
    limit: PageSize = 100,
) -> dict[str, Any]:
    """List plans, by id."""
    found = list_plans(server.database, key_of(cursor), limit + 1, fleet_id)
    return page_of([each._asdict() for each in found], limit, [each.plan_id for each in found])


@router.get("/plans/{plan_id}", operation_id="get-plan", response_model=PlanView, **allowed("viewer"))
def get(plan_id: PlanId, server: TheServer) -> dict[str, Any]:
    """Look at a plan: its policy, its figures, and what its audit found."""
    return plan_of(server, plan_id)._asdict()


@router.get(
    "/plans/{plan_id}/waves", operation_id="list-plan-waves", response_model=list[dict[str, Any]], **allowed("viewer")
)
def waves(plan_id: PlanId, server: TheServer) -> list[dict[str, Any]]:
    """List the waves of a plan, in order."""
    return _table(server, plan_id, "waves", []).sort("wave").to_dicts()


@router.get(
    "/plans/{plan_id}/hosts",
    operation_id="list-plan-hosts",
    response_model=page_model("PlannedHost", TABLES["hosts"]),
    **allowed("viewer"),
)
def hosts(
    plan_id: PlanId,
    server: TheServer,
    wave: Wave = None,
    cursor: Cursor = None,
    limit: PageSize = 100,
) -> dict[str, Any]:
    """List when hosts leave service and return, by id."""
    return table_page(_table(server, plan_id, "hosts", _equal(wave=wave)), "host_id", cursor, limit)


@router.get(
    "/plans/{plan_id}/deferred",
    operation_id="list-plan-deferred",
    response_model=page_model("DeferredHost", TABLES["deferred"]),
    **allowed("viewer"),
)
def deferred(plan_id: PlanId, server: TheServer, cursor: Cursor = None, limit: PageSize = 100) -> dict[str, Any]:
    """List the due hosts that a plan leaves alone, why, and what mends it."""
    return table_page(_table(server, plan_id, "deferred", []), "host_id", cursor, limit)


@router.get(
    "/plans/{plan_id}/migrations",
    operation_id="list-plan-migrations",
    response_model=page_model("PlannedMigration", TABLES["migrations"]),
    **allowed("viewer"),
)
def migrations(
    plan_id: PlanId,
    server: TheServer,
    vm_id: Name = None,
    source: Name = None,
    target: Name = None,
    wave: Wave = None,
    cursor: Cursor = None,
    limit: PageSize = 100,
) -> dict[str, Any]:
    """List the migrations of a plan, by id."""
    filters = _equal(vm_id=vm_id, source=source, target=target, wave=wave)
    return table_page(_table(server, plan_id, "migrations", filters), "migration_id", cursor, limit)


@router.get(
    "/plans/{plan_id}/tables/{table}",
    operation_id="export-plan-table",
    response_class=StreamingResponse,
    responses=table_media("rows"),
    **allowed("viewer"),
)
def export(
    plan_id: PlanId,
    table: Literal["waves", "hosts", "migrations", "deferred"],
    server: TheServer,
    admission: TheAdmission,
    format: Annotated[TableFormat, Query()] = "parquet",
) -> Response:
    """Get a whole table of a plan as a file."""
    return TableFile(lambda: _table(server, plan_id, table, []), format, f"{plan_id}-{table}", server, admission)


@router.post(
    "/plans/{plan_id}/audit", operation_id="audit-plan", status_code=202, response_model=JobView, **allowed("operator")
)
def audit(plan_id: PlanId, server: TheServer, caller: TheCaller) -> Response:
    """Have a plan replayed against its fleet, with no code in common with the planner, as a job."""
    plan_of(server, plan_id)
    return begin(server, "audit", caller.who, AboutPlan(plan_id=plan_id))


@router.post(
    "/plans/{plan_id}/compare",
    operation_id="compare-plan",
    status_code=202,
    response_model=JobView,
    **allowed("operator"),
)
def compare(
    plan_id: PlanId, server: TheServer, caller: TheCaller, asked: Annotated[Comparison | None, Body()] = None
) -> Response:
    """Have a plan set beside the same migrations started by constants, as a job."""
    plan_of(server, plan_id)
    constants = () if asked is None else asked.constants
    return begin(server, "compare", caller.who, AboutPlan(plan_id=plan_id, constants=constants))


@router.post(
    "/plans/{plan_id}/explain",
    operation_id="explain-plan",
    status_code=202,
    response_model=JobView,
    **allowed("operator"),
)
def explain(plan_id: PlanId, server: TheServer, caller: TheCaller) -> Response:
    """Have it said what limits a plan, why hosts are deferred, and what each relaxation would buy, as a job."""
    plan_of(server, plan_id)
    return begin(server, "explain", caller.who, AboutPlan(plan_id=plan_id))


def plan_of(server: Server, plan_id: str) -> StoredPlan:
    """Return a plan.

    Raises
    ------
    ApiError
        404, if there is none.
    """
    remedy = "Have one made: POST /v1/plans; or list plans: GET /v1/plans"
    return there(find_plan(server.database, plan_id), "plan", plan_id, remedy)


def _equal(**values: str | int | None) -> list[pl.Expr]:
    return [pl.col(column) == value for column, value in values.items() if value is not None]


def _table(server: Server, plan_id: str, name: str, filters: list[pl.Expr]) -> pl.DataFrame:
    plan_of(server, plan_id)
    return plan_table(server.places.plan(plan_id), name, filters)
