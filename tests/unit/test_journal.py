import sqlite3
from datetime import UTC, datetime

import pytest

from slacktide.errors import ExecutionError, OutputError, StoreError
from slacktide.executors.events import HostDrained, HostReturned, TargetReserved
from slacktide.executors.journal import FORMAT_VERSION, CampaignRecord, Entry, Journal

RECORD = CampaignRecord("c1", "plan", "s", "p", datetime(2014, 4, 8, 20, tzinfo=UTC), "{}", "plans/a", None)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "journal.sqlite"


@pytest.fixture
def journal(store):
    made = Journal.create(store, RECORD)
    yield made
    made.close()


@pytest.fixture
def in_file(path):
    made = Journal.create(path, RECORD)
    yield made
    made.close()


def test_what_is_appended_is_read_in_order_and_numbered_without_gaps(journal) -> None:
    first = journal.append([TargetReserved(2.0, "m1", 1), HostDrained(1.0, "h1")])
    second = journal.append([HostReturned(3.0, "h1")])
    assert [entry.number for entry in first + second] == [1, 2, 3]
    assert journal.read() == first + second
    assert journal.read(since=2) == second
    assert journal.append([]) == []
    assert journal.last == 3


def test_a_journal_opened_again_goes_on(store, journal) -> None:
    journal.append([HostDrained(1.0, "h1")])
    journal.close()
    again = Journal.open(store)
    assert again.record == RECORD
    assert (again.last, again.generation) == (1, 2)
    assert again.append([HostReturned(2.0, "h1")]) == [Entry(2, HostReturned(2.0, "h1"))]
    again.close()


def test_two_coordinators_at_once_collide(store, journal) -> None:
    other = Journal.open(store)
    journal.append([HostDrained(1.0, "h1")])
    with pytest.raises(ExecutionError, match="another coordinator"):
        other.append([HostDrained(1.0, "h1")])
    assert len(other.read()) == 1
    other.close()


def test_one_database_holds_several_campaigns(store, journal) -> None:
    other = Journal.create(store, CampaignRecord("c2", "plan", "s", "p", RECORD.origin, "{}"))
    other.append([HostDrained(1.0, "h2")])
    assert journal.read() == []
    for wanted, found in (("c1", "c1"), (None, "c2")):
        opened = Journal.open(store, wanted)
        assert opened.record.campaign_id == found
        opened.close()
    with pytest.raises(ExecutionError, match="no such campaign"):
        Journal.open(store, "c3")
    with pytest.raises(ExecutionError, match="already"):
        Journal.create(store, RECORD)
    other.close()


def test_a_locked_file_is_an_error_with_a_remedy(path, in_file, monkeypatch) -> None:
    monkeypatch.setattr("slacktide.executors.store.connection.BUSY_TIMEOUT_MS", 1)
    waiting = Journal.open(path)
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="locked by another process") as refused:
        waiting.append([HostDrained(1.0, "h1")])
    assert refused.value.retryable
    holder.execute("ROLLBACK")
    holder.close()
    assert waiting.append([HostDrained(1.0, "h1")])[0].number == 1
    waiting.close()


def test_a_full_file_is_an_error_and_leaves_no_half_batch(in_file) -> None:
    with in_file._connection.reading() as transaction:
        transaction.exec_driver_sql("PRAGMA max_page_count = 30")
    in_file.append([HostDrained(1.0, "h1")])
    with pytest.raises(StoreError, match="full") as refused:
        in_file.append([HostDrained(1.0, "h" * 100)] * 5_000)
    assert refused.value.retryable
    assert in_file.last == 1
    assert len(in_file.read()) == 1


@pytest.mark.parametrize("content", [b"no database at all, but long enough to be looked at" * 20, b""])
def test_what_is_no_journal_is_an_error(path, content) -> None:
    path.write_bytes(content)
    with pytest.raises(ExecutionError, match="no journal"):
        Journal.open(path)


def test_a_missing_journal_and_a_missing_folder_are_errors(tmp_path) -> None:
    with pytest.raises(ExecutionError, match="does not exist"):
        Journal.open(tmp_path / "none")
    with pytest.raises(OutputError, match="cannot be opened"):
        Journal.create(tmp_path / "none" / "journal.sqlite", RECORD)


def test_a_newer_revision_is_refused(store, journal) -> None:
    with journal._connection.writing() as transaction:
        transaction.exec_driver_sql("UPDATE slacktide_schema SET version_num = '9999'")
    with pytest.raises(ExecutionError, match="revision 9999, which this release does not know"):
        Journal.open(store)


def test_another_format_without_a_revision_is_refused(path, in_file) -> None:
    with in_file._connection.writing() as transaction:
        transaction.exec_driver_sql("DROP TABLE slacktide_schema")
        transaction.exec_driver_sql(f"UPDATE journal_format SET version = {FORMAT_VERSION + 1}")
    with pytest.raises(ExecutionError, match=f"format {FORMAT_VERSION + 1}, which this release does not know"):
        Journal.open(path)
