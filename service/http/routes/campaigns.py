"""Campaigns: created from a plan or in one call, started, looked at, and told what to do."""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict
from starlette.responses import JSONResponse, Response

from slacktide.errors import UsageError
from slacktide.executors.event_codec import to_json
from slacktide.executors.starting import process_starting
from slacktide.executors.store.campaigns import FINISHED, StoredCampaign
from slacktide.service.campaign_standing import (
    ABORTED_BEFORE,
    STARTED_THERE,
    Known,
    holding,
    known_in,
    known_of,
    standing_of,
)
from slacktide.service.campaign_terms import CampaignTerms
from slacktide.service.campaign_view import Viewed
from slacktide.service.campaigning import MOST_STARTS, said_of
from slacktide.service.control_text import view_document
from slacktide.service.curves_of_campaign import behind_s, expected_end_s
from slacktide.service.http.admission import GuardedRoute, allowed
from slacktide.service.http.campaigns_there import begun, run_of
from slacktide.service.http.given import CampaignId, TheCaller, TheServer
from slacktide.service.http.pages import Cursor, PageSize, key_of, page_of
from slacktide.service.http.problems import ApiError
from slacktide.service.http.routes.fleets import fleet_of
from slacktide.service.http.routes.jobs import JobView, begin
from slacktide.service.http.routes.plans import plan_of
from slacktide.service.http.server import Server
from slacktide.service.jobs.asked import Id, UrgentAsked
from slacktide.service.jobs.selecting import refuse_unknown
from slacktide.service.kept_files import kept_plan, refuse_damaged_fleet
from slacktide.service.store.runs import STARTED_BY_HAND, Run, RunState, find_run, list_runs

router = APIRouter(prefix="/v1/campaigns", tags=["campaigns"], route_class=GuardedRoute)

Standing = Literal[
    "proposed",
    "aborted before it began",
    "starting",
    "running",
    "paused",
    "waiting for a decision",
    "waiting for approval",
    "held up",
    "waits for its release",
    "ending, aborted",
    "aborted",
    "finished",
    "stopped",
    "failed",
]


class CampaignAsked(BaseModel):
    """A campaign that carries out a plan."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    plan_id: Id
    start: Literal["now", "on-approval"] = "now"
    """`on-approval`: it waits until somebody starts it."""
    terms: CampaignTerms = CampaignTerms()


class CarriedOut(BaseModel):
    """Who carries a campaign out."""

    word: Literal["running", "held up", "starting", "stopped"]
    who: str
    beside: str
    """Until when the lease lasts; of a holder that cannot be seen to carry it out, what is known and what to do."""


class Campaign(BaseModel):
    """A campaign as it is listed."""

    campaign_id: str
    fleet_id: str
    plan_id: str
    created_at: str
    created_by: str
    terms: CampaignTerms
    state: RunState
    """What is wanted of it: `proposed`, it waits to be started; `wanted`, it is seen to that it is carried out;
    `ended`; `failed`, the server has given it up, since its process ended every time or it came back from a backup;
    `aborted`, it was taken back before it began."""
    holder: str | None
    """The process that carries it out; null: none now."""
    finished: bool
    origin: datetime | None
    """Null: nobody has begun it."""
    standing: Standing | None
    """Null: it was not asked for (`standing=true`), which takes a look at the campaign's journal."""
    waits_for_approval: bool | None
    """Whether a wave waits for a person's approval; null as above."""
    carried_out: CarriedOut | None
    """By whom; null as above, and where nobody has begun it."""
    said: str | None
    """What its process last said that ended without finishing it, or what else keeps it from being carried out, such as
    who took it back before it began, and why."""
    tries: int
    """How often its process was started since it was to be carried out, or since it last was; 0: it is carried out."""
    most_tries: int
    """After how many in vain the server gives it up."""


class Campaigns(BaseModel):
    """A page of campaigns."""

    items: list[Campaign]
    next: str | None


