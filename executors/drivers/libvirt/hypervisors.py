"""Connections to libvirt daemons: opened when first needed, opened anew when lost, and heard.

libvirt calls back from one event loop, which a thread of its own runs for the whole process.  A loop that stands
still would miss keepalives and break every connection, so what is called back does nothing but take note.
"""

import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from slacktide.errors import DriverError
from slacktide.executors.connections_file import HostAddress
from slacktide.ids import HostId

if TYPE_CHECKING:
    import libvirt

KEEPALIVE_S: Final = 2
KEEPALIVE_COUNT: Final = 3
"""A peer that says nothing for three times two seconds is lost; the daemon of a busy host answers within one."""


class Heard(NamedTuple):
    """What a hypervisor told of a VM."""

    host_id: HostId
    vm_id: str
    kind: str
    """``lifecycle``, ``iteration`` or ``completed``."""
    what: int
    """Of a lifecycle the event, of an iteration its number."""
    detail: int
    statistics: Mapping[str, Any]
    """Of a completed job."""
    at_s: float


class Hypervisors:
    """The daemons of the hosts that one agent has to do with."""

    def __init__(
        self,
        addresses: Mapping[HostId, HostAddress],
        now_s: Callable[[], float],
        heard: Callable[[Heard], None],
    ) -> None:
        run_event_loop()
        self._addresses = addresses
        self._now_s = now_s
        self._heard = heard
        self._lock = threading.Lock()
        self._locks: dict[HostId, threading.Lock] = {}
        self._open: dict[HostId, libvirt.virConnect] = {}

    def connection(self, host: HostId) -> "libvirt.virConnect":
        """Return a connection to a host that was alive a moment ago.

        Raises
        ------
        DriverError
            If it does not answer, or nobody said where it is.
        """
        with self._lock:
            lock = self._locks.setdefault(host, threading.Lock())
        with lock:
            known = self._open.get(host)
            if known is not None and _alive(known):
                return known
            opened = self._connected(host)
            self._open[host] = opened
            return opened

    def renew(self, host: HostId) -> None:
        """Connect to a host anew and have its daemon answer: a connection of before may not know yet that it is lost.

        Raises
        ------
        DriverError
            If it does not answer.
        """
        import libvirt

        with self._lock:
            before = self._open.pop(host, None)
        try:
            if before is not None:
                before.close()
        except libvirt.libvirtError:
            pass  # it was lost
        try:
            self.connection(host).getInfo()
        except libvirt.libvirtError as error:
            fact = f"does not answer: {error.get_error_message()}"
            raise DriverError(f"host {host}", fact, "Look at its libvirtd", retryable=True) from error

    def _connected(self, host: HostId) -> "libvirt.virConnect":
        import libvirt

        address = self._addresses.get(host)
        if address is None:
            raise DriverError(f"host {host}", "has no address", "Name it in the connections file")
        try:
            opened = libvirt.open(address.uri)
            opened.setKeepAlive(KEEPALIVE_S, KEEPALIVE_COUNT)
            self._listen(host, opened)
        except libvirt.libvirtError as error:
            fact = f"does not answer at {address.uri}: {error.get_error_message()}"
            raise DriverError(f"host {host}", fact, "Look at its libvirtd", retryable=True) from error
        return opened

    def _listen(self, host: HostId, opened: "libvirt.virConnect") -> None:
        import libvirt

        def lifecycle(_conn: object, domain: "libvirt.virDomain", what: int, detail: int, _: object) -> None:
            self._heard(Heard(host, domain.name(), "lifecycle", what, detail, {}, self._now_s()))

        def iteration(_conn: object, domain: "libvirt.virDomain", number: int, _: object) -> None:
            self._heard(Heard(host, domain.name(), "iteration", number, 0, {}, self._now_s()))

        def completed(_conn: object, domain: "libvirt.virDomain", found: dict[str, Any], _: object) -> None:
            self._heard(Heard(host, domain.name(), "completed", 0, 0, found, self._now_s()))

        opened.domainEventRegisterAny(None, libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, lifecycle, None)
        opened.domainEventRegisterAny(None, libvirt.VIR_DOMAIN_EVENT_ID_MIGRATION_ITERATION, iteration, None)
        opened.domainEventRegisterAny(None, libvirt.VIR_DOMAIN_EVENT_ID_JOB_COMPLETED, completed, None)

    def close(self) -> None:
        """Let go of all connections."""
        import libvirt

        with self._lock:
            for opened in self._open.values():
                try:
                    opened.close()
                except libvirt.libvirtError:
                    continue  # it was lost before
            self._open.clear()


def _alive(connection: "libvirt.virConnect") -> bool:
    import libvirt

    try:
        return bool(connection.isAlive())
    except libvirt.libvirtError:
        return False


_loop_lock = threading.Lock()
_loop: threading.Thread | None = None


def run_event_loop() -> None:
    """Have libvirt's event loop run in this process; it must, before the first connection that is to be heard."""
    global _loop
    import libvirt

    with _loop_lock:
        if _loop is not None:
            return
        libvirt.registerErrorHandler(lambda *_: None, None)
        libvirt.virEventRegisterDefaultImpl()
        _loop = threading.Thread(target=_run_for_ever, name="libvirt events", daemon=True)
        _loop.start()


def _run_for_ever() -> None:
    import libvirt

    while True:
        libvirt.virEventRunDefaultImpl()
