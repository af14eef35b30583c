"""What can no longer happen is given up with a reason, and so is what depends on it: nothing waits for ever."""

from collections.abc import Iterable
from typing import Final

from slacktide.executors import events
from slacktide.executors.campaign_state import CampaignState, HostStage
from slacktide.executors.drift import STUCK, Drift
from slacktide.executors.falling import (
    NO_FAILURE,
    REVISED,
    VMS_REMAIN,
    Fall,
    dependents_to_fall,
    not_needed,
    ordered_to_fall,
    with_abort,
    with_host,
    with_lost,
    with_migration,
    with_wave,
)
from slacktide.executors.rules import MOST_TRIED, Rules
from slacktide.executors.scheduling.books import IDLE, RETRYING, Books
from slacktide.executors.scheduling.timers import Timers
from slacktide.executors.scheduling.unforeseen import Unforeseen

FINAL: Final = ("aborted", "gate-closed", "vm-lost")
"""Reasons for giving up that no plan mends: what depends on it is given up as well."""
_NOT_PATCHED: Final = (int(HostStage.IN_SERVICE), int(HostStage.DRAINING), int(HostStage.DRAINED))
"""Stages in which a host can still be given up."""


class GivingUp:
    """Gives up hosts and migrations, or holds that back while it may be planned anew."""

    def __init__(
        self, books: Books, timers: Timers, unforeseen: Unforeseen, state: CampaignState, rules: Rules
    ) -> None:
        self._books, self._timers, self._unforeseen, self._rules = books, timers, unforeseen, rules
        self.drift = Drift(rules.on_drift if state.aborted is None else "ignore")
        self._falling: list[Fall] = [] if state.finished else list(not_needed(books.program, state))

    def take_up(self, state: CampaignState) -> None:
        """Have given up what ``state`` has not given up yet, and should have."""
        self._falling += ordered_to_fall(self._books.program, state)
        for wave, reason in sorted(state.wave_closed.items()):
            self.drop_behind(wave, reason)
        depends = dependents_to_fall(self._books.program, state)
        why = "what had failed before" if state.decision is None else state.decision.why
        self._depend([fall for fall in depends if self._still_stands(fall)], why)
        asked = None if state.paused is None else state.decision
        if asked is not None and all(revision.at_s < asked.at_s for revision in state.revisions):
            self.drift.recall(asked.why)

    @property
    def is_due(self) -> bool:
        """Whether something is to be given up."""
        return bool(self._falling)

    def drop_stuck(self, fall: Fall) -> None:
        """Have something given up that waits for what will not come; where a person is asked of drift it waits."""
        name = self._books.host_id_of(fall.subject) if fall.is_host else self._books.id_of(fall.subject)
        why = f"{name} cannot {'leave' if fall.is_host else 'begin'}: {fall.detail}"
        if not self.drift.hold_stuck(fall, why):
            self._falling.append(fall)

    def drop_migration(self, number: int, reason: str, detail: str) -> None:
        """Have a migration given up."""
        self._falling.append(Fall(False, number, reason, detail))

    def drop_host(self, host: int, reason: str, detail: str) -> None:
        """Have a host given up."""
        self._falling.append(Fall(True, host, reason, detail))

    def drop_all(self, why: str) -> None:
        """Have given up all that has not begun, and hold nothing back any more: the campaign is aborted."""
        self.drift.release_stuck()
        self.let_go()
        self.drift = Drift("ignore")
        self._falling += with_abort(self._books.program, why)

    def drop_behind(self, wave: int, reason: str) -> None:
        """Have given up what is behind a gate that stays closed.

        Where a person is asked of drift it waits for them; where no host was lost, and none patched either, whether
        another plan leads further.
        """
        falls = with_wave(self._books.program, wave, reason)
        if self._rules.on_drift == "ask" or not any(stage == HostStage.LOST for stage in self._books.host_stage):
            self._depend(falls, f"wave {wave} never opens: {reason}")
        else:
            self._falling += falls

    def retry_or_drop(self, number: int, failed_s: float, *, retryable: bool, error: str) -> None:
        """Have a migration that has failed tried again, or given up."""
        books = self._books
        source_given_up = books.host_stage[books.room.source[number]] in (HostStage.FAILED, HostStage.BLOCKED)
        counted = books.attempts[number] - books.uncounted[number]
        if not retryable or counted >= self._rules.max_attempts or source_given_up:
            fall = Fall(False, number, "migration-failed", error)
            if source_given_up or not self._unforeseen.doubt(number, fall):
                self._falling.append(fall)
        else:
            self._timers.retry(number, failed_s)

    def drop(self, falls: Iterable[Fall]) -> None:
        """Have hosts and migrations given up."""
        self._falling += falls

    def drop_filled(self, host: int, names: str) -> None:
        """Have a host given up that has VMs on it which nothing moves, or wait whether it can be planned anew."""
        detail = f"{names} on it, which the plan does not move"
        fall = Fall(True, host, VMS_REMAIN, detail)
        self._depend([fall], f"{self._books.host_id_of(host)} has {detail}")

    def lose_host(self, host: int, reason: str) -> None:
        """Count a host as lost, and have given up what was to go there."""
        books = self._books
        if not HostStage.DRAINED <= books.host_stage[host] <= HostStage.PATCHING:
            return
        books.patching -= 1
        books.host_stage[host] = HostStage.LOST
        books.gates.end(host, HostStage.LOST, 0.0)
        books.slots.lose(host)
        self._depend(with_lost(books.program, host, reason), f"{books.host_id_of(host)} is lost")

    def leave_host(self, host: int) -> None:
        """Count a host that is in service as before, unpatched; nothing was to go there."""
        books = self._books
        if not HostStage.DRAINED <= books.host_stage[host] <= HostStage.PATCHING:
            return
        books.patching -= 1
        books.host_stage[host] = HostStage.FAILED
        books.gates.end(host, HostStage.FAILED, 0.0)
        books.woken_hosts.update(books.slots.release(host))

    def let_go(self) -> None:
        """Give up, with the next decision, what is held back."""
        self._falling += self.drift.let_go()

    def _depend(self, falls: Iterable[Fall], why: str) -> None:
        """Have given up what depends on something, or wait whether it can be planned anew."""
        falls = list(falls)
        if not self.drift.hold([fall for fall in falls if self._still_stands(fall)], why):
            self._falling += falls

    def _still_stands(self, fall: Fall) -> bool:
        if fall.is_host:
            return self._books.host_stage[fall.subject] in _NOT_PATCHED
        return self._books.phase[fall.subject] in (IDLE, RETRYING)

    def settle(self, now: float) -> None:
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
        books = self._books
        if books.phase[number] not in (IDLE, RETRYING):
            return
        books.decided.append(events.MigrationGivenUp(now, books.id_of(number), reason, detail))
        books.woken |= books.room.give_up(number, holds=books.phase[number] == RETRYING)
        books.end(number)
        if reason == REVISED or reason in NO_FAILURE:
            return
        name = "migration-failed" if books.attempts[number] else reason
        at_source = books.vm_host[books.vm[number]] == books.room.source[number]
        falls = with_migration(books.program, number, name, detail, at_source=at_source)
        tried = books.tried[number] + books.attempts[number] - books.uncounted[number]
        if tried >= MOST_TRIED or reason in FINAL:
            self._falling += falls
        else:
            self._depend(falls, f"{books.id_of(number)} failed: {detail}")

    def _give_up_host(self, host: int, reason: str, detail: str, now: float) -> None:
        """Leave a host unpatched and in service, with the VMs that are still on it."""
        books, stage = self._books, self._books.host_stage[host]
        if stage not in _NOT_PATCHED:
            return
        books.patching -= stage == HostStage.DRAINED
        own = reason in ("migration-failed", VMS_REMAIN)
        kind = events.HostFailed if own else events.HostBlocked
        books.host_stage[host] = HostStage.FAILED if own else HostStage.BLOCKED
        self._unforeseen.forget(host)
        self.drift.release(host, STUCK)
        books.decided.append(kind(now, books.host_id_of(host), reason, detail))
        books.gates.end(host, books.host_stage[host], 0.0)
        in_service = stage == HostStage.IN_SERVICE
        books.woken_hosts.update(books.slots.leave_queue(host) if in_service else books.slots.release(host))
        if reason in FINAL:
            self._falling += with_host(books.program, host)
        elif reason != REVISED:
            self._depend(with_host(books.program, host), f"{books.host_id_of(host)} is not patched: {detail}")
