"""An order rehearsed without its VMs: who leaves when if only hosts, their times out and the limits on them count.

That takes a hundredth of a pass, so thousands of small changes of an order can be tried before a pass is spent on one.
"""

import heapq
from typing import NamedTuple

import numpy as np

from slacktide.planner.compiled import compiled, inlined
from slacktide.planner.listing.arrays import FAR, Floats, Ints


class Cast(NamedTuple):
    """Who takes part; n hosts behind the canary, G groups."""

    out_s: Ints
    """How long each host is expected to be out, shape (n,)."""
    groups: Ints
    """Groups of each host, -1: none; the first is the fleet; shape (n, kinds)."""
    limit: Ints
    """Hosts of each group out at once, shape (G,)."""
    amount: Floats
    """vCPUs and memory that each takes while it is out, as shares of what there is, shape (n, 2)."""
    weight: Floats
    """What each counts in the exposure, shape (n,)."""
    gate_s: int
    makespan_s: float
    """What a makespan is measured by."""
    exposure_s: float
    """What an exposure is measured by."""
    exposure_counts: float
    """How much a share of the exposure counts beside the same share of the makespan."""


@inlined
def change(cast: Cast, out: Ints, used: Floats, host: int, sign: int) -> None:
    """Count a host out (``sign`` 1) or in again (-1)."""
    for kind in range(cast.groups.shape[1]):
        group = cast.groups[host, kind]
        if group >= 0:
            out[group] += sign
    used[0] += sign * cast.amount[host, 0]
    used[1] += sign * cast.amount[host, 1]


@inlined
def held_back(cast: Cast, out: Ints, used: Floats, host: int) -> bool:
    """Return whether a limit keeps a host in service."""
    for kind in range(cast.groups.shape[1]):
        group = cast.groups[host, kind]
        if group >= 0 and out[group] >= cast.limit[group]:
            return True
    return used[0] + cast.amount[host, 0] > 1.0 or used[1] + cast.amount[host, 1] > 1.0


@compiled
def rehearse(cast: Cast, order: Ints) -> Ints:
    """Return when each host leaves, in seconds after the gate, if hosts leave in ``order`` as soon as they may.

    -1: never.
    """
    count = order.shape[0]
    leaves_s = np.full(count, -1, np.int64)
    follower = np.arange(1, count + 2)
    follower[count - 1], follower[count] = -1, 0
    out, used = np.zeros(cast.limit.shape[0], np.int64), np.zeros(2)
    returns = [(np.int64(FAR), np.int64(-1))]
    now, waiting = np.int64(0), count
    while waiting > 0:
        before, at = count, follower[count]
        while at >= 0 and out[0] < cast.limit[0]:
            host = order[at]
            if held_back(cast, out, used, host):
                before = at
            else:
                change(cast, out, used, host, 1)
                leaves_s[host] = now
                heapq.heappush(returns, (now + cast.out_s[host], host))
                follower[before] = follower[at]
                waiting -= 1
            at = follower[at]
        now = returns[0][0]
        if now >= FAR:
            break
        while returns[0][0] <= now:
            change(cast, out, used, heapq.heappop(returns)[1], -1)
    return leaves_s


@compiled
def cost(cast: Cast, leaves_s: Ints) -> float:
    """Return how far makespan and exposure are from what they are measured by; hosts that never leave cost most."""
    last_s, exposure_s, never = np.int64(0), 0.0, 0
    for host in range(leaves_s.shape[0]):
        if leaves_s[host] < 0:
            never += 1
        else:
            return_s = cast.gate_s + leaves_s[host] + cast.out_s[host]
            last_s = max(last_s, return_s)
            exposure_s += cast.weight[host] * return_s
    return never + last_s / cast.makespan_s + cast.exposure_counts * exposure_s / cast.exposure_s


@compiled
def hasten(cast: Cast, leaves_s: Ints, start_s: Floats) -> None:
    """Move the hosts that come back last forward, or all hosts of one of their groups."""
    mean_s = cast.out_s.mean()
    last_s = (leaves_s + cast.out_s).max() * np.random.uniform(0.95, 0.999)
    kind = np.random.randint(0, cast.groups.shape[1])
    hurried = np.zeros(cast.limit.shape[0], np.bool_)
    for host in range(start_s.shape[0]):
        if leaves_s[host] + cast.out_s[host] > last_s:
            start_s[host] -= np.random.random() * 0.7 * mean_s
            if kind > 0 and cast.groups[host, kind] >= 0:
                hurried[cast.groups[host, kind]] = True
    step_s = np.random.random() * 0.5 * mean_s
    for host in range(start_s.shape[0]):
        if kind > 0 and cast.groups[host, kind] >= 0 and hurried[cast.groups[host, kind]]:
            start_s[host] -= step_s


@compiled
def stir(cast: Cast, start_s: Floats) -> None:
    """Move some hosts to and fro."""
    mean_s = cast.out_s.mean()
    for _ in range(np.random.randint(1, 2 + start_s.shape[0] // 10)):
        start_s[np.random.randint(0, start_s.shape[0])] += np.random.normal(0.0, 0.35 * mean_s)


@compiled
def polish(cast: Cast, start_s: Floats, rehearsals: int, seed: int, halt: Ints) -> Floats:
    """Return starts whose order costs less: changed a little, again and again, and kept where that is no worse.

    Hosts that come back last are moved forward, alone or with all hosts of one of their groups, or a few hosts to and
    fro; from where they were, or from where the last rehearsal had them.
    """
    np.random.seed(seed)
    best_s = start_s.copy()
    leaves_s = rehearse(cast, np.argsort(best_s))
    least = cost(cast, leaves_s)
    for _ in range(rehearsals):
        if halt[0] > 0:
            break
        tried_s = best_s.copy() if np.random.random() < 0.7 else leaves_s.astype(np.float64)
        if np.random.random() < 0.5:
            hasten(cast, leaves_s, tried_s)
        else:
            stir(cast, tried_s)
        then_s = rehearse(cast, np.argsort(tried_s))
        value = cost(cast, then_s)
        if value <= least:
            best_s, leaves_s, least = tried_s, then_s, value
    return best_s
