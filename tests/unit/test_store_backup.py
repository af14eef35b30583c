"""Backups of stores and directories: whole, of one moment, restored only where nothing is, and fenced."""

import json
import resource
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sql
from campaigns import planned_fleet
from http_server import in_process
from postgresql import Server

from slacktide.errors import ExecutionError, OutputError, SlacktideError
from slacktide.executors.campaign_file import kept_in
from slacktide.executors.journal import CampaignRecord, Journal
from slacktide.executors.run import RunOptions, run_campaign
from slacktide.executors.store.address import Store, store_in
from slacktide.executors.store.campaigns import RESTORED, begin_campaign, list_campaigns
from slacktide.executors.store.reading import read_journal
from slacktide.executors.store.restored import GENERATIONS_SINCE, fence_restored
from slacktide.ids import CampaignId, PlanId
from slacktide.service.backup.manifest import MANIFEST, files_of, read_manifest
from slacktide.service.backup.rows import copy_in
from slacktide.service.campaign_terms import CampaignTerms
from slacktide.service.cli import main
from slacktide.service.places import STORE_FILE
from slacktide.service.store.database import open_database
from slacktide.service.store.runs import Run, add_run, change_run, find_run
from slacktide.service.store.tokens import create_token, find_token, list_tokens

FLEET = Path(__file__).parents[1] / "replay" / "urgent" / "fleet"
REAL = json.dumps({"driver": "libvirt", "libvirt": {}})
SIMULATED = json.dumps({"driver": "simulated", "simulation": {}})


def url_of(store: Store) -> str:
    return store.url.set(drivername="postgresql" if not store.is_file else "sqlite").render_as_string(False)


def another(kind: str, request: pytest.FixtureRequest, folder: Path) -> Store:
    """Return a further store of a kind in which nothing is."""
    if kind == "sqlite":
        return store_in(folder / "another.sqlite")
    server: Server = request.getfixturevalue("postgresql")
    return server.new_store()


def begun(store: Store, name: str, settings: str) -> None:
    origin = planned_fleet()[0].meta.taken_at
    begin_campaign(store, CampaignRecord(CampaignId(name), PlanId("p"), "s" * 64, "p" * 64, origin, settings))


