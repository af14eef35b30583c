"""What the proxy before the application answers by itself, as applications of Starlette stand for it."""

import asyncio

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from slacktide.service.http.front import Front


class Proxy:
    """Answers as Ray Serve's proxy does, with or without an application behind."""

    def __init__(self) -> None:
        self.behind: Response | None = None
        self.ids: list[str | None] = []
        self.front = Front(Starlette(routes=[Route("/{path:path}", self.answer)]))

    async def answer(self, request: Request) -> Response:
        self.ids.append(request.headers.get("X-Request-Id"))
        if self.behind is not None:
            return self.behind
        return PlainTextResponse("Path not found. Ping http://127.0.0.1/-/routes for available routes.", 404)

    def get(self, path: str) -> httpx.Response:
        async def asked() -> httpx.Response:
            transport = httpx.ASGITransport(self.front)
            async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as http:
                return await http.get(path, headers={"X-Request-Id": "of-the-caller"})

        return asyncio.run(asked())


def own() -> Response:
    """Return an answer of the application, with the id that Ray Serve adds."""
    answer = JSONResponse({"items": []}, headers={"X-Request-Id": "of-the-application"})
    answer.headers.append("X-Request-Id", "of-ray-serve")
    return answer


def test_an_answer_has_one_id_which_is_the_applications() -> None:
    proxy = Proxy()
    proxy.behind = own()
    assert proxy.get("/v1/fleets").headers.get_list("X-Request-Id") == ["of-the-application"]
    assert proxy.ids == [None]


def test_before_and_after_the_application_it_is_said_that_it_is_away() -> None:
    proxy = Proxy()
    assert proxy.get("/v1/fleets").json()["fact"] == "is starting"
    proxy.behind = own()
    proxy.get("/v1/fleets")
    proxy.behind = None
    refused = proxy.get("/v1/fleets")
    assert (refused.status_code, refused.headers["Content-Type"]) == (503, "application/problem+json")
    assert refused.json()["fact"] == "is shutting down"
    assert refused.json()["request_id"] == refused.headers["X-Request-Id"]
    proxy.behind = PlainTextResponse("Internal Server Error", 500)
    assert proxy.get("/v1/fleets").json()["fact"] == "has lost the process that was to answer"


def test_an_application_that_raises_an_error_is_answered_for() -> None:
    async def failing(*_: object) -> None:
        raise ValueError("of the application")

    proxy = Proxy()
    proxy.front = Front(failing)
    refused = proxy.get("/v1/fleets")
    assert (refused.status_code, refused.headers["Content-Type"]) == (500, "application/problem+json")
    assert refused.json()["request_id"] == refused.headers["X-Request-Id"]


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_balancers_are_told_why(path: str) -> None:
    refused = Proxy().get(path)
    assert refused.status_code == 503
    assert refused.json() == {"ready": False, "reasons": ["the server is starting"]}


def test_what_ray_serve_says_of_itself_is_left_as_it_is() -> None:
    assert Proxy().get("/-/routes").status_code == 404
