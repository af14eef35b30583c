"""Who may what: every operation with every role, and without; tokens, this machine, rates, and the audit log."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from http_server import FAST, InProcess, in_process
from starlette.requests import Request

from slacktide.errors import StoreError, UsageError
from slacktide.service.http.callers import address_of
from slacktide.service.http.problems import problem_of
from slacktide.service.http.settings import Limits, Rates, ServerSettings, check_exposure
from slacktide.service.http.streams import Streams
from slacktide.service.store.tokens import ROLES, create_token, revoke_token

NOTHING = "f" * 16
METHODS = ("get", "post", "put", "patch", "delete")
OPEN = {"get-health", "get-readiness"}
"""Operations that need no credentials."""


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> InProcess:
    return in_process(tmp_path_factory.mktemp("api"), anonymous="viewer")


def operations(api: InProcess) -> list[tuple[str, str, dict[str, Any]]]:
    paths = api.app.openapi()["paths"]
    return [(method, path, paths[path][method]) for path in paths for method in METHODS if method in paths[path]]


def concrete(path: str) -> str:
    for name, value in (("token_id", "f" * 12), ("table", "hosts"), ("vm_id", "v1")):
        path = path.replace(f"{{{name}}}", value)
    return "/".join(NOTHING if part.startswith("{") else part for part in path.split("/"))


def test_every_operation_is_for_a_role_and_no_lesser_one(api: InProcess) -> None:
    """A role may what is for it and for those below, and is never 403; a lesser one always is."""
    found = operations(api)
    assert len(found) > 40
    for method, path, operation in found:
        name, least = operation["operationId"], operation.get("x-slacktide-role")
        if name in OPEN:
            assert api.call(method.upper(), path, None).status_code == 200
            continue
        assert least in ROLES, f"{name} says for no role who may use it"
        outside = api.call(method.upper(), concrete(path), None, client=("192.0.2.7", 1))
        assert outside.status_code == 401, name
        assert outside.headers["WWW-Authenticate"].startswith("Bearer")
        for role in ROLES:
            answer = api.call(method.upper(), concrete(path), role)
            may = ROLES.index(role) >= ROLES.index(least)
            assert (answer.status_code != 403) == may, f"{name} as {role}: {answer.status_code}"
            assert answer.status_code not in (401, 500), f"{name} as {role}: {answer.text}"


def test_no_operation_takes_parameters_that_it_does_not_have(api: InProcess) -> None:
    for method, path, operation in operations(api):
        if operation["operationId"] in OPEN:
            continue
        answer = api.call(method.upper(), f"{concrete(path)}?limt=3")
        told = answer.json()
        assert (answer.status_code, told["object"], told["fact"]) == (422, "query.limt", "there is no such parameter")
        taken = {each["name"] for each in operation.get("parameters", []) if each["in"] == "query"}
        listed = told["remedy"].removeprefix("Take one of ").split(", ")
        assert {*listed} == taken or not taken, operation["operationId"]
        assert "limit" not in taken or listed[0] == "limit"


def test_what_is_no_operation_is_named(api: InProcess) -> None:
    for method, path, status in (("GET", "/v1/fleet", 404), ("DELETE", "/v1/fleets", 405)):
        answer = api.call(method, path)
        assert (answer.status_code, answer.json()["object"]) == (status, f"{method} {path}")
        assert answer.json()["request_id"] == answer.headers["X-Request-Id"]


def test_what_changes_something_is_not_for_viewers(api: InProcess) -> None:
    for method, _path, operation in operations(api):
        if method != "get":
            assert operation["x-slacktide-role"] != "viewer", operation["operationId"]


def test_tokens_end(api: InProcess) -> None:
    database = api.server.database
    token, text = create_token(database, "eva", "viewer", "the test", 3600)
    _, past = create_token(database, "eva", "viewer", "the test", -1)
    assert (
        api.get("/v1/me", role=None, headers={"Authorization": f"Bearer {text}"})["who"]
        == f"token:{token.token_id} (eva)"
    )
    assert revoke_token(database, token.token_id)
    for wrong in (text, past, text[:-1], "slacktide_x_y", "slacktide__", "x", "", f"{text}x"):
        for header in (f"Bearer {wrong}", f"Basic {wrong}"):
            answer = api.call("GET", "/v1/me", None, headers={"Authorization": header})
            assert answer.status_code == 401, header


def test_a_token_is_shown_once_and_kept_nowhere(api: InProcess) -> None:
    made = api.call("POST", "/v1/tokens", json={"name": "jan", "role": "viewer"}, headers={"Idempotency-Key": "k1"})
    assert made.status_code == 201
    secret = made.json()["token"].rpartition("_")[2]
    assert "token" not in api.get("/v1/tokens")[-1]
    database = api.server.places.store
    kept = b"".join(path.read_bytes() for path in database.parent.glob(f"{database.name}*"))
    assert made.json()["token_id"].encode() in kept
    assert secret.encode() not in kept
    assert api.call("DELETE", f"/v1/tokens/{made.json()['token_id']}").status_code == 204
    assert (
        api.call("GET", "/v1/me", None, headers={"Authorization": f"Bearer {made.json()['token']}"}).status_code == 401
    )


@pytest.mark.parametrize(
    ("base", "client", "headers", "status"),
    [
        ("http://127.0.0.1:8780", ("127.0.0.1", 1), {}, 200),
        ("http://localhost:8780", ("127.0.0.1", 1), {"Origin": "http://localhost:8780"}, 200),
        ("http://127.0.0.1:8780", ("192.0.2.7", 1), {}, 401),
        ("http://evil.example:8780", ("127.0.0.1", 1), {}, 401),
        ("http://127.0.0.1:8780", ("127.0.0.1", 1), {"Origin": "https://evil.example"}, 401),
        ("http://127.0.0.1:8780", ("127.0.0.1", 1), {"Origin": "null"}, 401),
        ("http://127.0.0.1:8780", ("127.0.0.1", 1), {"Origin": "http://["}, 401),
        ("http://127.0.0.1:8780", ("127.0.0.1", 1), {"Host": "["}, 401),
        ("http://127.0.0.1:8780", ("127.0.0.1", 1), {"Sec-Fetch-Site": "cross-site"}, 401),
        ("http://127.0.0.1:8780", ("127.0.0.1", 1), {"X-Forwarded-For": "192.0.2.7"}, 401),
    ],
)
def test_only_this_machine_asks_without_credentials(
    api: InProcess, base: str, client: tuple[str, int], headers: dict[str, str], status: int
) -> None:
    answer = api.call("GET", "/v1/me", None, base=base, client=client, headers=headers)
    assert answer.status_code == status
    if status == 200:
        assert (answer.json()["who"], answer.json()["role"]) == ("anonymous", "viewer")
        assert api.call("POST", "/v1/plans", None, base=base, client=client, json={}).status_code == 403


def test_a_server_that_others_reach_takes_nobody_at_their_word(tmp_path: Path) -> None:
    file = tmp_path / "some.pem"
    file.write_text("x")
    whole = {"certificate": file, "key": file}
    check_exposure(ServerSettings(data=tmp_path, anonymous="admin"))
    check_exposure(ServerSettings(data=tmp_path, host="::1", anonymous="admin"))
    check_exposure(ServerSettings(data=tmp_path, host="0.0.0.0", **whole))
    check_exposure(ServerSettings(data=tmp_path, host="0.0.0.0", behind_proxy=True))
    for wrong in (
        {"host": "0.0.0.0"},
        {"host": "::"},
        {"host": "0.0.0.0", "anonymous": "viewer", **whole},
        {"behind_proxy": True, "anonymous": "viewer"},
        {"certificate": file},
        {"certificate": file, "key": tmp_path / "none.pem"},
    ):
        with pytest.raises(UsageError):
            check_exposure(ServerSettings(data=tmp_path, **wrong))


def test_who_asks_too_often_waits(tmp_path: Path) -> None:
    rates = Rates(reads="3/minute", changes="100/minute", creations="2/minute", refusals="2/minute")
    api = in_process(tmp_path, rates=rates)
    answers = [api.call("GET", "/v1/me", "viewer") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert 1 <= int(answers[-1].headers["Retry-After"]) <= 60
    assert api.call("GET", "/v1/me", "operator").status_code == 200
    made = [api.call("POST", "/v1/plans", "operator", json={}).status_code for _ in range(3)]
    assert made == [422, 422, 429]
    wrong = {"headers": {"Authorization": "Bearer slacktide_a_b"}, "client": ("192.0.2.9", 1)}
    assert [api.call("GET", "/v1/me", None, **wrong).status_code for _ in range(3)] == [401, 401, 429]
    right = {"headers": {"Authorization": f"Bearer {api.tokens['admin']}"}}
    assert api.call("GET", "/v1/me", None, client=("192.0.2.9", 1), **right).status_code == 429
    assert api.call("GET", "/v1/me", None, client=("192.0.2.8", 1), **right).status_code == 200


def test_the_first_change_in_a_row_from_an_address_over_its_refusals_is_in_the_audit_log(tmp_path: Path) -> None:
    api = in_process(tmp_path, rates=Rates(refusals="2/minute"))
    wrong = {"headers": {"Authorization": "Bearer slacktide_a_b"}, "client": ("192.0.2.9", 1)}
    assert [api.call("GET", "/v1/me", None, **wrong).status_code for _ in range(3)] == [401, 401, 429]
    refused = [api.call("POST", "/v1/plans", None, json={}, **wrong).status_code for _ in range(3)]
    assert refused == [429, 429, 429]
    (call,) = api.get("/v1/audit")["items"]
    assert (call["action"], call["status"], call["who"], call["address"]) == ("create-plan", 429, None, "192.0.2.9")


def test_every_changing_call_is_in_the_audit_log(tmp_path: Path) -> None:
    api = in_process(tmp_path)
    key = {"Idempotency-Key": "night-1"}
    api.call("POST", "/v1/plans", "operator", json={"fleet_id": NOTHING}, headers=key, client=("192.0.2.7", 1))
    api.call("POST", "/v1/plans", "viewer", json={"fleet_id": NOTHING})
    api.call("POST", "/v1/plans", None, json={"fleet_id": NOTHING})
    made = api.call("POST", "/v1/tokens", json={"name": "jan", "role": "viewer"})
    api.call("GET", "/v1/me")
    log = api.get("/v1/audit")["items"]
    assert [(call["action"], call["status"]) for call in log] == [
        ("create-plan", 404),
        ("create-plan", 403),
        ("create-plan", 401),
        ("create-token", 201),
    ]
    first, second, third, fourth = log
    assert "the operator" in first["who"]
    assert (first["role"], first["address"], first["idempotency_key"]) == ("operator", "192.0.2.7", "night-1")
    assert "is not there" in first["outcome"]
    assert second["role"] == "viewer"
    assert third["who"] is None
    assert fourth["request_id"] == made.headers["X-Request-Id"]
    assert made.json()["token"] not in json.dumps(log)
    assert (fourth["made"], first["made"]) == (f"token {made.json()['token_id']}", None)
    assert api.get("/v1/audit?action=create-token")["items"] == [fourth]
    page = api.get("/v1/audit?limit=3")
    assert api.get(f"/v1/audit?cursor={page['next']}")["items"] == [fourth]


def test_a_call_repeated_under_its_key_is_done_once(tmp_path: Path) -> None:
    api = in_process(tmp_path)
    api.held = True
    from slacktide.service.store.inventory import add_fleet

    add_fleet(api.server.database, NOTHING, "the test", {}, [])
    asked, key = {"fleet_id": NOTHING}, {"Idempotency-Key": "night-1"}
    first = api.call("POST", "/v1/plans", json=asked, headers=key)
    again = api.call("POST", "/v1/plans", json=asked, headers=key)
    assert (again.status_code, again.json(), again.headers["Location"]) == (
        202,
        first.json(),
        first.headers["Location"],
    )
    assert again.headers["Idempotency-Replayed"] == "true"
    assert "Idempotency-Replayed" not in first.headers
    assert len(api.get("/v1/jobs")["items"]) == 1
    other = api.call("POST", "/v1/plans", json={**asked, "seed": 1}, headers=key)
    assert (other.status_code, other.json()["object"]) == (422, "Idempotency-Key")
    assert api.call("POST", "/v1/plans", "operator", json=asked, headers=key).status_code == 202
    assert len(api.get("/v1/jobs")["items"]) == 2
    refused = api.call("POST", "/v1/plans", json={"fleet_id": "0" * 16}, headers={"Idempotency-Key": "night-2"})
    assert refused.status_code == 404
    assert api.call("POST", "/v1/plans", json=asked, headers={"Idempotency-Key": "night-2"}).status_code == 202
    assert api.call("POST", "/v1/plans", json=asked, headers={"Idempotency-Key": "a b"}).status_code == 422


def test_what_is_too_long_is_not_read(tmp_path: Path) -> None:
    api = in_process(tmp_path, limits=Limits(body_bytes=2000, upload_bytes=5000))
    long = api.call("POST", "/v1/plans", json={"fleet_id": NOTHING, "x": "y" * 3000})
    assert long.status_code == 413
    assert "2,000 bytes" in long.json()["fact"]

    async def pieces() -> Any:
        for _ in range(100):
            yield b"x" * 100

    nested = api.call("POST", "/v1/plans", content=b"[" * 1900, headers={"Content-Type": "application/json"})
    assert nested.status_code == 400
    streamed = api.call("POST", "/v1/plans", content=pieces(), headers={"Content-Type": "application/json"})
    assert streamed.status_code == 413
    files = {"hosts": ("hosts.parquet", b"x" * 9000, "application/octet-stream")}
    assert api.call("POST", "/v1/fleets", files=files).status_code == 413
    assert list(api.server.places.uploads.iterdir()) == []


def test_behind_a_proxy_the_address_is_what_the_proxy_adds(tmp_path: Path) -> None:
    """It adds a line of its own to what a client has sent, or goes on in the last."""
    api = in_process(tmp_path, behind_proxy=True)
    for forwarded in (["10.0.0.1", "192.0.2.7"], ["10.0.0.1", "10.0.0.2, 192.0.2.7"]):
        scope = {"type": "http", "headers": [(b"x-forwarded-for", each.encode()) for each in forwarded]}
        assert address_of(Request(scope), api.server.settings) == "192.0.2.7"


def test_a_run_of_calls_that_come_too_often_is_noted_once(tmp_path: Path) -> None:
    api = in_process(tmp_path, rates=FAST.model_copy(update={"creations": "2/minute"}))
    statuses = [api.call("POST", "/v1/plans", "viewer", json={}).status_code for _ in range(6)]
    assert statuses == [403, 403, 429, 429, 429, 429]
    assert [call["status"] for call in api.get("/v1/audit")["items"]] == [403, 403, 429]


def test_one_caller_leaves_room_for_the_streams_of_others() -> None:
    streams = Streams(3, 2)
    assert [streams.take("eva") for _ in range(2)] == [None, None]
    assert streams.take("eva") == "has 2 streams of eva, the most for one caller"
    assert streams.take("jan") is None
    assert streams.take("jan") == "has as many streams as it may"
    streams.leave("eva")
    assert streams.take("jan") is None
    assert streams.open == 3


def test_what_no_store_takes_is_refused_or_written_otherwise(api: InProcess) -> None:
    cursor = base64.urlsafe_b64encode(b"a\0b").decode().rstrip("=")
    assert api.call("GET", f"/v1/fleets?cursor={cursor}").status_code == 422
    assert api.call("DELETE", "/v1/tokens/a%00b").status_code in (404, 422)
    assert api.get("/v1/audit?limit=1000")["items"][-1]["path"] == "/v1/tokens/a%00b"


def test_where_the_store_is_is_told_to_nobody() -> None:
    fact = "does not answer: connection to db.example"
    away = StoreError("postgresql://eva@db.example/night", fact, "Wait", retryable=True)
    problem, headers = problem_of(away, "r")
    assert (problem.status, problem.detail) == (503, "store: does not answer. Wait")
    assert "Retry-After" in headers
