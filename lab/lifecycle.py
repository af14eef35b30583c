"""A lab comes up, says how it is, and goes down without a trace; read :func:`up` as the table of contents."""

import fcntl
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final

from slacktide.atomic import write_file
from slacktide.errors import ExecutionError, UsageError
from slacktide.executors.fabrics.settings import BridgeFabricSettings, BridgePlace, VxlanFabricSettings
from slacktide.executors.probes.heartbeats import Heartbeats, listening_socket
from slacktide.executors.probes.namespaces import socket_in
from slacktide.ids import HostId
from slacktide.lab import certificates, network, overlay
from slacktide.lab import host as hosts
from slacktide.lab.guest_image import Accelerator, Image, Kind, accelerator, bare_image
from slacktide.lab.guests import Guest, guests_on, make_pool, start_guests
from slacktide.lab.layout import FABRIC_FILE, ROOT, FabricKind, Lab, LabHost, LabSettings, read_lab, refuse_wrong_name
from slacktide.lab.linux_image import linux_image
from slacktide.lab.namespaces import first_process_in, namespaces_of
from slacktide.lab.places import make_places, remove_places
from slacktide.lab.requirements import refuse_if_missing, refuse_if_too_large

FIRST_BEATS: Final = 3
"""Heartbeats after which a guest counts as running."""
IMAGES: Final[Mapping[Kind, Callable[[], Image]]] = {"bare": bare_image, "linux": linux_image}
BOOT_S: Final[Mapping[Kind, float]] = {"bare": 30.0, "linux": 120.0}
"""How long guests may take to beat on a busy machine; a dozen of Linux took 40 s on two processors without KVM."""
LISTEN_S: Final = 0.5
"""How long ``status`` listens: ten beats of the slowest guest."""

Tell = Callable[[float, str], None]
"""Takes how much is done, as a share, and a few words about it."""


@dataclass(frozen=True, slots=True)
class HostStatus:
    """How a host of a lab is."""

    name: str
    on: bool
    libvirtd: bool
    uri: str
    guests: tuple[str, ...]
    """Names of those that run on it."""
    off: tuple[str, ...]
    """Names of those that are defined on it and do not run."""


@dataclass(frozen=True, slots=True)
class LabStatus:
    """How a lab is."""

    name: str
    rate_mbit_s: int | None
    fabric: FabricKind
    fabric_delay_ms: float
    hosts: tuple[HostStatus, ...]
    beating: tuple[str, ...]
    """Guests whose heart was heard just now, wherever they run."""
    bad_pages: int
    """Pages that guests found to be not as they had left them."""


def up(settings: LabSettings, guests: list[Guest], tell: Tell) -> Lab:
    """Start a lab, spread guests over its hosts in turn, and wait until all of them beat.

    What goes wrong half-way, an interrupt among it, takes everything down again.

    Raises
    ------
    UsageError
        If the machine lacks something, memory for the guests among it, or a lab of this name is up.
    ExecutionError
        If something does not start.
    """
    refuse_if_missing(*{guest.kind for guest in guests})
    refuse_if_too_large(sum(guest.memory_mib for guest in guests))
    lab = Lab(settings)
    with _alone():
        if lab.folder.exists() or namespaces_of(lab.name):
            fact = "is up already, or a part of it is left"
            raise UsageError(f"lab {lab.name}", fact, f"Take it down: `slacktide lab down --name {lab.name}`")
        lab.begin()
        try:
            _build(lab, guests, tell)
        except BaseException:
            _take_down(lab.name)
            raise
    return lab


def _build(lab: Lab, guests: list[Guest], tell: Tell) -> None:
    tell(0.0, "certificates")
    make_places(lab)
    authority = certificates.new_authority(f"Slacktide lab {lab.name}")
    certificates.write_authority(lab.folder / "authority", authority)
    certificates.write_client(lab.folder / "client", authority, certificates.new_pair(authority, "client"))
    hosts.write_shared(lab.folder / "shared", lab.hosts)
    tell(0.2, "links")
    network.make_network(lab)
    write_fabric(lab)
    tell(0.3, "hosts")
    for host in lab.hosts:
        _furnish(lab, host, authority)
        hosts.power_on(host)
    starting = [(host, hosts.start_libvirtd(host)) for host in lab.hosts]
    for host, process in starting:
        hosts.wait_for_libvirtd(host, process)
        make_pool(host)
    if guests:
        tell(0.6, "guests")
        images = {kind: IMAGES[kind]() for kind in sorted({guest.kind for guest in guests})}
        by = accelerator(images.values(), lab.folder, ["ip", "netns", "exec", lab.control])
        start_and_hear(lab, guests, images, by)


def _furnish(lab: Lab, host: LabHost, authority: certificates.Pair) -> None:
    hosts.furnish(host, lab.folder / "shared")
    certificates.write_host(host.folder / "pki", authority, certificates.new_pair(authority, host.name, host))


