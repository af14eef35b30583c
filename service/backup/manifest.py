"""``backup.json``: what a backup is of, from when, and which files belong to it."""

import json
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Final

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator, model_validator

from slacktide.errors import InputError, UsageError
from slacktide.executors.campaign_file import CAMPAIGN_FILE, JOURNAL_FILE
from slacktide.service.backup.places import Kind

MANIFEST: Final = "backup.json"
STORE: Final = "store.sqlite"
FILES: Final = "files"
FORMAT_VERSION: Final = 1


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class KeptFile(_Part):
    """One file, as it was copied."""

    bytes: int
    sha256: str


class KeptCampaign(_Part):
    """How a campaign stood."""

    campaign_id: str
    plan_id: str
    state: str | None
    """``finished`` once it has; null: not yet."""
    generation: int
    events: int
    """Number of the newest event: what was done later is not in the backup."""


class Manifest(_Part):
    """What a backup is of."""

    format_version: int = FORMAT_VERSION
    made_at: str
    """In UTC; before the copy began."""
    slacktide: str
    kind: Kind
    directory: str | None
    """Where what is in ``files`` was; null: the store alone was copied."""
    store: str
    """Where the store was, without password."""
    store_file: str | None
    """Its path within the directory; null: it was elsewhere."""
    campaigns: tuple[KeptCampaign, ...]
    files: dict[str, KeptFile]
    """By path within the backup, the store's copy among them."""

    @field_validator("files")
    @classmethod
    def _within(cls, files: dict[str, KeptFile]) -> dict[str, KeptFile]:
        """Refuse paths that lead out of where a backup is restored to: whoever wrote it need not be a friend."""
        for path in files:
            first, *more = PurePosixPath(path).parts or ("",)
            if path != STORE and (first != FILES or not more or ".." in more):
                raise ValueError(f"{path!r} is neither {STORE} nor within {FILES}")
        if STORE not in files:
            raise ValueError(f"{STORE} is not among the files")
        return files

    @model_validator(mode="after")
    def _of_its_kind(self) -> "Manifest":
        """Refuse another kind than what was copied is: it would be looked through, and put back, as something else."""
        of_campaign = f"{FILES}/{CAMPAIGN_FILE}" in self.files or self.store_file == JOURNAL_FILE
        is_alone = self.directory is None and self.files.keys() == {STORE}
        kind: Kind = "store" if is_alone else "campaign" if of_campaign else "server"
        if self.kind != kind or (self.directory is None) != is_alone:
            raise ValueError(f"kind is {self.kind}, and the files are not those of a {self.kind}")
        return self


def read_manifest(backup: Path) -> Manifest:
    """Return what a backup says that it is.

    Raises
    ------
    UsageError
        If there is no backup.
    InputError
        If what it says cannot be read.
    """
    file = backup / MANIFEST
    if not file.is_file():
        fact = f"is no backup: there is no {MANIFEST}"
        raise UsageError(str(backup), fact, "Give the directory that `slacktide store backup -o` made")
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
        version = data.get("format_version") if isinstance(data, dict) else None
        if version != FORMAT_VERSION:
            fact = f"has format version {version}; this release reads version {FORMAT_VERSION}"
            raise InputError(str(file), fact, "Use the release that wrote it")
        return Manifest.model_validate(data)
    except (OSError, ValueError, RecursionError) as error:
        why = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error).splitlines()[0]
        fact = f"cannot be read: {why}"
        raise InputError(str(file), fact, "Take another backup; this one is damaged") from error


def files_of(folder: Path) -> Iterator[Path]:
    """Yield the files within a folder in order of their paths; links are followed nowhere.

    What is being written beside its place is left out, and so is a folder that goes meanwhile: it comes back by another
    name, or was of no use.
    """
    try:
        entries = sorted(folder.iterdir())
    except FileNotFoundError:
        return
    for entry in entries:
        if entry.is_symlink() or (entry.name.startswith(".") and entry.name.endswith(".partial")):
            continue
        if entry.is_dir():
            yield from files_of(entry)
        elif entry.is_file():
            yield entry
