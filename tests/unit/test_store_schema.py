"""The schema of a store: made and upgraded by migrations, the same for both databases, by one process at a time."""

import shutil
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime

import pytest
import sqlalchemy as sql
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from campaigns import REPLAY

from slacktide.executors.journal import CampaignRecord, Journal
from slacktide.executors.store.campaigns import list_campaigns
from slacktide.executors.store.connection import StoreConnection
from slacktide.executors.store.schema import HEAD, METADATA, VERSION_TABLE
from slacktide.executors.store.upgrading import MIGRATIONS, bring_to_head, opening, revision_of

RECORD = CampaignRecord("c1", "plan", "s", "p", datetime(2014, 4, 8, 20, tzinfo=UTC), "{}", "plans/a", None)


def test_migrations_make_the_tables_that_the_code_knows(store) -> None:
    with opening(store, create=True) as connection, closing(connection), connection.reading() as transaction:
        options = {"version_table": VERSION_TABLE, "compare_type": True, "compare_server_default": True}
        assert compare_metadata(MigrationContext.configure(transaction, opts=options), METADATA) == []
        assert revision_of(transaction) == HEAD


def test_the_newest_migration_is_the_one_that_the_code_expects() -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    assert ScriptDirectory.from_config(config).get_heads() == [HEAD]


def test_an_old_journal_is_upgraded_in_place(tmp_path) -> None:
    path = tmp_path / "journal.sqlite"
    shutil.copy(REPLAY / "journal-retried" / "journal.sqlite", path)
    with closing(sqlite3.connect(path)) as old:
        events = old.execute("SELECT * FROM events ORDER BY campaign, number").fetchall()
        (generation,) = old.execute("SELECT max(generation) FROM events").fetchone()
        assert old.execute("SELECT count(*) FROM sqlite_master WHERE name = 'orders'").fetchone() == (0,)
    (found,) = list_campaigns(path)
    assert (found.generation, found.holder, found.is_held, found.state) == (generation, None, False, "finished")
    with closing(sqlite3.connect(path)) as new:
        assert new.execute("SELECT * FROM events ORDER BY campaign, number").fetchall() == events
        assert new.execute("SELECT version FROM journal_format").fetchall() == [(2,)]
        assert new.execute(f"SELECT version_num FROM {VERSION_TABLE}").fetchall() == [(HEAD,)]


def test_an_upgrade_that_fails_leaves_the_old_journal(tmp_path, monkeypatch) -> None:
    path = tmp_path / "journal.sqlite"
    shutil.copy(REPLAY / "journal-retried" / "journal.sqlite", path)
    with closing(sqlite3.connect(path)) as old:
        before = list(old.iterdump())

    def fail(*_arguments: object, **_options: object) -> None:
        raise OSError("the power went off")

    with monkeypatch.context() as patch:
        patch.setattr("alembic.op.create_table", fail)
        with pytest.raises(OSError, match="power"):
            list_campaigns(path)
    with closing(sqlite3.connect(path)) as old:
        assert list(old.iterdump()) == before
    assert len(list_campaigns(path)) == 1


UPGRADE = """
import sys
from slacktide.executors.store.address import parse_store
from slacktide.executors.store.upgrading import opening

store = parse_store(sys.argv[1])
sys.stdin.readline()
with opening(store, create=True) as connection:
    connection.close()
"""


def test_processes_that_make_a_store_at_once_make_one(store) -> None:
    begun = [
        subprocess.Popen([sys.executable, "-c", UPGRADE, store.kept], stdin=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(4)
    ]
    with ThreadPoolExecutor(len(begun)) as together:
        said = [process[1].decode() for process in together.map(lambda one: one.communicate(b"\n"), begun)]
    assert ([process.returncode for process in begun], said) == ([0] * 4, [""] * 4)
    made = Journal.create(store, RECORD)
    made.close()


def test_connections_that_upgrade_an_old_journal_at_once_upgrade_it_once(tmp_path) -> None:
    path = tmp_path / "journal.sqlite"
    shutil.copy(REPLAY / "journal-blocked" / "journal.sqlite", path)
    url = f"sqlite:///{path}"
    begun = [
        subprocess.Popen([sys.executable, "-c", UPGRADE, url], stdin=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(4)
    ]
    with ThreadPoolExecutor(len(begun)) as together:
        said = [process[1].decode() for process in together.map(lambda one: one.communicate(b"\n"), begun)]
    assert ([process.returncode for process in begun], said) == ([0] * 4, [""] * 4)
    assert len(list_campaigns(path)) == 1


def test_what_others_keep_in_the_same_database_stays(store) -> None:
    connection = StoreConnection(store)
    with connection.writing() as transaction:
        transaction.execute(sql.text("CREATE TABLE alembic_version (version_num VARCHAR(32))"))
        transaction.execute(sql.text("INSERT INTO alembic_version VALUES ('theirs')"))
    bring_to_head(connection, create=True)
    with connection.reading() as transaction:
        assert transaction.execute(sql.text("SELECT version_num FROM alembic_version")).scalar() == "theirs"
    connection.close()
