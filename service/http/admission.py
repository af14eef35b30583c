"""What every operation goes through: who asks, how often, whether they may, the audit log, keys of repeated calls."""

import asyncio
import hashlib
import re
import secrets
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Literal, TypeVar

from anyio.to_thread import run_sync
from fastapi.dependencies.utils import get_flat_params
from fastapi.params import Query
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response

from slacktide.errors import UsageError
from slacktide.service.http.bodies import with_body
from slacktide.service.http.callers import Caller, address_of
from slacktide.service.http.problems import ApiError, problem_of, response_of
from slacktide.service.http.rates import Kind, TooOftenError
from slacktide.service.http.server import Server
from slacktide.service.http.under_way import finished
from slacktide.service.kept_files import FAILURES
from slacktide.service.store.answers import Answer, Claim, claim_key, keep_answer, release_key
from slacktide.service.store.audit import NOTHING, Call, Deed, begin_call, end_call
from slacktide.service.store.tokens import ROLES, Role
from slacktide.service.wrong_fields import nearest_first

KEY_HEADER: Final = "Idempotency-Key"
_KEY: Final = re.compile(r"[\x21-\x7e]{1,200}")
_OBJECT: Final = re.compile(r"/v1/([a-z]+)s/([0-9a-f]+)")
ROLE_FIELD: Final = "x-slacktide-role"
KEPT_FIELD: Final = "x-slacktide-repeatable"
_BODY: Final = "x-slacktide-body"
_KEPT_HEADERS: Final = ("location", "content-type")
MOST_OUTCOME: Final = 500
MOST_NAMED: Final = 100
"""Characters of a parameter's name that are repeated."""
Handler = Callable[[Request], Coroutine[Any, Any, Response]]
Body = Literal["json", "upload"]
Part = TypeVar("Part")
_UNDER_WAY: Final[set["asyncio.Task[Response]"]] = set()
"""Calls that are carried out whether or not somebody still listens: a task that nobody holds may vanish."""


def allowed(
    role: Role, *, body: Body = "json", kept: bool = True, described: Mapping[str, object] | None = None
) -> dict[str, Any]:
    """Return what an operation is declared with, so that it is for callers of this role and above.

    Parameters
    ----------
    kept
        Whether its answer may be kept for calls that are repeated: not where it holds a secret.
    described
        What its description says beside.
    """
    return {"openapi_extra": {ROLE_FIELD: role, _BODY: body, KEPT_FIELD: kept, **(described or {})}}


@dataclass(slots=True)
class Admission:
    """What is known of a request while it is carried out; operations find it as ``request.state.admission``."""

    server: Server
    caller: Caller
    request_id: str
    claimed: Claim | None = None
    """The idempotency key that this call has taken."""
    deed: Deed = NOTHING
    """What is written of it in the audit log, as far as the operation says it."""

    async def claim(self, request: Request, fingerprint: str) -> Response | None:
        """Take the call's idempotency key, if it has one; return the answer of before where it was taken already.

        Raises
        ------
        ApiError
            409 while the first call is under way, 422 if that one asked for something else or the key is none.
        """
        key = request.headers.get(KEY_HEADER)
        if key is None:
            return None
        if not _KEY.fullmatch(key):
            fact = "is not 1 to 200 characters of ASCII without spaces"
            raise ApiError(422, "key", KEY_HEADER, fact, "Send a random text, such as a UUID")
        whole = hashlib.sha256(f"{request.method} {request.url.path}?{request.url.query}\n{fingerprint}".encode())
        self.claimed = claim = Claim(self.caller.who, key, self.request_id)  # before: let go if the call breaks off
        self.server.under_way.begin(self.request_id)
        found = await finished(run_sync(claim_key, self.server.database, claim, whole.hexdigest()))
        if found != "new":
            self.claimed = None
        if found == "under-way":
            headers = {"Retry-After": "2"}
            raise ApiError(409, "key-under-way", KEY_HEADER, "is that of a call under way", "Wait, and repeat", headers)
        if found == "other-body":
            raise ApiError(422, "key-used", KEY_HEADER, "was sent with another request", "Send a new key")
        if isinstance(found, Answer):
            headers = found.headers | {"Idempotency-Replayed": "true"}
            return Response(found.body, found.status, headers)
        return None

    def settle(self, response: Response) -> None:
        """Keep the answer under the key that was taken, or let the key go where nothing was created; blocking."""
        if self.claimed is None:
            return
        if not 200 <= response.status_code < 300:
            release_key(self.server.database, self.claimed)
            return
        headers = {name: response.headers[name] for name in _KEPT_HEADERS if name in response.headers}
        answer = Answer(response.status_code, headers, bytes(response.body).decode())
        keep_answer(self.server.database, self.claimed, answer)


