"""From event to event: hosts drain, moves start and end, streams share the links anew."""

import heapq
import math

import numpy as np

from slacktide.planner.compiled import compiled
from slacktide.planner.streams.admission import (
    DRAINED,
    DRAINING,
    admit,
    book,
    give_back,
    ready,
    rounded_up,
)
from slacktide.planner.streams.arrays import (
    AT_END,
    AT_OPENING,
    AT_PHASE,
    AT_RELEASE,
    AT_RETURN,
    DONE,
    FORWARDING,
    Course,
    Fleet,
    Hosts,
    Ints,
    Links,
    Lists,
    Moves,
    Rules,
    Shares,
    Waves,
)
from slacktide.planner.streams.copying import enter, next_phase, phase_ends_s, sends, settle
from slacktide.planner.streams.sharing import add_use, begin_sending, end_sending, share
from slacktide.planner.streams.starting import start_moves, touch, touch_waiting

UNCHANGED = 1e-12
"""Relative change of a rate that is rounding alone."""


@compiled
def end_move(
    hosts: Hosts,
    moves: Moves,
    waves: Waves,
    lists: Lists,
    rules: Rules,
    course: Course,
    fleet: Fleet,
    events: list[tuple[float, int, int, int]],
    move: int,
    now: float,
) -> None:
    """Free what a move took, and start the patch of a host that is now empty."""
    course.phase[move] = DONE
    course.end_s[move] = now
    fleet.counters[0] -= 1
    fleet.counters[3] -= 1
    source, service, owner = moves.source[move], moves.service[move], moves.owner[move]
    fleet.sending[source] -= 1
    fleet.receiving[moves.target[move]] -= 1
    if service >= 0:
        fleet.moving[service] -= 1
    if moves.arrival_for[move] >= 0:
        fleet.wait[moves.arrival_for[move]] -= 1
    if moves.back[move] == 0 and fleet.state[owner] == DRAINING:
        fleet.moves_left[owner] -= 1
        if fleet.moves_left[owner] == 0:
            leave(hosts, fleet, events, owner, now)
    elif moves.back[move] > 0:
        for resource in range(2):
            amount = moves.vcpus[move] if resource == 0 else moves.memory_mib[move]
            fleet.free[source, resource] += amount
            for family in range(hosts.reserve_groups.shape[1]):
                if hosts.reserve_groups[source, family] >= 0:
                    fleet.reserve_free[hosts.reserve_groups[source, family], resource] += amount
        finish_part(waves, fleet, events, hosts.wave[owner], now)
    after = lists.next_move[move]
    if after >= 0:
        course.wait[after] -= 1
        ready(moves, course, after, now)


@compiled
def leave(hosts: Hosts, fleet: Fleet, events: list[tuple[float, int, int, int]], host: int, now: float) -> None:
    """Begin the patch of a host that is empty."""
    fleet.state[host] = DRAINED
    fleet.drained_s[host] = now
    heapq.heappush(events, (now + hosts.maintenance_s[host], AT_RETURN, host, 0))


@compiled
def finish_part(waves: Waves, fleet: Fleet, events: list[tuple[float, int, int, int]], wave: int, now: float) -> None:
    """Count a host that has returned, or a move back, and open the waves that wait for the last of them."""
    fleet.wave_pending[wave] -= 1
    if fleet.wave_pending[wave] == 0:
        for other in range(waves.behind.shape[0]):
            if waves.behind[other] == wave:
                heapq.heappush(events, (now + waves.bake_s[other], AT_OPENING, other, 0))


@compiled
def return_host(
    hosts: Hosts,
    moves: Moves,
    waves: Waves,
    lists: Lists,
    course: Course,
    fleet: Fleet,
    events: list[tuple[float, int, int, int]],
    host: int,
    now: float,
) -> int:
    """Take a host back, and let go what has waited for it; return how many moves back to it are ready."""
    give_back(hosts, moves, lists, fleet, host, now)
    fleet.counters[3] -= 1
    back = 0
    for at in range(lists.return_start[host], lists.return_start[host + 1]):
        move = lists.return_moves[at]
        course.wait[move] -= 1
        if moves.back[move] > 0:
            book(hosts, moves, fleet, move, -1)
            back += 1
        elif moves.in_drain[move] == 0 and moves.owner[move] >= 0:
            fleet.wait[moves.owner[move]] -= 1
        ready(moves, course, move, now)
    finish_part(waves, fleet, events, hosts.wave[host], now)
    return back


@compiled
def phase_over(
    moves: Moves,
    links: Links,
    rules: Rules,
    course: Course,
    shares: Shares,
    streams: Ints,
    events: list[tuple[float, int, int, int]],
    move: int,
    now: float,
) -> tuple[bool, bool]:
    """Take a move to its next phase; return whether streams changed, and whether a full bundle has been relieved."""
    settle(moves, rules, course, move, now)
    sent_before = sends(course.phase[move])
    rate = course.rate[move]
    phase = enter(moves, rules, course, move, next_phase(moves, rules, course, move, now), now)
    relieved = False
    if sent_before and not sends(phase):
        relieved = end_sending(links, moves, course, shares, streams, move)
    elif sends(phase) and not sent_before:
        begin_sending(links, moves, shares, streams, move)
        return True, False
    if phase == FORWARDING:
        ends_s = rounded_up(phase_ends_s(moves, rules, course, move), rules.slot_s)
        heapq.heappush(events, (ends_s, AT_END, move, 0))
    else:
        ends_s = phase_ends_s(moves, rules, course, move)
        heapq.heappush(events, (ends_s, AT_PHASE, move, course.version[move]))
    return sent_before and not sends(phase) and rate > 0.0, relieved


