"""Whether the server is there, and whether it can do its work: for load balancers, without credentials."""

from typing import Any, Final

from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from slacktide.service.http.readiness import not_ready
from slacktide.service.http.server import Server

router = APIRouter(tags=["health"])
_LOOKS: Final = CapacityLimiter(4)
"""Threads of its own: that all others are taken is no reason to be silent."""
_ANSWER: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/json": {"schema": {"type": "object", "properties": {"ready": {"type": "boolean"}}}}}}
}
_UNREADY: dict[int | str, dict[str, Any]] = {
    503: {
        "description": "It cannot, and why",
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "properties": {
                        "ready": {"type": "boolean"},
                        "reasons": {"type": "array", "items": {"type": "string"}},
                    },
                }
            }
        },
    }
}


@router.get("/healthz", operation_id="get-health", response_class=JSONResponse, responses=_ANSWER)
async def healthy() -> Response:
    """Say that the process answers."""
    return JSONResponse({"ready": True})


@router.get("/readyz", operation_id="get-readiness", response_class=JSONResponse, responses=_ANSWER | _UNREADY)
async def ready(request: Request) -> Response:
    """Say whether new callers had better come: 503 where the store is away, a disk is full, or the server is to end."""
    server: Server = request.app.state.server
    if reasons := await run_sync(not_ready, server, limiter=_LOOKS):
        return JSONResponse({"ready": False, "reasons": reasons}, 503)
    return JSONResponse({"ready": True})
