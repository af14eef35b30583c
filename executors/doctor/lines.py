"""Processes that are asked in lines of JSON: one on a host, where a command leads, or the one that speaks to Ray."""

import json
import os
import select
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from typing import Any, Final

from slacktide.errors import ExecutionError, UsageError

START_S: Final = 120.0
"""How long the first answer may take: a connection, and the start of Python on a busy machine."""
ANSWER_S: Final = 75.0
OTHERS_SHARE: Final = 0.8
"""Of that time, what one who asks others waits for them: that they hang is then an answer, and no silence."""
END_S: Final = 10.0
WORDS_SHOWN: Final = 300
WORDS_BYTES: Final = 2**16
LONGEST_LINE: Final = 64 * 2**20
"""Bytes of a line: what 10,000 nodes of Ray are takes some 5 MiB, and one without an end may not fill the memory."""
_ANSWERS: Final = (b'{"said"', b'{"wrong"')
_BY_HAND: Final = "Try the same by hand, and mend what it says"


class Line:
    """A process that answers."""

    def __init__(self, subject: str, command: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        self._subject = subject
        with ExitStack() as kept_open:
            try:
                # A file: a pipe that nobody reads fills up, and one that another process holds does not end.
                self._words = kept_open.enter_context(tempfile.TemporaryFile())
                self._process = subprocess.Popen(
                    [*command],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=self._words,
                    env=None if environment is None else dict(environment),
                    start_new_session=True,
                )
            except OSError as error:
                fact = f"{command[0]} cannot be run: {error.strerror}"
                raise ExecutionError(subject, fact, "Correct the command") from error
            kept_open.pop_all()
        assert self._process.stdout is not None
        os.set_blocking(self._process.stdout.fileno(), False)
        self._answers: deque[bytes] = deque()
        self._begun = bytearray()
        """A line that has not ended yet."""
        self._limit_s = START_S
        self._over = ""
        """Why it answers no more; empty: it does."""

    def ask(self, what: str, on: str | None = None, limit_s: float | None = None, **how: Any) -> Any:  # noqa: ANN401
        """Return the answer to a question.

        Raises
        ------
        ExecutionError
            If there is none, with what the process said.
        """
        if self._over:
            raise ExecutionError(self._subject, self._over, _BY_HAND)
        within_s = limit_s or self._limit_s
        question = {"ask": what, "on": on, "with": how, "within_s": OTHERS_SHARE * within_s}
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(question).encode() + b"\n")
            self._process.stdin.flush()
        except OSError as error:
            raise self._silent("has ended") from error
        heard = self._heard(within_s)
        self._limit_s = ANSWER_S
        if "wrong" in heard:
            raise ExecutionError(self._subject, heard["wrong"], "Mend that, and look again")
        return heard["said"]

    def close(self) -> None:
        """End the process, which ends once its questions do."""
        if self._over:
            return
        self._over = "is asked no more"
        assert self._process.stdin is not None
        with suppress(OSError, subprocess.TimeoutExpired):  # it is killed
            self._process.stdin.close()
            self._process.wait(END_S)
        self._killed()

    def _killed(self) -> bytes:
        """End the process with those that it began, and return the end of what it has said beside its answers."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(END_S)
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with suppress(OSError):
                pipe.close()
        with self._words as words:
            size = os.fstat(words.fileno()).st_size
            return os.pread(words.fileno(), WORDS_BYTES, max(0, size - WORDS_BYTES))

    def _heard(self, limit_s: float) -> dict[str, Any]:
        """Return the next answer; whatever else the way there prints is passed over."""
        assert self._process.stdout is not None
        until_s = time.monotonic() + limit_s
        while not self._answers:
            left_s = until_s - time.monotonic()
            if left_s <= 0 or not select.select([self._process.stdout], [], [], left_s)[0]:
                raise self._silent(f"does not answer within {limit_s:.0f} s")
            piece = os.read(self._process.stdout.fileno(), 65_536)
            if not piece:
                raise self._silent("has ended")
            self._take(piece)
        try:
            answer: dict[str, Any] = json.loads(self._answers.popleft())
        except ValueError as error:
            raise self._silent(f"answers with what is no JSON ({error})") from error
        return answer

    def _take(self, piece: bytes) -> None:
        """Keep answers among the lines that have ended with this piece."""
        first, *others = piece.split(b"\n")
        self._begun += first
        for line in others:
            if self._begun.startswith(_ANSWERS):
                self._answers.append(bytes(self._begun))
            self._begun = bytearray(line)
        if len(self._begun) > LONGEST_LINE:
            raise self._silent("prints a line without an end")

    def _silent(self, fact: str) -> ExecutionError:
        words = " ".join(self._killed().decode(errors="replace").split())
        self._over = f"{fact}; it said: {words[-WORDS_SHOWN:]}" if words else fact
        return ExecutionError(self._subject, self._over, _BY_HAND)


def line_to(host: str, command: str) -> Line:
    """Return a process on a host, to which a command leads: ``ssh {host} /opt/slacktide/bin/python``.

    Raises
    ------
    UsageError
        If the command is none.
    ExecutionError
        If it cannot be run.
    """
    words = [word.replace("{host}", host) for word in words_of(command)]
    return Line(host, [*words, "-m", "slacktide.executors.doctor.on_host"])


def words_of(command: str) -> list[str]:
    """Return the words of a command that leads to hosts, as a shell takes them apart.

    Raises
    ------
    UsageError
        If it has none, or a quotation in it does not end.
    """
    remedy = "Write it as in --by 'ssh {host} /opt/slacktide/bin/python'"
    try:
        words = shlex.split(command)
    except ValueError as error:
        fact = f"cannot be taken apart into words: {str(error).lower()}"
        raise UsageError(f"the command {command!r}", fact, remedy) from error
    if not words:
        raise UsageError(f"the command {command!r}", "has no words", remedy)
    return words


def line_to_ray(address: str) -> Line:
    """Return the process that speaks to a cluster: Ray ends it where the cluster cannot be reached."""
    environment = {**os.environ, "RAY_ADDRESS": address, "RAY_gcs_server_request_timeout_seconds": "10"}
    return Line("Ray", [sys.executable, "-m", "slacktide.executors.doctor.ray_nodes"], environment)
