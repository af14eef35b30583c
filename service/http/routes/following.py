"""A campaign as people follow it: where it stands in words, and how far it is, as a stream."""

import time
from collections.abc import AsyncIterator
from dataclasses import asdict, replace
from typing import Any, Final

from anyio import sleep
from anyio.to_thread import run_sync
from fastapi import APIRouter
from pydantic import BaseModel
from starlette.responses import Response, StreamingResponse

from slacktide.executors.decisions import Scheduler
from slacktide.executors.events import Event
from slacktide.executors.order_state import DECIDE
from slacktide.executors.progress import Progress, progress
from slacktide.executors.rules import Rules
from slacktide.executors.waiting import waiting
from slacktide.service.campaign_news import CampaignNews
from slacktide.service.campaign_terms import CampaignTerms
from slacktide.service.campaign_text import left_text
from slacktide.service.campaign_view import Viewed
from slacktide.service.control_text import not_patched_now, orders_text, view_document, view_rows, waiting_text
from slacktide.service.http.admission import GuardedRoute, allowed
from slacktide.service.http.campaigns_there import begun, run_of
from slacktide.service.http.given import CampaignId, TheAdmission, TheServer
from slacktide.service.http.pages import model_of
from slacktide.service.http.routes.events import (
    HEARTBEAT_S,
    EventStream,
    LastEventId,
    event_text,
    number_of_event,
)
from slacktide.service.http.server import Server
from slacktide.service.store.runs import Run
from slacktide.service.words import plain

router = APIRouter(prefix="/v1/campaigns/{campaign_id}", tags=["campaigns"], route_class=GuardedRoute)

LOOK_S: Final = 1.0
"""How often a stream looks how far the campaign is."""
TOLD_AT_ONCE: Final = 10_000
"""Events that one look tells of in lines.

Who goes on after the first of a campaign's millions of events would else have the server hold all of them at once.
"""
APPROVED: Final = "the simulation"
"""Who approves waves of simulated hosts, where nobody is to be asked."""
_STREAM: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": (
            "Server-sent events: `progress`, figures that have changed; `news`; `end` once it has finished; `problem` "
            "at the end, where it cannot be read on."
        ),
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    }
}


class Words(BaseModel):
    """The same for people."""

    rows: list[list[str]]
    """Label, value and what belongs beside it."""
    left: str | None
    """Hosts that are not patched and will not be by this campaign; null: none."""
    orders: str | None
    """What was asked of it; null: nothing."""
    waiting: str | None
    """Who waits for what, the first ones named; null: nobody."""


class Look(BaseModel):
    """Where a campaign stands, as `slacktide campaign show` says it."""

    document: dict[str, Any]
    """All but `waiting`, which is in pages: GET /v1/campaigns/ID/waiting."""
    words: Words
    planned_hosts: int
    """Of the plan and its revisions, as the report compares with them."""
    deferred_hosts: int


Far = model_of(Progress)


@router.get("/look", operation_id="look-at-campaign", response_model=Look, **allowed("viewer"))
def look(campaign_id: CampaignId, server: TheServer) -> dict[str, Any]:
    """Look at a campaign as the command line does: one document, and the same in words."""
    run, stored = begun(server, campaign_id)
    hosts, deferred = server.views.planned(run)
    seen, _ = server.views.glance(run, stored, _seen)
    return {**seen, "planned_hosts": hosts, "deferred_hosts": deferred}


@router.get("/progress", operation_id="get-campaign-progress", response_model=Far, **allowed("viewer"))
def far(campaign_id: CampaignId, server: TheServer) -> dict[str, Any]:
    """Look at how far a campaign is, in figures."""
    return asdict(_far(server, campaign_id))


@router.get(
    "/progress/stream",
    operation_id="stream-campaign-progress",
    response_class=StreamingResponse,
    responses=_STREAM,
    **allowed("viewer"),
)
def stream(
    campaign_id: CampaignId,
    server: TheServer,
    admission: TheAdmission,
    news: bool = False,
    last_event_id: LastEventId = None,
) -> Response:
    """Follow how far a campaign is, until it has finished: a few figures a second, however many events there are.

    With `news` it is told in lines what happens, as `slacktide campaign watch` does.
    """
    begun(server, campaign_id)
    after = number_of_event(last_event_id)
    return EventStream(_told(_Telling(server, campaign_id, after) if news else None, server, campaign_id), admission)


