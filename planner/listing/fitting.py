"""Whether a promised move can be made: as it is, a little later, or no more."""

from slacktide.planner.compiled import inlined, internal
from slacktide.planner.listing.arrays import (
    CLOSED,
    DUE,
    OUT,
    PATIENCE_S,
    ROUNDING_MBIT_S,
    Instance,
    Moves,
    Promises,
    State,
)
from slacktide.planner.listing.draining import notice_from_s, place
from slacktide.planner.listing.exact_room import service_allows, spread_allows_from
from slacktide.planner.listing.reserving import reserve_ready_s
from slacktide.planner.listing.room import most_inbound, most_outbound
from slacktide.planner.listing.targets import soonest_start

KEPT = 0
MOVED = 1
"""Kept, but not to the second."""
NOT_YET = 2
"""Not now, but soon, if others do what they have promised."""
NEVER = 3


@internal
def keep_move(
    instance: Instance,
    state: State,
    moves: Moves,
    placed: int,
    promises: Promises,
    at: int,
    host: int,
    at_s: int,
    late_s: int,
) -> int:
    """Book a promised move of a host that is so late, in time with the host or a little later; or say why not."""
    can_go = goes(instance, state, promises, at, host)
    if can_go != KEPT:
        return can_go
    vm, target = promises.vm[at], promises.target[at]
    start_s, end_s = promises.start_s[at] + late_s, promises.end_s[at] + late_s
    moves.vm[placed], moves.target[placed], moves.rate[placed] = vm, target, promises.rate[at]
    moves.start_s[placed], moves.end_s[placed] = start_s, end_s
    ready_s = notice_from_s(instance, state, vm, at_s)
    if promises.told_s[at] >= 0 and state.vm_source[vm] < 0:
        ready_s = max(at_s, promises.told_s[at] + instance.notice_s[vm])
    if start_s >= ready_s and fits(instance, state, moves, placed, host):
        place(instance, state, moves, placed, host, 1)
        return KEPT
    ready_s = max(start_s, ready_s)
    later_s, rate = soonest_start(instance, state, moves, placed, vm, host, target, ready_s)
    if later_s < 0 or later_s > ready_s + PATIENCE_S:
        return NOT_YET
    if not spread_allows_from(instance, state, vm, target, later_s):
        return NOT_YET
    moves.rate[placed] = rate
    moves.start_s[placed], moves.end_s[placed] = later_s, later_s + instance.duration_s[vm, rate]
    place(instance, state, moves, placed, host, 1)
    return MOVED


@inlined
def goes(instance: Instance, state: State, promises: Promises, at: int, host: int) -> int:
    """Return whether the VM of a promised move is there and its target takes it, whatever the moment."""
    vm, target, rate = promises.vm[at], promises.target[at], promises.rate[at]
    if state.vm_host[vm] != host or target < 0 or target == host or rate < 0 or state.status[target] == CLOSED:
        return NEVER
    if instance.evacuated[target] > 0:
        return NEVER
    span_s = promises.end_s[at] - promises.start_s[at]
    if instance.duration_s[vm, rate] < 0 or span_s < instance.duration_s[vm, rate]:
        return NEVER
    if instance.vm_types[vm] >> instance.type_number[target] & 1 == 0:
        return NEVER
    if state.status[target] == OUT:
        return NOT_YET
    if state.status[target] == DUE and promises.settled[at] > 0:
        return NOT_YET if promises.of_host[target] >= 0 else NEVER
    if instance.one_way and state.patched[host] > state.patched[target]:
        return NEVER
    for resource in range(2):
        if instance.demand[vm, resource] > state.free[target, resource]:
            return NEVER
    return KEPT


@internal
def fits(instance: Instance, state: State, moves: Moves, at: int, host: int) -> bool:
    """Return whether reserves, NICs, links and the VM's service let the move number ``at`` be made, not booked yet."""
    vm, target, start_s, end_s = moves.vm[at], moves.target[at], moves.start_s[at], moves.end_s[at]
    if reserve_ready_s(instance, state, vm, target, start_s) > start_s or not streams_fit(
        instance, state, moves, at, host, target, moves.rate[at], start_s, end_s
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
