"""Files of fleets and plans, and journals, that have rotted: neither a bug of ours, nor a call without an answer."""

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from os import truncate
from pathlib import Path
from typing import Final

import polars as pl
import pytest
from http_server import InProcess, carry_out_launched, in_process
from small_fleet import small_fleet

from slacktide.datasets.files import write_snapshot
from slacktide.errors import ExecutionError
from slacktide.service import kept_files
from slacktide.service.cli import main
from slacktide.service.client.refusals import refusal_of
from slacktide.service.http.routes import campaigns
from slacktide.service.kept_sums import SUMS


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> tuple[InProcess, str]:
    """An API, and a campaign of its that has ended."""
    folder = tmp_path_factory.mktemp("ended")
    api = in_process(folder)
    write_snapshot(small_fleet(), folder / "fleet")
    asked = {"fleet_id": api.upload(folder / "fleet").json()["fleet_id"], "hosts": "due", "iterations": 1}
    job = api.call("POST", "/v1/campaigns/urgent", "operator", json=asked).json()["job_id"]
    carry_out_launched(api)
    return api, api.get(f"/v1/jobs/{job}")["result"]["campaign_id"]


@contextmanager
def other(api: InProcess, change: str, campaign: str) -> Iterator[None]:
    """Have the store be changed by a statement, and be as before in the end; nothing that was seen of it is known."""
    file = api.server.places.store
    before, views = sqlite3.connect(file), api.server.views
    with closing(before), closing(sqlite3.connect(":memory:")) as kept:
        before.backup(kept)
        before.execute(change, {"campaign": campaign})
        before.commit()
        views._kept.clear()
        try:
            yield
        finally:
            kept.backup(before)
            views._kept.clear()


GAP: Final = "DELETE FROM events WHERE number = 3"
NO_MOMENT: Final = "UPDATE campaigns SET origin = 'noon' WHERE campaign_id = :campaign"


@pytest.mark.parametrize("path", ["/look", "/events", "/events/stream?after=2", "/progress/stream", "/tables/hosts"])
def test_a_journal_that_is_damaged_is_told_and_not_waited_for(ended: tuple[InProcess, str], path: str) -> None:
    api, campaign = ended
    with other(api, GAP, campaign):
        answer = api.call("GET", f"/v1/campaigns/{campaign}{path}")
    problem = answer.json()
    assert (answer.status_code, problem["type"]) == (500, "urn:slacktide:problem:damaged"), problem
    assert "Retry-After" not in answer.headers
    assert problem["object"] == f"the journal of campaign {campaign}"
    assert problem["fact"] == "is damaged: event 3 is missing before event 4"
    assert str(api.folder) not in answer.text
    refused = refusal_of(answer.status_code, problem, "https://slacktide.example", may_pass=False)
    assert (type(refused), refused.retryable) == (ExecutionError, False)


def test_a_stream_that_comes_to_what_is_damaged_tells_all_before_it_and_then_the_problem(
    ended: tuple[InProcess, str],
) -> None:
    api, campaign = ended
    with other(api, GAP, campaign):
        answer = api.call("GET", f"/v1/campaigns/{campaign}/events/stream")
    assert answer.status_code == 200
    *_, first, second, last, rest = answer.text.split("\n\n")
    assert (first.split("\n")[0], second.split("\n")[0], rest) == ("id: 1", "id: 2", "")
    kind, data = last.split("\n")
    problem = json.loads(data.removeprefix("data: "))
    assert (kind, problem["status"], problem["type"]) == ("event: problem", 500, "urn:slacktide:problem:damaged")
    assert (problem["object"], problem["fact"]) == (
        f"the journal of campaign {campaign}",
        "is damaged: event 3 is missing before event 4",
    )
    assert problem["request_id"] == answer.headers["X-Request-Id"]
    assert str(api.folder) not in answer.text


def test_a_campaign_whose_row_is_damaged_has_begun_all_the_same(ended: tuple[InProcess, str]) -> None:
    api, campaign = ended
    with other(api, NO_MOMENT, campaign):
        problem = api.call("GET", f"/v1/campaigns/{campaign}").json()
    assert (problem["status"], problem["object"]) == (500, f"campaign {campaign}"), problem
    with other(api, "DELETE FROM campaigns", campaign):
        assert api.get(f"/v1/campaigns/{campaign}")["progress"] is None


def test_a_server_that_does_not_ask_to_be_asked_again_is_not_waited_for() -> None:
    said = {"type": "urn:slacktide:problem:store", "object": "store", "fact": "does not answer", "remedy": "Wait"}
    assert refusal_of(503, said, "https://slacktide.example", may_pass=False).retryable
    other = {**said, "type": "urn:slacktide:problem:other"}
    assert not refusal_of(503, other, "https://slacktide.example", may_pass=False).retryable
    assert refusal_of(503, other, "https://slacktide.example", may_pass=True).retryable


def changed(file: Path, value: pl.Expr) -> None:
    """Write a table anew with another value in its first row."""
    table = pl.read_parquet(file)
    table.head(1).with_columns(value).vstack(table.tail(-1)).write_parquet(file)


