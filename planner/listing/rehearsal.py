"""An order rehearsed without its VMs: who leaves when if only hosts, their times out and the limits on them count.

That takes a hundredth of a pass, so thousands of small changes of an order can be tried before a pass is spent on one.
"""

import heapq
from typing import NamedTuple

import numpy as np

from slacktide.planner.compiled import compiled, inlined, internal
from slacktide.planner.listing.arrays import FAR, Floats, Ints

AIM = 1.02
"""Makespan that rehearsals aim at, over what it is measured by: hardly an order comes closer."""
OVERRUN = 2.0
"""What the time that hosts return after the aim counts, per place in the fleet, beside the same time of the makespan.

Without it only the very last host counts, and most changes for the better are not seen.  Of 1,000 hosts with scarce
uplinks the mean makespan after 1,500 rehearsals was 6.8 % over the bound without it and 6.2 % with it; 5.5 % where
pairs of hosts change places, too.
"""
MOST_EXCHANGES = 5
"""Pairs of hosts that change places at once: few, so that most of an order that is good already stays."""

MOST_INSERTED = 3
"""Hosts that are put elsewhere at once."""


class Cast(NamedTuple):
    """Who takes part; n hosts, G groups.  Times count from ``from_s``, when the first of them may leave."""

    out_s: Ints
    """How long each host is expected to be out, shape (n,)."""
    groups: Ints
    """Groups of each host, -1: none; the first is the fleet; shape (n, kinds)."""
    lane: Ints
    """Number of the host's groups and its opening taken together: hosts of one lane are held back alike; shape (n,)."""
    lane_start: Ints
    """Into ``lanes``, shape (G + 1,)."""
    lanes: Ints
    """The lanes that have hosts of each group but the fleet."""
    opens_s: Ints
    """When the hosts of each lane may leave at the soonest, shape (lanes,)."""
    limit: Ints
    """Hosts of each group out at once, shape (G,)."""
    amount: Floats
    """vCPUs and memory that each takes while it is out, as shares of what there is, shape (n, 2)."""
    weight: Floats
    """What each counts in the exposure, shape (n,)."""
    from_s: int
    begun: int
    """Hosts, the first ones, that are out already: they are out for what is left of their time, whatever the order."""
    makespan_s: float
    """What a makespan is measured by."""
    exposure_s: float
    """What an exposure is measured by."""
    exposure_counts: float
    """How much a share of the exposure counts beside the same share of the makespan."""
    in_turn: bool
    """A host that is too large for what is free is waited for; otherwise smaller ones overtake it."""


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
def held_back(cast: Cast, out: Ints, host: int) -> bool:
    """Return whether a limit of its groups keeps a host in service."""
    for kind in range(1, cast.groups.shape[1]):
        group = cast.groups[host, kind]
        if group >= 0 and out[group] >= cast.limit[group]:
            return True
    return False


@inlined
def too_large(used: Floats, amount: tuple[float, float]) -> bool:
    """Return whether there is less left than an amount."""
    return used[0] + amount[0] > 1.0 or used[1] + amount[1] > 1.0


@internal
def lined_up(cast: Cast, order: Ints) -> tuple[Ints, Ints]:
    """Return the places of the order by lane, and where each lane begins among them, shape (lanes + 1,)."""
    start = np.zeros(cast.lane.max() + 2, np.int64)
    for host in order:
        start[cast.lane[host] + 1] += 1
    start = np.cumsum(start)
    free, places = start.copy(), np.empty(order.shape[0], np.int64)
    for place in range(order.shape[0]):
        lane = cast.lane[order[place]]
        places[free[lane]] = place
        free[lane] += 1
    return places, start


@internal
def freed(cast: Cast, out: Ints, host: int) -> list[int]:
    """Return the lanes that a host's return no longer holds back, as far as one of its groups goes."""
    found = [np.int64(0) for _ in range(0)]
    for kind in range(1, cast.groups.shape[1]):
        group = cast.groups[host, kind]
        if group >= 0 and out[group] >= cast.limit[group]:
            for number in range(cast.lane_start[group], cast.lane_start[group + 1]):
                found.append(cast.lanes[number])
    return found


