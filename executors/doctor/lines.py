"""Processes that are asked in lines of JSON: one on a host, where a command leads, or the one that speaks to Ray."""

import json
import os
import select
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from slacktide.errors import ExecutionError

START_S: Final = 120.0
"""How long the first answer may take: a connection, and the start of Python on a busy machine."""
ANSWER_S: Final = 60.0
END_S: Final = 10.0
WORDS_SHOWN: Final = 300


class Line:
    """A process that answers."""

    def __init__(self, subject: str, command: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        self._subject = subject
        try:
            self._process = subprocess.Popen(
                [*command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=None if environment is None else dict(environment),
                start_new_session=True,
            )
        except OSError as error:
            fact = f"{command[0]} cannot be run: {error.strerror}"
            raise ExecutionError(subject, fact, "Correct the command") from error
        assert self._process.stdout is not None
        os.set_blocking(self._process.stdout.fileno(), False)
        self._left = b""
        self._limit_s = START_S

    def ask(self, what: str, on: str | None = None, limit_s: float | None = None, **how: Any) -> Any:  # noqa: ANN401
        """Return the answer to a question.

        Raises
        ------
        ExecutionError
            If there is none, with what the process said.
        """
        question = {"ask": what, "on": on, "with": how}
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(question).encode() + b"\n")
            self._process.stdin.flush()
        except OSError as error:
            raise self._silent("has ended") from error
        heard = json.loads(self._heard(limit_s or self._limit_s))
        self._limit_s = ANSWER_S
        if "wrong" in heard:
            raise ExecutionError(self._subject, heard["wrong"], "Mend that, and look again")
        return heard["said"]

    def close(self) -> None:
        """End the process, which ends once its questions do."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.close()
            self._process.wait(END_S)
        except (OSError, subprocess.TimeoutExpired):
            pass  # it is killed
        self._killed()

    def _killed(self) -> bytes:
        """End the process with those that it began, and return what it has said beside its answers."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(END_S)
        said = b""
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            assert pipe is not None
            if pipe is self._process.stderr and not pipe.closed:
                said = pipe.read()
            with suppress(OSError):
                pipe.close()
        return said

    def _heard(self, limit_s: float) -> bytes:
        """Return the next line that is an answer; whatever else the way there prints is passed over."""
        assert self._process.stdout is not None
        until_s = time.monotonic() + limit_s
        while True:
            line, found, rest = self._left.partition(b"\n")
            if found:
                self._left = rest
                if line.startswith((b'{"said"', b'{"wrong"')):
                    return line
                continue
            if not select.select([self._process.stdout], [], [], max(0.0, until_s - time.monotonic()))[0]:
                raise self._silent(f"does not answer within {limit_s:.0f} s")
            piece = os.read(self._process.stdout.fileno(), 65_536)
            if not piece:
                raise self._silent("has ended")
            self._left += piece

    def _silent(self, fact: str) -> ExecutionError:
        words = " ".join(self._killed().decode(errors="replace").split())
        said = f"; it said: {words[-WORDS_SHOWN:]}" if words else ""
        return ExecutionError(self._subject, f"{fact}{said}", "Try the same by hand, and mend what it says")


def line_to(host: str, command: str) -> Line:
    """Return a process on a host, to which a command leads: ``ssh {host} /opt/slacktide/bin/python``."""
    words = [word.replace("{host}", host) for word in shlex.split(command)]
    return Line(host, [*words, "-m", "slacktide.executors.doctor.on_host"])


def line_to_ray(address: str) -> Line:
    """Return the process that speaks to a cluster: Ray ends it where the cluster cannot be reached."""
    environment = {**os.environ, "RAY_ADDRESS": address, "RAY_gcs_server_request_timeout_seconds": "10"}
    return Line("Ray", [sys.executable, "-m", "slacktide.executors.doctor.ray_nodes"], environment)
