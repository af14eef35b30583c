"""Migrations on real hosts that go wrong at a chosen moment: two hosts, and one attempt of the live driver at a time.

Where a VM is, is never taken from the driver here: both hosts are asked, and its heartbeats are heard.
"""

import os
import secrets
import select
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from live_attempts import LOOK_S, POSTCOPY, PRECOPY, Moving

from slacktide.executors import events
from slacktide.executors.probes.namespaces import socket_in
from slacktide.lab import host as hosts
from slacktide.lab import network
from slacktide.lab.guest_image import Image, Kind, accelerator, bare_image
from slacktide.lab.guests import Guest, connect, start_guests
from slacktide.lab.layout import Lab, LabHost, LabSettings
from slacktide.lab.lifecycle import down, listen, up
from slacktide.lab.namespaces import command_of, first_process_in, processes_in
from slacktide.planner.policy import MigrationRules

RATE_MBIT_S = 200
SETTLE_S = 3.0
END_S = 5.0
EMPTY_S = 5.0
"""How long libvirtd may take to see that a QEMU has ended."""
LIBVIRTD, QEMU = "libvirtd", "qemu-system-x86"
ABSENT, RUNNING, PAUSED, OFF = "absent", "running", "paused", "off"
HOT = Guest(1, 56, 32, dirty_mib_s=60.0)
"""Dirties more than a link of 200 Mbit/s carries: its brownout lasts until something ends it."""
CALM = Guest(1, 56, 32, dirty_mib_s=2.0)


class Found(NamedTuple):
    """Where a guest is, by the word of both hosts, and how it is, by its heartbeats."""

    source: str
    target: str
    beats: bool
    """Whether it beats now."""
    bad_pages: int = 0
    twice: int = 0
    """Beats that were heard twice: two running copies count the same."""
    qemus: tuple[int, int] = (0, 0)
    """QEMU processes on source and target."""


ON_SOURCE = Found(RUNNING, ABSENT, beats=True, qemus=(1, 0))
ON_TARGET = Found(ABSENT, RUNNING, beats=True, qemus=(0, 1))
OFF_ON_SOURCE = Found(OFF, ABSENT, beats=False)


