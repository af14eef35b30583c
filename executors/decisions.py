"""What to do next: pure, without clock, driver or sleep.

An action is an event to be journaled; :mod:`slacktide.executors.commands` says which of them a driver then carries out.
:func:`next_actions` answers from the state alone.  :class:`Scheduler` gives the same answers step by step, and looks
only at what has changed: it is told every outcome, and wakes who waited for it.

The plan leaves nothing to decide but time.  Nothing happens before its planned moment; what is late shifts what
depends on it.  At every moment a VM is on one host, targets have room, hosts out keep to ``max_out``.  What can no
longer happen is given up with a reason, and so is what depends on it: nothing waits for ever.
"""

import json
from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np

from slacktide.executors import control_events, events
from slacktide.executors.books import ENDED, IDLE, RETRYING, RUNNING, Books, patching
from slacktide.executors.campaign_state import CampaignState, HostStage
from slacktide.executors.drift import Drift
from slacktide.executors.events import Event, Stage
from slacktide.executors.falling import (
    REVISED,
    Fall,
    dependents_to_fall,
    ordered_to_fall,
    with_abort,
    with_host,
    with_lost,
    with_migration,
    with_wave,
)
from slacktide.executors.gates import Gates
from slacktide.executors.moments import (
    DRAIN,
    MIGRATION_DEADLINE,
    NOTIFY,
    PATCH_DEADLINE,
    RETRY,
    START,
    WAVE,
    Moment,
    Moments,
    planned_moments,
)
from slacktide.executors.obstacles import waits_for
from slacktide.executors.order_state import ORDERS, Stopping, asked, stopping
from slacktide.executors.program import Program
from slacktide.executors.room import Room
from slacktide.executors.rules import MOST_TRIED, Rules
from slacktide.executors.slots import OutSlots

_DRAINING, _RETURNED = int(HostStage.DRAINING), int(HostStage.RETURNED)


FINAL: Final = ("aborted", "gate-closed", "vm-lost")
"""Reasons for giving up that no plan mends: what depends on it is given up as well."""
PAUSED: Final = "it is paused; end that with `slacktide campaign resume`"


def next_actions(program: Program, state: CampaignState, now: float, rules: Rules | None = None) -> tuple[Event, ...]:
    """Return what to do at ``now``, in order; ``state`` is not changed."""
    return Scheduler(program, state, rules).decide(now)


