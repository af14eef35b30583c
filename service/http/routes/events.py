"""A campaign's events: in pages, and as a stream that goes on where it broke off."""

import json
import time
from collections.abc import AsyncIterator, Sequence
from typing import Annotated, Any, Final, Literal

from anyio import sleep
from anyio.to_thread import run_sync
from fastapi import APIRouter, Header, Query
from pydantic import BaseModel
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from slacktide.executors.event_codec import to_json
from slacktide.executors.events import AgentEvent, CampaignFinished, Event, HostEvent, MigrationEvent, VmEvent
from slacktide.executors.journal import Entry
from slacktide.service.http.admission import Admission, GuardedRoute, allowed
from slacktide.service.http.campaigns_there import begun
from slacktide.service.http.given import CampaignId, Name, TheAdmission, TheServer
from slacktide.service.http.pages import PageSize
from slacktide.service.http.problems import ApiError, answer_of, problem_of
from slacktide.service.http.server import Server
from slacktide.service.kept_files import FAILURES

router = APIRouter(prefix="/v1/campaigns/{campaign_id}/events", tags=["events"], route_class=GuardedRoute)

LOOK_S: Final = 0.5
"""How often a stream looks for what is new."""
HEARTBEAT_S: Final = 15.0
"""After how long without an event a comment is sent: proxies take a connection for dead after 30 to 60 s."""
READ_AT_ONCE: Final = 1000
SEARCHED: Final = 50_000
"""Events that one page looks through for those of a type: a third of a second."""
LAST: Final = 2**31 - 1
PROBLEM: Final = "problem"
"""The event with which a stream ends that cannot be read on."""
Number = Annotated[int, Query(ge=0, le=LAST, description="Events after this number.")]
LastEventId = Annotated[str | None, Header(max_length=20)]
Kind = Literal["campaign", "hosts", "migrations", "vms", "agents"]
Kinds = Annotated[list[Kind], Query(max_length=5, description="Only events about these; none: all.")]
_KINDS: Final[tuple[tuple[type[Event], Kind], ...]] = (
    (HostEvent, "hosts"),
    (MigrationEvent, "migrations"),
    (VmEvent, "vms"),
    (AgentEvent, "agents"),
)
_STREAM: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": (
            "Server-sent events: `id` is the number in the journal, `event` the type, `data` all of it; at the end an "
            "event `problem`, where it cannot be read on."
        ),
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    }
}


class NumberedEvent(BaseModel):
    """An event with its number in the journal, counted from 1 without gaps."""

    number: int
    event: dict[str, Any]


class Events(BaseModel):
    """Some events, and where to go on."""

    items: list[NumberedEvent]
    last: int
    """Send it as `after` for the next ones."""


@router.get("", operation_id="list-campaign-events", response_model=Events, **allowed("viewer"))
def page(
    campaign_id: CampaignId,
    server: TheServer,
    after: Number = 0,
    type: Name = None,
    about: Kinds = [],  # noqa: B006  (never changed)
    limit: PageSize = 100,
) -> dict[str, Any]:
    """List events in the order of the journal: all, or those of a type or about some kinds of things."""
    begun(server, campaign_id)
    _known(server, campaign_id, "after", after)
    found: list[Entry] = []
    filtered = type is not None or bool(about)
    last = after
    while last - after < SEARCHED and len(found) < limit:
        entries = server.views.events(campaign_id, last, READ_AT_ONCE if filtered else limit)
        for entry in entries:
            if len(found) == limit:
                break
            last = entry.number
            if type in (None, entry.event.type) and _is_about(entry.event, about):
                found.append(entry)
        if not filtered or len(entries) < READ_AT_ONCE:
            break
    return {"items": [{"number": each.number, "event": to_json(each.event)} for each in found], "last": last}


@router.get(
    "/stream",
    operation_id="stream-campaign-events",
    response_class=StreamingResponse,
    responses=_STREAM,
    **allowed("viewer"),
)
def stream(
    campaign_id: CampaignId,
    server: TheServer,
    admission: TheAdmission,
    after: Number = 0,
    about: Kinds = [],  # noqa: B006  (never changed)
    last_event_id: LastEventId = None,
) -> Response:
    """Follow events as they are journaled, after `Last-Event-ID` or `after`, until the campaign has finished.

    Where only some are asked for, an `id` without an event now and then says how far the stream is.  What keeps it from
    being read on is an event `problem`, as errors are, and ends it.
    """
    begun(server, campaign_id)
    told = number_of_event(last_event_id)
    after = after if told is None else told
    known = _known(server, campaign_id, "after" if told is None else "Last-Event-ID", after)
    if known and isinstance(known[0].event, CampaignFinished):
        return EventStream(_nothing(), admission)
    return EventStream(_events(server, campaign_id, after, about), admission)


