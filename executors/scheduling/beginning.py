"""What begins: waves, notices, drains, patches and migrations, each as soon as nothing stands against it."""

from typing import Final

import numpy as np

from slacktide.executors import events
from slacktide.executors.campaign_state import HostStage
from slacktide.executors.scheduling.books import IDLE, RETRYING, RUNNING, Books
from slacktide.executors.scheduling.giving_up import GivingUp
from slacktide.executors.scheduling.standing_orders import StandingOrders
from slacktide.executors.scheduling.timers import Timers
from slacktide.executors.scheduling.unforeseen import Unforeseen

_DRAINING: Final = int(HostStage.DRAINING)
_RETURNED: Final = int(HostStage.RETURNED)


class Beginning:
    """Begins what may begin."""

    def __init__(
        self,
        books: Books,
        timers: Timers,
        giving_up: GivingUp,
        orders: StandingOrders,
        unforeseen: Unforeseen,
        approve_as: str | None,
    ) -> None:
        """``approve_as``: who approves waves; null: a person, by an order."""
        self._books, self._timers, self._giving_up, self._orders = books, timers, giving_up, orders
        self._unforeseen = unforeseen
        self._approve_as = approve_as
        self._in_place = books.program.policy.in_place

    def open_waves(self, now: float) -> None:
        """Open every wave whose gate lets it, and close those that it never will."""
        books, gates = self._books, self._books.gates
        while (opening := gates.next_opening()) is not None:
            wave = gates.next_wave
            if opening.never is not None:
                self._close(wave, opening.never, now)
                return
            if opening.at_s is None:
                return
            if opening.at_s > now:
                self._timers.open(wave, opening.at_s)
                return
            if gates.needs_approval() and wave not in self._orders.approved:
                if self._approve_as is None:
                    return
                books.decided.append(events.WaveApproved(now, wave, self._approve_as))
            books.decided.append(events.WaveOpened(now, wave))
            gates.open()
            books.woken_hosts.update(host for host in books.drain_order if books.host_wave[host] == wave)
            for number in np.flatnonzero(books.program.migrations.wave == wave).tolist():
                self.notify(number, now)

    def _close(self, wave: int, reason: str, now: float) -> None:
        self._books.gates.closed = reason
        self._books.decided.append(events.WaveClosed(now, wave, reason))
        self._giving_up.drop_behind(wave, reason)

    def notify(self, number: int, now: float) -> None:
        """Tell the guest, unless its wave is held up, or a person has yet to approve it: then once that opens."""
        books = self._books
        start_s, notice_s = books.start_s[number], books.notice_s[number]
        if books.notified[number] or books.phase[number] != IDLE or not notice_s or start_s - notice_s > now:
            return
        if self._orders.quiet or books.gates.late(books.wave[number], now):
            return
        if self._approve_as is None and not books.gates.is_promised(books.wave[number], self._orders.approved):
            return
        books.notified[number] = True
        books.ready_s[number] = max(start_s, now + notice_s)
        if books.ready_s[number] > start_s:
            self._timers.begin(number, books.ready_s[number])
        books.decided.append(events.MigrationNotified(now, books.id_of(number)))

    def try_drain(self, host: int, now: float) -> None:
        """Begin to drain a host that is due, once its wave is open and it may be out."""
        books = self._books
        if self._orders.quiet or not books.host_due[host] or books.host_stage[host] != HostStage.IN_SERVICE:
            return
        if not books.gates.is_open(books.host_wave[host]):
            return
        books.slots.enqueue(host)
        if books.incoming_left[host] or books.slots.obstacle(host) is not None:
            return
        books.slots.take(host)
        books.host_stage[host] = _DRAINING
        books.decided.append(events.HostDrainStarted(now, books.host_id_of(host)))
        books.woken.update(books.outgoing[host])

    def try_patch(self, host: int, now: float) -> None:
        """Patch a host that nothing has yet to leave; one that is evacuated stays out, patched by then or not."""
        books = self._books
        stage = books.host_stage[host]
        if stage == _DRAINING and not books.outgoing_left[host]:
            if self._giving_up.drift.holds_host(host):
                return
            if books.room.vms_on[host] and not self._in_place:
                self._giving_up.drop_filled(host, self._unforeseen.names_on(host))
                return
            if not self._unforeseen.is_clear(host):
                return
            books.patching += 1
            books.host_stage[host] = HostStage.DRAINED
            books.decided.append(events.HostDrained(now, books.host_id_of(host)))
        elif stage != HostStage.DRAINED and not (stage == _RETURNED and books.evacuated[host]):
            return
        if books.evacuated[host]:
            self._stay_out(host, now)
            return
        if books.room.vms_on[host] and not self._in_place:
            detail = f"{self._unforeseen.names_on(host)} came to it"
            books.decided.append(events.HostRefilled(now, books.host_id_of(host), detail))
            books.refill(host)
            self._unforeseen.forget(host)
            return
        if self._orders.paused:
            return
        books.host_stage[host] = HostStage.PATCH_INTENDED
        books.decided.append(events.PatchIntended(now, books.host_id_of(host)))
        self._timers.limit_patch(host, now)

    def _stay_out(self, host: int, now: float) -> None:
        """Leave an empty host out of service, and give its place among the hosts out to others."""
        books = self._books
        if books.host_stage[host] == HostStage.DRAINED:
            books.patching -= 1
            books.gates.end(host, HostStage.EVACUATED, now)
            books.woken_hosts.update(books.slots.release(host))
        books.host_stage[host] = HostStage.EVACUATED
        books.decided.append(events.HostEvacuated(now, books.host_id_of(host)))

    def try_start(self, number: int, now: float) -> None:
        """Begin a migration that is ready, once its hosts are and there is room for it."""
        books, room = self._books, self._books.room
        phase = books.phase[number]
        if not books.ready[number] or books.left[number] or phase not in (IDLE, RETRYING):
            return
        source, target = room.source[number], room.target[number]
        if books.vm_host[books.vm[number]] != source:
            return
        if books.needs_drain[number] and books.host_stage[source] != _DRAINING:
            return
        if books.needs_return[number] and books.host_stage[target] != _RETURNED:
            return
        holds = phase == RETRYING
        obstacle = room.obstacle(number, holds=holds)
        if obstacle is not None:
            room.wait(number, obstacle)
            self._unforeseen.crowd(number, obstacle)
            return
        room.begin(number, holds=holds)
        books.phase[number] = RUNNING
        books.running += 1
        books.attempts[number] += 1
        self._timers.limit_migration(number, now)
        books.decided.append(events.MigrationIntended(now, books.id_of(number), books.attempts[number]))