class _Listener:
    """Whoever waits for an answer: may take a call back by hanging up until what it asks for is begun."""

    def __init__(self) -> None:
        self._has_hung_up = False
        self._part: asyncio.Future[Any] | None = None

    def hang_up(self) -> None:
        """End the part of the call that is under way, if it is one that can be taken back."""
        self._has_hung_up = True
        if self._part is not None:
            self._part.cancel()

    async def unless_gone(self, part: Coroutine[Any, Any, Part]) -> Part:
        """Carry out a part of a call that can be taken back.

        Raises
        ------
        ApiError
            400, if it was.
        """
        self._part = task = asyncio.ensure_future(part)
        try:
            if self._has_hung_up:
                task.cancel()
            return await task
        except asyncio.CancelledError as error:
            raise ApiError(400, "broken-off", "call", "broke off before it was begun", "Send it again") from error
        finally:
            self._part = None


class GuardedRoute(APIRoute):
    """An operation that nobody reaches but through admission; one that does not say for whom it is cannot be made."""

    def get_route_handler(self) -> Handler:
        """Return the operation's handler behind admission."""
        handler, extra = super().get_route_handler(), self.openapi_extra or {}
        taken = get_flat_params(self.dependant)
        queries = tuple(sorted(field.alias for field in taken if isinstance(field.field_info, Query)))
        action = _Action(self.operation_id or self.name, extra[ROLE_FIELD], extra[_BODY], extra[KEPT_FIELD], queries)

        async def guarded(request: Request) -> Response:
            listener = _Listener()
            if not _changes(request):
                return await _admitted(request, action, handler, listener)
            return await _to_its_end(_admitted(request, action, handler, listener), listener)

        return guarded


@dataclass(frozen=True, slots=True)
class _Action:
    name: str
    role: Role
    body: Body
    kept: bool
    queries: tuple[str, ...]
    """Names of the query parameters that it takes."""


async def calls_ended(most_s: float) -> None:
    """Wait for calls that are carried out though nobody listens any more, for so long at most."""
    loop = asyncio.get_running_loop()
    if mine := {task for task in _UNDER_WAY if task.get_loop() is loop}:
        await asyncio.wait(mine, timeout=most_s)


async def _to_its_end(call: Coroutine[Any, Any, Response], listener: _Listener) -> Response:
    """Carry a call out to its end and have written what came of it, even if whoever asked hangs up meanwhile."""
    task = asyncio.create_task(call)
    _UNDER_WAY.add(task)
    task.add_done_callback(_UNDER_WAY.discard)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        listener.hang_up()
        raise


async def _admitted(request: Request, action: _Action, handler: Handler, listener: _Listener) -> Response:
    server: Server = request.app.state.server
    request_id = secrets.token_hex(8)
    admission: Admission | None = None
    number: int | None = None
    response: Response | None = None
    outcome: str | None = None
    try:
        caller, refusal = await _identified(request, server)
        if caller is not None:
            refusal = _too_often(server, caller, request)
        if _changes(request) and not (isinstance(refusal, TooOftenError) and not refusal.is_first):
            number = await _noted(request, server, action, caller, request_id)
        if refusal is not None or caller is None:
            assert refusal is not None
            raise refusal
        admission = Admission(server, caller, request_id)
        request.state.admission = admission
        _check(action, caller)
        _refuse_unknown_queries(action, request)
        response = await _carried_out(request, action, admission, handler, listener)
    except FAILURES as error:
        problem, headers = problem_of(error, request_id, str(server.places.data))
        outcome = problem.detail[:MOST_OUTCOME]
        response = response_of(problem, headers)
    finally:
        if response is None:  # the server is made to end: whoever repeats the call is to find its key free in the end
            server.under_way.leave(request_id)
    if number is not None:
        write = partial(_written, server, number, admission, response, outcome)
        try:
            await run_sync(server.under_way.end, request_id, write)
        except Exception as error:
            response = response_of(*problem_of(error, request_id, str(server.places.data)))
    response.headers["X-Request-Id"] = request_id
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers.setdefault("Cache-Control", "no-store")
    return response


