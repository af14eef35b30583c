"""A campaign whose command is killed by SIGKILL at any step of making its directory and its journal: it can begin."""

import os
import signal
import sqlite3
import sys
import traceback
from functools import partial
from pathlib import Path

import pytest
import sqlalchemy as sql
from campaigns import planned_fleet

from slacktide.errors import ExecutionError
from slacktide.executors.campaign_directory import journal_of, open_campaign
from slacktide.executors.campaign_file import CAMPAIGN_FILE, JOURNAL_FILE, holds_campaign, kept_in
from slacktide.executors.run import RunOptions, run_campaign, simulation
from slacktide.executors.store.campaigns import list_campaigns
from slacktide.service.cli import main

pytestmark = pytest.mark.integration
FILES = ("os.mkdir", "open", "os.rename", "sqlite3.connect")
MOST_STEPS = 1_000


class Steps:
    """Counts what a process does to files and to SQLite, and kills it before step ``last``."""

    def __init__(self, folder: Path, last: int) -> None:
        self._folder, self._last, self._done = str(folder), last, 0
        sys.addaudithook(self._file)
        sql.event.listen(sql.pool.Pool, "connect", self._connected, insert=True)
        for event in ("before_cursor_execute", "commit"):
            sql.event.listen(sql.Engine, event, lambda of, *_: of.dialect.name == "sqlite" or self._step())

    def _connected(self, connection: object, _record: object) -> None:
        if isinstance(connection, sqlite3.Connection):
            connection.set_trace_callback(lambda _: self._step())

    def _file(self, event: str, arguments: tuple) -> None:
        if event in FILES and str(arguments[0]).startswith(self._folder):
            self._step()

    def _step(self) -> None:
        self._done += 1
        if self._done == self._last:
            os.kill(os.getpid(), signal.SIGKILL)


def is_killed(folder: Path, last: int, begin) -> bool:
    """Return whether a process of its own that begins a campaign is killed before step ``last``, or has begun it."""
    process = os.fork()
    if process == 0:
        code = 1
        try:
            Steps(folder, last)
            begin()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    assert code in (0, -signal.SIGKILL)
    return code != 0


def test_a_command_that_is_killed_before_it_has_begun_begins_when_it_is_given_again(store, tmp_path) -> None:
    """In a journal of its own, and in a store that is made before or with it."""
    _, plan = snapshot_and_plan = planned_fleet("urgent")
    seen = set()
    for last in range(1, MOST_STEPS):
        folder = tmp_path / str(last)
        where = None if store.is_file else store

        begin = partial(open_campaign, *snapshot_and_plan, simulation(seed=last), folder, (None, None), where)
        if not is_killed(folder, last, begin):
            break
        left = frozenset(path.suffix for path in folder.iterdir()) if folder.is_dir() else None
        seen.add((left, holds_campaign(folder)))
        record = begin()
        assert record == begin()
        kept = kept_in(folder)
        assert (kept.campaign, record.plan_id) == (record.campaign_id, plan.header.id)
        assert [each.record for each in list_campaigns(kept.store)].count(record) == 1
        assert (folder / CAMPAIGN_FILE).is_file()
    else:
        pytest.fail("it never begins")
    expected = {(None, False), (frozenset(), False)}
    if store.is_file:
        journal = frozenset({".sqlite", ".sqlite-shm", ".sqlite-wal"})
        expected |= {(journal, False), (journal, True)}
    else:
        expected |= {(frozenset({".partial"}), False)}
    assert expected <= seen, "steps at which it was killed"


def half_made(folder: Path, *, tables: bool) -> None:
    """Make a journal as a process leaves it that was killed before there was a campaign in it."""
    folder.mkdir()
    if not tables:
        (folder / JOURNAL_FILE).touch()
        return
    snapshot, plan = planned_fleet("urgent")
    open_campaign(snapshot, plan, simulation(), folder, (None, None))
    (folder / CAMPAIGN_FILE).unlink()
    with sqlite3.connect(folder / JOURNAL_FILE) as journal:
        journal.execute("DELETE FROM campaigns")
    journal.close()


@pytest.mark.parametrize("tables", [False, True])
def test_a_journal_without_a_campaign_is_none(tmp_path, capsys, tables: bool) -> None:
    folder = tmp_path / "c"
    half_made(folder, tables=tables)
    assert not holds_campaign(folder)
    with pytest.raises(ExecutionError, match=r"its campaign has not begun yet\. Give the command again"):
        journal_of(folder)
    assert main(["campaign", "show", str(folder)]) == 2
    assert "its campaign has not begun yet. Give the command again that was to begin it" in capsys.readouterr().err
    assert main(["campaign", "list", str(tmp_path)]) == 0
    snapshot, plan = planned_fleet("urgent")
    report = run_campaign(snapshot, plan, folder, options=RunOptions(agents=1, use_ray=False))
    assert report.summary.finished


def test_a_file_that_is_no_journal_is_left_alone(tmp_path) -> None:
    folder = tmp_path / "c"
    folder.mkdir()
    (folder / JOURNAL_FILE).write_bytes(b"my own notes of the night" * 100)
    snapshot, plan = planned_fleet("urgent")
    assert holds_campaign(folder)
    with pytest.raises(ExecutionError, match="is no journal"):
        run_campaign(snapshot, plan, folder, options=RunOptions(agents=1, use_ray=False))
    assert (folder / JOURNAL_FILE).read_bytes().startswith(b"my own notes")
