"""When a stream, a service and a failure domain have room for one migration more."""

import numpy as np

from slacktide.planner.compiled import inlined, internal
from slacktide.planner.listing.arrays import FAR, ROUNDING_MBIT_S, Instance, Moves, State


@inlined
def rate_between(instance: Instance, vm: int, source: int, target: int) -> int:
    """Return the number of the fastest rate at which the VM can go from source to target, -1: none."""
    if instance.duration_s[vm, 0] >= 0:
        return 0
    pair = instance.access_class[source] * instance.classes + instance.access_class[target]
    most = min(instance.egress_mbit_s[source], instance.ingress_mbit_s[target])
    most = min(most, np.int64(min(instance.path_mbit_s[pair], 1e15)))
    rate = np.searchsorted(instance.rates_mbit_s, most, side="right") - 1
    if rate < 1 or instance.duration_s[vm, rate] < 0:
        return -1
    return rate


@inlined
def spread_allows(instance: Instance, state: State, vm: int, target: int, start_s: int) -> bool:
    """Return whether the VM's service stays within its limit in the target's domain, sources counted until they end."""
    service = instance.service[vm]
    if service < 0 or instance.spread_kind[service] < 0:
        return True
    domain_of = instance.spread_domain[instance.spread_kind[service]]
    domain = domain_of[target]
    if domain < 0 or domain == domain_of[state.vm_host[vm]]:
        return True
    count = 1
    for at in range(instance.service_start[service], instance.service_start[service + 1]):
        other = instance.service_vms[at]
        if other == vm:
            continue
        here = domain_of[state.vm_host[other]] == domain
        if not here and state.vm_end[other] > start_s and state.vm_source[other] >= 0:
            here = domain_of[state.vm_source[other]] == domain
        if here:
            count += 1
            if count > instance.spread_limit[service]:
                return False
    return True


@inlined
def after_service(instance: Instance, state: State, vm: int, start_s: int, duration_s: int) -> int:
    """Return the earliest start from ``start_s`` on at which the service may move one VM more."""
    service = instance.service[vm]
    if service < 0:
        return start_s
    first, last = instance.service_start[service], instance.service_start[service + 1]
    if last - first <= instance.max_moving[service]:
        return start_s
    while True:
        moving, soonest = 0, np.int64(FAR)
        for at in range(first, last):
            other = instance.service_vms[at]
            if other != vm and state.vm_start[other] < start_s + duration_s and state.vm_end[other] > start_s:
                moving += 1
                soonest = min(soonest, state.vm_end[other])
        if moving < instance.max_moving[service]:
            return start_s
        start_s = soonest


@inlined
def after_inbound(instance: Instance, state: State, target: int, rate: int, start_s: int, duration_s: int) -> int:
    """Return the earliest start from ``start_s`` on at which the target's NIC has ``rate`` left throughout."""
    limit = instance.ingress_mbit_s[target] - instance.rates_mbit_s[rate]
    while True:
        total, soonest, latest, exclusive = np.int64(0), np.int64(FAR), np.int64(0), True
        at = state.inbound[target]
        while at >= 0:
            begin, end, used = state.interval[at, 0], state.interval[at, 1], state.interval[at, 2]
            if begin < start_s + duration_s and end > start_s:
                total += used
                soonest, latest = min(soonest, end), max(latest, end)
                exclusive = exclusive and used > limit
            at = state.interval[at, 3]
        if total <= limit:
            return start_s
        if exclusive:
            start_s = latest
        elif most_inbound(state, target, start_s, start_s + duration_s) <= limit:
            return start_s
        else:
            start_s = soonest


@internal
def most_inbound(state: State, target: int, start_s: int, end_s: int) -> int:
    """Return the largest total of the streams into a host between two moments; it is reached when a stream begins."""
    most = np.int64(0)
    at = state.inbound[target]
    while at >= 0:
        if state.interval[at, 0] < end_s and state.interval[at, 1] > start_s:
            moment, used = max(state.interval[at, 0], start_s), np.int64(0)
            other = state.inbound[target]
            while other >= 0:
                if state.interval[other, 0] <= moment < state.interval[other, 1]:
                    used += state.interval[other, 2]
                other = state.interval[other, 3]
            most = max(most, used)
        at = state.interval[at, 3]
    return most


