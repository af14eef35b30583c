"""The hosts that wait for their turn, in their order: each leaves as soon as all limits let it."""

from typing import NamedTuple

import numpy as np

from slacktide.planner.compiled import inlined, internal
from slacktide.planner.listing.arrays import (
    ATTEMPTS_PER_MOMENT,
    ATTEMPTS_PER_START,
    DUE,
    FAR,
    MOST_DOUBLINGS,
    Begun,
    Instance,
    Ints,
    Moves,
    Promises,
    State,
)
from slacktide.planner.listing.draining import (
    drain,
    evicted_vms,
    finds_room,
    fits_now,
    may_leave,
    release_s,
    still_arriving,
)
from slacktide.planner.listing.gating import (
    BARRIER_S,
    DRAINING,
    MEMBERS,
    WAVE,
    Terms,
    is_incomplete,
    is_open,
    is_strict,
    join_wave,
    most_hosts,
    open_wave,
)
from slacktide.planner.listing.outcome import Outcome, start_host, too_short
from slacktide.planner.listing.promises import add_load, leaves_room, next_promise_s, promises_left


class Waiting(NamedTuple):
    """The hosts that wait, in their order."""

    follower: Ints  # (N + 1,) the next that waits after each, the last place: the first of all, -1: none
    order: Ints
    place: Ints  # (N,) in the order, -1: not in it
    stuck: Ints  # (B,) 1: a draining host that finds no place for its last VMs
    latest: Ints  # the host that came last, -1: none


@internal
def line_up(hosts: int, order: Ints, promises: Promises, begun: Begun) -> Waiting:
    """Return the waiting hosts: all of ``order`` but those with a promise."""
    follower, place = np.full(hosts + 1, -1, np.int64), np.full(hosts, -1, np.int64)
    before = hosts
    for at in range(order.shape[0]):
        place[order[at]] = at
        if promises.of_host[order[at]] < 0:
            follower[before] = order[at]
            before = order[at]
    return Waiting(follower, order, place, np.zeros(begun.host.shape[0], np.int64), np.full(1, -1, np.int64))


@inlined
def closer_look(state: State, terms: Terms, host: int, thorough: bool) -> int:
    """Return how many targets to look at for each VM of a host."""
    return state.status.shape[0] if thorough else terms.reach << min(MOST_DOUBLINGS, state.failures[host])


@inlined
def try_later(state: State, terms: Terms, host: int) -> None:
    """Note that a host found no room."""
    state.retry[host] = state.counters[2] + min(terms.longest_pause, 1 << min(MOST_DOUBLINGS, state.failures[host]))
    state.failures[host] += 1


@internal
def try_waiting(
    instance: Instance,
    state: State,
    moves: Moves,
    promises: Promises,
    out: Outcome,
    terms: Terms,
    follower: Ints,
    at_s: int,
    wave: int,
    most: int,
    before_s: int,
    thorough: bool,
) -> tuple[int, int, int]:
    """Drain every waiting host that may be drained now; return how many, the last return and the next release.

    A host too large for what is free beside the reserve has not looked for targets and tries again at every moment.  In
    turn it is waited for, and so is one that finds no room because it counts on returns.
    VMs of one that counts on returns to come go to no host still to be drained: they would move twice to be early.
    While promises are still to come, only hosts start that are back by ``before_s`` and leave these their room.
    """
    started, failed, last_s, release = 0, 0, np.int64(0), np.int64(FAR)
    until_s = np.int64(FAR) if thorough else terms.scatter_until_s
    promised = promises_left(promises)
    before = instance.capacity.shape[0]
    host, waited_for = follower[before], False
    while host >= 0 and not waited_for and started < most:
        if not thorough and failed >= ATTEMPTS_PER_MOMENT + started * ATTEMPTS_PER_START:
            break
        if state.out_count[0] >= instance.out_limit[0] or out.counts[2] > 0 or out.halt[0] > 0:
            break
        taken = False
        rested = thorough or state.retry[host] <= state.counters[2]
        ready = rested and may_leave(instance, state, host, at_s) and not still_arriving(state, host, at_s)
        too_large = ready and not finds_room(instance, state, host, at_s)
        waited_for = too_large and terms.in_turn and not thorough
        twice_s = until_s if thorough or fits_now(instance, state, host) else np.int64(-1)
        if ready and not too_large:
            vms = evicted_vms(instance, state, host)
            earliest = release_s(instance, host, vms)
            if earliest > at_s:
                release = min(release, earliest)
            elif too_short(moves, out, vms.shape[0]):
                out.counts[2] = 1
            elif promised and not leaves_room(instance, promises, host, vms, at_s, before_s):
                pass
            elif drain(instance, state, moves, host, vms, at_s, closer_look(state, terms, host, thorough), twice_s):
                return_s = start_host(instance, state, moves, out, host, 0, vms.shape[0], at_s, wave)
                last_s = max(last_s, return_s)
                add_load(instance, promises, host, at_s, return_s, 1)
                taken = True
            else:
                failed += 1
                waited_for = terms.in_turn and twice_s < 0 and not thorough
                try_later(state, terms, host)
        if taken:
            started += 1
            follower[before] = follower[host]
        else:
            before = host
        host = follower[host]
    return started, last_s, release


