"""Commands that are asked something: bounded in time, and in what is kept of what they print."""

import errno
import os
import selectors
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import IO, Final, NamedTuple

TAIL_BYTES: Final = 65_536
"""End of an output that is kept.  It is as much as a pipe holds, so all that a command left in one when it ended."""
MADE_TO_END_S: Final = 5.0
"""How long a killed command is waited for: one that hangs in the kernel, as on a file server that is away, stays."""


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    """End of its standard output."""
    err: str
    """End of its standard error."""


def asked(words: Sequence[str], more: Mapping[str, str], limit_s: float) -> Ended | str:
    """Return how a command ended, or in words why it did not.

    It runs in a session of its own, with ``more`` beside this process's environment, and is killed after ``limit_s``.
    Its end is waited for, and not that of what it left in the background, which may hold its output open.
    """
    if shutil.which(words[0]) is None:
        return f"there is no program {words[0]} where the agent runs"
    try:
        running = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=os.environ | more,
            start_new_session=True,
        )
    except OSError as error:
        remedy = ". Has it a first line such as #!/bin/sh?" if error.errno == errno.ENOEXEC else ""
        return f"{words[0]} cannot be started: {error.strerror or error}{remedy}"
    except ValueError as error:  # such as a NUL among its words
        return f"{words[0]} cannot be started: {error}"
    assert running.stdout is not None
    assert running.stderr is not None
    with running.stdout, running.stderr:
        tails = {stream: bytearray() for stream in (running.stdout, running.stderr)}
        try:
            has_ended = _has_ended(running, tails, time.monotonic() + limit_s)
        finally:
            code = running.poll()
            if code is None:
                _kill(running)
    if code is None or not has_ended:
        return f"it did not end within {limit_s:g} s"
    return Ended(code, *(bytes(tail).decode("utf-8", errors="replace") for tail in tails.values()))


def _kill(running: "subprocess.Popen[bytes]") -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(running.pid, signal.SIGKILL)
    with suppress(subprocess.TimeoutExpired):
        running.wait(MADE_TO_END_S)


def _has_ended(running: "subprocess.Popen[bytes]", tails: Mapping[IO[bytes], bytearray], until_s: float) -> bool:
    """Return whether a command ends in its time, and keep the ends of what it prints meanwhile."""
    process = os.pidfd_open(running.pid)
    try:
        with selectors.DefaultSelector() as ready:
            ready.register(process, selectors.EVENT_READ)
            for stream in tails:
                os.set_blocking(stream.fileno(), False)
                ready.register(stream, selectors.EVENT_READ)
            while (left_s := until_s - time.monotonic()) > 0:
                found = [key.fileobj for key, _ in ready.select(left_s)]
                for stream, tail in tails.items():
                    if stream in found and not _keep(stream, tail):
                        ready.unregister(stream)
                if process in found:
                    for stream, tail in tails.items():
                        _keep(stream, tail)
                    return True
        return False
    finally:
        os.close(process)


def _keep(stream: IO[bytes], tail: bytearray) -> bool:
    """Keep the end of what there is to read now; return whether more may come."""
    try:
        read = os.read(stream.fileno(), TAIL_BYTES)
    except BlockingIOError:
        return True
    tail += read
    del tail[:-TAIL_BYTES]
    return bool(read)
