"""Who asks, on a real bridge: two guests, a wire, and what they may pretend to be.

Guests are network namespaces at the bridge's ports; what the hypervisor knows of them is told here.
"""

import http.client
import secrets
import socket
from collections.abc import Iterator

import pytest
from lab_tests import ON_A_LAB

from slacktide.errors import DriverError
from slacktide.executors.metadata.board import NoticeBoard
from slacktide.executors.metadata.callers import Callers, Seen
from slacktide.executors.metadata.neighbours import BridgeNeighbours
from slacktide.executors.metadata.server import MetadataServer
from slacktide.executors.probes.namespaces import socket_in
from slacktide.lab.commands import run

pytestmark = ON_A_LAB
ENDPOINT, PORT = "169.254.169.254", 80
CARDS = {"vm1": "52:54:00:00:00:01", "vm2": "52:54:00:00:00:02", "far": "52:54:00:00:00:03"}
ADDRESSES = {"vm1": "10.9.1.1", "vm2": "10.9.1.2", "far": "10.9.1.3"}


class Bridged:
    """A host's bridge with the endpoint's address, two guests at its ports, and a third behind the wire."""

    def __init__(self) -> None:
        self.host = f"z{secrets.token_hex(4)}"
        self.spaces = {name: f"{self.host}-{name}" for name in CARDS}

    def begin(self) -> None:
        for name in (self.host, *self.spaces.values()):
            run(["ip", "netns", "add", name])
        self.inside(self.host, "link add br0 type bridge forward_delay 0", "link set br0 up")
        self.inside(self.host, "addr add 10.9.0.1/16 dev br0", f"addr add {ENDPOINT}/32 dev br0")
        for name, port in zip(CARDS, ("vnet1", "vnet2", "wire"), strict=True):
            self.inside(
                self.host,
                f"link add {port} type veth peer name eth0 netns {self.spaces[name]}",
                f"link set {port} master br0 up",
            )
            self.inside(
                self.spaces[name],
                f"link set eth0 address {CARDS[name]} up",
                f"addr add {ADDRESSES[name]}/16 dev eth0",
                f"route add {ENDPOINT}/32 dev eth0",
            )
        listening = socket_in(self.host, lambda: socket.create_server((ENDPOINT, PORT)))
        self.neighbours = BridgeNeighbours("br0", self.host)
        guests = {Seen(CARDS["vm1"], "vnet1"): "vm1", Seen(CARDS["vm2"], "vnet2"): "vm2"}
        self.callers = Callers(self.neighbours, lambda: guests)
        self.server = MetadataServer(NoticeBoard(lambda _: None), {listening: self.callers.vm})

    def inside(self, namespace: str, *lines: str) -> None:
        run(["ip", "-n", namespace, "-batch", "-"], "".join(f"{line}\n" for line in lines))

    def takes(self, name: str, *, address: str, card: str) -> None:
        """Have a guest take an address and a card, and let everybody know."""
        space = self.spaces[name]
        self.inside(
            space,
            "link set eth0 down",
            "addr flush dev eth0",
            f"link set eth0 address {card} up",
            f"addr add {address}/16 dev eth0",
            f"route replace {ENDPOINT}/32 dev eth0",
        )

    def status(self, name: str) -> int | None:
        """Return what a guest is answered; None: no connection comes about, or it is cut."""

        def connected() -> socket.socket:
            return socket.create_connection((ENDPOINT, PORT), timeout=2)

        made = http.client.HTTPConnection(ENDPOINT, PORT)
        try:
            made.sock = socket_in(self.spaces[name], connected)
            made.request("GET", "/slacktide/v1/maintenance-event", headers={"Metadata-Flavor": "Google"})
            answer = made.getresponse()
            answer.read()
        except OSError:
            return None
        finally:
            made.close()
        return answer.status

    def end(self) -> None:
        if hasattr(self, "server"):
            self.server.close()
            self.neighbours.close()
        for name in (self.host, *self.spaces.values()):
            run(["ip", "netns", "delete", name])


@pytest.fixture
def bridged() -> Iterator[Bridged]:
    made = Bridged()
    try:
        made.begin()
        yield made
    finally:
        made.end()


def test_guests_are_known_and_those_behind_the_wire_are_strangers(bridged: Bridged) -> None:
    assert {name: bridged.status(name) for name in CARDS} == {"vm1": 200, "vm2": 200, "far": 404}
    assert bridged.callers.vm(ADDRESSES["vm1"]) == "vm1"
    assert bridged.callers.vm(ADDRESSES["vm2"]) == "vm2"
    assert bridged.callers.vm(ADDRESSES["far"]) is None
    assert bridged.callers.vm("10.9.7.7") is None, "nobody has that address"


def test_who_takes_anothers_address_is_still_who_it_is(bridged: Bridged) -> None:
    bridged.inside(bridged.spaces["vm2"], "link set eth0 down")
    bridged.takes("vm1", address=ADDRESSES["vm2"], card=CARDS["vm1"])
    assert bridged.status("vm1") == 200
    assert bridged.callers.vm(ADDRESSES["vm2"]) == "vm1"


def test_who_takes_anothers_card_too_is_nobody(bridged: Bridged) -> None:
    bridged.inside(bridged.spaces["vm2"], "link set eth0 down")
    bridged.takes("vm1", address=ADDRESSES["vm2"], card=CARDS["vm2"])
    assert bridged.status("vm1") == 404
    assert bridged.callers.vm(ADDRESSES["vm2"]) is None
    bridged.takes("far", address=ADDRESSES["vm2"], card=CARDS["vm2"])
    assert bridged.status("far") in (404, None)


def test_a_bridge_or_namespace_that_is_not_there_is_named(bridged: Bridged) -> None:
    for bridge, namespace in (("br7", bridged.host), ("br0", f"{bridged.host}-none")):
        with pytest.raises(
            DriverError, match=rf"bridge {bridge} in network namespace {namespace}: cannot be looked at"
        ):
            BridgeNeighbours(bridge, namespace)
