"""What somebody who asks something of a campaign reads where nobody answers, or the order is wrong."""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from campaigns import REPLAY

from slacktide.executors.campaign_file import JOURNAL_FILE
from slacktide.executors.events import CampaignResumed, WaveOpened
from slacktide.executors.journal import CampaignRecord, Journal
from slacktide.planner.plan_files import read_plan
from slacktide.service import campaign_view
from slacktide.service.cli import main

FLEET, PLAN = REPLAY / "urgent" / "fleet", REPLAY / "urgent" / "plan"
PLAN_ID = read_plan(PLAN).header.id
RECORD = CampaignRecord("c1", PLAN_ID, "s", "p", datetime(2014, 4, 8, 20, tzinfo=UTC), "{}", str(PLAN), str(FLEET))


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(campaign_view, "ANSWER_S", 0.0)
    made = Journal.create(tmp_path / JOURNAL_FILE, RECORD)
    yield made
    made.close()


def said(capsys, *words: object, code: int = 0) -> str:
    assert main(["campaign", *map(str, words)]) == code
    captured = capsys.readouterr()
    return captured.err if code else captured.out


def test_a_coordinator_that_has_not_answered_is_named(journal, tmp_path, capsys) -> None:
    text = said(capsys, "pause", tmp_path)
    assert text.startswith(f"asked, as order 1: {journal.holder} carries the campaign out and has not answered yet")
    assert "nobody" not in text


def test_an_order_waits_where_nobody_carries_the_campaign_out(journal, tmp_path, capsys) -> None:
    journal.close()
    text = said(capsys, "pause", tmp_path)
    assert text.startswith("asked, as order 1: nobody carries the campaign out now. It is answered once")


def test_a_campaign_that_waits_for_its_release_takes_no_order(journal, tmp_path, capsys) -> None:
    with closing(sqlite3.connect(tmp_path / JOURNAL_FILE)) as store:
        store.execute("UPDATE campaigns SET state = 'restored', holder = NULL")
        store.commit()
    text = " ".join(said(capsys, "pause", tmp_path, code=1).split())
    assert "campaign c1: came back from a backup, and waits for its release" in text
    assert "slacktide store release c1" in text
    assert journal.orders(0) == []


def test_a_store_that_does_not_take_an_order_says_that_nothing_was_asked(
    journal, tmp_path, capsys, monkeypatch
) -> None:
    monkeypatch.setattr("slacktide.executors.store.connection.BUSY_TIMEOUT_MS", 10)
    other = sqlite3.connect(tmp_path / JOURNAL_FILE, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    text = said(capsys, "pause", tmp_path, code=1)
    other.rollback()
    other.close()
    assert "is locked by another process; nothing was asked. End what holds the lock, then ask again" in text
    assert "goes on" not in text
    assert journal.orders(0) == []


@pytest.mark.parametrize("command", [("skip",), ("add",), ("revise", "--add-host")], ids=["skip", "add", "revise"])
def test_a_host_that_the_fleet_does_not_have_is_refused_at_once(journal, tmp_path, capsys, command) -> None:
    name, *option = command
    text = said(capsys, name, tmp_path, *option, "h0001", code=2)
    assert "host h0001: the campaign's fleet in " in text
    assert "has none of this name. Give its id in the fleet, such as h" in text
    assert journal.orders(0) == []


def test_a_fleet_that_is_not_there_leaves_it_to_the_coordinator(journal, tmp_path, capsys) -> None:
    with sqlite3.connect(tmp_path / JOURNAL_FILE) as other:
        other.execute("UPDATE campaigns SET fleet_path = '/nowhere'")
    assert "asked, as order 1" in said(capsys, "skip", tmp_path, "h0001")


def test_where_only_the_number_can_be_wrong_the_fleets_range_is_said(journal, tmp_path, capsys) -> None:
    text = said(capsys, "skip", tmp_path, "host-999999", code=2)
    assert "Give its id in the fleet, from host-000000 to host-" in text


@pytest.mark.parametrize(
    ("limits", "says"),
    [
        (["fleet=0.5"], "limits: fleet=0.5 is no limit. Give kinds of failure domain and counts or shares, such as"),
        (["rack=1", "fleet"], "limits: fleet is no limit. "),
        (
            ["fleet=200%"],
            'limits: fleet: expected a count such as 3 or a share such as "20%", between 0% and 100%. Give',
        ),
        (["fleet=" + "9" * 5000], "is no limit. "),
        (["fleet=1", "fleet=2"], "limits: name a kind of failure domain twice. Give one limit for each"),
    ],
)
def test_limits_that_are_none_are_wrong_calls(journal, tmp_path, capsys, limits, says) -> None:
    text = said(capsys, "limits", tmp_path, *limits, code=2)
    assert says in text
    assert "type=" not in text
    assert journal.orders(0) == []


@pytest.mark.parametrize("option", ["--why", "--by"])
@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("x" * 501, "has 501 characters, of 500 at most. Say it in fewer"),
        ("two\nlines", "has a line break, or a character that cannot be printed"),
        ("\udc80", "has a line break, or a character that cannot be printed"),
    ],
)
def test_a_reason_is_one_line_of_text(journal, tmp_path, capsys, option, text, says) -> None:
    assert f"{option}: {says}" in said(capsys, "pause", tmp_path, option, text, code=2)
    assert journal.orders(0) == []


def test_a_reason_may_be_in_any_script(journal, tmp_path, capsys) -> None:
    why = "ждём\u00a0… " + "x" * 490
    assert "asked, as order 1" in said(capsys, "pause", tmp_path, "--why", why)
    assert journal.orders(0)[0].why == why


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (
            "DELETE FROM events WHERE number = 2",
            "is damaged: event 2 is missing before event 3. Restore it from a copy",
        ),
        (
            "DELETE FROM events WHERE number = 1",
            "is damaged: event 1 is missing before event 2. Restore it from a copy",
        ),
        (
            "UPDATE events SET at_s = 'x' WHERE number = 2",
            "event 2 cannot be read: event wave-opened at x s does not have",
        ),
        (
            "UPDATE events SET body = '{' WHERE number = 2",
            "event 2 cannot be read: event wave-opened at 0.0 s does not have",
        ),
        ("UPDATE events SET type = 'x' WHERE number = 2", "event 2 cannot be read: event x is unknown to this version"),
        (
            "UPDATE events SET type = 'host-evacuated', subject = 'x', body = NULL WHERE number = 2",
            "is damaged, or of another plan: event 2, host-evacuated, is about 'x', which the plan lacks. Give the",
        ),
        ("UPDATE campaigns SET origin = 'x'", "the row of campaign c1 has the origin 'x', which is no moment in UTC"),
        (
            "UPDATE campaigns SET origin = '2014-04-08'",
            "the row of campaign c1 has the origin '2014-04-08', which is no",
        ),
    ],
)
def test_a_damaged_journal_says_what_is_damaged(journal, tmp_path, capsys, damage, says) -> None:
    journal.append([CampaignResumed(0), WaveOpened(0, 0), CampaignResumed(1)])
    with sqlite3.connect(tmp_path / JOURNAL_FILE) as other:
        other.execute("PRAGMA ignore_check_constraints = ON")
        other.execute(damage)
    other.close()
    assert says in said(capsys, "show", tmp_path, code=1)
