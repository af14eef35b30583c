"""What bears on a migration: facts of a guest on its host, of a host, and of a guest on a host that it may go to.

All of it is read.  Functions let ``libvirt.libvirtError`` through where a host does not answer, or a domain is no more;
whoever asks knows what that means.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final, NamedTuple
from xml.etree import ElementTree as ET

from slacktide.executors.inventory.domain import BYTES_PER_MIB, KIB_PER_MIB, disks_of, held_by, promised_processor
from slacktide.executors.inventory.hosts import software_of
from slacktide.executors.inventory.observed import ObservedDisk
from slacktide.executors.preflight.lacks import cpu_lacks, disks_lack, has_network, machine_lacks

if TYPE_CHECKING:
    import libvirt

STATES: Final = ("in no state", "running", "blocked", "paused", "shutting down", "shut off", "crashed", "suspended")
"""What ``virDomainState`` counts."""
RUNNING: Final = ("running", "blocked")
"""Blocked on input or output: it runs."""
POSTCOPY: Final = (10, 11)
"""Reasons why a domain runs, ``VIR_DOMAIN_RUNNING_POSTCOPY`` and its failure, in which a host does not say what job is
under way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GuestFacts:
    """One domain on the host that it is on."""

    name: str
    uuid: str
    host_uuid: str
    """Of the host that it is on."""
    state: str
    """One of :data:`STATES`."""
    persistent: bool
    """Whether it stays defined when it ends."""
    memory_mib: int
    """What it may use."""
    vcpus: int
    machine: str
    """QEMU's machine type, such as ``pc-q35-9.2``."""
    arch: str
    virt_type: str
    """``kvm``, or ``qemu`` for an emulated one."""
    emulator: str
    """Path of its QEMU, which libvirt starts on the target too; empty: libvirt chooses."""
    cpu_xml: str
    """The processor that it was promised, empty: none that a host could lack."""
    follows_host: bool
    """Whether its processor is its host's."""
    disks: tuple[ObservedDisk, ...]
    networks: tuple[str, ...]
    """libvirt's networks that its interfaces are in."""
    bridges: tuple[str, ...]
    """The host's bridges that its interfaces are on."""
    cards: tuple[str, ...] = ()
    """MAC addresses of its interfaces, in small letters."""
    held_by: str
    """What keeps it on its host, empty: nothing."""
    job: str
    """What libvirt is doing with it, empty: nothing."""
    snapshots: int
    """Those that libvirt keeps of it; it migrates no guest that has any."""

    @property
    def running(self) -> bool:
        """Whether it runs."""
        return self.state in RUNNING


class DomainOnHost(NamedTuple):
    """A domain that a host knows."""

    name: str
    uuid: str
    active: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetFacts:
    """One host that guests may go to."""

    name: str
    uuid: str
    domains: tuple[DomainOnHost, ...]
    """All that are defined or run, by name."""
    memory_mib: int
    available_mib: int
    """Memory that a guest could have now: free, or used for nothing but caches."""
    software: str
    """Versions of hypervisor and libvirt."""
    arch: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GuestOnTarget:
    """What a host lacks for a guest; empty where it lacks nothing, or cannot tell."""

    cpu: str = ""
    """Why the guest's processor is not to be had there."""
    machine: str = ""
    """Why its QEMU does not make the guest's machine."""
    networks: tuple[str, ...] = ()
    """Names of those that are not there, or not active."""
    disks: tuple[str, ...] = ()
    """Why there is no place for a disk, for each such disk."""


