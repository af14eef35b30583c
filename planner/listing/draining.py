"""Draining one host: every VM finds its place, or nothing changes."""

import numpy as np

from slacktide.planner.compiled import inlined, internal
from slacktide.planner.listing.arrays import (
    CLOSED,
    DUE,
    FAR,
    IDLE_COMPARED,
    KEEPS,
    OUT,
    SHORT_NOTICE_S,
    Instance,
    Ints,
    Moves,
    State,
)
from slacktide.planner.listing.reserving import expect, least_free, take
from slacktide.planner.listing.room import use_links
from slacktide.planner.listing.targets import choose_target, enlist, highest, level_of, levels_from, on_one_host, unlist


@internal
def place(instance: Instance, state: State, moves: Moves, at: int, source: int, sign: int) -> None:
    """Book the move number ``at`` of the draining host (``sign`` 1), or cancel the booking (-1)."""
    vm, target = moves.vm[at], moves.target[at]
    for resource in range(2):
        state.free[target, resource] -= sign * instance.demand[vm, resource]
    take(instance, state, vm, target, moves.start_s[at], sign)
    enlist(instance, state, target)
    rate_mbit_s = instance.rates_mbit_s[moves.rate[at]]
    pair = instance.access_class[source] * instance.classes + instance.access_class[target]
    use_links(instance, state, pair, rate_mbit_s, moves.start_s[at], moves.end_s[at], sign)
    if sign > 0:
        moves.old_start_s[at], moves.old_end_s[at] = state.vm_start[vm], state.vm_end[vm]
        moves.old_source[at] = state.vm_source[vm]
        state.vm_start[vm], state.vm_end[vm] = moves.start_s[at], moves.end_s[at]
        state.vm_host[vm], state.vm_source[vm] = target, source
        slot = state.counters[0]
        state.counters[0] = state.interval[slot, 3]
        state.interval[slot, 0], state.interval[slot, 1] = moves.start_s[at], moves.end_s[at]
        state.interval[slot, 2], state.interval[slot, 3] = rate_mbit_s, state.inbound[target]
        state.inbound[target] = slot
    else:
        state.vm_start[vm], state.vm_end[vm] = moves.old_start_s[at], moves.old_end_s[at]
        state.vm_host[vm], state.vm_source[vm] = source, moves.old_source[at]
        slot = state.inbound[target]
        state.inbound[target] = state.interval[slot, 3]
        state.interval[slot, 3] = state.counters[0]
        state.counters[0] = slot


@inlined
def still_arriving(state: State, host: int, at_s: int) -> bool:
    """Return whether a VM is still on its way to the host."""
    at = state.inbound[host]
    while at >= 0:
        if state.interval[at, 1] > at_s:
            return True
        at = state.interval[at, 3]
    return False


@inlined
def arrived_s(state: State, host: int) -> int:
    """Return when the last VM on its way to the host is there, 0: none was."""
    last_s = np.int64(0)
    at = state.inbound[host]
    while at >= 0:
        last_s = max(last_s, state.interval[at, 1])
        at = state.interval[at, 3]
    return last_s


@internal
def evicted_vms(instance: Instance, state: State, host: int) -> Ints:
    """Return the VMs on a host, the largest first: it is the hardest to place, and fails soonest."""
    count = 0
    vm = state.host_vm[host]
    while vm >= 0:
        count += 1
        vm = state.next_vm[vm]
    vms = np.empty(count, np.int64)
    keys = np.empty(count, np.int64)
    at = 0
    vm = state.host_vm[host]
    while vm >= 0:
        vms[at] = vm
        keys[at] = -instance.demand[vm, instance.pivot]
        at += 1
        vm = state.next_vm[vm]
    return vms[np.argsort(keys, kind="mergesort")]


@internal
def release_s(instance: Instance, host: int, vms: Ints) -> int:
    """Return from when on a drain of the host is not held up by the longest notice."""
    rate = np.searchsorted(instance.rates_mbit_s, instance.egress_mbit_s[host], side="right") - 1
    notice_s, total_s = np.int64(0), np.int64(0)
    for vm in vms:
        notice_s = max(notice_s, instance.notice_s[vm])
        total_s += max(1, instance.duration_s[vm, rate])
    return instance.from_s + notice_s - total_s


@inlined
def drained_in_s(instance: Instance, state: State, host: int) -> int:
    """Return how long the evictions of a host take if nothing holds them up."""
    rate = np.searchsorted(instance.rates_mbit_s, instance.egress_mbit_s[host], side="right") - 1
    total_s = np.int64(0)
    vm = state.host_vm[host]
    while vm >= 0:
        total_s += max(0, instance.duration_s[vm, rate])
        vm = state.next_vm[vm]
    return total_s


@inlined
def change_service(instance: Instance, state: State, host: int, sign: int) -> None:
    """Count a host out (``sign`` 1) or in again (-1), with its free capacity."""
    for kind in range(instance.out_groups.shape[1]):
        group = instance.out_groups[host, kind]
        if group >= 0:
            state.out_count[group] += sign
    for family in range(instance.reserve_groups.shape[1]):
        group = instance.reserve_groups[host, family]
        if group >= 0:
            state.stale[group] = 1
            for resource in range(2):
                state.reserve_free[group, resource] -= sign * state.free[host, resource]


