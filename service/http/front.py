"""What Ray Serve's proxy answers by itself, in the API's own words; one id for each request.

The proxy is there before the application and after it, and answers then in plain text, with statuses that say something
else: 404 where there is no route (yet, or any more), 500 where the replica that was to answer has ended.  It is this
module that Ray Serve loads into it, by the environment's ``VARIABLE``.
"""

import secrets
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware import Middleware
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from slacktide.service.http.problems import RETRY_AFTER_S, ApiError, answer_of, problem_of, response_of
from slacktide.service.kept_files import FAILURES

VARIABLE: Final = "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH"
CALLBACK: Final = f"{__name__}.middlewares"
REQUEST_ID: Final = "X-Request-Id"
_OWN: Final = "/-/"
"""Beneath it is what Ray Serve says of itself, to who asks for that."""
_HEALTH: Final = ("/healthz", "/readyz")


def middlewares() -> list[Middleware]:
    """Return what the proxy is wrapped in."""
    return [Middleware(Front)]


class Front:
    """Has every answer be one of the API's."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._has_answered = False
        """Whether the application has ever answered."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http" or scope["path"].startswith(_OWN):
            await self._app(scope, receive, send)
            return
        del MutableHeaders(scope=scope)[REQUEST_ID]  # the caller's would be Ray Serve's too, and not the audit log's
        begun = replaced = False

        async def answer(message: Message) -> None:
            nonlocal begun, replaced
            begun = True
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                if _is_of_proxy(message["status"], headers):
                    replaced = True
                    await self._away(scope["path"], message["status"])(scope, receive, send)
                    return
                self._has_answered = True
                _one_id(headers)
            if not replaced:
                await send(message)

        try:
            await self._app(scope, receive, answer)
        except FAILURES as error:
            if begun:
                raise
            await answer_of(error, secrets.token_hex(8))(scope, receive, send)

    def _away(self, path: str, status: int) -> Response:
        """Return what is said while there is nobody to answer."""
        fact = "is starting" if not self._has_answered else "is shutting down"
        if status != 404 and self._has_answered:
            fact = "has lost the process that was to answer"
        request_id = secrets.token_hex(8)
        if path in _HEALTH:
            response: Response = JSONResponse({"ready": False, "reasons": [f"the server {fact}"]}, 503)
        else:
            remedy = "Ask again in some seconds, under the same key"
            error = ApiError(503, "away", "the server", fact, remedy, {"Retry-After": RETRY_AFTER_S})
            response = response_of(*problem_of(error, request_id))
        response.headers.update({REQUEST_ID: request_id, "X-Content-Type-Options": "nosniff"})
        response.headers["Cache-Control"] = "no-store"
        return response


def _is_of_proxy(status: int, headers: Headers) -> bool:
    """Return whether an answer is none of the API's, which says what is wrong in JSON."""
    return status >= 400 and headers.get("content-type", "").startswith("text/plain")


def _one_id(headers: MutableHeaders) -> None:
    """Leave the id that the application gave, which is in the audit log, and drop the proxy's after it."""
    if len(ids := headers.getlist(REQUEST_ID)) > 1:
        headers[REQUEST_ID] = ids[0]
