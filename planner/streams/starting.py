"""Which moves start: as many as the constants and the services allow, host by host."""

import heapq

from slacktide.planner.compiled import compiled
from slacktide.planner.streams.admission import rounded_up
from slacktide.planner.streams.arrays import (
    AT_PHASE,
    AT_RELEASE,
    READY,
    SETUP,
    Course,
    Fleet,
    Hosts,
    Ints,
    Lists,
    Moves,
    Rules,
)
from slacktide.planner.streams.copying import enter, phase_ends_s


@compiled
def may_start(hosts: Hosts, moves: Moves, lists: Lists, rules: Rules, course: Course, fleet: Fleet, move: int) -> bool:
    """Return whether the constants and its service let a move start."""
    if course.phase[move] != READY or fleet.counters[0] >= rules.cluster:
        return False
    source, target, service = moves.source[move], moves.target[move], moves.service[move]
    if fleet.sending[source] >= hosts.outgoing[source] or fleet.receiving[target] >= hosts.incoming[target]:
        return False
    return service < 0 or fleet.moving[service] < lists.service_limit[service]


@compiled
def start_moves(
    hosts: Hosts,
    moves: Moves,
    lists: Lists,
    rules: Rules,
    course: Course,
    fleet: Fleet,
    draining: Ints,
    count: int,
    touched: Ints,
    events: list[tuple[float, int, int, int]],
    now: float,
) -> int:
    """Start what may start, host by host in the order in which they began; return how many hosts still have moves.

    Hosts are looked at that are ``touched`` since the last time: they, or a target or a service of theirs, changed.
    """
    kept = 0
    for at in range(count):
        host = draining[at]
        left = 0
        if touched[host] == 0 or fleet.counters[0] >= rules.cluster:
            draining[kept] = host
            kept += 1
            continue
        touched[host] = 0
        for place in range(lists.owner_start[host], lists.owner_start[host + 1]):
            move = lists.owner_moves[place]
            if course.phase[move] > READY:
                continue
            left += 1
            if not may_start(hosts, moves, lists, rules, course, fleet, move):
                touched[host] |= fleet.counters[0] >= rules.cluster
                continue
            if course.release_s[move] > now:
                if course.version[move] == 0:
                    course.version[move] = 1
                    heapq.heappush(events, (rounded_up(course.release_s[move], rules.slot_s), AT_RELEASE, move, 0))
                continue
            left -= 1
            fleet.counters[0] += 1
            fleet.sending[moves.source[move]] += 1
            fleet.receiving[moves.target[move]] += 1
            if moves.service[move] >= 0:
                fleet.moving[moves.service[move]] += 1
            course.start_s[move] = now
            enter(moves, rules, course, move, SETUP, now)
            heapq.heappush(events, (phase_ends_s(moves, rules, course, move), AT_PHASE, move, course.version[move]))
        if left > 0:
            draining[kept] = host
            kept += 1
    return kept


@compiled
def touch(moves: Moves, lists: Lists, touched: Ints, move: int) -> None:
    """Note the hosts whose moves may start now that a move has ended."""
    touched[moves.owner[move]] = 1
    source, target, service = moves.source[move], moves.target[move], moves.service[move]
    for at in range(lists.source_start[source], lists.source_start[source + 1]):
        touched[moves.owner[lists.source_moves[at]]] = 1
    for at in range(lists.target_start[target], lists.target_start[target + 1]):
        touched[moves.owner[lists.target_moves[at]]] = 1
    if service >= 0:
        for at in range(lists.service_start[service], lists.service_start[service + 1]):
            touched[moves.owner[lists.service_moves[at]]] = 1


@compiled
def touch_waiting(moves: Moves, lists: Lists, touched: Ints, host: int) -> None:
    """Note the hosts whose moves may start now that a host has returned."""
    touched[host] = 1
    for at in range(lists.return_start[host], lists.return_start[host + 1]):
        touched[moves.owner[lists.return_moves[at]]] = 1
