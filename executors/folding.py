"""How a journal is folded into the state of its campaign.

``fold`` is pure.  Entries that were folded before are passed over by their number, and reports that come twice or late
(an agent repeats what was not acknowledged) change nothing, so that folding any part of a journal again is harmless.
"""

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from slacktide.errors import ExecutionError, InternalError
from slacktide.executors import events
from slacktide.executors.campaign_state import CampaignState, HostStage
from slacktide.executors.events import Event, Stage
from slacktide.executors.journal import Entry
from slacktide.executors.order_state import ORDER_HANDLERS
from slacktide.executors.program import Program
from slacktide.executors.vm_state import VM_HANDLERS

_INTENDED, _NO_RETURN, _DONE = int(Stage.INTENDED), int(events.POINT_OF_NO_RETURN), int(Stage.DONE)
_GIVEN_UP, _FAILED = int(Stage.GIVEN_UP), int(Stage.FAILED)


def fold(state: CampaignState, entries: Sequence[Entry]) -> CampaignState:
    """Return the state after ``entries``; ``state`` is not changed."""
    after = state.copy()
    apply(after, entries)
    return after


def apply(state: CampaignState, entries: Sequence[Entry]) -> None:
    """Fold ``entries`` into ``state`` itself: for the one owner of a state.

    Raises
    ------
    InternalError
        If an entry is missing before one of them: who reads a journal has refused that.
    ExecutionError
        If one is about something that the plan does not have.
    """
    last, end_s = state.last, state.end_s
    for number, event in entries:
        if number <= last:
            continue
        if number != last + 1:
            raise InternalError("journal", f"entry {last + 1} is missing before {number}", "Restore it from a copy")
        last = number
        if event.at_s > end_s:
            end_s = event.at_s
        kind = type(event)
        reached = _STAGE_OF.get(kind)
        try:
            if reached is not None:
                _reach(state, event, reached)  # type: ignore[arg-type]
            else:
                _HANDLERS[kind](state, event)
        except KeyError as error:
            fact = (
                f"is damaged, or of another plan: event {number}, {kind.type}, is about {error}, which the plan lacks"
            )
            remedy = "Give the plan that the campaign was begun with, or restore the journal from a copy"
            raise ExecutionError("the campaign's journal", fact, remedy) from error
    state.last, state.end_s = last, end_s


_STAGE_OF: Final[dict[type[Event], int]] = {
    events.TargetReserved: int(Stage.RESERVED),
    events.TargetPrepared: int(Stage.PREPARED),
    events.TargetConnected: int(Stage.CONNECTED),
    events.BrownoutStarted: int(Stage.BROWNOUT),
    events.BlackoutStarted: int(Stage.BLACKOUT),
    events.SourceDeleted: int(Stage.SOURCE_DELETED),
}


def _reach(state: CampaignState, event: events.AttemptEvent, reached: int) -> bool:
    """Move the migration on to a later stage of the attempt that is running; return whether this is news."""
    number = state.numbers[event.migration_id]
    if not _INTENDED <= state.stage[number] < reached or state.attempts[number] != event.attempt:
        return False
    state.stage[number] = reached
    state.times[number, reached] = event.at_s
    return True


def _forwarding(state: CampaignState, event: events.ForwardingStarted) -> None:
    number = state.numbers[event.migration_id]
    if _reach(state, event, _NO_RETURN):
        state.blackout_ms[number] = _measured(event.blackout_ms)
        state.vm_host[state.program.migrations.vm[number]] = state.program.migrations.target[number]


def _forwarded(state: CampaignState, event: events.ForwardingEnded) -> None:
    number = state.numbers[event.migration_id]
    if state.stage[number] == _NO_RETURN and state.attempts[number] == event.attempt:
        state.fabric_s[number] = max(0.0, event.at_s - state.times[number, _NO_RETURN])
        state.forwarded_packets[number] = _measured(event.forwarded_packets)
        state.lost_packets[number] = _measured(event.lost_packets)
        if event.unconfirmed is not None:
            state.unconfirmed[number] = event.unconfirmed


def _done(state: CampaignState, event: events.MigrationDone) -> None:
    number = state.numbers[event.migration_id]
    if _reach(state, event, _DONE):
        state.transfer_mib[number] = _measured(event.transfer_mib)
        state.probe_blackout_ms[number] = _measured(event.probe_blackout_ms)
        state.probe_resolution_ms[number] = _measured(event.probe_resolution_ms)
        if event.blackout_ms is not None:
            state.blackout_ms[number] = event.blackout_ms
        state.vm_host[state.program.migrations.vm[number]] = state.program.migrations.target[number]


