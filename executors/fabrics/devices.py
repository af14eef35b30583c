"""Whether the devices of an endpoint are such that no packet can go in circles, and that what is forwarded arrives."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from pyroute2 import IPRoute

from slacktide.errors import DriverError
from slacktide.executors.fabrics.settings import VxlanFabricSettings

_UP: Final = 0x1
"""``IFF_UP``."""


class Devices(NamedTuple):
    """The devices of an endpoint as they were found."""

    numbers: Mapping[str, int]
    """By name."""
    identifiers: tuple[int, int]
    """VXLAN network identifiers: of what guests send each other, and of what is forwarded."""


def device_number(route: IPRoute, subject: str, name: str) -> int:
    """Return the number of a device; ``subject``: the endpoint, in words.

    Raises
    ------
    DriverError
        If there is no such device.
    """
    found = route.link_lookup(ifname=name)
    if not found:
        raise _unfit(subject, f"has no device {name}")
    return int(found[0])


def fit_devices(route: IPRoute, subject: str, settings: VxlanFabricSettings) -> Devices:
    """Return the devices of an endpoint.

    Raises
    ------
    DriverError
        If one is not there, or not as docs/fabric.md describes.
    """
    names = settings.bridge, settings.device, settings.forward_device
    numbers = {name: device_number(route, subject, name) for name in names}
    identifiers = []
    for name, number in numbers.items():
        (link,) = route.get_links(number)
        if not link["flags"] & _UP:
            raise _unfit(subject, f"{name} is down")
        if name == settings.bridge:
            continue
        if link.get_nested("IFLA_LINKINFO", "IFLA_INFO_KIND") != "vxlan":
            raise _unfit(subject, f"{name} is no VXLAN device")
        identifiers.append(int(link.get_nested("IFLA_LINKINFO", "IFLA_INFO_DATA").get("IFLA_VXLAN_ID")))
        port = link.get_nested("IFLA_LINKINFO", "IFLA_INFO_SLAVE_DATA")
        if link.get("IFLA_MASTER") != numbers[settings.bridge] or port is None:
            raise _unfit(subject, f"{name} is no port of {settings.bridge}")
        if not port.get("IFLA_BRPORT_ISOLATED") or port.get("IFLA_BRPORT_LEARNING"):
            raise _unfit(subject, f"{name} is a port that is not isolated, or that learns")
        if port.get("IFLA_BRPORT_MODE"):
            raise _unfit(subject, f"{name} is a port in hairpin mode, which sends back what arrives there")
    ours, forwarded = identifiers
    if ours == forwarded:
        raise _unfit(subject, f"{settings.forward_device} has the network identifier of {settings.device}, {ours}")
    return Devices(numbers, (ours, forwarded))


def _unfit(subject: str, fact: str) -> DriverError:
    return DriverError(subject, fact, "See docs/fabric.md")