class TwoHosts:
    """A lab of two hosts, which each test finds in order, and puts one guest on the first."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.source, self.target = lab.hosts
        self.heartbeats = listen(lab)
        self.moving: list[Moving] = []
        """Attempts of the current test."""
        self._images: dict[Kind, Image] = {"bare": bare_image()}
        self._by = accelerator(self._images.values(), lab.folder, ["ip", "netns", "exec", lab.control])

    def mend(self) -> None:
        """Plug in and start what a test broke, and take every guest away."""
        torn = any(events.VmLost in moving.kinds() for moving in self.moving)
        while self.moving:
            self.moving.pop().driver.close()
        for host in self.lab.hosts:
            self.power_on(host)
            network.shape(self.lab, host, RATE_MBIT_S)
            for plane in ("guests", "migration"):
                network.set_link(self.lab, host, plane, up=True)
            for process in self.processes(host, QEMU):
                os.kill(process, signal.SIGKILL)
        for host in self.lab.hosts:
            if torn:  # what was torn keeps its libvirtd from answering for long
                self.start_libvirtd_anew(host)
            self.start_libvirtd(host)
            if not emptied(host):
                self.start_libvirtd_anew(host)
                if not emptied(host):
                    raise AssertionError(f"{host.name} still has domains")

    def start_libvirtd_anew(self, host: LabHost) -> None:
        """Kill a host's libvirtd, if it runs, and start it."""
        if self.processes(host, LIBVIRTD):
            self.kill(host, LIBVIRTD)
        self.start_libvirtd(host)

    def start(self, guest: Guest) -> None:
        """Start a guest on the source and wait until it beats; what was heard of an earlier one is forgotten."""
        self.heartbeats.forget(guest.name)
        start_guests(self.source, [guest], self._images, self._by)
        assert self.heartbeats.wait_for([guest.name], 3, 30.0) == []

    def begin(self, guest: Guest, rules: MigrationRules = PRECOPY, strategy: str = "precopy", **changes: Any) -> Moving:
        """Start a guest and an attempt to migrate it."""
        self.start(guest)
        moving = self.attempt(rules, strategy, **changes)
        moving.begin()
        return moving

    def attempt(self, rules: MigrationRules = PRECOPY, strategy: str = "precopy", **changes: Any) -> Moving:
        """Return an attempt that was not asked for yet."""
        self.moving.append(Moving(self.lab, rules, strategy, **changes))
        return self.moving[-1]

    def preparing(self) -> Moving:
        """Begin a migration and return it while its target starts an empty VM."""
        moving = self.begin(HOT)
        moving.until(events.TargetReserved)
        until_s = time.monotonic() + 10
        while not self.processes(self.target, QEMU):
            assert time.monotonic() < until_s
            time.sleep(0.001)
        return moving

    def in_brownout(self, guest: Guest = HOT, rules: MigrationRules = PRECOPY, **changes: Any) -> Moving:
        """Start both and wait until memory is copied."""
        moving = self.begin(guest, rules, **changes)
        moving.until(events.BrownoutStarted)
        time.sleep(0.2)
        return moving

    def switched(self) -> Moving:
        """Start both by post-copy and wait until the guest has moved, which leaves memory behind."""
        moving = self.begin(HOT, POSTCOPY, "postcopy")
        moving.until(events.ForwardingStarted)
        return moving

    def processes(self, host: LabHost, command: str) -> list[int]:
        """Return the processes of a host with this short name; a QEMU only if it is the guest's."""
        found = [process for process in processes_in(host.namespace) if command_of(process) == command]
        return found if command != QEMU else [process for process in found if b"guest=vm1," in words_of(process)]

    def kill(self, host: LabHost, command: str) -> None:
        """Kill a host's libvirtd, or its only QEMU, as the kernel does when memory runs out; return once it is gone."""
        (process,) = self.processes(host, command)
        ending = os.pidfd_open(process)
        try:
            signal.pidfd_send_signal(ending, signal.SIGKILL)
            select.select([ending], [], [], END_S)
        finally:
            os.close(ending)

    def power_on(self, host: LabHost) -> None:
        """Switch a host on, unless it is."""
        if first_process_in(host.namespace) is None:
            hosts.power_on(host)

    def start_libvirtd(self, host: LabHost) -> None:
        """Start a host's libvirtd, unless it runs."""
        if hosts.libvirtd_of(host) is None:
            hosts.wait_for_libvirtd(host, hosts.start_libvirtd(host))

    def cut(self, plane: network.Plane) -> None:
        """Pull the target's link out."""
        network.set_link(self.lab, self.target, plane, up=False)

    def found(self) -> "Found":
        """Return where the guest is and how."""
        heard = list(self.heartbeats._heard["vm1"])
        numbers = [beat.number for beat in heard]
        return Found(
            said(self.source),
            said(self.target),
            self.heartbeats.wait_for(["vm1"], 5, 1.0) == [],
            max(beat.bad for beat in heard),
            len(numbers) - len(set(numbers)),
            (len(self.processes(self.source, QEMU)), len(self.processes(self.target, QEMU))),
        )

    def settles(self, wanted: "Found") -> "Found":
        """Return ``wanted`` once it was found, or what else is after three seconds: a new libvirtd clears up first."""
        until_s = time.monotonic() + SETTLE_S
        while (found := self.found()) != wanted and time.monotonic() < until_s:
            time.sleep(LOOK_S)
        return found

    def tell(self, words: str) -> None:
        """Send a command to the guest."""
        with socket_in(self.lab.control, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as sender:
            sender.sendto(words.encode(), (HOT.address, 7001))


@contextmanager
def two_hosts() -> Iterator[TwoHosts]:
    """Have a lab of two hosts."""
    name = f"t{secrets.token_hex(4)}"
    try:
        two = TwoHosts(up(LabSettings(name, 2, RATE_MBIT_S), [], lambda *_: None))
        with two.heartbeats:
            yield two
    finally:
        down(name)


@contextmanager
def connection(host: LabHost) -> Iterator[Any]:
    """Have a connection to a host's libvirtd that is not the driver's."""
    opened = connect(host)
    try:
        yield opened
    finally:
        opened.close()


def words_of(process: int) -> bytes:
    """Return a process's command line, empty: it has ended."""
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return b""


def said(host: LabHost) -> str:
    """Return what a host says of the VM."""
    import libvirt

    with connection(host) as opened:
        try:
            state = opened.lookupByName("vm1").state()[0]
        except libvirt.libvirtError as error:
            if error.get_error_code() != libvirt.VIR_ERR_NO_DOMAIN:
                raise
            return ABSENT
    names = {libvirt.VIR_DOMAIN_RUNNING: RUNNING, libvirt.VIR_DOMAIN_SHUTOFF: OFF, libvirt.VIR_DOMAIN_PAUSED: PAUSED}
    return names.get(state, f"state {state}")


def emptied(host: LabHost) -> bool:
    """Return whether a host has no domains any more, once those are undefined whose QEMU has ended."""
    import libvirt

    until_s = time.monotonic() + EMPTY_S
    with connection(host) as opened:
        while domains := opened.listAllDomains():
            for domain in domains:
                with suppress(libvirt.libvirtError):  # it is still ending, or was not there to stay
                    if not domain.isActive():
                        domain.undefine()
            if time.monotonic() > until_s:
                return False
            time.sleep(LOOK_S)
    return True
