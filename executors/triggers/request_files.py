"""Looking at files of requests: what they say, which cannot be understood, which places are away.

A file counts once two looks in a row find the same in it: one that is being written, or that a checkout has taken away
and not yet put back, is not taken at its word.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from slacktide.errors import InputError, SlacktideError
from slacktide.executors.triggers.request import MaintenanceRequest, read_request
from slacktide.planner.strict_files import SUFFIXES

Digests = Mapping[Path, str]
"""What files hold, as SHA-256."""


@dataclass(frozen=True, slots=True)
class Look:
    """What one look has found."""

    places: tuple[Path, ...]
    """Files and directories that are there."""
    away: tuple[Path, ...]
    """Those that are not, or cannot be read."""
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
            files = sorted(path.iterdir()) if path.is_dir() or path.suffix not in SUFFIXES else [path]
            found = {file: _digest(file) for file in files if _is_wanted(file)}
        except OSError:
            if not _is_single(path):
                away.append(path)
                continue
            found = {}
        places.append(path)
        digests |= found
    return Look(tuple(places), tuple(away), digests)


def _is_wanted(file: Path) -> bool:
    """Return whether a file may hold a request: editors and atomic writers begin names of theirs with a dot."""
    return file.suffix in SUFFIXES and not file.name.startswith(".") and not file.is_dir()


def _is_single(path: Path) -> bool:
    """Return whether a path is that of one file, which may be gone, in a folder that is there."""
    return path.suffix in SUFFIXES and not path.exists() and path.parent.is_dir()


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def settled(before: Look, now: Look) -> Digests:
    """Return the files that two looks have found the same."""
    return {file: digest for file, digest in now.digests.items() if before.digests.get(file) == digest}


def read_files(digests: Digests) -> Found:
    """Return what files say.

    Of several with one id the first by name counts; another that says something else is wrong.
    """
    requests: dict[Path, MaintenanceRequest] = {}
    copies: list[tuple[Path, MaintenanceRequest]] = []
    wrong: dict[Path, tuple[str, str]] = {}
    owners: dict[str, Path] = {}
    for file in sorted(digests):
        try:
            request = read_request(file)
        except SlacktideError as error:
            wrong[file] = digests[file], _words(error)
            continue
        owner = owners.setdefault(request.id, file)
        if owner == file:
            requests[file] = request
        elif requests[owner].digest() == request.digest():
            copies.append((file, request))
        else:
            why = f"its id {request.id} is that of {owner}, which says something else; give it an id of its own"
            wrong[file] = digests[file], why
    return Found(requests, tuple(copies), wrong)


def _words(error: SlacktideError) -> str:
    """Return what is wrong in one line, without the file's name."""
    if isinstance(error, InputError) and error.findings:
        return "; ".join(f"{finding.message}. {finding.remedy}" for finding in error.findings)
    return f"{error.fact}. {error.remedy}"
