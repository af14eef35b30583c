"""What orders change of a campaign's state."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from slacktide.errors import InternalError
from slacktide.executors.campaign_state import CampaignState
from slacktide.executors.control_events import (
    CampaignAborted,
    CampaignContinued,
    CampaignPaused,
    DecisionAwaited,
    DecisionOver,
    DriftAccepted,
    HostSkipped,
    LimitsChanged,
    OrderRefused,
    PlanRevised,
    SignalChanged,
    StoppingOrder,
)
from slacktide.executors.events import Event, WaveApproved
from slacktide.executors.wanted import CAMPAIGN

ORDERS: Final = frozenset(
    {
        CampaignPaused,
        CampaignContinued,
        CampaignAborted,
        DriftAccepted,
        HostSkipped,
        LimitsChanged,
        PlanRevised,
        WaveApproved,
    }
)
"""Events that say what was asked of a campaign and is done."""
BUDGET: Final = "the budget"
SIGNAL: Final = "the signal"
"""What the name of a budget or a signal follows where it pauses a campaign in a person's place."""


DECIDE: Final = (
    "have the rest planned anew with `slacktide campaign revise`, where a limit is in the way after `slacktide "
    "campaign limits`, or leave what depends on it with `slacktide campaign revise --give-up`"
)
"""What a person may decide where a campaign waits for that."""


def asked(by: str, why: str) -> str:
    """Return who asked for something and why, in words."""
    return f"asked for by {by}: {why}" if why else f"asked for by {by}"


def revision_reason(by: str, why: str, evacuates: str | None) -> str:
    """Return why a campaign went over to a revision: what was asked for by whom and why, or what had happened."""
    if evacuates is not None:
        return f"evacuation of {evacuates}, {asked(by, why)}"
    return why if by == CAMPAIGN else asked(by, why)


def pause_words(event: CampaignPaused) -> str:
    """Return that a campaign is paused, and who or what asked for that, with the budget or the signal and its value."""
    return f"paused by {event.by}: {event.why}" if not event.order else f"paused, {asked(event.by, event.why)}"


def pause_remedy(event: CampaignPaused) -> str:
    """Return how a pause is ended, and what that means for the budget or the signal that asked for it."""
    if not event.order and event.by.startswith(BUDGET):
        anew = "`slacktide campaign resume` lets it go on and counts the budget anew from then"
        return f"look into that first: {anew}, `slacktide campaign abort` ends it"
    if not event.order and event.by.startswith(SIGNAL):
        return "mend that, then `slacktide campaign resume`: before the signal is well again it pauses nothing more"
    return "end that with `slacktide campaign resume`"


def _paused(state: CampaignState, event: CampaignPaused) -> None:
    state.paused = event
    state.orders = max(state.orders, event.order)


def _continued(state: CampaignState, event: CampaignContinued) -> None:
    state.paused = None
    state.orders = max(state.orders, event.order)
    state.judged_from_s, state.failures_before = event.at_s, state.failures
    state.lost_before = state.lost_hosts


def _decision_awaited(state: CampaignState, event: DecisionAwaited) -> None:
    since_s = event.at_s if state.decision is None else state.decision.at_s
    state.decision = replace(event, at_s=since_s)


def _decision_over(state: CampaignState, _event: DecisionOver) -> None:
    state.decision = None


def _signal(state: CampaignState, event: SignalChanged) -> None:
    state.signals[event.name] = event


def _aborted(state: CampaignState, event: CampaignAborted) -> None:
    state.aborted, state.paused = event, None
    state.orders = max(state.orders, event.order)


def _skipped(state: CampaignState, event: HostSkipped) -> None:
    host = state.host_numbers[event.host_id]
    state.skipped[host] = asked(event.by, event.why)
    state.evacuated.pop(host, None)
    state.orders = max(state.orders, event.order)


def _limits_changed(state: CampaignState, event: LimitsChanged) -> None:
    state.max_out |= json.loads(event.max_out)
    state.orders = max(state.orders, event.order)


def _answered(state: CampaignState, event: OrderRefused | DriftAccepted) -> None:
    state.orders = max(state.orders, event.order)


def _revised(_state: CampaignState, event: PlanRevised) -> None:
    """Refuse to fold a revision without its plan: :mod:`slacktide.executors.standing` does that."""
    raise InternalError("journal", f"goes over to plan {event.plan_id}, which is not at hand", "Give its plan")


ORDER_HANDLERS: Final[dict[type[Event], Callable[..., None]]] = {
    CampaignPaused: _paused,
    CampaignContinued: _continued,
    CampaignAborted: _aborted,
    HostSkipped: _skipped,
    LimitsChanged: _limits_changed,
    OrderRefused: _answered,
    DriftAccepted: _answered,
    PlanRevised: _revised,
    SignalChanged: _signal,
    DecisionAwaited: _decision_awaited,
    DecisionOver: _decision_over,
}
"""How events about orders are folded, by kind."""


@dataclass(frozen=True, slots=True)
class Stopping:
    """That everything under way is to be stopped."""

    reason: str
    again: bool
    """It is to be begun again once the campaign goes on."""


def stopping(event: StoppingOrder | None) -> Stopping | None:
    """Return how what runs is to be stopped; null: it is to end by itself."""
    if event is None or not event.cancel:
        return None
    paused = isinstance(event, CampaignPaused)
    return Stopping(f"the campaign is {'paused' if paused else 'aborted'}, {asked(event.by, event.why)}", paused)