def _known(server: Server, campaign_id: str, what: str, after: int) -> list[Entry]:
    """Return the event that others are to come after, if any is.

    Raises
    ------
    ApiError
        422, if the campaign does not have it.
    """
    known = server.views.events(campaign_id, after - 1, 1) if after else []
    if after and not known:
        remedy = f"Begin anew without it, or list events: GET /v1/campaigns/{campaign_id}/events"
        raise ApiError(422, "event-id", what, f"is {after}, and the campaign has no such event (yet)", remedy)
    return known


def number_of_event(last_event_id: str | None) -> int | None:
    """Return the number of the event that a stream is to go on after; None: it begins.

    Raises
    ------
    ApiError
        422, if it is no number of an event.
    """
    if last_event_id is None:
        return None
    if not (last_event_id.isascii() and last_event_id.isdecimal() and int(last_event_id) <= LAST):
        fact = "is not the number of an event"
        raise ApiError(422, "event-id", "Last-Event-ID", fact, "Send the last `id` of the stream, or leave it out")
    return int(last_event_id)


class EventStream(StreamingResponse):
    """A stream that has room while it is sent, and makes room for another once it has ended, however it does.

    Where there is none, the answer is 503; where the first piece cannot be read, it is why.  Where a later one cannot,
    the last event is that `problem`.
    """

    def __init__(self, pieces: AsyncIterator[str], admission: Admission) -> None:
        super().__init__(pieces, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})
        self._pieces, self._admission = pieces, admission

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the stream."""
        streams, who = self._admission.server.streams, self._admission.caller.who
        full = streams.take(who)
        if full is not None:
            error = ApiError(503, "streams", "server", full, "Wait, or close others", {"Retry-After": "30"})
            await answer_of(error, self._admission.request_id)(scope, receive, send)
            return
        try:
            try:
                first = await anext(self._pieces)
            except FAILURES as error:
                await answer_of(error, self._admission.request_id, self._hidden)(scope, receive, send)
                return
            self.body_iterator = self._from(first)
            await super().__call__(scope, receive, send)
        finally:
            streams.leave(who)

    @property
    def _hidden(self) -> str:
        return str(self._admission.server.places.data)

    async def _from(self, first: str) -> AsyncIterator[str]:
        yield first
        try:
            async for piece in self._pieces:
                yield piece
        except FAILURES as error:
            problem, _ = problem_of(error, self._admission.request_id, self._hidden)
            yield event_text(PROBLEM, problem.model_dump(mode="json", exclude_none=True))


def event_text(kind: str, data: object) -> str:
    """Return an event as a stream has it."""
    return f"event: {kind}\ndata: {json.dumps(data)}\n\n"


def _is_about(event: Event, kinds: Sequence[Kind]) -> bool:
    if not kinds:
        return True
    return next((kind for of, kind in _KINDS if isinstance(event, of)), "campaign") in kinds


async def _nothing() -> AsyncIterator[str]:
    """Yield what a stream begins with: its caller has heard the last event."""
    yield "retry: 2000\n\n"


async def _events(server: Server, campaign_id: str, after: int, kinds: Sequence[Kind]) -> AsyncIterator[str]:
    def read() -> list[Entry]:
        return server.views.events(campaign_id, after, READ_AT_ONCE, to_damage=True)

    entries = await run_sync(read)
    yield "retry: 2000\n\n"
    heard_s = time.monotonic()
    while True:
        is_told = True
        for entry in entries:
            after = entry.number
            is_told = _is_about(entry.event, kinds) or isinstance(entry.event, CampaignFinished)
            if not is_told:
                continue
            yield f"id: {entry.number}\n{event_text(entry.event.type, to_json(entry.event))}"
            if isinstance(entry.event, CampaignFinished):
                return
        if not is_told:
            yield f"id: {after}\n\n"
        if entries:
            heard_s = time.monotonic()
        elif time.monotonic() - heard_s >= HEARTBEAT_S:
            heard_s = time.monotonic()
            yield ": nothing new\n\n"
        if len(entries) < READ_AT_ONCE:
            await sleep(LOOK_S)
        entries = await run_sync(read)
