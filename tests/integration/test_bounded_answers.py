"""Servers that answer without end, too slowly or oddly: a real socket each."""

import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from socket import socket

import pytest

from slacktide.executors.health import watching
from slacktide.executors.health.settings import PrometheusCheck
from slacktide.executors.health.watching import NOBODY, looked
from slacktide.executors.maintenance import answers
from slacktide.executors.maintenance.action import HttpCheck, TcpCheck
from slacktide.executors.maintenance.answers import Answer, answer_to
from slacktide.executors.maintenance.verifying import looked as checked

pytestmark = pytest.mark.integration
HEAD = b"HTTP/1.1 200 OK\r\n"


@contextmanager
def server(answer: Callable[[socket, threading.Event], None]) -> Iterator[str]:
    """Have a server that sends what a test does, until the end of a block."""
    ends = threading.Event()

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(65_536)
            with suppress(OSError):
                answer(self.request, ends)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as listening:
        thread = threading.Thread(target=listening.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listening.server_address[1]}"
        ends.set()
        listening.shutdown()
        thread.join()


def drips(start: bytes) -> Callable[[socket, threading.Event], None]:
    def answer(to: socket, ends: threading.Event) -> None:
        to.sendall(start)
        while not ends.wait(0.05):
            to.sendall(b"x")

    return answer


@pytest.mark.parametrize("start", [HEAD + b"\r\n", HEAD + b"Content-Length: 100000\r\n\r\n", HEAD + b"X-Slow: ", b""])
def test_an_answer_that_drips_has_its_time_as_a_whole(start: bytes) -> None:
    with server(drips(start)) as url:
        assert answer_to(url, {}, 0.5) == "there is no answer within 0.5 s"
        check = HttpCheck(kind="http", url=url, answer_within_s=0.5)
        assert checked(check, NOBODY, {}) == "there is no answer within 0.5 s"


def test_an_answer_without_end_is_cut(monkeypatch) -> None:
    monkeypatch.setattr(answers, "ANSWER_BYTES", 100_000)

    def flood(to: socket, ends: threading.Event) -> None:
        to.sendall(HEAD + b"\r\n")
        while not ends.is_set():
            to.sendall(b"x" * 1_000_000)

    with server(flood) as url:
        assert answer_to(url, {}, 20) == Answer(200, "x" * 100_000, is_cut=True)


def test_of_a_query_with_too_long_an_answer_the_length_is_told(monkeypatch) -> None:
    monkeypatch.setattr(answers, "ANSWER_BYTES", 100)
    monkeypatch.setattr(watching, "ANSWER_BYTES", 100)
    with server(sends(b'{"status": "success", "data": "%s"}' % (b"x" * 100))) as url:
        check = PrometheusCheck(kind="prometheus", url=url, query="up", above=0)
        assert looked(check) == "its answer has more than 100 bytes. Ask for fewer series"


def sends(body: bytes, *headers: bytes) -> Callable[[socket, threading.Event], None]:
    head = HEAD + b"".join(header + b"\r\n" for header in (*headers, b"Content-Length: %d" % len(body)))
    return lambda to, _: to.sendall(head + b"\r\n" + body)


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"[" * 200_000 + b"]" * 200_000, ()),
        (b"abcd", (b"Content-Type: text/plain; charset=hex",)),
        (b"\xff\xfe", (b"Content-Type: text/plain; charset=idna",)),
    ],
)
def test_an_odd_answer_is_no_json(body: bytes, headers: tuple[bytes, ...]) -> None:
    with server(sends(body, *headers)) as url:
        prometheus = PrometheusCheck(kind="prometheus", url=url, query="up", above=0)
        assert looked(prometheus) == "it was answered with 200 and no JSON: is this a Prometheus server?"
        said = checked(HttpCheck(kind="http", url=url, field="a"), NOBODY, {})
        assert said is not None
        assert said.startswith("there is no field a in: ")


def test_an_answer_that_breaks_off_is_none() -> None:
    for wrong in (sends(b"abcd", b"Content-Encoding: gzip"), lambda to, _: to.sendall(b"SSH-2.0\r\n")):
        with server(wrong) as url:
            said = answer_to(url, {}, 10)
            assert isinstance(said, str)
            assert said.startswith("there is no answer: ")


@pytest.mark.parametrize("secret", ["gehe\u00efm-123", "geheim-123\n", "geheim\x7f123"])
def test_a_secret_that_cannot_be_sent_is_told_by_its_header(secret: str, monkeypatch) -> None:
    monkeypatch.setenv("TOKEN_OF_SHOP", secret)
    headers = {"Authorization": "Bearer ${TOKEN_OF_SHOP}"}
    said = looked(HttpCheck(kind="http", url="http://127.0.0.1:1", headers=headers))
    assert said is not None
    assert said.startswith("the value of the header Authorization has a line break or a character beyond ASCII")
    assert "123" not in said


def test_a_name_that_no_host_can_have_is_a_finding() -> None:
    said = checked(TcpCheck(kind="tcp", port=1, address="a" * 70), NOBODY, {})
    assert said is not None
    assert said.startswith("it does not accept a connection: ")
