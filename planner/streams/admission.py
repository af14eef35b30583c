"""Which hosts may begin to drain, in the plan's order as far as the limits and the returns before them allow."""

import numpy as np

from slacktide.planner.compiled import compiled
from slacktide.planner.streams.arrays import READY, WAITING, Course, Fleet, Hosts, Ints, Lists, Moves

UNTOUCHED, DRAINING, DRAINED, RETURNED = range(4)
"""States of a host."""


@compiled
def ready(moves: Moves, course: Course, move: int, now: float) -> None:
    """Let a move start once its notice is over, if nothing else is to be waited for."""
    if course.wait[move] == 0 and course.phase[move] == WAITING:
        course.phase[move] = READY
        begun_s = 0.0
        if moves.after_move[move] >= 0:
            begun_s = course.end_s[moves.after_move[move]]
        course.release_s[move] = max(now, begun_s + moves.notice_s[move])


@compiled
def book(hosts: Hosts, moves: Moves, fleet: Fleet, move: int, sign: int) -> None:
    """Take a move's room on its target (``sign`` -1), or give it back."""
    target = moves.target[move]
    for resource in range(2):
        amount = sign * (moves.vcpus[move] if resource == 0 else moves.memory_mib[move])
        fleet.free[target, resource] += amount
        for family in range(hosts.reserve_groups.shape[1]):
            group = hosts.reserve_groups[target, family]
            if group >= 0:
                fleet.reserve_free[group, resource] += amount


@compiled
def take_out(hosts: Hosts, moves: Moves, lists: Lists, fleet: Fleet, host: int, sign: int) -> None:
    """Count a host as out, its VMs' room taken elsewhere (``sign`` 1), or undo that (-1)."""
    for kind in range(hosts.out_groups.shape[1]):
        if hosts.out_groups[host, kind] >= 0:
            fleet.out_count[hosts.out_groups[host, kind]] += sign
    for family in range(hosts.reserve_groups.shape[1]):
        group = hosts.reserve_groups[host, family]
        if group >= 0:
            for resource in range(2):
                fleet.reserve_free[group, resource] -= sign * fleet.free[host, resource]
    for at in range(lists.owner_start[host], lists.owner_start[host + 1]):
        move = lists.owner_moves[at]
        if moves.back[move] == 0:
            book(hosts, moves, fleet, move, -sign)


@compiled
def within_limits(hosts: Hosts, fleet: Fleet, host: int) -> bool:
    """Return whether no more hosts are out than allowed, and the reserves stay free, with ``host`` counted."""
    for kind in range(hosts.out_groups.shape[1]):
        group = hosts.out_groups[host, kind]
        if group >= 0 and fleet.out_count[group] > hosts.out_limit[group]:
            return False
    for group in range(hosts.reserve.shape[0]):
        for resource in range(2):
            if fleet.reserve_free[group, resource] < hosts.reserve[group, resource]:
                return False
    return True


@compiled
def admit(
    hosts: Hosts,
    moves: Moves,
    lists: Lists,
    course: Course,
    fleet: Fleet,
    waiting: Ints,
    admitted: Ints,
    now: float,
    forced: bool,
) -> int:
    """Let every host drain that may, the first of all if ``forced``; return how many, listed in ``admitted``.

    ``waiting`` holds the follower of each host in the plan's order, the first at its end.  A host that in the plan
    drained before its targets had returned waits for all hosts before it, so that no two wait for each other.
    """
    count, before = 0, len(waiting) - 1
    host = waiting[before]
    while host >= 0:
        open_ = fleet.wait[host] == 0 and fleet.wave_open[hosts.wave[host]] > 0
        open_ = open_ and (hosts.late[host] == 0 or before == len(waiting) - 1)
        taken = False
        if open_ or forced:
            take_out(hosts, moves, lists, fleet, host, 1)
            taken = forced or within_limits(hosts, fleet, host)
            if not taken:
                take_out(hosts, moves, lists, fleet, host, -1)
        if taken:
            fleet.state[host] = DRAINING
            fleet.drain_start_s[host] = now
            fleet.counters[2] += forced
            forced = False
            _release_moves(moves, lists, course, fleet, host, now)
            waiting[before] = waiting[host]
            admitted[count] = host
            count += 1
        else:
            before = host
        host = waiting[host]
    return count


@compiled
def _release_moves(moves: Moves, lists: Lists, course: Course, fleet: Fleet, host: int, now: float) -> None:
    """Let the moves of a draining host start as far as nothing else keeps them."""
    for at in range(lists.owner_start[host], lists.owner_start[host + 1]):
        move = lists.owner_moves[at]
        if moves.back[move] == 0:
            course.wait[move] -= 1
            ready(moves, course, move, now)


@compiled
def give_back(hosts: Hosts, moves: Moves, lists: Lists, fleet: Fleet, host: int, now: float) -> None:
    """Put a patched host into service again, empty."""
    fleet.state[host] = RETURNED
    fleet.return_s[host] = now
    for kind in range(hosts.out_groups.shape[1]):
        if hosts.out_groups[host, kind] >= 0:
            fleet.out_count[hosts.out_groups[host, kind]] -= 1
    for resource in range(2):
        fleet.free[host, resource] = hosts.capacity[host, resource]
        for family in range(hosts.reserve_groups.shape[1]):
            group = hosts.reserve_groups[host, family]
            if group >= 0:
                fleet.reserve_free[group, resource] += hosts.capacity[host, resource]


@compiled
def rounded_up(moment_s: float, slot_s: float) -> float:
    """Return the first multiple of a slot at or after a moment."""
    return np.ceil((moment_s - 1e-6) / slot_s) * slot_s
