"""A store copied row by row or as a file, as it is at one moment, whoever writes to it meanwhile."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, TypeVar
from urllib.parse import quote

import sqlalchemy as sql
from sqlalchemy.exc import DatabaseError
from sqlalchemy.pool import NullPool

from slacktide.atomic import staged_file
from slacktide.errors import InputError, OutputError
from slacktide.executors.store import schema as campaigns
from slacktide.executors.store.address import Store, store_in
from slacktide.executors.store.connection import StoreConnection
from slacktide.executors.store.upgrading import opening
from slacktide.service.store import schema as server
from slacktide.service.store.database import open_database

AT_ONCE: Final = 5_000
"""Rows that are read and written by one statement: a second at most for the longest, far from any limit on time."""
Done = TypeVar("Done")
SIDE_FILES: Final = ("-wal", "-shm", "-journal")
"""What SQLite may have beside a file, by the end of its name."""
_REPEATABLE: Final = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"


def copy_out(source: Store, file: Path) -> None:
    """Write a store to a SQLite file that is not there yet: of one moment, and nobody who writes to it is held up.

    Raises
    ------
    ExecutionError, StoreError
        If it is no store of this release's, or does not answer.
    OutputError
        If the file cannot be written.
    """
    with opening(source) as connection:
        connection.close()
    if source.is_file:
        with closing(StoreConnection(source)) as connection, connection.reading() as there:
            _copy_file(there, file)
        return
    target = store_in(file)
    with _at_length(source) as connection, connection.reading() as there:
        there.exec_driver_sql(_REPEATABLE)
        tables = _tables_in(there)
        _make(target, with_server=server.TOKENS in tables)
        with closing(StoreConnection(target, "process")) as own, own.writing() as here:
            _copy(there, here, tables)
    _one_file(file)


def copy_in(file: Path, target: Store, then: Callable[[sql.Connection], Done]) -> Done:
    """Fill a store in which nothing is from a SQLite file; where that fails, nothing is in it.

    Parameters
    ----------
    then
        What belongs to it: done in the same transaction, or before the file is there.  What it returns is returned.

    Raises
    ------
    OutputError
        If something is in the store, or it cannot be written.
    ExecutionError, StoreError
        If it does not answer.
    """
    if target.is_file and target.path.exists():
        raise OutputError(target.shown, "is there already, and is not overwritten", "Move it away, or give another")
    if target.is_file:
        with staged_file(target.path) as beside:
            return _fill_file(file, beside, then)
    with _at_newest_revision(file) as newest, reading_copy(newest) as there:
        tables = _tables_in(there)
        _make(target, with_server=server.TOKENS in tables)
        with _at_length(target) as connection, connection.writing() as here:
            refuse_filled(here, target)
            _copy(there, here, tables)
            _count_on(here, tables)
            return then(here)


@contextmanager
def reading_copy(file: Path) -> Iterator[sql.Connection]:
    """Have a transaction on a backup's store, which stays as it is, to the byte, and may be on a medium for reading.

    Raises
    ------
    InputError
        If it is no SQLite file, or damaged.
    """
    address = f"file:{quote(str(file.resolve()))}?mode=ro&immutable=1"
    engine = sql.create_engine("sqlite://", creator=lambda: sqlite3.connect(address, uri=True), poolclass=NullPool)
    try:
        with engine.connect() as connection:
            yield connection
    except (DatabaseError, UnicodeDecodeError) as error:
        fact = f"cannot be read: {error.orig if isinstance(error, DatabaseError) else 'it is damaged'}"
        raise InputError(str(file), fact, "Take another backup; this one is damaged") from error
    finally:
        engine.dispose()


def refuse_filled(transaction: sql.Connection, store: Store) -> None:
    """Refuse a store in which there is a row of ours.

    Raises
    ------
    OutputError
        If there is one.
    """
    for table in _tables_in(transaction):
        if table is not campaigns.FORMAT and transaction.execute(sql.select(1).select_from(table).limit(1)).first():
            fact = f"has {table.name.replace('_', ' ')} already, and is not overwritten"
            raise OutputError(store.shown, fact, "Give an empty database, or one in a schema of its own")


@contextmanager
def _at_newest_revision(file: Path) -> Iterator[Path]:
    """Have a copy of a backup's store with all columns that tables have today."""
    with TemporaryDirectory(prefix="slacktide-") as folder:
        copy = Path(folder) / file.name
        _copy_at_newest_revision(file, copy)
        _one_file(copy)
        yield copy


def _copy_at_newest_revision(file: Path, copy: Path) -> None:
    with reading_copy(file) as there:
        _copy_file(there, copy)
        with_server = server.TOKENS in _tables_in(there)
    _make(store_in(copy), with_server=with_server)


def _fill_file(file: Path, copy: Path, then: Callable[[sql.Connection], Done]) -> Done:
    """Write a copy of a backup's store, with what belongs to it; whatever goes wrong, nothing is left beside it."""
    try:
        _copy_at_newest_revision(file, copy)
        with closing(StoreConnection(store_in(copy))) as connection, connection.writing() as here:
            done = then(here)
        _one_file(copy)
    finally:
        for suffix in SIDE_FILES:
            copy.with_name(copy.name + suffix).unlink(missing_ok=True)
    return done


@contextmanager
def _at_length(store: Store) -> Iterator[StoreConnection]:
    with closing(StoreConnection(store, watched=False)) as connection:
        yield connection


def _tables_in(transaction: sql.Connection) -> list[sql.Table]:
    """Return our tables that are there, each after those that it refers to."""
    there = set(sql.inspect(transaction).get_table_names())
    known = [*campaigns.METADATA.sorted_tables, *server.METADATA.sorted_tables]
    return [table for table in known if table.name in there]


def _make(store: Store, *, with_server: bool) -> None:
    if with_server:
        open_database(store).close()
        return
    with opening(store, create=True) as connection:
        connection.close()


def _copy(there: sql.Connection, here: sql.Connection, tables: list[sql.Table]) -> None:
    for table in tables:
        here.execute(sql.delete(table))
        rows = there.execution_options(stream_results=True, yield_per=AT_ONCE).execute(sql.select(table))
        for some in rows.mappings().partitions():
            here.execute(sql.insert(table), [dict(row) for row in some])


def _count_on(transaction: sql.Connection, tables: list[sql.Table]) -> None:
    """Have PostgreSQL number new rows after those that were copied."""
    for table in tables:
        (key, *more) = table.primary_key.columns
        if more or not isinstance(key.type, sql.Integer) or table is campaigns.FORMAT:
            continue
        newest = transaction.execute(sql.select(sql.func.max(key))).scalar()
        if newest is not None:
            sequence = sql.func.pg_get_serial_sequence(table.name, key.name)
            transaction.execute(sql.select(sql.func.setval(sequence, newest)))


def _copy_file(there: sql.Connection, file: Path) -> None:
    """Copy a SQLite file with what is in its write-ahead log, as one file."""
    driver: Any = there.connection.driver_connection
    with _written(file), closing(sqlite3.connect(file)) as copy:
        driver.backup(copy)
    _one_file(file)


def _one_file(file: Path) -> None:
    """Fold a file's write-ahead log into it, and let only its owner read it: tokens' digests are in it."""
    with _written(file), closing(sqlite3.connect(file)) as copy:
        copy.execute("PRAGMA journal_mode = DELETE")
    file.chmod(0o600)


@contextmanager
def _written(file: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        fact = f"cannot be written: {error}"
        raise OutputError(str(file), fact, "Free some space, or choose another folder") from error
