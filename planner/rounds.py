"""Rounds: as many hosts as the limits let out at once.  Who is in the first, and who in the last."""

import numpy as np
from numpy.typing import NDArray

from slacktide.planner.needs import beside_reserve, canary_places, host_needs
from slacktide.planner.problem import Problem

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

FEW_LEFT = 0.25
"""Share of a round up to which the hosts of a last round are few."""
MOST_SPARED = 0.01
"""Share of the due hosts that are spared VMs at most: what is free on them is wanted."""
FIRST_ROUND = 1.5
"""Hosts of the first round of an order, in rounds."""
MOST_FIRST = 1 / 3
"""The same as a share of all at most: the others must take what is on them."""


def in_file(out_s: Floats, at_once: int) -> Ints:
    """Return the places of the hosts that go one after the other, those that are out shortest first; none: nobody.

    If a few hosts are left for a last round, as many places have one host more than the others, and these are the hosts
    that are out shortest.
    """
    rounds, left = divmod(len(out_s), at_once)
    if rounds == 0 or not 0 < left <= at_once * FEW_LEFT:
        return np.empty(0, np.int64)
    return np.argsort(out_s, kind="stable")[: left * (rounds + 1)]


def evened(start_s: Floats, out_s: Floats, at_once: int) -> Floats:
    """Return the starts, those of each round dealt out anew: who is out longest is first.

    A round is the ``at_once`` hosts that leave after those before them have come back.  Who came back first then waits
    for the longest, so that all end more nearly together; the exposure hardly changes, for each stays in its round.
    Those that go :func:`in_file` are ahead of their rounds.
    """
    file, left = in_file(out_s, at_once), len(out_s) % at_once
    order = np.argsort(start_s, kind="stable")
    order = order[~np.isin(order, file)]
    ahead = left if len(file) else 0
    dealt: list[Ints] = []
    for number, begin in enumerate(range(0, len(order), at_once - ahead)):
        round_ = order[begin : begin + at_once - ahead]
        dealt += [file[number * ahead : (number + 1) * ahead], round_[np.argsort(-out_s[round_], kind="stable")]]
    dealt.append(file[len(dealt) // 2 * ahead :])
    dealt_s = np.empty(len(start_s))
    dealt_s[np.concatenate(dealt)] = np.sort(start_s)
    return dealt_s


def spared(problem: Problem) -> Ints:
    """Return 1 for each host that takes no VMs before it has been patched, else 0, shape (N,).

    It is to stay out no longer than it would be now: one of those that go :func:`in_file` behind the canary, if they
    are a handful.  Of 4,031 hosts on 806 places six go one after the other, while all others are five; with six that
    were empty, and had been filled by the first round, the last returned 8 % later than the bound.
    """
    takes_none, at_once = np.zeros(len(problem.hosts.ids), np.int64), int(problem.out.limit[0])
    due = int(problem.hosts.due.sum())
    if not 0 < at_once < due:
        return takes_none
    needs = host_needs(problem)
    behind = np.setdiff1d(np.arange(due), canary_places(problem, needs))
    file = in_file((needs.drain_s + needs.patch_s)[behind].astype(np.float64), at_once)
    if len(file) <= due * MOST_SPARED:
        takes_none[needs.host[behind[file]]] = 1
    return takes_none


def leaving_first(problem: Problem, order: Ints) -> Ints:
    """Return 1 for each host of the first round of an order, else 0, shape (N,).

    A VM that comes to such a host holds it up while it is on its way, moves again at once, and makes its drain longer.
    """
    first = np.zeros(len(problem.hosts.ids), np.int64)
    room = np.maximum(beside_reserve(problem), 1.0)
    taken = np.cumsum(problem.hosts.capacity[order] / room, axis=0).max(axis=1, initial=0.0)
    taken = np.maximum(taken, np.arange(1, len(order) + 1) / max(1, int(problem.out.limit[0])))
    count = min(int((taken <= FIRST_ROUND).sum()), int(MOST_FIRST * len(order)))
    first[order[:count]] = 1
    return first