@inlined
def may_leave(instance: Instance, state: State, host: int, at_s: int) -> bool:
    """Return whether the limits on hosts out and the reserve let one host more leave service."""
    for kind in range(instance.out_groups.shape[1]):
        group = instance.out_groups[host, kind]
        if group >= 0 and state.out_count[group] >= instance.out_limit[group]:
            return False
    for family in range(instance.reserve_groups.shape[1]):
        group = instance.reserve_groups[host, family]
        if group >= 0:
            for resource in range(2):
                left = least_free(instance, state, group, resource, at_s) - state.free[host, resource]
                if left < instance.reserve[group, resource]:
                    return False
    return True


@inlined
def finds_room(instance: Instance, state: State, host: int, at_s: int) -> bool:
    """Return whether what a host would take out of service, with its VMs placed, is there beside the reserve.

    It is if all of it is by the end of a drain, and what is left in the middle by then.  Only reserves that every host
    belongs to say so: wherever the VMs go, they take room of the same group.
    """
    for family in range(instance.reserve_groups.shape[1]):
        group = instance.reserve_groups[host, family]
        if group >= 0 and instance.reserve_of_all[group] > 0:
            drain_s = drained_in_s(instance, state, host)
            for resource in range(2):
                wanted = instance.reserve[group, resource] + instance.capacity[host, resource]
                used = instance.capacity[host, resource] - state.free[host, resource]
                if least_free(instance, state, group, resource, at_s + drain_s) < wanted:
                    return False
                if least_free(instance, state, group, resource, at_s + drain_s // 2) < wanted - used // 2:
                    return False
    return True


@inlined
def fits_now(instance: Instance, state: State, host: int) -> bool:
    """Return whether a host has room beside the reserves of all hosts without anybody's return."""
    for family in range(instance.reserve_groups.shape[1]):
        group = instance.reserve_groups[host, family]
        if group >= 0 and instance.reserve_of_all[group] > 0:
            for resource in range(2):
                left = state.reserve_free[group, resource] - instance.capacity[host, resource]
                if left < instance.reserve[group, resource]:
                    return False
    return True


@inlined
def takes_all(instance: Instance, state: State, host: int, wanted: Ints, at_s: int) -> bool:
    """Return whether a host that keeps its VMs has room for an amount, and nothing is on its way to it."""
    return (
        state.status[host] == KEEPS
        and state.free[host, 0] - state.held[host, 0] >= wanted[0]
        and state.free[host, 1] - state.held[host, 1] >= wanted[1]
        and not still_arriving(state, host, at_s)
    )


@internal
def one_host_for_all(instance: Instance, state: State, source: int, vms: Ints, at_s: int) -> int:
    """Return a host that all VMs can stay on, with no stream under way, the fullest that has room, -1: none.

    A host that comes back from its patch is empty and takes a host of its type whole: its NIC carries one full stream,
    the VMs move once, and no free space is scattered.  One in the same rack comes before all others: its streams leave
    the rack's uplinks to those that need them.
    """
    wanted = np.zeros(2, np.int64)
    for vm in vms:
        wanted[0] += instance.demand[vm, 0]
        wanted[1] += instance.demand[vm, 1]
    near = -1
    for at in range(instance.rack_start[instance.rack[source]], instance.rack_start[instance.rack[source] + 1]):
        host = instance.rack_hosts[at]
        if takes_all(instance, state, host, wanted, at_s) and (
            near < 0 or state.free[host, instance.pivot] < state.free[near, instance.pivot]
        ):
            near = host
    if near >= 0:
        return near
    level = level_of(instance, state, wanted[1 - instance.pivot])
    for bucket in range(wanted[instance.pivot] // instance.bucket_size, state.size_head.shape[2]):
        for kind in range(state.size_head.shape[1]):
            levels = levels_from(state, KEEPS, kind, bucket, level)
            while levels != 0:
                roomiest = highest(levels)
                levels &= ~(np.int64(1) << roomiest)
                host, seen = state.size_head[KEEPS, kind, bucket, roomiest], 0
                while host >= 0 and seen < IDLE_COMPARED:
                    if takes_all(instance, state, host, wanted, at_s):
                        return host
                    host, seen = state.size_next[host], seen + 1
    return -1


@inlined
def leave(instance: Instance, state: State, host: int) -> None:
    """Take a host out of service."""
    unlist(instance, state, host)
    state.status[host] = OUT
    change_service(instance, state, host, 1)


@inlined
def stay(instance: Instance, state: State, host: int) -> None:
    """Put a host back that found no room for its VMs."""
    change_service(instance, state, host, -1)
    state.status[host] = DUE
    enlist(instance, state, host)


@inlined
def notice_from_s(instance: Instance, state: State, vm: int, at_s: int) -> int:
    """Return when a VM can start to move at the earliest if all is decided at ``at_s``."""
    told_s = instance.from_s if state.vm_source[vm] < 0 else max(instance.from_s, state.vm_end[vm])
    return max(at_s, told_s + instance.notice_s[vm])


@internal
def place_all(
    instance: Instance,
    state: State,
    moves: Moves,
    booked: int,
    host: int,
    vms: Ints,
    at_s: int,
    reach: int,
    until_s: int,
) -> bool:
    """Find a place for each of ``vms`` and book it, or book none and return False.

    The first ``booked`` of ``moves`` are booked already, and stay.  Hosts still to be drained are no targets if
    ``until_s`` is negative, nor for VMs that would hold them up with a long notice beyond it.  Where one host takes
    all, the smallest go first: the others then take no room there for longer.
    """
    whole = one_host_for_all(instance, state, host, vms, at_s)
    for count in range(vms.shape[0]):
        vm, at = vms[count if whole < 0 else vms.shape[0] - 1 - count], booked + count
        ready_s = notice_from_s(instance, state, vm, at_s)
        notice_s = instance.notice_s[vm]
        twice = until_s >= 0 and (notice_s <= SHORT_NOTICE_S or ready_s + notice_s <= until_s)
        lists = DUE + 1 if twice else DUE
        target, rate, start_s = on_one_host(instance, state, moves, at, vm, host, ready_s, whole)
        if target < 0:
            target, rate, start_s = choose_target(instance, state, moves, at, vm, host, ready_s, reach, lists)
        if target < 0:
            cancel(instance, state, moves, booked, at, host)
            return False
        moves.vm[at], moves.target[at], moves.rate[at] = vm, target, rate
        moves.start_s[at], moves.end_s[at] = start_s, start_s + instance.duration_s[vm, rate]
        place(instance, state, moves, at, host, 1)
    return True


@internal
def cancel(instance: Instance, state: State, moves: Moves, kept: int, booked: int, host: int) -> None:
    """Cancel the bookings of a host but for the first ``kept``, the last first."""
    for at in range(booked - 1, kept - 1, -1):
        place(instance, state, moves, at, host, -1)


@internal
def drain(
    instance: Instance, state: State, moves: Moves, host: int, vms: Ints, at_s: int, reach: int, until_s: int
) -> bool:
    """Place every VM of the host and book it, or change nothing and return False."""
    leave(instance, state, host)
    if place_all(instance, state, moves, np.int64(0), host, vms, at_s, reach, until_s):
        return True
    stay(instance, state, host)
    return False


@internal
def forget_inbound(state: State, host: int, until_s: int) -> None:
    """Drop the intervals on a host's NIC that ended by ``until_s``."""
    before = -1
    at = state.inbound[host]
    while at >= 0:
        behind = state.interval[at, 3]
        if state.interval[at, 1] <= until_s:
            if before < 0:
                state.inbound[host] = behind
            else:
                state.interval[before, 3] = behind
            state.interval[at, 3] = state.counters[0]
            state.counters[0] = at
        else:
            before = at
        at = behind


@internal
def commit(state: State, moves: Moves, host: int, first: int, count: int, at_s: int, rows: Ints, row: int) -> None:
    """Write the booked moves of a host down and hand its VMs over; those before ``first`` are written already."""
    state.host_vm[host] = -1
    forget_inbound(state, host, np.int64(FAR))
    for at in range(first, count):
        vm, target, to = moves.vm[at], moves.target[at], row + at - first
        state.next_vm[vm] = state.host_vm[target]
        state.host_vm[target] = vm
        forget_inbound(state, target, at_s)
        rows[to, 0], rows[to, 1], rows[to, 2] = vm, host, target
        rows[to, 3], rows[to, 4], rows[to, 5] = moves.start_s[at], moves.end_s[at], moves.rate[at]


@internal
def give_back(instance: Instance, state: State, host: int, return_s: int) -> None:
    """Return a patched, empty host to service, whose return has been counted on."""
    state.free[host] = instance.capacity[host]
    expect(instance, state, host, return_s, -1)
    change_service(instance, state, host, -1)
    state.status[host] = KEEPS
    state.counters[2] += 1
    state.patched[host] = 1
    enlist(instance, state, host)


@internal
def end_evacuation(instance: Instance, state: State, host: int) -> None:
    """Give back an evacuated host's place among the hosts out; its capacity is gone."""
    for kind in range(instance.out_groups.shape[1]):
        group = instance.out_groups[host, kind]
        if group >= 0:
            state.out_count[group] -= 1
    state.status[host] = CLOSED
    state.counters[2] += 1


@internal
def move_time(instance: Instance, state: State, at_s: int) -> None:
    """Clear the buckets of link use that lie in the past."""
    ring = state.bundle_use.shape[1]
    bucket = at_s // instance.bucket_s
    if bucket - state.counters[1] >= ring:
        state.bundle_use[:] = 0.0
    else:
        for past in range(state.counters[1], bucket):
            state.bundle_use[:, past % ring] = 0.0
    state.counters[1] = bucket
