"""A running campaign as people read it: where it stands, what was asked of it, who waits and why."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from rich.text import Text

from slacktide.executors.campaign_state import OUT_STAGES, UNPATCHED_STAGES, HostStage
from slacktide.executors.events import Event, Stage
from slacktide.executors.half_drained import half_drained
from slacktide.executors.health.watching import WELL
from slacktide.executors.order_state import DECIDE, asked, revision_reason
from slacktide.executors.order_words import limits_words, order_name, orders_answered, own_steps
from slacktide.executors.readable import count, duration, moment
from slacktide.executors.report_others import deeds_words
from slacktide.executors.wanted import CAMPAIGN
from slacktide.service.campaign_standing import known_of, standing_of
from slacktide.service.campaign_text import NotPatched
from slacktide.service.words import counted, plain

if TYPE_CHECKING:
    from slacktide.executors.campaign_file import Command
    from slacktide.executors.campaign_state import CampaignState
    from slacktide.executors.health.watching import Verdict
    from slacktide.executors.report_summary import OwnStep
    from slacktide.executors.store.orders import StoredOrder
    from slacktide.executors.waiting import Waiting
    from slacktide.service.campaign_view import Asked, Viewed

Clock = Callable[[float], datetime | None]
WAITING_NAMED: Final = 20
"""Hosts and VMs that wait and are named; with --json all are."""


def standing(viewed: "Viewed") -> str:
    """Return in a word or two how a campaign stands."""
    return standing_of(known_of(viewed.state, viewed.now_s), viewed.stored, viewed.starting)


class Listed(NamedTuple):
    """A campaign as it is listed."""

    directory: str | None
    """Null: its store, or a server, has it."""
    campaign_id: str
    plan_id: str
    origin: str | None
    """Moment, as ISO text; null: nobody has begun it."""
    standing: str
    holder: str | None
    """Who carries it out; null: nobody does now."""
    state: str | None
    """``finished`` once it has; null: not yet."""
    waits_for_approval: bool
    who: str | None
    """Who carries it out, in words; null: it has finished, or not begun."""
    why: str | None = None
    """What keeps it from having begun, in words; null: it has."""

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain data for JSON."""
        told = self._asdict()
        del told["who"], told["why"]
        return told


def listed_row(each: Listed) -> tuple[str, str, str]:
    """Return id, directory, and how a campaign stands."""
    by = "" if each.who is None else f", carried out by {each.who}"
    by = by if each.why is None else f": {each.why}"
    began = "not begun"
    if each.origin is not None:
        began = f"origin {datetime.fromisoformat(each.origin):%Y-%m-%d %H:%M} UTC"
    return each.campaign_id, each.directory or "", f"{each.standing}{by}; plan {each.plan_id}, {began}"


def signal_rows(found: "Iterable[Verdict]") -> Iterator[tuple[str, ...]]:
    """Yield name, state and detail of signals."""
    for each in found:
        yield each.name, "well" if each.healthy else "not well", "" if each.detail == WELL else each.detail


def view_rows(viewed: "Viewed") -> Iterator[tuple[str, ...]]:
    """Yield label, value and what belongs beside it."""
    state, stored = viewed.state, viewed.stored
    yield "campaign", str(stored.record.campaign_id), f"plan {stored.record.plan_id}"
    if state.revisions:
        last = state.revisions[-1]
        reason = revision_reason(last.by, last.why, last.evacuates)
        beside = f"last plan {last.plan_id}, {duration(last.at_s)} into the campaign: {reason}"
        yield "revisions", count(len(state.revisions)), beside
    yield "stands", standing(viewed), _since(viewed)
    held = viewed.held
    yield "carried out by", held.who, held.beside
    if held.word == "stopped" and not state.finished and viewed.command is not None:
        yield "goes on with", command_words(viewed.command)
    planned = state.program.makespan_s
    yield "moment", duration(viewed.now_s), f"into the campaign; the plan ends after {duration(planned)}"
    yield "hosts", *_hosts_counted(state)
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
        yield "limits", limits_words(state.max_out), "hosts out at once, in place of the policy's"


def _hosts_counted(state: "CampaignState") -> tuple[str, str]:
    """Return how many planned hosts have returned, and how many are otherwise: each is counted once.

    Those that are evacuated are not to be patched any more: they are none of the planned, as in the report.
    """
    hosts = state.host_stage[state.program.hosts.planned]
    returned, lost = int((hosts == HostStage.RETURNED).sum()), int((hosts == HostStage.LOST).sum())
    out = int(np.isin(hosts, OUT_STAGES).sum()) - lost
    left = int(np.isin(hosts, UNPATCHED_STAGES).sum()) - lost
    gone = int((hosts == HostStage.EVACUATED).sum())
    others = [f"{count(out)} out", f"{count(left)} left alone"]
    others += [f"{count(lost)} not back from {'its' if lost == 1 else 'their'} patch"] if lost else []
    others += [f"{count(gone)} evacuated"] if gone else []
    return count(returned), f"of {counted(len(hosts) - gone, 'planned host')} returned; {', '.join(others)}"


