"""Questions to the kernel that nobody waits for longer than a limit.

Netlink knows none: where others hold what the kernel locks its network devices with, a request waits within the call
that sends it, whatever timeout its socket has, and nothing but the kernel ends that.  So each place is asked from a
thread of its own, one thing after another, and it is whoever asks that stops waiting.
"""

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Final, TypeVar

from slacktide.errors import DriverError

_REMEDY: Final = "See which processes hang in the kernel, in state D: one of them keeps its network devices locked"
T = TypeVar("T")


class Asking:
    """One place and the thread that asks it, which holds no process back from ending."""

    def __init__(self, subject: str, within_s: float) -> None:
        """``subject``: what is asked, in words; ``within_s``: how long an answer may take."""
        self._subject, self._within_s = subject, within_s
        self._questions: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = queue.SimpleQueue()
        self._late: Future[Any] | None = None
        """What was last waited for in vain, and has perhaps ended since."""
        self._lock = threading.Lock()
        self._closed = False
        self._thread: threading.Thread | None = None

    def ask(self, question: Callable[[], T], *, late: bool = False) -> T:
        """Return the answer to a question.

        While one of before is not answered, nobody waits for another.  ``late``: it is asked all the same, after what
        was asked before; others are dropped where they have not begun in time.

        Raises
        ------
        DriverError
            If there is no answer in time; it may come, and have its effect, later.
        RuntimeError
            If it was closed.
        """
        stuck = self._stuck
        answer: Future[T] = Future()
        if late or not stuck:
            self._put((answer, question))
        try:
            return answer.result(0 if stuck else self._within_s)
        except TimeoutError:
            if answer.done():  # its own error, or it came at the last moment
                return answer.result()
        if (late or not answer.cancel()) and not stuck:
            self._late = answer
        raise DriverError(self._subject, f"has not answered for {self._within_s:g} s", _REMEDY, retryable=True)

    @property
    def _stuck(self) -> bool:
        return self._late is not None and not self._late.done()

    def _put(self, question: tuple[Future[Any], Callable[[], Any]]) -> None:
        with self._lock:
            if self._closed:
                raise RuntimeError("it was closed")
            if self._thread is None:
                self._thread = threading.Thread(target=self._answer, name=self._subject, daemon=True)
                self._thread.start()
            self._questions.put(question)

    def _answer(self) -> None:
        while (asked := self._questions.get()) is not None:
            answer, question = asked
            if not answer.set_running_or_notify_cancel():
                continue
            try:
                answer.set_result(question())
            except BaseException as error:  # whoever asks is told
                answer.set_exception(error)

    def close(self) -> None:
        """Ask no more once all is answered; that is waited for no longer than for an answer."""
        with self._lock:
            self._closed = True
            self._questions.put(None)
        if self._thread is not None:
            self._thread.join(0 if self._stuck else self._within_s)
