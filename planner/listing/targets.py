"""Hosts in lists by free capacity, and the choice of a target among them."""

from collections.abc import Callable
from typing import cast

import numpy as np
from numba.cpython.unsafe import numbers

from slacktide.planner.compiled import compiled, inlined, internal
from slacktide.planner.listing.arrays import (
    DUE,
    FAR,
    LISTS_PER_LOOK,
    STARTS_COMPARED,
    TOLERATED_DELAY_S,
    Instance,
    Ints,
    Moves,
    State,
)
from slacktide.planner.listing.reserving import reserve_ready_s
from slacktide.planner.listing.room import earliest_start, rate_between, source_ready_s, spread_allows

leading_zeros = cast("Callable[[int], int]", numbers.leading_zeros)
"""Of the 64 bits of an integer."""


@inlined
def level_of(instance: Instance, state: State, amount: int) -> int:
    """Return the level of an amount of the less scarce resource: hosts of a higher level have more of it free."""
    return min(amount // instance.level_size, state.size_head.shape[3] - 1)


@inlined
def levels_from(state: State, status: int, kind: int, bucket: int, level: int) -> int:
    """Return the levels from ``level`` on that have a list with hosts in it, as bits."""
    return state.size_levels[status, bucket, kind] >> level << level


@inlined
def highest(levels: int) -> int:
    """Return the highest of some levels, at least one."""
    return 63 - leading_zeros(levels)


@compiled
def unlist(instance: Instance, state: State, host: int) -> None:
    """Take a host out of its list of targets."""
    bucket, level = state.size_bucket[host], state.size_level[host]
    if bucket < 0:
        return
    status, kind = state.status[host], instance.type_number[host]
    head = state.size_head[status, kind, bucket, level]
    before, behind = state.size_prev[host], state.size_next[host]
    if head == host:
        state.size_head[status, kind, bucket, level] = behind
        head = behind
    else:
        state.size_next[before] = behind
    if behind >= 0:
        state.size_prev[behind] = before
    elif head >= 0:
        state.size_prev[head] = before
    else:
        state.size_levels[status, bucket, kind] &= ~(np.int64(1) << level)
    state.size_bucket[host] = -1


@compiled
def enlist(instance: Instance, state: State, host: int) -> None:
    """Put a host at the end of the list of targets of its status, type and free capacity of both resources.

    At the end, so that hosts whose NIC has just been booked are looked at last.  The first host of a list points back
    at the last.
    """
    unlist(instance, state, host)
    status = state.status[host]
    if status > DUE or (status == DUE and instance.spared[host] > 0):
        return
    left = state.free[host, instance.pivot] - state.held[host, instance.pivot]
    beside = state.free[host, 1 - instance.pivot] - state.held[host, 1 - instance.pivot]
    if left < 0 or beside < 0:
        return
    bucket, level = left // instance.bucket_size, level_of(instance, state, beside)
    kind = instance.type_number[host]
    head = state.size_head[status, kind, bucket, level]
    state.size_next[host] = -1
    state.size_bucket[host], state.size_level[host] = bucket, level
    if head < 0:
        state.size_head[status, kind, bucket, level] = host
        state.size_prev[host] = host
        state.size_levels[status, bucket, kind] |= np.int64(1) << level
    else:
        last = state.size_prev[head]
        state.size_next[last] = host
        state.size_prev[host] = last
        state.size_prev[head] = host


@compiled
def enlist_all(instance: Instance, state: State, order: Ints) -> None:
    """Put every host that takes VMs into its list, in the order given."""
    for host in order:
        enlist(instance, state, host)


@inlined
def suits(instance: Instance, vm: int, source: int, kind: int, target: int, slower: bool) -> bool:
    """Return whether a VM may run on hosts of one type, of which ``target`` is one, and these are ``slower`` or not."""
    if instance.vm_types[vm] >> kind & 1 == 0:
        return False
    return (instance.ingress_mbit_s[target] < instance.egress_mbit_s[source]) == slower


@inlined
def may_host(instance: Instance, state: State, vm: int, source: int, host: int) -> bool:
    """Return whether a host has the capacity for a VM and may take it from its source."""
    if instance.one_way and state.patched[source] > state.patched[host]:
        return False
    for resource in range(2):
        if instance.demand[vm, resource] > state.free[host, resource] - state.held[host, resource]:
            return False
    return True


@inlined
def soonest_start(
    instance: Instance, state: State, moves: Moves, placed: int, vm: int, source: int, host: int, at_s: int
) -> tuple[int, int]:
    """Return the earliest start from ``at_s`` on that all limits allow, -1: none, and the rate."""
    ready_s = reserve_ready_s(instance, state, vm, host, at_s)
    if ready_s == FAR:
        return -1, -1
    rate = rate_between(instance, vm, source, host)
    return earliest_start(instance, state, moves, placed, vm, source, host, rate, ready_s), rate


@internal
def look_through(
    instance: Instance,
    state: State,
    moves: Moves,
    placed: int,
    vm: int,
    source: int,
    at_s: int,
    reach: int,
    status: int,
    slower: bool,
) -> tuple[int, int, int]:
    """Return target, rate and start for a VM among the hosts of one status, target -1: none has room.

    The fullest come first by the scarcer resource, and of those alike in it the emptiest by the other: with the fullest
    by both first, plans at 85 % fill took 1 % longer.  Only machine types are looked at whose NIC is ``slower`` than
    the source's, or only those whose NIC is not.
    """
    chosen, chosen_rate, chosen_start = -1, -1, np.int64(FAR)
    soonest_s = source_ready_s(instance, state, moves, placed, vm, source, at_s)
    seen, compared = 0, 0
    wanted = instance.demand[vm, instance.pivot]
    level = level_of(instance, state, instance.demand[vm, 1 - instance.pivot])
    for bucket in range(wanted // instance.bucket_size, state.size_head.shape[2]):
        for kind in range(state.size_head.shape[1]):
            levels = levels_from(state, status, kind, bucket, level)
            while levels != 0 and seen < reach and compared < STARTS_COMPARED:
                roomiest = highest(levels)
                levels &= ~(np.int64(1) << roomiest)
                target = state.size_head[status, kind, bucket, roomiest]
                if not suits(instance, vm, source, kind, target, slower):
                    break
                enough = seen + max(1, reach // LISTS_PER_LOOK)
                while target >= 0 and seen < min(reach, enough) and compared < STARTS_COMPARED:
                    host, target = target, state.size_next[target]
                    seen += 1
                    if not may_host(instance, state, vm, source, host) or not spread_allows(
                        instance, state, vm, host, at_s
                    ):
                        continue
                    start_s, rate = soonest_start(instance, state, moves, placed, vm, source, host, at_s)
                    if start_s < 0:
                        continue
                    compared += 1
                    if start_s < chosen_start:
                        chosen, chosen_rate, chosen_start = host, rate, start_s
                        if start_s <= soonest_s + TOLERATED_DELAY_S:
                            return chosen, chosen_rate, chosen_start
    return chosen, chosen_rate, chosen_start


@internal
def choose_target(
    instance: Instance, state: State, moves: Moves, placed: int, vm: int, source: int, at_s: int, reach: int, lists: int
) -> tuple[int, int, int]:
    """Return target, rate and start for a VM, target -1: no host has room.

    Hosts that the VM can stay on come before hosts still to be drained; among either those whose NIC lets the source
    send at its full rate, and then the fullest that has room, unless its NIC is busy.  ``reach`` hosts are looked at in
    each of the first ``lists`` classes.
    """
    for status in range(lists):
        for slower in (False, True):
            found = look_through(instance, state, moves, placed, vm, source, at_s, reach, status, slower)
            if found[0] >= 0:
                return found
    return -1, -1, np.int64(FAR)


@internal
def on_one_host(
    instance: Instance, state: State, moves: Moves, placed: int, vm: int, source: int, at_s: int, host: int
) -> tuple[int, int, int]:
    """Return ``host``, rate and start for a VM, target -1: it cannot go there as soon as its source lets it."""
    if host < 0 or instance.vm_types[vm] >> instance.type_number[host] & 1 == 0:
        return -1, -1, np.int64(FAR)
    if not may_host(instance, state, vm, source, host) or not spread_allows(instance, state, vm, host, at_s):
        return -1, -1, np.int64(FAR)
    start_s, rate = soonest_start(instance, state, moves, placed, vm, source, host, at_s)
    if start_s < 0 or start_s > source_ready_s(instance, state, moves, placed, vm, source, at_s) + TOLERATED_DELAY_S:
        return -1, -1, np.int64(FAR)
    return host, rate, start_s
