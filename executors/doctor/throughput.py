"""What a link carries: bytes sent over plain TCP from host to host for some seconds, and counted where they come.

It says what migrations could have, and takes that from all others meanwhile: only who asked for it measures.
"""

import contextlib
import secrets
import socket
import threading
import time
from typing import Final, NamedTuple

STREAMS: Final = 4
"""Connections at once: what one carries is limited by its window and by one processor."""
PIECE: Final = 2**20
CONNECT_S: Final = 5.0
LONGEST_S: Final = 30.0
"""Whatever is asked, nobody sends or listens for longer."""
WARM_SHARE: Final = 0.2
"""Of the time, left out at the beginning: connections find their pace."""
MARK_BYTES: Final = 16


class Received(NamedTuple):
    """What came, and within how long."""

    bytes: int
    seconds: float

    @property
    def mbit_s(self) -> float:
        """The rate."""
        return self.bytes * 8 / 1e6 / self.seconds if self.seconds else 0.0


class Sink:
    """Takes bytes at an address from whoever knows the mark, for one measurement."""

    def __init__(self, address: str, seconds: float) -> None:
        self._seconds = min(seconds, LONGEST_S)
        self._listening = socket.create_server((address, 0), backlog=STREAMS)
        self._listening.settimeout(CONNECT_S + self._seconds)
        self.mark = secrets.token_hex(MARK_BYTES)
        self._counts: list[tuple[float, int]] = []
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._take, daemon=True) for _ in range(STREAMS)]
        for thread in self._threads:
            thread.start()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._listening.getsockname()[1])

    def received(self) -> Received:
        """Return what came once all senders have ended, without the beginning."""
        for thread in self._threads:
            thread.join(2 * CONNECT_S + 2 * self._seconds)
        self._listening.close()
        if not self._counts:
            return Received(0, 0.0)
        moments = [moment for moment, _ in self._counts]
        first, last = min(moments), max(moments)
        from_s = first + WARM_SHARE * (last - first)
        return Received(sum(count for moment, count in self._counts if moment > from_s), last - from_s)

    def _take(self) -> None:
        buffer = bytearray(PIECE)
        with contextlib.suppress(OSError):
            connection, _ = self._listening.accept()
            with connection:
                connection.settimeout(CONNECT_S + self._seconds)
                if connection.recv(2 * MARK_BYTES, socket.MSG_WAITALL) != self.mark.encode():
                    return
                while count := connection.recv_into(buffer):
                    with self._lock:
                        self._counts.append((time.monotonic(), count))


def send(address: str, port: int, mark: str, seconds: float) -> None:
    """Send as fast as it goes, for ``seconds``.

    Raises
    ------
    OSError
        If nobody takes it.
    """
    seconds = min(seconds, LONGEST_S)
    with contextlib.ExitStack() as open_connections:
        wires = [
            open_connections.enter_context(socket.create_connection((address, port), CONNECT_S)) for _ in range(STREAMS)
        ]
        threads = [threading.Thread(target=_send, args=(wire, mark, seconds), daemon=True) for wire in wires]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def _send(wire: socket.socket, mark: str, seconds: float) -> None:
    piece, until_s = bytes(PIECE), time.monotonic() + seconds
    with contextlib.suppress(OSError):
        wire.sendall(mark.encode())
        while time.monotonic() < until_s:
            wire.send(piece)
        wire.shutdown(socket.SHUT_WR)