class CampaignState(BaseModel):
    """Where a campaign stands; times in seconds from its origin."""

    origin: datetime | None
    now_s: float | None
    planned_s: float | None
    """When the plan ends."""
    expected_end_s: float | None
    """When the last host will be back if hosts stay as late as they return now; null: not known (yet)."""
    behind_s: float | None
    """By how much hosts return later than planned; negative: earlier."""
    hosts: dict[str, int]
    """Planned hosts by stage."""
    migrations: dict[str, int]
    """By stage."""
    waves_opened: int
    signals: dict[str, bool]
    max_out: dict[str, int | str]
    revisions: list[dict[str, Any]]
    paused: dict[str, Any] | None
    """Who asked for the pause, and why."""
    aborted: dict[str, Any] | None
    decision: dict[str, Any] | None
    """What a person has to decide (`why`, `remedy`), since when (`since_s`); null: nothing."""


class CampaignView(Campaign):
    """A campaign, and where it stands."""

    standing: Standing
    progress: CampaignState | None
    """Null: nobody has begun it."""


@router.post("", operation_id="create-campaign", status_code=201, response_model=Campaign, **allowed("operator"))
def create(asked: CampaignAsked, server: TheServer, caller: TheCaller) -> Response:
    """Have a plan carried out, at once or once somebody starts it.

    The same plan under the same terms is the same campaign: it is created once.
    """
    stored = plan_of(server, asked.plan_id)
    plan = kept_plan(server.places.plan(asked.plan_id))
    refuse_damaged_fleet(server.places.fleet(stored.fleet_id))
    start = asked.start == "now"
    run, is_new = server.campaigning.propose(plan, stored.fleet_id, asked.terms, caller.who, start=start)
    if not is_new:
        path = f"/v1/campaigns/{run.campaign_id}"
        remedy = f"{_instead(run_of(server, run.campaign_id))}; look at it: GET {path}"
        fact = "of this plan under these terms is there already"
        raise ApiError(409, "campaign-exists", f"campaign {run.campaign_id}", fact, remedy, {"Location": path})
    if start:
        server.campaigning.look()
    content = _listed(server, run_of(server, run.campaign_id), standing=True)
    return JSONResponse(content, 201, {"Location": f"/v1/campaigns/{run.campaign_id}"})


@router.post(
    "/urgent", operation_id="create-urgent-campaign", status_code=202, response_model=JobView, **allowed("operator")
)
def urgent(asked: UrgentAsked, server: TheServer, caller: TheCaller) -> Response:
    """Patch these hosts by then: a job makes the plan and has it carried out; its result names plan and campaign.

    Where the plan ends after the deadline, the result says so (`late_hosts`, `late_by_s`, and in words `said`).
    """
    fleet_of(server, asked.fleet_id)
    if asked.terms.profile is not None:
        server.campaigning.profile(asked.terms.profile)
    _refuse_past(asked.deadline)
    refuse_unknown(server.places.fleet(asked.fleet_id), asked.hosts, "body.hosts")
    return begin(server, "urgent", caller.who, asked)


@router.get("", operation_id="list-campaigns", response_model=Campaigns, **allowed("viewer"))
def list_all(
    server: TheServer,
    fleet_id: Annotated[str | None, Query(pattern=r"^[0-9a-f]{16}$")] = None,
    campaign_id: Annotated[str | None, Query(pattern=r"^[0-9a-f]{16}$")] = None,
    standing: bool = False,
    cursor: Cursor = None,
    limit: PageSize = 100,
) -> dict[str, Any]:
    """List campaigns, by id: all, a fleet's, or one; only on request with a look at how each stands."""
    if campaign_id is not None:
        one = find_run(server.database, campaign_id)
        return {"items": [] if one is None else [_listed(server, one, standing=standing)], "next": None}
    found = list_runs(server.database, key_of(cursor), limit + 1, fleet_id)
    return page_of(
        [_listed(server, run, standing=standing) for run in found], limit, [run.campaign_id for run in found]
    )


@router.get("/{campaign_id}", operation_id="get-campaign", response_model=CampaignView, **allowed("viewer"))
def get(campaign_id: CampaignId, server: TheServer) -> dict[str, Any]:
    """Look at a campaign: where it stands, who carries it out, how many hosts and migrations are where."""
    run, stored = run_of(server, campaign_id), server.views.stored(campaign_id)
    if stored is None:
        return {**_listed(server, run, standing=True), "progress": None}
    return {**_listed(server, run), **server.views.look(run, stored, "standing", _standing, by_clock=True)}


