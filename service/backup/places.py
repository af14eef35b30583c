"""What is backed up and restored: a server's data directory, a campaign's directory, or a store alone."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from slacktide.errors import UsageError
from slacktide.executors.campaign_file import JOURNAL_FILE, holds_campaign, kept_in, refuse_other_store
from slacktide.executors.store.address import Store, parse_store, store_in
from slacktide.service.places import STORE_FILE
from slacktide.service.stores import VARIABLE

Kind = Literal["server", "campaign", "store"]
FILE_OF: Final[dict[Kind, str]] = {"server": STORE_FILE, "campaign": JOURNAL_FILE, "store": STORE_FILE}
"""What a store's file is called within a directory of each kind."""


@dataclass(frozen=True, slots=True)
class Place:
    """A store, and the directory that belongs to it."""

    kind: Kind
    directory: Path | None
    """Null: the store alone."""
    store: Store

    @property
    def store_file(self) -> Path | None:
        """The store's path within the directory; null: it is elsewhere."""
        if self.directory is None or not self.store.is_file:
            return None
        file, folder = self.store.path.resolve(), self.directory.resolve()
        return file.relative_to(folder) if file.is_relative_to(folder) else None


def place_of(directory: Path | None, url: str | None, default: Path) -> Place:
    """Return what a directory and the URL of a store name.

    Parameters
    ----------
    default
        The server's data directory, where neither is given.

    Raises
    ------
    UsageError
        If there is no such directory, or it is of a campaign in another store.
    """
    given = None if url is None else parse_store(url)
    if directory is None and given is not None:
        return Place("store", None, given)
    folder = (directory or default).resolve()
    if not folder.is_dir():
        remedy = "Give the server's data directory, a campaign's directory, or --store"
        raise UsageError(str(folder), "there is no such directory", remedy)
    if holds_campaign(folder):
        refuse_other_store(folder, given)
        kept = kept_in(folder, given)
        assert kept is not None
        return Place("campaign", folder, kept.store)
    return Place("server", folder, given or _default_store(folder))


def target_of(kind: Kind, directory: Path | None, url: str | None, default: Path) -> Place:
    """Return where a backup of this kind is restored to; errors as :func:`place_of`.

    Raises
    ------
    UsageError
        If a store alone is to be restored, and nobody says where to.
    """
    given = None if url is None else parse_store(url)
    if kind == "store":
        if given is None:
            raise UsageError("--store", "is missing: the backup is of a store alone", "Say where that is to be")
        return Place(kind, None, given)
    if directory is None and kind == "campaign":
        raise UsageError("DIRECTORY", "is missing: the backup is of a campaign", "Say where that is to be")
    folder = (directory or default).resolve()
    if given is None:
        given = _default_store(folder) if kind == "server" else store_in(folder / FILE_OF[kind])
    return Place(kind, folder, given)


def _default_store(folder: Path) -> Store:
    named = os.environ.get(VARIABLE)
    return parse_store(named) if named else store_in(folder / STORE_FILE)
