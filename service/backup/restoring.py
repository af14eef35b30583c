"""A backup put back where nothing is; its campaigns are fenced before anybody can go on with one."""

import os
from contextlib import closing
from pathlib import Path
from typing import Final, NamedTuple

import sqlalchemy as sql

from slacktide.atomic import staged_directory
from slacktide.errors import InputError, OutputError
from slacktide.executors.campaign_file import CAMPAIGN_FILE, JOURNAL_FILE, kept_in, write_campaign_file
from slacktide.executors.store.address import Store, parse_store, store_in
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

    The store comes last, and with it in one step what fences its campaigns: nobody finds any that are not.

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

    def fenced(transaction: sql.Connection) -> tuple[CampaignId, ...]:
        _lead_rows_to(target.directory, manifest, transaction)
        return tuple(fence_restored(transaction))

    if target.directory is None:
        return Restored(manifest, copy_in(backup / STORE, target.store, fenced))
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
        own = place if target.store_file == Path(JOURNAL_FILE) else target.store
        _lead_files_to(target.store, manifest, folder, own)
        waiting = copy_in(backup / STORE, place, fenced)
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


def _lead_rows_to(directory: Path | None, manifest: Manifest, transaction: sql.Connection) -> None:
    """Have campaigns whose fleets and plans were in the directory of then name the one of now."""
    before, now = manifest.directory, str(directory)
    if before is None or directory is None or before == now:
        return
    for name in PATHS:
        column = CAMPAIGNS.c[name]
        moved = sql.literal(now) + sql.func.substr(column, len(before) + 1)
        beneath = sql.func.substr(column, 1, len(before) + 1) == before + os.sep
        transaction.execute(sql.update(CAMPAIGNS).where(beneath).values({name: moved}))


def _lead_files_to(store: Store, manifest: Manifest, folder: Path, own_store: Store) -> None:
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