def command(capsys: pytest.CaptureFixture[str], *words: object, code: int = 0) -> tuple[str, str]:
    capsys.readouterr()
    assert main(["store", *map(str, words)]) == code
    said = capsys.readouterr()
    return said.out, said.err


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_store_comes_back_whole_in_either_kind_of_database(
    store: Store, kind: str, request: pytest.FixtureRequest, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    snapshot, plan = planned_fleet("urgent")
    run_campaign(snapshot, plan, tmp_path / "c", options=RunOptions(agents=1, use_ray=False, store=store))
    database = open_database(store)
    token = create_token(database, "the night", "viewer", "eva")[1]
    database.close()
    before = read_journal(store)
    made = json.loads(command(capsys, "backup", "--store", url_of(store), "-o", tmp_path / "b", "--json")[0])
    assert (made["kind"], made["files"]) == ("store", 1)
    assert made["campaigns"][0]["events"] == before.last
    assert "is whole" in command(capsys, "check", tmp_path / "b")[0]
    target = another(kind, request, tmp_path)
    command(capsys, "restore", tmp_path / "b", "--store", url_of(target))
    after = read_journal(target)
    assert after.read() == before.read()
    assert after.record == before.record
    before.close()
    after.close()
    (listed,) = list_campaigns(target)
    assert (listed.state, listed.is_held, listed.generation) == ("finished", False, 1)
    restored = open_database(target)
    assert find_token(restored, token) is not None
    create_token(restored, "the day", "viewer", "eva")
    assert len(list_tokens(restored)) == 2
    restored.close()
    begun(target, "next", SIMULATED)  # numbered after those that came back
    assert [each.record.campaign_id for each in list_campaigns(target)][1:] == ["next"]
    said = command(capsys, "restore", tmp_path / "b", "--store", url_of(target), code=1)[1]
    assert "is not overwritten" in said
    assert "is whole" in command(capsys, "check", "--store", url_of(target))[0]


def test_campaigns_on_real_hosts_wait_for_their_release(
    store: Store, request: pytest.FixtureRequest, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, settings in (("real", REAL), ("simulated", SIMULATED), ("unknown", "{}")):
        begun(store, name, settings)
    holder = Journal.hold(store, CampaignId("real"))
    command(capsys, "backup", "--store", url_of(store), "-o", tmp_path / "b")
    target = another("sqlite" if store.is_file else "postgresql", request, tmp_path)
    said = command(capsys, "restore", tmp_path / "b", "--store", url_of(target))[1]
    assert "2 campaigns on real hosts" in said
    assert "real, unknown" in said
    found = {str(each.record.campaign_id): each for each in list_campaigns(target)}
    assert {name: each.state for name, each in found.items()} == {
        "real": RESTORED,
        "simulated": None,
        "unknown": RESTORED,
    }
    assert found["real"].generation == 1 + GENERATIONS_SINCE
    assert not found["real"].is_held, "who held it held another store"
    for take_over in (False, True):
        with pytest.raises(ExecutionError, match="came back from a backup"):
            Journal.hold(target, CampaignId("real"), take_over=take_over)
    Journal.hold(target, CampaignId("simulated")).close()
    command(capsys, "release", "real", "--store", url_of(target))
    Journal.hold(target, CampaignId("real")).close()
    assert "does not wait" in command(capsys, "release", "real", "--store", url_of(target), code=1)[1]
    holder.keep()
    holder.close()


def test_a_store_that_came_back_by_other_means_is_fenced(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    begun(store, "real", REAL)
    holder = Journal.hold(store)
    said = command(capsys, "fence", "--store", url_of(store))[1]
    assert "1 campaign on real hosts" in said
    with pytest.raises(ExecutionError, match="has taken this campaign over"):
        _renew(holder)
    holder.close()


def _renew(holder: Journal) -> None:
    """Renew a lease now, as its holder does every few seconds."""
    with holder._connection.writing() as transaction:
        holder._lease.renew(transaction)


def test_a_servers_directory_comes_back_at_another_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    process = in_process(tmp_path)
    fleet = process.upload(FLEET).json()["fleet_id"]
    job = process.call("POST", "/v1/campaigns/urgent", json={"fleet_id": fleet, "within_s": 14_400, "time_limit_s": 0})
    asked = process.get(job.headers["Location"])["result"]
    run = find_run(process.server.database, asked["campaign_id"])
    assert run is not None
    assert run.state == "wanted"
    (tmp_path / "data" / "uploads" / "half").write_bytes(b"half an upload")
    data, new = tmp_path / "data", tmp_path / "x" / "data"
    command(capsys, "backup", data, "-o", tmp_path / "b")
    assert not list((tmp_path / "b" / "files").glob("**/half"))
    command(capsys, "restore", tmp_path / "b", new)
    assert new.stat().st_mode & 0o777 == 0o700
    assert "is whole" in command(capsys, "check", new)[0]
    again = in_process(tmp_path / "x")
    assert again.get(f"/v1/fleets/{fleet}")["fleet_id"] == fleet
    assert again.get(f"/v1/plans/{asked['plan_id']}")["plan_id"] == asked["plan_id"]
    change_run(again.server.database, run.campaign_id, next_look_at="2026-01-01T00:00:00.000Z")
    again.server.campaigning.look()
    (launch,) = again.launched
    assert launch.fleet == new / "fleets" / fleet
    said = command(capsys, "restore", tmp_path / "b", new, code=1)[1]
    assert "is not overwritten" in said
    assert "is within what is to be copied" in command(capsys, "backup", data, "-o", data / "b", code=2)[1]
    (new / "plans" / asked["plan_id"]).rename(tmp_path / "gone")
    assert "plan of a campaign" in command(capsys, "check", new, code=1)[0]
    command(capsys, "backup", new, "-o", tmp_path / "b2")
    said = command(capsys, "check", tmp_path / "b2")[0]
    assert "plan of a campaign" in said
    assert "is whole" not in said, "as whole as what was copied"


def test_the_server_leaves_a_restored_campaign_on_real_hosts_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    profile = {"connections": str(tmp_path / "c.json")}
    process = in_process(tmp_path, profiles={"lab": profile})
    plan = planned_fleet()[1]
    run = _wanted(process, plan)
    begun(process.server.database.store, run.campaign_id, REAL)
    command(capsys, "backup", tmp_path / "data", "-o", tmp_path / "b")
    command(capsys, "restore", tmp_path / "b", tmp_path / "x" / "data")
    again = in_process(tmp_path / "x", profiles={"lab": profile})
    again.server.campaigning.look()
    found = find_run(again.server.database, run.campaign_id)
    assert found is not None
    assert (found.state, again.launched) == ("failed", [])
    assert "slacktide store release" in (found.said or "")


def _wanted(process, plan):
    terms = CampaignTerms(profile="lab").model_dump(mode="json")
    past = "2026-01-01T00:00:00.000Z"
    run = Run("abc", "f1", plan.header.id, past, "eva", terms, "wanted", past, 0, None, None, "lab")
    assert add_run(process.server.database, run)
    return run


def test_a_campaigns_directory_comes_back_with_its_journal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    snapshot, plan = planned_fleet("urgent")
    run_campaign(snapshot, plan, tmp_path / "c", options=RunOptions(agents=1, use_ray=False))
    said = command(capsys, "backup", tmp_path / "c", "-o", tmp_path / "b")[1]
    assert "fleets and plans outside the directory are not in it" in said
    command(capsys, "restore", tmp_path / "b", tmp_path / "new")
    kept = kept_in(tmp_path / "new")
    assert kept is not None
    assert kept.store.path == (tmp_path / "new" / "journal.sqlite").resolve()
    journal = read_journal(kept.store, kept.campaign)
    assert journal.last > 0
    journal.close()
    report = run_campaign(snapshot, plan, tmp_path / "new", options=RunOptions(agents=1, use_ray=False))
    assert report.summary.finished


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_restore_that_fails_leaves_nothing_and_the_next_one_succeeds(
    kind: str,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data, new = tmp_path / "old" / "data", tmp_path / "new" / "data"
    data.mkdir(parents=True)
    database = open_database(store_in(data / STORE_FILE))
    origin = planned_fleet()[0].meta.taken_at
    plan = str(data / "plans" / "p")
    record = CampaignRecord(CampaignId("real"), PlanId("p"), "s" * 64, "p" * 64, origin, REAL, plan)
    begin_campaign(database.store, record)
    database.close()
    command(capsys, "backup", data, "-o", tmp_path / "b")
    target = another(kind, request, tmp_path)
    before = sorted(tmp_path.iterdir())

    def fails(transaction: sql.Connection) -> None:
        assert fence_restored(transaction) == ["real"]
        raise OutputError("it", "fails at the last step", "Try again")

    words = ("restore", tmp_path / "b", new, "--store", url_of(target))
    with monkeypatch.context() as patch:
        patch.setattr("slacktide.service.backup.restoring.fence_restored", fails)
        assert "fails at the last step" in command(capsys, *words, code=1)[1]
    assert not list((tmp_path / "new").iterdir())
    (tmp_path / "new").rmdir()
    assert sorted(tmp_path.iterdir()) == before
    assert target.is_file or list_campaigns(target) == []
    command(capsys, *words)
    (listed,) = list_campaigns(target)
    assert (listed.state, listed.record.plan_path) == (RESTORED, str(new / "plans" / "p"))


def test_what_is_written_and_taken_away_meanwhile_is_not_copied(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "data"
    for path in ("fleets/one/hosts", "fleets/.two.0a1b2c3d.partial/hosts", "plans/three/plan", ".x.0a1b2c3d.partial"):
        (data / path).parent.mkdir(parents=True, exist_ok=True)
        (data / path).write_text("content")
    open_database(store_in(data / STORE_FILE)).close()
    files = files_of(data)
    assert next(files) == data / "fleets" / "one" / "hosts"
    shutil.rmtree(data / "plans")
    assert list(files) == [data / STORE_FILE]
    assert list(files_of(data / "plans")) == [], "gone between a look at its name and one within"
    command(capsys, "backup", data, "-o", tmp_path / "b")
    assert list(read_manifest(tmp_path / "b").files) == ["store.sqlite", "files/fleets/one/hosts"]


@contextmanager
def files_no_longer_than(size: int) -> Iterator[None]:
    """Have the system refuse what goes beyond, as a full disk does."""
    before, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, most))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (before, most))


def test_a_disk_that_fills_in_the_middle_leaves_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    begun(store_in(tmp_path / "s.sqlite"), "real", REAL)
    command(capsys, "backup", "--store", f"sqlite:///{tmp_path / 's.sqlite'}", "-o", tmp_path / "b")
    (tmp_path / "new").mkdir()
    target, copied = store_in(tmp_path / "new" / "t.sqlite"), tmp_path / "b" / "store.sqlite"
    size = copied.stat().st_size
    for most in (size // 2, size + 4_096):
        with files_no_longer_than(most), pytest.raises(SlacktideError, match="cannot be written"):
            copy_in(copied, target, _grown)
        assert not list((tmp_path / "new").iterdir())
    assert copy_in(copied, target, fence_restored) == ["real"]


def _grown(transaction: sql.Connection) -> None:
    """Fill a store with more than there was."""
    transaction.execute(sql.text("UPDATE campaigns SET settings = :long"), {"long": "x" * 2**20})


def test_a_damaged_backup_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    begun(store_in(tmp_path / "s.sqlite"), "one", SIMULATED)
    command(capsys, "backup", "--store", f"sqlite:///{tmp_path / 's.sqlite'}", "-o", tmp_path / "b")
    target = ("--store", f"sqlite:///{tmp_path / 't.sqlite'}")
    content = (tmp_path / "b" / "store.sqlite").read_bytes()
    (tmp_path / "b" / "store.sqlite").write_bytes(content[:-1] + b"x")
    assert "is not what was copied" in command(capsys, "check", tmp_path / "b", code=1)[0]
    assert "is damaged" in command(capsys, "restore", tmp_path / "b", *target, code=1)[1]
    (tmp_path / "b" / "store.sqlite").unlink()
    assert "is not there" in command(capsys, "check", tmp_path / "b", code=1)[0]
    (tmp_path / "b" / MANIFEST).write_text('{"format_version": 7}')
    assert "has format version 7" in command(capsys, "restore", tmp_path / "b", *target, code=1)[1]
    (tmp_path / "b" / MANIFEST).unlink()
    assert "is no backup" in command(capsys, "restore", tmp_path / "b", *target, code=2)[1]
    assert not (tmp_path / "t.sqlite").exists()


def test_a_rotted_store_is_a_finding(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Names that SQLite tells of its own tables are no text any more; or pages are no pages."""
    file = tmp_path / "s.sqlite"
    begun(store_in(file), "one", SIMULATED)
    whole = file.read_bytes()
    pages = whole[:4096] + bytes(reversed(whole[4096:]))
    for rotted in (whole.replace(b"CREATE TABLE campaigns (", b"CREATE TAB\xff\xfe campaigns ("), pages):
        assert rotted != whole
        file.write_bytes(rotted)
        found = json.loads(command(capsys, "check", "--store", f"sqlite:///{file}", "--json", code=1)[0])["findings"]
        assert [each["rule"] for each in found] == ["integrity"] * len(found)
        assert found[0]["remedy"].startswith("Restore it from a backup")


def backed_up(folder: Path, capsys: pytest.CaptureFixture[str]) -> tuple[Path, dict[str, Any]]:
    """Return the backup of a server's directory with a store and one file beside it, and what its manifest says."""
    data, backup = folder / "data", folder / "b"
    data.mkdir()
    (data / "one").write_text("content")
    open_database(store_in(data / STORE_FILE)).close()
    command(capsys, "backup", data, "-o", backup)
    return backup, json.loads((backup / MANIFEST).read_text())


def test_a_backup_that_says_less_than_it_holds_or_something_else_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    backup, manifest = backed_up(tmp_path, capsys)
    one = {path: file for path, file in manifest["files"].items() if path != "store.sqlite"}
    alone = {path: file for path, file in manifest["files"].items() if path == "store.sqlite"}
    for changed, fact in (
        ({"files": one}, "store.sqlite is not among the files"),
        ({"kind": "store"}, "the files are not those of a store"),
        ({"kind": "campaign"}, "the files are not those of a campaign"),
        ({"directory": None}, "the files are not those of a server"),
        ({"kind": "server", "directory": None, "files": alone}, "the files are not those of a server"),
    ):
        (backup / MANIFEST).write_text(json.dumps(manifest | changed))
        assert fact in command(capsys, "check", backup, code=1)[1]
        assert fact in command(capsys, "restore", backup, tmp_path / "x", code=1)[1]
    (backup / MANIFEST).write_text("[" * 200_000)
    assert "cannot be read" in command(capsys, "check", backup, code=1)[1]
    assert not (tmp_path / "x").exists()


def test_a_backup_with_a_path_that_leads_out_of_it_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    backup, manifest = backed_up(tmp_path, capsys)
    known = manifest["files"].pop("files/one")
    (tmp_path / "evil").write_text("content")
    for path in ("files/../../evil", "files/a/../../../evil", str(tmp_path / "evil"), "../evil", "evil", "files", ""):
        (backup / MANIFEST).write_text(json.dumps(manifest | {"files": manifest["files"] | {path: known}}))
        for words in (("check", backup), ("restore", backup, tmp_path / "new" / "data")):
            said = command(capsys, *words, code=1)[1]
            assert f"{path!r} is neither store.sqlite nor within files" in said
    assert not (tmp_path / "new").exists()


def test_a_store_with_a_gap_is_not_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    snapshot, plan = planned_fleet("urgent")
    run_campaign(snapshot, plan, tmp_path / "c", options=RunOptions(agents=1, use_ray=False))
    with closing(sqlite3.connect(tmp_path / "c" / "journal.sqlite")) as journal, journal:
        journal.execute("DELETE FROM events WHERE number = 7")
    assert "some are missing" in command(capsys, "check", tmp_path / "c", code=1)[0]
