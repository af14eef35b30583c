"""A running campaign as people read it: where it stands, what was asked of it, who waits and why."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from rich.text import Text

from slacktide.executors.campaign_state import OUT_STAGES, UNPATCHED_STAGES, HostStage
from slacktide.executors.events import Event, Stage
from slacktide.executors.half_drained import half_drained
from slacktide.executors.order_state import asked
from slacktide.executors.order_words import order_words
from slacktide.executors.readable import count, duration
from slacktide.executors.report_others import deeds_words
from slacktide.service.campaign_standing import holding, known_of, standing_of
from slacktide.service.words import counted

if TYPE_CHECKING:
    from slacktide.executors.campaign_state import CampaignState
    from slacktide.executors.waiting import Waiting
    from slacktide.service.campaign_view import Asked, Viewed

WAITING_NAMED: Final = 20
"""Hosts and VMs that wait and are named; with --json all are."""


def standing(viewed: "Viewed") -> str:
    """Return in a word or two how a campaign stands."""
    return standing_of(known_of(viewed.state, viewed.now_s), viewed.stored)


def view_rows(viewed: "Viewed") -> Iterator[tuple[str, ...]]:
    """Yield label, value and what belongs beside it."""
    state, stored = viewed.state, viewed.stored
    yield "campaign", str(stored.record.campaign_id), f"plan {stored.record.plan_id}"
    if state.revisions:
        last = state.revisions[-1]
        beside = f"last plan {last.plan_id}, {duration(last.at_s)} into the campaign: {last.why or last.by}"
        yield "revisions", count(len(state.revisions)), beside
    yield "stands", standing(viewed), _why(state)
    held = holding(stored)
    yield "carried out by", held.who, held.beside
    planned = state.program.makespan_s
    yield "moment", duration(viewed.now_s), f"into the campaign; the plan ends after {duration(planned)}"
    hosts = state.host_stage[state.program.hosts.planned]
    returned, out = int((hosts == HostStage.RETURNED).sum()), int(np.isin(hosts, OUT_STAGES).sum())
    left = int(np.isin(hosts, UNPATCHED_STAGES).sum())
    beside = f"of {counted(len(hosts), 'planned host')} returned; {count(out)} out, {count(left)} left alone or lost"
    yield "hosts", count(returned), beside
    yield from _evacuated_rows(state)
    stages = state.stage
    done, running = int((stages == Stage.DONE).sum()), int(((stages >= Stage.INTENDED) & (stages < Stage.DONE)).sum())
    given_up = int((stages == Stage.GIVEN_UP).sum())
    beside = f"of {counted(len(stages), 'migration')} done; {count(running)} under way, {count(given_up)} given up"
    yield "migrations", count(done), beside
    if state.deeds:
        yield "others", count(len(state.deeds)), f"changes to VMs meanwhile: {deeds_words(state.deeds)}"
    opened = int((~np.isnan(state.wave_opened_s)).sum())
    yield "waves", count(opened), f"of {len(state.wave_opened_s)} opened"
    for name, signal in sorted(state.signals.items()):
        yield (
            f"signal {name}",
            "well" if signal.healthy else "not well",
            f"since {duration(signal.at_s)}: {signal.detail}",
        )
    if state.max_out:
        limits = ", ".join(f"{kind} {limit}" for kind, limit in sorted(state.max_out.items()))
        yield "limits", limits, "hosts out at once, in place of the policy's"


def _evacuated_rows(state: "CampaignState") -> Iterator[tuple[str, ...]]:
    """Yield each host that is evacuated, how far it is, who asked for that and why."""
    for host, why in sorted(state.evacuated.items()):
        stage, times = HostStage(int(state.host_stage[host])), state.host_times[host]
        how = (
            "evacuated" if stage == HostStage.EVACUATED else f"to be evacuated, {stage.name.lower().replace('_', ' ')}"
        )
        since = f"{duration(float(times[stage]))} into the campaign, " if stage == HostStage.EVACUATED else ""
        yield "evacuation", state.program.hosts.ids[host], f"{how}: {since}{why}"


def _why(state: "CampaignState") -> str:
    order = state.aborted or state.paused
    return "" if order is None else f"since {duration(order.at_s)}, {asked(order.by, order.why)}"


def given_up_words(state: "CampaignState") -> dict[str, str]:
    """Return why hosts are not patched, by id: how each ended, the reason's name, and what happened."""
    return {
        state.program.hosts.ids[host]: f"{HostStage(int(state.host_stage[host])).name.lower()}, {reason}: {detail}"
        for host, (reason, detail) in sorted(state.host_reasons.items())
    }


