"""The driver for real hosts: requests to attempts and patches, and what comes of them."""

import queue
from collections.abc import Sequence
from datetime import datetime
from functools import partial

from slacktide.clock import Clock
from slacktide.errors import DriverError
from slacktide.executors import events
from slacktide.executors.drivers.libvirt.asking import ask_both
from slacktide.executors.drivers.libvirt.attempt import Attempt, Surroundings
from slacktide.executors.drivers.libvirt.hypervisors import Heard, Hypervisors
from slacktide.executors.drivers.libvirt.patching import PatchedHost
from slacktide.executors.drivers.libvirt.peers import Peer, peer_of
from slacktide.executors.drivers.libvirt.settings import LibvirtSettings
from slacktide.executors.drivers.libvirt.telling import Telling
from slacktide.executors.drivers.libvirt.verdict import Place
from slacktide.executors.drivers.libvirt.watching import Watch
from slacktide.executors.drivers.protocol import (
    Adoption,
    CancelRequest,
    Condition,
    HostCondition,
    HostVms,
    LookRequest,
    MigrationRequest,
    NotifyRequest,
    PatchRequest,
    VmLocation,
)
from slacktide.executors.events import Event
from slacktide.executors.fabrics.making import make_fabric
from slacktide.executors.fabrics.settings import known_hosts
from slacktide.executors.maintenance.runner import Maintenance
from slacktide.executors.probes.probe import heartbeat_probe
from slacktide.ids import HostId, MigrationId
from slacktide.planner.policy import MigrationRules