def _evacuated_rows(state: "CampaignState") -> Iterator[tuple[str, ...]]:
    """Yield each host that is evacuated, how far it is, who asked for that and why."""
    for host, why in sorted(state.evacuated.items()):
        stage, times = HostStage(int(state.host_stage[host])), state.host_times[host]
        how = (
            "evacuated" if stage == HostStage.EVACUATED else f"to be evacuated, {stage.name.lower().replace('_', ' ')}"
        )
        since = f"{duration(float(times[stage]))} into the campaign, " if stage == HostStage.EVACUATED else ""
        yield "evacuation", state.program.hosts.ids[host], f"{how}: {since}{why}"


def _since(viewed: "Viewed") -> str:
    """Return when a campaign was paused or aborted, by which clock, for how long, and by whom; or what is to decide."""
    state = viewed.state
    order, stands = state.aborted or state.paused, standing(viewed)
    if order is None:
        waits = stands != "waiting for approval" and known_of(state, viewed.now_s).waits_for_approval
        return _decision(viewed) or ("a wave waits for approval" if waits and not state.finished else "")
    asked_at = next((each.asked_at for each in viewed.asked_for if each.number == order.order), None)
    clock = f" ({moment(asked_at)[11:16]} UTC)" if asked_at is not None else ""
    lasts = "" if state.aborted is not None else f", for {duration(max(0.0, viewed.now_s - order.at_s))}"
    who = f"by {order.by}: {order.why}" if not order.order else asked(order.by, order.why)
    word = "aborted" if state.aborted is not None else "paused"
    return f"{'' if word in stands else f'{word} '}at {duration(order.at_s)}{clock}{lasts}; {who}"


def _decision(viewed: "Viewed") -> str:
    """Return since when a person has to decide something, what has happened, and what may be done."""
    decision = viewed.state.decision
    if decision is None or viewed.state.finished:
        return ""
    since = f"since {duration(decision.at_s)}{_clock(viewed, decision.at_s)}"
    return f"{since}, for {duration(max(0.0, viewed.now_s - decision.at_s))}; {decision.why}; {DECIDE}"


def _clock(viewed: "Viewed", at_s: float) -> str:
    """Return the clock's moment in brackets; of simulated hosts, whose time is not the clock's, nothing."""
    at = viewed.clock(at_s)
    return "" if at is None else f" ({at:%H:%M} UTC)"


def not_patched_now(state: "CampaignState") -> "NotPatched":
    """Return the hosts that are not patched and will not be by this campaign, those that failed themselves first."""
    order = {HostStage.LOST: 0, HostStage.FAILED: 1}
    hosts = sorted(
        (order.get(HostStage(int(state.host_stage[host])), 2), host)
        for host in state.host_reasons
        if state.host_stage[host] in UNPATCHED_STAGES
    )
    why = {
        state.program.hosts.ids[host]: f"{HostStage(int(state.host_stage[host])).name.lower()}, {': '.join(reason)}"
        for _, host in hosts
        for reason in (state.host_reasons[host],)
    }
    half = half_drained(state)
    drained = {each.host_id for each in half}
    began = ~np.isnan(state.host_times[:, HostStage.DRAINING])
    untouched = sum(not began[host] and state.program.hosts.ids[host] not in drained for _, host in hosts)
    return NotPatched(half, why, untouched)


def unanswered_words(asked: "Asked") -> str:
    """Return what becomes of an order that nobody has answered yet."""
    name = f"asked, as order {asked.number}"
    later = "`slacktide campaign show` says what came of it"
    if asked.trouble is not None:
        return f"{name}, but not whether it is answered: {asked.trouble}. Once that is mended, {later}"
    if asked.holder is not None:
        fact = f"{asked.holder} carries the campaign out and has not answered yet"
        return f"{name}: {fact}; it may be busy, or wait for its store or an agent. {later}"
    again = "" if asked.command is None else f": {command_words(asked.command)}"
    fact = "nobody carries the campaign out now"
    if asked.by_server:
        return f"{name}: {fact}. It is answered once the server has started it again; {later}"
    return f"{name}: {fact}. It is answered once the command that began it is given again{again}"


def command_words(command: "Command") -> str:
    """Return a command with the folder in which it is to be given."""
    return f"`{command.words}`, in {command.folder}"