def _measured(value: float | None) -> float:
    return np.nan if value is None else value


def _lost(state: CampaignState, event: events.VmLost) -> None:
    number = state.numbers[event.migration_id]
    if not _INTENDED <= state.stage[number] < _DONE or state.attempts[number] != event.attempt:
        return
    state.failed_stage[number] = state.stage[number]
    state.failed_attempts[int(state.stage[number])] = state.failed_attempts.get(int(state.stage[number]), 0) + 1
    state.stage[number] = _FAILED
    state.times[number, _FAILED] = event.at_s
    state.retryable[number] = False
    state.errors[number] = event.error
    vm = int(state.program.migrations.vm[number])
    state.vm_host[vm] = state.program.migrations.source[number]
    state.lost_vms.add(vm)


def _notified(state: CampaignState, event: events.MigrationNotified) -> None:
    _before_start(state, event, Stage.NOTIFIED)


def _waiting(state: CampaignState, event: events.MigrationWaiting) -> None:
    """Note when the guest was told, which may be heard of only after its migration began."""
    if np.isnan(state.times[state.numbers[event.migration_id], Stage.WAITING]):
        state.times[state.numbers[event.migration_id], Stage.WAITING] = event.at_s
    _before_start(state, event, Stage.WAITING)


def _before_start(state: CampaignState, event: events.MigrationEvent, reached: int) -> None:
    number = state.numbers[event.migration_id]
    if state.stage[number] < reached:
        state.stage[number] = reached
        state.times[number, reached] = event.at_s


def _acknowledged(state: CampaignState, event: events.GuestAcknowledged) -> None:
    number = state.numbers[event.migration_id]
    if np.isnan(state.begun_s[number]) and np.isnan(state.acknowledged_s[number]):
        state.acknowledged_s[number] = event.at_s


def _intended(state: CampaignState, event: events.MigrationIntended) -> None:
    number = state.numbers[event.migration_id]
    if event.attempt != state.attempts[number] + 1 or state.stage[number] in (_DONE, _GIVEN_UP):
        return
    state.stage[number] = _INTENDED
    state.attempts[number] = event.attempt
    if event.attempt == 1:
        state.begun_s[number] = event.at_s
    state.times[number, _INTENDED:] = np.nan
    state.times[number, _INTENDED] = event.at_s


def _failed(state: CampaignState, event: events.MigrationFailed) -> None:
    number = state.numbers[event.migration_id]
    stage = state.stage[number]
    if not _INTENDED <= stage < _NO_RETURN or state.attempts[number] != event.attempt:
        return
    failed_stage = int(Stage[event.stage.upper()])
    state.failed_stage[number] = failed_stage
    state.failed_attempts[failed_stage] = state.failed_attempts.get(failed_stage, 0) + 1
    state.stage[number] = _FAILED
    state.times[number, _FAILED] = event.at_s
    state.retryable[number] = event.retryable
    state.errors[number] = event.error
    if state.again[number] and state.cancelled[number] == event.attempt:
        state.retryable[number] = True
        state.uncounted[number] += 1


def _cancelled(state: CampaignState, event: events.MigrationCancelled) -> None:
    number = state.numbers[event.migration_id]
    state.cancelled[number] = event.attempt
    state.again[number] = bool(event.again)


def _given_up(state: CampaignState, event: events.MigrationGivenUp) -> None:
    number = state.numbers[event.migration_id]
    state.stage[number] = _GIVEN_UP
    state.times[number, _GIVEN_UP] = event.at_s
    state.given_up[number] = event.reason
    state.errors.setdefault(number, event.detail)


def _resolved(state: CampaignState, event: events.MigrationResolved) -> None:
    """Fold in what both hypervisors say; a call that never reached them takes the attempt back."""
    number = state.numbers[event.migration_id]
    if not _INTENDED <= state.stage[number] < _DONE or state.attempts[number] != event.attempt:
        return
    if event.outcome == "done":
        state.stage[number] = _DONE
        state.times[number, _DONE] = event.at_s
        state.vm_host[state.program.migrations.vm[number]] = state.program.migrations.target[number]
    elif event.outcome == "not-started":
        state.stage[number] = _FAILED if event.attempt > 1 else Stage.PLANNED
        if event.attempt == 1 and not np.isnan(state.times[number, Stage.NOTIFIED]):
            state.stage[number] = Stage.NOTIFIED
        state.attempts[number] -= 1
        state.times[number, _INTENDED] = np.nan
        if event.attempt == 1:
            state.begun_s[number] = np.nan
        if event.attempt > 1:
            state.times[number, _FAILED] = event.at_s


