"""What the client makes of answers that are not the server's own, on real connections."""

import pytest
from patch_servers import Answer, Asked, patch_server

from slacktide.errors import ExecutionError, StoreError, UsageError
from slacktide.service.client.access import Access, access_to
from slacktide.service.client.api import Api

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


def test_an_answer_of_something_else_is_no_bug_of_ours() -> None:
    with (
        patch_server(lambda _: Answer(500, {"type": None})) as server,
        Api(Access(server.url, None, None)) as api,
        pytest.raises(ExecutionError, match="answers 500, and not as Slacktide does"),
    ):
        api.get("/v1/fleets")


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
