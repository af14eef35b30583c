"""The way of VMs that cannot move while they run: shut down, moved as a definition, started on the target.

The guest is asked to shut down and never made to: one that does not is left running.  Its definition moves peer to
peer, which deletes it on the source, so that it can be started on one host only.
"""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from slacktide.errors import DriverError
from slacktide.executors.drivers.live.asking import Answers
from slacktide.executors.drivers.live.errors import lasting, words
from slacktide.executors.drivers.live.peers import Peer
from slacktide.executors.drivers.live.verdict import GuestState
from slacktide.executors.drivers.protocol import MigrationRequest
from slacktide.executors.events import Stage
from slacktide.ids import HostId

if TYPE_CHECKING:
    import libvirt

    from slacktide.executors.drivers.live.hypervisors import Hypervisors
    from slacktide.executors.preflight.facts import GuestFacts

LOOK_S: Final = 0.1


class NotStartedError(DriverError):
    """The VM is off on the one host that has its definition, and does not start there."""


class Restart:
    """One VM's way over its shutdown."""

    def __init__(
        self,
        request: MigrationRequest,
        hypervisors: "Hypervisors",
        restart_s: float,
        reach: Callable[[Stage], None],
        cancelled: Callable[[], bool],
    ) -> None:
        self._request = request
        self._hypervisors = hypervisors
        self._restart_s = restart_s
        self._reach = reach
        self._cancelled = cancelled

    def carry_out(self, domain: "libvirt.virDomain", guest: "GuestFacts", peer: Peer) -> float:
        """Have the VM run on its target; return for how long it ran nowhere, in seconds.

        Raises
        ------
        DriverError
            If it runs on its source still, or again.
        NotStartedError
            If it runs nowhere.
        """
        import libvirt

        self._refuse(guest)
        self._shut_down(domain)
        off = time.monotonic()
        self._reach(Stage.BLACKOUT)
        flags = (
            libvirt.VIR_MIGRATE_PEER2PEER
            | libvirt.VIR_MIGRATE_OFFLINE
            | libvirt.VIR_MIGRATE_PERSIST_DEST
            | libvirt.VIR_MIGRATE_UNDEFINE_SOURCE
        )
        try:
            domain.migrateToURI3(peer.uri, {}, flags)
        except libvirt.libvirtError as error:
            self._start(self._request.source)
            fact = f"its definition does not move, and it was started again on its source: {words(error)}"
            raise self._error(fact, "Look at both libvirtd", retryable=not lasting(error)) from error
        self._start(self._request.target)
        return time.monotonic() - off

    def _refuse(self, guest: "GuestFacts") -> None:
        if not guest.persistent:
            raise self._error("is transient: it is gone once it is shut down", "Define it, so that it can be started")
        if copied := [disk.target for disk in guest.disks if disk.copied_mib]:
            fact = f"has disks on its source alone ({', '.join(copied)}), which do not move with it while it is off"
            raise self._error(fact, "Let it move live, or bring its disks to storage that both hosts see")

    def _shut_down(self, domain: "libvirt.virDomain") -> None:
        """Ask the guest to shut down, and wait for it as long as a restart may take."""
        import libvirt

        until = time.monotonic() + self._restart_s
        self._reach(Stage.BROWNOUT)
        try:
            domain.shutdown()
            while domain.isActive():
                if time.monotonic() > until or self._cancelled():
                    fact = f"has not shut down {self._restart_s:.0f} s after it was asked to, and runs on"
                    raise self._error(fact, "Look why its system does not heed the power button")
                time.sleep(LOOK_S)
        except libvirt.libvirtError as error:
            raise self._error(f"cannot be shut down: {words(error)}", "Look at its libvirtd") from error

    def take_up(self, answers: Answers) -> None:
        """Start a VM that an earlier agent left off, where its definition is.

        Raises
        ------
        NotStartedError
            If it does not start there.
        """
        if GuestState.RUNNING in answers:
            return
        if answers.source is GuestState.OFF:
            self._start(self._request.source)
        elif answers.target is GuestState.OFF:
            self._start(self._request.target)

    def _start(self, host: HostId) -> None:
        """Start the VM on the one host that has its definition.

        Raises
        ------
        NotStartedError
            If that does not start it.
        """
        import libvirt

        try:
            self._hypervisors.connection(host).lookupByName(self._request.vm_id).create()
        except libvirt.libvirtError as error:
            fact = f"is off on {host}, where it does not start: {words(error)}"
            remedy = f"Start it there: `virsh start {self._request.vm_id}`"
            raise NotStartedError(f"VM {self._request.vm_id}", fact, remedy) from error

    def _error(self, fact: str, remedy: str, *, retryable: bool = False) -> DriverError:
        return DriverError(f"VM {self._request.vm_id}", fact, remedy, retryable=retryable)