@internal
def given_back(cast: Cast, out: Ints, used: Floats, returns: list[tuple[int, int]], now: int) -> list[int]:
    """Count the hosts in again that are back by ``now``, and return the lanes that they no longer hold back."""
    found = [np.int64(0) for _ in range(0)]
    while now < FAR and returns[0][0] <= now:
        host = heapq.heappop(returns)[1]
        found.extend(freed(cast, out, host))
        change(cast, out, used, host, -1)
    return found


@internal
def opened(openings: list[tuple[int, int]], now: int) -> list[int]:
    """Take the lanes that are open by ``now`` from the heap of openings, and return them."""
    found = [np.int64(0) for _ in range(0)]
    while now < FAR and openings[0][0] <= now:
        found.append(heapq.heappop(openings)[1])
    return found


@compiled
def rehearse(cast: Cast, order: Ints) -> Ints:
    """Return when each host leaves if hosts leave in ``order`` as soon as they may.

    -1: never.  Of each lane only the first host waits in view; a lane that is held back is out of view until one of its
    groups has a place again, and every lane until it opens.
    """
    leaves_s = np.full(order.shape[0], -1, np.int64)
    places, start = lined_up(cast, order)
    at = start[:-1].copy()
    out, used = np.zeros(cast.limit.shape[0], np.int64), np.zeros(2)
    in_view = np.zeros(at.shape[0], np.bool_)
    view = [(np.int64(0), np.int64(0)) for _ in range(0)]
    openings = [(cast.opens_s[lane], np.int64(lane)) for lane in range(at.shape[0])]
    openings.append((np.int64(FAR), np.int64(-1)))
    heapq.heapify(openings)
    returns = [(np.int64(FAR), np.int64(-1))]
    now = np.int64(0)
    short = [(np.int64(0), np.int64(0))]
    least = cast.amount[:, 0].min(), cast.amount[:, 1].min()
    while now < FAR:
        for lane in opened(openings, now):
            in_view[lane] = True
            heapq.heappush(view, (places[at[lane]], lane))
        short.clear()
        waited_for = False
        while len(view) > 0 and out[0] < cast.limit[0] and not waited_for and not too_large(used, least):
            place, lane = heapq.heappop(view)
            host = order[place]
            if held_back(cast, out, host):
                in_view[lane] = False
            elif too_large(used, (cast.amount[host, 0], cast.amount[host, 1])):
                short.append((place, lane))
                waited_for = cast.in_turn and len(returns) > 1
            else:
                change(cast, out, used, host, 1)
                leaves_s[host] = now
                heapq.heappush(returns, (now + cast.out_s[host], host))
                at[lane] += 1
                if at[lane] < start[lane + 1]:
                    heapq.heappush(view, (places[at[lane]], lane))
        for waiting in short:
            heapq.heappush(view, waiting)
        now = min(returns[0][0], openings[0][0])
        for lane in given_back(cast, out, used, returns, now):
            if not in_view[lane] and at[lane] < start[lane + 1] and cast.opens_s[lane] < now:
                in_view[lane] = True
                heapq.heappush(view, (places[at[lane]], lane))
    return leaves_s


@compiled
def cost(cast: Cast, leaves_s: Ints) -> float:
    """Return how far makespan and exposure are from what they are measured by; hosts that never leave cost most."""
    last_s, exposure_s, overrun_s, never = np.int64(0), 0.0, 0.0, 0
    for host in range(leaves_s.shape[0]):
        if leaves_s[host] < 0:
            never += 1
        else:
            return_s = cast.from_s + leaves_s[host] + cast.out_s[host]
            last_s = max(last_s, return_s)
            exposure_s += cast.weight[host] * return_s
            overrun_s += max(0.0, return_s - AIM * cast.makespan_s)
    overrun_s *= OVERRUN / max(1, min(cast.limit[0], leaves_s.shape[0]))
    return never + (last_s + overrun_s) / cast.makespan_s + cast.exposure_counts * exposure_s / cast.exposure_s


