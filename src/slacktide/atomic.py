"""Files and directories that are there whole or not at all.

Everything is written beside its destination and renamed over it.  Whatever goes wrong, nothing half-written is left
behind, and what was there before still is.  Object stores rename nothing; :mod:`slacktide.object_store` says what they
do in place of that.
"""

import contextlib
import os
import secrets
import shutil
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from slacktide.errors import OutputError
from slacktide.object_store import AnyPath, StoredPath, write_folder, write_object


def write_file(path: AnyPath, content: bytes) -> None:
    """Write ``content`` to ``path``, replacing a file that is there.

    Raises
    ------
    OutputError
        If it cannot be written; a file that was there is untouched.
    """
    if isinstance(path, StoredPath):
        write_object(path, content)
        return
    with staged_file(path) as beside:
        _write(beside, content)


@contextlib.contextmanager
def staged_file(path: Path) -> Iterator[Path]:
    """Yield where a file is to be written, flushed included; it takes the place of ``path`` at the end of the block.

    Raises
    ------
    OutputError
        If it cannot be written; a file that was there is untouched, as it is whenever the block raises.
    """
    destination = path.resolve()
    beside = _beside(destination)
    with _output(path):
        try:
            yield beside
            beside.replace(destination)
            _sync(destination.parent)
        finally:
            beside.unlink(missing_ok=True)


def write_directory(
    path: AnyPath, contents: Mapping[str, bytes], known: Collection[str] = (), last: str | None = None
) -> None:
    """Write a directory of files by name, replacing a directory of the same kind that is there.

    A directory is of the same kind if it holds nothing but files named in ``contents`` or ``known``; any other is
    refused, so that a wrong path never costs somebody's files.  ``last`` is the file without which the others count for
    nothing, the last of ``contents`` unless it is named.

    Raises
    ------
    OutputError
        If it cannot be written; a directory that was there is untouched.
    """
    if isinstance(path, StoredPath):
        write_folder(path, contents, known, last or list(contents)[-1])
        return
    with staged_directory(path, {*contents, *known}) as folder:
        for name, content in contents.items():
            _write(folder / name, content)


@contextlib.contextmanager
def staged_directory(path: Path, known: Collection[str] = ()) -> Iterator[Path]:
    """Yield an empty folder to fill, which takes the place of ``path`` at the end of the block, or never was.

    What is at ``path`` is replaced as by :func:`write_directory`.

    Raises
    ------
    OutputError
        If it cannot be written; a directory that was there is untouched.
    """
    destination = path.resolve()
    beside = _beside(destination)
    with _output(path):
        _refuse_others(path, destination, known)
        try:
            beside.mkdir()
            yield beside
            _sync(beside)
            _exchange(beside, destination)
            _sync(destination.parent)
        finally:
            shutil.rmtree(beside, ignore_errors=True)


def _beside(destination: Path) -> Path:
    """Return a name in the same folder, so that a rename stays within one file system."""
    return destination.with_name(f".{destination.name}.{secrets.token_hex(4)}.partial")


def _refuse_others(path: Path, destination: Path, names: Collection[str]) -> None:
    if not destination.exists():
        return
    if not destination.is_dir():
        raise OutputError(str(path), "is a file, where a directory is to be written", "Choose another path")
    others = sorted(entry.name for entry in destination.iterdir() if entry.name not in names)
    if others:
        fact = f"holds other things, such as {others[0]}"
        raise OutputError(str(path), fact, "Choose a path that does not exist, or empty it first")


def _exchange(new: Path, destination: Path) -> None:
    """Put the directory ``new`` in place of ``destination``, which may exist."""
    if not destination.exists():
        new.rename(destination)
        return
    old = _beside(destination)
    destination.rename(old)
    try:
        new.rename(destination)
    except OSError:
        old.rename(destination)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _write(path: Path, content: bytes) -> None:
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    """Make renames in ``folder`` outlast a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _output(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        fact = f"cannot be written: {error.strerror or error}"
        remedy = "Free some space, or choose a folder that exists and that you may write to"
        raise OutputError(str(path), fact, remedy) from error
