"""What is drawn of plans and campaigns: curves of a few hundred steps each, whatever the size of the fleet."""

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel
from starlette.responses import JSONResponse, Response

from slacktide.executors.report_view import CampaignReport, ReportView
from slacktide.planner.policy import Policy
from slacktide.service.campaign_view import Viewed
from slacktide.service.curves_of_campaign import Fleet, campaign_curves
from slacktide.service.curves_of_plan import bound_curve, plan_curves
from slacktide.service.http.admission import GuardedRoute, allowed
from slacktide.service.http.campaigns_there import begun
from slacktide.service.http.given import CampaignId, PlanId, TheServer
from slacktide.service.http.routes.plans import plan_of
from slacktide.service.http.server import Server
from slacktide.service.kept_files import fleet_table, kept_fleet, kept_plan
from slacktide.service.store.inventory import StoredPlan

router = APIRouter(prefix="/v1", route_class=GuardedRoute)


class Curve(BaseModel):
    """A quantity that jumps: `value[i]` holds from `at_s[i]` until `at_s[i + 1]`, the last one to the end."""

    at_s: list[float]
    value: list[float]


class Out(BaseModel):
    """Hosts out at once, in the fleet or in the failure domain of a kind that comes closest to its limit."""

    kind: str
    domain: str
    """Empty for the fleet."""
    hosts: int
    limit: int
    planned: Curve


class OutSoFar(Out):
    """The same, planned and measured."""

    measured: Curve


class WaveSpan(BaseModel):
    """When a wave's hosts drain and are patched: from its first host's beginning to its last host's end."""

    wave: int
    drain_from_s: float
    drain_to_s: float
    patch_from_s: float
    patch_to_s: float


class Link(BaseModel):
    """How migrations use one of the links that carry the most; shares are of what migrations may take."""

    name: str
    between_switches: bool
    capacity_mbit_s: int
    limit_mbit_s: float
    mean_share: float
    peak_share: float
    planned: Curve


class BlackoutSeries(BaseModel):
    """Blackouts of one count: the share of live migrations in each bin, and quantiles."""

    count: int
    share: list[float]
    p50_ms: float
    p99_ms: float
    max_ms: float


class Blackouts(BaseModel):
    """Blackouts of live migrations over common bins; restarts are counted apart."""

    limit_ms: int
    """The policy's, for VMs without their own."""
    restarts: int
    edges_ms: list[float]
    series: dict[str, BlackoutSeries]


class BlackoutsSoFar(Blackouts):
    """The same, planned beside measured."""

    above: int
    """Live migrations above their VM's limit, by the longer count, the probe's less what it cannot see."""
    longest_above_ms: float | None
    """The longest of these; null: none is above."""
    longest_above_limit_ms: float | None
    """The limit of that one's VM."""


class PlanCurves(BaseModel):
    """What is drawn of a plan; times in seconds from its origin."""

    plan_id: str
    horizon_s: float
    due: int
    waves: list[WaveSpan]
    out: list[Out]
    exposure: Curve
    """Due hosts not yet patched."""
    links: list[Link]
    blackouts: Blackouts


class BoundCurve(BaseModel):
    """Due hosts that any plan for the same hosts leaves unpatched at each moment, at the least."""

    plan_id: str
    bound: Curve


class CampaignCurves(BaseModel):
    """What is drawn of a campaign; times in seconds from its origin, measured ones as far as it has got."""

    campaign_id: str
    now_s: float
    horizon_s: float
    due: int
    out: list[OutSoFar]
    exposure: Curve
    """Due hosts not yet patched, as planned."""
    returned: Curve
    """The same, measured."""
    exposed_host_h: float
    """The exposure so far."""
    makespan_s: float | None
    """When the last host was back so far, or empty where it was evacuated; null: none is."""
    blackouts: BlackoutsSoFar


@router.get(
    "/plans/{plan_id}/curves",
    operation_id="get-plan-curves",
    response_model=PlanCurves,
    tags=["plans"],
    **allowed("viewer"),
)
def of_plan(plan_id: PlanId, server: TheServer) -> Response:
    """Look at a plan as curves: waves, hosts out against limits, exposure, hottest links, predicted blackouts."""
    stored = plan_of(server, plan_id)
    found = server.kept.get("plan curves", plan_id, lambda: plan_curves(_view(server, stored)))
    return JSONResponse({"plan_id": plan_id, **found})


@router.get(
    "/plans/{plan_id}/exposure-bound",
    operation_id="get-plan-exposure-bound",
    response_model=BoundCurve,
    tags=["plans"],
    **allowed("viewer"),
)
def bound(plan_id: PlanId, server: TheServer) -> Response:
    """Look at the curve below which the exposure of no plan can run; for 10,000 hosts it takes some seconds, once."""
    stored = plan_of(server, plan_id)
    found = server.kept.get("exposure bound", plan_id, lambda: bound_curve(_view(server, stored)))
    return JSONResponse({"plan_id": plan_id, "bound": found})


@router.get(
    "/campaigns/{campaign_id}/curves",
    operation_id="get-campaign-curves",
    response_model=CampaignCurves,
    tags=["campaigns"],
    **allowed("viewer"),
)
def of_campaign(campaign_id: CampaignId, server: TheServer) -> Response:
    """Look at a campaign as curves: hosts out, exposure and blackouts, planned beside measured."""
    run, stored = begun(server, campaign_id)
    plan = plan_of(server, run.plan_id)
    known = server.kept.get("fleet of plan", run.plan_id, lambda: _fleet(server, plan))
    max_out, makespan_s = server.views.look(run, stored, "limits", _limits)
    fleet = known._replace(max_out={**known.max_out, **max_out})

    def drawn(report: CampaignReport, deferred: int) -> dict[str, Any]:
        return campaign_curves(report, fleet, makespan_s, deferred)

    return JSONResponse({"campaign_id": campaign_id, **server.views.derive(run, stored, "curves", drawn)})


def _view(server: Server, stored: StoredPlan) -> ReportView:
    snapshot, plan = (
        kept_fleet(server.places.fleet(stored.fleet_id)),
        kept_plan(server.places.plan(stored.plan_id)),
    )
    return ReportView(snapshot, plan, None)


def _fleet(server: Server, stored: StoredPlan) -> Fleet:
    folder, policy = server.places.fleet(stored.fleet_id), Policy.model_validate(stored.header["policy"])
    return Fleet(
        host_ids=fleet_table(folder, "hosts", columns=["host_id"])["host_id"],
        domains=fleet_table(folder, "domains"),
        max_out=policy.max_out,
        blackout_limit_ms=policy.migration.blackout_limit_ms,
    )


def _limits(viewed: Viewed) -> tuple[dict[str, int | str], float]:
    return dict(viewed.state.max_out), float(viewed.state.program.makespan_s)
