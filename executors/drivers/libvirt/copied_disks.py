"""Disks that are copied along: what is left of them where the VM does not run is deleted.

After a migration that was done, that is the source; after one that was not, the target, which had no such file before.
"""

from collections.abc import Collection
from pathlib import PurePosixPath

from slacktide.errors import DriverError
from slacktide.executors.drivers.libvirt.hypervisors import Hypervisors
from slacktide.executors.drivers.protocol import MigrationRequest
from slacktide.executors.preflight.facts import guest_facts
from slacktide.ids import HostId


def copied_by(
    hypervisors: Hypervisors, request: MigrationRequest, shared_paths: Collection[PurePosixPath]
) -> list[str]:
    """Return the files that a migration copies along which another began, as far as either host knows the VM.

    Whoever began it had looked that none of them was on the target, before anything was reserved there.
    """
    import libvirt

    for host in (request.source, request.target):
        try:
            domain = hypervisors.connection(host).lookupByName(request.vm_id)
            return [disk.source for disk in guest_facts(domain, shared_paths).disks if disk.copied_mib]
        except (DriverError, libvirt.libvirtError):
            continue
    return []


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
