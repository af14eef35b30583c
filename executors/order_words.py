"""What was asked of a campaign and what came of it, in words."""

import json
from collections.abc import Iterable, Mapping

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
from slacktide.executors.report_summary import OrderAnswered, OwnStep
from slacktide.executors.store.orders import StoredOrder


def order_words(event: Event, name: str | None = None) -> str:
    """Return what was asked and what came of it.

    Parameters
    ----------
    name
        Of the order as people give it; null: that of its kind.
    """
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
            return f"hosts out at once: {limits_words(json.loads(event.max_out))}"
        case WaveApproved():
            return f"wave {event.wave} is approved"
        case PlanRevised() | DriftAccepted():
            return _revision_words(event)
        case OrderRefused():
            if not event.order:
                return f"no revision: {event.reason}"
            return f"refused `{name or event.kind}`: {event.reason}"
    return event.type


def limits_words(max_out: Mapping[str, int | str]) -> str:
    """Return limits on hosts out by kind of failure domain: ``fleet 20, rack 10%``."""
    return ", ".join(f"{kind} {limit}" for kind, limit in sorted(max_out.items()))


def order_name(order: StoredOrder) -> str:
    """Return the name of the command that asks for an order."""
    try:
        body = json.loads(order.body)
    except ValueError:
        return order.kind
    return "add" if order.kind == "revise" and isinstance(body, dict) and body.get("add_hosts") else order.kind


def _revision_words(event: PlanRevised | DriftAccepted) -> str:
    if isinstance(event, PlanRevised):
        if event.evacuates is not None:
            return f"{event.evacuates} is evacuated before all others, revision {event.number}: plan {event.plan_id}"
        return f"revision {event.number}: plan {event.plan_id}"
    return "what depends on what has happened is given up"


def is_asked_for(event: Event) -> bool:
    """Return whether an event answers somebody's order; else the campaign does it by a rule of its own."""
    return bool(getattr(event, "order", 0))


def orders_answered(events: Iterable[Event], asked_for: Iterable[StoredOrder] = ()) -> tuple[OrderAnswered, ...]:
    """Return what people asked of a campaign, by the events that answer it, as a report has it.

    Parameters
    ----------
    asked_for
        The orders as the store has them: when each was asked, and what exactly.
    """
    stored = {order.number: order for order in asked_for}
    return tuple(
        OrderAnswered(
            order=number,
            at_s=event.at_s,
            asked_at=stored[number].asked_at if number in stored else None,
            by=getattr(event, "by", ""),
            why=getattr(event, "why", "") or "",
            kind=event.type,
            granted=not isinstance(event, OrderRefused),
            outcome=order_words(event, order_name(stored[number]) if number in stored else None),
        )
        for event in events
        if is_asked_for(event)
        for number in (int(getattr(event, "order", 0)),)
    )


def own_steps(events: Iterable[Event]) -> tuple[OwnStep, ...]:
    """Return what a campaign did by rules of its own: pauses of a budget or signal, revisions, and those not made.

    The same that comes again, with nothing else of its own between, is one, with the last reason.
    """
    steps: list[OwnStep] = []
    for event in events:
        if is_asked_for(event) or isinstance(event, WaveApproved):
            continue
        by, why, outcome = getattr(event, "by", ""), getattr(event, "why", "") or "", order_words(event)
        last = steps[-1] if steps else None
        if last is not None and (last.by, last.kind, last.outcome) == (by, event.type, outcome):
            steps[-1] = last.model_copy(update={"last_s": event.at_s, "times": last.times + 1, "why": why})
        else:
            steps.append(
                OwnStep(at_s=event.at_s, last_s=event.at_s, times=1, by=by, why=why, kind=event.type, outcome=outcome)
            )
    return tuple(steps)
