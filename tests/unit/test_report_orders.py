"""What was asked of a campaign, and by how many coordinators it was carried out, in its report."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sample_campaign import sample_plan, sample_report, sample_snapshot
from test_report_page import outline

from slacktide.executors import control_events as asked
from slacktide.executors import events
from slacktide.executors.campaign_file import JOURNAL_FILE
from slacktide.executors.journal import CampaignRecord, Journal
from slacktide.executors.journal_notes import JournalNotes, journal_notes
from slacktide.executors.order_words import orders_answered
from slacktide.executors.report_page import render_report
from slacktide.service.campaign_text import campaign_rows
from slacktide.service.words import plain

RECORD = CampaignRecord("c1", "plan", "s", "p", datetime(2014, 4, 8, 20, tzinfo=UTC), "{}")
PAUSED = asked.CampaignPaused(60.0, 1, "ada@node7", "lunch", cancel=False)
REFUSED = asked.OrderRefused(70.0, 2, "eve", "", "skip", "h9 is not to be patched by this campaign")
CONTINUED = asked.CampaignContinued(3_700.0, 3, "ada@node7", "")
BUDGET = asked.CampaignPaused(90.0, 0, "budget lost_hosts", "3 hosts are lost", cancel=False)


@pytest.fixture
def notes(tmp_path: Path) -> JournalNotes:
    """Return what is noted of a campaign that two coordinators have carried out."""
    journal = Journal.create(tmp_path / JOURNAL_FILE, RECORD)
    journal.append([events.CampaignCreated(0.0, "c1", "plan"), events.WaveApproved(0.0, 0, "the simulation"), PAUSED])
    journal.append([REFUSED, events.HostDrained(75.0, "h1"), BUDGET])
    journal.close()
    journal = Journal.hold(tmp_path / JOURNAL_FILE)
    journal.append([events.CampaignResumed(100.0), CONTINUED])
    journal.close()
    return journal_notes(tmp_path)


def test_the_journal_has_who_asked_for_what_and_how_often_it_was_taken_up(notes: JournalNotes) -> None:
    assert notes.coordinators == 2
    found = orders_answered(notes.orders)
    assert [each.order for each in found] == [1, 2, 0, 3], "the simulation's approval was asked of nobody"
    assert found[0].model_dump() == {
        "order": 1,
        "at_s": 60.0,
        "by": "ada@node7",
        "why": "lunch",
        "kind": "campaign-paused",
        "granted": True,
        "outcome": "paused",
    }
    assert [each.granted for each in found] == [True, False, True, True]


def test_text_and_page_list_orders(notes: JournalNotes) -> None:
    snapshot = sample_snapshot(24)
    plan = sample_plan(snapshot)
    report = sample_report(plan)
    asked_for = {"orders": orders_answered(notes.orders), "coordinators": notes.coordinators}
    report = replace(report, summary=report.summary.model_copy(update=asked_for))
    rows = {row[0]: plain("  ".join(row[1:])) for row in campaign_rows(report.summary, plan)}
    assert rows["orders"] == "4  1 of them refused; last: goes on, by ada@node7"
    assert rows["execution"].endswith("; since the command was last given, 2 coordinators one after the other")
    words = outline(render_report(snapshot, plan, report)).words
    assert "What was asked of the campaign" in words
    assert "refused `skip`: h9 is not to be patched by this campaign" in words
    assert "ada@node7 paused lunch" in words
    assert "3 hosts are lost" in words
