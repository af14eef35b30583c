"""The coordinator: decide, journal, have it done, journal what came of it, fold.

Thin on purpose.  What to do is decided in :mod:`slacktide.executors.decisions`; what happened is folded in
:mod:`slacktide.executors.folding`.  Here is the order: an intent is in the journal before an agent hears of it.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from math import inf
from typing import Final

import numpy as np

from slacktide.clock import Clock, VirtualClock
from slacktide.errors import StoreError
from slacktide.executors import events
from slacktide.executors.agents import Agents
from slacktide.executors.campaign_state import OUT_STAGES, CampaignState, HostStage, initial_state
from slacktide.executors.changeover import Course, turned
from slacktide.executors.commands import Dispatch, Requests
from slacktide.executors.control_events import PlanRevised
from slacktide.executors.decisions import Scheduler
from slacktide.executors.events import Event, Stage
from slacktide.executors.folding import apply
from slacktide.executors.health.guard import Guard
from slacktide.executors.journal import Entry, Journal
from slacktide.executors.meeting import Meetings
from slacktide.executors.news import News
from slacktide.executors.orders import answer
from slacktide.executors.pace import pace_of, wait_until
from slacktide.executors.program import Program
from slacktide.executors.replanning import Replanning
from slacktide.executors.resolution import patched_now
from slacktide.executors.revising import Made, Revising
from slacktide.executors.rules import Rules
from slacktide.executors.standing import standing
from slacktide.executors.store.patience import Patience
from slacktide.executors.wanted import Wanted

REPORT_INTERVAL_S: Final = 1.0
"""How often agents report and the coordinator decides: plans are made in whole seconds, finer would change nothing
where everything is as planned."""
LIVE_INTERVAL_S: Final = 0.25
"""The same on the system's clock: what waits for something late begins that soon after it.  A migration of a small VM
takes a second or two."""
CALL_S: Final = 0.001
"""What a call to an agent costs; the interval is at least so long that calls take a tenth of it."""
STAND_STILL_S: Final = 0.02
"""How long a campaign on a virtual clock waits before it looks again whether an agent is back."""

ORDERS_INTERVAL_S: Final = 0.25
"""How often orders are looked for, on this machine's clock: they take effect within a second."""

TOLD_AHEAD_S: Final = 120.0
"""How far ahead simulated agents tell what will happen.

Longer means fewer calls; an attempt whose end is told can no longer be stopped, so this is no longer than the least
time by which an attempt may overrun (``DEADLINE_FLOOR_S``)."""

QuietUntil = Callable[[Requests], float]
"""Until when nothing can come of requests, in seconds from the origin."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a campaign has got."""

    now_s: float
    planned_s: int
    """When the plan would have its last host back."""
    hosts: int
    hosts_returned: int
    hosts_out: int
    hosts_failed: int
    """Failed, blocked or lost."""
    migrations: int
    migrations_done: int
    migrations_given_up: int
    finished: bool
    waits_for: str | None = None
    """What has to happen before the campaign goes on, and what to do about it: the store answers again, a person
    approves a wave, or ends a pause; null: nothing."""


