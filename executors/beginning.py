"""Whether a campaign may begin that others have asked for: taken back, it does not, whichever moment that comes at.

Who has a command begin it makes a file in the campaign's directory, empty or with the reason why it may not begin; the
command holds that file's lock from when it looks until the campaign has begun, and then removes it.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from slacktide.errors import ExecutionError, OutputError

BEGINNING_FILE: Final = "may-begin"
LONGEST_REASON: Final = 4096


@contextmanager
def beginning(directory: Path) -> Iterator[None]:
    """Begin the campaign of a directory in the block, if nobody has taken it back, and while nobody does.

    Raises
    ------
    ExecutionError
        If somebody has.
    """
    file = directory / BEGINNING_FILE
    if not file.is_file():
        yield
        return
    with _locked(file) as lock:
        if why := os.pread(lock, LONGEST_REASON, 0).decode(errors="replace"):
            raise ExecutionError(f"campaign {directory.name}", f"does not begin: {why}", "Start it again, if it is to")
        yield
        with suppress(OSError):
            file.unlink()


@contextmanager
def deciding(directory: Path) -> Iterator["Decision"]:
    """Decide in the block whether the campaign of a directory may begin; meanwhile it does not.

    Raises
    ------
    OutputError
        If the directory cannot be written to.
    """
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _locked(directory / BEGINNING_FILE) as lock:
            yield Decision(lock)
    except OSError as error:
        fact = f"cannot be written: {error.strerror or error}"
        raise OutputError(str(directory), fact, "Free some space, or see to its permissions") from error


class Decision:
    """Whether a campaign may begin, for as long as nobody else decides that."""

    def __init__(self, lock: int) -> None:
        self._lock = lock

    def take_back(self, why: str) -> None:
        """Have it not begin."""
        self.let_begin()
        os.pwrite(self._lock, (why.encode(errors="replace") or b"taken back")[:LONGEST_REASON], 0)

    def let_begin(self) -> None:
        """Have it begin, if a command is about to, or will be."""
        os.ftruncate(self._lock, 0)


@contextmanager
def _locked(file: Path) -> Iterator[int]:
    """Open a file, made where absent, and hold its lock."""
    lock = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock
    finally:
        os.close(lock)
