"""One guest, from its domain's description and what its host counts."""

from collections.abc import Callable, Collection
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from xml.etree import ElementTree as ET

from slacktide.executors.inventory.observed import ObservedDisk, ObservedVm

if TYPE_CHECKING:
    import libvirt

KIB_PER_MIB: Final = 1024
BYTES_PER_MIB: Final = 2**20
SHARED_POOLS: Final = ("netfs", "rbd", "gluster", "iscsi", "iscsi-direct", "sheepdog")
"""Kinds of storage pools that several hosts see."""
HELD: Final = {
    "devices/hostdev": "a device of the host is passed through to it",
    "devices/filesystem": "it shares a folder of the host",
    "launchSecurity": "its memory is encrypted by the host",
}
"""What libvirt refuses to migrate a running guest with, and what it is."""


def observed_vm(domain: "libvirt.virDomain", stats: dict[str, Any], shared: Collection[PurePosixPath]) -> ObservedVm:
    """Return what there is to know of a running guest; files below ``shared`` are seen by all hosts."""
    root = ET.fromstring(domain.XMLDesc())
    resident_kib = None if root.find("memoryBacking/hugepages") is not None else stats.get("balloon.rss")
    processor = promised_processor(root)
    return ObservedVm(
        name=domain.name(),
        uuid=domain.UUIDString(),
        vcpus=int(stats.get("vcpu.current", root.findtext("vcpu") or 1)),
        memory_mib=-(-int(domain.maxMemory()) // KIB_PER_MIB),
        used_mib=None if resident_kib is None else -(-int(resident_kib) // KIB_PER_MIB),
        persistent=bool(domain.isPersistent()),
        disks=disks_of(domain, root, shared),
        held_by=held_by(root),
        cpu_xml=processor.xml,
        follows_host=processor.follows_host,
    )


class PromisedProcessor(NamedTuple):
    """What a guest was promised of its processor."""

    xml: str
    """Its description, empty: none that any host could lack."""
    follows_host: bool
    """Whether it is its host's."""


def promised_processor(root: ET.Element) -> PromisedProcessor:
    """Return what a guest was promised; emulated processors are the same on every host."""
    cpu = root.find("cpu")
    if cpu is None or root.get("type") != "kvm":
        return PromisedProcessor("", False)
    mode = cpu.get("mode", "custom")
    named = mode in ("custom", "host-model")
    return PromisedProcessor(
        ET.tostring(cpu, encoding="unicode") if named else "", mode in ("host-passthrough", "maximum")
    )


def disks_of(
    domain: "libvirt.virDomain", root: ET.Element, shared: Collection[PurePosixPath]
) -> tuple[ObservedDisk, ...]:
    """Return a guest's disks, asking its host what they take there; files below ``shared`` are seen by all hosts."""
    return tuple(observed_disks(root, _allocated(domain), _pool_kind(domain), shared))


def held_by(root: ET.Element) -> str:
    """Return what keeps a guest on its host, empty: nothing."""
    return "; ".join(words for path, words in HELD.items() if root.find(path) is not None)


def observed_disks(
    root: ET.Element,
    allocated_mib: Callable[[str], int],
    pool_kind: Callable[[str], str],
    shared: Collection[PurePosixPath],
) -> list[ObservedDisk]:
    """Return a guest's disks with what a migration copies of each: nothing of what is shared or only read."""
    disks = []
    for disk in root.iterfind("devices/disk"):
        target, place = disk.find("target"), disk.find("source")
        if target is None or place is None:
            continue  # a drive without a medium
        source = next(
            (place.attrib[key] for key in ("file", "dev", "name", "volume", "dir") if key in place.attrib), ""
        )
        stays = (
            disk.find("readonly") is not None
            or disk.find("shareable") is not None
            or disk.get("type") in ("network", "vhostvdpa")
            or any(PurePosixPath(source).is_relative_to(folder) for folder in shared)
            or pool_kind(source) in SHARED_POOLS
        )
        name = target.get("dev", "")
        disks.append(ObservedDisk(name, source, 0 if stays else allocated_mib(name)))
    return disks


def _allocated(domain: "libvirt.virDomain") -> Callable[[str], int]:
    def allocated_mib(target: str) -> int:
        _, allocation, _ = domain.blockInfo(target)
        return max(1, -(-int(allocation) // BYTES_PER_MIB))

    return allocated_mib


def _pool_kind(domain: "libvirt.virDomain") -> Callable[[str], str]:
    """Return what says of which kind the storage pool of a file is, empty: it is in none."""
    import libvirt

    connection = domain.connect()

    def kind(source: str) -> str:
        try:
            pool = connection.storageVolLookupByPath(source).storagePoolLookupByVolume()
        except libvirt.libvirtError:
            return ""
        return ET.fromstring(pool.XMLDesc()).get("type", "")

    return kind
