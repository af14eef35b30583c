"""A bridge and its host's neighbour table, by netlink, in whatever network namespace they are."""

import asyncio
import os
import socket
from concurrent.futures import ThreadPoolExecutor
from errno import ENODEV
from typing import Final

from pyroute2 import IPRoute

from slacktide.errors import DriverError
from slacktide.executors.metadata.callers import Seen
from slacktide.executors.probes.namespaces import enter

SURE: Final = 0x02 | 0x04 | 0x08 | 0x10 | 0x80
"""``NUD_*`` states in which a neighbour's card is known: reachable, stale, delayed, probed, permanent."""
PERMANENT: Final = 0x80
"""Of a bridge's entries: its own ports' cards, behind which is nobody."""


class BridgeNeighbours:
    """Who is at the ports of one bridge."""

    def __init__(self, bridge: str, namespace: str | None = None) -> None:
        """``namespace``: network namespace of this machine that the bridge is in; null: this process's.

        Raises
        ------
        DriverError
            If there is no such bridge, or no such namespace.
        """
        self._bridge = bridge
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"neighbours {bridge}")
        try:
            self._thread.submit(self._open, namespace).result()
        except OSError as error:
            self._thread.shutdown()
            where = "" if namespace is None else f" in network namespace {namespace}"
            fact = f"cannot be looked at: {error.strerror or error}"
            remedy = "Name the bridge that the host's guests are on with --metadata-bridge"
            raise DriverError(f"bridge {bridge}{where}", fact, remedy) from error

    def _open(self, namespace: str | None) -> None:
        if namespace is not None:
            enter(namespace)
        # A loop of its own: uvloop, which workers of Ray have where it is installed, knows no netlink.
        self._loop = asyncio.SelectorEventLoop()
        self._route = IPRoute(use_event_loop=self._loop)
        if not self._route.link_lookup(ifname=self._bridge):
            self._end()
            raise OSError(ENODEV, os.strerror(ENODEV))

    def seen(self, address: str) -> Seen | None:
        """Return where an address is; None: the host has not heard of it, or is not sure."""
        return self._thread.submit(self._seen, address).result()

    def _seen(self, address: str) -> Seen | None:
        bridges = self._route.link_lookup(ifname=self._bridge)
        if not bridges:
            return None
        (bridge,) = bridges
        for neighbour in self._route.get_neighbours(family=socket.AF_INET, ifindex=bridge):
            if neighbour.get("NDA_DST") == address and neighbour["state"] & SURE:
                return self._at_port(bridge, str(neighbour.get("NDA_LLADDR")).lower())
        return None

    def _at_port(self, bridge: int, card: str) -> Seen | None:
        """Return at which port a card is; None: the bridge has not heard of it."""
        for entry in self._route.fdb("dump"):
            learnt = entry.get("NDA_MASTER") == bridge and not entry["state"] & PERMANENT
            if learnt and str(entry.get("NDA_LLADDR")).lower() == card:
                (link,) = self._route.get_links(entry["ifindex"])
                return Seen(card, str(link.get("IFLA_IFNAME")))
        return None

    def close(self) -> None:
        """Look no more."""
        self._thread.submit(self._end).result()
        self._thread.shutdown()

    def _end(self) -> None:
        self._route.close()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()
