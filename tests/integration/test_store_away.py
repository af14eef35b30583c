"""A store that does not answer for a while: stopped, full, locked.  The campaign waits, says so, and goes on."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from math import inf
from pathlib import Path

import pytest
from campaigns import planned_fleet
from postgresql import Server, binaries, running_server
from small_disks import small_disk

from slacktide.errors import ExecutionError, StoreError
from slacktide.executors.campaign_file import kept_in
from slacktide.executors.drivers.settings import Failures
from slacktide.executors.progress import Progress
from slacktide.executors.report import CampaignReport
from slacktide.executors.run import RunOptions, run_campaign
from slacktide.executors.store.address import Store, parse_store
from slacktide.executors.store.campaigns import has_campaign
from slacktide.executors.store.patience import Patience, patiently
from slacktide.executors.store.reading import read_journal
from slacktide.ids import CampaignId

pytestmark = pytest.mark.integration

WRONG = Failures(migrations_per_mille=20, overruns_per_mille=50)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """Have a server that may be stopped."""
    if binaries() is None:
        pytest.skip("POSTGRESQL IS NOT INSTALLED: apt-get install postgresql; campaigns in it are not tested")
    with running_server() as own:
        yield own


@pytest.fixture(autouse=True)
def _short_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("slacktide.executors.run.PROGRESS_INTERVAL_S", 0.02)


class Outage:
    """Takes the store away in the middle of a campaign, and gives it back once the campaign has waited for a while."""

    def __init__(self, take: Callable[[], None], give: Callable[[], None], waits: int = 20) -> None:
        self._take, self._give, self._waits = take, give, waits
        self.told: list[Progress] = []
        self.waiting: list[Progress] = []
        self.given = False

    def __call__(self, now: Progress) -> None:
        self.told.append(now)
        if len(self.told) == 2:
            assert not now.finished, "the campaign was over too soon for this test"
            self._take()
        if now.waits_for is not None:
            self.waiting.append(now)
            if len(self.waiting) == self._waits:
                self._give()
                self.given = True

    def check(self, said: str) -> None:
        """Check that it was told, and that virtual time stood still meanwhile."""
        assert self.given, "the campaign has not waited"
        assert {said in (now.waits_for or "") for now in self.waiting} == {True}, self.waiting[0].waits_for
        assert len({(now.now_s, now.migrations_done) for now in self.waiting}) == 1
        assert self.told[-1].waits_for is None
        assert self.told[-1].finished


def carried_out(folder: Path, progress: Callable[[Progress], None] | None, store: Store | None) -> CampaignReport:
    snapshot, plan = planned_fleet("urgent")
    options = RunOptions(agents=1, use_ray=False, store=store)
    return run_campaign(snapshot, plan, folder, seed=3, failures=WRONG, progress=progress, options=options)


def check_same(tmp_path: Path, report: CampaignReport) -> None:
    """Check that the campaign became what it becomes without an outage."""
    whole = carried_out(tmp_path / "whole", None, None)
    for name in ("migrations", "hosts", "troubles"):
        assert getattr(report, name).equals(getattr(whole, name)), name


def check_journal(store: Store) -> None:
    reading = read_journal(store)
    entries = reading.read()
    reading.close()
    assert [entry.number for entry in entries] == list(range(1, len(entries) + 1))


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_database_that_is_stopped_and_started_again(server, tmp_path, mode) -> None:
    store = server.new_store()
    outage = Outage(lambda: server.stop(mode), server.start)
    report = carried_out(tmp_path / "c", outage, store)
    outage.check("does not answer")
    check_journal(store)
    check_same(tmp_path, report)


def test_a_database_that_is_frozen(server, tmp_path, monkeypatch) -> None:
    """It takes connections and statements, and answers none."""
    monkeypatch.setattr("slacktide.executors.store.connection.STATEMENT_TIMEOUT_MS", 500)
    monkeypatch.setattr("slacktide.executors.store.connection.CONNECT_TIMEOUT_S", 2)
    store = server.new_store()
    outage = Outage(lambda: server.signal(signal.SIGSTOP), lambda: server.signal(signal.SIGCONT), waits=5)
    report = carried_out(tmp_path / "c", outage, store)
    outage.check("does not answer")
    check_journal(store)
    check_same(tmp_path, report)


def test_a_database_that_is_gone_ends_the_campaign(server, tmp_path) -> None:
    database = server.new_database()
    store = parse_store(server.url(database))

    def drop() -> None:
        server.execute("postgres", f"DROP DATABASE {database} WITH (FORCE)")

    with pytest.raises(ExecutionError, match="there is no such database") as ended:
        carried_out(tmp_path / "c", Outage(drop, lambda: None), store)
    assert not ended.value.retryable


def test_a_database_that_stays_away_ends_the_campaign_which_goes_on_later(server, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("slacktide.executors.coordinator.Patience", lambda: patience_of(1.0))
    from slacktide.executors.store.patience import Patience

    def patience_of(limit_s: float) -> Patience:
        return Patience(limit_s)

    store = server.new_store()
    began = time.monotonic()
    with pytest.raises(StoreError, match="does not answer"):
        carried_out(tmp_path / "c", Outage(server.stop, lambda: None, waits=10**6), store)
    assert 1 <= time.monotonic() - began < 60
    server.start()
    report = carried_out(tmp_path / "c", None, store)
    check_journal(store)
    check_same(tmp_path, report)


HOLD = """
import sqlite3, sys
with_lock = sqlite3.connect(sys.argv[1], isolation_level=None)
with_lock.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
sys.stdin.read()
"""


def test_a_file_that_another_process_locks(tmp_path, monkeypatch) -> None:
    """For longer than a write waits by itself."""
    monkeypatch.setattr("slacktide.executors.store.connection.BUSY_TIMEOUT_MS", 300)
    path = tmp_path / "c" / "journal.sqlite"
    holders: list[subprocess.Popen[str]] = []

    def lock() -> None:
        command = [sys.executable, "-c", HOLD, str(path)]
        holders.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        assert holders[0].stdout.readline() == "locked\n"

    outage = Outage(lock, lambda: holders[0].communicate(""))
    report = carried_out(tmp_path / "c", outage, None)
    assert holders[0].returncode == 0
    outage.check("is locked by another process")
    check_same(tmp_path, report)


def test_a_disk_that_is_full_until_somebody_frees_it(tmp_path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        ballast = disk / "ballast"

        def fill() -> None:
            with ballast.open("wb", buffering=0) as file, suppress(OSError):
                while True:
                    file.write(b"x" * 4096)

        outage = Outage(fill, ballast.unlink)
        report = carried_out(disk / "c", outage, None)
        outage.check("the disk is full")
        kept = kept_in(disk / "c")
        assert kept is not None
        check_journal(kept.store)
    check_same(tmp_path, report)


def test_a_server_that_is_started_later_is_waited_for_at_the_beginning(server: Server) -> None:
    store, told = server.new_store(), list[str]()
    server.stop()
    patience = Patience(inf, sleep=lambda _duration_s: server.start())
    assert not patiently(lambda: has_campaign(store, CampaignId("c1")), None, told.append, patience)
    assert told[0].startswith("nothing is begun yet: ")
    assert told[1:] == ["the store answers"]
