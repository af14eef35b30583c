"""What others tell: outcomes that drivers report, and what people ask for."""

import json
from collections.abc import Sequence

from slacktide.executors import control_events, events
from slacktide.executors.campaign_state import HostStage
from slacktide.executors.events import Event
from slacktide.executors.falling import VMS_REMAIN
from slacktide.executors.folding import serves_on
from slacktide.executors.order_state import ORDERS, asked, stopping
from slacktide.executors.scheduling.books import IDLE, RETRYING, Books
from slacktide.executors.scheduling.giving_up import GivingUp
from slacktide.executors.scheduling.standing_orders import StandingOrders
from slacktide.executors.scheduling.timers import Timers
from slacktide.executors.scheduling.unforeseen import BY_OTHERS, Unforeseen, in_words


class Observing:
    """Takes note of what others tell, and wakes who waited for it."""

    def __init__(
        self, books: Books, timers: Timers, giving_up: GivingUp, orders: StandingOrders, unforeseen: Unforeseen
    ) -> None:
        self._books, self._timers, self._giving_up, self._orders = books, timers, giving_up, orders
        self._unforeseen = unforeseen

    def observe(self, outcomes: Sequence[Event]) -> None:
        """Take note of what drivers reported; events that are no outcome are passed over."""
        for event in outcomes:
            kind = type(event)
            if kind is events.MigrationDone:
                self._done(event)  # type: ignore[arg-type]
            elif kind is events.MigrationFailed:
                self._failed(event)  # type: ignore[arg-type]
            elif kind is events.VmLost:
                self._vm_lost(event)  # type: ignore[arg-type]
            elif kind is events.HostReturned:
                self._host_returned(event)  # type: ignore[arg-type]
            elif kind is events.PatchFailed:
                self._patch_failed(event)  # type: ignore[arg-type]
            elif kind is events.ForwardingStarted:
                self._forwarding(event)  # type: ignore[arg-type]
            elif kind is events.MigrationWaiting or kind is events.GuestAcknowledged:
                self._told_or_ready(event)  # type: ignore[arg-type]
            elif kind in ORDERS or kind in BY_OTHERS:
                self._ordered_or_found(event)

    def _patch_failed(self, event: events.PatchFailed) -> None:
        host = self._books.host_numbers[event.host_id]
        if serves_on(self._books.program, untouched=event.untouched):
            self._giving_up.leave_host(host)
        else:
            self._giving_up.lose_host(host, event.reason)

    def _ordered_or_found(self, event: Event) -> None:
        """Take note of what people asked for, or others were found to have done."""
        self._giving_up.drift.change()
        if type(event) in ORDERS:
            self._ordered(event)
        else:
            self._others_did(event)

    def _others_did(self, event: Event) -> None:
        """Take note of a VM that others have created, deleted or moved, or of a host that their VMs have come to."""
        if isinstance(event, events.HostRefilled):
            host = self._books.host_numbers[event.host_id]
            if self._books.refill(host):
                self._unforeseen.forget(host)
            return
        assert isinstance(event, events.VmEvent), "there is nothing else that others do"
        change = self._unforeseen.take(event)
        self._books.woken |= change.woken
        self._giving_up.drop(change.falls)
        for host in change.hosts:
            self._giving_up.drift.release(host, VMS_REMAIN)
            self._books.woken_hosts.add(host)

    def looked(self, host: int, there: frozenset[str], strange: tuple[str, ...], now: float) -> None:
        """Take note of what is on a real host that was to be looked at.

        ``strange``: what is there and is no VM that the campaign has there; what is certain of others was told before.
        """
        unforeseen = self._unforeseen
        self._giving_up.drop(unforeseen.settle(host, there))
        if not there and not strange:
            unforeseen.note_clear(host)
            self._books.woken_hosts.add(host)
        elif strange and host in unforeseen.looks and unforeseen.stays_unclear(host, now):
            self._giving_up.drop_filled(host, in_words(list(strange)))

    def _ordered(self, event: Event) -> None:
        """Take note of what a person, or a rule in a person's place, asked for."""
        books, orders = self._books, self._orders
        if isinstance(event, control_events.CampaignPaused):
            orders.pause(event)
        elif isinstance(event, control_events.CampaignContinued):
            orders.resume()
        elif isinstance(event, control_events.CampaignAborted):
            orders.abort(stopping(event))
            self._giving_up.drop_all(asked(event.by, event.why))
        elif isinstance(event, control_events.HostSkipped):
            self._giving_up.drop_host(books.host_numbers[event.host_id], "skipped", asked(event.by, event.why))
        elif isinstance(event, control_events.LimitsChanged):
            books.slots.change(json.loads(event.max_out))
            books.woken_hosts |= books.slots.queued()
        elif isinstance(event, events.WaveApproved):
            orders.approve(event.wave)
        elif isinstance(event, control_events.DriftAccepted):
            self._giving_up.let_go()

    def _told_or_ready(self, event: events.MigrationWaiting | events.GuestAcknowledged) -> None:
        """Count a notice period from when the guest was told, and end it when the guest is ready."""
        books = self._books
        number = books.numbers[event.migration_id]
        if books.phase[number] != IDLE or not books.notified[number] or books.acknowledged[number]:
            return
        books.acknowledged[number] = ready = isinstance(event, events.GuestAcknowledged)
        over_s = max(books.start_s[number], event.at_s if ready else event.at_s + books.notice_s[number])
        if over_s != books.ready_s[number]:
            books.ready_s[number], books.ready[number] = over_s, False
            self._timers.begin(number, over_s)

    def _forwarding(self, event: events.ForwardingStarted) -> None:
        books = self._books
        number = books.numbers[event.migration_id]
        if books.runs(number, event.attempt):
            books.vm_host[books.vm[number]] = books.room.target[number]

    def _done(self, event: events.MigrationDone) -> None:
        books = self._books
        number = books.numbers[event.migration_id]
        if not books.runs(number, event.attempt):
            return
        books.running -= 1
        books.vm_host[books.vm[number]] = books.room.target[number]
        books.woken |= books.room.finish(number)
        books.end(number)

    def _failed(self, event: events.MigrationFailed) -> None:
        books = self._books
        number = books.numbers[event.migration_id]
        past = books.vm_host[books.vm[number]] != books.room.source[number]
        if past or not books.runs(number, event.attempt):
            return
        books.running -= 1
        books.phase[number] = RETRYING
        books.woken |= books.room.pause(number)
        again = books.again[number] and books.cancelled[number] == event.attempt
        books.uncounted[number] += again
        retryable = event.retryable or again
        self._giving_up.retry_or_drop(number, event.at_s, retryable=retryable, error=event.error)

    def _vm_lost(self, event: events.VmLost) -> None:
        books = self._books
        number = books.numbers[event.migration_id]
        if not books.runs(number, event.attempt):
            return
        books.running -= 1
        books.phase[number] = RETRYING
        books.vm_host[books.vm[number]] = books.room.source[number]
        books.woken |= books.room.pause(number)
        self._giving_up.drop_migration(number, "vm-lost", event.error)

    def _host_returned(self, event: events.HostReturned) -> None:
        books = self._books
        host = books.host_numbers[event.host_id]
        if not HostStage.DRAINED <= books.host_stage[host] <= HostStage.PATCHING:
            return
        books.patching -= 1
        books.host_stage[host] = HostStage.RETURNED
        books.gates.end(host, HostStage.RETURNED, event.at_s)
        if books.evacuated[host]:
            books.woken_hosts.add(host)
        books.woken_hosts.update(books.slots.release(host))
        books.woken.update(books.incoming[host])

    def spare(self, event: events.MigrationCancelled) -> None:
        """Take note that an attempt was not stopped after all: its outcome is known already."""
        books = self._books
        number = books.numbers[event.migration_id]
        if books.cancelled[number] == event.attempt:
            books.cancelled[number], books.again[number] = 0, False
