"""Which VM asks: from the address that a connection comes from to the guest that has it on this host's bridge.

An address says nothing by itself, for a guest may take another's.  What is believed is where frames come from: the
host's neighbour table has the network card behind the address, the bridge the port behind the card, and the domain's
description both.  A guest with another's address is seen with its own card; one with another's card as well is seen at
its own port, which belongs to another domain, and nobody answers it.  Guests of other hosts come in at the port of the
wire, which is no domain's.
"""

import time
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple, Protocol

from slacktide.ids import VmId

ASK_AGAIN_S: Final = 1.0
"""How long the host's hypervisor is not asked again after it knew no domain for a caller: strangers cost it nothing."""


class Seen(NamedTuple):
    """Where an address is on a bridge."""

    card: str
    """The network card's address, in lower case."""
    port: str
    """Name of the bridge's port that its frames come in at."""


class Neighbours(Protocol):
    """What a host knows of who is on its bridge."""

    def seen(self, address: str) -> Seen | None:
        """Return where an address is; None: the host has not heard of it, or is not sure."""
        ...


Guests = Mapping[Seen, VmId]
"""The running guests of a host, by card and port."""


class Callers:
    """Tells who asks, on one host."""

    def __init__(self, neighbours: Neighbours, guests: Callable[[], Guests]) -> None:
        """``guests`` asks the host's hypervisor; it is empty where that does not answer."""
        self._neighbours = neighbours
        self._ask = guests
        self._known: Guests = {}
        self._asked_s = float("-inf")

    def vm(self, address: str) -> VmId | None:
        """Return the VM that an address belongs to at this moment; None: no guest of this host."""
        seen = self._neighbours.seen(address)
        if seen is None:
            return None
        if seen not in self._known and time.monotonic() >= self._asked_s + ASK_AGAIN_S:
            self._known = self._ask()
            self._asked_s = time.monotonic()
        return self._known.get(seen)
