"""A backup put back where nothing is; its campaigns are fenced before anybody can go on with one."""

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final, NamedTuple

import sqlalchemy as sql

from slacktide.atomic import staged_directory
from slacktide.errors import InputError, OutputError
from slacktide.executors.campaign_file import CAMPAIGN_FILE, JOURNAL_FILE, kept_in, write_campaign_file
from slacktide.executors.store.address import Store, parse_store, store_in
from slacktide.executors.store.connection import StoreConnection
from slacktide.executors.store.restored import fence_restored
from slacktide.executors.store.schema import CAMPAIGNS
from slacktide.executors.store.upgrading import opening
from slacktide.findings import errors_in
from slacktide.ids import CampaignId
from slacktide.service.backup.checking import check_backup
from slacktide.service.backup.making import copy_file
from slacktide.service.backup.manifest import FILES, STORE, Manifest, read_manifest
from slacktide.service.backup.places import Place
from slacktide.service.backup.rows import copy_in

PATHS: Final = ("plan_path", "fleet_path")


class Restored(NamedTuple):
    """What was put back."""

    manifest: Manifest
    waiting: tuple[CampaignId, ...]
    """Campaigns on real hosts, which go on only once they are released."""


def restore_backup(backup: Path, target: Place) -> Restored:
    """Put a backup back to a place where nothing is; where that fails, no directory is made and no row is left.

    Raises
    ------
    UsageError, InputError
        If it is no backup, or a damaged one.
    OutputError
        If something is there already, or cannot be written.
    ExecutionError, StoreError
        If the database to be filled does not answer.
    """
    manifest = read_manifest(backup)
    if broken := errors_in(check_backup(backup)):
        raise InputError(str(backup), "is damaged", "Take another backup", broken)
    if target.directory is None:
        with _filled(backup, target.store) as store:
            return Restored(manifest, _fenced(store, manifest, target))
    _refuse_taken(target.directory)
    target.directory.parent.mkdir(parents=True, exist_ok=True)
    with staged_directory(target.directory) as folder:
        folder.chmod(0o700)
        for path in manifest.files:
            if path != STORE:
                copy_file(backup / path, folder / Path(path).relative_to(FILES))
        place = target.store if target.store_file is None else store_in(folder / target.store_file)
        if target.store_file is not None:
            place.path.parent.mkdir(parents=True, exist_ok=True)
        with _filled(backup, place) as store:
            waiting = _fenced(store, manifest, target)
            own = place if target.store_file == Path(JOURNAL_FILE) else target.store
            _lead_to(target.store, manifest, folder, own)
    return Restored(manifest, waiting)


def fence(store: Store) -> tuple[CampaignId, ...]:
    """Fence the campaigns of a store that came back by other means; return those that wait for their release.

    Raises
    ------
    ExecutionError, StoreError
        If the store does not answer, or is none.
    """
    with opening(store) as connection, closing(connection), connection.writing() as transaction:
        return tuple(fence_restored(transaction))


@contextmanager
def _filled(backup: Path, store: Store) -> Iterator[Store]:
    """Have a store filled from a backup; it is emptied again if the block raises."""
    copy_in(backup / STORE, store)
    try:
        yield store
    except BaseException:
        if store.is_file:
            store.path.unlink(missing_ok=True)
        raise


def _fenced(store: Store, manifest: Manifest, target: Place) -> tuple[CampaignId, ...]:
    waiting = fence(store)
    if manifest.directory is None or target.directory is None or manifest.directory == str(target.directory):
        return waiting
    before, now = manifest.directory, str(target.directory)
    with closing(StoreConnection(store)) as connection, connection.writing() as transaction:
        for name in PATHS:
            column = CAMPAIGNS.c[name]
            moved = sql.literal(now) + sql.func.substr(column, len(before) + 1)
            beneath = sql.func.substr(column, 1, len(before) + 1) == before + os.sep
            transaction.execute(sql.update(CAMPAIGNS).where(beneath).values({name: moved}))
    return waiting


def _lead_to(store: Store, manifest: Manifest, folder: Path, own_store: Store) -> None:
    """Have the directories of campaigns that named the store of then name the one of now.

    Parameters
    ----------
    own_store
        The store where the backup is of a campaign: its journal beside it is named by that name alone.
    """
    before = parse_store(manifest.store)
    for file in [folder / CAMPAIGN_FILE, *folder.glob(f"campaigns/*/{CAMPAIGN_FILE}")]:
        if not file.is_file():
            continue
        kept = kept_in(file.parent)
        own = manifest.kind == "campaign" and file.parent == folder
        if kept is not None and kept.campaign is not None and (own or kept.store.is_at(before)):
            write_campaign_file(file.parent, own_store if own else store, kept.campaign)


def _refuse_taken(directory: Path) -> None:
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        fact = "is there already, and is not overwritten"
        raise OutputError(str(directory), fact, "Move it away, or restore to a directory that does not exist")
