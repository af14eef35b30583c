"""The lab's links: two bridges in a namespace of their own, and every host on both.

One carries management and guests, the other migrations, and only that one is shaped, in both directions of each host.
Where guests are to hang on tunnels, a router takes the first one's place (:mod:`slacktide.lab.overlay`).
"""

from typing import Final, Literal

from slacktide.lab import overlay
from slacktide.lab.commands import run
from slacktide.lab.layout import Lab, LabHost

Plane = Literal["guests", "migration"]
CONTROL_ADDRESS: Final = "10.9.255.254"
"""Where heartbeats are heard and clients call from."""
METADATA_ADDRESS: Final = "169.254.169.254"
"""Where guests ask their host: the same on every host, and reached by its own guests alone."""
METADATA_CARD: Final = "02:00:a9:fe:a9:fe"
"""The network card behind that address: the same on every host as well, so that a guest that has moved finds the one
of its new host where it remembers the old one's."""
BURST_S: Final = 0.002
"""Time at full rate that a shaped link may send at once."""
LEAST_BURST_BYTES: Final = 128 * 1024
"""A segment that the network card is to cut up has up to 64 KiB, and must fit."""


def make_network(lab: Lab) -> None:
    """Make namespaces, bridges and links, and shape those for migrations."""
    make_namespaces([lab.switch, lab.control, *(host.namespace for host in lab.hosts)])
    _inside(lab.switch, "link set lo up", *_bridge("guests"), *_bridge("migration"))
    tunnels = lab.settings.fabric == "vxlan"
    _inside(
        lab.control,
        "link set lo up",
        f"link add eth0 type veth peer name control netns {lab.switch}",
        *(_bridge("br0") if tunnels else ()),
        *(overlay.endpoint_commands(overlay.CONTROL_NUMBER) if tunnels else ("link set eth0 up",)),
        f"addr add {CONTROL_ADDRESS}/16 brd + dev {'br0' if tunnels else 'eth0'}",
    )
    if tunnels:
        overlay.let_route(lab)
        _inside(lab.switch, *overlay.router_commands("control", overlay.CONTROL_NUMBER))
    else:
        _inside(lab.switch, "link set control master guests up")
    for host in lab.hosts:
        _add_links(lab, host)
    if tunnels:
        overlay.join(lab, lab.hosts)
    for host in lab.hosts:
        _add_endpoint(lab, host)


def make_namespaces(names: list[str]) -> None:
    """Make network namespaces."""
    run(["ip", "-batch", "-"], "".join(f"netns add {name}\n" for name in names))


def delete_namespace(name: str) -> None:
    """Take a namespace away, with all links in it."""
    run(["ip", "netns", "delete", name])


def add_host(lab: Lab, host: LabHost) -> None:
    """Give a host, whose namespace is there, its links and what its guests ask."""
    _add_links(lab, host)
    if lab.settings.fabric == "vxlan":
        overlay.join(lab, [host])
        overlay.copy_guests(lab, host)
    _add_endpoint(lab, host)


def _add_links(lab: Lab, host: LabHost) -> None:
    """Give a host its links, and shape the one for migrations."""
    tunnels, port = lab.settings.fabric == "vxlan", _port(host, "guests")
    _inside(
        host.namespace,
        "link set lo up",
        *_bridge("br0"),
        f"link add eth0 type veth peer name {port} netns {lab.switch}",
        *(overlay.endpoint_commands(host.number) if tunnels else ("link set eth0 master br0 up",)),
        f"addr add {host.address}/16 brd + dev br0",
        f"link add mig0 type veth peer name {_port(host, 'migration')} netns {lab.switch}",
        f"addr add {host.migration_address}/24 dev mig0",
        "link set mig0 up",
    )
    _inside(
        lab.switch,
        *(overlay.router_commands(port, host.number) if tunnels else (f"link set {port} master guests up",)),
        f"link set {_port(host, 'migration')} master migration up",
    )
    if lab.settings.rate_mbit_s is not None:
        shape(lab, host, lab.settings.rate_mbit_s)


def _add_endpoint(lab: Lab, host: LabHost) -> None:
    """Give a host the address that its guests ask, at a port of its bridge.

    They alone see it, for isolated ports do not see each other.  The entry for its card stays, whatever guests pretend.
    It comes after all hosts' links: the kernel looks at links that have come up once a second, and those would wait.
    """
    _inside(
        host.namespace,
        f"link add metadata0 address {METADATA_CARD} type veth peer name metadata1",
        "link set metadata1 master br0 up",
        "link set metadata0 up",
        f"addr add {METADATA_ADDRESS}/32 dev metadata0",
    )
    wire = () if lab.settings.fabric == "vxlan" else ("link set dev eth0 isolated on",)
    lines = (*wire, "link set dev metadata1 isolated on")
    entry = f"fdb replace {METADATA_CARD} dev metadata1 master static sticky"
    run(["bridge", "-n", host.namespace, "-batch", "-"], "".join(f"{line}\n" for line in (*lines, entry)))


def shape(lab: Lab, host: LabHost, rate_mbit_s: int) -> None:
    """Have a host's migration link carry so much in each direction."""
    burst = max(LEAST_BURST_BYTES, int(rate_mbit_s * 1e6 / 8 * BURST_S))
    for namespace, device in ((host.namespace, "mig0"), (lab.switch, _port(host, "migration"))):
        rate = ["rate", f"{rate_mbit_s}mbit", "burst", str(burst), "latency", "50ms"]
        run(["tc", "-n", namespace, "qdisc", "replace", "dev", device, "root", "tbf", *rate])


def set_link(lab: Lab, host: LabHost, plane: Plane, *, up: bool) -> None:
    """Plug a host's link in, or pull it out, at the switch."""
    _inside(lab.switch, f"link set {_port(host, plane)} {'up' if up else 'down'}")


def _port(host: LabHost, plane: Plane) -> str:
    return host.name if plane == "guests" else f"{host.name}m"


def _bridge(name: str) -> tuple[str, ...]:
    return (f"link add {name} type bridge forward_delay 0", f"link set {name} up")


def _inside(namespace: str, *lines: str) -> None:
    run(["ip", "-n", namespace, "-batch", "-"], "".join(f"{line}\n" for line in lines))
