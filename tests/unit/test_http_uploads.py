"""Uploads that are damaged, misnamed, too large or hostile: refused with what is wrong, and nothing of them is left."""

import asyncio
import io
import json
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import polars as pl
import pytest
from http_server import InProcess, in_process, parts_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_fleet import small_fleet

from slacktide.datasets.files import write_snapshot
from slacktide.errors import InputError
from slacktide.service.fleet_intake import OWN, Bounds, take_in
from slacktide.service.http.routes import fleets
from slacktide.service.http.settings import Limits

BOUNDS = Bounds(rows=1000, memory_bytes=8 * 2**30, cpu_s=60)


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("fleet") / "fleet"
    write_snapshot(small_fleet(), path)
    return path


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> InProcess:
    return in_process(tmp_path_factory.mktemp("api"), limits=Limits(upload_rows=1000))


def left(api: InProcess) -> list[Path]:
    return [*api.server.places.uploads.iterdir(), *(api.server.places.data / "fleets").iterdir()]


def test_what_is_wrong_with_a_fleet_is_listed(api: InProcess, fleet: Path) -> None:
    parts = parts_of(fleet)
    hosts = pl.read_parquet(fleet / "hosts.parquet").with_columns(vcpus=pl.lit(-4, pl.Int32))
    buffer = io.BytesIO()
    hosts.write_parquet(buffer)
    parts["hosts"] = ("../../../etc/passwd", buffer.getvalue(), "text/plain")
    parts["fleet"] = ("x", b'{"format_version": 1, "taken_at": "yesterday"}', "x/y")
    checked = api.call("POST", "/v1/fleets/check", "operator", files=parts)
    assert checked.status_code == 200
    assert not checked.json()["sound"]
    refused = api.call("POST", "/v1/fleets", "operator", files=parts)
    assert refused.status_code == 422
    found = {(finding["rule"], finding["file"]) for finding in refused.json()["findings"]}
    assert {("value-too-small", "hosts.parquet"), ("fleet-field", "fleet.json")} <= found
    assert left(api) == []


def test_all_parts_that_are_missing_are_named(api: InProcess, fleet: Path) -> None:
    files = parts_of(fleet)
    refused = api.call(
        "POST", "/v1/fleets", "operator", files={name: files[name] for name in ("fleet", "hosts", "vms")}
    )
    assert (refused.status_code, refused.json()["object"]) == (422, "parts domains, links, services")
    assert refused.json()["fact"] == "are missing"


def test_too_many_rows_are_not_read(api: InProcess, fleet: Path) -> None:
    """A thousand times a thousand rows of one value are a few hundred bytes."""
    parts = parts_of(fleet)
    buffer = io.BytesIO()
    pl.DataFrame({"service_id": ["x"] * 1_000_000}).write_parquet(buffer)
    assert len(buffer.getvalue()) < 20_000
    parts["services"] = ("services.parquet", buffer.getvalue(), "x/y")
    refused = api.call("POST", "/v1/fleets", "operator", files=parts)
    assert refused.status_code == 422
    assert refused.json()["fact"] == "has 1,000,000 rows, the most allowed is 1,000"
    assert left(api) == []


def test_what_unpacks_to_more_memory_than_allowed_ends_its_own_process_alone(tmp_path: Path, fleet: Path) -> None:
    """Few rows of long texts: 64 MiB packed into some thousand bytes, read with less address space than that."""
    for name in OWN.values():
        (tmp_path / name).write_bytes((fleet / name).read_bytes())
    long = pl.DataFrame({"service_id": [f"{number}{'x' * 2**23}" for number in range(64)]})
    long.write_parquet(tmp_path / "services.parquet", compression="zstd")
    assert (tmp_path / "services.parquet").stat().st_size < 2**21
    tight = BOUNDS._replace(memory_bytes=700 * 2**20)
    with pytest.raises(InputError, match="limits of memory"):
        asyncio.run(take_in(tmp_path, None, tight))


