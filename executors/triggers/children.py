"""Commands that go on when whoever began them ends, and of which it is known afterwards whether they still run.

A child holds the lock of its directory for as long as it lives: the lock's open file is handed to it.  So whether it
runs is asked of the kernel, and neither a number that was given to another process nor a moment between two writes can
deceive.
"""

import fcntl
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from slacktide.errors import OutputError

LOCK_FILE: Final = "lock"
"""Holds the number of the process, for people."""
LOG_FILE: Final = "said.log"
LAST_LINES: Final = 3
"""Of what a child has said, to be told where it has failed."""
LOG_READ: Final = 4096


class Children:
    """Commands, one at a time in each directory."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = dict(environment)
        self._begun: list[subprocess.Popen[bytes]] = []

    def begin(self, directory: Path, command: Sequence[str], folder: Path | None = None) -> bool:
        """Begin a command in a session of its own, and return whether it was: not if another runs there.

        What it says goes to the end of the directory's log, behind the command itself.

        Raises
        ------
        OutputError
            If it cannot be begun.
        """
        lock = _locked(directory)
        if lock is None:
            return False
        try:
            with (directory / LOG_FILE).open("ab") as log:
                log.write(f"$ {' '.join(command)}\n".encode())
                log.flush()
                child = subprocess.Popen(
                    list(command),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=self._environment,
                    cwd=folder,
                    pass_fds=(lock,),
                    start_new_session=True,
                )
            os.ftruncate(lock, 0)
            os.pwrite(lock, f"{child.pid}\n".encode(), 0)
        except OSError as error:
            fact = f"cannot be begun: {error.strerror or error}"
            raise OutputError(command[0], fact, "See that the program is there and may be run") from error
        finally:
            os.close(lock)
        self._begun.append(child)
        return True

    def is_running(self, directory: Path) -> bool:
        """Return whether a command runs there, whoever began it."""
        self._begun = [child for child in self._begun if child.poll() is None]
        if not (directory / LOCK_FILE).exists():
            return False
        lock = _locked(directory)
        if lock is None:
            return True
        os.close(lock)
        return False


def last_words(directory: Path) -> str:
    """Return the last that a child has said, in one line."""
    try:
        with (directory / LOG_FILE).open("rb") as log:
            log.seek(max(0, os.fstat(log.fileno()).st_size - LOG_READ))
            lines = log.read().decode(errors="replace").splitlines()
    except OSError:
        return "nothing was said"
    said = [line.strip() for line in lines if line.strip() and not line.startswith("$ ")]
    errors = [line for line in said if line.startswith("error: ")]
    return (errors[-1].removeprefix("error: ") if errors else " ".join(said[-LAST_LINES:])) or "nothing was said"


def _locked(directory: Path) -> int | None:
    """Return the open lock of a directory; None: another holds it."""
    lock = os.open(directory / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    return lock
