"""Who waits, for what and since when: nothing that is late is silent.

Pure, from the state alone: as true for a campaign that runs as for one whose coordinator is gone.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np

from slacktide.executors.campaign_state import CampaignState, HostStage
from slacktide.executors.decisions import Scheduler
from slacktide.executors.events import Stage
from slacktide.executors.obstacles import waits_for
from slacktide.executors.order_state import pause_words
from slacktide.executors.readable import duration
from slacktide.executors.rules import Rules
from slacktide.executors.scheduling.books import patching, under_way
from slacktide.executors.vm_state import strays
from slacktide.executors.waiting_periods import ready_s

AT_ONCE_S: Final = 10.0
"""What is planned to take less is not late before: a look at the host and the next decision take some seconds."""


class Waiting(NamedTuple):
    """A host, or a VM, that is late."""

    subject: str
    """Id of a host, or of a VM."""
    migration_id: str | None
    """Of a VM."""
    reason: str
    since_s: float


def waiting(state: CampaignState, now_s: float, rules: Rules | None = None) -> list[Waiting]:
    """Return every host and VM that is due and has not gone on, or takes longer than planned; the longest first.

    A host that is evacuated by order is due from the order on, for its migrations are planned for as soon as they can.
    VMs of a host that waits itself are not listed: they wait for it.
    """
    if state.finished:
        return []
    waits = _Waits(state, now_s, rules or Rules())
    late = [*waits.hosts(), *waits.migrations(), *waits.strays(), *waits.evacuations()]
    return sorted(late, key=lambda each: (each.since_s, each.subject))


class _Waits:
    def __init__(self, state: CampaignState, now_s: float, rules: Rules) -> None:
        self._state, self._now_s, self._rules = state, now_s, rules
        self._program = state.program
        self._scheduler = Scheduler(state.program, state, rules)
        self._draining = state.host_stage == HostStage.DRAINING
        paused = state.paused
        self._paused = None if paused is None else f"the campaign is {pause_words(paused)}"

    def hosts(self) -> Iterator[Waiting]:
        """Yield the hosts that are late."""
        state, hosts = self._state, self._program.hosts
        due = hosts.due & (state.host_stage == HostStage.IN_SERVICE) & (hosts.drain_start_s <= self._now_s)
        for host in np.flatnonzero(due).tolist():
            reason, since_s = self._not_drained(host)
            yield Waiting(hosts.ids[host], None, reason, max(since_s, float(hosts.drain_start_s[host])))
        began_s = state.host_times[:, HostStage.DRAINING]
        drain_s = hosts.drained_s - hosts.drain_start_s
        for host in np.flatnonzero(self._draining & (self._now_s > began_s + np.maximum(drain_s, AT_ONCE_S))).tolist():
            if state.paused is not None:
                since_s = max(state.paused.at_s, float(began_s[host]))
                yield Waiting(hosts.ids[host], None, f"{self._paused}; {self._left(host)}", since_s)
                continue
            reason = f"drains longer than the {duration(float(drain_s[host]))} planned: {self._left(host)}"
            yield Waiting(hosts.ids[host], None, reason, float(began_s[host]))
        for host in np.flatnonzero(patching(state)).tolist():
            yield from self._patch(host)

    def _left(self, host: int) -> str:
        """Return what keeps a host that drains from being patched."""
        if not self._scheduler.room.vms_on[host]:
            return "its hypervisor has yet to say that nothing is on it"
        left, names = self._scheduler.room.vms_on[host], self._scheduler.unforeseen.names_on(host)
        return f"{left} {'VM is' if left == 1 else 'VMs are'} still on it ({names})"

    def evacuations(self) -> Iterator[Waiting]:
        """Yield the hosts to be evacuated by order that are planned to leave later, with what they wait for."""
        state, hosts = self._state, self._program.hosts
        asked_s = {event.evacuates: event.at_s for event in state.revisions if event.evacuates is not None}
        to_come = hosts.evacuated & (state.host_stage == HostStage.IN_SERVICE) & (hosts.drain_start_s > self._now_s)
        for host in np.flatnonzero(to_come).tolist():
            if hosts.ids[host] in asked_s:
                planned = f"planned for {duration(float(hosts.drain_start_s[host]))} into the campaign"
                reason = f"is to be evacuated: {self._awaits(host)}; {planned}"
                yield Waiting(hosts.ids[host], None, reason, asked_s[hosts.ids[host]])

    def _awaits(self, host: int) -> str:
        """Return what a host that is to be evacuated waits for before it may leave."""
        if self._paused is not None:
            return self._paused
        slots = self._scheduler.slots
        slots.enqueue(host)
        if (obstacle := slots.obstacle(host)) is not None:
            return f"it waits for a place, {obstacle}"
        part, groups = self._program.migrations, self._program.hosts.outgoing
        leaving = groups.members[groups.start[host] : groups.start[host + 1]]
        early = leaving[part.start_s[leaving] <= self._program.hosts.drain_start_s[host]]
        noticed = early[ready_s(self._program, self._state)[early] > self._now_s]
        noticed = noticed[part.start_s[noticed] > part.notified_s[noticed]]
        if len(noticed):
            first = self._program.vms.ids[int(part.vm[noticed[0]])]
            more = f" and {len(noticed) - 1} more" if len(noticed) > 1 else ""
            return f"it waits for the notice of {first}{more}"
        return "it waits for room, or for links, that the plan has free by then"

    def strays(self) -> Iterator[Waiting]:
        """Yield the VMs that others have put on hosts that are to be drained, and that nothing moves from there."""
        state, hosts = self._state, self._program.hosts
        for stray in strays(state):
            drains = state.host_stage[stray.host] != HostStage.IN_SERVICE
            due = "drains" if drains else f"is to be drained {duration(float(hosts.drain_start_s[stray.host]))} in"
            reason = f"others have put it on {hosts.ids[stray.host]}, which {due}; no plan moves it from there yet"
            yield Waiting(stray.vm_id, None, reason, stray.since_s)

    def _not_drained(self, host: int) -> tuple[str, float]:
        """Return why a host that is due is not drained yet, and since when at the earliest."""
        scheduler, wave = self._scheduler, int(self._program.hosts.wave[host])
        if self._state.paused is not None:
            return self._paused or "", self._state.paused.at_s
        if not scheduler.gates.is_open(wave):
            return f"wave {wave} has not opened: {self._gate(wave)}", float(self._program.waves.start_s[wave])
        coming = [number for number in self._incoming(host) if self._state.stage[number] < Stage.DONE]
        if coming:
            first = self._program.migrations.ids[coming[0]]
            many = f"{len(coming)} {'VM that was' if len(coming) == 1 else 'VMs that were'}"
            return f"{many} to come before {'has' if len(coming) == 1 else 'have'} not arrived, first by {first}", 0.0
        scheduler.slots.enqueue(host)
        return scheduler.slots.obstacle(host) or "its turn comes with the next decision", 0.0

    def _gate(self, wave: int) -> str:
        """Return what keeps a wave closed."""
        gates = self._scheduler.gates
        if wave != gates.next_wave:
            return f"wave {gates.next_wave} has not opened either"
        opening = gates.next_opening()
        if opening is None or opening.never is not None:
            return (opening.never if opening is not None else gates.closed) or "it never will"
        if opening.at_s is None:
            return f"its gate is `{self._program.waves.gate[wave]}`, and hosts of the wave before have yet to return"
        if self._now_s < opening.at_s:
            return f"the wave before bakes until {duration(opening.at_s)}"
        return "it waits for approval" if gates.needs_approval() else "it opens with the next decision"

    def _incoming(self, host: int) -> Iterator[int]:
        groups, early = self._program.hosts.incoming, self._program.migrations.before_drain
        for number in groups.members[groups.start[host] : groups.start[host + 1]].tolist():
            if early[number]:
                yield number

    def _patch(self, host: int) -> Iterator[Waiting]:
        """Yield a host that waits to be patched, or whose patch takes longer than planned."""
        state, hosts = self._state, self._program.hosts
        intended_s = float(state.host_times[host, HostStage.PATCH_INTENDED])
        planned_s = float(hosts.maintenance_s[host])
        if state.host_stage[host] == HostStage.DRAINED:
            since_s = float(state.host_times[host, HostStage.DRAINED])
            yield Waiting(hosts.ids[host], None, self._paused or "it is drained and about to be patched", since_s)
        elif self._now_s > intended_s + max(planned_s, AT_ONCE_S):
            limit = duration(self._rules.patch_limit_s(planned_s))
            reason = f"is patched longer than the {duration(planned_s)} planned; it counts as lost after {limit}"
            yield Waiting(hosts.ids[host], None, reason, intended_s)

    def migrations(self) -> Iterator[Waiting]:
        """Yield the VMs that are late."""
        state, part = self._state, self._program.migrations
        running = under_way(state)
        intended_s, planned_s = state.times[:, Stage.INTENDED], part.end_s - part.start_s
        for number in np.flatnonzero(running & (self._now_s > intended_s + planned_s)).tolist():
            stage = Stage(int(state.stage[number])).name.lower().replace("_", " ")
            limit = duration(self._rules.migration_limit_s(float(planned_s[number])))
            reason = (
                f"migrates longer than the {duration(float(planned_s[number]))} planned, {stage}; stopped after {limit}"
            )
            yield self._vm(number, reason, float(intended_s[number]))
        for number in np.flatnonzero(state.stage == Stage.FAILED).tolist():
            failed_s = float(state.times[number, Stage.FAILED])
            again_s = failed_s + self._rules.retry_after_s
            again = f"is tried again {duration(again_s)} into the campaign"
            if self._paused is not None or self._now_s >= again_s:
                again = self._not_begun(number, holds=True)[0]
            yield self._vm(number, f"{again}; the attempt before: {state.errors.get(number, 'failed')}", failed_s)
        idle = (state.stage < Stage.INTENDED) & (part.start_s <= self._now_s)
        apart = ~part.needs_drain | self._draining[part.source]
        for number in np.flatnonzero(idle & apart).tolist():
            reason, since_s = self._not_begun(number, holds=False)
            yield self._vm(number, reason, max(since_s, float(part.start_s[number])))

    def _not_begun(self, number: int, *, holds: bool) -> tuple[str, float]:
        """Return why a VM that is due has not begun to move, and since when at the earliest."""
        state, part, hosts = self._state, self._program.migrations, self._program.hosts
        if state.paused is not None:
            return self._paused or "", state.paused.at_s
        told_s = float(state.times[number, Stage.NOTIFIED])
        notice_s = float(part.start_s[number] - part.notified_s[number])
        if notice_s and not self._now_s >= told_s + notice_s:
            if not np.isnan(told_s):
                return f"its guest's notice runs until {duration(told_s + notice_s)}", told_s
            wave = int(part.wave[number])
            if self._scheduler.gates.is_open(wave):
                return "its guest is told with the next decision", 0.0
            return f"its guest has not been told: wave {wave} has not opened, {self._gate(wave)}", 0.0
        target = int(part.target[number])
        if part.needs_return[number] and state.host_stage[target] != HostStage.RETURNED:
            is_lost = state.host_stage[target] == HostStage.LOST
            lost = "did not come back from its patch" if is_lost else "has not returned"
            return f"its target {hosts.ids[target]} {lost}", 0.0
        if before := self._before(number):
            return f"waits for {', '.join(part.ids[each] for each in before[:3])} to end", 0.0
        obstacle = self._scheduler.room.obstacle(number, holds=holds)
        if obstacle is None:
            return "begins with the next decision", 0.0
        crowded = obstacle[0] == "room" and obstacle[1] in self._scheduler.room.crowded
        beside = ", where others have put VMs" if crowded else ""
        return f"{waits_for(self._program, obstacle)}{beside}", 0.0

    def _before(self, number: int) -> list[int]:
        """Return the migrations that have to end before this one and have not."""
        groups = self._program.migrations.dependents
        first = np.searchsorted(groups.start, np.flatnonzero(groups.members == number), side="right") - 1
        return [each for each in first.tolist() if self._state.stage[each] not in (Stage.DONE, Stage.GIVEN_UP)]

    def _vm(self, number: int, reason: str, since_s: float) -> Waiting:
        part = self._program.migrations
        return Waiting(self._program.vms.ids[int(part.vm[number])], part.ids[number], reason, since_s)
