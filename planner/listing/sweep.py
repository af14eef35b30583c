"""One chronological pass over the due hosts."""

import heapq
from typing import NamedTuple

import numpy as np

from slacktide.planner.compiled import compiled, inlined, internal
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
    commit,
    drain,
    evicted_vms,
    give_back,
    may_leave,
    move_time,
    place_all,
    release_s,
    still_arriving,
)
from slacktide.planner.listing.gating import (
    BARRIER_S,
    DRAINING,
    LABEL,
    MEMBERS,
    WAVE,
    Terms,
    is_open,
    is_strict,
    join_wave,
    may_join,
    most_hosts,
    open_wave,
)
from slacktide.planner.listing.lending import lent_begun, lent_instance, lent_moves, lent_promises, lent_state
from slacktide.planner.listing.promises import add_load, hold, hold_all, keep, leaves_room, under_way


class Outcome(NamedTuple):
    """What a pass decides; rows of hosts in the order in which they leave."""

    hosts: Ints  # (N, 5) host, wave, drain start, drained, return
    rows: Ints  # (M, 6) VM, source, target, start, end, rate
    counts: Ints  # hosts, migrations, 1: `rows` was too short
    halt: Ints  # (1,) set to 1 by another thread: end at once, the outcome is not wanted


class Waiting(NamedTuple):
    """The hosts that wait, in their order."""

    follower: Ints  # (N + 1,) the next that waits after each, the last place: the first of all, -1: none
    order: Ints
    place: Ints  # (N,) in the order, -1: not in it
    stuck: Ints  # (B,) 1: a draining host that finds no place for its last VMs
    latest: Ints  # the host that came last, -1: none


@internal
def start_host(
    instance: Instance,
    state: State,
    moves: Moves,
    out: Outcome,
    host: int,
    first: int,
    count: int,
    at_s: int,
    wave: int,
) -> int:
    """Write a drained host down and return when it is back; its moves before ``first`` are written already."""
    first_s, last_s = np.int64(FAR), np.int64(at_s)
    for at in range(count):
        first_s = min(first_s, moves.start_s[at])
        last_s = max(last_s, moves.end_s[at])
    commit(state, moves, host, first, count, at_s, out.rows, out.counts[1])
    row = out.counts[0]
    out.hosts[row, 0], out.hosts[row, 1] = host, wave
    out.hosts[row, 2], out.hosts[row, 3] = min(first_s, last_s), last_s
    out.hosts[row, 4] = last_s + instance.maintenance_s[host]
    out.counts[0] += 1
    out.counts[1] += count - first
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


