"""The tables of one VXLAN endpoint: where it sends each card's packets, and what it forwards.

===============  ====================================================================================================
bridge           at which port a card is: a guest's, or that of ``device``
``device``       to which other endpoint a card's packets go; what arrives there goes to guests, and nowhere else
forwarded cards  what arrives at ``device`` for them is sent on through ``forward_device``, counted, for a limited time
===============  ====================================================================================================

No packet can go in circles.  What was forwarded arrives at its target's ``forward_device``, where nothing is ever
forwarded: the set of forwarded cards is looked at for ``device`` alone.  And ports of both devices are isolated, so
that no bridge hands a packet from one to the other or back.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from errno import ENOENT
from typing import Final, NamedTuple, TypeVar

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from slacktide.errors import DriverError
from slacktide.executors.fabrics.asking import Asking
from slacktide.executors.fabrics.devices import device_number, fit_devices
from slacktide.executors.fabrics.nftables import Nftables
from slacktide.executors.fabrics.port_counts import (
    SELF,
    TABLE,
    Counting,
    begin_counting,
    clear_counting,
    end_counting,
    name_of,
    port_of,
    unread,
)
from slacktide.executors.fabrics.settings import VxlanFabricSettings
from slacktide.executors.probes.namespaces import enter
from slacktide.ids import HostId

MASTER: Final = 0x04
"""``NTF_MASTER``: an entry of the bridge that a device is a port of, where ``SELF`` is one of the device itself."""
STATIC: Final = 0x42
"""``NUD_NOARP`` and ``NUD_REACHABLE``: it does not age."""
QUEUE_PACKETS: Final = 10_000
"""Packets that a port keeps for a guest that does not run yet: of ten thousand a second, one second's.  By itself it
keeps a thousand, broadcasts of the time of copying among them."""
ARRIVED, FORWARDED, DEPARTED = "arrived", "forwarded", "departed"
"""Sets of cards that have left: what arrives for them is counted, sent on, and dropped and counted where it is not."""
_ARRIVING, _RULES = "arriving", 3
"""The chain that looks at these sets, and its rules."""

T = TypeVar("T")


class Departed(NamedTuple):
    """What became of packets for a card that has left."""

    forwarded: int
    dropped: int


class EndpointTables:
    """One endpoint, from a thread that stays in its network namespace."""

    def __init__(self, host: HostId, settings: VxlanFabricSettings) -> None:
        """Its namespace and devices are looked at when it is first asked: each question raises ``DriverError``."""
        self._subject = f"fabric endpoint {host}"
        self._settings = settings
        self._place = settings.endpoints[host]
        self._indexes: dict[str, int] = {}
        """Numbers of devices by name, as far as they were asked for."""
        self._is_open = False
        self._is_ready = False
        """Whether devices were fit and rules written when that was last looked at."""
        self._identifiers = 0, 0
        self._asking = Asking(self._subject, settings.answer_within_s)

    def _asked(self, question: Callable[[], T], *, late: bool = False) -> T:
        """Return the answer; ``late``: what is asked takes effect even if nobody waits for it any more.

        What fails is tried once more, with devices and rules looked at anew: others may have made or deleted them.
        """

        def asked() -> T:
            if not self._is_open:
                self._open()
            try:
                return question()
            except (OSError, NetlinkError, DriverError):
                self._is_ready = False
                self._indexes.clear()
                return question()

        try:
            return self._asking.ask(asked, late=late)
        except (OSError, NetlinkError, RuntimeError) as error:  # the last: it was closed
            fact = f"cannot be asked or told: {error}"
            remedy = "See that its devices are as docs/fabric.md describes"
            raise DriverError(self._subject, fact, remedy, retryable=True) from error

    def _asked_of_rules(self, question: Callable[[], T]) -> T:
        """Return the answer to what rests on rules, which are there only where devices are fit."""

        def asked() -> T:
            if not self._is_ready:
                self._begin()
            return question()

        return self._asked(asked)

    def _told(self, change: Callable[[], object]) -> None:
        """Have something changed; what is told later is done later, and so what it takes back is taken back."""
        self._asked(change, late=True)

    def _open(self) -> None:
        if self._place.namespace is not None:
            enter(self._place.namespace)
        self._nftables = Nftables()
        self._loop = asyncio.SelectorEventLoop()
        self._route = IPRoute(use_event_loop=self._loop)
        self._is_open = True

    def _begin(self) -> None:
        """Look whether the devices are what all here rests on, and have the kernel forward from one to the other."""
        settings = self._settings
        self._is_ready = False
        self._look_at_devices()
        sets, device, chain = "type ether_addr; flags timeout; counter;", settings.device, f"{TABLE} {_ARRIVING}"
        hooked = f'add chain {chain} {{ type filter hook ingress device "{device}" priority 0; }}\n'
        made = "".join(f"add set {TABLE} {name} {{ {sets} }}\n" for name in (ARRIVED, FORWARDED, DEPARTED))
        self._nftables.run(
            f"add table {TABLE}\n{made}{hooked}delete chain {chain}\n{hooked}"
            f"add rule {chain} ether daddr @{ARRIVED} continue\n"
            f'add rule {chain} ether daddr @{FORWARDED} fwd to "{settings.forward_device}"\n'
            f"add rule {chain} ether daddr @{DEPARTED} drop\n"
        )
        clear_counting(self._route, self._nftables)
        self._is_ready = True

    def refresh(self) -> None:
        """Look anew whether devices are fit, and write rules anew that are gone or of a device that was made anew."""

        def looked() -> None:
            if not self._is_ready or self._is_changed():
                self._begin()

        self._asked(looked)

    def _is_changed(self) -> bool:
        before, self._is_ready = self._indexes, False
        self._look_at_devices()
        self._is_ready = before == self._indexes and self._has_rules()
        return not self._is_ready

    def _look_at_devices(self) -> None:
        found = fit_devices(self._route, self._subject, self._settings)
        self._indexes, self._identifiers = dict(found.numbers), found.identifiers

    def _has_rules(self) -> bool:
        """Return whether the chain has its rules; where it is gone as well, the kernel refuses."""
        listed = self._nftables.run(f"list chain {TABLE} {_ARRIVING}\n")
        return sum("rule" in each for each in listed) == _RULES

    def _has_table(self) -> bool:
        listed = self._nftables.run("list tables netdev\n")
        return any("table" in each and f"netdev {each['table']['name']}" == TABLE for each in listed)

    def identifiers(self) -> tuple[int, int]:
        """Return the network identifiers of what guests send each other, and of what is forwarded, of fit devices."""
        return self._asked_of_rules(lambda: self._identifiers)

    def _index(self, name: str) -> int:
        if name not in self._indexes:
            self._indexes[name] = device_number(self._route, self._subject, name)
        return self._indexes[name]

    def sends_to(self, card: str) -> str | None:
        """Return the address of the endpoint that a card's packets go to; null: to none."""
        return self._asked(lambda: self._sends_to(card))

    def _sends_to(self, card: str) -> str | None:
        try:
            found = list(self._route.fdb("get", ifindex=self._index(self._settings.device), lladdr=card, flags=SELF))
        except NetlinkError as error:
            if error.code == ENOENT:
                return None
            raise
        return next((str(entry.get("NDA_DST")) for entry in found if entry.get("NDA_DST")), None)

    def _port(self, card: str) -> int | None:
        return port_of(self._route, self._index(self._settings.bridge), card)

    def has_guest(self, card: str) -> bool:
        """Return whether a guest with a card is here, and its packets go to no other endpoint."""
        return self._asked(lambda: self._sends_to(card) is None and self._port(card) is not None)

    def aim(self, card: str, address: str) -> None:
        """Send what will be forwarded for a card to another endpoint."""
        self._told(lambda: self._write(card, self._index(self._settings.forward_device), SELF, dst=address))

    def point(self, card: str, address: str, *, late: bool = True) -> None:
        """Send a card's packets, and those that are forwarded, to another endpoint.

        ``late``: later, where this one does not answer in time.
        """

        def written() -> None:
            settings = self._settings
            self._write(card, self._index(settings.device), SELF, dst=address)
            self._write(card, self._index(settings.device), MASTER)
            self._write(card, self._index(settings.forward_device), SELF, dst=address)

        self._asked(written, late=late)

    def take(self, card: str) -> None:
        """Send a card's packets to a guest here; where no guest has it yet, to whoever shows it."""

        def written() -> None:
            port = self._port(card)
            if port is None:
                self._forget(card, self._index(self._settings.device), MASTER)
            else:
                self._write(card, port, MASTER)

        self._told(written)

    def forget(self, card: str) -> None:
        """Send a card's packets to no other endpoint."""

        def forgotten() -> None:
            for name in (self._settings.device, self._settings.forward_device):
                self._forget(card, self._index(name), SELF)

        self._told(forgotten)

    def _write(self, card: str, index: int, flags: int, **where: str) -> None:
        self._route.fdb("replace", ifindex=index, lladdr=card, flags=flags, state=STATIC, **where)

    def _forget(self, card: str, index: int, flags: int) -> None:
        try:
            self._route.fdb("del", ifindex=index, lladdr=card, flags=flags, state=STATIC)
        except NetlinkError as error:
            if error.code != ENOENT:
                raise

    def make_room(self, card: str) -> None:
        """Have the port of a guest that is arriving keep more packets for it."""

        def widened() -> None:
            port = self._port(card)
            if port is not None:
                self._route.link("set", index=port, txqlen=QUEUE_PACKETS)

        self._told(widened)

    def count(self, card: str) -> Counting | None:
        """Count what goes to a guest's card from now on; null: no guest has it."""

        def begun() -> Counting | None:
            port = self._port(card)
            try:
                if port is None:
                    return None
                return begin_counting(self._route, self._nftables, name_of(self._route, port), card)
            except LookupError:
                return None  # the guest has ended

        return self._asked_of_rules(begun)

    def unread(self, counting: Counting) -> int | None:
        """Return the packets that a guest was sent and has not read; null: nobody knows any more."""
        return self._asked(lambda: unread(self._route, self._nftables, counting))

    def end_counting(self, port: str) -> None:
        """Count no more what goes to a port."""
        self._told(lambda: end_counting(self._nftables, port))

    def depart(self, cards: Sequence[str], limit_s: float, *, forward: bool) -> None:
        """Take what arrives for cards from now on as for a guest that has left: forward it for so long, or drop it.

        What was begun before, by another process perhaps, is left as it is: its time goes on, and so do its counts.
        """
        sets = {ARRIVED: 2 * limit_s, DEPARTED: 2 * limit_s} | ({FORWARDED: limit_s} if forward else {})

        def begun() -> None:
            lines = [
                f"add element {TABLE} {name} {{ {card} timeout {max(1, round(lasts_s * 1000))}ms }}\n"
                for name, lasts_s in sets.items()
                for card in set(cards) - self._listed(name).keys()
            ]
            if lines:
                self._nftables.run("".join(lines))

        self._asked_of_rules(begun)

    def departed(self, card: str) -> Departed | None:
        """Return what became of a card's packets since it left; null: it has not left, or too long ago."""

        def counted() -> Departed | None:
            arrived, dropped = (self._found(name).get(card) for name in (ARRIVED, DEPARTED))
            if arrived is None or dropped is None:
                return None
            return Departed(max(0, arrived - dropped), dropped)

        return self._asked(counted)

    def arrive(self, card: str) -> None:
        """Neither forward nor drop a card's packets any more."""

        def ended() -> None:
            for name in (FORWARDED, DEPARTED, ARRIVED):
                if card in self._found(name):
                    self._nftables.run(f"delete element {TABLE} {name} {{ {card} }}\n")

        self._told(ended)

    def forwarded_cards(self) -> tuple[str, ...]:
        """Return the cards whose packets are forwarded."""
        return self._asked(lambda: tuple(sorted(self._found(FORWARDED))))

    def _found(self, name: str) -> dict[str, int]:
        """Return the same; nothing where there are no rules."""
        return self._listed(name) if self._has_table() else {}

    def _listed(self, name: str) -> dict[str, int]:
        """Return how often each card in a set was found there."""
        listed = self._nftables.run(f"list set {TABLE} {name}\n")
        found = [element["elem"] for each in listed if "set" in each for element in each["set"].get("elem", [])]
        return {each["val"]: int(each["counter"]["packets"]) for each in found}

    def close(self) -> None:
        """Let go of it; its tables stay as they are."""

        def ended() -> None:
            if self._is_open:
                self._end()

        with suppress(DriverError, RuntimeError):  # it does not answer, or was closed
            self._asking.ask(ended, late=True)
        self._asking.close()

    def _end(self) -> None:
        self._nftables.close()
        self._route.close()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()
