"""A second fabric for guests: hosts as tunnel endpoints over routed links, with forwarding tables that are programmed.

Each host has a link of its own to a router.  What guests send goes through VXLAN: broadcasts to every endpoint, all
else where the tables say, and nowhere if they say nothing.  Nobody learns.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Final

from slacktide.executors.fabrics.settings import Endpoint, VxlanFabricSettings
from slacktide.ids import HostId
from slacktide.lab.commands import run
from slacktide.lab.layout import Lab, LabHost

DEVICE, FORWARD_DEVICE, BRIDGE = "vxlan0", "forward0", "br0"
NETWORK_ID, FORWARD_ID = 9, 10
"""VXLAN network identifiers: of what guests send, and of what a source forwards."""
PORT: Final = 4789
UNDERLAY_MTU: Final = 1600
"""Bytes: what guests send, and 50 around it."""
ALL_CARDS: Final = "00:00:00:00:00:00"
"""Entries for this one say where broadcasts go."""
CONTROL_NUMBER: Final = 255
CONTROL: Final = "control"


def underlay_address(number: int) -> str:
    """Return where the tunnels of a host, or of the control namespace, end."""
    return f"10.7.{number}.1"


def bridge_card(number: int) -> str:
    """Return the MAC address of the bridge of a host, or of the control namespace."""
    return f"02:00:0a:09:00:{number:02x}"


def endpoint_commands(number: int) -> list[str]:
    """Return what makes an endpoint in its namespace, which has the link ``eth0`` to the router."""
    tunnel = f"local {underlay_address(number)} dstport {PORT} nolearning"
    return [
        f"link set {BRIDGE} address {bridge_card(number)}",
        f"link set eth0 mtu {UNDERLAY_MTU} up",
        f"addr add {underlay_address(number)}/31 dev eth0",
        f"route add 10.7.0.0/16 via 10.7.{number}.0 dev eth0",
        f"link add {DEVICE} mtu 1500 type vxlan id {NETWORK_ID} {tunnel}",
        f"link add {FORWARD_DEVICE} mtu 1500 type vxlan id {FORWARD_ID} {tunnel}",
        f"link set {DEVICE} master {BRIDGE} up",
        f"link set {FORWARD_DEVICE} master {BRIDGE} up",
    ]


def router_commands(port: str, number: int) -> list[str]:
    """Return what the router does with the port to a host."""
    return [f"link set {port} mtu {UNDERLAY_MTU} up", f"addr add 10.7.{number}.0/31 dev {port}"]


def let_route(lab: Lab) -> None:
    """Have the namespace with the ports hand packets on between them."""
    run(["ip", "netns", "exec", lab.switch, "sysctl", "-qw", "net.ipv4.ip_forward=1"])


def join(lab: Lab, hosts: Sequence[LabHost]) -> None:
    """Have endpoints, whose devices are there, know these hosts, and these hosts all others.

    Ports of both devices are isolated: a bridge hands nothing from one to the other, nor to the endpoint that guests
    ask.  What the bridge does not know goes to guests here and not into a tunnel.
    """
    numbers = {host.namespace: host.number for host in lab.hosts} | {lab.control: CONTROL_NUMBER}
    new = {host.namespace for host in hosts}
    for namespace, number in numbers.items():
        flags = "learning off flood off isolated on"
        lines = [
            f"link set dev {DEVICE} {flags}",
            f"link set dev {FORWARD_DEVICE} {flags} mcast_flood off bcast_flood off",
        ]
        others = {name: other for name, other in numbers.items() if other != number}
        for name, other in others.items():
            if namespace in new or name in new:
                lines += [
                    f"fdb append {ALL_CARDS} dev {DEVICE} dst {underlay_address(other)}",
                    *entries(bridge_card(other), other),
                ]
        _bridge(namespace, lines if namespace in new or namespace == lab.control else lines[2:])


def entries(card: str, number: int) -> list[str]:
    """Return what has an endpoint send a card's packets to another."""
    where = f"dst {underlay_address(number)} self static"
    return [
        f"fdb replace {card} dev {FORWARD_DEVICE} {where}",
        f"fdb replace {card} dev {DEVICE} {where}",
        f"fdb replace {card} dev {DEVICE} master static",
    ]


def place_guests(lab: Lab, placed: Iterable[tuple[str, LabHost]]) -> None:
    """Have all endpoints send the packets of guests, by card, to the hosts that they are on."""
    found = list(placed)
    for namespace in [lab.control, *(host.namespace for host in lab.hosts)]:
        lines = [line for card, host in found if host.namespace != namespace for line in entries(card, host.number)]
        _bridge(namespace, lines)


def copy_guests(lab: Lab, host: LabHost) -> None:
    """Have a new host know what the control namespace knows of guests."""
    said = run(["bridge", "-n", lab.control, "fdb", "show", "dev", DEVICE])
    known = re.findall(r"^(52:54:00\S+) dst 10\.7\.(\d+)\.1 ", said, re.MULTILINE)
    _bridge(host.namespace, [line for card, number in known for line in entries(card, int(number))])


def _bridge(namespace: str, lines: list[str]) -> None:
    if lines:
        run(["bridge", "-n", namespace, "-batch", "-"], "".join(f"{line}\n" for line in lines))


def fabric_settings(lab: Lab) -> VxlanFabricSettings:
    """Return the fabric as `slacktide run --fabric` takes it."""
    places = {host.name: (host.namespace, host.number) for host in lab.hosts} | {CONTROL: (lab.control, CONTROL_NUMBER)}
    endpoints = {
        HostId(name): Endpoint.model_validate({"namespace": namespace, "address": underlay_address(number)})
        for name, (namespace, number) in places.items()
    }
    return VxlanFabricSettings(
        kind="vxlan",
        endpoints=endpoints,
        bridge=BRIDGE,
        device=DEVICE,
        forward_device=FORWARD_DEVICE,
        update_delay_ms=lab.settings.fabric_delay_ms,
    )