async def _identified(request: Request, server: Server) -> tuple[Caller | None, ApiError | None]:
    """Return who asks, or why that is not known."""
    address, noted = address_of(request, server.settings), _changes(request)
    try:
        server.rates.check("refusals", address, noted=noted)
        return await run_sync(server.callers.identify, request), None
    except TooOftenError as error:
        return None, error
    except ApiError as error:
        if error.status not in (401, 503):
            return None, error
        # 503: the provider cannot be asked, which is no fault of others at the address
        kind: Kind = "refusals" if error.status == 401 else "tokens unchecked"
        try:
            server.rates.count(kind, address, noted=noted)
        except TooOftenError as one_too_many:
            return None, one_too_many
        return None, error


def _too_often(server: Server, caller: Caller, request: Request) -> TooOftenError | None:
    """Count a request, and return why it is one too many; None: it is not."""
    kind: Kind = "reads" if not _changes(request) else "creations" if _creates(request) else "changes"
    try:
        server.rates.count(kind, caller.who)
    except TooOftenError as error:
        return error
    return None


def _check(action: _Action, caller: Caller) -> None:
    """Refuse who asks for what is not theirs to ask."""
    if ROLES.index(caller.role) < ROLES.index(action.role):
        fact = f"is {caller.role}, and this is for {action.role}s"
        remedy = f"Ask whoever runs the server for a token of role {action.role}"
        raise ApiError(403, "forbidden", caller.who, fact, remedy)


def _refuse_unknown_queries(action: _Action, request: Request) -> None:
    """Refuse parameters that the operation does not take: whoever misspells a filter would be answered without it."""
    if strange := sorted(set(request.query_params) - set(action.queries)):
        taken = nearest_first(strange[0], action.queries)
        remedy = f"Take one of {', '.join(taken)}" if taken else "Leave it out: none is taken here"
        raise UsageError(f"query.{strange[0][:MOST_NAMED]}", "there is no such parameter", remedy)


async def _noted(request: Request, server: Server, action: _Action, caller: Caller | None, request_id: str) -> int:
    key = request.headers.get(KEY_HEADER)
    call = Call(
        who=None if caller is None else caller.who,
        role=None if caller is None else caller.role,
        address=address_of(request, server.settings),
        action=action.name,
        method=request.method,
        path=request.url.path.replace("\0", "%00")[:MOST_OUTCOME],
        idempotency_key=None if key is None else key[:200],
        request_id=request_id,
    )
    return await run_sync(begin_call, server.database, call)


def _written(server: Server, number: int, admission: Admission | None, response: Response, outcome: str | None) -> None:
    """Write what came of a call under its key and in the audit log; done twice, it is the same."""
    deed = NOTHING
    if admission is not None:
        admission.settle(response)
        deed = admission.deed if admission.deed.made else admission.deed._replace(made=_made(response))
    end_call(server.database, number, response.status_code, outcome, deed)


def _made(response: Response) -> str | None:
    """Return what an answer says that there is now, by its address: ``job a1b2c3d4e5f60718``; None: it says nothing."""
    found = _OBJECT.fullmatch(response.headers.get("Location", ""))
    return f"{found[1]} {found[2]}" if found is not None and response.status_code < 300 else None


async def _carried_out(
    request: Request, action: _Action, admission: Admission, handler: Handler, listener: _Listener
) -> Response:
    """Carry out what is asked: an upload can be taken back at any moment, else what is asked until it has been read."""
    if not _changes(request):
        return await handler(request)
    if action.body == "upload":
        return await listener.unless_gone(handler(request))
    read, body = await listener.unless_gone(with_body(request, admission.server.settings.limits.body_bytes))
    if _creates(request) and action.kept:
        before = await admission.claim(request, hashlib.sha256(body).hexdigest())
        if before is not None:
            return before
    return await handler(read)


def _changes(request: Request) -> bool:
    return request.method not in ("GET", "HEAD", "OPTIONS")


def _creates(request: Request) -> bool:
    return request.method == "POST"
