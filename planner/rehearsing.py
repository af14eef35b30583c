"""Orders for further tries: a profile or the best schedule so far, polished without the VMs before a pass is spent."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slacktide.planner.bounds import FEWEST_HOSTS, Bounds
from slacktide.planner.listing.decisions import Schedule
from slacktide.planner.listing.rehearsal import Cast, polish
from slacktide.planner.needs import RESOURCES, Needs, canary_gate, demands
from slacktide.planner.orders import Profile, Queue, expected_out_s, order_of, planned_starts, waiting_pays
from slacktide.planner.problem import Problem
from slacktide.planner.weights import weight_of

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

EFFORT = 1_500_000
"""Hosts times rehearsals before a pass: about as long as the pass itself, a second or two for ten thousand hosts."""
MOST_REHEARSALS = 2_000
STRETCH = (1.0, 1.06)
DOMAINS = (0.88, 1.0)
ROOM = (0.88, 0.98)
ROUNDS = (0.93, 1.0)
"""Ranges from which profiles are drawn: below, places are left empty that passes fill; above, hosts find no room."""
FROM_BEST = 0.5
"""Share of the tries that begin with the best schedule so far and not with a profile."""
IN_TURN = 0.5
"""Share of the tries in which a host too large for what is free is waited for.

With 1,000 hosts in three sizes at 85 and 92 % fill, the largest would otherwise all be left to the end, in two racks.
"""
MINOR = 0.3
"""What a share of the exposure counts beside the same share of the makespan where the policy names it later."""


@dataclass(frozen=True)
class Rehearsals:
    """What further orders are made from."""

    problem: Problem
    needs: Needs
    bounds: Bounds

    def order(self, best: Schedule, rng: np.random.Generator, halt: Ints) -> Queue:
        """Return an order to try, made from the best schedule so far and chance; ``halt`` set to 1 cuts it short."""
        out_s = self._out_s(best)
        if len(self.needs.host) < FEWEST_HOSTS or rng.random() < FROM_BEST:
            start_s = self._starts(best)
        else:
            profile = Profile(*(float(rng.uniform(*limits)) for limits in (STRETCH, DOMAINS, ROOM, ROUNDS)))
            start_s = planned_starts(self.problem, self.needs, out_s, self.bounds.best_s, profile)
        behind, in_turn = self._behind(), False
        if len(behind):
            count = max(1, min(MOST_REHEARSALS, EFFORT // len(behind)))
            room, seed = float(rng.uniform(*ROOM)), int(rng.integers(2**31))
            in_turn = bool(rng.random() < IN_TURN) and waiting_pays(self.problem, self.bounds)
            cast = self._cast(out_s, behind, room, in_turn)
            start_s[behind] = polish(cast, start_s[behind], count, seed, halt)
        return Queue(order_of(self.problem, self.needs, start_s), in_turn)

    def _out_s(self, best: Schedule) -> Floats:
        """Return how long each due host was out, or is expected to be if it never was."""
        out_s = expected_out_s(self.needs)
        row = np.searchsorted(self.needs.host, best.host)
        out_s[row] = best.return_s - best.drain_start_s
        return out_s

    def _starts(self, best: Schedule) -> Floats:
        """Return when each due host left, in seconds after the gate; those that never did are first."""
        start_s = np.full(len(self.needs.host), -1.0)
        row = np.searchsorted(self.needs.host, best.host)
        start_s[row] = best.drain_start_s - canary_gate(self.problem, self.needs)[1]
        return start_s

    def _behind(self) -> Ints:
        """Return the places among the due hosts of those behind the canary."""
        canary, _ = canary_gate(self.problem, self.needs)
        return np.sort(np.argsort(self.needs.earliest_s, kind="stable")[canary:])

    def _cast(self, out_s: Floats, behind: Ints, room: float, in_turn: bool) -> Cast:
        problem, host = self.problem, self.needs.host[behind]
        limits = {demand.name: demand.limit for demand in demands(problem, self.needs) if demand.name in RESOURCES}
        there = np.maximum([limits[name] * room for name in RESOURCES], 1.0)
        objective = problem.policy.objective
        groups = np.ascontiguousarray(problem.out.group[host])
        lane, lane_start, lanes = lanes_of(groups, len(problem.out.limit))
        goals = [goal for goal in objective if goal in ("exposure", "makespan")]
        return Cast(
            out_s=np.maximum(np.round(out_s[behind]), 1).astype(np.int64),
            groups=groups,
            lane=lane,
            lane_start=lane_start,
            lanes=lanes,
            limit=problem.out.limit,
            amount=problem.hosts.capacity[host] / there,
            weight=weight_of(problem)[host],
            gate_s=canary_gate(problem, self.needs)[1],
            makespan_s=_measure(self.bounds.best_s),
            exposure_s=_measure(self.bounds.weighted_exposure_s),
            exposure_counts=1.0 if goals[:1] == ["exposure"] else MINOR,
            in_turn=in_turn,
        )


def _measure(bound: float) -> float:
    """Return what to measure by: the bound, where there is one."""
    return max(bound, 1.0) if np.isfinite(bound) else 1.0


def lanes_of(groups: Ints, count: int) -> tuple[Ints, Ints, Ints]:
    """Return the lane of each host, where the lanes of each of ``count`` groups begin, and these lanes."""
    different, lane = np.unique(groups, axis=0, return_inverse=True)
    number, kind = np.nonzero(different[:, 1:] >= 0)
    group = different[number, kind + 1]
    order = np.argsort(group, kind="stable")
    start = np.searchsorted(group[order], np.arange(count + 1))
    return lane.reshape(-1).astype(np.int64), start.astype(np.int64), number[order].astype(np.int64)
