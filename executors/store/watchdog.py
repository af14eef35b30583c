"""Cutting a connection whose server neither answers nor goes away: it would be waited for without end.

A server that has vanished is noticed by the network, and one that is slow ends its statements by itself.  One that is
frozen, with its disk or its virtual machine, does neither.
"""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

LOOK_S: Final = 0.5


class Watchdog:
    """Looks after one connection from a thread of its own, which ends with :meth:`close`."""

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._watched: tuple[int, float] | None = None
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._look, name="store-watchdog", daemon=True)
        self._thread.start()

    @contextmanager
    def watching(self, descriptor: int) -> Iterator[None]:
        """Cut the connection with this file descriptor if the block takes longer than the limit."""
        with self._lock:
            self._watched = descriptor, time.monotonic() + self._limit_s
        try:
            yield
        finally:
            with self._lock:
                self._watched = None

    def _look(self) -> None:
        while not self._closed.wait(min(LOOK_S, self._limit_s)):
            with self._lock:
                if self._watched is not None and time.monotonic() >= self._watched[1]:
                    descriptor, self._watched = self._watched[0], None
                    _cut(descriptor)

    def close(self) -> None:
        """End the thread."""
        self._closed.set()
        self._thread.join()


def _cut(descriptor: int) -> None:
    """End a connection for both sides; its descriptor stays its owner's to close."""
    with suppress(OSError), socket.socket(fileno=descriptor) as connection:
        try:
            connection.shutdown(socket.SHUT_RDWR)
        finally:
            connection.detach()