@inlined
def after_outbound(instance: Instance, moves: Moves, placed: int, limit: int, start_s: int, duration_s: int) -> int:
    """Return the earliest start from ``start_s`` on at which the draining host's NIC has room throughout."""
    while True:
        total, soonest, latest, exclusive = np.int64(0), np.int64(FAR), np.int64(0), True
        for at in range(placed):
            if moves.start_s[at] < start_s + duration_s and moves.end_s[at] > start_s:
                used = instance.rates_mbit_s[moves.rate[at]]
                total += used
                if used > 0:
                    soonest, latest = min(soonest, moves.end_s[at]), max(latest, moves.end_s[at])
                    exclusive = exclusive and used > limit
        if total <= limit:
            return start_s
        if exclusive:
            start_s = latest
        elif most_outbound(instance, moves, placed, start_s, start_s + duration_s) <= limit:
            return start_s
        else:
            start_s = soonest


@internal
def most_outbound(instance: Instance, moves: Moves, placed: int, start_s: int, end_s: int) -> int:
    """Return the largest total of the streams out of the draining host between two moments."""
    most = np.int64(0)
    for at in range(placed):
        if moves.start_s[at] < end_s and moves.end_s[at] > start_s:
            moment, used = max(moves.start_s[at], start_s), np.int64(0)
            for other in range(placed):
                if moves.start_s[other] <= moment < moves.end_s[other]:
                    used += instance.rates_mbit_s[moves.rate[other]]
            most = max(most, used)
    return most


@inlined
def after_links(instance: Instance, state: State, pair: int, rate_mbit_s: int, start_s: int, duration_s: int) -> int:
    """Return the earliest start from ``start_s`` on at which all shared links carry the stream throughout."""
    first, last = instance.route_start[pair], instance.route_start[pair + 1]
    ring = state.bundle_use.shape[1]
    beyond_s = (state.counters[1] + ring) * instance.bucket_s
    again = True
    while again and start_s < beyond_s:
        again = False
        for at in range(first, last):
            bundle = instance.route_bundle[at]
            room = instance.bundle_limit[bundle] - rate_mbit_s * instance.route_share[at] + ROUNDING_MBIT_S
            bucket = (start_s + duration_s - 1) // instance.bucket_s
            while bucket >= start_s // instance.bucket_s:
                if state.bundle_use[bundle, bucket % ring] > room:
                    start_s = (bucket + 1) * instance.bucket_s
                    again = True
                    break
                bucket -= 1
    return start_s


@inlined
def use_links(
    instance: Instance, state: State, pair: int, rate_mbit_s: float, start_s: int, end_s: int, sign: float
) -> None:
    """Add a stream to the links of its route (``sign`` 1), or take it away (-1)."""
    ring = state.bundle_use.shape[1]
    for at in range(instance.route_start[pair], instance.route_start[pair + 1]):
        bundle = instance.route_bundle[at]
        for bucket in range(start_s // instance.bucket_s, (end_s - 1) // instance.bucket_s + 1):
            state.bundle_use[bundle, bucket % ring] += sign * rate_mbit_s * instance.route_share[at]


@inlined
def earliest_start(
    instance: Instance, state: State, moves: Moves, placed: int, vm: int, source: int, target: int, rate: int, at_s: int
) -> int:
    """Return the earliest start from ``at_s`` on that every NIC, link and service limit allows, -1: none in reach."""
    if rate < 0:
        return -1
    duration_s = instance.duration_s[vm, rate]
    rate_mbit_s = instance.rates_mbit_s[rate]
    pair = instance.access_class[source] * instance.classes + instance.access_class[target]
    outbound = instance.egress_mbit_s[source] - rate_mbit_s
    horizon_s = (state.counters[1] + state.bundle_use.shape[1] - 1) * instance.bucket_s
    start_s = at_s
    while start_s + duration_s <= horizon_s:
        before_s = start_s
        start_s = after_service(instance, state, vm, start_s, duration_s)
        if rate_mbit_s > 0:
            start_s = after_outbound(instance, moves, placed, outbound, start_s, duration_s)
            start_s = after_inbound(instance, state, target, rate, start_s, duration_s)
            if start_s + duration_s > horizon_s:
                return -1
            start_s = after_links(instance, state, pair, rate_mbit_s, start_s, duration_s)
        if start_s == before_s:
            return start_s
    return -1


@internal
def source_ready_s(instance: Instance, state: State, moves: Moves, placed: int, vm: int, source: int, at_s: int) -> int:
    """Return the earliest start from ``at_s`` on that the source's NIC and the VM's service allow, to any target."""
    rate = np.searchsorted(instance.rates_mbit_s, instance.egress_mbit_s[source], side="right") - 1
    if instance.duration_s[vm, 0] >= 0:
        rate = 0
    duration_s = max(1, instance.duration_s[vm, rate])
    start_s = after_service(instance, state, vm, at_s, duration_s)
    return after_outbound(
        instance, moves, placed, instance.egress_mbit_s[source] - instance.rates_mbit_s[rate], start_s, duration_s
    )