class Coordinator:
    """Carries one campaign out.

    On the system's clock every request is sent at once.  On a virtual one ``quiet_until_s`` says how long nothing can
    come of a request, and it is sent, together with others, no later than then.
    """

    def __init__(
        self,
        program: Program,
        journal: Journal,
        agents: Agents,
        clock: Clock,
        rules: Rules | None = None,
        quiet_until_s: QuietUntil | None = None,
        revising: Revising | None = None,
    ) -> None:
        self._program = program
        self._revising = revising
        self._journal = journal
        self._agents = agents
        self._clock = clock
        self._virtual = isinstance(clock, VirtualClock)
        live_s = max(LIVE_INTERVAL_S, 10 * CALL_S * agents.count)
        self._interval_s = REPORT_INTERVAL_S if self._virtual else live_s * pace_of(clock)
        self._quiet_until_s = quiet_until_s
        self._origin = journal.record.origin
        self._dispatch = Dispatch(program, agents.count)
        self._news = News(agents.count)
        self._next_s: list[float | None] = [None] * agents.count
        """When something will next end at each agent."""
        self._asked: dict[int, Requests] = {}
        """Requests to be sent."""
        self._send_s = inf
        """Until when they must be sent."""
        self._unwritten: list[Event] = []
        """News and decisions to be journaled, before any request is sent."""
        self._rules = rules or Rules()
        self._look_s = -inf
        """When orders are looked for next, on this machine's clock."""
        self._answered = 0
        """Number of the newest order that was answered, if not yet in the journal."""
        self._going_over: Made | None = None
        """Revision whose changeover is being journaled."""
        self._half_s: float | None = None
        """Moment of a round that was decided and is not yet journaled, since the store did not answer."""
        self._patience = Patience()
        self._meetings = Meetings()
        self._away: set[int] = set()
        """Agents that are known to be away."""
        self._outdated = False
        """Whether agents that are new have said what the scheduler does not know of."""
        self._replanning: Replanning | None = None
        self.state = initial_state(program)
        self._resume()
        self._schedule_anew()
        self._health = Guard(self._rules.health)
        if revising is not None:
            self._replanning = Replanning(revising, self._rules, self.state)

    def _resume(self) -> None:
        """Rebuild the state from the journal and resolve every intent without outcome."""
        journaled = self._journal.read()
        if self._revising is None:
            apply(self.state, journaled)
        else:
            course, self.state = standing(self._revising.course, journaled, self._revising.load)
            self._carry_out(course)
        if not self._journal.last:
            record = self._journal.record
            self._unwritten.append(events.CampaignCreated(0.0, record.campaign_id, record.plan_id))
            self._write(0.0)
            return
        if self.state.finished:
            return
        now = max(self.state.end_s, (self._clock.now() - self._origin).total_seconds())
        if isinstance(self._clock, VirtualClock):
            now = self.state.end_s
            now = math.ceil(now / REPORT_INTERVAL_S) * REPORT_INTERVAL_S
            self._clock.advance_to(self._origin + timedelta(seconds=now))
        self._unwritten.append(events.CampaignResumed(now))
        self._write(now)
        self._next_s = [now] * self._agents.count
        self._meetings.begin(range(self._agents.count))
        self._exchange(now, journaled)
        self._unwritten += self._news.until(now)
        self._write(now)
        self._meet(now)
        self._next_s = [now] * self._agents.count
        self._send_s = now

    def _carry_out(self, course: Course) -> None:
        """Go by the plan that is carried out now."""
        assert self._revising is not None, "otherwise there is one plan"
        self._revising.course, self._program = course, course.program
        self._dispatch = Dispatch(self._program, self._agents.count)

    def step(self, wall_s: float) -> Progress:
        """Go on for about ``wall_s`` seconds of this machine's time, at least one round, and return how far it is."""
        end = time.monotonic() + wall_s
        while not self.state.finished:
            self._try_round(end)
            if time.monotonic() >= end:
                break
        return self.progress()

    def _try_round(self, end: float) -> None:
        """Go on by a round.  While the store does not answer nothing is decided or asked, and it is tried again."""
        if not self._patience.rest(end):
            return
        try:
            self.round()
        except StoreError as error:
            self._patience.bear(error)
        else:
            self._patience.end()

    def round(self) -> None:
        """Take in what has happened, decide once, have it done, and wait for the next moment of interest.

        Real agents are heard before the decision, and asked right after it.  Simulated ones have told before what
        happens until now, and are asked when something may come of it.  A round whose journaling failed is finished
        by the next call; its clock has stood still, if it is a virtual one, as it does while an agent does not answer.

        Raises
        ------
        StoreError
            If the store does not answer; nothing was asked that is not in the journal.
        ExecutionError
            If another coordinator has taken the campaign over, or an agent refuses.
        """
        self._journal.keep()
        now = self._half_s if self._half_s is not None else (self._clock.now() - self._origin).total_seconds()
        if not self._all_there(now) and self._virtual:
            time.sleep(STAND_STILL_S)
            return
        if self._half_s is not None:
            self._finish_round(now)
            return
        if self._going_over is not None:
            self._go_over(now)
        if not self._virtual:
            self._exchange(now)
        news = self._news.until(now)
        self._scheduler.observe(news)
        self._unwritten += news
        self._take_orders(now)
        self._guard(now, news)
        if self._replanning is not None:
            self._replan(now, self._replanning)
        actions = [action for action in self._scheduler.decide(now) if not self._too_late(action)]
        self._unwritten += actions
        self._ask(actions)
        self._finish_round(now)

    def _finish_round(self, now: float) -> None:
        """Journal what was decided at ``now``, have it done, and wait."""
        self._half_s = now
        if self._scheduler.finished:
            self._write(now)
            self._half_s = None
            return
        moment = self._next_moment(now)
        if self._virtual and (moment > self._send_s or self._must_hear(moment)):
            self._write(now)
            self._exchange(now)
            if self._waits():
                return
            moment = self._next_moment(now)
        elif not self._virtual:
            self._write(now)
            if self._asked:
                self._exchange(now)
        elif self._rules.speed is not None:
            self._write(now)
        if moment == inf:
            self._write(now)
            self._half_s = None
            time.sleep(ORDERS_INTERVAL_S)
            return
        self._half_s = None
        wait_until(self._clock, self._origin + timedelta(seconds=self._paced(now, moment)))

    def _paced(self, now: float, moment: float) -> float:
        """Return until when to go on at once: all of a virtual night in no time, unless a speed was asked for."""
        speed = self._rules.speed
        if not self._virtual or speed is None:
            return moment
        moment = min(moment, now + max(REPORT_INTERVAL_S, speed * ORDERS_INTERVAL_S))
        time.sleep((moment - now) / speed)
        return moment

    def _take_orders(self, now: float) -> None:
        """Answer what has been asked of the campaign since, in the journal and to the scheduler."""
        if time.monotonic() < self._look_s:
            return
        self._look_s = time.monotonic() + ORDERS_INTERVAL_S
        if self._replanning is not None and self._replanning.order is not None:
            return
        orders = self._journal.orders(max(self._answered, self.state.orders))
        for order in orders:
            self._write(now)
            told = answer(order, self.state, now, revisable=self._replanning is not None)
            if isinstance(told, Wanted):
                assert self._replanning is not None, "otherwise it is refused"
                self._replanning.order = told
                return
            self._answered = order.number
            self._unwritten.append(told)
            self._scheduler.observe([told])
        if orders:
            self._write(now)

    def _replan(self, now: float, replanning: Replanning) -> None:
        """Have the rest planned anew where that is asked for, and go over to the revision that is there."""
        step = replanning.next(self._scheduler, self.state, now)
        if step is None:
            return
        if isinstance(step, Wanted):
            self._write(now)
            self._scheduler.hold()
            replanning.begin(step, self.state.copy(), now)
            if self._virtual and self._rules.speed is None:
                step = replanning.wait(now)
            else:
                return
        if isinstance(step, Made):
            self._going_over = step
            self._unwritten.append(replanning.event(step, self.state, now))
            self._go_over(now)
            return
        self._unwritten.append(step)
        self._answered = max(self._answered, step.order)
        if replanning.gives_way(step):
            self._scheduler.give_way()
        self._scheduler.go_on()

    def _go_over(self, now: float) -> None:
        """Journal the changeover, and go by the revision; a store that does not answer is tried with the next round."""
        self._write(now)
        self._going_over = None
        self._schedule_anew()

    def _fold(self, entries: list[Entry]) -> None:
        """Take in what was journaled; what comes after a changeover is about the plan that it goes over to."""
        for place, entry in enumerate(entries):
            if isinstance(entry.event, PlanRevised):
                apply(self.state, entries[:place])
                made = self._going_over
                assert made is not None, "it was journaled here"
                assert self._revising is not None, "that made it"
                course, self.state = turned(self._revising.course, self.state, entry, made.plan, made.snapshot)
                self._carry_out(course)
                apply(self.state, entries[place + 1 :])
                return
        apply(self.state, entries)

    def _guard(self, now: float, news: list[Event]) -> None:
        """Pause the campaign where a signal or a budget asks for it."""
        if self._health.is_due(news):
            self._write(now)
            told = self._health.judge(self.state, now)
            self._scheduler.observe(told)
            self._unwritten += told

    def _too_late(self, action: Event) -> bool:
        if not isinstance(action, events.MigrationCancelled) or not self._news.outcome_told(action):
            return False
        self._scheduler.spare(action)
        return True

    def _ask(self, actions: list[Event]) -> None:
        """Line up what drivers have to do, to be sent before anything can come of it."""
        new = self._dispatch.requests(actions, self._asked)
        if self._asked:
            quiet_until_s = -inf if self._quiet_until_s is None else self._quiet_until_s(new)
            self._send_s = min(self._send_s, quiet_until_s)

    def _next_moment(self, now: float) -> float:
        """Return when to decide next; infinite: only a person can bring that about."""
        if not self._virtual:
            return now + self._interval_s
        moments = [moment for moment in (self._scheduler.next_s(), self._news.next_s()) if moment is not None]
        moments += [moment for moment in self._next_s if moment is not None]
        if self._replanning is not None and (due_s := self._replanning.due_s(self._scheduler, now)) is not None:
            moments.append(due_s)
        if self._asked and not moments:
            self._send_s = min(self._send_s, now)
        if self._asked and self._send_s < inf:
            moments.append(max(now, self._send_s))
        if not moments:
            return inf
        return max(now + REPORT_INTERVAL_S, math.ceil(min(moments) / REPORT_INTERVAL_S) * REPORT_INTERVAL_S)

    def _must_hear(self, moment: float) -> bool:
        """Return whether an agent has something to tell by ``moment`` that it has not told."""
        return any(next_s is not None and next_s <= moment for next_s in self._next_s)

    def _exchange(self, now: float, journaled: list[Entry] | None = None) -> None:
        """Send what is asked, and hear from agents; on a virtual clock also what will soon happen.

        Requests to agents that are not there, or not met yet, wait.  ``journaled``: the journal, if it is at hand.  A
        coordinator that was asleep for long looks first whether the campaign is still its own.
        """
        self._journal.keep()
        until_s = now + (TOLD_AHEAD_S if self._virtual else 0.0)
        turns, pending = {}, frozenset(self._meetings.pending)
        for agent in range(self._agents.count):
            if self._agents.busy(agent):
                continue
            requests, next_s = None if agent in pending else self._asked.pop(agent, None), self._next_s[agent]
            if requests is None and self._virtual and (next_s is None or next_s > until_s):
                continue
            acknowledged = self._news.acknowledged(agent)
            turns[agent] = (requests or Requests()).turn(self._journal.generation, acknowledged, until_s)
        self._send_s = now if self._asked else inf
        reports = self._agents.exchange(turns)
        for agent, report in sorted(reports.items()):
            self._news.tell(agent, report, repeats=agent in pending)
            self._next_s[agent] = report.next_s
        self._meetings.hear(reports)
        if any(reports[agent].events for agent in pending.intersection(reports)):
            self._news.forget(entry.event for entry in journaled or self._journal.read())

    def _all_there(self, now: float) -> bool:
        """Note which agents have gone or come, and have those that are new take charge; return whether all have."""
        away = self._agents.away()
        self._unwritten += [
            events.AgentAway(now, self._agents.name(agent), away[agent]) for agent in sorted(away.keys() - self._away)
        ]
        self._away.update(away)
        renewed = self._agents.renewed()
        for agent in renewed:
            self._news.begin_anew(agent)
            self._next_s[agent] = now
        self._meetings.begin(renewed)
        if self._virtual and self._waits():
            self._append()
            self._exchange(now)
        if self._meetings.pending:
            self._meet(now)
        if self._outdated:
            self._append()
            self._schedule_anew()
        back = sorted(self._away - self._meetings.pending - away.keys())
        self._unwritten += [events.AgentBack(now, self._agents.name(agent)) for agent in back]
        self._away.difference_update(back)
        return not self._waits()

    def _waits(self) -> bool:
        """Return whether an agent has yet to be met, or to answer."""
        return bool(self._meetings.pending) or any(map(self._agents.busy, range(self._agents.count)))

    def _meet(self, now: float) -> None:
        """Resolve what agents that are new have under way."""
        self._append()
        met = self._meetings.go_on(self.state, self._dispatch, self._agents, self._news.subjects(), self._asked, now)
        for agent in met.agents:
            self._next_s[agent] = now
        for agent, requests in met.asked.items():
            self._asked.setdefault(agent, Requests()).add_untold(requests)
            self._send_s = now
        self._unwritten += met.resolved
        self._outdated |= any(event.outcome != "running" for event in met.resolved)
        self._append()

    def _schedule_anew(self) -> None:
        """Have a scheduler that knows what the journal knows."""
        self._scheduler = Scheduler(self._program, self.state, self._rules)
        if self._replanning is not None and self._replanning.is_making:
            self._scheduler.hold()
        self._outdated = False

    def is_patched(self, agent: int) -> bool:
        """Return whether a host that this agent stands for is being patched."""
        return bool(patched_now(self.state)[agent :: self._agents.count].any())

    def _write(self, now: float) -> None:
        """Journal what was heard and decided up to ``now``."""
        self._append()
        self._news.acknowledge(now)

    def _append(self) -> None:
        """Journal what is to be journaled."""
        if self._unwritten:
            written = self._journal.append(self._unwritten)
            self._unwritten = []
            self._fold(written)

    def close(self) -> None:
        """Look at no signal any more, and let go of what makes revisions; the campaign may be taken up again."""
        self._health.close()
        if self._replanning is not None:
            self._replanning.close()

    def progress(self) -> Progress:
        """Return how far the campaign has got."""
        waits_for = self._patience.waits_for or self._scheduler.waits_for()
        if waits_for is None and self._replanning is not None:
            waits_for = self._replanning.waits_for()
        return replace(progress(self.state, self._program), waits_for=waits_for)


def progress(state: CampaignState, program: Program) -> Progress:
    """Return how far a campaign has got."""
    stages, hosts = state.stage, state.host_stage
    return Progress(
        now_s=state.end_s,
        planned_s=program.makespan_s,
        hosts=int(program.hosts.planned.sum()),
        hosts_returned=int((hosts == HostStage.RETURNED).sum()),
        hosts_out=int(np.isin(hosts, OUT_STAGES).sum()),
        hosts_failed=int((hosts > HostStage.RETURNED).sum()),
        migrations=len(stages),
        migrations_done=int((stages == Stage.DONE).sum()),
        migrations_given_up=int((stages == Stage.GIVEN_UP).sum()),
        finished=state.finished,
    )
