import os
import sqlite3
import subprocess
from dataclasses import replace
from datetime import UTC, datetime

import pytest
import sqlalchemy as sql
from sqlalchemy.exc import OperationalError

from slacktide.errors import ExecutionError, OutputError, StoreError
from slacktide.executors.events import CampaignFinished, HostDrained, HostReturned, TargetReserved
from slacktide.executors.journal import CampaignRecord, Entry, Journal
from slacktide.executors.store.appending import insert_events
from slacktide.executors.store.campaigns import begin_campaign, list_campaigns
from slacktide.executors.store.reading import read_journal
from slacktide.executors.store.schema import FORMAT_VERSION

RECORD = CampaignRecord("c1", "plan", "s", "p", datetime(2014, 4, 8, 20, tzinfo=UTC), "{}", "plans/a", None)
NOW = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"


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


def test_a_long_journal_is_read_in_pieces(store, journal, monkeypatch) -> None:
    news = [HostDrained(float(number), f"h{number}") for number in range(20)]
    entries = journal.append(news)
    for at_once in (1, 7, 10, 20, 21):
        monkeypatch.setattr("slacktide.executors.store.reading.READ_AT_ONCE", at_once)
        assert journal.read() == entries
        assert journal.read(since=5) == entries[5:]


def test_a_journal_held_again_goes_on(store, journal) -> None:
    journal.append([HostDrained(1.0, "h1")])
    journal.close()
    again = Journal.hold(store)
    assert again.record == RECORD
    assert (again.last, again.generation) == (1, 2)
    assert again.append([HostReturned(2.0, "h1")]) == [Entry(2, HostReturned(2.0, "h1"))]
    again.close()


def test_reading_neither_waits_for_the_lease_nor_changes_it(store, journal) -> None:
    journal.append([HostDrained(1.0, "h1")])
    before = list_campaigns(store)
    reading = read_journal(store)
    assert (reading.record, reading.last) == (RECORD, 1)
    assert reading.read() == [Entry(1, HostDrained(1.0, "h1"))]
    journal.append([HostReturned(2.0, "h1")])
    assert len(reading.read()) == 2
    reading.close()
    assert list_campaigns(store) == before


def test_a_campaign_that_is_held_is_refused_to_others(store, journal) -> None:
    (listed,) = list_campaigns(store)
    assert (listed.is_held, listed.holder, listed.generation) == (True, journal.holder, 1)
    with pytest.raises(ExecutionError, match=f"is carried out by {journal.holder}, whose lease lasts until {NOW}"):
        Journal.hold(store)
    journal.close()
    (listed,) = list_campaigns(store)
    assert (listed.is_held, listed.holder, listed.lease_until) == (False, None, None)
    Journal.hold(store).close()


def test_a_coordinator_that_was_replaced_appends_nothing_any_more(store, journal) -> None:
    journal.append([HostDrained(1.0, "h1")])
    other = Journal.hold(store, take_over=True)
    assert other.generation == 2
    for forbidden in (
        lambda: journal.append([HostReturned(2.0, "h1")]),
        lambda: journal.append([CampaignFinished(2.0)]),
        lambda: expire(journal).keep(),
        lambda: expire(journal).append([HostReturned(2.0, "h1")]),
    ):
        with pytest.raises(ExecutionError, match="has taken this campaign over") as fenced:
            forbidden()
        assert other.holder in str(fenced.value)
        assert not fenced.value.retryable
    journal.close()
    (listed,) = list_campaigns(store)
    assert (listed.holder, listed.is_held, listed.state) == (other.holder, True, None)
    assert other.append([HostReturned(3.0, "h1")]) == [Entry(2, HostReturned(3.0, "h1"))]
    other.append([CampaignFinished(4.0)])
    other.close()
    assert list_campaigns(store)[0].state == "finished"


def expire(journal):
    """Have a lease look as if it had been renewed long ago."""
    journal._lease._renewed_s -= 60
    return journal


def test_a_lease_that_has_run_out_is_taken_and_one_that_is_renewed_is_not(store, journal, monkeypatch) -> None:
    def run_out() -> None:
        with journal._connection.writing() as transaction:
            transaction.exec_driver_sql("UPDATE campaigns SET lease_until = '2014-04-08T20:00:00.000Z'")

    run_out()
    assert not list_campaigns(store)[0].is_held
    expire(journal).keep()
    assert list_campaigns(store)[0].is_held
    run_out()
    expire(journal).append([HostDrained(1.0, "h1")])
    assert list_campaigns(store)[0].is_held
    run_out()
    taken = Journal.hold(store)
    assert taken.generation == 2
    taken.close()


