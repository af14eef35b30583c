"""A store: whether it answers and may be written, its revision, how long a commit takes, its disk and its clock."""

import os
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any, Final

import sqlalchemy as sql

from slacktide.errors import SlacktideError
from slacktide.executors.doctor.check import Check
from slacktide.executors.doctor.clocks import clock_check, offset_of
from slacktide.executors.doctor.files import disk_check, unread_check
from slacktide.executors.presence import is_hidden, is_missing
from slacktide.executors.store.address import Store
from slacktide.executors.store.connection import StoreConnection, now_text
from slacktide.executors.store.schema import HEAD
from slacktide.executors.store.upgrading import MIGRATIONS, revision_of

COMMITS: Final = 9
SLOW_MS: Final = 50.0
"""A commit that takes longer is told of: a campaign of 10,000 hosts makes some tens of batches a second."""
NETWORKED: Final = ("nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs", "ceph", "glusterfs", "fuse.glusterfs")
"""File systems on which SQLite's locks do not hold, or not with certainty."""


def store_checks(store: Store, limit_ms: float) -> Iterator[Check]:
    """Yield what is known of a store; nothing in it is changed, and one that is not there is not made."""
    if store.is_file:
        yield from _file_checks(store.path)
        if not os.access(store.path, os.F_OK):
            return
    try:
        with closing(StoreConnection(store)) as connection:
            yield _revision(connection)
            yield _commits(connection)
            if not store.is_file:
                yield from _server_checks(connection, limit_ms)
    except SlacktideError as error:
        yield Check("store", store.shown, "error", error.fact, error.remedy)


def _file_checks(path: Path) -> Iterator[Check]:
    folder = path.parent
    if is_hidden(path):
        yield unread_check("store", str(path), path)
        return
    if not folder.is_dir():
        yield Check("store", str(path), "error", f"its folder {folder} is not there", "Make it, or name another")
        return
    yield disk_check("store", "disk of the store", folder)
    kind = file_system_of(folder)
    if kind in NETWORKED:
        remedy = "Keep it on a disk of this machine, or in PostgreSQL: locks do not hold there"
        yield Check("store", str(path), "error", f"is a SQLite file on a network file system ({kind})", remedy)
    if is_missing(path):
        yield Check("store", str(path), "ok", "is not there yet; it is made when it is first used")


def file_system_of(folder: Path) -> str:
    """Return the kind of file system that a folder is on; empty: nobody says."""
    best, kind = "", ""
    try:
        lines = Path("/proc/self/mounts").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    for line in lines:
        _, place, what, *_ = line.split()
        if folder.resolve().is_relative_to(place) and len(place) >= len(best):
            best, kind = place, what
    return kind


def _revision(connection: StoreConnection) -> Check:
    shown = connection.store.shown
    with connection.reading() as transaction:
        revision = revision_of(transaction)
    known = {path.name[1:5] for path in (MIGRATIONS / "versions").glob("r*.py")}
    if revision is None:
        return Check("store", shown, "ok", "answers; there are no tables yet, they are made when it is first used")
    if revision == HEAD:
        return Check("store", shown, "ok", f"answers; schema of revision {revision}, the newest")
    if revision in known:
        fact = f"answers; schema of revision {revision}, the newest is {HEAD}"
        remedy = "It is upgraded when it is first used: upgrade Slacktide on all machines that share it before"
        return Check("store", shown, "warning", fact, remedy)
    fact = f"has a schema of revision {revision}, which this release does not know; it knows up to {HEAD}"
    return Check("store", shown, "error", fact, "Use the release that wrote it, or a newer one")


def _commits(connection: StoreConnection) -> Check:
    """Return how long a commit takes that changes nothing, but is as durable as any."""
    taken_ms = []
    for _ in range(COMMITS):
        began_s = time.perf_counter()
        with connection.writing() as transaction:
            _write_nothing(transaction)
        taken_ms.append((time.perf_counter() - began_s) * 1000)
    middle, longest = median(taken_ms), max(taken_ms)
    fact = f"{middle:,.1f} ms in the median, {longest:,.1f} ms the longest of {COMMITS}; limit {SLOW_MS:,.0f} ms"
    if middle > SLOW_MS:
        remedy = "See its disk and what else writes there; campaigns go at the pace of their journal"
        return Check("store", "a commit", "warning", fact, remedy)
    return Check("store", "a commit", "ok", fact)


def _write_nothing(transaction: sql.Connection) -> None:
    if transaction.dialect.name == "sqlite":
        kept = transaction.exec_driver_sql("PRAGMA user_version").scalar()
        transaction.exec_driver_sql(f"PRAGMA user_version = {int(kept or 0)}")
    else:
        transaction.exec_driver_sql("SELECT pg_logical_emit_message(true, 'slacktide', '')")


def _server_checks(connection: StoreConnection, limit_ms: float) -> Iterator[Check]:
    with connection.reading() as transaction:
        version, mib = transaction.exec_driver_sql(
            "SELECT current_setting('server_version'), pg_database_size(current_database()) / 1048576.0"
        ).one()
    fact = f"PostgreSQL {version}; the database has {mib:,.1f} MiB"
    remedy = "Have its server's disk watched: it does not tell how much is free"
    yield Check("store", "disk of the store", "unknown", fact, remedy)

    def ask_ms() -> float:
        with connection.reading() as transaction:
            text: Any = transaction.execute(sql.select(now_text(transaction.dialect.name))).scalar()
        return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000

    yield clock_check("the store", offset_of(ask_ms), limit_ms)