async def _told(telling: "_Telling | None", server: Server, campaign_id: str) -> AsyncIterator[str]:
    await run_sync(_far, server, campaign_id)  # what keeps it from being read is the answer
    yield "retry: 2000\n\n"
    before: Progress | None = None
    heard_s = time.monotonic()
    while True:
        lines: list[str] = []
        has_more = False
        if telling is None:
            now = await run_sync(_far, server, campaign_id)
        else:
            now, lines = await run_sync(telling.look)
            has_more = telling.has_more
        if now != before:
            yield event_text("progress", asdict(now))
        for line in lines:
            yield event_text("news", line)
        if telling is not None and (lines or now != before):
            yield f"id: {telling.last}\n\n"
        if now != before or lines:
            before, heard_s = now, time.monotonic()
        elif time.monotonic() - heard_s >= HEARTBEAT_S:
            heard_s = time.monotonic()
            yield ": nothing new\n\n"
        if has_more:
            continue
        if now.finished or await run_sync(_is_given_up, server, campaign_id):
            yield event_text("end", None)
            return
        await sleep(LOOK_S)


class _Telling:
    """What a stream has told of a campaign, and what is to be told next."""

    def __init__(self, server: Server, campaign_id: str, after: int | None) -> None:
        self._server, self._campaign_id = server, campaign_id
        self._news = CampaignNews()
        self.last = after
        """Number of the newest event that was told of; null: none, and what was before is not told."""
        self.has_more = False
        """Whether the campaign has events already that are to be told next."""

    def look(self) -> tuple[Progress, list[str]]:
        """Return how far the campaign is, and lines of what has happened since the look before.

        Of many events it tells no more than :data:`TOLD_AT_ONCE`, and of the others next time.
        """
        run, stored = begun(self._server, self._campaign_id)
        events = [] if self.last is None else self._since(self.last)

        def see(viewed: Viewed) -> tuple[Progress, list[str]]:
            waits = waiting(viewed.state, viewed.now_s)
            return _progress(viewed, run), list(self._news.lines(viewed, events, waits))

        seen, newest = self._server.views.glance(run, stored, see)
        self.last = newest if self.last is None else self.last + len(events)
        self.has_more = self.last < newest
        return seen

    def _since(self, last: int) -> list[Event]:
        return [entry.event for entry in self._server.views.events(self._campaign_id, last, TOLD_AT_ONCE)]


def _is_given_up(server: Server, campaign_id: str) -> bool:
    return run_of(server, campaign_id).state == "failed"


def _far(server: Server, campaign_id: str) -> Progress:
    run, stored = begun(server, campaign_id)
    return server.views.look(run, stored, "progress", lambda viewed: _progress(viewed, run), by_clock=True)


def _progress(viewed: Viewed, run: Run) -> Progress:
    """Return how far it is, and what keeps it, as far as that is in the journal."""
    state, terms = viewed.state, CampaignTerms.model_validate(run.asked)
    now = replace(progress(state, state.program), now_s=viewed.now_s)
    if state.finished:
        return now
    asks = terms.profile is not None or terms.simulation.ask_for_approval
    drift = terms.on_drift or ("revise" if terms.profile is None else "ask")
    rules = Rules(approve_as=None if asks else APPROVED, on_drift=drift)
    waits_for = Scheduler(state.program, state, rules).waits_for()
    if state.decision is not None and state.paused is None:
        waits_for = f"{state.decision.why}; {DECIDE}"
    return replace(now, waits_for=waits_for)


def _seen(viewed: Viewed) -> dict[str, Any]:
    waits = waiting(viewed.state, viewed.now_s)
    left = not_patched_now(viewed.state)
    asked = orders_text(viewed.orders, viewed.asked_for, viewed.state.orders, viewed.clock)
    document = view_document(viewed, [])
    del document["waiting"]
    words = {
        "rows": [[plain(cell) for cell in row] for row in view_rows(viewed)],
        "left": left_text(left, "with --json").plain if left.why else None,
        "orders": asked.plain if asked else None,
        "waiting": waiting_text(waits, viewed.now_s).plain if waits else None,
    }
    return {"document": document, "words": words}
