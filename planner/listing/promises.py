"""What promises hold: the capacity that promised moves will take on their targets, and the places of hosts out.

Hosts that are to leave take no other VM meanwhile, and a host that is decided anew leaves only if no later promise
needs its place.  So what is decided anew disturbs little.
"""

import numpy as np

from slacktide.planner.compiled import inlined, internal
from slacktide.planner.listing.arrays import FAR, Instance, Ints, Promises, State
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


@internal
def hold_left(instance: Instance, state: State, promises: Promises, sign: int) -> None:
    """Hold what promised hosts need that are still to leave (``sign`` 1), or let go of it (-1)."""
    for place in range(promises.progress[1]):
        hold(instance, state, promises, promises.late[place], sign)
    for number in range(promises.progress[0], promises.host.shape[0]):
        hold(instance, state, promises, number, sign)


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
def add_promised_load(instance: Instance, promises: Promises, number: int, sign: int) -> None:
    """Note that a promised host will be out as it is expected to be (``sign`` 1), or no more (-1)."""
    from_s = promises.due_s[number] + promises.behind_s
    until_s = promises.return_s[number] + promises.behind_s
    add_load(instance, promises, promises.host[number], from_s, until_s, sign)


@internal
def move_load(instance: Instance, promises: Promises, number: int, from_s: int, until_s: int) -> None:
    """Note when a promised host that has left will be out, in place of when it was expected to be."""
    late_s = promises.behind_s
    if from_s == promises.due_s[number] + late_s and until_s == promises.return_s[number] + late_s:
        return
    add_promised_load(instance, promises, number, -1)
    add_load(instance, promises, promises.host[number], from_s, until_s, 1)


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


@inlined
def promises_left(promises: Promises) -> bool:
    """Return whether a promised host is still to leave."""
    return promises.progress[0] < promises.host.shape[0] or promises.progress[1] > 0


@inlined
def next_promise_s(promises: Promises) -> int:
    """Return when the next promised host is to leave that is not late."""
    return promises.due_s[promises.progress[0]] if promises.progress[0] < promises.host.shape[0] else np.int64(FAR)
