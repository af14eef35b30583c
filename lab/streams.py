"""Streams to guests that answer with what they are sent: what those who use a guest see while it migrates.

A stream sends numbered messages at a steady rate to an echo service (RFC 862) and notes when each comes back.
"""

import socket
import struct
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Final, NamedTuple, Self

import numpy as np

from slacktide.errors import ExecutionError, UsageError
from slacktide.executors.probes.heartbeats import RECEIVE_BYTES, TIMESTAMP, Gap, arrived_s, longest_gap
from slacktide.executors.probes.namespaces import socket_in

PORT: Final = 7
MESSAGES_S: Final = 1000.0
"""Messages sent in a second: a silence is seen to the millisecond, and a busy core of Python has time for several."""
MESSAGE_BYTES: Final = 64
GRACE_S: Final = 2.0
"""How long messages may still come back after the last was sent; one that is later counts as lost."""
CONNECT_S: Final = 10.0
LOOK_S: Final = 0.1
"""How often threads that wait for the network look whether they are to end."""
_NUMBER: Final = struct.Struct("!q")
"""What a message begins with."""


class Streamed(NamedTuple):
    """What became of a stream."""

    sent: int
    returned: int
    """Messages that came back."""
    lost: int
    """Messages that did not, or not in time."""
    duplicated: int
    """Arrivals of messages that had come back before."""
    reordered: int
    """Messages that came back after one with a higher number had (RFC 4737)."""
    gap: Gap | None
    """The longest silence between two arrivals, and the median, short where they come in bunches; null: fewer than two.

    What never comes back leaves no silence at the end: see ``lost``."""
    broken: str | None = None
    """What ended a connection before its time, in words; null: nothing did."""


def evaluated(sent: int, numbers: Sequence[int], times_s: Sequence[float], broken: str | None = None) -> Streamed:
    """Return what became of messages 0 to ``sent`` of which ``numbers`` arrived, in this order, at ``times_s``.

    Numbers that were not sent are somebody else's, and do not count.
    """
    arrived = np.asarray(numbers, dtype=np.int64)
    ours = (arrived >= 0) & (arrived < sent)
    arrived, times = arrived[ours], np.asarray(times_s, dtype=np.float64)[ours]
    _, first_at = np.unique(arrived, return_index=True)
    firsts = arrived[np.sort(first_at)]
    reordered = int(np.count_nonzero(firsts < np.maximum.accumulate(firsts)))
    return Streamed(
        sent=sent,
        returned=len(firsts),
        lost=sent - len(firsts),
        duplicated=len(arrived) - len(firsts),
        reordered=reordered,
        gap=longest_gap(times),
        broken=broken,
    )


