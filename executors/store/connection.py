"""A connection to a store that is made anew after a failure, and what the store refuses as errors of ours."""

import sqlite3
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import Any, Final, Literal

import sqlalchemy as sql
from sqlalchemy.exc import SQLAlchemyError

from slacktide.executors.store.address import Store
from slacktide.executors.store.refusals import damaged, refusal
from slacktide.executors.store.watchdog import Watchdog

BUSY_TIMEOUT_MS: Final = 5_000
"""How long a write waits for another process's lock: the longest commit of a large batch takes well under a second."""
STATEMENT_TIMEOUT_MS: Final = 30_000
"""How long PostgreSQL may take for one statement: a thousand times what the largest takes on an idle one."""
IDLE_TIMEOUT_MS: Final = 10_000
"""How long a transaction may do nothing before PostgreSQL ends it: a coordinator that was stopped in the middle of one
holds its campaign's row, and whoever takes over waits for that."""
CONNECT_TIMEOUT_S: Final = 5
SILENCE_TIMEOUT_MS: Final = 15_000
"""How long a PostgreSQL server that has vanished from the network is waited for."""
_WRITES: Final = "writes"
"""Whether the transaction that begins will write: SQLite is told, so that it waits for others before it reads."""

Durability = Literal["process", "power"]
"""What an appended event survives: the end of the process (``process``), or a power cut as well (``power``: one
fsync a commit, milliseconds each).  A simulated campaign needs only the first.  PostgreSQL always gives the second."""


class StoreConnection:
    """One connection to a store, for one transaction at a time.

    Parameters
    ----------
    watched
        Whether a transaction that a frozen server leaves hanging is cut off; not where it is to take long.
    """

    def __init__(self, store: Store, durability: Durability = "power", *, watched: bool = True) -> None:
        self.store = store
        self.engine = _sqlite_engine(store, durability) if store.is_file else _postgresql_engine(store)
        self._connection: sql.Connection | None = None
        unwatched = store.is_file or not watched
        self._watchdog = None if unwatched else Watchdog(STATEMENT_TIMEOUT_MS / 1000 + CONNECT_TIMEOUT_S)

    @contextmanager
    def reading(self) -> Iterator[sql.Connection]:
        """Have a transaction that only reads.

        Raises
        ------
        StoreError
            If the store does not answer now.
        ExecutionError, OutputError
            If it refuses for good.
        """
        with self._transaction(writes=False) as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[sql.Connection]:
        """Have a transaction that writes; errors as :meth:`reading`, and then nothing is known to be written."""
        with self._transaction(writes=True) as connection:
            yield connection

    @contextmanager
    def _transaction(self, *, writes: bool) -> Iterator[sql.Connection]:
        try:
            if self._connection is None:
                self._connection = self.engine.connect()
            self._connection.info[_WRITES] = writes
            with self._watched(self._connection), self._connection.begin():
                yield self._connection
        except SQLAlchemyError as error:
            self._drop()
            raise refusal(self.store, error) from error
        except UnicodeDecodeError as error:  # SQLite words an error with names that are no text any more
            self._drop()
            raise damaged(self.store) from error

    def _watched(self, connection: sql.Connection) -> AbstractContextManager[None]:
        """Have a transaction cut off that a frozen server leaves hanging."""
        driver: Any = connection.connection.driver_connection
        return nullcontext() if self._watchdog is None else self._watchdog.watching(driver.fileno())

    def _drop(self) -> None:
        """Let go of a connection of which nothing is known after an error."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(SQLAlchemyError):
                connection.invalidate()
            with suppress(SQLAlchemyError):
                connection.close()

    def close(self) -> None:
        """Let go of the database; the write-ahead log of a SQLite file is folded into it."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._watchdog is not None:
            self._watchdog.close()
        self.engine.dispose()


def now_text(dialect: str, plus_s: float = 0.0) -> sql.ColumnElement[str]:
    """Return the database's own time in UTC, ``plus_s`` seconds on, as text that sorts as it passes."""
    if dialect == "sqlite":
        return sql.func.strftime("%Y-%m-%dT%H:%M:%fZ", "now", f"{plus_s:+.3f} seconds")
    moment = sql.func.clock_timestamp() + sql.func.make_interval(0, 0, 0, 0, 0, 0, plus_s)
    return sql.func.to_char(sql.func.timezone("UTC", moment), 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')


def _sqlite_engine(store: Store, durability: Durability) -> sql.Engine:
    engine = sql.create_engine(store.url)
    synchronous = "FULL" if durability == "power" else "NORMAL"

    @sql.event.listens_for(engine, "connect")
    def _prepare(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None  # transactions begin where SQLAlchemy says, statements that make tables too
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
        cursor.execute("PRAGMA journal_mode = WAL")
        cursor.execute(f"PRAGMA synchronous = {synchronous}")
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.close()

    @sql.event.listens_for(engine, "begin")
    def _begin(connection: sql.Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.info[_WRITES] else "BEGIN")

    return engine


def _postgresql_engine(store: Store) -> sql.Engine:
    defaults: dict[str, Any] = {
        "connect_timeout": CONNECT_TIMEOUT_S,
        "application_name": "slacktide",
        "tcp_user_timeout": SILENCE_TIMEOUT_MS,
        "keepalives_idle": 5,
        "keepalives_interval": 5,
        "keepalives_count": 2,
    }
    arguments = {name: value for name, value in defaults.items() if name not in store.url.query}
    engine = sql.create_engine(store.url, connect_args=arguments, isolation_level="READ COMMITTED", pool_size=1)

    @sql.event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: object) -> None:  # noqa: ANN401  (psycopg's, behind SQLAlchemy)
        with connection.cursor() as cursor:
            cursor.execute(f"SET statement_timeout = {STATEMENT_TIMEOUT_MS}")
            cursor.execute(f"SET lock_timeout = {IDLE_TIMEOUT_MS + BUSY_TIMEOUT_MS}")
            cursor.execute(f"SET idle_in_transaction_session_timeout = {IDLE_TIMEOUT_MS}")
        connection.commit()

    return engine
