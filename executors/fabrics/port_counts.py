"""How many packets a host's bridge hands to a guest's card, and how many the guest has read: what is lost with it."""

from errno import ENODEV, ENOENT
from typing import Final, NamedTuple

from pyroute2 import IPRoute
from pyroute2.netlink import nlmsg
from pyroute2.netlink.exceptions import NetlinkError

from slacktide.errors import DriverError
from slacktide.executors.fabrics.nftables import Nftables

TABLE: Final = "netdev slacktide"
SELF: Final = 0x02
"""``NTF_SELF``: an entry of a device's own table."""
PERMANENT: Final = 0x80
"""``NUD_PERMANENT``: the address of a port, learnt from nobody."""
_PREFIX: Final = "to-"


class Counting(NamedTuple):
    """What one port had passed on to its guest when counting began."""

    port: str
    read: int


def port_of(route: IPRoute, bridge: int, card: str) -> int | None:
    """Return the number of the port of a bridge that is the host's end of a guest's card; null: no guest has it here.

    libvirt gives it the guest's own address with ``fe`` in front, ``fa`` if it has that itself, so that a bridge never
    takes it for its own.  The bridge is asked for that address, not the kernel for all devices: it takes a tenth of the
    time, and packets are lost meanwhile.
    """
    address = f"{'fa' if card.startswith('fe') else 'fe'}{card[2:]}"
    try:
        (entry,) = route.fdb("get", ifindex=bridge, lladdr=address, flags=SELF)
    except NetlinkError as error:
        if error.code == ENOENT:
            return None
        raise
    return int(entry["ifindex"]) if entry["state"] & PERMANENT and entry["ifindex"] != bridge else None


def name_of(route: IPRoute, number: int) -> str:
    """Return the name of a device.

    Raises
    ------
    LookupError
        If there is none with this number.
    """
    return str(_link(route, index=number).get("IFLA_IFNAME"))


def begin_counting(route: IPRoute, nftables: Nftables, port: str, card: str) -> Counting:
    """Have the kernel count what goes to a port from now on, and what of it is for its card alone."""
    chain = f"{TABLE} {_PREFIX}{port}"
    nftables.run(
        f'add chain {chain} {{ type filter hook egress device "{port}" priority 0; }}\n'
        f"flush chain {chain}\nadd rule {chain} counter\nadd rule {chain} ether daddr {card} counter\n"
    )
    return Counting(port, _read(route, port))


def unread(route: IPRoute, nftables: Nftables, counting: Counting) -> int | None:
    """Return the packets for a guest that went to its port and were not read; null: the port is gone.

    Broadcasts that were not read are among them, but never more in all than packets for its card alone came: the
    target's port keeps broadcasts as well.  What waited at the port when counting began hides as many that came later.
    """
    try:
        listed = nftables.run(f"list chain {TABLE} {_PREFIX}{counting.port}\n")
        rules = [each["rule"]["expr"] for each in listed if "rule" in each]
        sent, own = [next(part["counter"]["packets"] for part in rule if "counter" in part) for rule in rules]
        return min(int(own), max(0, int(sent) - (_read(route, counting.port) - counting.read)))
    except (DriverError, LookupError, StopIteration, ValueError):
        return None


def end_counting(nftables: Nftables, port: str) -> None:
    """Count no more; a port that is gone may have taken its count along."""
    try:
        nftables.run(f"delete chain {TABLE} {_PREFIX}{port}\n")
    except DriverError:
        return


def clear_counting(route: IPRoute, nftables: Nftables) -> None:
    """Take away what counted for ports that are gone: whoever began it did not live to end it."""
    ports = {str(link.get("IFLA_IFNAME")) for link in route.get_links()}
    listed = nftables.run("list chains netdev\n")
    names = [each["chain"]["name"] for each in listed if "chain" in each and each["chain"]["table"] == "slacktide"]
    for name in names:
        if name.startswith(_PREFIX) and name.removeprefix(_PREFIX) not in ports:
            end_counting(nftables, name.removeprefix(_PREFIX))


def _read(route: IPRoute, port: str) -> int:
    return int(_link(route, ifname=port).get("IFLA_STATS64")["tx_packets"])


def _link(route: IPRoute, **which: object) -> nlmsg:
    try:
        (link,) = route.link("get", **which)
    except NetlinkError as error:
        if error.code == ENODEV:
            raise LookupError(which) from error
        raise
    return link
