"""What a driver for real hosts has guests told: requests and outcomes to notices, and where guests ask for them."""

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from slacktide.errors import DriverError
from slacktide.executors import events
from slacktide.executors.drivers.libvirt.hypervisors import Hypervisors
from slacktide.executors.drivers.libvirt.settings import LibvirtSettings, MetadataSettings
from slacktide.executors.drivers.protocol import MigrationRequest, NotifyRequest
from slacktide.executors.events import Event
from slacktide.executors.metadata.board import NoticeBoard
from slacktide.executors.metadata.callers import Callers
from slacktide.executors.metadata.guests import guests_of
from slacktide.executors.metadata.neighbours import BridgeNeighbours
from slacktide.executors.metadata.notice import Announcement, kind_of
from slacktide.executors.metadata.server import MetadataServer, Who
from slacktide.executors.probes.namespaces import socket_in
from slacktide.ids import HostId, MigrationId, VmId


class Telling:
    """Keeps the notices of an agent's guests, and answers them where that is asked for.

    Raises
    ------
    DriverError
        If it cannot listen or look where the settings say.
    """

    def __init__(
        self,
        settings: LibvirtSettings,
        hypervisors: Hypervisors,
        origin: datetime,
        now_s: Callable[[], float],
        report: Callable[[Event], None],
    ) -> None:
        self._origin, self._now_s, self._report = origin, now_s, report
        self._vms: dict[MigrationId, VmId] = {}
        """Of migrations that are under way."""
        self.board = NoticeBoard(self._acknowledged)
        self._looking: list[BridgeNeighbours] = []
        self._server: MetadataServer | None = None
        if settings.metadata is not None:
            hosts = settings.metadata.hosts
            with self._closed_unless_whole():
                self._serve(settings.metadata, tuple(settings.addresses) if hosts is None else hosts, hypervisors)

    @contextmanager
    def _closed_unless_whole(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self.close()
            raise

    def _serve(self, metadata: MetadataSettings, hosts: tuple[HostId, ...], hypervisors: Hypervisors) -> None:
        listening: dict[socket.socket, Who] = {}
        try:
            for host in hosts:
                made = _listen(metadata, host)
                listening[made] = self._callers(metadata, host, hypervisors).vm
        except BaseException:
            for made in listening:
                made.close()
            raise
        self._server = MetadataServer(self.board, listening)

    def _callers(self, metadata: MetadataSettings, host: HostId, hypervisors: Hypervisors) -> Callers:
        looking = BridgeNeighbours(_named(metadata.bridge, host), _namespace(metadata, host))
        self._looking.append(looking)
        return Callers(looking, lambda: guests_of(hypervisors, host))

    def _acknowledged(self, migration: MigrationId) -> None:
        self._report(events.GuestAcknowledged(self._now_s(), migration))

    def notify(self, request: NotifyRequest) -> None:
        """Have a guest told, or what it was told taken back; it is reported once a new notice is there to be read."""
        if request.telling == "withdrawn":
            self.board.end(request.vm_id, request.migration_id)
            return
        start, end = (self._origin + timedelta(seconds=at_s) for at_s in (request.start_s, request.end_s))
        kind, ready = kind_of(request.strategy), request.telling == "ready"
        self.board.announce(
            request.vm_id, Announcement(request.migration_id, kind, start, end, request.notice_s, ready)
        )
        if request.telling == "new":
            self._report(events.MigrationWaiting(self._now_s(), request.migration_id))

    def begin(self, request: MigrationRequest) -> None:
        """Have a guest told that an attempt is under way."""
        lasts_s = request.predicted_brownout_s + request.predicted_blackout_ms / 1000
        now = self._origin + timedelta(seconds=self._now_s())
        window = now, now + timedelta(seconds=lasts_s)
        self._vms[request.migration_id] = request.vm_id
        self.board.begin(request.vm_id, Announcement(request.migration_id, kind_of(request.strategy), *window, 0))

    def hear(self, event: Event) -> None:
        """Take note of what comes of an attempt: once it is over, its guest has nothing more to come."""
        if isinstance(event, events.MigrationDone | events.MigrationFailed | events.VmLost):
            vm = self._vms.pop(event.migration_id, None)
            if vm is not None:
                self.board.end(vm, event.migration_id)

    def close(self) -> None:
        """Answer nobody any more."""
        if self._server is not None:
            self._server.close()
        for looking in self._looking:
            looking.close()


def _listen(metadata: MetadataSettings, host: HostId) -> socket.socket:
    where = str(metadata.address), metadata.port
    namespace = _namespace(metadata, host)

    def make() -> socket.socket:
        return socket.create_server(where)

    try:
        return make() if namespace is None else socket_in(namespace, make)
    except OSError as error:
        inside = "" if namespace is None else f" in network namespace {namespace}"
        fact = f"cannot be listened at{inside}: {error.strerror or error}"
        remedy = "Give the host's bridge that address, end who listens there, or leave out --metadata-address"
        raise DriverError(f"metadata address {where[0]}:{where[1]} of host {host}", fact, remedy) from error


def _namespace(metadata: MetadataSettings, host: HostId) -> str | None:
    return None if metadata.namespace is None else _named(metadata.namespace, host)


def _named(pattern: str, host: HostId) -> str:
    return pattern.replace("{host}", host)
