"""The endpoint over real sockets: guests ask, wait, acknowledge; strangers, slow and greedy ones are cut."""

import http.client
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from slacktide.executors.metadata.board import NoticeBoard
from slacktide.executors.metadata.limits import Limits
from slacktide.executors.metadata.notice import Announcement, Kind
from slacktide.executors.metadata.server import WAITS_OF_ONE, MetadataServer

pytestmark = pytest.mark.integration
HEADERS = {"Metadata-Flavor": "Google"}
EVENT, UPCOMING = "/slacktide/v1/maintenance-event", "/slacktide/v1/upcoming-maintenance"
WAIT = f"{EVENT}?wait_for_change=true&timeout_sec=30"
MIGRATE = "MIGRATE_ON_HOST_MAINTENANCE"
LIMITS = Limits(connections=400, of_one_address=400, a_second=10_000, request_s=0.5)
SOON_S = 1.0


def announcement(name: str = "m1") -> Announcement:
    start = datetime.now(UTC) + timedelta(seconds=60)
    return Announcement(name, Kind.MIGRATE, start, start + timedelta(seconds=10), 60)


def request(path: str, method: str = "GET", more: str = "") -> bytes:
    """Return a request as it is sent."""
    return f"{method} {path} HTTP/1.1\r\nHost: x\r\nMetadata-Flavor: Google\r\n{more}\r\n".encode()