@router.post("/{campaign_id}/start", operation_id="start-campaign", response_model=Campaign, **allowed("operator"))
def start(campaign_id: CampaignId, server: TheServer) -> dict[str, Any]:
    """Start a campaign that was proposed, one that was aborted before it began, or one that the server has given up."""
    server.campaigning.start(run_of(server, campaign_id), server.views.stored(campaign_id))
    return _listed(server, run_of(server, campaign_id), standing=True)


@router.post(
    "/{campaign_id}/take-over", operation_id="take-over-campaign", response_model=Campaign, **allowed("operator")
)
def take_over(campaign_id: CampaignId, server: TheServer) -> dict[str, Any]:
    """Take a campaign from a coordinator that still holds it and can do nothing more from then on.

    For one on a machine that hangs: a lease that has lapsed is taken without being asked.
    """
    server.campaigning.take_over(*begun(server, campaign_id))
    return _listed(server, run_of(server, campaign_id), standing=True)


def _refuse_past(deadline: datetime | None) -> None:
    now = datetime.now(UTC)
    if deadline is not None and deadline <= now:
        fact = f"is {deadline.isoformat()}, and by the server's clock it is {now.isoformat(timespec='seconds')}"
        raise UsageError("body.deadline", fact, "Give a moment that is still to come, or `within_s`")


def _standing(viewed: Viewed) -> dict[str, Any]:
    told = view_document(viewed, [])
    paused, aborted = viewed.state.paused, viewed.state.aborted
    progress = {
        **{name: told[name] for name in CampaignState.model_fields if name in told},
        "origin": viewed.stored.record.origin,
        "expected_end_s": expected_end_s(viewed.state, viewed.now_s),
        "behind_s": behind_s(viewed.state, viewed.now_s),
        "paused": None if paused is None else to_json(paused),
        "aborted": None if aborted is None else to_json(aborted),
    }
    return {
        "standing": told["standing"],
        "waits_for_approval": known_of(viewed.state, viewed.now_s).waits_for_approval,
        "carried_out": viewed.held._asdict(),
        "progress": progress,
    }


def _instead(run: Run) -> str:
    """Return what is to be done where the plan of a campaign is to be carried out, and the campaign is there."""
    if run.state in STARTED_BY_HAND:
        return f"Start that one: POST /v1/campaigns/{run.campaign_id}/start"
    if run.profile is None:
        return "Give terms of its own, such as another seed of the simulation"
    return "To have hosts of the profile patched again, import them as they are now and plan on that fleet"


def _not_begun(run: Run) -> str:
    return {"proposed": "proposed", "failed": "failed", "aborted": ABORTED_BEFORE}.get(run.state, "starting")


def _how(server: Server, run: Run, stored: StoredCampaign | None) -> dict[str, Any]:
    """Return how a campaign stands and who carries it out; of one that has finished, as once found out."""
    if stored is None:
        return {"standing": _not_begun(run), "waits_for_approval": False}
    finished, store = stored.state == FINISHED, server.database.store
    directory = server.places.campaign(run.campaign_id)
    starting = None if finished else process_starting(directory)

    def known() -> Known:
        return known_in(stored, store, directory)

    found = server.ended.get("standing", run.campaign_id, known) if finished else known()
    return {
        "standing": standing_of(found, stored, starting),
        "waits_for_approval": found.waits_for_approval,
        "carried_out": holding(stored, starting, STARTED_THERE)._asdict(),
    }


def _listed(server: Server, run: Run, *, standing: bool = False) -> dict[str, Any]:
    stored = server.views.stored(run.campaign_id)
    told = run._asdict()
    return {
        **{name: told[name] for name in Campaign.model_fields if name in told},
        "terms": run.asked,
        "tries": run.starts,
        "most_tries": MOST_STARTS,
        "said": said_of(run, stored),
        "holder": stored.holder if stored is not None and stored.is_held else None,
        "finished": stored is not None and stored.state == FINISHED,
        "origin": None if stored is None else stored.record.origin.isoformat(),
        **{"standing": None, "waits_for_approval": None, "carried_out": None},
        **(_how(server, run, stored) if standing else {}),
    }
