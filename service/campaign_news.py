"""What who watches a campaign wants to hear, grouped: waves, hosts, orders, pauses, failures, waits that last."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from slacktide.executors import control_events, events
from slacktide.executors.events import Event
from slacktide.executors.order_state import DECIDE, ORDERS, pause_remedy, pause_words
from slacktide.executors.order_words import is_asked_for, order_words
from slacktide.executors.readable import count, duration
from slacktide.executors.wanted import CAMPAIGN
from slacktide.service.campaign_standing import known_of, standing_of
from slacktide.service.control_text import command_words
from slacktide.service.words import counted, plain

if TYPE_CHECKING:
    from slacktide.executors.waiting import Waiting
    from slacktide.service.campaign_view import Viewed

NAMED: Final = 5
"""Hosts that one line names."""
LASTS_S: Final = 60.0
"""How long something waits, on the watcher's clock, before that is told: VMs queue for a NIC all the time."""
AGAIN_S: Final = 600.0
"""How long after that VMs are told again that wait."""
QUIET: Final = ("paused", "waiting for approval", "held up", "stopped", "starting", "ending, aborted")
"""Standings that say themselves why everybody waits."""


class CampaignNews:
    """What is new of a campaign between two looks, in lines."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._standing = ""
        self._own = ""
        """What the campaign did last by a rule of its own."""
        self._since: dict[tuple[str, str], float] = {}
        """When who was first seen to wait for what, on this machine's clock."""
        self._told: set[tuple[str, str]] = set()
        self._vms_told_s = -float("inf")

    def lines(self, viewed: "Viewed", news: Sequence[Event], waits: "Iterable[Waiting]") -> Iterator[str]:
        """Yield what is to be told of a campaign, each with the moment by the clock and by the campaign's."""
        stands = standing_of(known_of(viewed.state, viewed.now_s), viewed.stored, viewed.starting)
        now = [*self._stands(viewed, stands), *([] if stands in QUIET else self._waits(waits))]
        clock = f"{datetime.now(UTC):%H:%M:%S} UTC"
        for at_s, each in [*self._events(viewed, news), *((viewed.now_s, words) for words in now)]:
            yield plain(f"{clock}, {duration(at_s)} into the campaign: {each}")

    def _events(self, viewed: "Viewed", news: Sequence[Event]) -> Iterator[tuple[float, str]]:
        """Yield what has happened, each with its moment, of several the last one's."""
        for event in news:
            for words in self._event(viewed, event):
                yield event.at_s, words
        for what, kind in (
            ("began to leave", events.HostDrainStarted),
            ("returned", events.HostReturned),
            ("evacuated", events.HostEvacuated),
        ):
            found = [event for event in news if isinstance(event, kind)]
            if found:
                yield found[-1].at_s, _named(what, what, [str(event.host_id) for event in found])
        yield from _failures(news)

    def _event(self, viewed: "Viewed", event: Event) -> Iterator[str]:
        if isinstance(event, events.WaveOpened):
            hosts = int(viewed.state.program.waves.hosts[event.wave])
            yield f"wave {event.wave} has opened, {counted(hosts, 'host')}"
        elif isinstance(event, events.WaveClosed):
            yield f"wave {event.wave} never opens: {event.reason}"
        elif isinstance(event, control_events.SignalChanged):
            yield f"signal {event.name} is {'well' if event.healthy else f'not well: {event.detail}'}"
        elif isinstance(event, events.CampaignResumed):
            yield "another coordinator goes on with it"
        elif type(event) in (*ORDERS, control_events.OrderRefused):
            yield from self._order(event)

    def _order(self, event: Event) -> Iterator[str]:
        """Yield what was asked by whom, or done by a rule; not what the campaign did just before as well."""
        by, why, words = getattr(event, "by", ""), getattr(event, "why", ""), order_words(event)
        words = words if by == CAMPAIGN else f"{by}: {words}"
        if not is_asked_for(event):
            if words == self._own or isinstance(event, events.WaveApproved):
                return
            self._own = words
        yield words + (f" ({why})" if why else "")

    def _stands(self, viewed: "Viewed", stands: str) -> Iterator[str]:
        """Yield how the campaign stands, where that is new, and what to do about it."""
        if stands == self._standing:
            return
        self._standing = stands
        held, paused, decision = viewed.held, viewed.state.paused, viewed.state.decision
        if stands == "paused" and paused is not None:
            yield f"it is {pause_words(paused)}; {pause_remedy(paused)}"
        elif stands == "waiting for a decision" and decision is not None:
            yield f"it is waiting for a decision: {decision.why}; {DECIDE}"
        elif stands == "waiting for approval":
            yield "it is waiting for approval; give it with `slacktide campaign approve`"
        elif stands in ("held up", "stopped", "starting"):
            yield f"it is {stands}: carried out by {held.who}, {held.beside}{_again(viewed, stands)}"
        else:
            yield f"the campaign is {stands}"

    def _waits(self, waits: "Iterable[Waiting]") -> Iterator[str]:
        """Yield who waits longer than a moment: hosts by reason, VMs in one line with the one that waits longest."""
        now, seen, vms = self._clock(), {}, []
        hosts: dict[str, list[str]] = {}
        for each in waits:
            key = (each.subject, each.reason.partition(":")[0] if each.migration_id is None else "")
            seen[key] = self._since.get(key, now)
            if now - seen[key] < LASTS_S:
                continue
            if each.migration_id is not None:
                vms.append(each)
            elif key not in self._told:
                self._told.add(key)
                hosts.setdefault(each.reason, []).append(each.subject)
        self._since = seen
        self._told &= seen.keys()
        for reason, names in hosts.items():
            yield f"{_named('wait', 'waits', names)}: {reason}"
        if vms and now - self._vms_told_s >= AGAIN_S:
            self._vms_told_s = now
            yield f"{counted(len(vms), 'VM')} wait, {vms[0].subject} longest: {vms[0].reason}"


