"""Callers that hang up in the middle of a call, servers that end there, stores that do not take what came of it."""

import asyncio
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from http_server import InProcess, in_process, parts_of
from small_disks import small_disk
from small_fleet import small_fleet

from slacktide.datasets.files import write_snapshot
from slacktide.errors import StoreError
from slacktide.service.http import admission, app, under_way
from slacktide.service.store.answers import claim_key, release_key
from slacktide.service.store.audit import audit_entries
from slacktide.service.store.inventory import add_fleet

FLEET = "f" * 16
ASKED = b'{"fleet_id": "' + FLEET.encode() + b'"}'
KEY = {"Idempotency-Key": "night-1"}
PATIENCE_S = 20.0


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not true():
            await asyncio.sleep(0.01)


async def begun(api: InProcess, path: str, body: bytes, kind: str, *, whole: bool = True) -> "asyncio.Task[None]":
    """Return the task of a call as a server makes it, which is cancelled where the caller hangs up."""
    sent = False

    async def receive() -> dict[str, Any]:
        nonlocal sent
        if not sent:
            sent = True
            return {"type": "http.request", "body": body, "more_body": not whole}
        await asyncio.Event().wait()
        raise AssertionError

    async def send(_message: object) -> None:
        pass

    headers = {**KEY, "Authorization": f"Bearer {api.tokens['operator']}", "Content-Type": kind}
    scope = {
        **{"type": "http", "http_version": "1.1", "method": "POST", "path": path, "raw_path": path.encode()},
        **{"root_path": "", "scheme": "http", "query_string": b"", "asgi": {"version": "3.0"}},
        **{"client": ("127.0.0.1", 1), "server": ("testserver", 80)},
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
    }
    return asyncio.create_task(api.app(scope, receive, send))


async def hang_up(task: "asyncio.Task[None]") -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.fixture
def api(tmp_path: Path) -> InProcess:
    made = in_process(tmp_path)
    made.held = True
    add_fleet(made.server.database, FLEET, "the test", {}, [])
    return made


def planned(api: InProcess) -> Any:
    headers = {**KEY, "Content-Type": "application/json"}
    return api.call("POST", "/v1/plans", "operator", content=ASKED, headers=headers)


def log(api: InProcess) -> list[tuple[str, int]]:
    return [(call["action"], call["status"]) for call in api.get("/v1/audit")["items"]]