@inlined
def too_short(moves: Moves, out: Outcome, vms: int) -> bool:
    """Return whether the arrays have no room for so many moves more."""
    return out.counts[1] + vms > out.rows.shape[0] or vms > moves.vm.shape[0]


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

    While promises are still to come, only hosts start that are back by ``before_s`` and leave these their room.
    """
    started, failed, last_s, release = 0, 0, np.int64(0), np.int64(FAR)
    until_s = np.int64(FAR) if thorough else terms.scatter_until_s
    promised = promises.progress[0] < promises.host.shape[0]
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
            elif too_short(moves, out, vms.shape[0]):
                out.counts[2] = 1
            elif promised and not leaves_room(instance, promises, host, vms, at_s, before_s):
                pass
            elif drain(instance, state, moves, host, vms, at_s, closer_look(state, terms, host, thorough), until_s):
                return_s = start_host(instance, state, moves, out, host, 0, vms.shape[0], at_s, wave)
                last_s = max(last_s, return_s)
                add_load(instance, promises, host, at_s, return_s, 1)
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
def keep_one(
    instance: Instance,
    state: State,
    moves: Moves,
    promises: Promises,
    begun: Begun,
    out: Outcome,
    terms: Terms,
    waiting: Waiting,
    gate: Ints,
    number: int,
    at_s: int,
) -> bool:
    """Let a promised host leave as it was promised, as nearly as it can be, or let it wait."""
    host, label = promises.host[number], promises.wave[number]
    hold(instance, state, promises, number, -1)
    joins = may_join(terms, gate, label)
    count, whole = -1, False
    out_already = begun.of_host[host] >= 0
    if too_short(moves, out, moves.vm.shape[0]):
        out.counts[2] = 1
    elif out_already or joins or is_open(gate, at_s):
        count, whole = keep(instance, state, moves, promises, begun, number, at_s, terms.reach, terms.scatter_until_s)
    if count < 0:
        add_load(instance, promises, host, promises.due_s[number], promises.return_s[number], -1)
        wait_for_room(state, begun, waiting, host)
        return False
    row = out.counts[0]
    if out_already:
        finish_draining(instance, state, moves, begun, out, terms, gate, host, count, at_s)
    else:
        start_host(instance, state, moves, out, host, 0, count, at_s, gate[WAVE] - 1 if joins else gate[WAVE])
    if whole:
        out.hosts[row, 2] = min(out.hosts[row, 2], promises.due_s[number])
        out.hosts[row, 3] = max(out.hosts[row, 3], promises.drained_s[number])
        out.hosts[row, 4] = max(out.hosts[row, 4], promises.return_s[number])
    return_s = out.hosts[row, 4]
    if return_s != promises.return_s[number]:
        add_load(instance, promises, host, promises.due_s[number], promises.return_s[number], -1)
        add_load(instance, promises, host, promises.due_s[number], return_s, 1)
    if joins and (not out_already):
        join_wave(terms, gate, return_s)
    elif not out_already:
        open_wave(terms, gate, label, 1, return_s)
    return True


@internal
def finish_draining(
    instance: Instance,
    state: State,
    moves: Moves,
    begun: Begun,
    out: Outcome,
    terms: Terms,
    gate: Ints,
    host: int,
    count: int,
    at_s: int,
) -> None:
    """Write down the last moves of a host that was draining when the pass began."""
    number, row = begun.of_host[host], out.counts[0]
    first = begun.first[number + 1] - begun.first[number]
    return_s = start_host(instance, state, moves, out, host, first, count, at_s, 0)
    out.hosts[row, 2] = begun.drain_start_s[number]
    last = gate[WAVE] - 1
    if last >= 0 and is_strict(terms, last) and begun.wave[number] == gate[LABEL]:
        gate[DRAINING] -= 1
        gate[MEMBERS] -= 1
        join_wave(terms, gate, return_s)


@internal
def try_stuck(
    instance: Instance,
    state: State,
    moves: Moves,
    promises: Promises,
    begun: Begun,
    out: Outcome,
    terms: Terms,
    waiting: Waiting,
    gate: Ints,
    at_s: int,
    thorough: bool,
) -> int:
    """Look again for places for the last VMs of draining hosts; return how many hosts found them."""
    finished = 0
    for number in range(waiting.stuck.shape[0]):
        host = begun.host[number]
        if waiting.stuck[number] == 0:
            continue
        vms = evicted_vms(instance, state, host)
        booked = under_way(moves, begun, host)
        if too_short(moves, out, booked + vms.shape[0]):
            out.counts[2] = 1
            break
        reach = closer_look(state, terms, host, thorough)
        if place_all(instance, state, moves, booked, host, vms, at_s, reach, np.int64(FAR)):
            finish_draining(instance, state, moves, begun, out, terms, gate, host, booked + vms.shape[0], at_s)
            add_load(instance, promises, host, at_s, out.hosts[out.counts[0] - 1, 4], 1)
            waiting.stuck[number] = 0
            finished += 1
    return finished


@compiled
def run_pass(
    instance: Instance,
    state: State,
    moves: Moves,
    terms: Terms,
    order: Ints,
    promises: Promises,
    begun: Begun,
    out: Outcome,
) -> None:
    """Drain the hosts of ``order``, as many as the limits ever allow, and write down what was decided."""
    sweep(
        lent_instance(instance),
        lent_state(state),
        lent_moves(moves),
        terms,
        order,
        lent_promises(promises),
        lent_begun(begun),
        out,
    )


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
    following = promises.progress[0] < promises.host.shape[0]
    wave, started, release = gate[WAVE], 0, np.int64(FAR)
    if is_open(gate, at_s):
        strict = is_strict(terms, wave)
        most = most_hosts(terms, wave) if strict else hosts
        before_s = np.int64(FAR)
        if strict and following:
            bake_s = terms.canary_bake_s if wave == 0 and terms.canary_hosts > 0 else terms.bake_s
            before_s = promises.due_s[promises.progress[0]] - bake_s
        started, last_s, release = try_waiting(
            instance, state, moves, promises, out, terms, waiting.follower, at_s, wave, most, before_s, thorough
        )
        if started > 0:
            open_wave(terms, gate, -1, started, last_s)
    elif following and wave > 0 and is_strict(terms, wave - 1) and gate[DRAINING] == 0:
        bake_s = terms.canary_bake_s if wave == 1 and terms.canary_hosts > 0 else terms.bake_s
        before_s = gate[BARRIER_S] - bake_s
        most = most_hosts(terms, wave - 1) - gate[MEMBERS]
        started, last_s, release = try_waiting(
            instance, state, moves, promises, out, terms, waiting.follower, at_s, wave - 1, most, before_s, thorough
        )
        if started > 0:
            join_wave(terms, gate, last_s)
            gate[MEMBERS] += started - 1
    return started, release


@internal
def keep_due(
    instance: Instance,
    state: State,
    moves: Moves,
    promises: Promises,
    begun: Begun,
    out: Outcome,
    terms: Terms,
    waiting: Waiting,
    gate: Ints,
    now: int,
) -> bool:
    """Let every promised host leave whose moment has come; return whether one could not."""
    broken, last = False, promises.host.shape[0]
    while promises.progress[0] < last and promises.due_s[promises.progress[0]] <= now and out.counts[2] == 0:
        number = promises.progress[0]
        promises.progress[0] += 1
        broken |= not keep_one(instance, state, moves, promises, begun, out, terms, waiting, gate, number, now)
    return broken


@internal
def decide(
    instance: Instance,
    state: State,
    moves: Moves,
    promises: Promises,
    begun: Begun,
    out: Outcome,
    terms: Terms,
    waiting: Waiting,
    gate: Ints,
    now: int,
    thorough: bool,
) -> tuple[int, int]:
    """Start what waits and can leave now; return how many hosts did, and the next release."""
    started, release = 0, np.int64(FAR)
    if waiting.stuck.sum() > 0:
        started = try_stuck(instance, state, moves, promises, begun, out, terms, waiting, gate, now, thorough)
    if waiting.follower[instance.capacity.shape[0]] >= 0:
        count, release = start_waiting(instance, state, moves, promises, out, terms, waiting, gate, now, thorough)
        started += count
    return started, release


@inlined
def work_left(out: Outcome, promises: Promises, waiting: Waiting) -> bool:
    """Return whether a host is still to be decided on."""
    waits = waiting.follower[waiting.place.shape[0]] >= 0 or waiting.stuck.sum() > 0
    promised = promises.progress[0] < promises.host.shape[0]
    return (waits or promised) and out.counts[2] == 0 and out.halt[0] == 0


@inlined
def next_promise_s(promises: Promises) -> int:
    """Return when the next promised host is to leave."""
    return promises.due_s[promises.progress[0]] if promises.progress[0] < promises.host.shape[0] else np.int64(FAR)


@internal
def sweep(
    instance: Instance,
    state: State,
    moves: Moves,
    terms: Terms,
    order: Ints,
    promises: Promises,
    begun: Begun,
    out: Outcome,
) -> None:
    """Go from moment to moment until every host has left or none can."""
    waiting, gate = line_up(instance.capacity.shape[0], order, promises, begun), begun.gate
    gate[BARRIER_S] = max(gate[BARRIER_S], terms.opens_s)
    returns = [(np.int64(FAR), np.int64(-1))]
    for at in range(begun.return_host.shape[0]):
        heapq.heappush(returns, (begun.return_s[at], begun.return_host[at]))
    now, done, thorough = np.int64(instance.from_s), 0, False
    tried_s, then = now, now
    hold_all(instance, state, promises)
    while work_left(out, promises, waiting):
        move_time(instance, state, now)
        while returns[0][0] <= now:
            give_back(instance, state, heapq.heappop(returns)[1])
        broken = keep_due(instance, state, moves, promises, begun, out, terms, waiting, gate, now)
        release, exhausted = np.int64(FAR), False
        if broken or now >= then:
            started, release = decide(instance, state, moves, promises, begun, out, terms, waiting, gate, now, thorough)
            exhausted = thorough and started == 0
            tried_s, then, thorough = now, np.int64(FAR), False
        for row in range(done, out.counts[0]):
            heapq.heappush(returns, (out.hosts[row, 4], out.hosts[row, 0]))
        done = out.counts[0]
        after = min(returns[0][0], release)
        if gate[BARRIER_S] > now:
            after = min(after, gate[BARRIER_S])
        if after < FAR:
            then = min(then, max(after, tried_s + terms.pace_s))
        following = next_promise_s(promises)
        if then < FAR or following < FAR:
            now = min(then, following)
        elif exhausted and gate[DRAINING] == 0:
            break
        else:
            gate[DRAINING] = 0 if exhausted else gate[DRAINING]
            thorough, then = True, now
