"""Two coordinators of one campaign, started on purpose: one acts, and who takes over fences the other off."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import lease_process
import pytest
from campaigns import assert_safe, program_of, record_of
from lease_process import KEY, LEASE_S, AgentsServer
from sqlalchemy.exc import DBAPIError

from slacktide.errors import ExecutionError
from slacktide.executors import events
from slacktide.executors.journal import Journal
from slacktide.executors.store.address import Store
from slacktide.executors.store.campaigns import begin_campaign, list_campaigns
from slacktide.executors.store.reading import read_journal

pytestmark = pytest.mark.integration

PROGRAM = Path(lease_process.__file__)


@pytest.fixture
def agents() -> Iterator[tuple[str, AgentsServer]]:
    with tempfile.TemporaryDirectory(prefix="slacktide-agents-") as folder:
        address = f"{folder}/socket"
        command = [sys.executable, str(PROGRAM), "serve", address]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            try:
                assert process.stdout.readline() == "ready\n"
                server = AgentsServer(address, KEY)
                server.connect()
                yield address, server
            finally:
                process.kill()


@contextmanager
def coordinator(store: Store, address: str, *sleeps: str) -> Iterator[subprocess.Popen[str]]:
    """Have a process that carries the campaign out once it is told to."""
    command = [sys.executable, str(PROGRAM), store.kept, address, *sleeps]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def begin(*processes: subprocess.Popen[str]) -> list[str]:
    """Have all begin at once, and return what each says first."""
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    return [process.stdout.readline().strip() for process in processes]


def wait_for_events(store: Store, least: int) -> None:
    reading = read_journal(store)
    try:
        deadline = time.monotonic() + 60
        while len(reading.read()) < least:
            assert time.monotonic() < deadline, "the campaign does not get on"
            time.sleep(0.05)
    finally:
        reading.close()


def generations(store: Store) -> list[int]:
    """Return the generation of each event, in order."""
    reading = read_journal(store)
    with reading._connection.reading() as transaction:
        rows = transaction.exec_driver_sql("SELECT generation FROM events ORDER BY number").all()
    reading.close()
    return [row[0] for row in rows]


def check_whole(store: Store) -> None:
    """Check that the campaign ended, and that nothing was done twice on the way."""
    reading = read_journal(store)
    entries = reading.read()
    reading.close()
    assert isinstance(entries[-1].event, events.CampaignFinished)
    assert_safe(program_of(), entries)
    began = [
        (entry.event.migration_id, entry.event.attempt)
        for entry in entries
        if isinstance(entry.event, events.MigrationDone)
    ]
    assert len(began) == len(set(began))


@pytest.fixture
def begun(store: Store) -> Store:
    begin_campaign(store, record_of())
    return store


def test_of_two_that_start_at_once_one_acts(begun, agents) -> None:
    address, server = agents
    with coordinator(begun, address) as one, coordinator(begun, address) as other:
        said = begin(one, other)
        refused = next(text for text in said if text.startswith("refused: "))
        assert sorted(said, reverse=True) == [refused, "holds 1"]
        assert "is carried out by" in refused
        assert "give --take-over" in refused
        acting = (one, other)[said.index("holds 1")]
        assert acting.stdout.readline() == "finished\n"
        assert acting.wait() == 0
    assert set(generations(begun)) == {1}
    assert set(server.agents().generations()) == {1}
    check_whole(begun)


def test_a_killed_holder_is_followed_once_its_lease_has_run_out(begun, agents, monkeypatch) -> None:
    address, server = agents
    monkeypatch.setattr("slacktide.executors.store.lease.is_gone", lambda _holder: False)
    with coordinator(begun, address) as one, coordinator(begun, address) as other:
        assert begin(one) == ["holds 1"]
        wait_for_events(begun, 100)
        one.kill()
        one.wait()
        killed = time.monotonic()
        with pytest.raises(ExecutionError, match="is carried out by"):
            Journal.hold(begun)
        while list_campaigns(begun)[0].is_held:
            time.sleep(0.05)
        assert time.monotonic() - killed < LEASE_S + 1
        assert begin(other) == ["holds 2"]
        assert other.stdout.readline() == "finished\n"
    assert generations(begun) == sorted(generations(begun))
    assert server.agents().generations() == sorted(server.agents().generations())
    check_whole(begun)


@pytest.mark.parametrize(
    ("sleeps", "when", "noticed"),
    [
        ("round", "60", "has taken this campaign over"),
        ("exchange", "12", "commands of generation 1 are refused"),
    ],
)
def test_a_holder_that_was_asleep_is_fenced_off(begun, agents, sleeps, when, noticed) -> None:
    """Between two rounds it finds so at the store; asleep between the journal and the agents, these refuse it."""
    address, server = agents
    with coordinator(begun, address, sleeps, when) as one, coordinator(begun, address) as other:
        assert begin(one) == ["holds 1"]
        assert os.WIFSTOPPED(os.waitpid(one.pid, os.WUNTRACED)[1])
        before = len(generations(begun))
        while list_campaigns(begun)[0].is_held:
            time.sleep(0.05)
        assert begin(other) == ["holds 2"]
        wait_for_events(begun, before + 50)
        one.send_signal(signal.SIGCONT)
        ended, refused = one.stdout.readline(), one.stdout.readline()
        assert noticed in ended
        assert "commands of generation 1 are refused: generation 2 is in charge" in refused
        assert one.wait() == 1
        assert other.stdout.readline() == "finished\n"
    found = generations(begun)
    assert found == sorted(found)
    assert found.count(1) == before
    acted = server.agents().generations()
    assert acted == sorted(acted)
    assert set(acted) == {1, 2}
    check_whole(begun)


def test_a_holder_asleep_in_a_transaction_holds_nobody_up_for_long(postgresql, monkeypatch) -> None:
    """It has a lock on the campaign's row; PostgreSQL ends its transaction after a while."""
    monkeypatch.setattr("slacktide.executors.store.connection.IDLE_TIMEOUT_MS", 500)
    store = postgresql.new_store()
    asleep = Journal.create(store, record_of())
    transaction = asleep._connection.engine.connect()
    transaction.begin()
    asleep._lease.newest(transaction)
    other = Journal.hold(store, take_over=True)
    with pytest.raises(DBAPIError, match="idle-in-transaction timeout"):
        transaction.exec_driver_sql("SELECT 1")
    transaction.close()
    with pytest.raises(ExecutionError, match="has taken this campaign over"):
        asleep.append([events.HostDrained(1.0, "h1")])
    assert other.append([events.HostDrained(1.0, "h1")])[0].number == 1
    asleep.close()
    other.close()
