"""Due hosts that are alike, put together into classes for the fluid program."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from slacktide.planner.fluid import Classes
from slacktide.planner.needs import RESOURCES, Needs, canary_gate, free_room
from slacktide.planner.problem import Problem

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

MOST_CLUSTERS = 6
"""Clusters of a kind's failure domains at most, and so sets of caps: racks differ in little but their machines."""
SPAN_STEPS = 20
"""Steps of a mean time out in which failure domains are told apart."""
RATIO_STEPS = 50
"""Steps of a share that may be out in which failure domains are told apart."""
MOST_KINDS = 16
"""Kinds of hosts at most: machine type, then the clusters of each kind of domain, are told apart while they fit."""
MOST_WAITS = 3
"""Kinds of waits for the end of notice at most: those of guests told at once, minutes ahead and an hour ahead."""
WAIT_STEPS = 4
"""Steps of a mean time out in which waits are told apart: who waits a tenth of it less leaves not much sooner."""
LEAST_WAIT = 0.05
"""Share of the time that all takes which hosts must wait on average for their waits to be told apart.

They double the classes and so the program's time.  Where a tenth of the guests are told an hour ahead, in a fleet that
takes three hours, that lifts the bound on the exposure by 1.3 %; where a hundredth are, by 0.1 %.
"""
ALIKE = 0.05
"""Hosts of which one is out by so large a share longer than another are not alike in a profile."""


class Slack(NamedTuple):
    """How much of the limits a profile may use: what is left smooths over what no program knows."""

    domains: float = 1.0
    """Share of every domain's limit on hosts out."""
    room: float = 1.0
    """Share of the free capacity."""


ALL = Slack()


def classes_of(
    problem: Problem,
    needs: Needs,
    out_s: Floats,
    bins: int,
    *,
    weight: Floats,
    expected: bool = False,
    slack: Slack = ALL,
) -> tuple[Classes, Ints]:
    """Return the classes and the class of each due host, shape (due hosts,).

    ``out_s`` is how long each host is out and ``weight`` what it counts, shape (due hosts,); hosts of one kind are told
    apart by their times out in ``bins`` bins.  A class takes the least of what its hosts take, so that what is proven
    of it holds for them, or with ``expected`` the mean.
    """
    clusters = [_clusters(problem, needs, out_s, kind) for kind in range(1, problem.out.group.shape[1])]
    rank = np.unique(weight, return_inverse=True)[1].reshape(-1)
    canary, gate_s = canary_gate(problem, needs)
    wait = _waits(problem, needs, gate_s)
    if expected:
        length = np.floor(np.log(out_s) / np.log1p(ALIKE)).astype(np.int64)
        kind = label = _kinds(problem, needs, [rank, wait, length])
    else:
        kind = _kinds(problem, needs, [rank, *clusters])
        label = np.unique(_binned(kind, out_s, bins) * MOST_WAITS + wait, return_inverse=True)[1].reshape(-1)
    order = np.argsort(label, kind="stable")
    first = np.flatnonzero(np.append(True, np.diff(label[order]) > 0))
    hosts = np.bincount(label).astype(np.float64)

    def of_class(values: NDArray[np.int64] | Floats) -> Floats:
        reduced = np.add if expected else np.minimum
        taken = np.asarray(reduced.reduceat(values[order].astype(np.float64), first))
        return taken / hosts if expected else taken

    capacity = problem.hosts.capacity[needs.host]
    member, most_out = _caps(problem, needs, (kind, *clusters), label, slack)
    limits = {demand.name: demand.limit for demand in free_room(problem, needs)}
    classes = Classes(
        hosts=hosts,
        out_s=of_class(out_s),
        patch_s=of_class(needs.patch_s),
        earliest_s=of_class(needs.earliest_s),
        weight=of_class(weight),
        amounts=np.stack([of_class(capacity[:, resource]) for resource in range(2)], axis=1),
        member=member,
        most_out=most_out,
        room=np.array([limits[name] for name in RESOURCES]) * slack.room,
        canary=canary,
        gate_s=float(gate_s),
    )
    return classes, label


def _kinds(problem: Problem, needs: Needs, clusters: list[Ints]) -> Ints:
    """Return the number of each host's kind: as many details told apart as :data:`MOST_KINDS` allows."""
    label = np.zeros(len(needs.host), np.int64)
    for column in (problem.hosts.machine_type[needs.host], *clusters):
        kinds, finer = np.unique(np.stack([label, column]), axis=1, return_inverse=True)
        if kinds.shape[1] <= MOST_KINDS:
            label = finer.reshape(-1).astype(np.int64)
    return label


