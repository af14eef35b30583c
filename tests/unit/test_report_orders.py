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
from slacktide.executors.order_words import order_words, orders_answered, own_steps
from slacktide.executors.report_page import render_report
from slacktide.executors.store.orders import StoredOrder
from slacktide.service.campaign_text import campaign_rows, planned_hosts
from slacktide.service.control_text import orders_text
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
    assert [each.order for each in found] == [1, 2, 3], "the simulation's approval was asked of nobody"
    assert found[0].model_dump() == {
        "order": 1,
        "at_s": 60.0,
        "asked_at": None,
        "by": "ada@node7",
        "why": "lunch",
        "kind": "campaign-paused",
        "granted": True,
        "outcome": "paused",
    }
    assert [each.granted for each in found] == [True, False, True]


def test_when_it_was_asked_and_by_which_command_is_in_the_store() -> None:
    body = '{"add_hosts": ["h9"], "give_up": false}'
    stored = StoredOrder(2, "2026-11-29T18:38:39.123Z", "eve", None, "revise", body)
    refused = asked.OrderRefused(70.0, 2, "eve", "", "revise", "h9 is to be left alone")
    (found,) = orders_answered([refused], [stored])
    assert (found.asked_at, found.outcome) == ("2026-11-29T18:38:39.123Z", "refused `add`: h9 is to be left alone")
    text = orders_text((refused,), [stored, stored._replace(number=3, by="op", kind="abort", body="{}", why="bad")], 2)
    assert plain(text.plain).splitlines() == [
        "asked for:",
        "  1 min 10 s  2026-11-29T18:38:39Z  eve: refused `add`: h9 is to be left alone",
        "  asked at 2026-11-29T18:38:39Z, not answered yet  op: abort (bad)",
    ]


def test_what_the_campaign_does_by_itself_stands_apart_and_repeats_are_one() -> None:
    late = [
        asked.OrderRefused(at, 0, "the campaign", f"late {at}", "revise", "no room") for at in (300.0, 600.0, 900.0)
    ]
    steps = own_steps([late[0], PAUSED, late[1], late[2], BUDGET])
    assert [(each.at_s, each.last_s, each.times, each.why) for each in steps] == [
        (300.0, 900.0, 3, "late 900.0"),
        (90.0, 90.0, 1, "3 hosts are lost"),
    ]
    text = orders_text((late[0], PAUSED, late[1], late[2], BUDGET))
    assert plain(text.plain).splitlines() == [
        "asked for:",
        "  1 min  ada@node7: paused (lunch)",
        "done by itself:",
        "  5 min to 15 min, 3 times  no revision: no room (last late 900.0)",
        "  1 min 30 s                budget lost_hosts: paused (3 hosts are lost)",
    ]
    limits = asked.LimitsChanged(1.0, 1, "ada", "", '{"rack": "10%", "fleet": 4}')
    assert order_words(limits) == "hosts out at once: fleet 4, rack 10%"


def test_text_and_page_list_orders(notes: JournalNotes) -> None:
    snapshot = sample_snapshot(24)
    plan = sample_plan(snapshot)
    report = sample_report(plan)
    asked_for = {"orders": orders_answered(notes.orders), "coordinators": notes.coordinators}
    asked_for |= {"own_steps": own_steps(notes.orders)}
    report = replace(report, summary=report.summary.model_copy(update=asked_for))
    rows = {row[0]: plain("  ".join(row[1:])) for row in campaign_rows(report.summary, planned_hosts(plan))}
    assert rows["orders"] == "3  1 of them refused; last: goes on, by ada@node7"
    assert rows["pauses"] == "1  by budgets and signals; last by budget lost_hosts: 3 hosts are lost"
    assert rows["execution"].endswith("; since the command was last given; 2 coordinators in all, one after the other")
    words = outline(render_report(snapshot, plan, report)).words
    assert "What was asked of the campaign" in words
    assert "refused `skip`: h9 is not to be patched by this campaign" in words
    assert "ada@node7 paused lunch" in words
    assert "What the campaign did by rules of its own" in words
    assert "3 hosts are lost" in words
