"""Journals that were once written are read, folded and decided on for ever.

Each folder holds a fleet, a plan and a journal of format version 1; new versions add folders and change none.
A journal of an older version is upgraded where it is opened, in a copy here.
"""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from slacktide.datasets.files import read_snapshot
from slacktide.executors import events
from slacktide.executors.campaign_state import HostStage, initial_state
from slacktide.executors.decisions import next_actions
from slacktide.executors.event_codec import Row, decode
from slacktide.executors.events import Stage
from slacktide.executors.folding import fold
from slacktide.executors.journal import Journal
from slacktide.executors.program import build_program
from slacktide.executors.store.campaigns import list_campaigns
from slacktide.executors.store.reading import Entry, read_journal
from slacktide.planner.plan_files import read_plan

HERE = Path(__file__).parent

EXPECTED = {
    "journal-retried": (
        {"m1": Stage.DONE, "m2": Stage.DONE, "m3": Stage.DONE, "m4": Stage.GIVEN_UP, "m5": Stage.DONE},
        {"h1": HostStage.RETURNED, "h2": HostStage.FAILED, "h4": HostStage.RETURNED},
        8,
    ),
    "journal-blocked": (
        {"m1": Stage.DONE, "m2": Stage.GIVEN_UP, "m3": Stage.GIVEN_UP, "m4": Stage.GIVEN_UP, "m5": Stage.GIVEN_UP},
        {"h1": HostStage.FAILED, "h2": HostStage.BLOCKED, "h4": HostStage.BLOCKED},
        2,
    ),
}


@pytest.fixture(params=sorted(EXPECTED))
def replayed(request, tmp_path):
    folder = HERE / request.param
    shutil.copy(folder / "journal.sqlite", tmp_path)
    journal = read_journal(tmp_path / "journal.sqlite")
    entries = journal.read()
    journal.close()
    program = build_program(read_snapshot(folder / "fleet"), read_plan(folder / "plan"))
    return request.param, program, entries


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_a_journal_is_upgraded_and_reads_the_same(name, tmp_path) -> None:
    shutil.copy(HERE / name / "journal.sqlite", tmp_path)
    with closing(sqlite3.connect(tmp_path / "journal.sqlite")) as old:
        rows = old.execute("SELECT number, at_s, type, subject, body FROM events ORDER BY number").fetchall()
        assert old.execute("SELECT version FROM journal_format").fetchall() == [(1,)]
    for _ in range(2):
        journal = read_journal(tmp_path / "journal.sqlite")
        assert journal.read() == [Entry(number, decode(Row(*row))) for number, *row in rows]
        journal.close()
        (listed,) = list_campaigns(tmp_path / "journal.sqlite")
        assert (listed.record, listed.state) == (journal.record, "finished")
    held = Journal.hold(tmp_path / "journal.sqlite")
    assert held.generation == listed.generation + 1
    held.close()


def test_a_journal_folds_to_what_happened(replayed) -> None:
    name, program, entries = replayed
    state = fold(initial_state(program), entries)
    stages, hosts, attempts = EXPECTED[name]
    assert {number: Stage(stage) for number, stage in zip(program.migrations.ids, state.stage, strict=True)} == stages
    assert {host: HostStage(state.host_stage[program.hosts.ids.index(host)]) for host in hosts} == hosts
    assert state.attempts.sum() == attempts
    assert state.finished
    done = state.stage == Stage.DONE
    np.testing.assert_array_equal(np.isnan(state.transfer_mib), ~done)


def test_a_finished_journal_leaves_nothing_to_do(replayed) -> None:
    _, program, entries = replayed
    state = fold(initial_state(program), entries)
    assert next_actions(program, state, state.end_s + 1e6) == ()


def test_from_every_prefix_the_campaign_goes_on_as_it_did(replayed) -> None:
    """At each decision in the journal, the state before it gives the very decisions that follow."""
    _, program, entries = replayed
    decided = (
        events.WaveOpened,
        events.HostDrainStarted,
        events.HostDrained,
        events.PatchIntended,
        events.MigrationNotified,
        events.MigrationIntended,
        events.MigrationGivenUp,
        events.HostFailed,
        events.HostBlocked,
        events.CampaignFinished,
    )
    checked = 0
    for place, (_, event) in enumerate(entries):
        if isinstance(event, decided) and not isinstance(entries[place - 1].event, decided):
            state = fold(initial_state(program), entries[:place])
            actions = next_actions(program, state, event.at_s)
            assert actions == tuple(entry.event for entry in entries[place : place + len(actions)])
            assert actions
            checked += 1
    assert checked > 1