def test_what_was_begun_is_done_and_answered_under_its_key(api: InProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    reached, go_on = threading.Event(), threading.Event()

    def start(_job_id: str, _name: str) -> None:
        reached.set()
        assert go_on.wait(PATIENCE_S)

    monkeypatch.setattr(api, "start", start)

    async def broken_off() -> None:
        task = await begun(api, "/v1/plans", ASKED, "application/json")
        await until(reached.is_set)
        await hang_up(task)
        go_on.set()
        await until(lambda: not admission._UNDER_WAY)

    asyncio.run(broken_off())
    again = planned(api)
    assert (again.status_code, again.headers.get("Idempotency-Replayed")) == (202, "true")
    assert len(api.get("/v1/jobs")["items"]) == 1
    assert log(api) == [("create-plan", 202), ("create-plan", 202)]


def test_what_was_not_read_to_its_end_is_taken_back(api: InProcess) -> None:
    async def broken_off() -> None:
        task = await begun(api, "/v1/plans", b"{", "application/json", whole=False)
        await until(lambda: audit_entries(api.server.database, 0, 1, None, None))
        await hang_up(task)
        await until(lambda: not admission._UNDER_WAY)

    asyncio.run(broken_off())
    assert planned(api).status_code == 202
    assert log(api) == [("create-plan", 400), ("create-plan", 202)]


def test_an_upload_that_broke_off_leaves_nothing_and_its_key_is_free(api: InProcess, tmp_path: Path) -> None:
    fleet = tmp_path / "fleet"
    write_snapshot(small_fleet(), fleet)
    head = b'--b\r\nContent-Disposition: form-data; name="hosts"\r\n\r\n' + (fleet / "hosts.parquet").read_bytes()
    uploads = api.server.places.uploads

    async def broken_off() -> None:
        task = await begun(api, "/v1/fleets", head, "multipart/form-data; boundary=b", whole=False)
        await until(lambda: list(uploads.glob("*/hosts.parquet")))
        await hang_up(task)
        await until(lambda: not admission._UNDER_WAY)

    asyncio.run(broken_off())
    assert list(uploads.iterdir()) == []
    assert api.call("POST", "/v1/fleets", "operator", files=parts_of(fleet), headers=KEY).status_code == 201
    assert log(api) == [("upload-fleet", 400), ("upload-fleet", 201)]


def test_an_upload_that_breaks_off_while_its_key_is_taken_leaves_the_key_free(
    api: InProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet = tmp_path / "fleet"
    write_snapshot(small_fleet(), fleet)
    whole = httpx.Request("POST", "http://testserver/v1/fleets", files=parts_of(fleet))
    taking, go_on = threading.Event(), threading.Event()
    steps: list[str] = []

    def slowly(*about: Any) -> Any:
        taking.set()
        assert go_on.wait(PATIENCE_S)
        steps.append("taken")
        return claim_key(*about)

    def release(*about: Any) -> None:
        steps.append("let go")
        release_key(*about)

    async def broken_off() -> None:
        task = await begun(api, "/v1/fleets", whole.read(), whole.headers["Content-Type"])
        await until(taking.is_set)
        await hang_up(task)
        await asyncio.wait(admission._UNDER_WAY, timeout=0.1)
        assert steps == []
        go_on.set()
        await until(lambda: not admission._UNDER_WAY)

    with monkeypatch.context() as patch:
        patch.setattr(admission, "claim_key", slowly)
        patch.setattr(admission, "release_key", release)
        asyncio.run(broken_off())
    assert steps == ["taken", "let go"]
    assert api.call("POST", "/v1/fleets", "operator", files=parts_of(fleet), headers=KEY).status_code == 201


def test_what_the_store_did_not_take_is_written_once_it_does(api: InProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise StoreError("the store", "cannot be written: the disk is full", "Free some space", retryable=True)

    monkeypatch.setattr(admission, "keep_answer", full)
    assert planned(api).status_code == 503
    assert planned(api).status_code == 409
    with pytest.raises(StoreError):
        api.server.under_way.look()
    monkeypatch.undo()
    assert planned(api).status_code == 409
    api.server.under_way.look()
    again = planned(api)
    assert (again.status_code, again.headers.get("Idempotency-Replayed")) == (202, "true")
    assert len(api.get("/v1/jobs")["items"]) == 1


def test_an_end_that_cannot_be_written_keeps_neither_signs_nor_other_ends_from_it(
    api: InProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls, tried, signs = api.server.under_way, [], []

    def end(name: str) -> Callable[[], None]:
        def write() -> None:
            tried.append(name)
            if not (name == "c" and tried.count(name) > 1):
                raise ValueError(name)

        return write

    monkeypatch.setattr(under_way, "tell_under_way", lambda _, begun: signs.append(set(begun)))
    for name in "abc":
        calls.begin(name)
        with pytest.raises(ValueError, match=name):
            calls.end(name, end(name))
    for _ in range(2):
        with pytest.raises(ValueError, match="b"):
            calls.look()
    assert "".join(tried) == "abc" + "abc" + "ab"
    assert signs == [{"a", "b", "c"}, {"a", "b"}]


def test_a_server_that_ends_waits_for_calls_and_writes_what_came_of_them(
    api: InProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached, go_on = threading.Event(), threading.Event()
    steps: list[str] = []
    close = api.server.database.close

    def start(_job_id: str, _name: str) -> None:
        reached.set()
        assert go_on.wait(PATIENCE_S)
        steps.append("done")

    def closed() -> None:
        steps.append("closed")
        close()

    def write() -> None:
        if not steps:
            raise StoreError("the store", "is full", "Free some space")
        steps.append("written")

    async def ended() -> None:
        async with api.app.router.lifespan_context(api.app):
            api.server.under_way.begin("r")
            with pytest.raises(StoreError):
                api.server.under_way.end("r", write)
            task = await begun(api, "/v1/plans", ASKED, "application/json")
            await until(reached.is_set)
            await hang_up(task)
            asyncio.get_running_loop().call_later(0.1, go_on.set)

    monkeypatch.setattr(app, "ENDING_S", PATIENCE_S)
    monkeypatch.setattr(api, "start", start)
    monkeypatch.setattr(api.server.database, "close", closed)
    asyncio.run(ended())
    assert steps == ["done", "written", "closed"]
    assert not {"seeing to campaigns", "signs of calls"} & {thread.name for thread in threading.enumerate()}


def test_uploads_that_a_killed_server_left_are_cleared(api: InProcess) -> None:
    uploads = api.server.places.uploads
    old, new = uploads / "0a", uploads / "0b"
    for folder in (old, new):
        folder.mkdir()
        (folder / "hosts.parquet").write_bytes(b"PAR1")
    late = uploads / "0c"
    late.mkdir()
    (late / "vms.parquet").write_bytes(b"PAR1")
    for path in (old, old / "hosts.parquet", late):
        os.utime(path, (1_700_000_000, 1_700_000_000))
    api.server.places.clear_uploads()
    assert sorted(uploads.iterdir()) == [new, late]


@pytest.mark.parametrize("where", ["uploads", "fleets"])
def test_a_disk_that_is_full_is_no_fault_of_the_upload(tmp_path: Path, where: str) -> None:
    api, fleet = in_process(tmp_path), tmp_path / "fleet"
    write_snapshot(small_fleet(), fleet)
    folder = api.server.places.data / where
    folder.rmdir()
    with small_disk(folder):
        filler = folder / "filler"
        with suppress(OSError), filler.open("wb", buffering=0) as file:
            while True:
                file.write(b"x" * 4096)
        refused = api.upload(fleet)
        assert (refused.status_code, refused.json()["title"]) == (507, "No room"), refused.text
        assert list(folder.iterdir()) == [filler]
        filler.unlink()
        assert api.upload(fleet).status_code == 201
