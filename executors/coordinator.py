"""The coordinator: decide, journal, have it done, journal what came of it, fold.

Thin on purpose.  What to do is decided in :mod:`slacktide.executors.decisions`; what happened is journaled and folded
in :mod:`slacktide.executors.ledger`; agents are asked in :mod:`slacktide.executors.agent_exchange`; people are answered
in :mod:`slacktide.executors.control`.  Here is the order: an intent is in the journal before an agent hears of it.
"""

import math
import time
from dataclasses import replace
from datetime import timedelta
from math import inf
from typing import Final

from slacktide.clock import Clock, VirtualClock
from slacktide.errors import StoreError
from slacktide.executors import events
from slacktide.executors.agent_exchange import AgentExchange, QuietUntil
from slacktide.executors.agents import Agents
from slacktide.executors.campaign_state import CampaignState
from slacktide.executors.control import Control
from slacktide.executors.decisions import Scheduler
from slacktide.executors.events import Event, Stage
from slacktide.executors.journal import Journal
from slacktide.executors.ledger import Ledger
from slacktide.executors.measuring.readings import Standing
from slacktide.executors.others_heard import OthersHeard
from slacktide.executors.pace import pace_of, wait_until
from slacktide.executors.program import Program
from slacktide.executors.progress import Progress, progress
from slacktide.executors.resolution import patched_now
from slacktide.executors.revising import Revising
from slacktide.executors.rules import Rules
from slacktide.executors.store.patience import Patience

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


