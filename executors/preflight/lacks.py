"""What a host lacks for a guest, by its own word; each question on its own.

Where a host answers that it does not know such a question, it lacks nothing.  ``libvirt.libvirtError`` is let through
where it does not answer.
"""

from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final
from xml.etree import ElementTree as ET

from slacktide.executors.inventory.domain import BYTES_PER_MIB

if TYPE_CHECKING:
    import libvirt

    from slacktide.executors.inventory.observed import ObservedDisk
    from slacktide.executors.preflight.facts import GuestFacts

FEATURES_NAMED: Final = 8
"""Features of a processor that are named: of another generation dozens are missing, and the model says it."""
FEATURES: Final = "required features: "
"""After this libvirt lists what is missing."""
DEVICES: Final = "/dev/"
TAKEN: Final = "a file of this name is there already, and would be overwritten"
"""What lies below is a device, which libvirt does not make on a target as it makes files."""


def machine_lacks(connection: "libvirt.virConnect", guest: "GuestFacts") -> str:
    """Return why a host's QEMU does not make a guest's machine, in libvirt's words; empty: it does."""
    import libvirt

    try:
        connection.getDomainCapabilities(guest.emulator or None, guest.arch, guest.machine or None, guest.virt_type)
    except libvirt.libvirtError as error:
        return "" if _cannot_tell(connection, error) else str(error.get_error_message())
    return ""


def cpu_lacks(connection: "libvirt.virConnect", guest: "GuestFacts") -> str:
    """Return what of a guest's processor a host's hypervisor cannot give it; empty: it can give all.

    That is not what the host's own processor has: some features only hypervisors give.
    """
    import libvirt

    asked = guest.emulator or None, guest.arch, guest.machine or None, guest.virt_type, guest.cpu_xml
    try:
        connection.compareHypervisorCPU(*asked, libvirt.VIR_CONNECT_COMPARE_CPU_FAIL_INCOMPATIBLE)
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_CPU_INCOMPATIBLE:
            return _missing_features(str(error.get_error_message()))
        if not _cannot_tell(connection, error):
            return f"it cannot compare them: {error.get_error_message()}"
    return ""


def _missing_features(words: str) -> str:
    """Return libvirt's words, or the features that it lists in them, the first ones by name."""
    _, listed, names = words.partition(FEATURES)
    if not listed:
        return words
    features = names.split(", ")
    more = f" and {len(features) - FEATURES_NAMED} more" if len(features) > FEATURES_NAMED else ""
    return f"it lacks {', '.join(features[:FEATURES_NAMED])}{more}"


def has_network(connection: "libvirt.virConnect", name: str) -> bool:
    """Return whether a host has an active network of this name."""
    import libvirt

    try:
        return bool(connection.networkLookupByName(name).isActive())
    except libvirt.libvirtError as error:
        if error.get_error_code() in (libvirt.VIR_ERR_NO_NETWORK, libvirt.VIR_ERR_NO_SUPPORT):
            return False
        raise


def disks_lack(connection: "libvirt.virConnect", disks: "Iterable[ObservedDisk]") -> Iterator[str]:
    """Yield why a host has no place for a disk that is copied there.

    libvirt makes files in active pools only, and writes over one that is there.
    """
    import libvirt

    for disk in disks:
        path = PurePosixPath(disk.source)
        if not disk.copied_mib or not path.is_absolute():
            continue
        try:
            _refresh_pools_of(connection, path.parent)
            connection.storageVolLookupByPath(disk.source)
            yield f"{disk.target} ({disk.source}): {TAKEN}"
        except libvirt.libvirtError as error:
            if error.get_error_code() != libvirt.VIR_ERR_NO_STORAGE_VOL:
                if _cannot_tell(connection, error):
                    continue
                raise
            if why := _pool_lacks(connection, disk, path):
                yield f"{disk.target} ({disk.source}): {why}"


def _refresh_pools_of(connection: "libvirt.virConnect", folder: PurePosixPath) -> None:
    """Have a host look again at what is in the pools of a folder: it knows no file that came without it."""
    for pool in connection.listAllStoragePools():
        path = ET.fromstring(pool.XMLDesc()).findtext("target/path")
        if path is not None and PurePosixPath(path) == folder and pool.isActive():
            pool.refresh()


def _pool_lacks(connection: "libvirt.virConnect", disk: "ObservedDisk", path: PurePosixPath) -> str:
    """Return why a disk that is not on a host yet cannot be made in a pool of its folder."""
    for pool in connection.listAllStoragePools():
        folder = ET.fromstring(pool.XMLDesc()).findtext("target/path")
        if folder is None or PurePosixPath(folder) != path.parent:
            continue
        if not pool.isActive():
            return f"pool {pool.name()} is not active"
        if disk.source.startswith(DEVICES):
            return f"pool {pool.name()} has no such device, and libvirt makes none"
        available_mib = pool.info()[3] // BYTES_PER_MIB
        if available_mib < disk.copied_mib:
            return f"pool {pool.name()} has {available_mib:,} MiB free, {disk.copied_mib:,} are needed"
        return ""
    return "" if disk.source.startswith(DEVICES) else f"no storage pool has the folder {path.parent}"


def _cannot_tell(connection: "libvirt.virConnect", error: "libvirt.libvirtError") -> bool:
    """Return whether a host that answers does not know such questions.

    Raises
    ------
    libvirt.libvirtError
        If it does not answer any more.
    """
    import libvirt

    if not connection.isAlive():
        raise error
    return error.get_error_code() in (libvirt.VIR_ERR_NO_SUPPORT, libvirt.VIR_ERR_OPERATION_UNSUPPORTED)
