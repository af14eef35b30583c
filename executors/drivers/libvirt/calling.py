"""libvirt's call for one migration, and what is known of it at its end."""

import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from slacktide.errors import DriverError
from slacktide.executors.drivers.libvirt.errors import told
from slacktide.executors.drivers.libvirt.hypervisors import Hypervisors
from slacktide.executors.drivers.libvirt.requests import Asked
from slacktide.executors.drivers.protocol import MigrationRequest

if TYPE_CHECKING:
    import libvirt


class Call:
    """libvirt's blocking call, in a thread of its own."""

    def __init__(self, domain: "libvirt.virDomain", peer: str, wanted: Asked) -> None:
        self.ended = threading.Event()
        self.error: libvirt.libvirtError | None = None
        self._wanted = wanted
        threading.Thread(target=self._migrate, args=(domain, peer), name="libvirt migration", daemon=True).start()

    def trouble(self, request: MigrationRequest) -> str | None:
        """Return what went wrong with it; None: nothing that it knows of."""
        if self.error is not None:
            return told(self.error, request.source, request.target)
        return None if self.ended.is_set() else "libvirt's call did not end"

    def _migrate(self, domain: "libvirt.virDomain", peer: str) -> None:
        import libvirt

        try:
            domain.migrateToURI3(peer, self._wanted.parameters, self._wanted.flags)
        except libvirt.libvirtError as error:
            self.error = error
        finally:
            self.ended.set()


def statistics_at_target(hypervisors: Hypervisors, request: MigrationRequest) -> Mapping[str, Any]:
    """Return what the target knows of a migration whose end was not heard; nothing after post-copy."""
    import libvirt

    try:
        domain = hypervisors.connection(request.target).lookupByName(request.vm_id)
        found: dict[str, Any] = domain.jobStats(libvirt.VIR_DOMAIN_JOB_STATS_COMPLETED)
    except (DriverError, libvirt.libvirtError):
        return {}
    return found
