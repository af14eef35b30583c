"""Keeping what has been promised: a host leaves at its moment, and every move of it that still fits stays as it is.

Capacity that promised moves will take is held on their targets, hosts that are to leave take no other VM meanwhile, and
a host that is decided anew leaves only if no later promise needs its place.  So what is decided anew disturbs little.
"""

import numpy as np

from slacktide.planner.compiled import inlined, internal
from slacktide.planner.listing.arrays import (
    DUE,
    KEEPS,
    ROUNDING_MBIT_S,
    Begun,
    Instance,
    Ints,
    Moves,
    Promises,
    State,
)
from slacktide.planner.listing.draining import (
    cancel,
    evicted_vms,
    leave,
    may_leave,
    notice_from_s,
    place,
    place_all,
    stay,
    still_arriving,
)
from slacktide.planner.listing.exact_room import service_allows, spread_allows_from
from slacktide.planner.listing.reserving import reserve_ready_s
from slacktide.planner.listing.room import most_inbound, most_outbound
from slacktide.planner.listing.targets import enlist

RESERVED_WHOLE = 2**48
"""More than any host has: held on a host that is to leave at its promised moment, so that it takes no other VM."""


@internal
def hold_all(instance: Instance, state: State, promises: Promises) -> None:
    """Hold what promised moves will take, and the promised hosts themselves."""
    for number in range(promises.host.shape[0]):
        hold(instance, state, promises, number, 1)


@internal
def hold(instance: Instance, state: State, promises: Promises, number: int, sign: int) -> None:
    """Hold what one promised host and its moves need (``sign`` 1), or let go of it (-1)."""
    for at in range(promises.first[number], promises.first[number + 1]):
        target = promises.target[at]
        if target >= 0:
            for resource in range(2):
                state.held[target, resource] += sign * instance.demand[promises.vm[at], resource]
            enlist(instance, state, target)
    host = promises.host[number]
    for resource in range(2):
        state.held[host, resource] += sign * RESERVED_WHOLE
    enlist(instance, state, host)


@inlined
def instants(promises: Promises, span_s: int) -> int:
    """Return how many of the instants at which loads are counted lie before ``span_s``."""
    return (span_s + promises.step_s - 1) // promises.step_s


@inlined
def add_load(instance: Instance, promises: Promises, host: int, from_s: int, until_s: int, sign: int) -> None:
    """Note that a host is out in an interval (``sign`` 1), or will not be (-1)."""
    first = max(0, instants(promises, from_s - instance.from_s))
    last = min(promises.load.shape[1], instants(promises, until_s - instance.from_s))
    for column in range(promises.load_group.shape[1]):
        group = promises.load_group[host, column]
        if group >= 0:
            for second in range(first, last):
                promises.load[group, second] += sign * promises.load_weight[host, column]


@internal
def leaves_room(instance: Instance, promises: Promises, host: int, vms: Ints, at_s: int, before_s: int) -> bool:
    """Return whether a host that leaves now is back by ``before_s``, and before a later promise needs its place."""
    rate = np.searchsorted(instance.rates_mbit_s, instance.egress_mbit_s[host], side="right") - 1
    span_s = instance.maintenance_s[host]
    for vm in vms:
        span_s += max(1, instance.duration_s[vm, rate])
    if at_s + span_s > before_s:
        return False
    first = instants(promises, at_s - instance.from_s)
    last = min(promises.load.shape[1], instants(promises, at_s + span_s - instance.from_s))
    for column in range(promises.load_group.shape[1]):
        group = promises.load_group[host, column]
        if group >= 0:
            most = promises.load_limit[group] - promises.load_weight[host, column]
            for second in range(first, last):
                if promises.load[group, second] > most:
                    return False
    return True


