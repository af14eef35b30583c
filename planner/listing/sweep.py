"""One chronological pass over the due hosts."""

import heapq

import numpy as np

from slacktide.planner.compiled import compiled, inlined, internal
from slacktide.planner.listing.arrays import FAR, PATIENCE_S, Begun, Instance, Ints, Moves, Promises, State
from slacktide.planner.listing.draining import arrived_s, end_evacuation, give_back, may_leave, move_time
from slacktide.planner.listing.evacuating import evacuate_due, given_up, to_evacuate
from slacktide.planner.listing.gating import BARRIER_S, DRAINING, Terms, is_incomplete, is_open, opens_later_s
from slacktide.planner.listing.keeping import keep_due, try_stuck
from slacktide.planner.listing.lending import lent_begun, lent_instance, lent_moves, lent_promises, lent_state
from slacktide.planner.listing.outcome import Outcome
from slacktide.planner.listing.promises import hold_all, next_promise_s, promises_left
from slacktide.planner.listing.reserving import expect, move_slots
from slacktide.planner.listing.waiting import Waiting, line_up, start_waiting


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
def next_arrival_s(instance: Instance, state: State, waiting: Waiting, now: int) -> int:
    """Return when the first waiting host that only VMs on their way to it keep in service has them all."""
    soonest = np.int64(FAR)
    host = waiting.follower[instance.capacity.shape[0]]
    while host >= 0 and state.out_count[0] < instance.out_limit[0]:
        last_s = arrived_s(state, host)
        if now < last_s < soonest and may_leave(instance, state, host, now):
            soonest = last_s
        host = waiting.follower[host]
    return soonest


@inlined
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
    behind: bool,
) -> tuple[int, int]:
    """Start what waits and can leave now; return how many hosts did, and when the next may: a release or an arrival.

    None does that is ``behind`` one that is evacuated.
    """
    started, release = 0, np.int64(FAR)
    if waiting.stuck.sum() > 0:
        started = try_stuck(instance, state, moves, promises, begun, out, terms, waiting, gate, now, thorough)
    follows = behind or (terms.promised_first and promises_left(promises))
    if waiting.follower[instance.capacity.shape[0]] >= 0 and not follows:
        count, release = start_waiting(instance, state, moves, promises, out, terms, waiting, gate, now, thorough)
        started += count
        if is_open(gate, now) or is_incomplete(terms, gate):
            release = min(release, next_arrival_s(instance, state, waiting, now))
    return started, release


@inlined
def work_left(out: Outcome, promises: Promises, waiting: Waiting, urgent: int) -> bool:
    """Return whether a host is still to be decided on; ``urgent``: so many that are evacuated."""
    waits = waiting.follower[waiting.place.shape[0]] >= 0 or waiting.stuck.sum() > 0 or urgent > 0
    return (waits or promises_left(promises)) and out.counts[2] == 0 and out.halt[0] == 0


@internal
def come_back(
    instance: Instance, state: State, coming: list[tuple[int, int]], returns: list[tuple[int, int]], now: int
) -> None:
    """Give back the hosts that have returned by ``now``, and count on those that are soon to."""
    move_slots(instance, state, now)
    while coming[0][0] < now + (state.later.shape[2] - 2) * instance.slot_s:
        return_s, host = heapq.heappop(coming)
        if instance.evacuated[host] == 0:
            expect(instance, state, host, return_s, 1)
    while returns[0][0] <= now:
        return_s, host = heapq.heappop(returns)
        if instance.evacuated[host] == 0:
            give_back(instance, state, host, return_s)
        else:
            end_evacuation(instance, state, host)


@inlined
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
    """Go from moment to moment until every host has left or none can; hosts that are evacuated leave before all."""
    waiting, gate = line_up(instance.capacity.shape[0], order, promises, begun), begun.gate
    gate[BARRIER_S] = max(gate[BARRIER_S], terms.opens_s)
    returns = [(np.int64(FAR), np.int64(-1))]
    for at in range(begun.return_host.shape[0]):
        heapq.heappush(returns, (begun.return_s[at], begun.return_host[at]))
    coming = returns.copy()
    now, done, thorough = np.int64(instance.from_s), 0, np.bool_(False)
    tried_s, then = now, now
    urgent = to_evacuate(instance, state)
    hold_all(instance, state, promises)
    while work_left(out, promises, waiting, urgent):
        move_time(instance, state, now)
        come_back(instance, state, coming, returns, now)
        urgent, arrival_s = evacuate_due(instance, state, moves, promises, out, urgent, now)
        promised, behind = promises_left(promises), urgent > 0
        patient = not (thorough or terms.promised_first)
        broken = keep_due(instance, state, moves, promises, begun, out, terms, waiting, gate, now, patient, behind)
        broken |= terms.promised_first and promised and not promises_left(promises)
        release, exhausted = np.int64(FAR), False
        if broken or now >= then:
            started, release = decide(
                instance, state, moves, promises, begun, out, terms, waiting, gate, now, thorough, behind
            )
            exhausted = thorough and started == 0 and not behind
            tried_s, then, thorough = now, np.int64(FAR), False
        for row in range(done, out.counts[0]):
            heapq.heappush(returns, (out.hosts[row, 4], out.hosts[row, 0]))
            heapq.heappush(coming, (out.hosts[row, 4], out.hosts[row, 0]))
        done = out.counts[0]
        after = min(returns[0][0], release, np.int64(arrival_s), np.int64(opens_later_s(gate, now)))
        if behind and given_up(instance, state, promises, begun, min(returns[0][0], np.int64(arrival_s))):
            urgent, after = 0, now
        if after < FAR:
            then = min(then, max(after, tried_s + terms.pace_s))
        following = next_promise_s(promises)
        if promises.progress[1] > 0 and after < FAR:
            following = min(following, after, now + PATIENCE_S)
        if then < FAR or following < FAR:
            now = min(then, following)
        elif exhausted and gate[DRAINING] == 0:
            break
        else:
            gate[DRAINING] = 0 if exhausted else gate[DRAINING]
            thorough, then = True, now
