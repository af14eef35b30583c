"""Orders: what a campaign under way is told to do, and what came of it."""

from typing import Any, Final

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse, Response

from slacktide.executors.campaign_file import holds_campaign
from slacktide.executors.control_events import OrderRefused
from slacktide.executors.event_codec import to_json
from slacktide.executors.orders import Abort, Evacuate, Order, Revise, Skip
from slacktide.executors.store.campaigns import RESTORED
from slacktide.service.campaign_standing import ABORTED_BEFORE
from slacktide.service.campaign_view import Viewed, ask_for, refuse_unknown_host, waits_for_release
from slacktide.service.http.admission import GuardedRoute, allowed
from slacktide.service.http.campaigns_there import begun, has_not_begun, run_of
from slacktide.service.http.given import CampaignId, TheAdmission, TheCaller, TheServer
from slacktide.service.one_line import MOST_SAID, ONE_LINE
from slacktide.service.store.audit import Deed

router = APIRouter(prefix="/v1/campaigns", tags=["campaigns"], route_class=GuardedRoute)

ANSWER_S: Final = 5.0
"""How long an order is waited for; planning anew may take longer, and is then answered with 202."""


class Ordered(BaseModel):
    """Something that is asked of a campaign under way."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    order: Order
    why: str = Field(default="", max_length=MOST_SAID, pattern=ONE_LINE)
    """One line of text, which is kept in the campaign's journal."""


class OrderAnswer(BaseModel):
    """What the campaign's coordinator does about it."""

    order: int | None
    """The order's number in the campaign; null: it was an abort, and the campaign had not begun: it does not begin."""
    granted: bool | None
    """Null: nobody has answered yet; the order waits."""
    answer: dict[str, Any] | None
    """The event in the journal that grants or refuses it; null: there is none."""
    carried_out_by: str | None
    """Who carries the campaign out and has not answered yet; null: nobody does, or there is an answer."""
    trouble: str | None
    """Why the store could not be looked at for an answer; null: it could."""


class WaitingOrder(BaseModel):
    """An order that whoever carries the campaign out has not answered yet."""

    order: int
    kind: str
    by: str
    why: str | None
    asked_at: str


class Orders(BaseModel):
    """What was asked of a campaign, what came of it, and the plans that it has gone over to."""

    answered: list[dict[str, Any]]
    waiting: list[WaitingOrder]
    """Those that nobody has answered yet."""
    newest: int
    """Number of the newest, answered or not; 0: nothing was asked."""


@router.post("/{campaign_id}/orders", operation_id="order-campaign", response_model=OrderAnswer, **allowed("operator"))
def order(
    campaign_id: CampaignId, asked: Ordered, server: TheServer, caller: TheCaller, admission: TheAdmission
) -> Response:
    """Ask something of a campaign: approve, pause, resume, abort, skip, limits, revise, evacuate.

    200 once it is granted or refused, which the answer says; 202 while it waits to be answered. A campaign that has not
    begun can be aborted alone: it then does not begin.
    """
    admission.deed = Deed(asked=asked.order.kind, why=asked.why or None)
    run, stored = run_of(server, campaign_id), server.views.stored(campaign_id)
    if stored is not None and stored.state == RESTORED:
        raise waits_for_release(stored)
    directory = server.places.campaign(campaign_id)
    if not holds_campaign(directory):
        if not isinstance(asked.order, Abort) or server.views.stored(campaign_id) is not None:
            raise has_not_begun(run)
        why = f": {asked.why}" if asked.why else ""
        if server.campaigning.take_back(run, f"{ABORTED_BEFORE}, by {caller.who}{why}"):
            admission.deed = admission.deed._replace(granted=True)
            taken_back = {"order": None, "granted": True, "answer": None, "carried_out_by": None, "trouble": None}
            return JSONResponse(taken_back)
    store = server.database.store.url.render_as_string(hide_password=False)
    for host in _hosts_named(asked.order):
        refuse_unknown_host(directory, store, host)
    found = ask_for(directory, store, asked.order, caller.who, asked.why, ANSWER_S)
    about = {"order": found.number, "carried_out_by": found.holder, "trouble": found.trouble}
    if found.answer is None:
        return JSONResponse({**about, "granted": None, "answer": None}, 202)
    server.views.refresh(run)
    told = to_json(found.answer)
    refusal = found.answer.reason if isinstance(found.answer, OrderRefused) else None
    admission.deed = admission.deed._replace(granted=refusal is None, outcome=refusal)
    return JSONResponse({**about, "granted": refusal is None, "answer": told})


@router.get("/{campaign_id}/orders", operation_id="list-campaign-orders", response_model=Orders, **allowed("viewer"))
def orders(campaign_id: CampaignId, server: TheServer) -> dict[str, Any]:
    """List what was asked of a campaign and what came of it, and what waits to be answered."""
    run, stored = begun(server, campaign_id)
    answered, last = server.views.look(run, stored, "orders", _answered)
    asked = server.views.orders(campaign_id)
    if any(each.number > last for each in asked):  # it may have been answered since
        (answered, last), _ = server.views.glance(run, stored, _answered)
    waiting = [
        {"order": each.number, "kind": each.kind, "by": each.by, "why": each.why, "asked_at": each.asked_at}
        for each in asked
        if each.number > last
    ]
    return {"answered": answered, "waiting": waiting, "newest": max((each.number for each in asked), default=0)}


def _hosts_named(order: Order) -> tuple[str, ...]:
    match order:
        case Skip() | Evacuate():
            return (order.host_id,)
        case Revise():
            return order.add_hosts
    return ()


def _answered(viewed: Viewed) -> tuple[list[dict[str, Any]], int]:
    return [to_json(event) for event in viewed.orders], viewed.state.orders
