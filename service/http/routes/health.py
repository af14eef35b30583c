"""Whether the server is there, and whether it can do its work: for load balancers, without credentials."""

from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from slacktide.errors import SlacktideError
from slacktide.service.http.server import Server
from slacktide.service.store.tokens import list_tokens

router = APIRouter(tags=["health"])
_ANSWER: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/json": {"schema": {"type": "object", "properties": {"ready": {"type": "boolean"}}}}}}
}


@router.get("/healthz", operation_id="get-health", response_class=JSONResponse, responses=_ANSWER)
def healthy() -> Response:
    """Say that the process answers."""
    return JSONResponse({"ready": True})


@router.get("/readyz", operation_id="get-readiness", response_class=JSONResponse, responses=_ANSWER)
def ready(request: Request) -> Response:
    """Say whether the database answers: 503 if it does not."""
    server: Server = request.app.state.server
    try:
        list_tokens(server.database)
    except SlacktideError:
        return JSONResponse({"ready": False}, 503)
    return JSONResponse({"ready": True})
