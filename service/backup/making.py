"""A backup made while campaigns run and the server serves; read :func:`make_backup` as the table of contents."""

import hashlib
import os
from contextlib import suppress
from pathlib import Path
from typing import Final

import sqlalchemy as sql

from slacktide import __version__
from slacktide.atomic import staged_directory
from slacktide.errors import OutputError, UsageError
from slacktide.executors.detached import LOCK_FILE
from slacktide.executors.store.schema import CAMPAIGNS, EVENTS
from slacktide.service.backup.manifest import (
    FILES,
    MANIFEST,
    STORE,
    KeptCampaign,
    KeptFile,
    Manifest,
    files_of,
)
from slacktide.service.backup.places import Place
from slacktide.service.backup.rows import SIDE_FILES, copy_out, reading_copy
from slacktide.service.store.database import now_utc

LEFT_OUT: Final = frozenset({"uploads"})
"""Folders of a data directory that hold what is under way: whoever sends it sends it again."""
PIECE: Final = 2**20


def make_backup(place: Place, destination: Path) -> Manifest:
    """Copy a store, and the directory beside it, to a new directory, and return what is in it.

    The store is copied first, as it is at one moment.  Files are written before the store names them and stay as they
    are, so all that the copy names are there afterwards; younger ones do no harm.

    Raises
    ------
    OutputError
        If something is at ``destination``, or it cannot be written.
    ExecutionError, StoreError
        If the store is none, or does not answer.
    """
    if destination.exists():
        raise OutputError(str(destination), "is there already", "Give a directory that does not exist yet")
    if place.directory is not None and destination.resolve().is_relative_to(place.directory):
        raise UsageError(str(destination), "is within what is to be copied", "Give a directory elsewhere")
    made_at = now_utc()
    with staged_directory(destination) as folder:
        folder.chmod(0o700)
        copy_out(place.store, folder / STORE)
        files = {STORE: _known(folder / STORE)}
        if place.directory is not None:
            files |= _copied(place, folder / FILES)
        manifest = Manifest(
            made_at=made_at,
            slacktide=__version__,
            kind=place.kind,
            directory=None if place.directory is None else str(place.directory),
            store=place.store.kept,
            store_file=None if place.store_file is None else str(place.store_file),
            campaigns=tuple(_campaigns(folder / STORE)),
            files=files,
        )
        (folder / MANIFEST).write_text(manifest.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return manifest


def copy_file(source: Path, target: Path) -> KeptFile:
    """Copy a file so that it outlasts a power cut, and return what it is."""
    digest, size = hashlib.sha256(), 0
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with source.open("rb") as there, target.open("xb") as here:
        while piece := there.read(PIECE):
            digest.update(piece)
            size += len(piece)
            here.write(piece)
        here.flush()
        os.fsync(here.fileno())
        os.fchmod(here.fileno(), os.fstat(there.fileno()).st_mode & 0o777)
    return KeptFile(bytes=size, sha256=digest.hexdigest())


def _copied(place: Place, target: Path) -> dict[str, KeptFile]:
    """Copy the files of a place's directory but the store, locks and uploads under way."""
    assert place.directory is not None
    target.mkdir(mode=0o700)
    own = {f"{place.store_file}{suffix}" for suffix in ("", *SIDE_FILES)}
    found = {}
    for file in files_of(place.directory):
        path = file.relative_to(place.directory)
        if path.parts[0] in LEFT_OUT or path.name == LOCK_FILE or str(path) in own:
            continue
        with suppress(FileNotFoundError):  # replaced or taken away meanwhile: the store's copy does not name it
            found[f"{FILES}/{path}"] = copy_file(file, target / path)
    return found


def _known(file: Path) -> KeptFile:
    with file.open("rb") as content:
        return KeptFile(bytes=file.stat().st_size, sha256=hashlib.file_digest(content, "sha256").hexdigest())


def _campaigns(file: Path) -> list[KeptCampaign]:
    newest = sql.select(sql.func.max(EVENTS.c.number)).where(EVENTS.c.campaign == CAMPAIGNS.c.number).scalar_subquery()
    columns = (CAMPAIGNS.c.campaign_id, CAMPAIGNS.c.plan_id, CAMPAIGNS.c.state, CAMPAIGNS.c.generation, newest)
    with reading_copy(file) as transaction:
        rows = transaction.execute(sql.select(*columns).order_by(CAMPAIGNS.c.number)).all()
    return [
        KeptCampaign(campaign_id=name, plan_id=plan, state=state, generation=generation, events=events or 0)
        for name, plan, state, generation, events in rows
    ]
