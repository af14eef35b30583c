"""The lab's guests: their sizes, their domains, and how they come to run."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final
from xml.sax.saxutils import quoteattr

from slacktide.errors import ExecutionError, UsageError
from slacktide.lab.guest_image import Accelerator, Image, Kind
from slacktide.lab.layout import LabHost
from slacktide.lab.network import METADATA_ADDRESS

if TYPE_CHECKING:
    import libvirt

BARE_MIB: Final = 24
"""What a bare guest needs beside its working set: that begins at 16 MiB, and QEMU's firmware lies at the end."""
LINUX_MIB: Final = 80
"""What a Linux guest needs beside its working set, and a sixteenth of that for what the kernel keeps of each page.

Debian's kernel for clouds unpacks itself into 52 MiB, and gives some back; with 10 MiB less it does not boot."""
FIRST_ADDRESS: Final = 256
"""Guests' addresses are 10.9.1.0 and on, in the subnet of the hosts."""
MOST_GUESTS: Final = 10_000
"""Guests are numbered in the subnet's addresses; memory and processors end sooner."""
IMAGES: Final = "/var/lib/libvirt/images"
"""Where a host has its guests' disks, as it sees it: storage that is its own, and one of its pools."""
BEATS_MS: Final = (1, 50)
"""Between what the guest's clock can tick at."""


@dataclass(frozen=True, slots=True)
class Guest:
    """What a guest is and does."""

    number: int
    memory_mib: int = 64
    working_set_mib: int = 32
    dirty_mib_s: float = 0.0
    """Rate at which it rewrites its working set, round after round."""
    beat_ms: int = 5
    """Time between two heartbeats, 1 to 50: the resolution with which a blackout is seen."""
    disk_mib: int = 0
    """Its disk on the host's own storage, filled with what nobody can foretell; 0: it has none."""
    kind: Kind = "bare"
    asks: bool = False
    """Whether it asks its host what is to come for it; guests of Linux can."""
    acknowledges_s: int | None = None
    """How long after it has heard of a migration it says that it is ready; null: it does not say so."""

    def __post_init__(self) -> None:
        if not 1 <= self.number <= MOST_GUESTS:
            raise UsageError(self.name, "has no address", f"Number guests from 1 to {MOST_GUESTS:,}")
        if not BEATS_MS[0] <= self.beat_ms <= BEATS_MS[1]:
            fact = f"cannot beat every {self.beat_ms} ms"
            raise UsageError(self.name, fact, f"Choose {BEATS_MS[0]} to {BEATS_MS[1]} ms")
        if self.asks and self.kind != "linux":
            raise UsageError(self.name, f"cannot ask its host: it is {self.kind}", "Make it one of Linux")
        least_mib = least_memory_mib(self.kind, self.working_set_mib)
        if least_mib > self.memory_mib:
            fact = f"has {self.memory_mib} MiB, too little for a working set of {self.working_set_mib} MiB"
            raise UsageError(self.name, fact, f"Give it {least_mib} MiB or more")

    @property
    def name(self) -> str:
        """Its domain's name, which is its id in a fleet."""
        return f"vm{self.number}"

    @property
    def address(self) -> str:
        """Where it answers."""
        number = FIRST_ADDRESS + self.number
        return f"10.9.{number >> 8}.{number & 255}"

    @property
    def card(self) -> str:
        """Its network card's address."""
        return f"52:54:00:09:{self.number >> 8:02x}:{self.number & 255:02x}"

    @property
    def command_line(self) -> str:
        """What its program is told."""
        pages_s = round(self.dirty_mib_s * 256)
        asking = f" metadata={METADATA_ADDRESS}" if self.asks else ""
        asking += "" if self.acknowledges_s is None else f" acknowledge_s={self.acknowledges_s}"
        return (
            f"name={self.name} ip={self.address}/16 working_set_mib={self.working_set_mib} "
            f"dirty_pages_s={pages_s} beat_ms={self.beat_ms}{asking}"
        )


def least_memory_mib(kind: Kind, working_set_mib: int) -> int:
    """Return how much memory a guest of such a working set boots in."""
    if kind == "linux":
        return working_set_mib + working_set_mib // 16 + LINUX_MIB
    return working_set_mib + BARE_MIB