class Endpoint:
    """A server at loopback, and who is believed to be where."""

    def __init__(self, limits: Limits = LIMITS) -> None:
        self.ready: list[str] = []
        self.board = NoticeBoard(self.ready.append)
        self.vms: dict[str, str] = {"127.0.0.1": "vm1", "127.0.0.2": "vm2"}
        listening = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = listening.getsockname()[1]
        self.server = MetadataServer(self.board, {listening: lambda address: self.vms.get(address)}, limits)

    def connection(self, source: str = "127.0.0.1") -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=10, source_address=(source, 0))

    def ask(self, path: str, source: str = "127.0.0.1", method: str = "GET", **headers: str) -> tuple[int, str, str]:
        """Return status, body and ETag."""
        made = self.connection(source)
        try:
            made.request(method, path, headers=HEADERS | headers)
            answer = made.getresponse()
            return answer.status, answer.read().decode(), answer.headers.get("ETag", "")
        finally:
            made.close()

    def raw(self, sent: bytes) -> bytes:
        """Return all that comes back, until the connection is closed or cut."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as made:
            made.sendall(sent)
            found = b""
            try:
                while part := made.recv(4096):
                    found += part
            except ConnectionResetError:
                pass
            return found


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    made = Endpoint()
    yield made
    made.server.close()


def test_each_guest_is_told_its_own(endpoint: Endpoint) -> None:
    assert endpoint.ask(EVENT)[:2] == (200, "NONE")
    endpoint.board.announce("vm1", announcement())
    assert endpoint.ask(EVENT)[:2] == (200, MIGRATE)
    assert endpoint.ask("/computeMetadata/v1/instance/maintenance-event?alt=json")[:2] == (200, f'"{MIGRATE}"')
    assert endpoint.ask(EVENT, "127.0.0.2")[:2] == (200, "NONE")
    told = json.loads(endpoint.ask(UPCOMING)[1])
    assert (told["kind"], told["notice_s"], told["can_acknowledge"]) == (MIGRATE, 60, True)


def test_strangers_get_404_and_nothing_else(endpoint: Endpoint) -> None:
    for method, path in (("GET", EVENT), ("GET", "/"), ("POST", "/slacktide/v1/acknowledge")):
        assert endpoint.ask(path, "127.0.0.3", method) == (404, "", "")
    assert endpoint.ask(EVENT, **{"Metadata-Flavor": "none"})[0] == 403
    assert endpoint.ask(EVENT, **{"X-Forwarded-For": "10.0.0.1"})[0] == 403


def test_who_waits_is_told_at_once_and_by_the_tag_it_knows(endpoint: Endpoint) -> None:
    none = endpoint.ask(EVENT)[2]
    with ThreadPoolExecutor(2) as pool:
        for last in (f"&last_etag={none}", ""):
            waiting = pool.submit(endpoint.ask, f"{EVENT}?wait_for_change=true&timeout_sec=30{last}")
            until_s = time.monotonic() + 5
            while not endpoint.server._waiting:
                assert time.monotonic() < until_s
                time.sleep(0.01)
            assert not waiting.done()
            begun_s = time.monotonic()
            endpoint.board.announce("vm1", announcement())
            status, body, etag = waiting.result(10)
            assert time.monotonic() - begun_s < SOON_S
            assert (status, body) == (200, MIGRATE)
            assert endpoint.ask(f"{EVENT}?wait_for_change=true&last_etag={none}")[2] == etag, "it was missed, and told"
            endpoint.board.end("vm1", "m1")


def test_who_waits_in_vain_is_told_what_it_knows(endpoint: Endpoint) -> None:
    begun_s = time.monotonic()
    assert endpoint.ask(f"{EVENT}?wait_for_change=true&timeout_sec=1")[:2] == (200, "NONE")
    assert 0.9 < time.monotonic() - begun_s < 1 + SOON_S


def test_a_guest_acknowledges_once(endpoint: Endpoint) -> None:
    acknowledge = "/slacktide/v1/acknowledge"
    assert endpoint.ask(acknowledge, method="POST")[0] == 409
    endpoint.board.announce("vm1", announcement())
    assert endpoint.ask(acknowledge, "127.0.0.2", "POST")[0] == 409, "another's notice"
    status, body, _ = endpoint.ask(acknowledge, method="POST")
    assert (status, json.loads(body)["acknowledged"]) == (200, True)
    assert endpoint.ask(acknowledge, method="POST")[0] == 409
    assert endpoint.ready == ["m1"]


def test_an_address_that_changes_hands_while_its_poll_hangs_is_not_told_the_others(endpoint: Endpoint) -> None:
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(endpoint.ask, WAIT)
        while not endpoint.server._waiting:
            time.sleep(0.01)
        endpoint.vms["127.0.0.1"] = "vm2"
        endpoint.board.announce("vm1", announcement())
        assert waiting.result(10) == (404, "", "")


def test_an_address_that_changes_hands_within_a_connection_acknowledges_for_nobody(endpoint: Endpoint) -> None:
    endpoint.board.announce("vm2", announcement())
    made = endpoint.connection()
    made.connect()
    time.sleep(0.2)
    endpoint.vms["127.0.0.1"] = "vm2"
    made.request("POST", "/slacktide/v1/acknowledge", headers=HEADERS)
    assert made.getresponse().status == 404
    made.close()
    assert endpoint.ready == []


def test_slow_and_huge_requests_are_cut(endpoint: Endpoint) -> None:
    begun_s = time.monotonic()
    assert endpoint.raw(b"GET /slacktide/v1/maintenance-event HTTP/1.1\r\nHost: x\r\n") == b""
    assert LIMITS.request_s - 0.1 < time.monotonic() - begun_s < LIMITS.request_s + SOON_S
    assert b" 400 " in endpoint.raw(b"GET /" + b"x" * 5000 + b" HTTP/1.1\r\n\r\n").split(b"\n")[0]
    long = b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"x" * 5000 + b"\r\n\r\n"
    assert b" 400 " in endpoint.raw(long).split(b"\n")[0]
    many = b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: x\r\n" * 200 + b"\r\n"
    assert b" 400 " in endpoint.raw(many).split(b"\n")[0]
    assert b" 400 " in endpoint.raw(b"\x16\x03\x01nonsense\r\n\r\n").split(b"\n")[0]
    endless = request("/slacktide/v1/acknowledge", "POST", "Content-Length: 99999999\r\n")
    begun_s = time.monotonic()
    assert b" 409 " in endpoint.raw(endless).split(b"\n")[0]
    assert time.monotonic() - begun_s < SOON_S, "its body is not waited for"
    assert endpoint.ask(EVENT)[:2] == (200, "NONE")


def test_hundreds_of_hanging_polls_take_no_threads_and_all_are_told(endpoint: Endpoint) -> None:
    many = 300
    names = {f"127.0.1.{number % 250}": f"vm{number % 250}" for number in range(many)}
    endpoint.vms = names
    made = []
    threads = threading.active_count()
    try:
        for number in range(many):
            made.append(socket.create_connection(("127.0.0.1", endpoint.port), 10, (f"127.0.1.{number % 250}", 0)))
            made[-1].sendall(request(WAIT))
        until_s = time.monotonic() + 20
        while sum(map(len, endpoint.server._waiting.copy().values())) < many:
            assert time.monotonic() < until_s
            time.sleep(0.05)
        assert threading.active_count() - threads <= 4
        for vm in set(names.values()):
            endpoint.board.announce(vm, announcement())
        for one in made:
            assert MIGRATE.encode() in one.recv(4096)
    finally:
        for one in made:
            one.close()


def test_one_guest_cannot_have_more_than_its_share(endpoint: Endpoint) -> None:
    with ThreadPoolExecutor(WAITS_OF_ONE) as pool:
        hanging = [pool.submit(endpoint.ask, WAIT) for _ in range(WAITS_OF_ONE)]
        until_s = time.monotonic() + 10
        while len(endpoint.server._waiting.get("vm1", ())) < WAITS_OF_ONE:
            assert time.monotonic() < until_s
            time.sleep(0.02)
        assert endpoint.ask(f"{EVENT}?wait_for_change=true")[0] == 503
        assert endpoint.ask(EVENT)[:2] == (200, "NONE")
        endpoint.board.announce("vm1", announcement())
        assert {each.result(10)[1] for each in hanging} == {MIGRATE}


def test_who_waits_in_silence_is_asked_for_a_sign_of_life(endpoint: Endpoint) -> None:
    with socket.create_connection(("127.0.0.1", endpoint.port), 10) as hanging:
        hanging.sendall(request(WAIT))
        while not endpoint.server._waiting:
            time.sleep(0.01)
        ours, theirs = (f":{port:04X}" for port in (endpoint.port, hanging.getsockname()[1]))
        lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()]
        (timer,) = [line[5] for line in lines if line[1].endswith(ours) and line[2].endswith(theirs)]
        kind, when = timer.split(":")
        assert kind == "02", "the timer that runs is the one for signs of life"
        assert int(when, 16) <= 20 * os.sysconf("SC_CLK_TCK")


def test_connections_above_the_limit_are_cut_and_the_others_live_on() -> None:
    endpoint = Endpoint(Limits(of_one_address=3, a_second=1000))
    try:
        held = [socket.create_connection(("127.0.0.1", endpoint.port), 10) for _ in range(3)]
        time.sleep(0.2)
        assert endpoint.raw(b"GET / HTTP/1.1\r\n\r\n") == b""
        assert endpoint.ask(EVENT, "127.0.0.2")[:2] == (200, "NONE")
        for one in held:
            one.close()
        until_s = time.monotonic() + 5
        while endpoint.server._gate._open:
            assert time.monotonic() < until_s
            time.sleep(0.02)
        assert endpoint.ask(EVENT)[:2] == (200, "NONE")
    finally:
        endpoint.server.close()


def test_a_server_that_is_closed_leaves_no_thread_and_lets_go_of_who_waits() -> None:
    before = threading.active_count()
    endpoint = Endpoint()
    with socket.create_connection(("127.0.0.1", endpoint.port), 10) as hanging:
        hanging.sendall(request(WAIT))
        while not endpoint.server._waiting:
            time.sleep(0.01)
        endpoint.server.close()
        hanging.settimeout(5)
        assert hanging.recv(4096).endswith(b"NONE")
    assert threading.active_count() == before
    endpoint.board.announce("vm1", announcement())
