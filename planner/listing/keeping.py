"""Promised hosts, and hosts that drain when a pass begins: kept as they are, as nearly as that can be."""

import numpy as np

from slacktide.planner.compiled import internal
from slacktide.planner.listing.arrays import FAR, Begun, Instance, Ints, Moves, Promises, State
from slacktide.planner.listing.draining import evicted_vms, place_all
from slacktide.planner.listing.gating import (
    DRAINING,
    LABEL,
    MEMBERS,
    WAVE,
    Terms,
    is_incomplete,
    is_open,
    is_strict,
    join_wave,
    may_join,
    open_wave,
)
from slacktide.planner.listing.outcome import Outcome, start_host, too_short
from slacktide.planner.listing.promises import add_load, hold, keep, under_way
from slacktide.planner.listing.waiting import Waiting, closer_look, wait_for_room


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
    elif out_already or joins or (is_open(gate, at_s) and not is_incomplete(terms, gate)):
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
