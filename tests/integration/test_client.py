"""What the client makes of answers that are not the server's own, on real connections."""

import gzip
import json
import os
import signal
from pathlib import Path

import httpx
import pytest
from patch_servers import Answer, Asked, patch_server

from slacktide.errors import ExecutionError, StoreError, UsageError
from slacktide.service.client import answers
from slacktide.service.client import api as calls
from slacktide.service.client.access import Access, access_to
from slacktide.service.client.answers import MOST_BYTES
from slacktide.service.client.api import Api, away
from slacktide.service.client.streams import followed
from slacktide.service.interrupts import Terminated, held_interrupts

pytestmark = pytest.mark.integration
BUSY = {"type": "https://slacktide.example/rate", "object": "the server", "fact": "is busy", "remedy": "Wait"}


def test_a_proxy_that_says_in_json_that_the_server_is_away_is_waited_out() -> None:
    def answer(asked: Asked) -> Answer:
        away = len(server.asked) < 3
        return Answer(502, {"message": "bad gateway"}) if away else Answer(200, {"at": asked.path})

    with patch_server(answer) as server, Api(Access(server.url, None, None), wait_s=30) as api:
        assert api.get("/v1/fleets") == {"at": "/v1/fleets"}
    assert len(server.asked) == 3


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (404, "Path '/v1/fleets' not found. Ping http://127.0.0.1:8780/-/routes for available routes."),
        (500, "Internal Server Error"),
    ],
)
def test_ray_serve_without_slacktide_is_a_server_that_is_away(code: int, words: str) -> None:
    def answer(asked: Asked) -> Answer:
        away = 1 < len(server.asked) < 4
        return Answer(code, words, {"Content-Type": "text/plain"}) if away else Answer(200, {"at": asked.path})

    with patch_server(answer) as server, Api(Access(server.url, None, None)) as api:
        assert api.get("/v1/fleets") == {"at": "/v1/fleets"}
        assert api.find("/v1/plans/0b7d5a2f9c1e4d38") == {"at": "/v1/plans/0b7d5a2f9c1e4d38"}
    assert len(server.asked) == 4


def test_a_server_that_fails_over_every_call_is_not_waited_for_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "RESTART_S", 0.1)
    failed = Answer(500, "Internal Server Error", {"Content-Type": "text/plain"})
    with (
        patch_server(lambda _: failed) as server,
        Api(Access(server.url, None, None), wait_s=60) as api,
        pytest.raises(ExecutionError, match="goes on to answer 500 in plain text"),
    ):
        api.get("/v1/fleets")


@pytest.mark.parametrize(("code", "headers"), [(502, {}), (429, {"Retry-After": "60"})])
def test_a_held_request_to_end_is_let_through_while_the_server_is_waited_for(
    code: int, headers: dict[str, str]
) -> None:
    def answer(_: Asked) -> Answer:
        os.kill(os.getpid(), signal.SIGTERM)
        return Answer(code, {}, headers)

    with (
        patch_server(answer) as server,
        Api(Access(server.url, None, None)) as api,
        pytest.raises(Terminated),
        held_interrupts() as held,
        api.stopped_by(held.let_through),
    ):
        api.post("/v1/campaigns", {})
    assert len(server.asked) == 1


def test_an_answer_of_something_else_is_no_bug_of_ours() -> None:
    with (
        patch_server(lambda _: Answer(500, {"type": None})) as server,
        Api(Access(server.url, None, None)) as api,
        pytest.raises(ExecutionError, match="answers 500, and not as Slacktide does"),
    ):
        api.get("/v1/fleets")


@pytest.mark.parametrize(
    "body", ["[1, 2, 3]", "null", "{}", '"abc"', "5", "", "[" * 200_000, '{"items": [5], "next": null}']
)
def test_what_is_no_answer_of_slacktide_s_is_no_bug_of_ours(body: str) -> None:
    with patch_server(lambda _: Answer(200, body)) as server, Api(Access(server.url, None, None)) as api:
        with pytest.raises(ExecutionError, match="and not as Slacktide does"):
            list(api.items("/v1/fleets"))
        with pytest.raises(ExecutionError, match="and not as Slacktide does"):
            api.get("/v1/fleets/0123456789abcdef")["summary"]
        with pytest.raises(ExecutionError, match="and not as Slacktide does"):
            api.post_or_find("/v1/campaigns", {})["campaign_id"]


def test_a_row_without_a_field_is_no_bug_of_ours() -> None:
    with (
        patch_server(lambda _: Answer(200, {"items": [{}], "next": None})) as server,
        Api(Access(server.url, None, None)) as api,
    ):
        (row,) = api.items("/v1/fleets")
        assert row == {}
        with pytest.raises(ExecutionError, match="answers without the field fleet_id, and not as Slacktide does"):
            row["fleet_id"]


