"""What somebody who asks something of a campaign reads where nobody answers, or the order is wrong."""

import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import pytest
from campaigns import REPLAY

from slacktide.executors.campaign_file import JOURNAL_FILE
from slacktide.executors.journal import CampaignRecord, Journal
from slacktide.service import campaign_view
from slacktide.service.cli import main

FLEET, PLAN = REPLAY / "urgent" / "fleet", REPLAY / "urgent" / "plan"
RECORD = CampaignRecord("c1", "plan", "s", "p", datetime(2014, 4, 8, 20, tzinfo=UTC), "{}", str(PLAN), str(FLEET))


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
