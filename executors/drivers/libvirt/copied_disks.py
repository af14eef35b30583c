"""Disks that were copied to a VM's target: what is left of them on its source is deleted."""

from collections.abc import Collection
from typing import TYPE_CHECKING

from slacktide.errors import DriverError
from slacktide.executors.drivers.libvirt.hypervisors import Hypervisors
from slacktide.ids import HostId

if TYPE_CHECKING:
    import libvirt


def discard_files(hypervisors: Hypervisors, host: HostId, files: Collection[str]) -> None:
    """Delete files of a VM that runs on its target, with its disks there, from the pools of its source.

    A file in no pool, or one that another domain of the host has as its disk, stays: it is left to a person.
    """
    import libvirt

    if not files:
        return
    try:
        connection = hypervisors.connection(host)
        used = " ".join(domain.XMLDesc() for domain in connection.listAllDomains())
        for file in files:
            if file not in used:
                _delete(connection, file)
    except (DriverError, libvirt.libvirtError):
        return  # the VM is where it belongs; what is left of it here takes room, and is found by the next preflight


def _delete(connection: "libvirt.virConnect", file: str) -> None:
    import libvirt

    try:
        connection.storageVolLookupByPath(file).delete()
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_NO_STORAGE_VOL:
            raise
        for pool in connection.listAllStoragePools(libvirt.VIR_CONNECT_LIST_STORAGE_POOLS_ACTIVE):
            pool.refresh()
        connection.storageVolLookupByPath(file).delete()