def start_and_hear(lab: Lab, guests: list[Guest], images: Mapping[Kind, Image], by: Accelerator) -> None:
    """Start guests on the hosts in turn and wait until all of them beat.

    Raises
    ------
    ExecutionError
        If one does not start or does not beat.
    """
    boot_s = max(BOOT_S[kind] for kind in images)
    with listen(lab) as heartbeats:
        for place, host in enumerate(lab.hosts):
            start_guests(host, guests[place :: len(lab.hosts)], images, by)
        if lab.settings.fabric == "vxlan":
            placed = [
                (each.card, host) for place, host in enumerate(lab.hosts) for each in guests[place :: len(lab.hosts)]
            ]
            overlay.place_guests(lab, placed)
        silent = heartbeats.wait_for([guest.name for guest in guests], FIRST_BEATS, boot_s)
    if silent:
        fact = f"{', '.join(silent)} did not beat within {boot_s:.0f} s"
        raise ExecutionError(f"lab {lab.name}", fact, "See the consoles in its hosts' log folders")


def write_fabric(lab: Lab) -> None:
    """Write down what a campaign has to know of the lab's fabric."""
    settings: BridgeFabricSettings | VxlanFabricSettings
    if lab.settings.fabric == "vxlan":
        settings = overlay.fabric_settings(lab)
    else:
        bridges = {HostId(host.name): BridgePlace(namespace=host.namespace, uplinks=("eth0",)) for host in lab.hosts}
        settings = BridgeFabricSettings(kind="bridge", bridges=bridges)
    write_file(lab.folder / FABRIC_FILE, settings.model_dump_json(indent=2).encode())


def listen(lab: Lab) -> Heartbeats:
    """Return what hears the lab's guests from its control namespace, until it is closed."""
    return Heartbeats(socket_in(lab.control, listening_socket))


def add_host(name: str) -> LabHost:
    """Start one host more in a lab that is up, empty and known to the others; return it.

    Raises
    ------
    UsageError
        If there is no lab of this name, or it has as many hosts as there are addresses.
    ExecutionError
        If the host does not start; nothing of it is left then.
    """
    with _alone():
        before = read_lab(name)
        lab = Lab(replace(before.settings, hosts=before.settings.hosts + 1))
        host = lab.hosts[-1]
        try:
            hosts.write_shared(lab.folder / "shared", lab.hosts)
            network.make_namespaces([host.namespace])
            network.add_host(lab, host)
            _furnish(lab, host, certificates.read_authority(lab.folder / "authority"))
            hosts.power_on(host)
            hosts.wait_for_libvirtd(host, hosts.start_libvirtd(host))
            make_pool(host)
        except BaseException:
            hosts.write_shared(lab.folder / "shared", before.hosts)
            hosts.remove(host)
            raise
        write_fabric(lab)
        lab.save()
    return host


def reboot(name: str, host_name: str) -> None:
    """Switch a host of a lab off as a power cut does, and on again; guests that ran on it are off afterwards.

    Raises
    ------
    UsageError
        If there is no such lab or host.
    ExecutionError
        If the host does not come back.
    """
    lab = read_lab(name)
    host = next((host for host in lab.hosts if host.name == host_name), None)
    if host is None:
        raise UsageError(f"lab {name}", f"has no host {host_name}", "See `slacktide lab status`")
    hosts.power_off(host)
    hosts.power_on(host)
    hosts.wait_for_libvirtd(host, hosts.start_libvirtd(host))


def down(name: str) -> bool:
    """Take a lab down, or what is left of one; return whether there was anything.

    Everything is found by the lab's name, so this works after a crash at any point, and twice.

    Raises
    ------
    UsageError
        If no lab can have this name.
    ExecutionError
        If a process of it does not end.
    """
    refuse_wrong_name(name)
    with _alone():
        return _take_down(name)


def _take_down(name: str) -> bool:
    found = namespaces_of(name)
    folder = ROOT / name
    for namespace in found:
        hosts.kill_all(namespace)
    for namespace in found:
        network.delete_namespace(namespace)
    there = folder.exists()
    if there:
        remove_places(folder)
        shutil.rmtree(folder)
    if ROOT.exists() and not any(ROOT.iterdir()):
        ROOT.rmdir()
    return bool(found) or there


def status(name: str) -> LabStatus:
    """Return how a lab is; it listens to its guests for half a second, once nobody starts or takes down a lab.

    Raises
    ------
    UsageError
        If there is none of this name, or only a part of it is left.
    """
    with _alone():
        return _status(read_lab(name))


def _status(lab: Lab) -> LabStatus:
    if lab.control not in namespaces_of(lab.name):
        fact = "is only there in part: its start was cut short"
        raise UsageError(f"lab {lab.name}", fact, f"Take it down: `slacktide lab down --name {lab.name}`")
    with listen(lab) as heartbeats:
        time.sleep(LISTEN_S)
    heard = [(guest, heartbeats.last(guest)) for guest in heartbeats.names()]
    bad = sum(beat.bad for _, beat in heard if beat is not None)
    return LabStatus(
        name=lab.name,
        rate_mbit_s=lab.settings.rate_mbit_s,
        fabric=lab.settings.fabric,
        fabric_delay_ms=lab.settings.fabric_delay_ms,
        hosts=tuple(_host_status(host) for host in lab.hosts),
        beating=tuple(guest for guest, _ in heard),
        bad_pages=bad,
    )


def _host_status(host: LabHost) -> HostStatus:
    on = first_process_in(host.namespace) is not None
    libvirtd = hosts.libvirtd_of(host) is not None
    guests, off = (tuple(guests_on(host, off=off)) if libvirtd else () for off in (False, True))
    return HostStatus(host.name, on, libvirtd, host.uri, guests, off)


@contextmanager
def _alone() -> Iterator[None]:
    """Keep two commands from making or taking down labs at once: they share folders of the machine."""
    folder = os.open(ROOT.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)
