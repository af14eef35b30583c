"""The links of a lab on programmed VXLAN, with a network namespace in its guest's place."""

import fcntl
import os
import re
import secrets
import socket
import struct
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from slacktide.executors.fabrics.protocol import Move
from slacktide.executors.fabrics.settings import VxlanFabricSettings
from slacktide.executors.fabrics.vxlan import VxlanFabric
from slacktide.executors.probes.namespaces import enter, socket_in
from slacktide.ids import HostId, VmId
from slacktide.lab import network, overlay
from slacktide.lab.commands import run
from slacktide.lab.guests import Guest
from slacktide.lab.layout import Lab, LabSettings
from slacktide.lab.namespaces import namespaces_of

VM = Guest(1)
PORT = 7
PATIENCE_S = 20.0
ARRIVES_S = 1.0
"""How long a packet may take on a busy machine; what has not come by then was lost."""


class Links:
    """The links of a lab of three hosts, without hosts, and one guest that is somewhere."""

    def __init__(self) -> None:
        self.lab = Lab(LabSettings(f"t{secrets.token_hex(4)}", 3, None, "vxlan"))
        self.guest = f"{self.lab.name}-guest"
        self.sent = 0
        self.opened: list[VxlanFabric] = []
        network.make_network(self.lab)
        self.run_at("h1")
        overlay.place_guests(self.lab, [(VM.card, self.lab.hosts[0])])
        # Packets are counted to the last: nobody asks for the guest's address in between.
        known = ["neigh", "replace", VM.address, "lladdr", VM.card, "dev", "br0", "nud", "permanent"]
        run(["ip", "-n", self.lab.control, *known])
        self.wire = socket_in(self.lab.control, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))

    def run_at(self, host: str) -> None:
        """Have the guest run on a host, and on no other; its card answers to what is sent there."""
        self.end_guest()
        network.make_namespaces([self.guest])
        namespace, card = f"{self.lab.name}-{host}", f"fe{VM.card[2:]}"
        link = f"link add vnet0 address {card} type veth peer name eth0 address {VM.card} netns {self.guest}"
        run(["ip", "-n", namespace, "-batch", "-"], f"{link}\nlink set vnet0 master br0 up\n")
        lines = f"link set eth0 up\naddr add {VM.address}/16 dev eth0\n"
        run(["ip", "-n", self.guest, "-batch", "-"], lines)
        self.heard = socket_in(self.guest, listening)

    def end_guest(self) -> None:
        if subprocess.run(["ip", "netns", "delete", self.guest], capture_output=True, check=False).returncode == 0:
            self.heard.close()
            until_s = time.monotonic() + PATIENCE_S
            while any("vnet0" in run(["ip", "-n", host.namespace, "link"]) for host in self.lab.hosts):
                assert time.monotonic() < until_s
                time.sleep(0.01)

    def reached(self, count: int = 3) -> int:
        """Send the guest so many packets from the control namespace; return how many it gets."""
        for _ in range(count):
            self.sent += 1
            self.wire.sendto(str(self.sent).encode(), (VM.address, PORT))
            time.sleep(0.01)
        got, until_s = 0, time.monotonic() + ARRIVES_S
        while got < count and time.monotonic() < until_s:
            try:
                self.heard.recv(64)
                got += 1
            except TimeoutError:
                continue
        return got

    def fabric(self, **changes: object) -> VxlanFabric:
        settings = overlay.fabric_settings(self.lab).model_dump() | changes
        self.opened.append(VxlanFabric(VxlanFabricSettings.model_validate(settings)))
        return self.opened[-1]

    def tunnelled(self) -> int:
        """Return the packets that were ever sent through devices for what is forwarded."""
        spaces = [self.lab.control, *(host.namespace for host in self.lab.hosts)]
        said = [run(["ip", "-n", space, "-s", "-j", "link", "show", "forward0"]) for space in spaces]
        return sum(int(re.search(r'"tx":\{"bytes":\d+,"packets":(\d+)', text)[1]) for text in said)

    def close(self) -> None:
        for fabric in self.opened:
            fabric.close()
        self.wire.close()
        self.end_guest()
        for namespace in namespaces_of(self.lab.name):
            network.delete_namespace(namespace)


def listening() -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind(("", PORT))
    made.settimeout(0.1)
    return made


def tap_in(namespace: str, name: str) -> int:
    """Return the guest's end of a new port in a namespace, which is there until that is closed."""

    def inside() -> int:
        enter(namespace)
        end = os.open("/dev/net/tun", os.O_RDWR)
        fcntl.ioctl(end, 0x400454CA, struct.pack("16sH22x", name.encode(), 0x0002 | 0x1000))
        return end

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(inside).result()


def move(source: str, target: str) -> Move:
    return Move(VmId(VM.name), (VM.card,), HostId(source), HostId(target))


def switched(links: Links, fabric: VxlanFabric, source: str, target: str) -> Move:
    """Have the guest go from one host to another, the source forwarding from before it ends there."""
    going = move(source, target)
    fabric.prepare(going)
    fabric.forward(going)
    links.run_at(target)
    fabric.forward(going)  # once more, now that its port is there
    return going


def until_confirmed(fabric: VxlanFabric, going: Move) -> None:
    until_s = time.monotonic() + PATIENCE_S
    while fabric.confirm(going):
        assert time.monotonic() < until_s
        time.sleep(0.01)


@contextmanager
def links_of_a_lab() -> Iterator[Links]:
    """Return links that are gone afterwards, the guest on the first host."""
    made = Links()
    try:
        assert made.reached() == 3, "all endpoints send to the first host at the beginning"
        yield made
    finally:
        made.close()