def domain_xml(guest: Guest, image: Image, accelerator: Accelerator) -> str:
    """Return the guest's domain as libvirt takes it.

    The processor is the plainest that every host has, so that guests may go anywhere.
    """
    disk = (
        f"""<disk type='file' device='disk'>
      <driver name='qemu' type='raw'/>
      <source file='{IMAGES}/{guest.name}.raw'/>
      <target dev='vda' bus='virtio'/>
    </disk>"""
        if guest.disk_mib
        else ""
    )
    initramfs = "" if image.initramfs is None else f"<initrd>{image.initramfs}</initrd>"
    command_line = f"{image.options} {guest.command_line}".strip()
    cache = "<tcg><tb-cache unit='MiB'>32</tb-cache></tcg>" if accelerator == "qemu" else ""
    return f"""<domain type='{accelerator}'>
  <name>{guest.name}</name>
  <memory unit='MiB'>{guest.memory_mib}</memory>
  <vcpu>1</vcpu>
  <os>
    <type arch='x86_64' machine='pc'>hvm</type>
    <kernel>{image.kernel}</kernel>
    {initramfs}
    <cmdline>{command_line}</cmdline>
  </os>
  <features><acpi/><apic/>{cache}</features>
  <cpu mode='custom' match='exact' check='none'><model fallback='forbid'>qemu64</model></cpu>
  <on_poweroff>destroy</on_poweroff>
  <on_reboot>restart</on_reboot>
  <on_crash>destroy</on_crash>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <controller type='usb' model='none'/>
    {disk}
    <interface type='bridge'>
      <mac address={quoteattr(guest.card)}/>
      <source bridge='br0'/>
      <model type='virtio'/>
      <rom enabled='no'/>
    </interface>
    <serial type='file'><source path='/var/log/libvirt/{guest.name}.console'/></serial>
    <memballoon model='none'/>
  </devices>
</domain>
"""


def connect(host: LabHost) -> "libvirt.virConnect":
    """Return a connection to a host's libvirtd, through its socket.

    Raises
    ------
    ExecutionError
        If it does not answer.
    """
    import libvirt

    libvirt.registerErrorHandler(_silent, None)
    try:
        return libvirt.open(host.uri)
    except libvirt.libvirtError as error:
        fact = f"does not answer: {error.get_error_message()}"
        raise ExecutionError(
            f"libvirtd of lab host {host.name}", fact, f"See {host.folder}/log/libvirtd.log"
        ) from error


def make_pool(host: LabHost) -> None:
    """Have a host's libvirtd know the folder of its guests' disks as a pool, now and after each start.

    Raises
    ------
    ExecutionError
        If it does not, with libvirt's words.
    """
    import libvirt

    disk_of(host, "any").parent.mkdir(exist_ok=True)
    connection = connect(host)
    try:
        xml = f"<pool type='dir'><name>default</name><target><path>{IMAGES}</path></target></pool>"
        pool = connection.storagePoolDefineXML(xml)
        pool.create()
        pool.setAutostart(1)
    except libvirt.libvirtError as error:
        fact = f"makes no storage pool: {error.get_error_message()}"
        raise ExecutionError(f"lab host {host.name}", fact, f"See {host.folder}/log/libvirtd.log") from error
    finally:
        connection.close()


def disk_of(host: LabHost, guest: str) -> Path:
    """Return where a guest's disk on a host is, as seen from outside."""
    return host.folder / "lib" / "images" / f"{guest}.raw"


def start_guests(host: LabHost, guests: list[Guest], images: Mapping[Kind, Image], accelerator: Accelerator) -> None:
    """Define guests on a host, to stay, and start them.

    Raises
    ------
    ExecutionError
        If one does not start, with libvirt's words.
    """
    import libvirt

    connection = connect(host)
    try:
        for guest in guests:
            if guest.disk_mib:
                disk_of(host, guest.name).write_bytes(os.urandom(guest.disk_mib * 2**20))
            try:
                connection.defineXML(domain_xml(guest, images[guest.kind], accelerator)).create()
            except libvirt.libvirtError as error:
                fact = f"does not start on {host.name}: {error.get_error_message()}"
                remedy = f"See {host.folder}/log/qemu/{guest.name}.log"
                raise ExecutionError(f"guest {guest.name}", fact, remedy) from error
    finally:
        connection.close()


def guests_on(host: LabHost, *, off: bool = False) -> list[str]:
    """Return the names of the guests that run on a host, or of those that are defined there and ``off``."""
    import libvirt

    wanted = libvirt.VIR_CONNECT_LIST_DOMAINS_INACTIVE if off else libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE
    connection = connect(host)
    try:
        return sorted(domain.name() for domain in connection.listAllDomains(wanted))
    finally:
        connection.close()


def _silent(_context: object, _error: object) -> None:
    """Keep libvirt from writing errors, which are raised, to standard error too."""
