"""What was asked of a campaign and what came of it, in words."""

from collections.abc import Iterable

from slacktide.executors.control_events import (
    CampaignAborted,
    CampaignContinued,
    CampaignPaused,
    DriftAccepted,
    HostSkipped,
    LimitsChanged,
    OrderRefused,
    PlanRevised,
)
from slacktide.executors.events import Event, WaveApproved
from slacktide.executors.report_summary import OrderAnswered


def order_words(event: Event) -> str:
    """Return what was asked and what came of it."""
    match event:
        case CampaignPaused():
            return "paused; migrations under way are stopped" if event.cancel else "paused"
        case CampaignContinued():
            return "goes on"
        case CampaignAborted():
            return "aborted; migrations under way are stopped" if event.cancel else "aborted"
        case HostSkipped():
            return f"{event.host_id} is left alone"
        case LimitsChanged():
            return f"hosts out at once: {event.max_out}"
        case WaveApproved():
            return f"wave {event.wave} is approved"
        case PlanRevised() | DriftAccepted():
            return _revision_words(event)
        case OrderRefused():
            if not event.order:
                return f"no revision: {event.reason}"
            return f"refused `{event.kind}`: {event.reason}"
    return event.type


def _revision_words(event: PlanRevised | DriftAccepted) -> str:
    if isinstance(event, PlanRevised):
        if event.evacuates is not None:
            return f"{event.evacuates} is evacuated before all others, revision {event.number}: plan {event.plan_id}"
        return f"revision {event.number}: plan {event.plan_id}"
    return "what depends on what has happened is given up"


def orders_answered(events: Iterable[Event]) -> tuple[OrderAnswered, ...]:
    """Return what was asked of a campaign, by the events that answer it, as a report has it.

    Approvals that nobody gave, and revisions that nobody asked for, are not among them.
    """
    return tuple(
        OrderAnswered(
            order=getattr(event, "order", 0) or 0,
            at_s=event.at_s,
            by=getattr(event, "by", ""),
            why=getattr(event, "why", "") or "",
            kind=event.type,
            granted=not isinstance(event, OrderRefused),
            outcome=order_words(event),
        )
        for event in events
        if getattr(event, "order", 0) or not isinstance(event, PlanRevised | WaveApproved)
    )