@compiled
def share_anew(
    moves: Moves,
    links: Links,
    rules: Rules,
    lists: Lists,
    course: Course,
    shares: Shares,
    streams: Ints,
    events: list[tuple[float, int, int, int]],
    changed: Ints,
    count: int,
    everywhere: bool,
    now: float,
) -> None:
    """Give the streams that a change can reach their new rates."""
    found = share(links, moves, lists, course, shares, streams, changed, count, everywhere)
    for at in range(found):
        move = shares.streams[at]
        rate = shares.rate[move]
        if abs(rate - course.rate[move]) <= UNCHANGED * rate:
            continue
        settle(moves, rules, course, move, now)
        add_use(links, moves, shares, move, rate - course.rate[move])
        course.rate[move] = rate
        course.version[move] += 1
        ends_s = phase_ends_s(moves, rules, course, move)
        heapq.heappush(events, (ends_s, AT_PHASE, move, course.version[move]))


@compiled
def let_out(
    hosts: Hosts,
    moves: Moves,
    lists: Lists,
    course: Course,
    fleet: Fleet,
    waiting: Ints,
    draining: Ints,
    active: int,
    touched: Ints,
    events: list[tuple[float, int, int, int]],
    now: float,
    forced: bool,
) -> int:
    """Let hosts begin to drain; return how many hosts have moves to start."""
    admitted = np.zeros(len(waiting), np.int64)
    count = admit(hosts, moves, lists, course, fleet, waiting, admitted, now, forced)
    for at in range(count):
        host = admitted[at]
        touched[host] = 1
        if fleet.moves_left[host] == 0:
            leave(hosts, fleet, events, host, now)
        else:
            draining[active] = host
            active += 1
    return active


@compiled
def happen(
    hosts: Hosts,
    moves: Moves,
    waves: Waves,
    links: Links,
    rules: Rules,
    lists: Lists,
    course: Course,
    fleet: Fleet,
    shares: Shares,
    streams: Ints,
    events: list[tuple[float, int, int, int]],
    changed: Ints,
    draining: Ints,
    active: int,
    touched: Ints,
    now: float,
) -> tuple[int, bool, bool, int]:
    """Let everything happen that is due.

    Return how many streams changed, whether to share anew everywhere, whether more hosts may drain, and how many hosts
    have moves to start.
    """
    changes, everywhere, look = 0, rules.everywhere, False
    while len(events) > 0 and events[0][0] <= now:
        _, kind, number, version = heapq.heappop(events)
        if kind == AT_PHASE and version == course.version[number]:
            other, relieved = phase_over(moves, links, rules, course, shares, streams, events, number, now)
            everywhere = everywhere or relieved
            changed[changes] = number
            changes += int(other)
        elif kind == AT_END:
            end_move(hosts, moves, waves, lists, rules, course, fleet, events, number, now)
            touch(moves, lists, touched, number)
            look = look or moves.arrival_for[number] >= 0 or moves.back[number] > 0
        elif kind == AT_RETURN:
            if return_host(hosts, moves, waves, lists, course, fleet, events, number, now) > 0:
                draining[active] = number
                active += 1
            touch_waiting(moves, lists, touched, number)
            look = True
        elif kind == AT_OPENING:
            fleet.wave_open[number] = 1
            look = True
        elif kind == AT_RELEASE and number >= 0:
            touched[moves.owner[number]] = 1
    return changes, everywhere, look, active


@compiled
def execute(
    hosts: Hosts,
    moves: Moves,
    waves: Waves,
    links: Links,
    rules: Rules,
    lists: Lists,
    course: Course,
    fleet: Fleet,
    shares: Shares,
) -> None:
    """Carry everything out; what was measured is in ``course`` and ``fleet``."""
    places = hosts.wave.shape[0]
    waiting = np.full(places + 1, -1, np.int64)
    before = places
    for host in hosts.order:
        waiting[before] = host
        before = host
    draining, touched = np.zeros(2 * places + 1, np.int64), np.zeros(places + 1, np.int64)
    streams, changed = np.zeros(1, np.int64), np.zeros(4 * moves.vm.shape[0] + 1, np.int64)
    events = [(0.0, AT_RELEASE, -1, 0)]
    now, active, look = 0.0, 0, True
    while fleet.counters[3] > 0:
        forced = len(events) == 0
        if not forced:
            now = events[0][0]
        if math.isinf(now):
            break
        changes, everywhere, looks, active = happen(
            hosts,
            moves,
            waves,
            links,
            rules,
            lists,
            course,
            fleet,
            shares,
            streams,
            events,
            changed,
            draining,
            active,
            touched,
            now,
        )
        look = look or looks
        if look or forced:
            active = let_out(
                hosts, moves, lists, course, fleet, waiting, draining, active, touched, events, now, forced
            )
            look = False
        active = start_moves(hosts, moves, lists, rules, course, fleet, draining, active, touched, events, now)
        if forced and len(events) == 0 and waiting[places] < 0:
            break
        if changes > 0:
            share_anew(moves, links, rules, lists, course, shares, streams, events, changed, changes, everywhere, now)