def _host(reached: HostStage) -> Callable[[CampaignState, events.HostEvent], None]:
    def advance(state: CampaignState, event: events.HostEvent) -> None:
        number = state.host_numbers[event.host_id]
        if state.host_stage[number] < reached:
            state.host_stage[number] = reached
            state.host_times[number, reached] = event.at_s
            if isinstance(event, events.HostFailed | events.HostBlocked):
                state.host_reasons[number] = (event.reason, event.detail)

    return advance


def _patch_failed(state: CampaignState, event: events.PatchFailed) -> None:
    number = state.host_numbers[event.host_id]
    if HostStage.DRAINED <= state.host_stage[number] < HostStage.RETURNED:
        stage = HostStage.FAILED if serves_on(state.program, untouched=event.untouched) else HostStage.LOST
        state.host_stage[number] = stage
        state.host_times[number, stage] = event.at_s
        state.host_reasons[number] = ("patch-failed", event.reason)


def serves_on(program: Program, *, untouched: bool | None) -> bool:
    """Return whether a host whose patch failed is as it was, with its VMs: it was to be patched in place."""
    return bool(untouched) and program.policy.in_place


def _host_resolved(state: CampaignState, event: events.HostResolved) -> None:
    number = state.host_numbers[event.host_id]
    if state.host_stage[number] not in (HostStage.PATCH_INTENDED, HostStage.PATCHING):
        return
    if event.outcome == "returned":
        state.host_stage[number] = HostStage.RETURNED
        state.host_times[number, HostStage.RETURNED] = event.at_s
    elif event.outcome == "not-started":
        state.host_stage[number] = HostStage.DRAINED


def _refilled(state: CampaignState, event: events.HostRefilled) -> None:
    number = state.host_numbers[event.host_id]
    if HostStage.DRAINED <= state.host_stage[number] < HostStage.RETURNED:
        state.host_stage[number] = HostStage.DRAINING
        state.host_times[number, HostStage.DRAINED : HostStage.RETURNED] = np.nan


def _wave_opened(state: CampaignState, event: events.WaveOpened) -> None:
    state.wave_opened_s[event.wave] = event.at_s


def _wave_approved(state: CampaignState, event: events.WaveApproved) -> None:
    state.wave_approved[event.wave] = True
    state.orders = max(state.orders, event.order or 0)


def _wave_closed(state: CampaignState, event: events.WaveClosed) -> None:
    state.wave_closed[event.wave] = event.reason


def _finished(state: CampaignState, _event: events.CampaignFinished) -> None:
    state.finished = True


def _nothing(_state: CampaignState, _event: Event) -> None:
    """Fold an event that changes no state."""


_HANDLERS: Final[dict[type[Event], Callable[..., None]]] = {
    events.CampaignCreated: _nothing,
    events.CampaignResumed: _nothing,
    events.AgentAway: _nothing,
    events.AgentBack: _nothing,
    events.CampaignFinished: _finished,
    events.WaveApproved: _wave_approved,
    events.WaveOpened: _wave_opened,
    events.WaveClosed: _wave_closed,
    events.MigrationNotified: _notified,
    events.MigrationWaiting: _waiting,
    events.GuestAcknowledged: _acknowledged,
    events.MigrationIntended: _intended,
    events.ForwardingStarted: _forwarding,
    events.ForwardingEnded: _forwarded,
    events.MigrationDone: _done,
    events.MigrationFailed: _failed,
    events.MigrationProgress: _nothing,
    events.MigrationForced: _nothing,
    events.VmLost: _lost,
    events.MigrationCancelled: _cancelled,
    events.MigrationGivenUp: _given_up,
    events.MigrationResolved: _resolved,
    events.HostDrainStarted: _host(HostStage.DRAINING),
    events.HostDrained: _host(HostStage.DRAINED),
    events.HostEvacuated: _host(HostStage.EVACUATED),
    events.PatchIntended: _host(HostStage.PATCH_INTENDED),
    events.PatchStarted: _host(HostStage.PATCHING),
    events.HostReturned: _host(HostStage.RETURNED),
    events.PatchFailed: _patch_failed,
    events.HostFailed: _host(HostStage.FAILED),
    events.HostBlocked: _host(HostStage.BLOCKED),
    events.HostResolved: _host_resolved,
    events.HostRefilled: _refilled,
    **ORDER_HANDLERS,
    **VM_HANDLERS,
}
