"""Disks that are copied along: what is left of them where the VM does not run is deleted.

After a migration that was done, that is the source; after one that was not, the target, which had no such file before.
"""

from collections.abc import Collection

from slacktide.errors import DriverError
from slacktide.executors.drivers.libvirt.hypervisors import Hypervisors
from slacktide.ids import HostId


def discard_files(hypervisors: Hypervisors, host: HostId, files: Collection[str]) -> None:
    """Delete files from the pools of a host on which their VM does not run, nor is defined.

    A file in no pool stays, and so does one that a domain of the host has as its disk, or that another volume is based
    on: it is left to a person.
    """
    import libvirt

    if not files:
        return
    try:
        connection = hypervisors.connection(host)
        pools = connection.listAllStoragePools(libvirt.VIR_CONNECT_LIST_STORAGE_POOLS_ACTIVE)
        for pool in pools:
            pool.refresh()
        volumes = {volume.path(): volume for pool in pools for volume in pool.listAllVolumes()}
        domains = [domain.XMLDesc() for domain in connection.listAllDomains()]
        for file in set(files) & volumes.keys():
            others = [volume.XMLDesc() for path, volume in volumes.items() if path != file]
            if not any(file in text for text in (*domains, *others)):
                volumes[file].delete()
    except (DriverError, libvirt.libvirtError):
        return  # the VM is where it belongs; what is left of it here takes room, and is found by the next preflight