class LibvirtDriver:
    """Migrates VMs by libvirt and has hosts patched; everything goes on in the background."""

    def __init__(self, settings: LibvirtSettings, rules: MigrationRules, origin: datetime, clock: Clock) -> None:
        self._settings = settings
        self._rules = rules
        self._origin = origin
        self._clock = clock
        self._news: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._attempts: dict[MigrationId, Attempt] = {}
        """The newest of each migration."""
        self._by_vm: dict[str, Attempt] = {}
        self._told: set[tuple[str, int]] = set()
        """Attempts whose outcome was told; until then they count as under way."""
        self._patches: dict[HostId, Maintenance] = {}
        self._watches: dict[HostId, Watch] = {}
        self._seen: queue.SimpleQueue[HostVms] = queue.SimpleQueue()
        self._hypervisors = Hypervisors(settings.addresses, self._now_s, self._hear)
        probe = settings.probe
        self._around = Surroundings(
            hypervisors=self._hypervisors,
            rules=rules,
            peer=self._peer,
            shared_paths=settings.shared_paths,
            probe=None if probe is None else heartbeat_probe(probe.port, probe.namespace),
            now_s=self._now_s,
            report=self._report,
            fabric=make_fabric(settings.fabric),
            fabric_hosts=None if settings.fabric is None else known_hosts(settings.fabric),
        )
        self._telling = Telling(settings, self._hypervisors, origin, self._now_s, self._news.put)

    def _now_s(self) -> float:
        return (self._clock.now() - self._origin).total_seconds()

    def _peer(self, host: HostId) -> Peer:
        address = self._settings.addresses.get(host)
        if address is None:
            raise DriverError(f"host {host}", "has no address", "Name it in the connections file")
        return peer_of(host, address, allow_unencrypted=self._rules.allow_unencrypted)

    def _report(self, event: Event) -> None:
        self._telling.hear(event)
        self._news.put(event)

    def _hear(self, heard: Heard) -> None:
        watch = self._watches.get(heard.host_id)
        if watch is not None and heard.kind == "lifecycle":
            watch.wake()
        attempt = self._by_vm.get(heard.vm_id)
        if attempt is not None:
            attempt.hear(heard)

    def notify(self, requests: Sequence[NotifyRequest]) -> None:
        """Tell guests that ask; none is made to answer."""
        for request in requests:
            self._telling.notify(request)

    def migrate(self, requests: Sequence[MigrationRequest]) -> None:
        """Begin migrations."""
        for request in requests:
            attempt = self._known(request)
            if attempt is not None:
                attempt.begin()

    def _known(self, request: MigrationRequest) -> Attempt | None:
        """Return an attempt at a request that is new; None: it is known."""
        before = self._attempts.get(request.migration_id)
        if before is not None and before.request.attempt >= request.attempt:
            self._tell_again(before)
            return None
        self._telling.begin(request)
        attempt = Attempt(request, self._around)
        self._attempts[request.migration_id] = self._by_vm[request.vm_id] = attempt
        return attempt

    def cancel(self, requests: Sequence[CancelRequest]) -> None:
        """Stop attempts; one whose guest has moved goes on."""
        for request in requests:
            attempt = self._attempts.get(request.migration_id)
            if attempt is not None and attempt.request.attempt == request.attempt:
                attempt.cancel(request.reason)
                self._tell_again(attempt)

    def _tell_again(self, attempt: Attempt) -> None:
        """Repeat the outcome of an attempt that is over, to one who does not know of it."""
        if attempt.outcome is not None:
            self._news.put(attempt.outcome)

    def patch(self, requests: Sequence[PatchRequest]) -> None:
        """Begin to patch hosts."""
        for request in requests:
            patching = self._patching(request)
            if patching is not None:
                patching.begin()

    def _patching(self, request: PatchRequest) -> Maintenance | None:
        """Return the patch of a host that is new; None: it is known."""
        before = self._patches.get(request.host_id)
        if before is not None and before.condition != "not-started":
            return None
        host = PatchedHost(request.host_id, self._hypervisors, in_place=request.in_place)
        action = self._settings.maintenance
        patching = Maintenance(request, action, host, self._origin, self._now_s, self._news.put)
        self._patches[request.host_id] = patching
        return patching

    def _is_patched(self, host: HostId) -> bool:
        patching = self._patches.get(host)
        return patching is not None and patching.condition == "running"

    def look(self, requests: Sequence[LookRequest]) -> None:
        """Have hosts looked at, now and from now on."""
        for request in requests:
            host = request.host_id
            watch = self._watches.get(host)
            if watch is None:
                watch = self._watches[host] = Watch(
                    host,
                    self._hypervisors,
                    self._settings.shared_paths,
                    self._now_s,
                    self._seen.put,
                    partial(self._is_patched, host),
                )
            watch.ask(request.ticket)

    def seen(self, now_s: float) -> list[HostVms]:
        """Return what was seen on hosts and was not returned before."""
        found: list[HostVms] = []
        while True:
            try:
                found.append(self._seen.get_nowait())
            except queue.Empty:
                return found

    def poll(self, now_s: float) -> list[Event]:
        """Return what happened and was not returned before, in order of time."""
        found: list[Event] = []
        while True:
            try:
                event = self._news.get_nowait()
                found.append(event)
                if isinstance(event, events.MigrationDone | events.MigrationFailed | events.VmLost):
                    self._told.add((event.migration_id, event.attempt))
            except queue.Empty:
                return sorted(found, key=lambda event: event.at_s)

    def next_s(self) -> float | None:
        """Return null: what is under way ends when it ends."""
        return None

    def adopt(self, adoption: Adoption) -> None:
        """Find at the hypervisors what an earlier agent began, and in its notes how far hosts' patches are."""
        for request, stage in adoption.migrations:
            attempt = self._known(request)
            if attempt is not None:
                attempt.adopt(stage)
        for patch in adoption.patches:
            patching = self._patching(patch)
            if patching is not None:
                patching.adopt()

    def locate(self, requests: Sequence[MigrationRequest]) -> list[VmLocation]:
        """Return where the VMs of these migrations are, by asking both hosts.

        While one does not answer, or the migration goes on, it counts as under way: this agent watches it.
        """
        return [self._location(request) for request in requests]

    def _location(self, request: MigrationRequest) -> VmLocation:
        found = ask_both(self._hypervisors, request.vm_id, request.source, request.target).verdict
        attempt = self._attempts.get(request.migration_id)
        watched = attempt is not None and (request.migration_id, attempt.request.attempt) not in self._told
        under_way = request.migration_id if watched or found.place not in (Place.SOURCE, Place.TARGET) else None
        return VmLocation(request.vm_id, request.target if found.place is Place.TARGET else request.source, under_way)

    def inspect(self, requests: Sequence[PatchRequest]) -> list[HostCondition]:
        """Return how far these hosts' patches are."""
        return [HostCondition(request.host_id, self._condition(request.host_id)) for request in requests]

    def _condition(self, host: HostId) -> Condition:
        patching = self._patches.get(host)
        return "not-started" if patching is None else patching.condition

    def close(self) -> None:
        """Let go of hosts, guests and the probe; what is under way goes on by itself."""
        for watch in self._watches.values():
            watch.close()
        self._telling.close()
        if self._around.probe is not None:
            self._around.probe.close()
        if self._around.fabric is not None:
            self._around.fabric.close()
        self._hypervisors.close()