class Scheduler(Books):
    """Next actions, step by step: ``observe`` outcomes, then ``decide``."""

    def __init__(self, program: Program, state: CampaignState, rules: Rules | None = None) -> None:
        super().__init__(program, state)
        self._rules = rules or Rules()
        self.room = Room(program, state)
        self.slots = OutSlots(program, state)
        self.gates = Gates(program, state)
        self._drain_order: list[int] = np.flatnonzero(program.hosts.planned)[
            np.argsort(self.slots.rank[program.hosts.planned], kind="stable")
        ].tolist()
        self._out: list[Event] = []
        self._check: set[int] = set()
        self._check_hosts: set[int] = set()
        self._falling: list[Fall] = []
        self._drift = Drift(self._rules.on_drift if state.aborted is None else "ignore")
        self.holding = False
        """Nothing new begins, patches excepted: the rest is being planned anew."""
        self._oldest = self._oldest_host = 0
        self._wave_timer = (-1, 0.0)
        self.paused = state.paused is not None
        self._approved = set(np.flatnonzero(state.wave_approved).tolist())
        self._stopping: Stopping | None = None
        self._waking = False
        self._moments = Moments(planned_moments(program, state, np.array(self._ready_s)), self._stale)
        self._take_up(state)

    def _take_up(self, state: CampaignState) -> None:
        """Set the timers of what is under way, and wake who waited for what the state has."""
        self._check_hosts.update(np.flatnonzero(state.host_stage == HostStage.DRAINING).tolist())
        for number in np.flatnonzero(np.array(self._phase) == RUNNING).tolist():
            self._migration_deadline(number, float(state.times[number, Stage.INTENDED]))
        for number in np.flatnonzero(state.stage == Stage.FAILED).tolist():
            self._retry_or_drop(
                number,
                float(state.times[number, Stage.FAILED]),
                retryable=bool(state.retryable[number]),
                error=state.errors.get(number, "no reason given"),
            )
        for host in np.flatnonzero(patching(state)).tolist():
            intended = float(state.host_times[host, HostStage.PATCH_INTENDED])
            if np.isnan(intended) or state.host_stage[host] == HostStage.DRAINED:
                self._check_hosts.add(host)
            else:
                self._patch_deadline(host, intended)
        if not state.finished:
            self._falling += ordered_to_fall(self._program, state)
            for wave, reason in sorted(state.wave_closed.items()):
                self._fall_behind(wave, reason)
            depends = dependents_to_fall(self._program, state)
            self._depend([fall for fall in depends if self._still_stands(fall)], "what had failed before")
            self._stopping = stopping(state.aborted or state.paused)

    # What others tell

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
                self._host_lost(self._host_numbers[event.host_id], event.reason)  # type: ignore[attr-defined]
            elif kind is events.ForwardingStarted:
                self._forwarding(event)  # type: ignore[arg-type]
            elif kind is events.MigrationWaiting or kind is events.GuestAcknowledged:
                self._told_or_ready(event)  # type: ignore[arg-type]
            elif kind in ORDERS:
                self._ordered(event)

    def _ordered(self, event: Event) -> None:
        """Take note of what a person, or a rule in a person's place, asked for."""
        if isinstance(event, control_events.CampaignPaused):
            self.paused, self._stopping = True, stopping(event)
        elif isinstance(event, control_events.CampaignContinued):
            self.paused, self._waking = False, True
        elif isinstance(event, control_events.CampaignAborted):
            self.paused, self._stopping = False, stopping(event)
            self.give_way()
            self._drift = Drift("ignore")
            self._falling += with_abort(self._program, asked(event.by, event.why))
        elif isinstance(event, control_events.HostSkipped):
            self._drop(True, self._host_numbers[event.host_id], "skipped", asked(event.by, event.why))
        elif isinstance(event, control_events.LimitsChanged):
            self.slots.change(json.loads(event.max_out))
            self._check_hosts |= self.slots.queued()
        elif isinstance(event, events.WaveApproved):
            self._approved.add(event.wave)
        elif isinstance(event, control_events.DriftAccepted):
            self.give_way()

    def _told_or_ready(self, event: events.MigrationWaiting | events.GuestAcknowledged) -> None:
        """Count a notice period from when the guest was told, and end it when the guest is ready."""
        number = self._numbers[event.migration_id]
        if self._phase[number] != IDLE or not self._notified[number] or self._acknowledged[number]:
            return
        self._acknowledged[number] = ready = isinstance(event, events.GuestAcknowledged)
        over_s = max(self._start_s[number], event.at_s if ready else event.at_s + self._notice_s[number])
        if over_s != self._ready_s[number]:
            self._ready_s[number], self._ready[number] = over_s, False
            self._moments.add(over_s, START, number)

    def _forwarding(self, event: events.ForwardingStarted) -> None:
        number = self._numbers[event.migration_id]
        if self._phase[number] == RUNNING and self._attempts[number] == event.attempt:
            self._vm_host[self._vm[number]] = self.room.target[number]

    def _done(self, event: events.MigrationDone) -> None:
        number = self._numbers[event.migration_id]
        if self._phase[number] != RUNNING or self._attempts[number] != event.attempt:
            return
        self._running -= 1
        self._vm_host[self._vm[number]] = self.room.target[number]
        self._check |= self.room.finish(number)
        self._end(number)

    def _failed(self, event: events.MigrationFailed) -> None:
        number = self._numbers[event.migration_id]
        past = self._vm_host[self._vm[number]] != self.room.source[number]
        if self._phase[number] != RUNNING or self._attempts[number] != event.attempt or past:
            return
        self._running -= 1
        self._phase[number] = RETRYING
        self._check |= self.room.pause(number)
        again = self._again[number] and self._cancelled[number] == event.attempt
        self._uncounted[number] += again
        self._retry_or_drop(number, event.at_s, retryable=event.retryable or again, error=event.error)

    def _vm_lost(self, event: events.VmLost) -> None:
        number = self._numbers[event.migration_id]
        if self._phase[number] != RUNNING or self._attempts[number] != event.attempt:
            return
        self._running -= 1
        self._phase[number] = RETRYING
        self._vm_host[self._vm[number]] = self.room.source[number]
        self._check |= self.room.pause(number)
        self._drop(False, number, "vm-lost", event.error)

    def _retry_or_drop(self, number: int, failed_s: float, *, retryable: bool, error: str) -> None:
        source_given_up = self._host_stage[self.room.source[number]] in (HostStage.FAILED, HostStage.BLOCKED)
        counted = self._attempts[number] - self._uncounted[number]
        if not retryable or counted >= self._rules.max_attempts or source_given_up:
            self._drop(False, number, "migration-failed", error)
        else:
            self._ready[number] = False
            self._moments.add(failed_s + self._rules.retry_after_s, RETRY, number)

    def _host_returned(self, event: events.HostReturned) -> None:
        host = self._host_numbers[event.host_id]
        if not HostStage.DRAINED <= self._host_stage[host] <= HostStage.PATCHING:
            return
        self._patching -= 1
        self._host_stage[host] = HostStage.RETURNED
        self.gates.end(host, HostStage.RETURNED, event.at_s)
        self._check_hosts.update(self.slots.release(host))
        self._check.update(self._incoming[host])

    def _host_lost(self, host: int, reason: str) -> None:
        if not HostStage.DRAINED <= self._host_stage[host] <= HostStage.PATCHING:
            return
        self._patching -= 1
        self._host_stage[host] = HostStage.LOST
        self.gates.end(host, HostStage.LOST, 0.0)
        self._depend(with_lost(self._program, host, reason), f"{self._host_id(host)} is lost")

    # What to do

    def next_s(self) -> float | None:
        """Return the next moment at which anything may be due without a report; null: none.

        While the campaign is paused only deadlines of what runs are due.
        """
        return self._moments.next_deadline_s() if self.quiet else self._moments.next_s()

    @property
    def quiet(self) -> bool:
        """Whether nothing new begins."""
        return self.paused or self.holding

    def drifted(self) -> str | None:
        """Return what has happened that the plan does not provide for, in words; null: nothing that waits."""
        return self._drift.words()

    def give_way(self) -> None:
        """Give up, with the next decision, what depends on what has happened: nothing is planned anew for it."""
        self._falling += self._drift.let_go()

    def go_on(self) -> None:
        """Go on after :attr:`holding`."""
        self.holding, self._waking = False, True

    def waits_for(self) -> str | None:
        """Return what keeps the campaign until a person does something about it, in words; null: nothing does."""
        if self.paused:
            return PAUSED
        if self._drift.asks:
            return self._drift.waits_for()
        wave = self.gates.next_wave
        opening = None if self.finished or self._rules.approve_as is not None else self.gates.next_opening()
        if opening is None or opening.at_s is None or wave in self._approved or not self.gates.needs_approval():
            return None
        return f"wave {wave} waits for approval; give it with `slacktide campaign approve`"

    def spare(self, event: events.MigrationCancelled) -> None:
        """Take note that an attempt was not stopped after all: its outcome is known already."""
        number = self._numbers[event.migration_id]
        if self._cancelled[number] == event.attempt:
            self._cancelled[number], self._again[number] = 0, False

    def decide(self, now: float) -> tuple[Event, ...]:
        """Return what to do at ``now``, in order; the caller journals it and has it done."""
        self._out = []
        for moment in self._moments.due(now):
            self._act_on(moment, now)
        if self._stopping is not None:
            self._stop_running(self._stopping, now)
        if self._waking:
            self._wake(now)
        self._settle(now)
        while not self.finished and self._stuck():
            self._release_oldest()
            self._settle(now)
        if not self.finished and not self.holding and self._all_ended():
            self.finished = True
            self._out.append(events.CampaignFinished(now))
        self._drift.settled()
        out, self._out = tuple(self._out), []
        return out

    def _act_on(self, moment: Moment, now: float) -> None:
        """Act on a planned moment, or a timer, that has come."""
        _, kind, subject, attempt = moment
        if kind == NOTIFY:
            self._notify(subject, now)
        elif kind == START:
            self._ready[subject] = self._notice_s[subject] == 0 or self._ready_s[subject] <= now
            self._check.add(subject)
        elif kind == RETRY:
            self._ready[subject] = True
            self._check.add(subject)
        elif kind == DRAIN:
            self._host_due[subject] = True
            self._check_hosts.add(subject)
        elif kind == MIGRATION_DEADLINE:
            self._cancelled[subject] = attempt
            reason = "took much longer than planned"
            self._out.append(events.MigrationCancelled(now, self._id(subject), attempt, reason))
        elif kind == PATCH_DEADLINE:
            reason = f"not back after {self._rules.patch_limit_s(self._maintenance_s[subject]):.0f} s"
            self._out.append(events.PatchFailed(now, self._host_id(subject), reason))
            self._host_lost(subject, reason)

    def _stop_running(self, asked_for: Stopping, now: float) -> None:
        """Have every attempt stopped that is under way and has not been told to stop."""
        self._stopping = None
        for number in np.flatnonzero(np.array(self._phase) == RUNNING).tolist():
            if self._cancelled[number] != self._attempts[number]:
                self._cancelled[number], self._again[number] = self._attempts[number], asked_for.again
                told = events.MigrationCancelled(
                    now, self._id(number), self._attempts[number], asked_for.reason, asked_for.again or None
                )
                self._out.append(told)

    def _wake(self, now: float) -> None:
        """Look at all that may have come due while the campaign was paused."""
        self._waking = False
        for number in self._order:
            self._notify(number, now)
        self._check_hosts.update(self._drain_order)
        self._check.update(self._order)

    def _settle(self, now: float) -> None:
        """Look at everything that was woken, hosts before migrations, each in planned order, until all is quiet."""
        while True:
            if not self.quiet:
                self._open_waves(now)
            if self._falling:
                self._fall(now)
            elif self._check_hosts:
                hosts, self._check_hosts = sorted(self._check_hosts, key=self.slots.rank.__getitem__), set()
                for host in hosts:
                    self._try_drain(host, now)
                    self._try_patch(host, now)
            elif self.quiet:
                return
            elif self._check:
                migrations, self._check = sorted(self._check, key=self._rank.__getitem__), set()
                for number in migrations:
                    self._try_start(number, now)
            else:
                return

    def _open_waves(self, now: float) -> None:
        while (opening := self.gates.next_opening()) is not None:
            wave = self.gates.next_wave
            if opening.never is not None:
                self._close(wave, opening.never, now)
                return
            if opening.at_s is None:
                return
            if opening.at_s > now:
                if self._wave_timer != (wave, opening.at_s):
                    self._wave_timer = (wave, opening.at_s)
                    self._moments.add(opening.at_s, WAVE, wave)
                return
            if self.gates.needs_approval() and wave not in self._approved:
                if self._rules.approve_as is None:
                    return
                self._out.append(events.WaveApproved(now, wave, self._rules.approve_as))
            self._out.append(events.WaveOpened(now, wave))
            self.gates.open()
            self._check_hosts.update(host for host in self._drain_order if self._host_wave[host] == wave)
            for number in np.flatnonzero(self._program.migrations.wave == wave).tolist():
                self._notify(number, now)

    def _close(self, wave: int, reason: str, now: float) -> None:
        self.gates.closed = reason
        self._out.append(events.WaveClosed(now, wave, reason))
        self._fall_behind(wave, reason)

    def _fall_behind(self, wave: int, reason: str) -> None:
        """Have given up what is behind a gate that stays closed.

        Where a person is asked of drift it waits for them; where no host was lost, and none patched either, whether
        another plan leads further.
        """
        falls = with_wave(self._program, wave, reason)
        if self._rules.on_drift == "ask" or not any(stage == HostStage.LOST for stage in self._host_stage):
            self._depend(falls, f"wave {wave} never opens: {reason}")
        else:
            self._falling += falls

    def _notify(self, number: int, now: float) -> None:
        """Tell the guest, unless its wave is held up: then once that opens."""
        notified_s = self._start_s[number] - self._notice_s[number]
        if self._notified[number] or self._phase[number] != IDLE or not self._notice_s[number] or notified_s > now:
            return
        if self.quiet or self.gates.late(self._wave[number], now):
            return
        self._notified[number] = True
        self._ready_s[number] = max(self._start_s[number], now + self._notice_s[number])
        if self._ready_s[number] > self._start_s[number]:
            self._moments.add(self._ready_s[number], START, number)
        self._out.append(events.MigrationNotified(now, self._id(number)))

    def _try_drain(self, host: int, now: float) -> None:
        if self.quiet or not self._host_due[host] or self._host_stage[host] != HostStage.IN_SERVICE:
            return
        if not self.gates.is_open(self._host_wave[host]):
            return
        self.slots.enqueue(host)
        if self._incoming_left[host] or self.slots.obstacle(host) is not None:
            return
        self.slots.take(host)
        self._host_stage[host] = _DRAINING
        self._out.append(events.HostDrainStarted(now, self._host_id(host)))
        self._check.update(self._outgoing[host])

    def _try_patch(self, host: int, now: float) -> None:
        stage = self._host_stage[host]
        if stage == _DRAINING and not self._outgoing_left[host]:
            if self._drift.holds_host(host):
                return
            if self.room.vms_on[host] and not self._program.policy.in_place:
                detail = f"{self.room.vms_on[host]} VMs on it that the plan does not move"
                self._drop(True, host, "vms-remain", detail)
                return
            self._patching += 1
            self._host_stage[host] = HostStage.DRAINED
            self._out.append(events.HostDrained(now, self._host_id(host)))
        elif stage != HostStage.DRAINED:
            return
        if self.paused:
            return
        self._host_stage[host] = HostStage.PATCH_INTENDED
        self._out.append(events.PatchIntended(now, self._host_id(host)))
        self._patch_deadline(host, now)

    def _try_start(self, number: int, now: float) -> None:
        if not self._ready[number] or self._left[number] or self._phase[number] not in (IDLE, RETRYING):
            return
        source, target = self.room.source[number], self.room.target[number]
        if self._vm_host[self._vm[number]] != source:
            return
        if self._needs_drain[number] and self._host_stage[source] != _DRAINING:
            return
        if self._needs_return[number] and self._host_stage[target] != _RETURNED:
            return
        holds = self._phase[number] == RETRYING
        obstacle = self.room.obstacle(number, holds=holds)
        if obstacle is not None:
            self.room.wait(number, obstacle)
            return
        self.room.begin(number, holds=holds)
        self._phase[number] = RUNNING
        self._running += 1
        self._attempts[number] += 1
        self._migration_deadline(number, now)
        self._out.append(events.MigrationIntended(now, self._id(number), self._attempts[number]))

    # What cannot be done any more

    def _drop(self, is_host: bool, subject: int, reason: str, detail: str) -> None:
        self._falling.append(Fall(is_host, subject, reason, detail))

    def _depend(self, falls: Iterable[Fall], why: str) -> None:
        """Have given up what depends on something, or wait whether it can be planned anew."""
        falls = list(falls)
        if not self._drift.hold([fall for fall in falls if self._still_stands(fall)], why):
            self._falling += falls

    def _still_stands(self, fall: Fall) -> bool:
        if fall.is_host:
            return self._host_stage[fall.subject] in (HostStage.IN_SERVICE, _DRAINING, HostStage.DRAINED)
        return self._phase[fall.subject] in (IDLE, RETRYING)

    def _fall(self, now: float) -> None:
        """Give up what was dropped and, one after the other, all that depends on it."""
        while self._falling:
            falling, self._falling = self._falling, []
            for is_host, subject, reason, detail in falling:
                if is_host:
                    self._give_up_host(subject, reason, detail, now)
                else:
                    self._give_up(subject, reason, detail, now)

    def _give_up(self, number: int, reason: str, detail: str, now: float) -> None:
        """Leave a VM where it is; its source is not drained, unless the VM never came there."""
        if self._phase[number] not in (IDLE, RETRYING):
            return
        self._out.append(events.MigrationGivenUp(now, self._id(number), reason, detail))
        self._check |= self.room.give_up(number, holds=self._phase[number] == RETRYING)
        self._end(number)
        if reason == REVISED:
            return
        name = "migration-failed" if self._attempts[number] else reason
        at_source = self._vm_host[self._vm[number]] == self.room.source[number]
        falls = with_migration(self._program, number, name, detail, at_source=at_source)
        tried = self._tried[number] + self._attempts[number] - self._uncounted[number]
        if tried >= MOST_TRIED or reason in FINAL:
            self._falling += falls
        else:
            self._depend(falls, f"{self._id(number)} failed: {detail}")

    def _give_up_host(self, host: int, reason: str, detail: str, now: float) -> None:
        """Leave a host unpatched and in service, with the VMs that are still on it."""
        stage = self._host_stage[host]
        if stage not in (HostStage.IN_SERVICE, _DRAINING, HostStage.DRAINED):
            return
        self._patching -= stage == HostStage.DRAINED
        own = reason in ("migration-failed", "vms-remain")
        kind = events.HostFailed if own else events.HostBlocked
        self._host_stage[host] = HostStage.FAILED if own else HostStage.BLOCKED
        self._out.append(kind(now, self._host_id(host), reason, detail))
        self.gates.end(host, self._host_stage[host], 0.0)
        freed = self.slots.leave_queue(host) if stage == HostStage.IN_SERVICE else self.slots.release(host)
        self._check_hosts.update(freed)
        if reason in FINAL:
            self._falling += with_host(self._program, host)
        elif reason != REVISED:
            self._depend(with_host(self._program, host), f"{self._host_id(host)} is not patched: {detail}")

    def _end(self, number: int) -> None:
        """Count a migration that is done or given up, and wake who waited for it."""
        self._phase[number] = ENDED
        for follower in self._dependents[number]:
            self._left[follower] -= 1
            if not self._left[follower]:
                self._check.add(follower)
        source, target = self.room.source[number], self.room.target[number]
        self._outgoing_left[source] -= 1
        if not self._outgoing_left[source]:
            self._check_hosts.add(source)
        if self._before_drain[number]:
            self._incoming_left[target] -= 1
            if not self._incoming_left[target]:
                self._check_hosts.add(target)

    # Ends

    def _stuck(self) -> bool:
        """Return whether nothing is under way, nothing will come, and yet something has not ended."""
        if self.quiet or self._running or self._patching or self.next_s() is not None or self._all_ended():
            return False
        if self._drift.words() is not None:
            return False
        opening = self.gates.next_opening()
        return opening is None or opening.at_s is None

    def _all_ended(self) -> bool:
        phases, stages = self._phase, self._host_stage
        while self._oldest < len(self._order) and phases[self._order[self._oldest]] == ENDED:
            self._oldest += 1
        hosts = self._drain_order
        while self._oldest_host < len(hosts) and stages[hosts[self._oldest_host]] >= _RETURNED:
            self._oldest_host += 1
        return self._oldest == len(self._order) and self._oldest_host == len(hosts)

    def _release_oldest(self) -> None:
        """Give up the earliest planned thing that waits for what will not come, with the reason."""
        if self._oldest < len(self._order):
            number = self._order[self._oldest]
            source = self.room.source[number]
            if not self._needs_drain[number] or self._host_stage[source] != HostStage.IN_SERVICE:
                self._drop(False, number, "stuck", waits_for(self._program, self.room.obstacle(number, holds=False)))
                return
            host = source
        else:
            host = self._drain_order[self._oldest_host]
        self._drop(True, host, "stuck", self.slots.obstacle(host) or "waits for what will not come")

    # Timers

    def _stale(self, timer: Moment) -> bool:
        _, kind, subject, attempt = timer
        if kind == MIGRATION_DEADLINE:
            running = self._phase[subject] == RUNNING and self._attempts[subject] == attempt
            return not running or self._cancelled[subject] == attempt
        if kind == PATCH_DEADLINE:
            return self._host_stage[subject] not in (HostStage.PATCH_INTENDED, HostStage.PATCHING)
        if kind == RETRY:
            return self._phase[subject] != RETRYING
        if kind == WAVE:
            return self.gates.is_open(subject) or self.gates.closed is not None
        return self._phase[subject] != IDLE

    def _migration_deadline(self, number: int, intended_s: float) -> None:
        limit_s = self._rules.migration_limit_s(self._duration_s[number])
        self._moments.add(intended_s + limit_s, MIGRATION_DEADLINE, number, self._attempts[number])

    def _patch_deadline(self, host: int, intended_s: float) -> None:
        self._moments.add(intended_s + self._rules.patch_limit_s(self._maintenance_s[host]), PATCH_DEADLINE, host)
