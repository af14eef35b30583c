"""Learning bridges: a guest's hypervisor sends a packet from its new place, and every bridge on the way learns it.

Nothing has to be forwarded.  What is looked at is whether hosts' bridges have learnt it; where one has not, the packet
is sent again from the target.
"""

import asyncio
import os
import socket
import struct
from collections.abc import Callable, Mapping
from errno import ENODEV
from functools import partial
from typing import Final, TypeVar

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from slacktide.errors import DriverError
from slacktide.executors.fabrics.asking import Asking
from slacktide.executors.fabrics.protocol import Move, Passed
from slacktide.executors.fabrics.settings import BridgeFabricSettings, BridgePlace
from slacktide.executors.probes.namespaces import enter
from slacktide.ids import HostId

RARP: Final = 0x8035
"""The protocol in which QEMU, too, announces guests that have moved: it asks nothing that anybody answers."""
_BROADCAST: Final = b"\xff" * 6
T = TypeVar("T")


class BridgeFabric:
    """Looks at the bridges of hosts, and speaks there in the name of guests."""

    def __init__(self, settings: BridgeFabricSettings) -> None:
        self._settings = settings
        self._askings = {
            host: Asking(f"bridge {place.bridge}{_where(place)}", settings.answer_within_s)
            for host, place in settings.bridges.items()
        }

    @property
    def limit_s(self) -> float:
        """How long to wait until all have learnt, in seconds."""
        return self._settings.limit_s

    def locate(self, move: Move) -> Mapping[HostId, HostId | None]:
        """Return the hosts whose bridges have the VM's first card at a port of their own; the others' are null."""
        return {host: host if self._is_at_own_port(host, move.cards[0]) else None for host in self._settings.bridges}

    def prepare(self, move: Move) -> None:
        """Do nothing."""

    def forward(self, move: Move) -> None:
        """Do nothing: bridges send packets where the guest was heard last."""

    def announce(self, move: Move) -> None:
        """Send a packet from the target in the guest's name."""
        place = self._place(move.target)
        for card in move.cards:
            self._asked(move.target, partial(_speak, place.bridge, card))

    def confirm(self, move: Move) -> Mapping[HostId, str]:
        """Return the hosts, but the target, whose bridges have the VM's cards at a port of their own."""
        found = {host: self._instead(host, move) for host in self._settings.bridges if host != move.target}
        return {host: what for host, what in found.items() if what is not None}

    def _instead(self, host: HostId, move: Move) -> str | None:
        try:
            own = any(self._is_at_own_port(host, card) for card in move.cards)
        except DriverError as error:
            return error.fact
        return "sends to a port of its own" if own else None

    def stop_forwarding(self, move: Move) -> Passed | None:
        """Do nothing, and count nothing."""
        return None

    def withdraw(self, move: Move) -> None:
        """Do nothing: the guest shows itself where it is."""

    def close(self) -> None:
        """Ask no bridge any more."""
        for asking in self._askings.values():
            asking.close()

    def _place(self, host: HostId) -> BridgePlace:
        place = self._settings.bridges.get(host)
        if place is None:
            raise DriverError(f"host {host}", "has no bridge in the fabric", "Name it in the file of --fabric")
        return place

    def _is_at_own_port(self, host: HostId, card: str) -> bool:
        place = self._place(host)
        return self._asked(host, lambda: _has(place, card))

    def _asked(self, host: HostId, question: Callable[[], T]) -> T:
        """Return the answer to a question in the network namespace of a host's bridge."""
        place = self._place(host)

        def inside() -> T:
            if place.namespace is not None:
                enter(place.namespace)
            return question()

        try:
            return self._askings[host].ask(inside)
        except (OSError, NetlinkError, RuntimeError) as error:  # the last: it was closed
            fact = f"cannot be asked or told: {error}"
            remedy = "Mend the file of --fabric, or leave it out"
            raise DriverError(f"bridge {place.bridge}{_where(place)}", fact, remedy, retryable=True) from error


def _where(place: BridgePlace) -> str:
    return "" if place.namespace is None else f" in network namespace {place.namespace}"


def _has(place: BridgePlace, card: str) -> bool:
    """Return whether a bridge has learnt a card at a port that is no uplink."""
    loop = asyncio.SelectorEventLoop()
    route = IPRoute(use_event_loop=loop)
    try:
        bridges = route.link_lookup(ifname=place.bridge)
        if not bridges:
            raise OSError(ENODEV, os.strerror(ENODEV))
        for entry in route.fdb("dump"):
            if entry.get("NDA_MASTER") == bridges[0] and str(entry.get("NDA_LLADDR")).lower() == card:
                (link,) = route.get_links(entry["ifindex"])
                return link.get("IFLA_IFNAME") not in place.uplinks
        return False
    finally:
        route.close()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()


def _speak(bridge: str, card: str) -> None:
    """Send a reverse ARP of a guest's card out at all ports of a bridge."""
    source = bytes.fromhex(card.replace(":", ""))
    body = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 3) + source + bytes(4) + source + bytes(4)
    frame = _BROADCAST + source + struct.pack("!H", RARP) + body
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
        wire.bind((bridge, 0))
        wire.send(frame.ljust(60, b"\0"))