@internal
def hasten(cast: Cast, leaves_s: Ints, start_s: Floats) -> None:
    """Move the hosts that come back last forward, or all hosts of one of their groups."""
    mean_s = cast.out_s.mean()
    last_s = (leaves_s + cast.out_s).max() * np.random.uniform(0.95, 0.999)
    kind = np.random.randint(0, cast.groups.shape[1])
    hurried = np.zeros(cast.limit.shape[0], np.bool_)
    for host in range(cast.begun, start_s.shape[0]):
        if leaves_s[host] + cast.out_s[host] > last_s:
            start_s[host] -= np.random.random() * 0.7 * mean_s
            if kind > 0 and cast.groups[host, kind] >= 0:
                hurried[cast.groups[host, kind]] = True
    step_s = np.random.random() * 0.5 * mean_s
    for host in range(cast.begun, start_s.shape[0]):
        if kind > 0 and cast.groups[host, kind] >= 0 and hurried[cast.groups[host, kind]]:
            start_s[host] -= step_s


@internal
def stir(cast: Cast, start_s: Floats) -> None:
    """Move some hosts to and fro."""
    mean_s = cast.out_s.mean()
    for _ in range(int(np.exp(np.random.random() * np.log(2 + start_s.shape[0] // 10)))):
        start_s[np.random.randint(cast.begun, start_s.shape[0])] += np.random.normal(0.0, 0.35 * mean_s)


@internal
def exchange(cast: Cast, start_s: Floats) -> None:
    """Let a pair of hosts change places, or a few pairs, of those that leave after some moment."""
    first_s, last_s = start_s[cast.begun :].min(), start_s[cast.begun :].max()
    late = cast.begun + np.flatnonzero(start_s[cast.begun :] >= first_s + np.random.random() * (last_s - first_s))
    for _ in range(int(np.exp(np.random.random() * np.log(MOST_EXCHANGES + 1)))):
        one, other = late[np.random.randint(0, late.shape[0])], late[np.random.randint(0, late.shape[0])]
        start_s[one], start_s[other] = start_s[other], start_s[one]


@internal
def insert(cast: Cast, start_s: Floats) -> None:
    """Put a host right before or behind another one, or a few hosts."""
    for _ in range(np.random.randint(1, MOST_INSERTED + 1)):
        one, other = np.random.randint(cast.begun, start_s.shape[0]), np.random.randint(cast.begun, start_s.shape[0])
        start_s[one] = start_s[other] + (0.5 if np.random.random() < 0.5 else -0.5)


@compiled
def polish(cast: Cast, start_s: Floats, rehearsals: int, seed: int, halt: Ints) -> Floats:
    """Return starts whose order costs less: changed a little, again and again, and kept where that is no worse.

    A few hosts change places, or those that come back last are moved forward, alone or with all hosts of one of their
    groups, or some hosts to and fro; from where they were, or from where the last rehearsal had them.
    """
    np.random.seed(seed)
    best_s = start_s.copy()
    best_s[: cast.begun] = -FAR
    leaves_s = rehearse(cast, np.argsort(best_s, kind="mergesort"))
    least = cost(cast, leaves_s)
    for _ in range(rehearsals):
        if halt[0] > 0:
            break
        tried_s = best_s.copy() if np.random.random() < 0.85 else leaves_s.astype(np.float64)
        tried_s[: cast.begun] = -FAR
        kind = np.random.random()
        if kind < 0.45:
            exchange(cast, tried_s)
        elif kind < 0.8:
            insert(cast, tried_s)
        elif kind < 0.9:
            hasten(cast, leaves_s, tried_s)
        else:
            stir(cast, tried_s)
        then_s = rehearse(cast, np.argsort(tried_s, kind="mergesort"))
        value = cost(cast, then_s)
        if value <= least:
            best_s, leaves_s, least = tried_s, then_s, value
    return best_s
