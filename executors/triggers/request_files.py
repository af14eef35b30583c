"""Looking at files of requests: what they say, which cannot be understood, which places are away.

A file counts once two looks in a row find the same in it: one that is being written, or that a checkout has taken away
and not yet put back, is not taken at its word.  What cannot be read is that file's fault, and keeps no other back.
"""

import hashlib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from slacktide.errors import InputError, SlacktideError, UsageError
from slacktide.executors.triggers.request import MOST_BYTES, MaintenanceRequest, read_request
from slacktide.planner.strict_files import SUFFIXES, content

Digests = Mapping[Path, str]
"""What files hold, as SHA-256; of one that cannot be read, why not."""
MOST_SAID = 1_000
"""Characters of what is said about a file: it may have thousands of wrong fields, with names as long as they like."""


@dataclass(frozen=True, slots=True)
class Look:
    """What one look has found."""

    places: tuple[Path, ...]
    """Files and directories that are there."""
    away: tuple[Path, ...]
    """Those that are not, or cannot be looked into."""
    digests: Digests


@dataclass(frozen=True, slots=True)
class Found:
    """What files say that have not changed between two looks."""

    requests: Mapping[Path, MaintenanceRequest] = field(default_factory=dict)
    """One file for each id, in the order of their names."""
    copies: Sequence[tuple[Path, MaintenanceRequest]] = ()
    """Further files that say the same."""
    wrong: Mapping[Path, tuple[str, str]] = field(default_factory=dict)
    """Files that are no requests: what they hold, as SHA-256, and why."""


def look(paths: Iterable[Path]) -> Look:
    """Return what is there now."""
    places: list[Path] = []
    away: list[Path] = []
    digests: dict[Path, str] = {}
    for path in paths:
        try:
            files = [path] if _is_single(path) else sorted(path.iterdir())
        except OSError:
            away.append(path)
            continue
        places.append(path)
        for file in files:
            if _is_wanted(file) and (digest := _digest(file)) is not None:
                digests[file] = digest
    return Look(tuple(places), tuple(away), digests)


def _is_single(path: Path) -> bool:
    """Return whether a path is that of one file, which may be gone, in a folder that is there."""
    return path.suffix in SUFFIXES and not path.is_dir() and path.parent.is_dir()


def _is_wanted(file: Path) -> bool:
    """Return whether a file may hold a request: editors and atomic writers begin names of theirs with a dot."""
    try:
        return file.suffix in SUFFIXES and not file.name.startswith(".") and not file.is_dir()
    except OSError:
        return True


def _digest(file: Path) -> str | None:
    """Return what a file holds; None: it is gone since it was listed."""
    try:
        held = content(file, MOST_BYTES)
    except UsageError as error:
        if not os.path.lexists(file):
            return None
        held = f"not read: {error.fact}".encode()
    return hashlib.sha256(held).hexdigest()


def settled(before: Look, now: Look) -> Digests:
    """Return the files that two looks have found the same."""
    return {file: digest for file, digest in now.digests.items() if before.digests.get(file) == digest}


def named(file: Path) -> str:
    """Return a file's path as it may be shown and kept: what cannot be printed is escaped."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in str(file))


class Reading:
    """Reads files once for as long as they hold the same."""

    def __init__(self) -> None:
        self._said: dict[Path, tuple[str, MaintenanceRequest | str]] = {}

    def read(self, digests: Digests, is_over: Callable[[], bool]) -> bool:
        """Read what was not read yet until ``is_over``, and return whether nothing is left to be read."""
        self._said = {file: said for file, said in self._said.items() if digests.get(file) == said[0]}
        for file in sorted(digests.keys() - self._said.keys()):
            if is_over():
                return False
            self._said[file] = digests[file], _said(file)
        return True

    def found(self, digests: Digests) -> Found:
        """Return what files say that were read.

        Of several with one id the first by name counts; another that says something else is wrong.
        """
        requests: dict[Path, MaintenanceRequest] = {}
        copies: list[tuple[Path, MaintenanceRequest]] = []
        wrong: dict[Path, tuple[str, str]] = {}
        owners: dict[str, Path] = {}
        for file in sorted(digests):
            _, said = self._said[file]
            if isinstance(said, str):
                wrong[file] = digests[file], said
                continue
            owner = owners.setdefault(said.id, file)
            if owner == file:
                requests[file] = said
            elif requests[owner].digest == said.digest:
                copies.append((file, said))
            else:
                why = f"its id {said.id} is that of {owner}, which says something else; give it an id of its own"
                wrong[file] = digests[file], why
        return Found(requests, tuple(copies), wrong)


def read_files(digests: Digests) -> Found:
    """Return what files say, each read now; as :meth:`Reading.found`."""
    reading = Reading()
    reading.read(digests, lambda: False)
    return reading.found(digests)


def _said(file: Path) -> MaintenanceRequest | str:
    """Return the request in a file, or why there is none."""
    if not file.name.isprintable():
        return "its name has characters that cannot be printed. Give it another name"
    try:
        return read_request(file)
    except SlacktideError as error:
        words = _words(error)
        return words if len(words) <= MOST_SAID else f"{words[:MOST_SAID]}…"


def _words(error: SlacktideError) -> str:
    """Return what is wrong in one line, without the file's name."""
    if isinstance(error, InputError) and error.findings:
        return "; ".join(f"{finding.message}. {finding.remedy}" for finding in error.findings)
    return f"{error.fact}. {error.remedy}"