def _again(viewed: "Viewed", stands: str) -> str:
    """Return the command that goes on with a campaign that is stopped, and what the campaign waits for besides."""
    if stands != "stopped":
        return ""
    again = "" if viewed.command is None else f": {command_words(viewed.command)}"
    if viewed.state.paused is not None:
        return f"{again}. It is {pause_words(viewed.state.paused)}"
    waits = known_of(viewed.state, viewed.now_s).waits_for_approval
    return again + (". A wave waits for approval" if waits else "")


def _named(many: str, one: str, names: list[str]) -> str:
    more = f" and {count(len(names) - NAMED)} more" if len(names) > NAMED else ""
    return f"{counted(len(names), 'host')} {one if len(names) == 1 else many}: {', '.join(names[:NAMED])}{more}"


def _failures(news: Sequence[Event]) -> Iterator[tuple[float, str]]:
    """Yield which hosts failed or were left alone, by reason, and how many attempts to migrate failed."""
    found: dict[tuple[str, str], list[events.HostEvent]] = {}
    for event in news:
        if isinstance(event, events.HostFailed | events.HostBlocked):
            what = "failed" if isinstance(event, events.HostFailed) else "left alone"
            found.setdefault((what, f"{event.reason}: {event.detail}"), []).append(event)
        elif isinstance(event, events.PatchFailed):
            found.setdefault(("not back from the patch", event.reason), []).append(event)
    for (what, reason), about in found.items():
        yield about[-1].at_s, f"{_named(what, what, [str(event.host_id) for event in about])}; {reason}"
    failed = [event for event in news if isinstance(event, events.MigrationFailed)]
    if failed:
        last = f"last {failed[-1].migration_id}: {failed[-1].error}"
        yield failed[-1].at_s, f"{counted(len(failed), 'attempt')} to migrate failed, {last}"
