"""Streams over real sockets, to an echo service that loses, repeats and holds back on purpose."""

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from slacktide.errors import ExecutionError
from slacktide.lab.streams import MESSAGE_BYTES, TcpStream, UdpStream

pytestmark = pytest.mark.integration
PATIENCE_S = 10.0
SILENCE_S = 0.25
FAR = 100
"""A number that streams of these tests come to, and by which something is to have happened."""


@contextmanager
def serving(kind: socket.SocketKind, serve: Callable[[socket.socket], None]) -> Iterator[int]:
    """Have a thread serve a socket on loopback until it is shut; give its port."""
    with socket.socket(socket.AF_INET, kind) as here:
        here.bind(("127.0.0.1", 0))
        here.settimeout(PATIENCE_S)
        if kind == socket.SOCK_STREAM:
            here.listen()
        thread = threading.Thread(target=serve, args=(here,))
        thread.start()
        yield here.getsockname()[1]
        if kind == socket.SOCK_DGRAM:
            with socket.socket(socket.AF_INET, kind) as ending:
                ending.sendto(b"", here.getsockname())
        thread.join()


def number_of(message: bytes) -> int:
    return struct.unpack_from("!Q", message)[0]


def reached(stream: UdpStream | TcpStream, number: int) -> None:
    """Wait until a stream has sent so many messages."""
    until_s = time.monotonic() + PATIENCE_S
    while stream.sent <= number:
        assert time.monotonic() < until_s, "the stream does not get on"
        time.sleep(0.01)


def faulty_echo(here: socket.socket) -> None:
    held = b""
    while message := (received := here.recvfrom(2048))[0]:
        sender, number = received[1], number_of(message)
        if number == FAR:
            time.sleep(SILENCE_S)
        if number % 10 == 3:
            continue
        if number == 15:
            held = message
            continue
        for _ in range(2 if number % 10 == 7 else 1):
            here.sendto(message, sender)
        if number == 16:
            here.sendto(held, sender)
            here.sendto(b"noise", sender)


def test_datagrams_that_are_lost_repeated_or_overtaken_are_counted() -> None:
    with serving(socket.SOCK_DGRAM, faulty_echo) as port:
        began_s = time.time()
        with UdpStream(None, "127.0.0.1", port) as stream:
            reached(stream, 2 * FAR)
            found = stream.stop(grace_s=0.5)
        ended_s = time.time()
    numbers = range(found.sent)
    assert found.lost == sum(number % 10 == 3 for number in numbers)
    assert found.returned == found.sent - found.lost
    assert found.duplicated == sum(number % 10 == 7 for number in numbers)
    assert found.reordered == 1
    assert found.gap is not None
    assert SILENCE_S * 1e3 <= found.gap.gap_ms <= (ended_s - began_s) * 1e3
    assert began_s <= found.gap.from_s <= ended_s - SILENCE_S
    assert found.broken is None


def test_one_that_nobody_answers_has_lost_everything() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        with UdpStream(None, "127.0.0.1", silent.getsockname()[1], messages_s=5000) as stream:
            reached(stream, FAR)
            found = stream.stop(grace_s=0.0)
    assert (found.returned, found.lost, found.gap) == (0, found.sent, None)


def slow_echo(here: socket.socket) -> None:
    """Echo in pieces that are no whole messages, with one silence, until the caller hangs up."""
    caller, _ = here.accept()
    heard = 0
    with caller:
        while piece := caller.recv(MESSAGE_BYTES * 2 - 10):
            before, heard = heard, heard + len(piece)
            if before < FAR * MESSAGE_BYTES <= heard:
                time.sleep(SILENCE_S)
            caller.sendall(piece)


def test_a_connection_loses_nothing_and_its_silence_is_seen() -> None:
    with serving(socket.SOCK_STREAM, slow_echo) as port, TcpStream(None, "127.0.0.1", port) as stream:
        reached(stream, 2 * FAR)
        found = stream.stop()
    assert (found.returned, found.lost, found.duplicated, found.reordered) == (found.sent, 0, 0, 0)
    assert found.broken is None
    assert found.gap is not None
    assert found.gap.gap_ms >= SILENCE_S * 1e3 / 2


def rude_echo(here: socket.socket) -> None:
    """Echo until a message is far enough, then hang up without having heard all: a reset."""
    caller, _ = here.accept()
    with caller:
        while number_of(message := caller.recv(MESSAGE_BYTES, socket.MSG_WAITALL)) < FAR:
            caller.sendall(message)
        caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def test_a_connection_that_is_reset_says_so() -> None:
    with serving(socket.SOCK_STREAM, rude_echo) as port, TcpStream(None, "127.0.0.1", port) as stream:
        until_s = time.monotonic() + PATIENCE_S
        while stream.broken is None:
            assert time.monotonic() < until_s, "the stream goes on"
            time.sleep(0.01)
        found = stream.stop()
    assert found.broken == stream.broken
    assert found.returned <= FAR <= found.sent
    assert found.lost > 0


def test_a_connection_that_nobody_takes_is_an_error() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as unheard:
        unheard.bind(("127.0.0.1", 0))
        with pytest.raises(ExecutionError, match="takes no connection at TCP port"):
            TcpStream(None, "127.0.0.1", unheard.getsockname()[1])
