"""Orders for further tries: a profile or the best schedule so far, polished without the VMs before a pass is spent."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from slacktide.planner.bounds import FEWEST_HOSTS, Bounds
from slacktide.planner.listing.decisions import Schedule
from slacktide.planner.listing.rehearsal import Cast, cost, polish, rehearse
from slacktide.planner.needs import RESOURCES, Needs, canary_gate, canary_places, free_room
from slacktide.planner.orders import (
    FIRST_IN_TURN,
    FIRST_PROFILE,
    Profile,
    Queue,
    expected_out_s,
    light_first,
    order_of,
    planned_starts,
    waiting_pays,
)
from slacktide.planner.problem import Problem
from slacktide.planner.rounds import evened
from slacktide.planner.weights import weight_of

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

EFFORT = 750_000
"""Hosts times rehearsals before a pass: two or three passes over 1,000 hosts."""
MOST_REHEARSALS = 2_000
STRETCH = (1.03, 1.07)
DOMAINS = (0.88, 1.0)
ROOM = (0.99, 1.015)
ROUNDS = (0.93, 1.0)
"""Ranges from which profiles are drawn: below, places are left empty that passes fill; above, hosts find no room."""
FROM_BEST = 0.5
"""Share of the tries that begin with the best schedule so far and not with a profile."""
END_ALONE = 0.8
"""Share of the tries that are the best schedule so far but for its end."""
END = (1.0, 4.0)
"""From how many mean times out before its last return on an end is tried anew."""
HELD_BACK = (0.85, 1.0)
"""Range of the share of each domain's places that there are in rehearsals, where free capacity binds.

A rehearsed host leaves at the second at which its rack has a place again; in a pass it comes a little later, and with
it all that waits for the rack.  Where racks were rehearsed to be full up to the end, the pass took 2 to 5 % longer, and
0.3 % with a place less in each (1,000 hosts at 85 % fill, in turn).
"""
IN_TURN = 0.8
"""Share of the tries in which a host too large for what is free is waited for, where that may be of use.

With 1,000 hosts in three sizes at 85 and 92 % fill, the largest would otherwise all be left to the end, in two racks.
"""
OPENING_STEP_S = 120
"""Steps in which rehearsed hosts wait for the end of their notice: finer ones make more lanes, and as good an order."""
EXPOSURE = (0.3, 1.0)
"""What a share of the exposure counts beside the same share of the makespan where the policy names it first.

Drawn from this range: plans alike in their exposure differ more in the time of the last host.
"""
MINOR = 0.3
"""The same where the policy names it later."""


class Trial(NamedTuple):
    """By what a try is rehearsed."""

    room: float
    """Share of the free capacity that there is."""
    exposure: float
    """What a share of the exposure counts beside the same share of the makespan, if the policy names it first."""
    in_turn: bool = False
    """A host that is too large for what is free is waited for."""
    domains: float = 1.0
    """Share of the domains' limits on hosts out that there is."""