def test_a_list_that_goes_round_in_circles_is_left() -> None:
    def answer(asked: Asked) -> Answer:
        return Answer(200, {"items": [{}], "next": "AB" if asked.path.endswith("cursor=AA") else "AA"})

    with (
        patch_server(answer) as server,
        Api(Access(server.url, None, None)) as api,
        pytest.raises(ExecutionError, match="go on where it was before"),
    ):
        list(api.items("/v1/fleets"))
    assert len(server.asked) == 3


@pytest.mark.parametrize("code", [200, 422])
def test_an_answer_that_unpacks_to_more_than_any_is_not_read_to_its_end(code: int, tmp_path: Path) -> None:
    packed = gzip.compress(b'"' + b"x" * MOST_BYTES + b'"', 9)
    assert len(packed) < 2**17
    with (
        patch_server(lambda _: Answer(code, packed, {"Content-Encoding": "gzip"})) as server,
        Api(Access(server.url, None, None)) as api,
    ):
        with pytest.raises(ExecutionError, match="with more than 64 MiB, and not as Slacktide does"):
            api.get("/v1/fleets")
        if code == 200:
            with api.lines("/v1/stream") as lines, pytest.raises(ExecutionError, match="a line of more than 64 MiB"):
                list(lines)
            api.fetch("/v1/table", tmp_path / "table")
            assert (tmp_path / "table").stat().st_size == MOST_BYTES + 2


def test_what_cannot_be_unpacked_is_no_bug_of_ours(tmp_path: Path) -> None:
    with (
        patch_server(lambda _: Answer(200, b"{}", {"Content-Encoding": "gzip"})) as server,
        Api(Access(server.url, None, None)) as api,
    ):
        with pytest.raises(ExecutionError, match="with what cannot be unpacked"):
            api.get("/v1/fleets")
        with pytest.raises(ExecutionError, match="with what cannot be unpacked"):
            api.fetch("/v1/table", tmp_path / "table")


def test_an_answer_that_trickles_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "WHOLE_S", -1.0)
    with (
        patch_server(lambda _: Answer(200, {})) as server,
        Api(Access(server.url, None, None), wait_s=0.1) as api,
        pytest.raises(StoreError, match="and not the rest"),
    ):
        api.get("/v1/fleets")


def test_a_stream_of_something_else_is_no_bug_of_ours() -> None:
    for body in ("data: [[\n\n", "data: {}\n\n"):
        with (
            patch_server(lambda _, body=body: Answer(200, body)) as server,
            Api(Access(server.url, None, None)) as api,
            pytest.raises(ExecutionError, match="and not as Slacktide does"),
        ):
            next(followed(api, "/v1/stream"))[1]["hosts"]


def test_a_stream_that_never_gets_on_is_given_up() -> None:
    problem = {"status": 503, "object": "the store", "fact": "does not answer", "remedy": "Wait"}
    body = f"retry: 2000\n\nevent: problem\ndata: {json.dumps(problem)}\n\n"
    with (
        patch_server(lambda _: Answer(200, body)) as server,
        Api(Access(server.url, None, None), wait_s=1) as api,
        pytest.raises(StoreError, match="the store: does not answer"),
    ):
        next(followed(api, "/v1/stream"))
    assert 2 <= len(server.asked) <= 4, "it is waited longer before each"


def test_a_server_that_asks_to_wait_is_waited_for_as_long_as_asked() -> None:
    words = r"asks to wait 4. s more, longer than it is to be waited for"
    with (
        patch_server(lambda _: Answer(429, BUSY, {"Retry-After": "40"})) as server,
        Api(Access(server.url, None, None), wait_s=20) as api,
        pytest.raises(StoreError, match=words),
    ):
        api.get("/v1/fleets")
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    "url", ["ftp://eva:heron@h", "http://eva:heron@h:99999", "https://eva:heron@h", "http://eva:heron@h/?q"]
)
def test_a_password_in_an_address_is_not_shown(url: str) -> None:
    with pytest.raises(UsageError) as refused:
        access_to(url, None, None)
    assert "heron" not in str(refused.value)


def test_a_server_that_breaks_off_may_be_one_that_has_a_certificate() -> None:
    broken = httpx.RemoteProtocolError("Server disconnected without sending a response.")
    told = away("http://127.0.0.1:8780", broken)
    assert told.fact == "does not answer: Server disconnected without sending a response"
    assert told.remedy.endswith("; one that has a certificate is asked so: https://127.0.0.1:8780")
    assert "certificate" not in away("https://127.0.0.1:8780", broken).remedy
