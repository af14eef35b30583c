"""The database that server and campaigns share: connections for many threads, and the server's tables up to date."""

import queue
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import sqlalchemy as sql

from slacktide.errors import ExecutionError
from slacktide.executors.store.address import Store
from slacktide.executors.store.connection import StoreConnection
from slacktide.executors.store.upgrading import opening
from slacktide.service.store.schema import HEAD, VERSION_TABLE

MIGRATIONS: Final = Path(__file__).parent / "migrations"
_UPGRADES: Final = 5_127_604_132
"""Number of the lock of PostgreSQL that an upgrade holds until its transaction ends."""


class Database:
    """Transactions for any thread; connections are kept for the next."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._idle: queue.LifoQueue[StoreConnection] = queue.LifoQueue()
        self._closed = threading.Event()

    @contextmanager
    def reading(self) -> Iterator[sql.Connection]:
        """Have a transaction that only reads.

        Raises
        ------
        StoreError
            If the store does not answer now.
        """
        with self._connection() as connection, connection.reading() as transaction:
            yield transaction

    @contextmanager
    def writing(self) -> Iterator[sql.Connection]:
        """Have a transaction that writes; errors as :meth:`reading`."""
        with self._connection() as connection, connection.writing() as transaction:
            yield transaction

    @contextmanager
    def _connection(self) -> Iterator[StoreConnection]:
        try:
            connection = self._idle.get_nowait()
        except queue.Empty:
            connection = StoreConnection(self.store)
        try:
            yield connection
        finally:
            if self._closed.is_set():
                connection.close()
            else:
                self._idle.put(connection)

    def close(self) -> None:
        """Let go of every connection that is idle; others are let go of once they are."""
        self._closed.set()
        while not self._idle.empty():
            self._idle.get_nowait().close()


def open_database(store: Store) -> Database:
    """Return a store's database with the tables of campaigns and server, made where absent.

    Raises
    ------
    ExecutionError
        If it is of a revision that this release does not know.
    StoreError, OutputError
        If it does not answer, or cannot be written.
    """
    with opening(store, create=True) as connection, closing(connection):
        with connection.reading() as transaction:
            revision = _revision(transaction)
        if revision != HEAD:
            with connection.writing() as transaction:
                _upgrade(transaction, store.shown)
    return Database(store)


def now_utc(plus_s: float = 0.0) -> str:
    """Return the present moment, ``plus_s`` seconds on, in UTC as text that sorts as it passes."""
    moment = datetime.now(UTC) + timedelta(seconds=plus_s)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _revision(transaction: sql.Connection) -> str | None:
    if not sql.inspect(transaction).has_table(VERSION_TABLE):
        return None
    found: str | None = transaction.execute(sql.text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()
    return found


def _upgrade(transaction: sql.Connection, shown: str) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    if transaction.dialect.name == "postgresql":
        transaction.execute(sql.select(sql.func.pg_advisory_xact_lock(_UPGRADES)))
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = transaction
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    revision = _revision(transaction)
    if revision is not None and revision not in known:
        fact = f"has a server's schema of revision {revision}, which this release does not know; it knows up to {HEAD}"
        raise ExecutionError(shown, fact, "Use the release that wrote it, or a newer one")
    command.upgrade(config, HEAD)
