"""Another order for list scheduling: by how long the groups of a host still need.

It knows nothing of the time at which all ends, and asks for no program; where waves wait for one another it is the
better one.  A host's priority is how long its groups (rack, power feed, machine type) still need from the moment it
starts: the spans of all hosts of the group behind it over the group's places, or its own span if that is longer.
Groups that need longest go first and all end together; at the very end the longest hosts go first.
"""

import numpy as np
from numpy.typing import NDArray

from slacktide.planner.needs import Needs
from slacktide.planner.orders import canary_first
from slacktide.planner.problem import Problem
from slacktide.planner.weights import weight_of

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

LEAST_PLACES = 0.05
"""A group's share of the fleet's places at least: one host of thousands has nearly none."""


def pressing_order(problem: Problem, needs: Needs) -> Ints:
    """Return the due hosts, the most pressing first, the canary before all."""
    if len(needs.host) == 0:
        return needs.host
    span_s = (needs.drain_s + needs.patch_s).astype(np.float64)
    used = np.bincount(problem.vms.host, weights=problem.vms.demand[:, 1], minlength=len(problem.hosts.ids))
    light_first = used[needs.host] / problem.hosts.sold[needs.host, 1]
    pressing = span_s.copy()
    for group, limit in _groups(problem, needs, span_s):
        pressing = np.maximum(pressing, _still_needed(group, limit, span_s, light_first))
    order = np.lexsort((light_first, -pressing, -weight_of(problem)[needs.host]))
    return needs.host[canary_first(problem, needs, order)]


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
