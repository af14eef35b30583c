"""The way of VMs that cannot move while they run: shut down, moved as a definition, started on the target.

The guest is asked to shut down and never made to: one that does not is left running.  Its definition moves peer to
peer, which deletes it on the source, so that it can be started on one host only.
"""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from slacktide.errors import DriverError
from slacktide.executors.drivers.libvirt.asking import ask_both
from slacktide.executors.drivers.libvirt.errors import lasting, words
from slacktide.executors.drivers.libvirt.peers import Peer
from slacktide.executors.drivers.libvirt.verdict import GuestState
from slacktide.executors.drivers.protocol import MigrationRequest
from slacktide.executors.events import Stage
from slacktide.ids import HostId

if TYPE_CHECKING:
    import libvirt

    from slacktide.executors.drivers.libvirt.hypervisors import Hypervisors
    from slacktide.executors.preflight.facts import GuestFacts

LOOK_S: Final = 0.1
SHUTDOWN: Final = 2
"""Multiple of the policy's ``restart_s`` that a guest has for its shutdown alone: half of that is planned for it."""


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
        self._refuse(guest)
        self._shut_down(domain)
        off = time.monotonic()
        self._reach(Stage.BLACKOUT)
        if self._cancelled():
            self._start(self._request.source)
            raise self._error("was started again on its source: its restart was cancelled", "Plan it anew")
        trouble = self._move(domain, peer)
        if self._bring_up(failed=trouble is not None) == self._request.source:
            said = "libvirt says that it did" if trouble is None else words(trouble)
            fact = f"was started again on its source, for its definition does not move: {said}"
            raise self._error(fact, "Look at both libvirtd", retryable=trouble is None or not lasting(trouble))
        return time.monotonic() - off

    def _move(self, domain: "libvirt.virDomain", peer: Peer) -> "libvirt.libvirtError | None":
        """Move the definition; return what went wrong, which does not say where it is."""
        import libvirt

        flags = (
            libvirt.VIR_MIGRATE_PEER2PEER
            | libvirt.VIR_MIGRATE_OFFLINE
            | libvirt.VIR_MIGRATE_PERSIST_DEST
            | libvirt.VIR_MIGRATE_UNDEFINE_SOURCE
        )
        try:
            domain.migrateToURI3(peer.uri, {}, flags)
        except libvirt.libvirtError as error:
            return error
        return None

    def _bring_up(self, *, failed: bool) -> HostId:
        """Start the VM where its definition is, asking until both hosts have answered; return where that is.

        Defined on both, it is started on the source if its move failed, else on the target.
        """
        request = self._request
        while True:
            here, there = ask_both(self._hypervisors, request.vm_id, request.source, request.target)
            if GuestState.RUNNING in (here, there):
                return request.source if here is GuestState.RUNNING else request.target
            if GuestState.UNKNOWN not in (here, there):
                places = [(request.target, there), (request.source, here)]
                defined = [host for host, state in (places[::-1] if failed else places) if state is GuestState.OFF]
                if not defined:
                    fact = f"is defined neither on {request.source} nor on {request.target} after its shutdown"
                    raise NotStartedError(f"VM {request.vm_id}", fact, "Look for its definition, and start it")
                if self._started(defined[0]):
                    return defined[0]
            time.sleep(LOOK_S)

    def _refuse(self, guest: "GuestFacts") -> None:
        if not guest.persistent:
            raise self._error("is transient: it is gone once it is shut down", "Define it, so that it can be started")
        if copied := [disk.target for disk in guest.disks if disk.copied_mib]:
            fact = f"has disks on its source alone ({', '.join(copied)}), which do not move with it while it is off"
            raise self._error(fact, "Let it move live, or bring its disks to storage that both hosts see")

    def _shut_down(self, domain: "libvirt.virDomain") -> None:
        """Ask the guest to shut down, and wait for it.

        Raises
        ------
        DriverError
            If it cannot be asked, or runs on.
        """
        import libvirt

        self._reach(Stage.BROWNOUT)
        try:
            domain.shutdown()
        except libvirt.libvirtError as error:
            raise self._error(f"cannot be shut down: {words(error)}", "Look at its libvirtd") from error
        if not self._went_down():
            fact = f"has not shut down {SHUTDOWN * self._restart_s:.0f} s after it was asked to, and runs on"
            remedy = "Look why its system does not heed the power button; if it still does, start it"
            raise self._error(fact, remedy)

    def _went_down(self) -> bool:
        """Return whether a guest that was asked to shut down does.

        What was asked cannot be taken back: who leaves before the guest has made up its mind may leave it off.  So a
        cancelled restart waits as well.
        """
        until = time.monotonic() + SHUTDOWN * self._restart_s
        while self._is_up():
            if time.monotonic() > until:
                return False
            time.sleep(LOOK_S)
        return True

    def _is_up(self) -> bool:
        """Return whether the VM is active on its source, be it only to shut down; one that cannot be asked is."""
        import libvirt

        try:
            domain = self._hypervisors.connection(self._request.source).lookupByName(self._request.vm_id)
            return bool(domain.isActive())
        except DriverError:
            return True
        except libvirt.libvirtError as error:
            return bool(error.get_error_code() != libvirt.VIR_ERR_NO_DOMAIN)

    def take_up(self, *, was_asked: bool) -> None:
        """Leave the VM running, after an agent that ended before its restart was over.

        ``was_asked``: it may have been asked to shut down.

        Raises
        ------
        NotStartedError
            If it runs nowhere.
        """
        if was_asked:
            self._went_down()
        self._bring_up(failed=True)

    def _start(self, host: HostId) -> None:
        """Start the VM on the one host that has its definition.

        Raises
        ------
        NotStartedError
            If that does not start it.
        """
        while not self._started(host):
            time.sleep(LOOK_S)

    def _started(self, host: HostId) -> bool:
        """Start the VM on a host; return False if the host does not answer.

        Raises
        ------
        NotStartedError
            If the host answers that it does not start.
        """
        import libvirt

        try:
            connection = self._hypervisors.connection(host)
        except DriverError:
            return False
        try:
            connection.lookupByName(self._request.vm_id).create()
        except libvirt.libvirtError as error:
            if not connection.isAlive():
                return False
            fact = f"is off on {host}, where it does not start: {words(error)}"
            remedy = f"Start it there: `virsh start {self._request.vm_id}`"
            raise NotStartedError(f"VM {self._request.vm_id}", fact, remedy) from error
        return True

    def _error(self, fact: str, remedy: str, *, retryable: bool = False) -> DriverError:
        return DriverError(f"VM {self._request.vm_id}", fact, remedy, retryable=retryable)
