"""One chronological pass over the due hosts."""

import heapq
from typing import NamedTuple

import numpy as np

from slacktide.planner.compiled import compiled, inlined
from slacktide.planner.listing.arrays import (
    ATTEMPTS_PER_MOMENT,
    ATTEMPTS_PER_START,
    FAR,
    MOST_DOUBLINGS,
    Instance,
    Ints,
    Moves,
    State,
)
from slacktide.planner.listing.draining import (
    commit,
    drain,
    evicted_vms,
    give_back,
    may_leave,
    move_time,
    release_s,
    still_arriving,
)
from slacktide.planner.listing.lending import lent_instance, lent_moves, lent_state


class Terms(NamedTuple):
    """How a pass goes about it."""

    canary_hosts: int
    canary_bake_s: int
    strict: bool
    """Every wave waits for the one before."""
    bake_s: int
    wave_hosts: int
    reach: int
    """Targets looked at for one VM."""
    pace_s: int
    """Least time between two moments at which waiting hosts are tried."""
    scatter_until_s: int
    """Until when VMs with a long notice may go to hosts still to be drained, their next notice included."""


class Outcome(NamedTuple):
    """What a pass decides; rows of hosts in the order in which they leave."""

    hosts: Ints  # (N, 5) host, wave, drain start, drained, return
    rows: Ints  # (M, 6) VM, source, target, start, end, rate
    counts: Ints  # hosts, migrations, 1: `rows` was too short
    halt: Ints  # (1,) set to 1 by another thread: end at once, the outcome is not wanted


@compiled
def start_host(
    instance: Instance, state: State, moves: Moves, out: Outcome, host: int, vms: Ints, at_s: int, wave: int
) -> int:
    """Write a drained host down and return when it is back."""
    count = vms.shape[0]
    first_s, last_s = np.int64(FAR), np.int64(at_s)
    for at in range(count):
        first_s = min(first_s, moves.start_s[at])
        last_s = max(last_s, moves.end_s[at])
    commit(state, moves, host, count, at_s, out.rows, out.counts[1])
    row = out.counts[0]
    out.hosts[row, 0], out.hosts[row, 1] = host, wave
    out.hosts[row, 2], out.hosts[row, 3] = min(first_s, last_s), last_s
    out.hosts[row, 4] = last_s + instance.maintenance_s[host]
    out.counts[0] += 1
    out.counts[1] += count
    return out.hosts[row, 4]


@inlined
def closer_look(state: State, terms: Terms, host: int, thorough: bool) -> int:
    """Return how many targets to look at for each VM of a host."""
    return state.status.shape[0] if thorough else terms.reach << min(MOST_DOUBLINGS, state.failures[host])


@inlined
def try_later(state: State, host: int) -> None:
    """Note that a host found no room."""
    state.retry[host] = state.counters[2] + (1 << min(MOST_DOUBLINGS, state.failures[host]))
    state.failures[host] += 1


@compiled
def try_waiting(
    instance: Instance,
    state: State,
    moves: Moves,
    out: Outcome,
    terms: Terms,
    follower: Ints,
    at_s: int,
    wave: int,
    most: int,
    thorough: bool,
) -> tuple[int, int, int]:
    """Drain every waiting host that may be drained now; return how many, the last return and the next release."""
    started, failed, last_s, release = 0, 0, np.int64(0), np.int64(FAR)
    until_s = np.int64(FAR) if thorough else terms.scatter_until_s
    before = instance.capacity.shape[0]
    host = follower[before]
    while host >= 0 and started < most and (thorough or failed < ATTEMPTS_PER_MOMENT + started * ATTEMPTS_PER_START):
        if state.out_count[0] >= instance.out_limit[0] or out.counts[2] > 0 or out.halt[0] > 0:
            break
        taken = False
        rested = thorough or state.retry[host] <= state.counters[2]
        if rested and may_leave(instance, state, host) and not still_arriving(state, host, at_s):
            vms = evicted_vms(instance, state, host)
            earliest = release_s(instance, host, vms)
            if earliest > at_s:
                release = min(release, earliest)
            elif out.counts[1] + vms.shape[0] > out.rows.shape[0] or vms.shape[0] > moves.vm.shape[0]:
                out.counts[2] = 1
            elif drain(instance, state, moves, host, vms, at_s, closer_look(state, terms, host, thorough), until_s):
                last_s = max(last_s, start_host(instance, state, moves, out, host, vms, at_s, wave))
                taken = True
            else:
                failed += 1
                try_later(state, host)
        if taken:
            started += 1
            follower[before] = follower[host]
        else:
            before = host
        host = follower[host]
    return started, last_s, release


@compiled
def run_pass(instance: Instance, state: State, moves: Moves, terms: Terms, order: Ints, out: Outcome) -> None:
    """Drain the hosts of ``order``, as many as the limits ever allow, and write down what was decided."""
    sweep(lent_instance(instance), lent_state(state), lent_moves(moves), terms, order, out)


@compiled
def sweep(instance: Instance, state: State, moves: Moves, terms: Terms, order: Ints, out: Outcome) -> None:
    """Go from moment to moment until every host has left or none can."""
    hosts = instance.capacity.shape[0]
    follower = np.full(hosts + 1, -1, np.int64)
    before = hosts
    for host in order:
        follower[before] = host
        before = host
    returns = [(np.int64(FAR), np.int64(-1))]
    now, barrier, wave, done = np.int64(0), np.int64(0), 0, 0
    strict = terms.strict or terms.canary_hosts > 0
    most = terms.canary_hosts if terms.canary_hosts > 0 else terms.wave_hosts
    thorough, exhausted = False, False
    while follower[hosts] >= 0 and out.counts[2] == 0 and out.halt[0] == 0:
        move_time(instance, state, now)
        while returns[0][0] <= now:
            give_back(instance, state, heapq.heappop(returns)[1])
        release = np.int64(FAR)
        if now >= barrier:
            limit = most if strict else hosts
            started, last_s, release = try_waiting(
                instance, state, moves, out, terms, follower, now, wave, limit, thorough
            )
            for row in range(done, out.counts[0]):
                heapq.heappush(returns, (out.hosts[row, 4], out.hosts[row, 0]))
            done = out.counts[0]
            if strict and started > 0:
                barrier = last_s + (terms.canary_bake_s if wave == 0 and terms.canary_hosts > 0 else terms.bake_s)
                wave += 1
                strict, most = terms.strict, terms.wave_hosts
            exhausted = thorough and started == 0
            thorough = False
        after = min(returns[0][0], release)
        if barrier > now:
            after = min(after, barrier)
        if after < FAR:
            now = max(after, now + terms.pace_s)
        elif exhausted:
            break
        else:
            thorough = True