@internal
def fits(
    instance: Instance, state: State, moves: Moves, placed: int, promises: Promises, at: int, host: int, at_s: int
) -> bool:
    """Return whether a promised move can be made as it is."""
    vm, target, rate = promises.vm[at], promises.target[at], promises.rate[at]
    start_s, end_s = promises.start_s[at], promises.end_s[at]
    if state.vm_host[vm] != host or target < 0 or target == host or rate < 0 or start_s < at_s:
        return False
    if state.status[target] != KEEPS and (state.status[target] != DUE or promises.settled[at] > 0):
        return False
    told = promises.told[at] > 0 and state.vm_source[vm] < 0
    if not told and start_s < notice_from_s(instance, state, vm, at_s):
        return False
    if instance.duration_s[vm, rate] < 0 or end_s - start_s < instance.duration_s[vm, rate]:
        return False
    if instance.vm_types[vm] >> instance.type_number[target] & 1 == 0:
        return False
    if instance.one_way and state.patched[host] > state.patched[target]:
        return False
    for resource in range(2):
        if instance.demand[vm, resource] > state.free[target, resource]:
            return False
    if reserve_ready_s(instance, state, vm, target, start_s) > start_s or not streams_fit(
        instance, state, moves, placed, host, target, rate, start_s, end_s
    ):
        return False
    return spread_allows_from(instance, state, vm, target, start_s) and service_allows(
        instance, state, vm, start_s, end_s
    )


@inlined
def streams_fit(
    instance: Instance,
    state: State,
    moves: Moves,
    placed: int,
    source: int,
    target: int,
    rate: int,
    start_s: int,
    end_s: int,
) -> bool:
    """Return whether both NICs and every shared link carry one stream more in an interval."""
    ring = state.bundle_use.shape[1]
    if end_s > (state.counters[1] + ring - 1) * instance.bucket_s:
        return False
    rate_mbit_s = instance.rates_mbit_s[rate]
    if rate_mbit_s == 0:
        return True
    if most_outbound(instance, moves, placed, start_s, end_s) > instance.egress_mbit_s[source] - rate_mbit_s:
        return False
    if most_inbound(state, target, start_s, end_s) > instance.ingress_mbit_s[target] - rate_mbit_s:
        return False
    pair = instance.access_class[source] * instance.classes + instance.access_class[target]
    if rate_mbit_s > instance.path_mbit_s[pair]:
        return False
    for at in range(instance.route_start[pair], instance.route_start[pair + 1]):
        bundle = instance.route_bundle[at]
        room = instance.bundle_limit[bundle] - rate_mbit_s * instance.route_share[at] + ROUNDING_MBIT_S
        for bucket in range(start_s // instance.bucket_s, (end_s - 1) // instance.bucket_s + 1):
            if state.bundle_use[bundle, bucket % ring] > room:
                return False
    return True


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


@internal
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
) -> tuple[int, bool]:
    """Book a promised host; return how many moves it has now, -1: it cannot leave, and whether all are as promised.

    Moves that no longer fit, and VMs that nothing has been promised to, get another place.
    """
    host = promises.host[number]
    out = begun.of_host[host] >= 0
    if not out and (not may_leave(instance, state, host, at_s) or still_arriving(state, host, at_s)):
        return -1, False
    if not out:
        leave(instance, state, host)
    before = under_way(moves, begun, host)
    placed = before
    for at in range(promises.first[number], promises.first[number + 1]):
        if fits(instance, state, moves, placed, promises, at, host, at_s):
            moves.vm[placed], moves.target[placed] = promises.vm[at], promises.target[at]
            moves.rate[placed] = promises.rate[at]
            moves.start_s[placed], moves.end_s[placed] = promises.start_s[at], promises.end_s[at]
            place(instance, state, moves, placed, host, 1)
            placed += 1
    rest = left_on(state, host, evicted_vms(instance, state, host))
    if rest.shape[0] == 0:
        return placed, True
    if place_all(instance, state, moves, placed, host, rest, at_s, reach, until_s):
        return placed + rest.shape[0], False
    cancel(instance, state, moves, before, placed, host)
    if not out:
        stay(instance, state, host)
    return -1, False


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
