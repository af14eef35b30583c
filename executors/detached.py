"""Commands that go on when whoever began them ends, and of which it is known afterwards whether they still run.

A command holds the lock of its directory for as long as it runs: the lock's open file is handed to it.  So whether it
does is asked of the kernel, and neither a number that was given to another process nor a moment between two writes can
deceive.  It is nobody's child: Ray ends those of its workers.
"""

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from slacktide.errors import OutputError

LOCK_FILE: Final = "lock"
"""Holds the number of the process, for people."""
LOG_FILE: Final = "said.log"
LAST_LINES: Final = 3
"""Of what a command has said, to be told where it has failed."""
LOG_READ: Final = 4096
_DETACHED: Final = """
import os, sys
if os.fork():
    os._exit(0)
os.setsid()
lock = int(sys.argv[1])
os.ftruncate(lock, 0)
os.pwrite(lock, f"{os.getpid()}\\n".encode(), 0)
os.execv(sys.argv[2], sys.argv[3:])
"""


def begin(
    directory: Path, command: Sequence[str], environment: Mapping[str, str], working_folder: Path | None = None
) -> bool:
    """Begin a command in a session of its own, and return whether it was: not if another runs in that directory.

    What it says goes to the end of the directory's log, behind the command itself.

    Raises
    ------
    OutputError
        If its log cannot be written, or it cannot be begun.
    """
    lock = locked(directory / LOCK_FILE)
    if lock is None:
        return False
    try:
        program = shutil.which(command[0], path=environment.get("PATH"))
        if program is None:
            remedy = "See that the program is there and may be run"
            raise OutputError(command[0], "cannot be begun: no such program", remedy)
        with (directory / LOG_FILE).open("ab") as log:
            log.write(f"$ {' '.join(command)}\n".encode())
            log.flush()
            subprocess.run(
                [sys.executable, "-I", "-S", "-c", _DETACHED, str(lock), program, *command],
                check=True,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=dict(environment),
                cwd=working_folder,
                pass_fds=(lock,),
            )
    except (OSError, subprocess.CalledProcessError) as error:
        fact = f"cannot be begun in {directory}: {error}"
        raise OutputError(command[0], fact, "See that there is space, and the machine's limits") from error
    finally:
        os.close(lock)
    return True


def is_running(directory: Path) -> bool:
    """Return whether a command runs there, whoever began it."""
    if not (directory / LOCK_FILE).exists():
        return False
    lock = locked(directory / LOCK_FILE)
    if lock is None:
        return True
    os.close(lock)
    return False


def last_words(directory: Path) -> str:
    """Return the last that a command has said, in one line."""
    try:
        with (directory / LOG_FILE).open("rb") as log:
            log.seek(max(0, os.fstat(log.fileno()).st_size - LOG_READ))
            lines = log.read().decode(errors="replace").splitlines()
    except OSError:
        return "nothing was said"
    said = [line.strip() for line in lines if line.strip() and not line.startswith("$ ")]
    errors = [line for line in said if line.startswith("error: ")]
    return (errors[-1].removeprefix("error: ") if errors else " ".join(said[-LAST_LINES:])) or "nothing was said"


def locked(path: Path) -> int | None:
    """Return a file of locks, open and locked; None: another holds it.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    try:
        lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        fact = f"cannot be written: {error.strerror or error}"
        raise OutputError(str(path.parent), fact, "Free some space, or see to its permissions") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    return lock
