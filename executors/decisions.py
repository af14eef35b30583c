"""What to do next: pure, without clock, driver or sleep.

An action is an event to be journaled; :mod:`slacktide.executors.commands` says which of them a driver then carries out.
:func:`next_actions` answers from the state alone.  :class:`Scheduler` gives the same answers step by step, and looks
only at what has changed: it is told every outcome, and wakes who waited for it.  What it is made of is in
:mod:`slacktide.executors.scheduling`.

The plan leaves nothing to decide but time.  Nothing happens before its planned moment; what is late shifts what
depends on it.  At every moment a VM is on one host, targets have room, hosts out keep to ``max_out``.  What can no
longer happen is given up with a reason, and so is what depends on it: nothing waits for ever.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from slacktide.executors import events
from slacktide.executors.campaign_state import CampaignState, HostStage
from slacktide.executors.events import Event, Stage
from slacktide.executors.moments import DRAIN, MIGRATION_DEADLINE, NOTIFY, PATCH_DEADLINE, RETRY, START, Moment
from slacktide.executors.order_state import Stopping, pause_remedy, pause_words
from slacktide.executors.program import Program
from slacktide.executors.readable import duration
from slacktide.executors.rules import Rules
from slacktide.executors.scheduling.beginning import Beginning
from slacktide.executors.scheduling.books import RUNNING, Books, patching
from slacktide.executors.scheduling.ending import Ending
from slacktide.executors.scheduling.giving_up import GivingUp
from slacktide.executors.scheduling.observing import Observing
from slacktide.executors.scheduling.standing_orders import StandingOrders
from slacktide.executors.scheduling.timers import Timers
from slacktide.executors.scheduling.unforeseen import Unforeseen


def next_actions(program: Program, state: CampaignState, now: float, rules: Rules | None = None) -> tuple[Event, ...]:
    """Return what to do at ``now``, in order; ``state`` is not changed."""
    return Scheduler(program, state, rules).decide(now)


class Scheduler:
    """Next actions, step by step: ``observe`` outcomes, then ``decide``."""

    def __init__(self, program: Program, state: CampaignState, rules: Rules | None = None) -> None:
        self._rules = rules = rules or Rules()
        self._books = books = Books(program, state)
        self.room, self.slots, self.gates = books.room, books.slots, books.gates
        self._orders = orders = StandingOrders(state)
        self._timers = timers = Timers(books, state, rules)
        self.unforeseen = unforeseen = Unforeseen(books, state, asked=rules.vms == "asked")
        self._giving_up = giving_up = GivingUp(books, timers, unforeseen, state, rules)
        self._observing = Observing(books, timers, giving_up, orders, unforeseen)
        self._beginning = Beginning(books, timers, giving_up, orders, unforeseen, rules.approve_as)
        self._ending = Ending(books, giving_up)
        self.finished = state.finished
        self._take_up(state)

    def _take_up(self, state: CampaignState) -> None:
        """Set the timers of what is under way, and wake who waited for what the state has."""
        books = self._books
        books.woken_hosts.update(np.flatnonzero(state.host_stage == HostStage.DRAINING).tolist())
        books.woken_hosts.update(host for host in state.evacuated if state.host_stage[host] == HostStage.RETURNED)
        for number in np.flatnonzero(np.array(books.phase) == RUNNING).tolist():
            self._timers.limit_migration(number, float(state.times[number, Stage.INTENDED]))
        for number in np.flatnonzero(state.stage == Stage.FAILED).tolist():
            self._giving_up.retry_or_drop(
                number,
                float(state.times[number, Stage.FAILED]),
                retryable=bool(state.retryable[number]),
                error=state.errors.get(number, "no reason given"),
            )
        for host in np.flatnonzero(patching(state)).tolist():
            intended = float(state.host_times[host, HostStage.PATCH_INTENDED])
            if np.isnan(intended) or state.host_stage[host] == HostStage.DRAINED:
                books.woken_hosts.add(host)
            else:
                self._timers.limit_patch(host, intended)
        if not state.finished:
            self._giving_up.take_up(state)

    def observe(self, outcomes: Sequence[Event]) -> None:
        """Take note of what drivers reported and people asked for; events that are neither are passed over."""
        self._observing.observe(outcomes)

    def looked(self, host: int, there: frozenset[str], strange: tuple[str, ...], now: float) -> None:
        """Take note of what is on a real host that was to be looked at, once all that others did was observed.

        ``strange``: what is there and is no VM that the campaign has there.
        """
        self._observing.looked(host, there, strange, now)

    def spare(self, event: events.MigrationCancelled) -> None:
        """Take note that an attempt was not stopped after all: its outcome is known already."""
        self._observing.spare(event)

    def next_s(self) -> float | None:
        """Return the next moment at which anything may be due without a report; null: none is.

        While nothing new begins only deadlines of what runs are due.
        """
        moments = self._timers.moments
        return moments.next_deadline_s() if self._orders.quiet else moments.next_s()

    @property
    def paused(self) -> bool:
        """Whether a person, or a rule in a person's place, has paused the campaign."""
        return self._orders.paused

    def hold(self) -> None:
        """Let nothing new begin, patches excepted: the rest is being planned anew."""
        self._orders.hold()

    def go_on(self) -> None:
        """Go on after :meth:`hold`."""
        self._orders.go_on()

    def in_service(self) -> NDArray[np.bool_]:
        """Return which hosts have not begun to leave, by all that is decided: a journal may be behind."""
        return np.equal(self._books.host_stage, HostStage.IN_SERVICE)

    def drifted(self) -> str | None:
        """Return what has happened that the plan does not provide for, in words; null: nothing that waits."""
        return self._giving_up.drift.words()

    def asks(self) -> str | None:
        """Return what has happened that a person has to decide about, in words; null: nothing waits for that."""
        return self.drifted() if self._giving_up.drift.asks else None

    def beside_the_plan(self) -> dict[tuple[str, int], str]:
        """Return what others have done that the plan does not provide for, in words, by VM or migration and host."""
        books, ids = self._books, self._books.program.hosts.ids
        found = {}
        for stray in self.unforeseen.strays():
            if books.host_stage[stray.host] <= HostStage.DRAINED:
                words = f"{stray.vm_id}, which others have put on {ids[stray.host]}, is to leave it"
                found[stray.vm_id, stray.host] = words
        for number in self.unforeseen.crowded():
            target = books.room.target[number]
            words = f"{books.id_of(number)} finds no room on {ids[target]}, where others have put VMs"
            found[books.id_of(number), target] = words
        return found

    def give_way(self) -> None:
        """Give up, with the next decision, what depends on what has happened: nothing is planned anew for it."""
        self._giving_up.let_go()

    def waits_for(self) -> str | None:
        """Return what keeps the campaign until a person does something about it, in words; null: nothing does."""
        if self._orders.pause_order is not None:
            return f"it is {pause_words(self._orders.pause_order)}; {pause_remedy(self._orders.pause_order)}"
        if self._giving_up.drift.asks:
            return self._giving_up.drift.waits_for()
        wave = self.gates.next_wave
        opening = None if self.finished or self._rules.approve_as is not None else self.gates.next_opening()
        if opening is None or opening.at_s is None or wave in self._orders.approved or not self.gates.needs_approval():
            return None
        return f"wave {wave} waits for approval; give it with `slacktide campaign approve`"

    def decide(self, now: float) -> tuple[Event, ...]:
        """Return what to do at ``now``, in order; the caller journals it and has it done."""
        books = self._books
        for moment in self._timers.moments.due(now):
            self._act_on(moment, now)
        if self._orders.stopping is not None:
            self._stop_running(self._orders.stopping, now)
        if self._orders.waking:
            self._wake(now)
        drift, quiet = self._giving_up.drift, self._orders.quiet
        if not quiet:
            drift.look_anew()
        self._settle(now)
        while not self.finished and self._stuck():
            self._ending.drop_oldest()
            self._settle(now)
        if not self.finished and not self._orders.holding and self._ending.all_ended():
            self.finished = True
            books.decided.append(events.CampaignFinished(now))
        drift.settled(quiet=quiet)
        decided, books.decided = tuple(books.decided), []
        return decided

    def _act_on(self, moment: Moment, now: float) -> None:
        """Act on a planned moment, or a timer, that has come."""
        books = self._books
        _, kind, subject, attempt = moment
        if kind == NOTIFY:
            self._beginning.notify(subject, now)
        elif kind == START:
            books.ready[subject] = books.notice_s[subject] == 0 or books.ready_s[subject] <= now
            books.woken.add(subject)
        elif kind == RETRY:
            books.ready[subject] = True
            books.woken.add(subject)
        elif kind == DRAIN:
            books.host_due[subject] = True
            books.woken_hosts.add(subject)
        elif kind == MIGRATION_DEADLINE:
            books.cancelled[subject] = attempt
            reason = "took much longer than planned"
            books.decided.append(events.MigrationCancelled(now, books.id_of(subject), attempt, reason))
        elif kind == PATCH_DEADLINE:
            reason = f"not back after {duration(self._rules.patch_limit_s(books.maintenance_s[subject]))}"
            books.decided.append(events.PatchFailed(now, books.host_id_of(subject), reason))
            self._giving_up.lose_host(subject, reason)

    def _stop_running(self, asked_for: Stopping, now: float) -> None:
        """Have every attempt stopped that is under way and has not been told to stop."""
        books = self._books
        self._orders.stopping = None
        for number in np.flatnonzero(np.array(books.phase) == RUNNING).tolist():
            attempt = books.attempts[number]
            if books.cancelled[number] != attempt:
                books.cancelled[number], books.again[number] = attempt, asked_for.again
                name, again = books.id_of(number), asked_for.again or None
                books.decided.append(events.MigrationCancelled(now, name, attempt, asked_for.reason, again))

    def _wake(self, now: float) -> None:
        """Look at all that may have come due while nothing new began."""
        books = self._books
        self._orders.waking = False
        for number in books.order:
            self._beginning.notify(number, now)
        books.woken_hosts.update(books.drain_order)
        books.woken.update(books.order)

    def _settle(self, now: float) -> None:
        """Look at everything that was woken, hosts before migrations, each in planned order, until all is quiet."""
        books, beginning, giving_up, quiet = self._books, self._beginning, self._giving_up, self._orders.quiet
        while True:
            if not quiet:
                beginning.open_waves(now)
            if giving_up.is_due:
                giving_up.settle(now)
            elif books.woken_hosts:
                hosts, books.woken_hosts = sorted(books.woken_hosts, key=self.slots.rank.__getitem__), set()
                for host in hosts:
                    beginning.try_drain(host, now)
                    beginning.try_patch(host, now)
            elif quiet or not books.woken:
                return
            else:
                migrations, books.woken = sorted(books.woken, key=books.rank.__getitem__), set()
                for number in migrations:
                    beginning.try_start(number, now)

    def _stuck(self) -> bool:
        """Return whether nothing is under way, nothing will come, and yet something has not ended."""
        books = self._books
        if self._orders.quiet or books.running or books.patching or self.next_s() is not None:
            return False
        if self._ending.all_ended() or self.drifted() is not None or self.unforeseen.looks:
            return False
        opening = self.gates.next_opening()
        return opening is None or opening.at_s is None
