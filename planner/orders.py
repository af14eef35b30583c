"""The order in which list scheduling tries the due hosts.

A host's place in the order is when a profile has it leave service.  The profile is the fluid program's: so many hosts
of each class leave in each slot of time that fleet, failure domains and free capacity are used to the end and all ends
together (:mod:`slacktide.planner.fluid`).  Within a class, racks take turns.  What the program does not see is that a
rack needs whole rounds: a host with three rounds of its rack behind it leaves three rounds before the end, or sooner;
and that VMs move twice if nobody has returned yet to take them: where moves count most, hosts with few VMs go first.
"""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from slacktide.planner.alike import Slack, classes_of
from slacktide.planner.bounds import Bounds
from slacktide.planner.fluid import profile_slot_s, solve_flow
from slacktide.planner.listing.decisions import Schedule
from slacktide.planner.listing.gating import Terms
from slacktide.planner.listing.schedule import reserve_of_all
from slacktide.planner.needs import RESOURCES, Needs, canary_gate, canary_places, canary_size
from slacktide.planner.problem import Problem
from slacktide.planner.weights import weight_of

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

CROWDED = 1.2
"""How much longer than alone a drain is expected to take before a pass has shown it."""


class Queue(NamedTuple):
    """How the due hosts wait."""

    order: Ints
    in_turn: bool = False
    """A host too large for what is free is waited for; otherwise smaller ones behind it overtake it."""
    kept: Schedule | None = None
    """Hosts that leave as they did there, move by move; None: all are decided anew."""

    def under(self, terms: Terms) -> Terms:
        """Return the terms of a pass over this queue."""
        return terms._replace(in_turn=self.in_turn, promised_first=self.kept is not None)


class Profile(NamedTuple):
    """What a profile aims at."""

    stretch: float = 1.03
    """When all is to have ended, over the bound on the makespan."""
    domains: float = 0.97
    """Share of the domains' limits that it uses."""
    room: float = 0.94
    """Share of the free capacity that it uses."""
    rounds: float = 0.98
    """Share of the time until the end within which the rounds of each domain are to fit."""


FIRST_PROFILE = Profile()
"""The profile of the first pass.  Some of all is left: places that scattered VMs take, rounds that do not fit."""
FIRST_IN_TURN = Profile(stretch=1.05, room=0.99)
"""The same where hosts leave in turn, so that a pass does what the profile says."""


def expected_out_s(needs: Needs) -> Floats:
    """Return how long each due host is expected to be out, before a pass has shown it; shape (due hosts,)."""
    return np.asarray(needs.drain_s * CROWDED + needs.patch_s)


def planned_starts(problem: Problem, needs: Needs, out_s: Floats, end_s: float, profile: Profile) -> Floats:
    """Return when each due host is to leave service, in seconds after the canary's gate, shape (due hosts,).

    ``out_s`` is how long each is expected to be out; all is to end at ``end_s`` times the profile's stretch.
    """
    if len(needs.host) == 0 or not np.isfinite(end_s):
        return np.zeros(len(needs.host))
    _, gate_s = canary_gate(problem, needs)
    ahead = canary_places(problem, needs)
    horizon_s = max(end_s * profile.stretch - gate_s, float(out_s.max()))
    slack, weight = Slack(profile.domains, profile.room), weight_of(problem)[needs.host]
    classes, label = classes_of(problem, needs, out_s, 1, weight=weight, expected=True, slack=slack)
    behind = classes.hosts - np.bincount(label[ahead], minlength=len(classes.hosts))
    classes = replace(classes, hosts=behind, canary=0)
    flow = solve_flow(classes, horizon_s, profile_slot_s(classes, horizon_s), expected=True)
    if flow is None:
        return np.zeros(len(label))
    turn = _turns(problem, needs, label)
    label[ahead], start_s = -1, np.full(len(label), -1.0)
    for number, returned in enumerate(flow.returned):
        of_class = np.flatnonzero(label == number)
        in_turn = of_class[np.argsort(turn[of_class], kind="stable")]
        slot = np.searchsorted(np.maximum.accumulate(returned), np.arange(len(in_turn)) + 0.5)
        start_s[in_turn] = (slot + 1) * flow.slot_s - classes.out_s[number]
    return light_first(problem, needs, _in_rounds(problem, needs, out_s, start_s, horizon_s * profile.rounds))


