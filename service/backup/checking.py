"""Whether a store, the directory beside it, or a backup of both is whole."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

import sqlalchemy as sql

from slacktide.errors import ExecutionError
from slacktide.executors.store.connection import StoreConnection
from slacktide.executors.store.refusals import DAMAGED
from slacktide.executors.store.schema import CAMPAIGNS, EVENTS, ORDERS
from slacktide.executors.store.upgrading import opening
from slacktide.findings import Finding, Severity
from slacktide.service.backup.manifest import FILES, STORE, read_manifest
from slacktide.service.backup.places import Place
from slacktide.service.backup.rows import reading_copy
from slacktide.service.kept_files import DamagedError, refuse_damaged_fleet, refuse_damaged_plan
from slacktide.service.kept_sums import changed_files
from slacktide.service.places import Places
from slacktide.service.store.schema import FLEETS, PLANS, RUNS

FROM_BACKUP: Final = "Restore it from a backup; what was done since that was made is not in it"
ANOTHER: Final = "Take another backup; this one is damaged"


def check_backup(backup: Path) -> list[Finding]:
    """Return what is wrong with a backup: files that are missing or not as they were copied, a store that is not whole.

    Raises
    ------
    UsageError, InputError
        If it is none, or what it says cannot be read.
    """
    manifest = read_manifest(backup)
    found = []
    for path, known in manifest.files.items():
        file = backup / path
        if not file.is_file():
            found.append(Finding("missing-file", "is not there", ANOTHER, file=path))
            continue
        with file.open("rb") as content:
            if hashlib.file_digest(content, "sha256").hexdigest() != known.sha256:
                found.append(Finding("changed-file", "is not what was copied", ANOTHER, file=path))
    if found:
        return found
    with reading_copy(backup / STORE) as transaction:
        found = list(_store_findings(transaction, ANOTHER))
        if manifest.kind == "server":
            found += _folders_findings(transaction, Places(backup / FILES), "warning")
    return found


def check_place(place: Place) -> list[Finding]:
    """Return what is wrong with a store in use and the directory beside it.

    Raises
    ------
    ExecutionError, StoreError
        If the store is none, or does not answer; that it is damaged is a finding.
    """
    try:
        with opening(place.store) as connection:
            connection.close()
        with closing(StoreConnection(place.store, watched=False)) as connection, connection.reading() as transaction:
            found = list(_store_findings(transaction, FROM_BACKUP))
            if place.kind == "server" and place.directory is not None:
                found += _folders_findings(transaction, Places(place.directory), "error")
    except ExecutionError as error:
        if error.fact != DAMAGED:
            raise
        return [Finding("integrity", f"{error.subject} {error.fact}, so that it cannot be read", FROM_BACKUP)]
    return found


def _store_findings(transaction: sql.Connection, remedy: str) -> Iterator[Finding]:
    if transaction.dialect.name == "sqlite":
        for (words,) in transaction.exec_driver_sql("PRAGMA integrity_check"):
            if words != "ok":
                yield Finding("integrity", f"SQLite finds: {words}", remedy)
        for table, row, parent, _ in transaction.exec_driver_sql("PRAGMA foreign_key_check"):
            yield Finding("integrity", f"row {row} of {table} belongs to nothing in {parent}", remedy)
    for table, what in ((EVENTS, "events"), (ORDERS, "orders")):
        counted = (sql.func.count(), sql.func.min(table.c.number), sql.func.max(table.c.number))
        query = sql.select(CAMPAIGNS.c.campaign_id, *counted).join_from(
            table, CAMPAIGNS, table.c.campaign == CAMPAIGNS.c.number
        )
        for campaign, number, first, last in transaction.execute(query.group_by(CAMPAIGNS.c.campaign_id)):
            if (first, last) != (1, number):
                words = f"campaign {campaign} has {number:,} {what}, numbered {first:,} to {last:,}: some are missing"
                yield Finding("missing-rows", words, remedy, subjects=(campaign,))


def _folders_findings(transaction: sql.Connection, places: Places, severity: Severity) -> Iterator[Finding]:
    """Yield fleets and plans whose files are not as they were; a backup of such a directory is no worse."""
    if not sql.inspect(transaction).has_table(FLEETS.name):
        return
    for column, place, what, refuse in (
        (FLEETS.c.fleet_id, places.fleet, "fleet", refuse_damaged_fleet),
        (PLANS.c.plan_id, places.plan, "plan", refuse_damaged_plan),
        (RUNS.c.fleet_id, places.fleet, "fleet of a campaign", None),
        (RUNS.c.plan_id, places.plan, "plan of a campaign", None),
    ):
        for name in transaction.execute(sql.select(column).distinct().order_by(column)).scalars():
            if not place(name).is_dir():
                words = f"the files of {what} {name} are not in {place(name)}"
                yield Finding("missing-files", words, FROM_BACKUP, severity, (name,))
            elif refuse is not None and (changed := _changed(place(name), refuse)):
                words = f"{changed} of {what} {name} in {place(name)}: gone, or not as it was written"
                yield Finding("changed-files", words, FROM_BACKUP, severity, (name,))


def _changed(folder: Path, refuse: Callable[[Path], None]) -> str:
    """Return which files of a folder are gone or not as they were kept, in words; nothing: it is whole."""
    try:
        if names := changed_files(folder):
            return ", ".join(names)
        refuse(folder)
    except (DamagedError, OSError):
        return "a file"
    return ""
