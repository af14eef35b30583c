"""Every host at a glance, as columns: where it is, when a plan has it leave, how far a campaign is with it."""

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel
from starlette.responses import JSONResponse, Response

from slacktide.service.campaign_view import Viewed
from slacktide.service.columns_of_fleet import fleet_columns, plan_columns
from slacktide.service.curves_of_campaign import host_stages
from slacktide.service.http.admission import GuardedRoute, allowed
from slacktide.service.http.campaigns_there import begun
from slacktide.service.http.given import CampaignId, FleetId, PlanId, TheServer
from slacktide.service.http.routes.fleets import fleet_of
from slacktide.service.http.routes.plans import plan_of
from slacktide.service.http.server import Server

router = APIRouter(prefix="/v1", route_class=GuardedRoute)


class FleetMap(BaseModel):
    """A fleet's hosts as columns of equal length, by id; the lists of names are what numbers stand for."""

    fleet_id: str
    host_id: list[str]
    laid_out_by: str | None
    """Kind of failure domain that `rows` are; null: the fleet has none, and one row."""
    rows: list[str]
    row: list[int]
    racks: list[str]
    rack: list[int]
    types: list[str]
    type: list[int]
    levels: list[str]
    level: list[int]
    states: list[str]
    state: list[int]
    vms: list[int]
    memory_fill: list[int]
    """Memory of its VMs, per mille of what it sells."""
    vcpu_fill: list[int]


class PlanMap(BaseModel):
    """A plan's hosts as columns in the order of the fleet's map; null: the plan leaves the host alone."""

    plan_id: str
    fleet_id: str
    wave: list[int | None]
    drain_start_s: list[int | None]
    drained_s: list[int | None]
    return_s: list[int | None]
    reasons: list[str]
    deferred: list[int | None]
    """Number into `reasons` of a host that is due and deferred."""


class CampaignMap(BaseModel):
    """How far a campaign is with every host."""

    campaign_id: str
    number: int
    """Of the newest event in it: follow events after it."""
    now_s: float
    finished: bool
    stages: str
    """One character for each host in the order of the fleet's map: 0 in service, 1 draining, 2 drained, 3 and 4 being
    patched, 5 returned, 6 failed, 7 blocked, 8 lost, 9 evacuated; `-` the plan leaves it alone."""
    skipped: list[str]
    evacuated: list[str]
    """Hosts that are emptied, or were, because they are about to fail."""


@router.get(
    "/fleets/{fleet_id}/map",
    operation_id="get-fleet-map",
    response_model=FleetMap,
    tags=["fleets"],
    **allowed("viewer"),
)
def fleet_map(fleet_id: FleetId, server: TheServer) -> Response:
    """Look at all hosts of a fleet at once: row, rack, state and fill of each, as columns."""
    fleet_of(server, fleet_id)
    return JSONResponse({"fleet_id": fleet_id, **columns_of(server, fleet_id)})


@router.get(
    "/plans/{plan_id}/map", operation_id="get-plan-map", response_model=PlanMap, tags=["plans"], **allowed("viewer")
)
def plan_map(plan_id: PlanId, server: TheServer) -> Response:
    """Look at all hosts of a plan at once: wave and times of each, as columns."""
    fleet_id = plan_of(server, plan_id).fleet_id

    def made() -> dict[str, Any]:
        return plan_columns(server.places.plan(plan_id), columns_of(server, fleet_id)["host_id"])

    columns = server.kept.get("plan map", plan_id, made)
    return JSONResponse({"plan_id": plan_id, "fleet_id": fleet_id, **columns})


@router.get(
    "/campaigns/{campaign_id}/map",
    operation_id="get-campaign-map",
    response_model=CampaignMap,
    tags=["campaigns"],
    **allowed("viewer"),
)
def campaign_map(campaign_id: CampaignId, server: TheServer) -> Response:
    """Look at the stage of all hosts of a campaign at once, one character each."""
    run, stored = begun(server, campaign_id)
    return JSONResponse({"campaign_id": campaign_id, **server.views.look(run, stored, "map", _stages)})


def columns_of(server: Server, fleet_id: str) -> dict[str, Any]:
    """Return a fleet's columns."""
    return server.kept.get("fleet map", fleet_id, lambda: fleet_columns(server.places.fleet(fleet_id)))


def _stages(viewed: Viewed) -> dict[str, Any]:
    return host_stages(viewed.state)