class Coordinator:
    """Carries one campaign out."""

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
        self._clock = clock
        self._virtual = isinstance(clock, VirtualClock)
        self._agent_count = agents.count
        live_s = max(LIVE_INTERVAL_S, 10 * CALL_S * agents.count)
        self._interval_s = REPORT_INTERVAL_S if self._virtual else live_s * pace_of(clock)
        self._origin = journal.record.origin
        self._rules = rules or Rules()
        self._half_s: float | None = None
        """Moment of a round that was decided and is not yet journaled, since the store did not answer."""
        self._look_s = -inf
        """When orders are looked for next, on this machine's clock."""
        self._patience = Patience()
        self._ledger = Ledger(program, journal, agents.count, revising)
        self._others = OthersHeard(program.hosts.ids, agents.count, self._rules.vms)
        self._exchange = AgentExchange(agents, self._ledger, self._others, quiet_until_s, virtual=self._virtual)
        self._take_up()
        self._control = Control(self._ledger, self._rules, revising, virtual=self._virtual)
        self._schedule_anew()

    def _take_up(self) -> None:
        """Rebuild the state from the journal and resolve every intent without outcome."""
        ledger, journal = self._ledger, self._ledger.journal
        journaled = ledger.take_up()
        if not journal.last:
            ledger.note([events.CampaignCreated(0.0, journal.record.campaign_id, journal.record.plan_id)])
            ledger.write(0.0)
            return
        if self.state.finished:
            return
        now = max(self.state.end_s, (self._clock.now() - self._origin).total_seconds())
        if isinstance(self._clock, VirtualClock):
            now = self.state.end_s
            now = math.ceil(now / REPORT_INTERVAL_S) * REPORT_INTERVAL_S
            self._clock.advance_to(self._origin + timedelta(seconds=now))
        ledger.note([events.CampaignResumed(now)])
        ledger.write(now)
        self._exchange.take_up(now, journaled)

    def _schedule_anew(self) -> None:
        """Have a scheduler that knows what the journal knows."""
        self._scheduler = Scheduler(self._ledger.program, self.state, self._rules)
        if self._control.is_replanning:
            self._scheduler.hold()
        self._exchange.outdated = False

    @property
    def state(self) -> CampaignState:
        """What is known of the campaign; nobody else may change it."""
        return self._ledger.state

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
        now = self._half_s if self._half_s is not None else (self._clock.now() - self._origin).total_seconds()
        if self._virtual and self._rules.speed is not None:
            self._ledger.journal.tell_clock(now, self._rules.speed)
        self._ledger.journal.keep()
        if not self._all_there(now) and self._virtual:
            time.sleep(STAND_STILL_S)
            return
        if self._half_s is not None:
            self._finish_round(now)
            return
        if self._ledger.going_over is not None:
            self._go_over(now)
        if not self._virtual or (self._others.tells and self._exchange.is_due(now)):
            self._exchange.exchange(now)
        news = self._ledger.take_news(now)
        self._scheduler.observe(news)
        self._hear_of_others(news, now)
        if time.monotonic() >= self._look_s:
            self._look_s = time.monotonic() + ORDERS_INTERVAL_S
            self._control.take_orders(self._scheduler, now)
        self._control.guard(self._scheduler, news, now)
        if self._control.replan(self._scheduler, now):
            self._go_over(now)
        actions = [action for action in self._scheduler.decide(now) if not self._too_late(action)]
        self._ledger.note(actions)
        self._control.ask(self._scheduler, now)
        self._exchange.ask(actions)
        self._others.want(self._scheduler.unforeseen.looks, now)
        self._finish_round(now)

    def _hear_of_others(self, news: list[Event], now: float) -> None:
        """Take in what others have done with VMs, and what is on hosts that were looked at."""
        if not self._others.is_new(news, now):
            return
        self._ledger.append()
        done = self._others.done(self.state, now)
        self._scheduler.observe(done)
        self._ledger.note(done)
        for seen in self._others.answers(self.state):
            self._scheduler.looked(seen.host, seen.there, seen.others, now)

    def _all_there(self, now: float) -> bool:
        """Have agents that are new take charge, and return whether all have."""
        all_there = self._exchange.all_there(now)
        if self._exchange.outdated:
            self._ledger.append()
            self._schedule_anew()
        return all_there

    def _go_over(self, now: float) -> None:
        """Journal the changeover, and go by the revision; a store that does not answer is tried with the next round."""
        self._ledger.write(now)
        self._ledger.going_over = None
        self._schedule_anew()

    def _too_late(self, action: Event) -> bool:
        """Return whether an attempt is not to be stopped after all, since its outcome is told."""
        if not isinstance(action, events.MigrationCancelled) or not self._ledger.news.outcome_told(action):
            return False
        self._scheduler.spare(action)
        return True

    def _finish_round(self, now: float) -> None:
        """Journal what was decided at ``now``, have it done, and wait."""
        self._half_s = now
        if self._scheduler.finished:
            self._ledger.write(now)
            self._half_s = None
            return
        moment = self._next_moment(now)
        if self._virtual and self._exchange.is_due(moment):
            self._ledger.write(now)
            self._exchange.exchange(now)
            if self._exchange.waits:
                return
            moment = self._next_moment(now)
        elif not self._virtual:
            self._ledger.write(now)
            if self._exchange.asks:
                self._exchange.exchange(now)
        elif self._rules.speed is not None:
            self._ledger.write(now)
        if moment == inf and self._rules.speed is None:
            self._ledger.write(now)
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

    def _next_moment(self, now: float) -> float:
        """Return when to decide next; infinite: only a person can bring that about."""
        if not self._virtual:
            return now + self._interval_s
        own = self._scheduler.next_s(), self._control.due_s(self._scheduler, now)
        heard = self._ledger.news.next_s(), self._others.next_s()
        moments = [moment for moment in (*own, *heard) if moment is not None] + self._exchange.moments()
        moments.append(self._exchange.send_s(now, at_once=not moments))
        if min(moments) == inf:
            return inf
        return max(now + REPORT_INTERVAL_S, math.ceil(min(moments) / REPORT_INTERVAL_S) * REPORT_INTERVAL_S)

    def is_patched(self, agent: int) -> bool:
        """Return whether a host that this agent stands for is being patched."""
        return bool(patched_now(self.state)[agent :: self._agent_count].any())

    def standing(self) -> Standing:
        """Return what the campaign's metrics are read off."""
        state = self.state
        queues = {
            "hosts for a place among hosts out": self._scheduler.slots.waiting,
            "migrations to be tried again": int((state.stage == Stage.FAILED).sum()),
            "news of agents": self._ledger.news.held(),
            "requests to agents": self._exchange.unsent,
            "events for the journal": self._ledger.unwritten,
        }
        return Standing(
            state=state,
            program=self._ledger.program,
            generation=self._ledger.journal.generation,
            agents=self._agent_count,
            agents_away=self._exchange.away,
            waits=self._waits_for() is not None,
            queues=queues,
            append_s=self._ledger.append_s,
        )

    def _waits_for(self) -> str | None:
        return self._patience.waits_for or self._scheduler.waits_for() or self._control.waits_for()

    def close(self) -> None:
        """Look at no signal any more, and let go of what makes revisions; the campaign may be taken up again."""
        self._control.close()

    def progress(self) -> Progress:
        """Return how far the campaign has got."""
        return replace(progress(self.state, self._ledger.program), waits_for=self._waits_for())