def test_the_lease_of_a_process_that_has_ended_here_is_taken_at_once(store, journal) -> None:
    host, _, token = journal.holder.split(":")
    with subprocess.Popen(["true"]) as ended:
        pass
    for holder, is_taken in (
        (f"{host}:{ended.pid}:{token}", True),
        (f"elsewhere:{ended.pid}:{token}", False),
        (f"{host}:{ended.pid}:000000000000", False),
        (f"{host}:{os.getpid()}:{token}", False),
    ):
        with journal._connection.writing() as transaction:
            values = sql.text("UPDATE campaigns SET holder = :holder, lease_until = '2999-01-01T00:00:00.000Z'")
            transaction.execute(values, {"holder": holder})
        if is_taken:
            Journal.hold(store).close()
        else:
            with pytest.raises(ExecutionError, match="is carried out by"):
                Journal.hold(store)


@pytest.mark.parametrize("written", [0, 1, 2])
def test_an_append_whose_answer_was_lost_is_not_doubled(store, journal, monkeypatch, written) -> None:
    """The rows are in, some of them or none, and the coordinator knows nothing; it asks again, with more."""
    journal.append([HostDrained(1.0, "h1")])
    news = [HostDrained(2.0, "h2"), HostDrained(2.0, "h3")]

    def insert_and_break(transaction, rows) -> None:
        insert_events(transaction, rows[:written])
        transaction.commit()
        raise OperationalError("COMMIT", None, Exception("database is locked"))

    with monkeypatch.context() as patch:
        patch.setattr("slacktide.executors.journal.insert_events", insert_and_break)
        with pytest.raises(ExecutionError):
            journal.append(news)
    assert journal.last == 1
    more = [*news, HostReturned(3.0, "h1")]
    assert journal.append(more) == [Entry(number, event) for number, event in enumerate(more, 2)]
    assert [entry.event for entry in journal.read()] == [HostDrained(1.0, "h1"), *more]


def test_a_store_that_lost_or_changed_events_is_refused(store, journal) -> None:
    journal.append([HostDrained(1.0, "h1"), HostDrained(1.0, "h2")])
    with journal._connection.writing() as transaction:
        transaction.exec_driver_sql("DELETE FROM events WHERE number = 2")
    with pytest.raises(ExecutionError, match="other events are there") as refused:
        journal.append([HostReturned(2.0, "h1")])
    assert not refused.value.retryable
    assert len(journal.read()) == 1


def test_one_database_holds_several_campaigns(store, journal) -> None:
    other = Journal.create(store, CampaignRecord("c2", "plan", "s", "p", RECORD.origin, "{}"))
    other.append([HostDrained(1.0, "h2")])
    assert journal.read() == []
    for wanted, found in (("c1", "c1"), (None, "c2")):
        opened = read_journal(store, wanted)
        assert opened.record.campaign_id == found
        opened.close()
    with pytest.raises(ExecutionError, match="no such campaign"):
        read_journal(store, "c3")
    with pytest.raises(ExecutionError, match="already"):
        Journal.create(store, RECORD)
    other.close()


def test_beginning_a_campaign_again_leaves_it_as_it_was_begun(store, journal) -> None:
    later = replace(RECORD, origin=datetime(2020, 1, 1, tzinfo=UTC), plan_path="elsewhere")
    assert begin_campaign(store, later) == RECORD
    assert begin_campaign(store, replace(later, campaign_id="c2")).origin == later.origin
    assert [listed.record.campaign_id for listed in list_campaigns(store)] == ["c1", "c2"]


def test_a_locked_file_is_an_error_with_a_remedy(path, monkeypatch) -> None:
    monkeypatch.setattr("slacktide.executors.store.connection.BUSY_TIMEOUT_MS", 1)
    waiting = Journal.create(path, RECORD)
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
        read_journal(path)


def test_a_missing_journal_and_a_missing_folder_are_errors(tmp_path) -> None:
    with pytest.raises(ExecutionError, match="does not exist"):
        read_journal(tmp_path / "none")
    with pytest.raises(OutputError, match="cannot be opened"):
        Journal.create(tmp_path / "none" / "journal.sqlite", RECORD)


def test_a_newer_revision_is_refused(store, journal) -> None:
    with journal._connection.writing() as transaction:
        transaction.exec_driver_sql("UPDATE slacktide_schema SET version_num = '9999'")
    with pytest.raises(ExecutionError, match="revision 9999, which this release does not know"):
        read_journal(store)


def test_another_format_without_a_revision_is_refused(path, in_file) -> None:
    with in_file._connection.writing() as transaction:
        transaction.exec_driver_sql("DROP TABLE slacktide_schema")
        transaction.exec_driver_sql(f"UPDATE journal_format SET version = {FORMAT_VERSION + 1}")
    with pytest.raises(ExecutionError, match=f"format {FORMAT_VERSION + 1}, which this release does not know"):
        read_journal(path)
