"""Which VMs are on a host: said when that is asked for, and whenever it is not what was said before.

The host is looked at in a thread of its own, so that one that does not answer holds nobody up: when it is asked for,
when libvirt tells of a domain there, and every few seconds.  While a host is being patched it is left alone.
"""

import threading
import time
from collections.abc import Callable, Collection
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from slacktide.errors import DriverError
from slacktide.executors.drivers.libvirt.asking import state_of
from slacktide.executors.drivers.libvirt.hypervisors import Hypervisors
from slacktide.executors.drivers.libvirt.verdict import GuestState
from slacktide.executors.drivers.protocol import HostVms, SeenVm
from slacktide.executors.inventory.domain import observed_vm
from slacktide.ids import HostId, VmId

if TYPE_CHECKING:
    import libvirt

LOOK_S: Final = 10.0
"""How often a host is looked at of which nothing is heard: one call, for events that were lost with a connection."""
SETTLE_S: Final = 0.05
"""Pause before a look that an event asked for: a domain that is started or moved tells of several."""
_THERE: Final = (GuestState.RUNNING, GuestState.MIGRATING)
"""As of a migration's target: a guest whose memory is still being fetched runs there."""


class Watch:
    """Looks at one host."""

    def __init__(
        self,
        host: HostId,
        hypervisors: Hypervisors,
        shared_paths: Collection[PurePosixPath],
        now_s: Callable[[], float],
        report: Callable[[HostVms], None],
        is_patched: Callable[[], bool],
    ) -> None:
        self._host = host
        self._hypervisors = hypervisors
        self._shared_paths = shared_paths
        self._now_s = now_s
        self._report = report
        self._is_patched = is_patched
        self._woken = threading.Event()
        self._closed = False
        self._asked = self._told = 0
        """Tickets: the newest that was asked for, and that was answered."""
        self._last: tuple[SeenVm, ...] | None = None
        self._known: dict[str, SeenVm] = {}
        """Domains by UUID; what they are is asked once."""
        threading.Thread(target=self._run, name=f"watch of {host}", daemon=True).start()

    def ask(self, ticket: int) -> None:
        """Have the host looked at now, and told what is on it, whether it is new or not."""
        self._asked = max(self._asked, ticket)
        self._woken.set()

    def wake(self) -> None:
        """Have the host looked at: something has happened there."""
        self._woken.set()

    def close(self) -> None:
        """Look no more."""
        self._closed = True
        self._woken.set()

    def _run(self) -> None:
        while not self._closed:
            self._woken.clear()
            ticket = self._asked
            if not self._is_patched():
                self._look(ticket)
            if self._woken.wait(LOOK_S):
                time.sleep(SETTLE_S)

    def _look(self, ticket: int) -> None:
        """Tell what is on the host; if it does not answer, the next look will."""
        import libvirt

        try:
            there = self._listed(self._hypervisors.connection(self._host))
        except (DriverError, libvirt.libvirtError):
            return
        if there != self._last or ticket > self._told:
            self._last, self._told = there, ticket
            self._report(HostVms(self._now_s(), self._host, there, None, ticket))

    def _listed(self, connection: "libvirt.virConnect") -> tuple[SeenVm, ...]:
        import libvirt

        found: list[SeenVm] = []
        known: dict[str, SeenVm] = {}
        for domain in connection.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE):
            try:
                if state_of(*domain.state(), is_source=False, under_way=False) not in _THERE:
                    found.append(SeenVm(VmId(domain.name()), 0, 0, whole=False))
                    continue
                name = domain.UUIDString()
                known[name] = self._known.get(name) or self._described(domain)
                found.append(known[name])
            except libvirt.libvirtError as error:
                if error.get_error_code() != libvirt.VIR_ERR_NO_DOMAIN:
                    raise
        self._known = known
        return tuple(sorted(found))

    def _described(self, domain: "libvirt.virDomain") -> SeenVm:
        vm = observed_vm(domain, {}, self._shared_paths)
        disks_mib = sum(disk.copied_mib for disk in vm.disks)
        return SeenVm(VmId(vm.name), vm.vcpus, vm.memory_mib, disks_mib, bool(vm.held_by), vm.follows_host)