def test_names_that_are_no_names_are_told_in_part(api: InProcess, fleet: Path) -> None:
    """Some kilobytes unpack to host ids of megabytes, and columns may be called so as well."""
    parts = parts_of(fleet)
    hosts = pl.read_parquet(fleet / "hosts.parquet").with_columns(pl.col("host_id") + "x" * 3_000_000)
    services = pl.read_parquet(fleet / "services.parquet").with_columns(pl.lit("é" * 101).alias("y" * 2_000_000))
    for name, table in (("hosts", hosts), ("services", services)):
        buffer = io.BytesIO()
        table.write_parquet(buffer)
        parts[name] = (f"{name}.parquet", buffer.getvalue(), "x/y")
    checked = api.call("POST", "/v1/fleets/check", "operator", files=parts)
    assert checked.status_code == 200
    assert len(checked.content) < 100_000
    found = {finding["rule"]: finding for finding in checked.json()["findings"]}
    assert found.keys() == {"text-too-long", "column-unexpected"}
    assert found["text-too-long"]["message"].endswith("has 3,000,002 bytes of UTF-8, the most allowed is 200")


def test_a_fleet_whose_figures_fill_no_answer_is_refused(tmp_path: Path) -> None:
    fleet = small_fleet()
    kinds = [f"{number:06}{'k' * 190}" for number in range(30_000)]
    hosts = pl.concat([fleet.hosts.head(1)] * len(kinds)).with_columns(
        host_id=pl.Series(kinds), machine_type=pl.Series(kinds), state=pl.lit("empty", fleet.hosts.schema["state"])
    )
    domains = hosts.select("host_id", kind=pl.lit("rack"), domain_id=pl.col("rack_id"))
    links = pl.DataFrame({"tail": kinds, "head": ["s"] * len(kinds), "capacity_mbit_s": [1000] * len(kinds)})
    links = pl.concat([links, links.select(tail="head", head="tail", capacity_mbit_s="capacity_mbit_s")])
    parts = {"hosts": hosts, "vms": fleet.vms.clear(), "domains": domains, "links": links}
    write_snapshot(replace(fleet, services=fleet.services.clear(), **parts), tmp_path / "fleet")
    with pytest.raises(InputError, match="than an answer of 4 MiB holds"):
        asyncio.run(take_in(tmp_path / "fleet", None, BOUNDS._replace(rows=100_000)))