@dataclass(frozen=True)
class Rehearsals:
    """What further orders are made from."""

    problem: Problem
    needs: Needs
    bounds: Bounds

    def first_order(self) -> Queue:
        """Return the order of the first profile, its rounds evened out where that is rehearsed to be better."""
        out_s, in_turn = expected_out_s(self.needs), waiting_pays(self.problem, self.bounds)
        profile, behind = FIRST_IN_TURN if in_turn else FIRST_PROFILE, self.behind()
        start_s = planned_starts(self.problem, self.needs, out_s, self.bounds.best_s, profile)
        if len(behind):
            cast = self.cast(out_s, behind, Trial(profile.room, max(EXPOSURE), in_turn))
            start_s[behind] = _cheaper(cast, start_s[behind])
        return Queue(order_of(self.problem, self.needs, light_first(self.problem, self.needs, start_s)), in_turn)

    def order(self, best: Schedule, rng: np.random.Generator, halt: Ints) -> Queue:
        """Return an order to try, made from the best schedule so far and chance; ``halt`` set to 1 cuts it short."""
        if len(self.needs.host) == 0:
            return Queue(self.needs.host)
        if len(self.needs.host) >= FEWEST_HOSTS and rng.random() < END_ALONE and len(best.host):
            return self.other_end(best, rng, halt)
        out_s = self._out_s(best)
        if len(self.needs.host) < FEWEST_HOSTS or rng.random() < FROM_BEST:
            start_s = light_first(self.problem, self.needs, self._starts(best))
        else:
            profile = Profile(*(float(rng.uniform(*limits)) for limits in (STRETCH, DOMAINS, ROOM, ROUNDS)))
            start_s = planned_starts(self.problem, self.needs, out_s, self.bounds.best_s, profile)
        behind, in_turn = self.behind(), False
        if len(behind):
            trial = self._trial(rng)
            cast, in_turn = self.cast(out_s, behind, trial), trial.in_turn
            start_s[behind] = _polished(cast, _cheaper(cast, start_s[behind]), rng, halt)
        return Queue(order_of(self.problem, self.needs, light_first(self.problem, self.needs, start_s)), in_turn)

    def other_end(self, best: Schedule, rng: np.random.Generator, halt: Ints) -> Queue:
        """Return the order of the best schedule up to some moment near its end, and another one of who leaves then.

        What is out at that moment is known, so a rehearsal of the end alone is closer to what a pass will do.
        """
        needs, due = self.needs, np.isin(best.host, self.needs.host)
        mean_s = float((best.return_s - best.drain_start_s).mean())
        _, gate_s = canary_gate(self.problem, needs)
        from_s = int(max(gate_s, best.makespan_s - mean_s * rng.uniform(*END)))
        ahead = best.drain_start_s < from_s
        still_out = ahead & due & (best.return_s > from_s)
        out = np.searchsorted(needs.host, best.host[still_out])
        rest = np.setdiff1d(np.arange(len(needs.host)), np.searchsorted(needs.host, best.host[ahead & due]))
        if len(rest) == 0:
            return Queue(best.host)
        places, out_s, start_s = np.concatenate([out, rest]), self._out_s(best), self._starts(best)
        out_s[out] = best.return_s[still_out] - from_s
        trial = self._trial(rng)
        cast = self.cast(out_s, places, trial, from_s)._replace(begun=len(out))
        start_s = _polished(cast, start_s[places], rng, halt)[len(out) :]
        return Queue(needs.host[rest[np.argsort(start_s, kind="stable")]], trial.in_turn, best.part(ahead))

    def _trial(self, rng: np.random.Generator) -> Trial:
        """Return by what a try is rehearsed: by chance."""
        room, exposure, domains = (float(rng.uniform(*limits)) for limits in (ROOM, EXPOSURE, HELD_BACK))
        if not waiting_pays(self.problem, self.bounds):
            return Trial(room, exposure)
        return Trial(room, exposure, bool(rng.random() < IN_TURN), domains)

    def _out_s(self, best: Schedule) -> Floats:
        """Return how long each due host was out, or is expected to be if it never was."""
        out_s = expected_out_s(self.needs)
        row, due = self._places(best)
        out_s[row] = (best.return_s - best.drain_start_s)[due]
        return out_s

    def _starts(self, best: Schedule) -> Floats:
        """Return when each due host left, in seconds after the gate; those that never did are first."""
        start_s = np.full(len(self.needs.host), -1.0)
        row, due = self._places(best)
        start_s[row] = best.drain_start_s[due] - canary_gate(self.problem, self.needs)[1]
        return start_s

    def _places(self, best: Schedule) -> tuple[Ints, NDArray[np.bool_]]:
        """Return the places among due hosts of a schedule's, and which of these they are: not the evacuated."""
        due = np.isin(best.host, self.needs.host)
        return np.searchsorted(self.needs.host, best.host[due]), due

    def behind(self) -> Ints:
        """Return the places among the due hosts of those behind the canary."""
        return np.setdiff1d(np.arange(len(self.needs.host)), canary_places(self.problem, self.needs))

    def _opens_s(self, places: Ints, from_s: int) -> Ints:
        """Return how long after ``from_s`` notice keeps each host of ``places`` in service, in steps."""
        needs = self.needs
        late_s = np.maximum(needs.earliest_s - needs.drain_s - needs.patch_s - from_s, 0)[places]
        return np.asarray(np.round(late_s / OPENING_STEP_S) * OPENING_STEP_S, np.int64)

    def cast(self, out_s: Floats, places: Ints, trial: Trial, from_s: int | None = None) -> Cast:
        """Return ``places`` as a rehearsal from ``from_s`` on knows these hosts, None: from the gate on."""
        problem, host = self.problem, self.needs.host[places]
        from_s = canary_gate(problem, self.needs)[1] if from_s is None else from_s
        limits = {demand.name: demand.limit for demand in free_room(problem, self.needs)}
        there = np.maximum([limits[name] * trial.room for name in RESOURCES], 1.0)
        objective = problem.policy.objective
        groups = binding(problem.out.group[host], problem.out.limit)
        lane, lane_start, lanes, opens_s = lanes_of(groups, len(problem.out.limit), self._opens_s(places, from_s))
        limit = np.maximum(np.round(problem.out.limit * trial.domains), 1).astype(np.int64)
        limit[0] = problem.out.limit[0]
        goals = [goal for goal in objective if goal in ("exposure", "makespan")]
        return Cast(
            out_s=np.maximum(np.round(out_s[places]), 1).astype(np.int64),
            groups=groups,
            lane=lane,
            lane_start=lane_start,
            lanes=lanes,
            opens_s=opens_s,
            limit=limit,
            amount=problem.hosts.capacity[host] / there,
            weight=weight_of(problem)[host],
            from_s=from_s,
            begun=0,
            makespan_s=_measure(self.bounds.best_s),
            exposure_s=_measure(self.bounds.weighted_exposure_s),
            exposure_counts=trial.exposure if goals[:1] == ["exposure"] else MINOR,
            in_turn=trial.in_turn,
        )


