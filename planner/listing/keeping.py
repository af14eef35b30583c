"""Promised hosts, and hosts that drain when a pass begins: kept as they are, as nearly as that can be.

A promised host leaves at its moment with every move that still fits.  Where others are late, so that a limit or a
target is not free yet, it leaves as soon as it can with its moves as much later; only what cannot be kept is decided
anew.
"""

import numpy as np

from slacktide.planner.compiled import inlined, internal
from slacktide.planner.listing.arrays import FAR, PATIENCE_S, Begun, Instance, Ints, Moves, Promises, State
from slacktide.planner.listing.draining import cancel, evicted_vms, leave, may_leave, place_all, stay, still_arriving
from slacktide.planner.listing.fitting import KEPT, MOVED, NEVER, NOT_YET, keep_move
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
from slacktide.planner.listing.promises import add_load, add_promised_load, hold, move_load
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
    patient: bool,
    behind: bool,
) -> int:
    """Let a promised host leave as it was promised, as nearly as it can be; one that cannot is late or waits.

    None begins to leave that is ``behind`` one that is evacuated.
    """
    host, label = promises.host[number], promises.wave[number]
    out_already, joins = begun.of_host[host] >= 0, may_join(terms, gate, label)
    ready = out_already or (not behind and may_go(instance, state, terms, gate, host, joins, at_s))
    if not ready and (patient or behind):
        return NOT_YET
    hold(instance, state, promises, number, -1)
    if ready and promises.tried_s[number] < 0:
        promises.tried_s[number] = at_s
    count, kept = -1, NEVER
    if too_short(moves, out, moves.vm.shape[0]):
        out.counts[2] = 1
    elif ready:
        waits = patient and at_s < promises.tried_s[number] + PATIENCE_S
        count, kept = keep(
            instance, state, moves, promises, begun, number, at_s, terms.reach, terms.scatter_until_s, waits
        )
    if kept == NOT_YET:
        hold(instance, state, promises, number, 1)
        return NOT_YET
    if count < 0:
        add_promised_load(instance, promises, number, -1)
        wait_for_room(state, begun, waiting, host)
        return NEVER
    if out_already:
        finish_draining(instance, state, moves, begun, out, terms, gate, host, count, at_s)
    else:
        start_host(instance, state, moves, out, host, 0, count, at_s, gate[WAVE] - 1 if joins else gate[WAVE])
    if kept == KEPT:
        last_as_promised(promises, out, number, at_s)
    return_s = out.hosts[out.counts[0] - 1, 4]
    move_load(instance, promises, number, at_s, return_s)
    if not out_already:
        enter_wave(terms, gate, label, joins, return_s)
    return kept


@inlined
def enter_wave(terms: Terms, gate: Ints, label: int, joins: bool, return_s: int) -> None:
    """Count a promised host that leaves into the last wave, or open the next with it."""
    if joins:
        join_wave(terms, gate, return_s)
    else:
        open_wave(terms, gate, label, 1, return_s)


@inlined
def last_as_promised(promises: Promises, out: Outcome, number: int, at_s: int) -> None:
    """Let a host that is kept be out as long as was promised, which may be longer than its moves take."""
    row, late_s = out.counts[0] - 1, at_s - promises.due_s[number]
    out.hosts[row, 2] = min(out.hosts[row, 2], at_s)
    out.hosts[row, 3] = max(out.hosts[row, 3], promises.drained_s[number] + late_s)
    out.hosts[row, 4] = max(out.hosts[row, 4], promises.return_s[number] + late_s)


@inlined
def may_go(instance: Instance, state: State, terms: Terms, gate: Ints, host: int, joins: bool, at_s: int) -> bool:
    """Return whether gates and limits let a promised host leave, and every VM on its way to it is there."""
    gated = not joins and (not is_open(gate, at_s) or is_incomplete(terms, gate))
    return not gated and may_leave(instance, state, host, at_s) and not still_arriving(state, host, at_s)


@inlined
def keep(
    instance: Instance,
    state: State,
    moves: Moves,
    promises: Promises,
    begun: Begun,
    number: int,
    at_s: int,
    reach: int,
    until_s: int,
    waits: bool,
) -> tuple[int, int]:
    """Book a promised host that may leave; return how many moves it has now, -1: it cannot leave, and how it is kept.

    Moves that no longer fit, and VMs that nothing has been promised to, get another place; a host that ``waits`` does
    not leave yet if moves of it fit a little later.
    """
    host, late_s, kept = promises.host[number], at_s - promises.due_s[number], KEPT
    out = begun.of_host[host] >= 0
    if not out:
        leave(instance, state, host)
    before = under_way(moves, begun, host)
    placed = before
    for at in range(promises.first[number], promises.first[number + 1]):
        how = keep_move(instance, state, moves, placed, promises, at, host, at_s, late_s)
        if how <= MOVED:
            kept = max(kept, how)
            placed += 1
        elif how == NOT_YET and waits:
            cancel(instance, state, moves, before, placed, host)
            if not out:
                stay(instance, state, host)
            return -1, NOT_YET
    rest = left_on(state, host, evicted_vms(instance, state, host))
    if rest.shape[0] == 0:
        return placed, kept
    if place_all(instance, state, moves, placed, host, rest, at_s, reach, until_s):
        return placed + rest.shape[0], MOVED
    cancel(instance, state, moves, before, placed, host)
    if not out:
        stay(instance, state, host)
    return -1, NEVER


@inlined
def under_way(moves: Moves, begun: Begun, host: int) -> int:
    """Put the moves of a draining host that are under way before all others; return how many there are."""
    number = begun.of_host[host]
    if number < 0:
        return 0
    first, last = begun.first[number], begun.first[number + 1]
    for at in range(first, last):
        moves.vm[at - first], moves.target[at - first] = begun.vm[at], begun.target[at]
        moves.start_s[at - first], moves.end_s[at - first] = begun.start_s[at], begun.end_s[at]
        moves.rate[at - first] = begun.rate[at]
    return last - first


@inlined
def left_on(state: State, host: int, vms: Ints) -> Ints:
    """Return those of the VMs that have found no other place."""
    rest = np.empty(vms.shape[0], np.int64)
    count = 0
    for vm in vms:
        if state.vm_host[vm] == host:
            rest[count] = vm
            count += 1
    return rest[:count]


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
    patient: bool,
    behind: bool,
) -> bool:
    """Let every promised host leave that is late or whose moment has come; return whether one waits with others now.

    Without ``patient`` none is late any more: it leaves as well as it can.  Those ``behind`` a host that is evacuated
    are all late.
    """
    broken, last, late = False, promises.host.shape[0], 0
    for place in range(promises.progress[1]):
        number, how = promises.late[place], NOT_YET
        if out.counts[2] == 0 and (state.out_count[0] < instance.out_limit[0] or not patient):
            how = keep_one(
                instance, state, moves, promises, begun, out, terms, waiting, gate, number, now, patient, behind
            )
        broken |= how == NEVER
        if how == NOT_YET:
            promises.late[late] = number
            late += 1
    promises.progress[1] = late
    while promises.progress[0] < last and promises.due_s[promises.progress[0]] <= now and out.counts[2] == 0:
        number = promises.progress[0]
        promises.progress[0] += 1
        how = keep_one(instance, state, moves, promises, begun, out, terms, waiting, gate, number, now, patient, behind)
        broken |= how == NEVER
        if how == NOT_YET:
            promises.late[promises.progress[1]] = number
            promises.progress[1] += 1
    return broken