def unanswered_words(asked: "Asked") -> str:
    """Return what becomes of an order that nobody has answered yet."""
    name = f"asked, as order {asked.number}"
    later = "`slacktide campaign show` says what came of it"
    if asked.trouble is not None:
        return f"{name}, but not whether it is answered: {asked.trouble}. Once that is mended, {later}"
    if asked.holder is not None:
        fact = f"{asked.holder} carries the campaign out and has not answered yet"
        return f"{name}: {fact}; it may be busy, or wait for its store or an agent. {later}"
    return f"{name}: nobody carries the campaign out now. It is answered once the command that began it is given again"


def orders_text(events: tuple[Event, ...]) -> Text:
    """Return what was asked of a campaign, who asked, when and why."""
    text = Text("asked for, and planned anew:\n")
    for event in events:
        why = getattr(event, "why", None)
        text.append(f"  {duration(event.at_s)}  {getattr(event, 'by', '')}: {order_words(event)}")
        text.append(f" ({why})\n" if why else "\n")
    text.rstrip()
    return text


def waiting_text(waits: "list[Waiting]", now_s: float) -> Text:
    """Return who waits, for what and for how long."""
    text = Text(f"waiting: {counted(len(waits), 'host or VM', 'hosts and VMs')}\n", style="yellow")
    for each in waits[:WAITING_NAMED]:
        name = each.subject if each.migration_id is None else f"{each.subject} ({each.migration_id})"
        text.append(f"  {name}  for {duration(now_s - each.since_s)}: {each.reason}\n", style="default")
    if len(waits) > WAITING_NAMED:
        text.append(f"  {count(len(waits) - WAITING_NAMED)} more with --json\n", style="default")
    text.rstrip()
    return text


def view_document(viewed: "Viewed", waits: "list[Waiting]") -> dict[str, Any]:
    """Return a campaign as plain data for JSON."""
    from slacktide.executors.event_codec import to_json

    state, stored = viewed.state, viewed.stored
    hosts = state.host_stage[state.program.hosts.planned].tolist()
    stages = state.stage.tolist()
    return {
        "campaign_id": stored.record.campaign_id,
        "plan_id": stored.record.plan_id,
        "revisions": [to_json(event) for event in state.revisions],
        "standing": standing(viewed),
        "holder": None if holding(stored).word == "stopped" else stored.holder,
        "carried_out": holding(stored)._asdict(),
        "now_s": viewed.now_s,
        "planned_s": state.program.makespan_s,
        "hosts": {stage.name.lower(): hosts.count(stage) for stage in HostStage if stage in hosts},
        "migrations": {stage.name.lower(): stages.count(stage) for stage in Stage if stage in stages},
        "waves_opened": int((~np.isnan(state.wave_opened_s)).sum()),
        "signals": {name: signal.healthy for name, signal in sorted(state.signals.items())},
        "evacuated": {state.program.hosts.ids[host]: why for host, why in sorted(state.evacuated.items())},
        "half_drained": [each.model_dump() for each in half_drained(state)],
        "max_out": state.max_out,
        "others": [to_json(event) for event in state.deeds],
        "orders": [to_json(event) for event in viewed.orders],
        "waiting": [each._asdict() for each in waits],
    }
