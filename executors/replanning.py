"""When the rest of a running campaign is planned anew: on whose account, how often, and what else is done then."""

from collections.abc import Sequence
from math import inf
from typing import Final

import numpy as np
from numpy.typing import NDArray

from slacktide.executors.campaign_state import CampaignState, HostStage
from slacktide.executors.control_events import OrderRefused, PlanRevised
from slacktide.executors.decisions import Scheduler
from slacktide.executors.events import Stage
from slacktide.executors.readable import duration
from slacktide.executors.revising import Made, Revising
from slacktide.executors.rules import Rules
from slacktide.executors.wanted import Wanted

PAUSE_S: Final = 300.0
"""Least time between two automatic revisions, in seconds of the campaign: failures come in clusters, and one revision
for all that happened meanwhile changes less than one for each."""
SETTLE_S: Final = 15.0
"""How long what others do with VMs is waited for before the rest is planned anew: it comes in clusters as well, and as
long it takes until a VM counts as deleted."""
LATE_S: Final = 900.0
"""By which a host may leave later than planned before the rest is planned anew.

A revision waits up to 300 s for a host that is late; three times that is no noise of patches and migrations any more.
"""
LOOK_S: Final = 60.0
"""How often it is looked for hosts that are late."""


class Replanning:
    """Whether, why and when a running campaign's rest is planned anew; one revision at a time."""

    def __init__(self, revising: Revising, rules: Rules, state: CampaignState) -> None:
        self._revising = revising
        self._rules = rules
        self.order: Wanted | None = None
        """What a person has asked for and has not been answered."""
        self._wanted: Wanted | None = None
        """What is being made."""
        self._last_s = max((event.at_s for event in state.revisions), default=-PAUSE_S)
        self._max_out = dict(state.max_out) if state.revisions else {}
        """The limits by which the rest was last planned, where they are not the policy's."""
        self._look_s = 0.0
        self._known: frozenset[tuple[str, int]] = frozenset()
        """What others had done, and no plan provided for, when the rest was last planned."""
        self._noticed_s = inf
        """When something of that was first noticed since; infinite: it was not."""
        self._closed = False
        """Whether a gate that lost hosts keep closed leaves the rest to people."""

    def next(self, scheduler: Scheduler, state: CampaignState, now: float) -> Wanted | Made | OrderRefused | None:
        """Return what is to be planned anew now, or what came of it; null: nothing.

        Past a gate that lost hosts keep closed only a person leads.  Where the last revision has helped nothing, what
        depends on what has happened since is given up.
        """
        if self._revising.is_making:
            return self.wait(now) if self._revising.is_due else None
        if self.order is not None:
            return self._wants(scheduler, self.order)
        if state.aborted is not None or state.finished or self._rules.on_drift != "revise":
            return None
        opening = scheduler.gates.next_opening()
        closed = bool(state.wave_closed and state.lost)
        self._closed = bool(closed or (state.lost and opening is not None and opening.never is not None))
        if self._closed and not closed:
            return None
        if scheduler.drifted() is not None and (closed or _in_vain(state)):
            scheduler.give_way()
        if closed or scheduler.paused or now < self._last_s + PAUSE_S:
            return None
        why = scheduler.drifted() or self._settled(scheduler, now)
        why = why or self._limits_changed(state) or self._late(scheduler, state, now)
        return None if why is None else self._wants(scheduler, Wanted(why))

    def _wants(self, scheduler: Scheduler, wanted: Wanted) -> Wanted:
        """Note what a revision that is wanted will provide for, and return it."""
        self._known, self._noticed_s = frozenset(scheduler.beside_the_plan()), inf
        return wanted

    def _settled(self, scheduler: Scheduler, now: float) -> str | None:
        """Return what others have done that no plan provides for, once it was waited for more; null: nothing."""
        why = self._unforeseen(scheduler)
        self._noticed_s = inf if why is None else min(self._noticed_s, now)
        return why if now >= self._noticed_s + SETTLE_S else None

    def _unforeseen(self, scheduler: Scheduler) -> str | None:
        """Return what others have done since the rest was last planned that no plan provides for; null: nothing."""
        found = scheduler.beside_the_plan()
        fresh = found.keys() - self._known
        return found[min(fresh)] if fresh else None

    @property
    def is_making(self) -> bool:
        """Whether a revision is being made."""
        return self._revising.is_making

    def begin(self, wanted: Wanted, state: CampaignState, now: float) -> None:
        """Begin to plan the rest anew."""
        self._wanted = wanted
        self._max_out = dict(state.max_out)
        if not wanted.order:
            self._last_s = now
        self._revising.begin(state, wanted, now)

    def wait(self, now: float) -> Made | OrderRefused:
        """Return what came of it, once it is there."""
        made = self._revising.take()
        wanted = self._wanted
        assert wanted is not None, "it was begun"
        self.order = None
        if isinstance(made, Made):
            return made
        why = wanted.why if wanted.order else f"after: {wanted.why}"
        kind = "evacuate" if wanted.evacuate is not None else "add" if wanted.add_hosts else "revise"
        return OrderRefused(now, wanted.order, wanted.by, why, kind, made)

    def event(self, made: Made, state: CampaignState, now: float) -> PlanRevised:
        """Return the changeover to a revision as the journal has it."""
        wanted, number = self._wanted, len(state.revisions) + 1
        assert wanted is not None, "it was begun"
        return PlanRevised(
            now,
            wanted.order,
            wanted.by,
            wanted.why,
            number,
            made.plan.header.id,
            made.plan_path,
            made.fleet_path,
            wanted.evacuate,
        )

    def gives_way(self, refused: OrderRefused) -> bool:
        """Return whether what depends on what has happened is given up, where there is no revision for it."""
        return not refused.order and self._rules.on_drift == "revise"

    def due_s(self, scheduler: Scheduler, now: float) -> float | None:
        """Return when it is to be looked again, as far as that is known; null: when something else happens."""
        if self.order is not None:
            return now
        if scheduler.paused or self._rules.on_drift != "revise":
            return None
        if scheduler.drifted() is None and (self._closed or self._unforeseen(scheduler) is None):
            return None
        settled_s = now if scheduler.drifted() is not None else min(self._noticed_s, now) + SETTLE_S
        return max(now, self._last_s + PAUSE_S, settled_s)

    def waits_for(self) -> str | None:
        """Return that nothing new begins for a revision is being made; null: none is."""
        return "the rest is being planned anew" if self._revising.is_making else None

    def close(self) -> None:
        """Let go of what makes revisions."""
        self._revising.close()

    def _limits_changed(self, state: CampaignState) -> str | None:
        if state.max_out == self._max_out:
            return None
        limits = ", ".join(f"{kind} {limit}" for kind, limit in sorted(state.max_out.items()))
        return f"other limits hold: {limits}"

    def _late(self, scheduler: Scheduler, state: CampaignState, now: float) -> str | None:
        """Return which host leaves much later than planned; none does while a person or a gate is waited for."""
        if now < self._look_s or scheduler.waits_for() is not None:
            return None
        self._look_s = now + LOOK_S
        hosts = state.program.hosts
        due = hosts.due & scheduler.in_service() & (hosts.drain_start_s + LATE_S < now)
        late = _in_open_waves(scheduler, hosts.wave, np.flatnonzero(due).tolist())
        if not late:
            return None
        first = min(late, key=hosts.drain_start_s.__getitem__)
        return f"{hosts.ids[first]} is to leave {duration(now - float(hosts.drain_start_s[first]))} later than planned"


def _in_open_waves(scheduler: Scheduler, wave: NDArray[np.int64], hosts: Sequence[int]) -> list[int]:
    return [host for host in hosts if scheduler.gates.is_open(int(wave[host]))]


def _in_vain(state: CampaignState) -> bool:
    """Return whether nothing has been done, and no host has returned, since the rest was last planned anew."""
    if not state.revisions:
        return False
    since_s = state.revisions[-1].at_s
    done = (state.times[:, Stage.DONE] > since_s).any() or (state.host_times[:, HostStage.RETURNED] > since_s).any()
    return not done
