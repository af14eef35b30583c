"""The order in which list scheduling tries the due hosts.

A host's priority is how long its groups (rack, power feed, machine type) still need from the moment it starts: the
spans of all hosts of the group behind it over the group's places, or its own span if that is longer.  Groups that need
longest go first and all end together; at the very end the longest hosts go first.
"""

import numpy as np
from numpy.typing import NDArray

from slacktide.planner.limits import resolved
from slacktide.planner.needs import Needs
from slacktide.planner.problem import Problem

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

LEAST_PLACES = 0.05
"""A group's share of the fleet's places at least: one host of thousands has nearly none."""
SHUFFLE = 0.2
"""By how much noise changes a priority: enough to reorder neighbours, not to run a rack behind the others."""


def first_order(problem: Problem, needs: Needs, noise: Floats | None = None, press: Floats | None = None) -> Ints:
    """Return the due hosts, the most pressing first, the canary before all.

    For further tries ``noise`` in [0, 1) shuffles hosts that press nearly alike, and ``press`` multiplies priorities;
    both have shape (due hosts,).
    """
    if len(needs.host) == 0:
        return needs.host
    span_s = (needs.drain_s + needs.patch_s).astype(np.float64)
    used = np.zeros(len(problem.hosts.ids))
    np.add.at(used, problem.vms.host, problem.vms.demand[:, 1].astype(np.float64))
    light_first = used[needs.host] / problem.hosts.capacity[needs.host, 1]
    if noise is not None:
        light_first = light_first * noise
    pressing = span_s.copy()
    for group, limit in _groups(problem, needs, span_s):
        pressing = np.maximum(pressing, _still_needed(group, limit, span_s, light_first))
    if noise is not None:
        pressing = pressing * (1 - SHUFFLE / 2 + SHUFFLE * noise[::-1])
    if press is not None:
        pressing = pressing * press
    order = np.lexsort((light_first, -pressing, -weight_of(problem)[needs.host]))
    return needs.host[_canary_first(problem, needs, order)]


def weight_of(problem: Problem) -> Ints:
    """Return what hosts count in the order, shape (N,): their weights where exposure comes first, else all alike."""
    if problem.policy.objective[0] != "exposure":
        return np.ones_like(problem.hosts.weight)
    return problem.hosts.weight


def _groups(problem: Problem, needs: Needs, span_s: Floats) -> list[tuple[Ints, Floats]]:
    """Return groupings of the due hosts, each with the places of each group: its limit, or its share of the fleet's.

    The share is what makes all groups end together: a group that used up to its limit first would leave places empty
    that only groups at their limit could take in the end.
    """
    fleet = float(min(problem.out.limit[0], len(needs.host)))
    unlimited = np.full(int(problem.hosts.machine_type.max()) + 1, fleet)
    groups = [(problem.hosts.machine_type[needs.host], unlimited)]
    for kind in range(1, problem.out.group.shape[1]):
        number = problem.out.group[needs.host, kind]
        inside = np.where(number >= 0, number, len(problem.out.limit))
        groups.append((inside, np.append(problem.out.limit.astype(np.float64), fleet)))
    fair = [np.bincount(group, weights=span_s, minlength=len(limit)) / span_s.sum() * fleet for group, limit in groups]
    return [(group, np.minimum(limit, share)) for (group, limit), share in zip(groups, fair, strict=True)]


def _still_needed(group: Ints, limit: Floats, span_s: Floats, light_first: Floats) -> Floats:
    """Return for each host how long its group needs from its start on, in seconds, if light hosts go first."""
    order = np.lexsort((light_first, group))
    total = np.cumsum(span_s[order][::-1])[::-1]
    last = np.append(group[order][1:] != group[order][:-1], True)
    behind = np.where(last, np.append(total[1:], 0.0), 0.0)
    ends = np.flatnonzero(last)
    behind_group = np.repeat(behind[ends], np.diff(np.append(-1, ends)))
    needed = np.empty(len(span_s))
    needed[order] = (total - behind_group) / np.maximum(limit[group[order]], LEAST_PLACES)
    return needed


def _canary_first(problem: Problem, needs: Needs, order: Ints) -> Ints:
    """Return the order with the canary hosts in front: those that are back soonest."""
    count = resolved(problem.policy.canary.hosts, int(problem.selected.sum()))
    if count == 0:
        return order
    soonest = order[np.argsort(needs.earliest_s[order], kind="stable")][:count]
    return np.concatenate([soonest, order[~np.isin(order, soonest)]])
