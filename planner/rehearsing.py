"""Orders for further tries: a profile or the best schedule so far, polished without the VMs before a pass is spent."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slacktide.planner.bounds import FEWEST_HOSTS, Bounds
from slacktide.planner.listing.decisions import Schedule
from slacktide.planner.listing.rehearsal import Cast, polish, rehearse
from slacktide.planner.needs import RESOURCES, Needs, canary_gate, demands
from slacktide.planner.orders import FIRST_PROFILE, Profile, evened, expected_out_s, order_of, planned_starts
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
MINOR = 0.3
"""What a share of the exposure counts beside the same share of the makespan where the policy names it later."""


@dataclass(frozen=True)
class Rehearsals:
    """What further orders are made from."""

    problem: Problem
    needs: Needs
    bounds: Bounds

    def first_order(self) -> Ints:
        """Return the order of the first profile, its rounds evened out where that is rehearsed to be better."""
        out_s = expected_out_s(self.needs)
        start_s = planned_starts(self.problem, self.needs, out_s, self.bounds.best_s, FIRST_PROFILE)
        behind = self._behind()
        if len(behind):
            cast = self._cast(out_s, behind, FIRST_PROFILE.room)
            start_s[behind] = _cheaper(cast, start_s[behind])
        return order_of(self.problem, self.needs, start_s)

    def order(self, best: Schedule, rng: np.random.Generator, halt: Ints) -> Ints:
        """Return an order to try, made from the best schedule so far and chance; ``halt`` set to 1 cuts it short."""
        out_s = self._out_s(best)
        if len(self.needs.host) < FEWEST_HOSTS or rng.random() < FROM_BEST:
            start_s = self._starts(best)
        else:
            profile = Profile(*(float(rng.uniform(*limits)) for limits in (STRETCH, DOMAINS, ROOM, ROUNDS)))
            start_s = planned_starts(self.problem, self.needs, out_s, self.bounds.best_s, profile)
        behind = self._behind()
        if len(behind):
            count = max(1, min(MOST_REHEARSALS, EFFORT // len(behind)))
            cast = self._cast(out_s, behind, float(rng.uniform(*ROOM)))
            start_s[behind] = polish(cast, _cheaper(cast, start_s[behind]), count, int(rng.integers(2**31)), halt)
        return order_of(self.problem, self.needs, start_s)

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

    def _cast(self, out_s: Floats, behind: Ints, room: float) -> Cast:
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
        )


def _cheaper(cast: Cast, start_s: Floats) -> Floats:
    """Return the starts as they are or with their rounds evened out, whichever is rehearsed to cost less.

    A round is what the fleet's limit lets out, or what is out on average if something else holds hosts back.
    """
    out_s = cast.out_s.astype(np.float64)
    limit, length_s = max(1, int(cast.limit[0])), float((start_s + out_s).max() - start_s.min())
    at_once = {limit, min(limit, max(1, round(float(out_s.sum()) / max(length_s, 1.0))))}
    tried = [start_s, *(evened(start_s, out_s, size) for size in sorted(at_once))]
    return min(tried, key=lambda starts: _cost(cast, starts))


def _cost(cast: Cast, start_s: Floats) -> float:
    leaves_s = rehearse(cast, np.argsort(start_s, kind="stable"))
    never = int((leaves_s < 0).sum())
    back_s = np.where(leaves_s < 0, 0, cast.gate_s + leaves_s + cast.out_s)
    exposure = float((cast.weight * back_s).sum()) / cast.exposure_s
    return never + float(back_s.max()) / cast.makespan_s + cast.exposure_counts * exposure


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
