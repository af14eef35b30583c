"""Where results go, checked before the work starts: nobody plans for a minute to learn that a folder is missing."""

import os
from collections.abc import Collection
from pathlib import Path
from typing import Final

from slacktide.errors import OutputError, UsageError
from slacktide.object_store import AnyPath, StoredPath, check_writable

WHAT_IF_FILES: Final = ("what-if.json", "what-if.parquet", "plans")
PARETO_FILES: Final = ("front.json", "front.parquet", "front.csv", "front.png", "front.svg", "plans")
"""What the directories of a what-if and of a front hold."""


def check_directory(path: AnyPath, known: Collection[str]) -> None:
    """Check that a directory of the files ``known`` can be written to ``path``, new or in place of an older one.

    In an object store something small is written beside it and removed.

    Raises
    ------
    UsageError
        If ``path`` is a file, holds anything else, or lies in a folder that does not exist.
    OutputError
        If its folder may not be written to.
    """
    _check_folder(path)
    if not path.exists():
        return
    if not path.is_dir():
        raise UsageError(str(path), "is a file, where a directory is to be written", "Choose another path")
    there = path.names() if isinstance(path, StoredPath) else [entry.name for entry in path.iterdir()]
    others = sorted(name for name in there if name not in known)
    if others:
        raise UsageError(
            str(path), f"is not empty: it holds {others[0]}", "Choose a path that does not exist, or empty it first"
        )


def refuse_to_replace(path: AnyPath, source: AnyPath) -> None:
    """Refuse to write to ``path`` what is made from ``source``, if they are one directory or it lies within.

    Raises
    ------
    UsageError
        If so.
    """
    if path.resolve() == source.resolve():
        raise UsageError(str(path), "is what the command reads; it would be lost", "Choose another path")
    if source.resolve() in path.resolve().parents:
        raise UsageError(str(path), f"lies within {source}, which the command reads", "Choose a path beside it")


def check_campaign(path: Path, signs: Collection[str], left: Collection[str] = ()) -> None:
    """Check that a campaign can be begun in ``path``, or goes on there: it then holds one of the files ``signs``.

    One that could not be begun may have left the files ``left``.

    Raises
    ------
    UsageError, OutputError
        As :func:`check_directory`.
    """
    if not any((path / sign).is_file() for sign in signs):
        check_directory(path, left)


def check_file(path: AnyPath) -> None:
    """Check that a file can be written to ``path``, new or in place of an older one.

    Raises
    ------
    UsageError, OutputError
        As :func:`check_directory`.
    """
    _check_folder(path)
    if path.is_dir():
        raise UsageError(str(path), "is a directory, where a file is to be written", "Choose another path")


def _check_folder(path: AnyPath) -> None:
    if isinstance(path, StoredPath):
        check_writable(path)
        return
    folder = path.resolve().parent
    if not folder.is_dir():
        fact = "is not a folder" if folder.exists() else "the folder does not exist"
        raise UsageError(str(folder), fact, f"Make the folder, or choose another path than {path}")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(str(path), "cannot be written: Permission denied", "Choose a folder that you may write to")