@internal
def wait_for_room(state: State, begun: Begun, waiting: Waiting, host: int) -> None:
    """Let a host whose promise cannot be kept wait with the others, at its place in the order."""
    if begun.of_host[host] >= 0:
        waiting.stuck[begun.of_host[host]] = 1
        return
    place = waiting.place[host]
    if place < 0:
        return
    before, latest = state.status.shape[0], waiting.latest[0]
    if latest >= 0 and state.status[latest] == DUE and waiting.place[latest] < place:
        before = latest
    behind = waiting.follower[before]
    while behind >= 0 and waiting.place[behind] < place:
        before, behind = behind, waiting.follower[behind]
    waiting.follower[host] = behind
    waiting.follower[before] = host
    waiting.latest[0] = host


@internal
def start_waiting(
    instance: Instance,
    state: State,
    moves: Moves,
    promises: Promises,
    out: Outcome,
    terms: Terms,
    waiting: Waiting,
    gate: Ints,
    at_s: int,
    thorough: bool,
) -> tuple[int, int]:
    """Start the waiting hosts that can leave now, in a wave of their own or the present one.

    Returns how many, and the next release.
    """
    hosts = instance.capacity.shape[0]
    following = next_promise_s(promises) < FAR
    wave, started, release = gate[WAVE], 0, np.int64(FAR)
    incomplete = is_incomplete(terms, gate)
    if is_open(gate, at_s) and not incomplete:
        strict = is_strict(terms, wave)
        most = most_hosts(terms, wave) if strict else hosts
        before_s = np.int64(FAR)
        if strict and following:
            bake_s = terms.canary_bake_s if wave == 0 and terms.canary_hosts > 0 else terms.bake_s
            before_s = next_promise_s(promises) - bake_s
        started, last_s, release = try_waiting(
            instance, state, moves, promises, out, terms, waiting.follower, at_s, wave, most, before_s, thorough
        )
        if started > 0:
            open_wave(terms, gate, -1, started, last_s)
    elif (following or incomplete) and wave > 0 and is_strict(terms, wave - 1) and gate[DRAINING] == 0:
        bake_s = terms.canary_bake_s if wave == 1 and terms.canary_hosts > 0 else terms.bake_s
        before_s = np.int64(FAR) if incomplete else gate[BARRIER_S] - bake_s
        most = most_hosts(terms, wave - 1) - gate[MEMBERS]
        started, last_s, release = try_waiting(
            instance, state, moves, promises, out, terms, waiting.follower, at_s, wave - 1, most, before_s, thorough
        )
        if started > 0:
            join_wave(terms, gate, last_s)
            gate[MEMBERS] += started - 1
    return started, release