class _Stream:
    """Sends from one thread, on a schedule that does not drift and is caught up with, and receives in another."""

    def __init__(
        self,
        namespace: str | None,
        address: str,
        port: int = PORT,
        *,
        messages_s: float = MESSAGES_S,
        message_bytes: int = MESSAGE_BYTES,
    ) -> None:
        """Begin to send ``messages_s`` messages a second, from a network namespace of this machine if one is named.

        Raises
        ------
        OSError
            If the namespace cannot be entered.
        UsageError
            If there is nothing to be sent, or too little for a number.
        ExecutionError
            If nobody takes the connection that is asked for.
        """
        if message_bytes < _NUMBER.size or messages_s <= 0:
            fact = f"cannot have {messages_s:g} messages a second of {message_bytes} bytes"
            raise UsageError("a stream", fact, f"Send some, of {_NUMBER.size} bytes or more")
        self._to = (address, port)
        self._messages_s, self._bytes = messages_s, message_bytes
        self.sent = 0
        """Messages sent so far."""
        self.broken: str | None = None
        """What has ended a connection, in words; None: nothing has."""
        self._numbers: list[int] = []
        self._times_s: list[float] = []
        self._returned: set[int] = set()
        self._enough, self._closed = threading.Event(), threading.Event()
        self._socket = self._opened(namespace)
        self._socket.settimeout(LOOK_S)
        self._socket.setsockopt(socket.SOL_SOCKET, TIMESTAMP, 1)
        parts = (self._send_all, self._receive_all)
        self._threads = [threading.Thread(target=part, name="stream", daemon=True) for part in parts]
        for thread in self._threads:
            thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def stop(self, grace_s: float = GRACE_S) -> Streamed:
        """Send no more, wait up to ``grace_s`` seconds for what is to come back, and return what became of all."""
        self._enough.set()
        self._threads[0].join()
        until_s = time.monotonic() + grace_s
        while self.broken is None and len(self._returned) < self.sent and time.monotonic() < until_s:
            self._closed.wait(LOOK_S)
        self.close()
        return evaluated(self.sent, self._numbers, self._times_s, self.broken)

    def close(self) -> None:
        """Send and receive no more."""
        self._enough.set()
        self._closed.set()
        for thread in self._threads:
            thread.join()
        self._socket.close()

    def _send_all(self) -> None:
        begun_s = time.monotonic()
        while not self._enough.wait(max(0.0, begun_s + self.sent / self._messages_s - time.monotonic())):
            if self._send(_NUMBER.pack(self.sent).ljust(self._bytes, b".")):
                self.sent += 1

    def _receive_all(self) -> None:
        while not self._closed.is_set() and self.broken is None:
            self._receive()

    def _note(self, message: bytes, at_s: float) -> None:
        (number,) = _NUMBER.unpack_from(message)
        self._numbers.append(number)
        self._times_s.append(at_s)
        self._returned.add(number)

    def _opened(self, namespace: str | None) -> socket.socket:
        raise NotImplementedError

    def _send(self, message: bytes) -> bool:
        """Send a message; return whether it counts as sent."""
        raise NotImplementedError

    def _receive(self) -> None:
        """Take what comes within a short time."""
        raise NotImplementedError


class UdpStream(_Stream):
    """A stream of datagrams; one that this machine does not take from us is sent, and lost."""

    def _opened(self, namespace: str | None) -> socket.socket:
        made = _socket_in(namespace, socket.SOCK_DGRAM)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
        return made

    def _send(self, message: bytes) -> bool:
        with suppress(OSError):
            self._socket.sendto(message, self._to)
        return True

    def _receive(self) -> None:
        try:
            message, ancillary, _, sender = self._socket.recvmsg(self._bytes + 1, 64)
        except TimeoutError:
            return
        if sender == self._to and len(message) == self._bytes:
            self._note(message, arrived_s(ancillary))


class TcpStream(_Stream):
    """A stream of messages over one connection, each sent at once; an arrival is that of a message's last byte.

    What is lost of it was on its way when the time was over, or when the connection broke.
    """

    def _opened(self, namespace: str | None) -> socket.socket:
        self._begun = b""
        made = _socket_in(namespace, socket.SOCK_STREAM)
        made.settimeout(CONNECT_S)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            made.connect(self._to)
        except OSError as error:
            made.close()
            address, port = self._to
            fact = f"takes no connection at TCP port {port}: {error}"
            raise ExecutionError(f"guest at {address}", fact, "See whether it runs; those of Linux do") from error
        return made

    def _send(self, message: bytes) -> bool:
        rest = memoryview(message)
        while rest and not self._closed.is_set():
            try:
                rest = rest[self._socket.send(rest) :]
            except OSError as error:
                if self._ended_by(error) or self._enough.is_set():
                    break
        return not rest

    def _receive(self) -> None:
        try:
            heard, ancillary, _, _ = self._socket.recvmsg(self._bytes - len(self._begun), 64)
        except OSError as error:
            self._ended_by(error)
            return
        if not heard:
            self._break("Closed by the guest")
        self._begun += heard
        if len(self._begun) == self._bytes:
            self._note(self._begun, arrived_s(ancillary))
            self._begun = b""

    def _ended_by(self, error: OSError) -> bool:
        """Return whether the connection is no more; what has no number says only that nothing could be done for now."""
        if error.errno is not None:
            self._break(error.strerror or str(error))
        return error.errno is not None

    def _break(self, words: str) -> None:
        self.broken = self.broken or words
        self._enough.set()


def _socket_in(namespace: str | None, kind: socket.SocketKind) -> socket.socket:
    def make() -> socket.socket:
        return socket.socket(socket.AF_INET, kind)

    return make() if namespace is None else socket_in(namespace, make)