def orders_text(
    events: tuple[Event, ...],
    asked_for: "Sequence[StoredOrder]" = (),
    answered: int = 0,
    clock: "Clock | None" = None,
) -> Text:
    """Return what people asked of a campaign, who, when and why; below, what waits and what it did by itself.

    Parameters
    ----------
    asked_for
        The orders as the store has them.
    answered
        Number of the newest that was answered.
    clock
        Returns a moment of the campaign by the clock; null, as its answer: that is not known.
    """
    text = Text()
    orders, own = orders_answered(events, asked_for), own_steps(events)
    waiting = [order for order in asked_for if order.number > answered]
    width = max((len(duration(each.at_s)) for each in orders), default=0)
    if orders or waiting:
        text.append("asked for:\n")
    for each in orders:
        asked_at = f"  {moment(each.asked_at)}" if each.asked_at else ""
        text.append(f"  {duration(each.at_s):<{width}}{asked_at}  {each.by}: {each.outcome}{_in_brackets(each.why)}\n")
    for order in waiting:
        words = f"{order.by}: {order_name(order)}{_in_brackets(order.why)}"
        text.append(f"  asked at {moment(order.asked_at)}, not answered yet  {words}\n", style="yellow")
    if own:
        text.append("done by itself:\n")
    whens = [_when(step) for step in own]
    width = max((len(when) for when in whens), default=0)
    for step, when in zip(own, whens, strict=True):
        at = None if clock is None else clock(step.last_s)
        by_clock = "" if at is None else f"  {moment(at.isoformat())}"
        last = "last " if step.times > 1 and step.why else ""
        why = _in_brackets(f"{last}{step.why}" if step.why else "")
        by = "" if step.by == CAMPAIGN else f"{step.by}: "
        text.append(f"  {when:<{width}}{by_clock}  {by}{step.outcome}{why}\n")
    text.rstrip()
    return text


def _when(step: "OwnStep") -> str:
    """Return when a campaign did something, until when and how often."""
    until = f" to {duration(step.last_s)}, {count(step.times)} times" if step.times > 1 else ""
    return f"{duration(step.at_s)}{until}"


def _in_brackets(why: str | None) -> str:
    return f" ({why})" if why else ""


def waiting_text(waits: "list[Waiting]", now_s: float) -> Text:
    """Return who waits, for what and for how long."""
    text = Text(f"waiting: {counted(len(waits), 'host or VM', 'hosts and VMs')}\n", style="yellow")
    for each in waits[:WAITING_NAMED]:
        name = each.subject if each.migration_id is None else f"{each.subject} ({each.migration_id})"
        text.append(plain(f"  {name}  for {duration(now_s - each.since_s)}: {each.reason}\n"), style="default")
    if len(waits) > WAITING_NAMED:
        text.append(f"  {count(len(waits) - WAITING_NAMED)} more with --json\n", style="default")
    text.rstrip()
    return text


def _with_asked_at(told: dict[str, Any], asked_for: "Sequence[StoredOrder]") -> dict[str, Any]:
    moments = {order.number: order.asked_at for order in asked_for}
    return told | {"asked_at": moments[told["order"]]} if told.get("order") in moments else told


def _decision_document(state: "CampaignState") -> dict[str, Any] | None:
    decision = None if state.finished else state.decision
    return None if decision is None else {"since_s": decision.at_s, "why": decision.why, "remedy": DECIDE}


def view_document(viewed: "Viewed", waits: "list[Waiting]") -> dict[str, Any]:
    """Return a campaign as plain data for JSON."""
    from slacktide.executors.event_codec import to_json

    state, stored, held = viewed.state, viewed.stored, viewed.held
    hosts = state.host_stage[state.program.hosts.planned].tolist()
    stages = state.stage.tolist()
    return {
        "campaign_id": stored.record.campaign_id,
        "plan_id": stored.record.plan_id,
        "revisions": [to_json(event) for event in state.revisions],
        "standing": standing(viewed),
        "holder": None if held.word in ("stopped", "starting") else stored.holder,
        "carried_out": held._asdict(),
        "command": None if viewed.command is None else viewed.command._asdict(),
        "decision": _decision_document(state),
        "now_s": viewed.now_s,
        "planned_s": state.program.makespan_s,
        "hosts": {stage.name.lower(): hosts.count(stage) for stage in HostStage if stage in hosts},
        "migrations": {stage.name.lower(): stages.count(stage) for stage in Stage if stage in stages},
        "waves_opened": int((~np.isnan(state.wave_opened_s)).sum()),
        "signals": {name: signal.healthy for name, signal in sorted(state.signals.items())},
        "evacuated": {state.program.hosts.ids[host]: why for host, why in sorted(state.evacuated.items())},
        "half_drained": [each.model_dump() for each in half_drained(state)],
        "not_patched": not_patched_now(state).why,
        "max_out": state.max_out,
        "others": [to_json(event) for event in state.deeds],
        "orders": [_with_asked_at(to_json(event), viewed.asked_for) for event in viewed.orders],
        "unanswered": [each._asdict() for each in viewed.asked_for if each.number > state.orders],
        "waiting": [each._asdict() for each in waits],
    }