def _waits(problem: Problem, needs: Needs, gate_s: int) -> Ints:
    """Return a number for how long after the gate the notice of its VMs keeps each host in service, 0: hardly."""
    span_s = needs.drain_s + needs.patch_s
    wait_s = np.maximum(needs.earliest_s - span_s - gate_s, 0)
    if wait_s.mean() * problem.out.limit[0] < LEAST_WAIT * span_s.sum():
        return np.zeros(len(wait_s), np.int64)
    steps = np.floor(wait_s / span_s.mean() * WAIT_STEPS)
    return np.minimum(np.unique(steps, return_inverse=True)[1].reshape(-1), MOST_WAITS - 1).astype(np.int64)


def _binned(kind: Ints, out_s: Floats, bins: int) -> Ints:
    """Return a number for each kind and bin of times out, hosts that are out equally long in one bin."""
    order = np.lexsort((out_s, kind))
    place = np.arange(len(order)) - np.searchsorted(kind[order], kind[order])
    bin_of = np.empty(len(order), np.int64)
    bin_of[order] = place * bins // np.bincount(kind)[kind[order]]
    alike = np.unique(np.stack([kind.astype(np.float64), out_s]), axis=1, return_inverse=True)[1].reshape(-1)
    lowest = np.full(int(alike.max()) + 1, bins, np.int64)
    np.minimum.at(lowest, alike, bin_of)
    numbers: Ints = np.unique(kind * bins + lowest[alike], return_inverse=True)[1].reshape(-1).astype(np.int64)
    return numbers


def _clusters(problem: Problem, needs: Needs, out_s: Floats, kind: int) -> Ints:
    """Return for each due host the cluster of its domain of a kind, -1: it is in none.

    Domains are alike if their hosts are out equally long on average and equally large a share of them may be out.
    """
    group = problem.out.group[needs.host, kind]
    inside = group >= 0
    if not inside.any():
        return np.full(len(group), -1, np.int64)
    number, local = np.unique(group[inside], return_inverse=True)
    size = np.bincount(local)
    mean_s = np.bincount(local, weights=out_s[inside]) / size
    ratio = np.minimum(problem.out.limit[number] / size, 1.0)
    steps = np.stack([np.round(mean_s / out_s.mean() * SPAN_STEPS), np.round(ratio * RATIO_STEPS)])
    found, cluster = np.unique(steps, axis=1, return_inverse=True)
    cluster = cluster.reshape(-1)
    if found.shape[1] > MOST_CLUSTERS:
        order = np.argsort(cluster, kind="stable")
        before = np.cumsum(size[order]) - size[order]
        cluster = np.empty(len(order), np.int64)
        cluster[order] = before * MOST_CLUSTERS // int(size.sum())
    of_host = np.full(len(group), -1, np.int64)
    of_host[inside] = cluster[local]
    return of_host


def _caps(
    problem: Problem, needs: Needs, parts: tuple[Ints, ...], label: Ints, slack: Slack
) -> tuple[NDArray[np.bool_], Floats]:
    """Return the caps on hosts out: the fleet's, and for each part of the hosts what its domains let it have out.

    ``parts`` number the hosts, -1: in no part; a cap is over the classes that lie in the part as a whole.
    """
    classes = int(label.max()) + 1
    members, most_out = [np.ones(classes, np.bool_)], [float(problem.out.limit[0])]
    for part in parts:
        for number in np.unique(part[part >= 0]).tolist():
            inside = part == number
            member = (np.bincount(label[~inside], minlength=classes) == 0) & np.bincount(
                label[inside], minlength=classes
            ).astype(np.bool_)
            cap = _most_out(problem, needs.host[np.isin(label, np.flatnonzero(member))], slack)
            if member.any() and cap < most_out[0]:
                members.append(member)
                most_out.append(cap)
    return np.stack(members), np.array(most_out)


def _most_out(problem: Problem, hosts: Ints, slack: Slack) -> float:
    """Return how many of some hosts their domains let be out at once, infinite: no domain holds them back."""
    least = np.inf
    for kind in range(1, problem.out.group.shape[1]):
        group = problem.out.group[hosts, kind]
        number, size = np.unique(group[group >= 0], return_counts=True)
        held = float(np.minimum(problem.out.limit[number], size).sum())
        if held < size.sum():
            least = min(least, held * slack.domains + float((group < 0).sum()))
    return least