def guest_facts(
    domain: "libvirt.virDomain", shared_paths: Collection[PurePosixPath] = (), *, host_uuid: str | None = None
) -> GuestFacts:
    """Return what there is to know of a domain before it leaves its host; files below ``shared_paths`` are not copied.

    Whoever asks about many domains of a host gives ``host_uuid``, so that the host is not asked for it each time.

    Raises
    ------
    libvirt.libvirtError
        If the domain is no more, or its host does not answer.
    """
    root = ET.fromstring(domain.XMLDesc())
    number, reason = domain.state()[:2]
    state = STATES[number] if number < len(STATES) else STATES[0]
    processor = promised_processor(root)
    kind = root.find("os/type")
    disks = disks_of(domain, root, shared_paths) if domain.isActive() else ()
    return GuestFacts(
        name=domain.name(),
        uuid=domain.UUIDString(),
        host_uuid=_host_uuid(domain.connect()) if host_uuid is None else host_uuid,
        state=state,
        persistent=bool(domain.isPersistent()),
        memory_mib=-(-int(domain.maxMemory()) // KIB_PER_MIB),
        vcpus=int(root.findtext("vcpu") or 1),
        machine="" if kind is None else kind.get("machine", ""),
        arch="" if kind is None else kind.get("arch", ""),
        virt_type=root.get("type", ""),
        emulator=root.findtext("devices/emulator") or "",
        cpu_xml=processor.xml,
        follows_host=processor.follows_host,
        disks=disks,
        networks=_sources(root, "network"),
        bridges=_sources(root, "bridge"),
        cards=cards_of(root),
        held_by=held_by(root),
        job=_job(domain, reason, disks) if state in RUNNING else "",
        snapshots=int(domain.snapshotNum()),
    )


def target_facts(connection: "libvirt.virConnect") -> TargetFacts:
    """Return what there is to know of a host before guests go there.

    Raises
    ------
    libvirt.libvirtError
        If it does not answer.
    """
    import libvirt

    arch, whole_mib, *_ = connection.getInfo()
    memory_mib, available_mib = _memory_mib(connection, int(whole_mib))
    kinds = ((libvirt.VIR_CONNECT_LIST_DOMAINS_INACTIVE, False), (libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE, True))
    known = {
        domain.UUIDString(): DomainOnHost(domain.name(), domain.UUIDString(), active)
        for flag, active in kinds  # one that starts meanwhile counts as active
        for domain in connection.listAllDomains(flag)
    }
    return TargetFacts(
        name=connection.getHostname(),
        uuid=_host_uuid(connection),
        domains=tuple(sorted(known.values())),
        memory_mib=memory_mib,
        available_mib=available_mib,
        software=software_of(connection),
        arch=str(arch),
    )


def able(connection: "libvirt.virConnect", guest: GuestFacts) -> GuestOnTarget:
    """Return what a host lacks for a guest, by its own word.

    Raises
    ------
    libvirt.libvirtError
        If the host does not answer.
    """
    machine = machine_lacks(connection, guest)
    return GuestOnTarget(
        cpu="" if machine or not guest.cpu_xml else cpu_lacks(connection, guest),
        machine=machine,
        networks=tuple(name for name in guest.networks if not has_network(connection, name)),
        disks=tuple(disks_lack(connection, guest.disks)),
    )


def cards_of(root: ET.Element) -> tuple[str, ...]:
    """Return the MAC addresses of a domain's interfaces, in small letters."""
    found = (card.get("address", "") for card in root.iterfind("devices/interface/mac"))
    return tuple(sorted({card.lower() for card in found if card}))


def _sources(root: ET.Element, kind: str) -> tuple[str, ...]:
    """Return the networks, or the bridges, that a domain's interfaces are in."""
    places = (interface.find("source") for interface in root.iterfind(f"devices/interface[@type='{kind}']"))
    return tuple(sorted({name for place in places if place is not None and (name := place.get(kind))}))


def _host_uuid(connection: "libvirt.virConnect") -> str:
    return ET.fromstring(connection.getCapabilities()).findtext("host/uuid") or ""


def _memory_mib(connection: "libvirt.virConnect", whole_mib: int) -> tuple[int, int]:
    """Return a host's memory, which may have grown since it said ``whole_mib``, and what of it is available."""
    import libvirt

    try:
        stats = connection.getMemoryStats(libvirt.VIR_NODE_MEMORY_STATS_ALL_CELLS)
    except libvirt.libvirtError:
        return whole_mib, int(connection.getFreeMemory()) // BYTES_PER_MIB
    available_kib = sum(int(stats.get(kind, 0)) for kind in ("free", "buffers", "cached"))
    return int(stats.get("total", whole_mib * KIB_PER_MIB)) // KIB_PER_MIB, available_kib // KIB_PER_MIB


def _job(domain: "libvirt.virDomain", reason: int, disks: Iterable[ObservedDisk]) -> str:
    """Return what libvirt is doing with a domain that runs for a reason, or with one of its disks; empty: nothing."""
    import libvirt

    if reason in POSTCOPY:
        return "a migration that is in post-copy"
    try:
        if domain.jobInfo()[0] != libvirt.VIR_DOMAIN_JOB_NONE:
            return "a job, such as a migration, a dump or a backup"
        busy = next((disk.target for disk in disks if domain.blockJobInfo(disk.target)), "")
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_OPERATION_TIMEOUT:
            return "something that keeps all else waiting"
        if error.get_error_code() == libvirt.VIR_ERR_NO_SUPPORT:
            return ""
        raise
    return f"a job on its disk {busy}" if busy else ""