def light_first(problem: Problem, needs: Needs, start_s: Floats) -> Floats:
    """Return the starts, where moves count most those of the first hosts out so that few VMs are on these.

    Nobody has returned yet when they leave: their VMs go to hosts still to be drained, and move twice.
    """
    if problem.policy.objective[0] != "moves" or len(needs.host) == 0:
        return start_s
    vms = np.bincount(problem.vms.host, minlength=len(problem.hosts.ids))[needs.host]
    order = np.lexsort((start_s, vms))
    for kind in range(1, problem.out.group.shape[1]):
        group = problem.out.group[needs.host[order], kind]
        by_group = np.argsort(group, kind="stable")
        place = np.empty(len(order), np.int64)
        place[by_group] = np.arange(len(order)) - np.searchsorted(group[by_group], group[by_group])
        order = order[(group < 0) | (place < problem.out.limit[group])]
    first = order[: problem.out.limit[0]]
    light_s = start_s.copy()
    light_s[first] = start_s.min() - 1.0 - np.arange(len(first))[::-1]
    return light_s


def order_of(problem: Problem, needs: Needs, start_s: Floats) -> Ints:
    """Return the due hosts by when they are to leave, the canary before all."""
    order = np.argsort(start_s, kind="stable")
    return needs.host[canary_first(problem, needs, order)]


def waiting_pays(problem: Problem, bounds: Bounds) -> bool:
    """Return whether it may be of use to wait for hosts too large for what is free.

    It is where free capacity binds, and if each due host fits into what is ever free beside the reserves of all hosts:
    one that does not would be waited for until nobody else is out.
    """
    if bounds.binding_resource not in RESOURCES:
        return False
    hosts, vms, reserves = problem.hosts, problem.vms, problem.reserves
    sold = hosts.capacity[hosts.in_service].sum(axis=0)
    free = sold - vms.demand[hosts.in_service[vms.host]].sum(axis=0)
    required = reserves.required[reserve_of_all(problem) > 0].max(axis=0, initial=0)
    return bool((hosts.capacity[hosts.due].max(axis=0, initial=0) <= free - required).all())


def _turns(problem: Problem, needs: Needs, label: Ints) -> Floats:
    """Return for each due host what share of its class in its rack goes before it, hosts with light load first."""
    used = np.bincount(problem.vms.host, weights=problem.vms.demand[:, 1], minlength=len(problem.hosts.ids))
    load = used[needs.host] / problem.hosts.capacity[needs.host, 1]
    group = np.unique(np.stack([problem.hosts.rack[needs.host], label]), axis=1, return_inverse=True)[1].reshape(-1)
    order = np.lexsort((load, group))
    place = np.arange(len(order)) - np.searchsorted(group[order], group[order])
    turn = np.empty(len(order))
    turn[order] = (place + 0.5) / np.bincount(group)[group[order]]
    return turn


def _in_rounds(problem: Problem, needs: Needs, out_s: Floats, start_s: Floats, horizon_s: float) -> Floats:
    """Return the starts, none so late that the rounds of its domain behind it do not fit before the horizon."""
    for kind in range(1, problem.out.group.shape[1]):
        group = problem.out.group[needs.host, kind]
        order = np.lexsort((-start_s, group))
        order = order[group[order] >= 0]
        behind = np.arange(len(order)) - np.searchsorted(group[order], group[order])
        rounds = behind // np.maximum(problem.out.limit[group[order]], 1) + 1
        latest_s = horizon_s - rounds * out_s[order]
        start_s = start_s.copy()
        start_s[order] = np.minimum(start_s[order], latest_s)
    return start_s


def canary_first(problem: Problem, needs: Needs, order: Ints) -> Ints:
    """Return the order with the canary hosts in front: those that are back soonest."""
    count = canary_size(problem.policy, int(problem.selected.sum()))
    if count == 0:
        return order
    soonest = order[np.argsort(needs.earliest_s[order], kind="stable")][:count]
    return np.concatenate([soonest, order[~np.isin(order, soonest)]])