DAMAGES: Final[dict[str, Callable[[Path], None]]] = {
    "gone": Path.unlink,
    "cut short": lambda file: truncate(file, file.stat().st_size // 2),
    "a directory": lambda file: (file.unlink(), file.mkdir()),
    "of another schema": lambda file: file.write_bytes(file.read_bytes().replace(b"/////", b"!!!!!")),
    "of another table": lambda file: file.write_bytes((file.parent / "links.parquet").read_bytes()),
    "without a column": lambda file: pl.read_parquet(file).drop("host_id").write_parquet(file),
    "with another value": lambda file: changed(file, pl.col("vcpus") - 1),
    "with nulls": lambda file: pl.read_parquet(file).with_columns(host_id=pl.lit(None, pl.String)).write_parquet(file),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_kept_files_that_are_damaged_are_no_bug_and_no_fault_of_who_asks(tmp_path: Path, damage: str) -> None:
    api, fleet = in_process(tmp_path), tmp_path / "fleet"
    write_snapshot(small_fleet(), fleet)
    fleet_id = api.upload(fleet).json()["fleet_id"]
    for name in ("hosts", "vms"):
        DAMAGES[damage](api.server.places.fleet(fleet_id) / f"{name}.parquet")
    told = [api.call("GET", f"/v1/fleets/{fleet_id}/{what}") for what in ("vms?limit=1", "map", "tables/vms")]
    asked = {"fleet_id": fleet_id, "hosts": ["nothing"]}
    assert SUMS in {each.name for each in api.server.places.fleet(fleet_id).iterdir()}
    for answer in (*told, api.call("POST", "/v1/campaigns/urgent", "operator", json=asked)):
        problem = answer.json()
        assert (problem["status"], problem["title"]) == (500, "What is kept is damaged"), problem
        assert "slacktide store check" in problem["remedy"]
        assert problem["object"] == f"fleet {fleet_id}"
    assert main(["store", "check", str(tmp_path / "data")]) == 1
    job = api.call("POST", "/v1/plans", "operator", json={"fleet_id": fleet_id}).json()["job_id"]
    error = api.get(f"/v1/jobs/{job}")["error"]
    assert (error["object"], error["fact"]) == (f"fleet {fleet_id}", "has files that are gone or damaged")
    assert str(tmp_path) not in str(error)
    assert api.upload(fleet).json()["fleet_id"] == fleet_id
    assert api.get(f"/v1/fleets/{fleet_id}/vms?limit=1")["items"], "it is written anew"


def fleet_and_plan(api: InProcess) -> tuple[str, str]:
    """Return the ids of a fleet and a plan that an API keeps."""
    write_snapshot(small_fleet(), api.folder / "fleet")
    fleet_id = api.upload(api.folder / "fleet").json()["fleet_id"]
    job = api.call("POST", "/v1/plans", "operator", json={"fleet_id": fleet_id, "iterations": 1}).json()["job_id"]
    return fleet_id, api.get(f"/v1/jobs/{job}")["result"]["plan_id"]


def test_bytes_that_have_changed_are_given_to_no_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over some a reader of Parquet asks for more memory than there is, and then the process ends."""
    api = in_process(tmp_path)
    fleet_id, plan_id = fleet_and_plan(api)
    files = api.server.places.fleet(fleet_id) / "hosts.parquet", api.server.places.plan(plan_id) / "hosts.parquet"
    for file in files:
        content = bytearray(file.read_bytes())
        content[148] ^= 1
        file.write_bytes(content)

    def read(*_: object, **__: object) -> None:
        raise AssertionError("is read")

    for reader in ("read_parquet", "scan_parquet"):
        monkeypatch.setattr(pl, reader, read)
    for path in (f"plans/{plan_id}/hosts", f"fleets/{fleet_id}/hosts", f"fleets/{fleet_id}/vms"):
        assert api.call("GET", f"/v1/{path}").json()["title"] == "What is kept is damaged"
    refused = api.call("POST", "/v1/plans", "operator", json={"fleet_id": fleet_id, "iterations": 1}).json()
    assert api.get(f"/v1/jobs/{refused['job_id']}")["error"]["object"] == f"fleet {fleet_id}"


def test_no_campaign_is_begun_on_a_fleet_that_is_damaged(tmp_path: Path) -> None:
    api = in_process(tmp_path)
    fleet_id, plan_id = fleet_and_plan(api)
    (api.server.places.fleet(fleet_id) / "links.parquet").unlink()
    problem = api.call("POST", "/v1/campaigns", "operator", json={"plan_id": plan_id}).json()
    assert (problem["status"], problem["object"]) == (500, f"fleet {fleet_id}")


def test_the_check_of_the_store_says_which_files_have_changed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    api = in_process(tmp_path)
    fleet_id, plan_id = fleet_and_plan(api)
    assert main(["store", "check", str(tmp_path / "data")]) == 0
    changed(api.server.places.plan(plan_id) / "hosts.parquet", pl.col("return_s") + 1)
    (api.server.places.fleet(fleet_id) / "vms.parquet").unlink()
    (api.server.places.fleet(fleet_id) / SUMS).unlink()
    capsys.readouterr()
    assert main(["store", "check", str(tmp_path / "data"), "--json"]) == 1
    found = json.loads(capsys.readouterr().out)["findings"]
    assert [(each["rule"], each["subjects"]) for each in found] == [
        ("changed-files", [fleet_id]),
        ("changed-files", [plan_id]),
    ]
    assert found[1]["message"].startswith(f"hosts.parquet of plan {plan_id} in ")


@pytest.mark.parametrize(("read_before", "noted"), [(False, True), (True, True), (False, False), (True, False)])
def test_a_value_that_has_changed_is_damage_though_it_can_be_read(
    tmp_path: Path, read_before: bool, noted: bool
) -> None:
    """What was kept before its bytes were noted is compared with its name."""
    api = in_process(tmp_path)
    fleet_id, plan_id = fleet_and_plan(api)
    kept_files._found.clear()
    if not noted:
        for folder in (api.server.places.plan(plan_id), api.server.places.fleet(fleet_id)):
            (folder / SUMS).unlink()
    if read_before:
        before = api.get(f"/v1/plans/{plan_id}/hosts")["items"], api.get(f"/v1/fleets/{fleet_id}/vms")["items"]
        assert before == (
            api.get(f"/v1/plans/{plan_id}/hosts")["items"],
            api.get(f"/v1/fleets/{fleet_id}/vms")["items"],
        )
    changed(api.server.places.plan(plan_id) / "hosts.parquet", pl.col("return_s") + 1)
    changed(api.server.places.fleet(fleet_id) / "vms.parquet", pl.col("memory_mib") + 1)
    for path in ("hosts", "tables/hosts", "migrations?limit=1"):
        problem = api.call("GET", f"/v1/plans/{plan_id}/{path}").json()
        assert (problem["status"], problem["object"]) == (500, f"plan {plan_id}"), problem
    for path in ("hosts", "vms?limit=1", "map"):
        problem = api.call("GET", f"/v1/fleets/{fleet_id}/{path}").json()
        assert (problem["status"], problem["object"]) == (500, f"fleet {fleet_id}"), problem
    assert api.upload(api.folder / "fleet").json()["fleet_id"] == fleet_id
    assert api.get(f"/v1/fleets/{fleet_id}/vms?limit=1")["items"], "it is written anew"


@pytest.mark.parametrize("where", ["campaigns", "plans"])
def test_a_reader_that_panics_ends_no_call_without_an_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    api, fleet = in_process(tmp_path), tmp_path / "fleet"
    write_snapshot(small_fleet(), fleet)
    fleet_id = api.upload(fleet).json()["fleet_id"]
    job = api.call("POST", "/v1/plans", "operator", json={"fleet_id": fleet_id, "iterations": 1}).json()["job_id"]
    plan_id = api.get(f"/v1/jobs/{job}")["result"]["plan_id"]

    def panics(*_: object, **__: object) -> None:
        raise pl.exceptions.PanicException("called `Option::unwrap()` on a `None` value")

    headers = {"Idempotency-Key": "panic"}
    with monkeypatch.context() as patch:
        patch.setattr(kept_files, "read_plan", panics)
        patch.setattr(kept_files, "read_snapshot", panics)
        patch.setattr(pl, "scan_parquet", panics)
        if where == "campaigns":
            refused = api.call("POST", "/v1/campaigns", "operator", json={"plan_id": plan_id}, headers=headers)
        else:
            refused = api.call("GET", f"/v1/plans/{plan_id}/tables/hosts")
            failed = api.call("POST", f"/v1/plans/{plan_id}/audit", "operator").json()["job_id"]
            assert api.get(f"/v1/jobs/{failed}")["error"]["object"] == f"fleet {fleet_id}"
        assert (refused.json()["type"], refused.status_code) == ("urn:slacktide:problem:damaged", 500), refused.text
        assert refused.headers["X-Request-Id"] == refused.json()["request_id"]
        assert refused.json()["object"] == f"plan {plan_id}"
    if where == "campaigns":
        made = api.call("POST", "/v1/campaigns", "operator", json={"plan_id": plan_id}, headers=headers)
        assert made.status_code == 201, made.text
        calls = [each for each in api.get("/v1/audit?limit=1000")["items"] if each["idempotency_key"] == "panic"]
        assert [each["status"] for each in calls] == [500, 201]


def test_whatever_a_call_ends_with_it_is_answered_and_its_key_is_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = in_process(tmp_path)

    def panics(*_: object) -> None:
        raise pl.exceptions.PanicException("out of a reader that nobody has thought of")

    headers = {"Idempotency-Key": "panic"}
    asked = {"plan_id": "0123456789abcdef"}
    with monkeypatch.context() as patch:
        patch.setattr(campaigns, "plan_of", panics)
        failed = api.call("POST", "/v1/campaigns", "operator", json=asked, headers=headers)
    assert (failed.status_code, failed.json()["fact"]) == (500, "this is a bug in Slacktide: PanicException")
    assert api.call("POST", "/v1/campaigns", "operator", json=asked, headers=headers).status_code == 404
