"""Backups while a campaign is carried out, and the campaign that goes on from one after its machine was lost."""

import json
import os
import subprocess
import sys
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest
from campaign_commands import Running
from postgresql import Server, binaries
from ray_cluster import until
from small_fleet import small_fleet, small_plan

from slacktide.datasets.files import write_snapshot
from slacktide.errors import SlacktideError
from slacktide.executors.store.address import Store, parse_store, store_in
from slacktide.executors.store.campaigns import list_campaigns
from slacktide.executors.store.reading import Entry, read_journal
from slacktide.planner.plan_files import write_plan
from slacktide.service.cli import main

pytestmark = pytest.mark.integration
MOVES = ("m1", "m2", "m3", "m4", "m5")


def run_in(folder: Path, url: str | None, pace: float) -> Running:
    """Have the small plan carried out, in a process of its own."""
    words = ["run", str(folder / "fleet"), str(folder / "plan"), "-o", str(folder / "campaign"), "--no-ray"]
    command = [sys.executable, "-m", "slacktide.service.cli", *words, "--speed", str(pace)]
    return Running([*command, *([] if url is None else ["--store", url])], folder / "campaign", dict(os.environ))


def journal_of(store: Store) -> list[Entry]:
    with suppress(SlacktideError):
        reading = read_journal(store)
        found = reading.read()
        reading.close()
        return found
    return []


def backed_up(capsys: pytest.CaptureFixture[str], *words: object) -> dict:
    capsys.readouterr()
    assert main(["store", "backup", *map(str, words), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def goes_on(folder: Path, url: str | None, store: Store, known: int) -> None:
    """Have the campaign go on at once from what came back, and check that all was done once."""
    running = run_in(folder, url, 100_000.0)
    try:
        assert running.end() == 0, running.words
    finally:
        running.close()
    entries = journal_of(store)
    assert [entry.number for entry in entries] == list(range(1, len(entries) + 1))
    assert len(entries) > known
    done = Counter(entry.event.migration_id for entry in entries if entry.event.type == "migration-done")
    resolved = Counter(entry.event.migration_id for entry in entries if entry.event.type == "migration-resolved")
    assert set(done) | set(resolved) == set(MOVES)
    assert set(done.values()) == {1}, done
    (listed,) = list_campaigns(store)
    assert listed.state == "finished"


def planned(folder: Path) -> None:
    folder.mkdir()
    write_snapshot(small_fleet(), folder / "fleet")
    write_plan(small_plan(), folder / "plan")


def test_a_campaign_in_its_directory_goes_on_from_a_backup(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    planned(tmp_path / "one")
    planned(tmp_path / "two")
    store = store_in(tmp_path / "one" / "campaign" / "journal.sqlite")
    running = run_in(tmp_path / "one", None, 20.0)
    try:
        until(lambda: len(journal_of(store)) > 5, 120, "it has begun")
        made = backed_up(capsys, tmp_path / "one" / "campaign", "-o", tmp_path / "b")
        (then,) = made["campaigns"]
        assert then["state"] is None
        until(lambda: len(journal_of(store)) > then["events"], 120, "it goes on meanwhile")
        assert running.process.poll() is None, running.words
        running.kill()
    finally:
        running.close()
    assert main(["store", "restore", str(tmp_path / "b"), str(tmp_path / "two" / "campaign")]) == 0
    restored = store_in(tmp_path / "two" / "campaign" / "journal.sqlite")
    before = journal_of(store)
    assert journal_of(restored) == before[: then["events"]]
    goes_on(tmp_path / "two", None, restored, then["events"])


def test_a_campaign_in_postgresql_goes_on_from_a_backup_and_from_a_dump(
    postgresql: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("one", "two", "three"):
        planned(tmp_path / name)
    url = postgresql.url(postgresql.new_database())
    store = parse_store(url)
    running = run_in(tmp_path / "one", url, 20.0)
    try:
        until(lambda: len(journal_of(store)) > 5, 120, "it has begun")
        made = backed_up(capsys, "--store", url, "-o", tmp_path / "b")
        (then,) = made["campaigns"]
        tool("pg_dump", f"--dbname={url}", "--format=custom", f"--file={tmp_path / 'dump'}")
        until(lambda: len(journal_of(store)) > then["events"], 120, "it goes on meanwhile")
        assert running.process.poll() is None, running.words
        running.kill()
    finally:
        running.close()
    restored, dumped = (postgresql.url(postgresql.new_database()) for _ in range(2))
    assert main(["store", "restore", str(tmp_path / "b"), "--store", restored]) == 0
    assert journal_of(parse_store(restored)) == journal_of(store)[: then["events"]]
    goes_on(tmp_path / "two", restored, parse_store(restored), then["events"])
    tool("pg_restore", f"--dbname={dumped}", "--no-owner", str(tmp_path / "dump"))
    assert list_campaigns(parse_store(dumped))[0].holder is not None
    assert main(["store", "fence", "--store", dumped]) == 0
    assert list_campaigns(parse_store(dumped))[0].holder is None
    goes_on(tmp_path / "three", dumped, parse_store(dumped), then["events"])


def tool(name: str, *words: str) -> None:
    """Have a program of PostgreSQL's do something, as docs/operations.md says."""
    folder = binaries()
    assert folder is not None
    done = subprocess.run([str(folder / name), *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