def test_uploads_are_read_one_after_the_other_where_more_may_not_be_at_once(tmp_path: Path, fleet: Path) -> None:
    api = in_process(tmp_path, limits=Limits(uploads=1))
    headers = {"Authorization": f"Bearer {api.tokens['operator']}"}

    async def both() -> list[int]:
        transport = httpx.ASGITransport(api.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://testserver", headers=headers) as http:
            async with api.server.intakes:
                sent = [
                    asyncio.create_task(http.post("/v1/fleets/check", files=parts_of(fleet), timeout=None))
                    for _ in range(2)
                ]
                async with asyncio.timeout(20):
                    while len(list(api.server.places.uploads.glob("*/*"))) < 2 * len(OWN):
                        await asyncio.sleep(0.01)
                assert not any(each.done() for each in sent)
            return [answer.status_code for answer in await asyncio.gather(*sent)]

    assert asyncio.run(both()) == [200, 200]


def test_a_damaged_table_is_a_finding(tmp_path: Path, fleet: Path) -> None:
    for name in OWN.values():
        (tmp_path / name).write_bytes((fleet / name).read_bytes())
    content = bytearray((fleet / "vms.parquet").read_bytes())
    content[40:400] = bytes(reversed(content[40:400]))
    (tmp_path / "vms.parquet").write_bytes(content)
    (tmp_path / "links.parquet").write_bytes(b"PAR1" * 9)
    (tmp_path / "fleet.json").write_bytes(b"[" * 100_000)
    found = asyncio.run(take_in(tmp_path, tmp_path / "kept", BOUNDS))
    assert found.fleet_id is None
    assert {"vms.parquet", "links.parquet", "fleet.json"} <= {finding["file"] for finding in found.findings}
    assert not (tmp_path / "kept").exists()
    json.dumps(found.findings)


BOUNDARY = b"--b\r\n"
PIECES = st.sampled_from(
    [
        BOUNDARY,
        b"--b--\r\n",
        b"--b",
        b"\r\n",
        b"\r\n\r\n",
        b'Content-Disposition: form-data; name="hosts"; filename="../x"\r\n',
        b'Content-Disposition: form-data; name="../../x"\r\n',
        b"Content-Disposition: form-data; name*=utf-8''hosts\r\n",
        b'Content-Disposition: form-data; name="vms\x00"\r\n',
        b"Content-Disposition: form-data\r\n",
        b"Content-Type: multipart/mixed; boundary=c\r\n",
        b"X: " + b"y" * 9000 + b"\r\n",
        b":\r\n",
        b"\x00\xff",
        b"PAR1",
    ]
)
KINDS = st.sampled_from(
    [
        "multipart/form-data; boundary=b",
        'multipart/form-data; boundary="b"',
        "multipart/form-data",
        "application/json",
        "",
    ]
)


@given(body=st.lists(PIECES | st.binary(max_size=20), max_size=12).map(b"".join), kind=KINDS)
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_body_makes_the_server_fail(api: InProcess, body: bytes, kind: str) -> None:
    answer = api.call("POST", "/v1/fleets", "operator", content=body, headers={"Content-Type": kind})
    assert 400 <= answer.status_code < 500, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert left(api) == []


def test_an_upload_repeated_under_its_key_is_answered_as_before(api: InProcess, fleet: Path) -> None:
    key = {"headers": {"Idempotency-Key": "fleet-1"}}
    first = api.upload(fleet, **key)
    again = api.upload(fleet, **key)
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.json() == first.json()
    files = parts_of(fleet) | {"fleet": ("fleet.json", b"{}", "application/json")}
    assert api.call("POST", "/v1/fleets", "operator", files=files, **key).status_code == 422


def scope_of(api: InProcess, path: str) -> dict[str, Any]:
    """Return what a server says of a request for a table."""
    return {
        **{"type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "query_string": b"format=csv"},
        **{"headers": [(b"authorization", f"Bearer {api.tokens['viewer']}".encode())], "client": ("127.0.0.1", 4711)},
        **{"server": ("testserver", 80), "scheme": "http", "http_version": "1.1", "root_path": ""},
    }


def test_so_many_tables_are_sent_at_once_and_more_are_to_be_asked_for_again(tmp_path: Path, fleet: Path) -> None:
    """Whoever does not read what was asked for holds one place, until the connection ends."""
    api = in_process(tmp_path, limits=Limits(exports=1))
    path = f"/v1/fleets/{api.upload(fleet).json()['fleet_id']}/tables/hosts"

    async def unread() -> httpx.Response:
        begun = asyncio.Event()

        async def send(message: Mapping[str, Any]) -> None:
            begun.set()
            await asyncio.Event().wait()

        async def receive() -> Mapping[str, Any]:
            await asyncio.Event().wait()
            return {}

        reader = asyncio.create_task(api.app(scope_of(api, path), receive, send))
        await begun.wait()
        transport = httpx.ASGITransport(api.app)
        headers = {"Authorization": f"Bearer {api.tokens['viewer']}"}
        async with httpx.AsyncClient(transport=transport, base_url="http://testserver", headers=headers) as http:
            refused = await http.get(path)
        reader.cancel()
        await asyncio.gather(reader, return_exceptions=True)
        return refused

    refused = asyncio.run(unread())
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "5")
    assert refused.json()["fact"] == "sends as many tables as it may"
    for kind in ("csv", "parquet"):
        assert api.call("GET", path, params={"format": kind}).status_code == 200
    assert api.call("GET", "/v1/fleets/0123456789abcdef/tables/hosts").status_code == 404
    assert api.call("GET", path).status_code == 200


def test_a_caller_who_hangs_up_while_a_table_is_read_makes_room_for_another(
    tmp_path: Path, fleet: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = in_process(tmp_path, limits=Limits(exports=1))
    path = f"/v1/fleets/{api.upload(fleet).json()['fleet_id']}/tables/hosts"
    reading, go_on = threading.Event(), threading.Event()
    read = fleets._table

    def slow(*about: Any) -> pl.DataFrame:
        reading.set()
        assert go_on.wait(20)
        return read(*about)

    async def never(*_: object) -> Mapping[str, Any]:
        await asyncio.Event().wait()
        return {}

    async def hung_up() -> None:
        reader = asyncio.create_task(api.app(scope_of(api, path), never, never))
        async with asyncio.timeout(20):
            while not reading.is_set():
                await asyncio.sleep(0.01)
        reader.cancel()
        await asyncio.wait({reader}, timeout=0.1)
        assert not reader.done()
        assert not api.server.exports.acquire(blocking=False)
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await reader

    monkeypatch.setattr(fleets, "_table", slow)
    asyncio.run(hung_up())
    assert api.call("GET", path).status_code == 200