def _polished(cast: Cast, start_s: Floats, rng: np.random.Generator, halt: Ints) -> Floats:
    """Return starts whose rehearsal costs less."""
    count = max(1, min(MOST_REHEARSALS, EFFORT // len(start_s)))
    return polish(cast, start_s, count, int(rng.integers(2**31)), halt)


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
    return cost(cast, rehearse(cast, np.argsort(start_s, kind="stable")))


def _measure(bound: float) -> float:
    """Return what to measure by: the bound, where there is one."""
    return max(bound, 1.0) if np.isfinite(bound) else 1.0


def binding(groups: Ints, limit: Ints) -> Ints:
    """Return the groups of each host, -1 in place of those that may all be out at once: they hold nobody back."""
    bound = groups.copy()
    for kind in range(1, groups.shape[1]):
        group = groups[:, kind]
        size = np.bincount(group[group >= 0], minlength=len(limit))
        bound[:, kind] = np.where((group >= 0) & (size[group] > limit[group]), group, -1)
    return np.ascontiguousarray(bound)


def lanes_of(groups: Ints, count: int, opens_s: Ints) -> tuple[Ints, Ints, Ints, Ints]:
    """Return the lane of each host, where the lanes of each of ``count`` groups begin, these lanes, and their openings.

    ``opens_s`` is when each host may leave at the soonest; hosts of one lane may at the same moment.
    """
    different, lane = np.unique(np.column_stack([groups, opens_s]), axis=0, return_inverse=True)
    number, kind = np.nonzero(different[:, 1:-1] >= 0)
    group = different[number, kind + 1]
    order = np.argsort(group, kind="stable")
    start = np.searchsorted(group[order], np.arange(count + 1))
    lanes, opens = number[order].astype(np.int64), np.ascontiguousarray(different[:, -1])
    return lane.reshape(-1).astype(np.int64), start.astype(np.int64), lanes, opens
