"""Hosts that are evacuated: they leave before all others, and do not come back.

What is under way goes on; nobody else begins to leave while such a host waits for its turn.  It waits for a place among
the hosts out, for room, and for VMs that are on their way to it.
"""

import numpy as np

from slacktide.planner.compiled import inlined, internal
from slacktide.planner.listing.arrays import CLOSED, DUE, FAR, Begun, Instance, Ints, Moves, Promises, State
from slacktide.planner.listing.decisions import EVACUATION
from slacktide.planner.listing.draining import (
    arrived_s,
    evicted_vms,
    leave,
    may_leave,
    place_all,
    stay,
    still_arriving,
)
from slacktide.planner.listing.outcome import Outcome, start_host, too_short
from slacktide.planner.listing.promises import add_load, hold_left


@inlined
def to_evacuate(instance: Instance, state: State) -> int:
    """Return how many hosts that are evacuated have not begun to leave."""
    count = 0
    for host in range(instance.evacuated.shape[0]):
        if instance.evacuated[host] > 0 and state.status[host] == DUE:
            count += 1
    return count


@internal
def evacuate_due(
    instance: Instance, state: State, moves: Moves, promises: Promises, out: Outcome, urgent: int, at_s: int
) -> tuple[int, int]:
    """Let hosts leave that are evacuated, so many as are ``urgent``.

    Returns how many still wait, and when the first of these has all VMs that are on their way to it.
    """
    left, arrival_s = 0, np.int64(FAR)
    if urgent == 0:
        return left, arrival_s
    for host in range(instance.evacuated.shape[0]):
        if instance.evacuated[host] == 0 or state.status[host] != DUE or out.counts[2] > 0:
            continue
        left += 1
        if still_arriving(state, host, at_s):
            arrival_s = min(arrival_s, arrived_s(state, host))
            continue
        if not may_leave(instance, state, host, at_s):
            continue
        vms = evicted_vms(instance, state, host)
        if too_short(moves, out, vms.shape[0]):
            out.counts[2] = 1
        elif places_all(instance, state, moves, promises, host, vms, at_s):
            return_s = start_host(instance, state, moves, out, host, 0, vms.shape[0], at_s, EVACUATION)
            out.hosts[out.counts[0] - 1, 2] = at_s
            add_load(instance, promises, host, at_s, return_s, 1)
            left -= 1
    return left, arrival_s


@internal
def places_all(
    instance: Instance, state: State, moves: Moves, promises: Promises, host: int, vms: Ints, at_s: int
) -> bool:
    """Take a host out of service and book a place for each of its VMs, or change nothing and return False.

    Where it must be, VMs take the room that others were promised, and those of a patched host go to unpatched ones:
    either is better than a VM that fails with its host.
    """
    everywhere = state.status.shape[0]
    leave(instance, state, host)
    if place_all(instance, state, moves, 0, host, vms, at_s, everywhere, np.int64(FAR)):
        return True
    hold_left(instance, state, promises, -1)
    placed = place_all(instance, state, moves, 0, host, vms, at_s, everywhere, np.int64(FAR))
    patched = state.patched[host]
    if not placed and patched > 0:
        state.patched[host] = 0
        placed = place_all(instance, state, moves, 0, host, vms, at_s, everywhere, np.int64(FAR))
        state.patched[host] = 0 if placed else patched
    hold_left(instance, state, promises, 1)
    if not placed:
        stay(instance, state, host)
    return placed


@inlined
def drains_late(promises: Promises, begun: Begun) -> bool:
    """Return whether a host that has begun to leave waits for a target of its last moves."""
    late = 0
    for place in range(promises.progress[1]):
        late += begun.of_host[promises.host[promises.late[place]]] >= 0
    return late > 0


@internal
def given_up(instance: Instance, state: State, promises: Promises, begun: Begun, next_s: int) -> bool:
    """Leave hosts alone that found no room if nothing is to come back or arrive any more; return whether it was so.

    They take no VM all the same.  ``next_s`` is when the next host is back, or the next VM there.
    """
    if next_s < FAR or drains_late(promises, begun):
        return False
    for host in range(instance.evacuated.shape[0]):
        if instance.evacuated[host] > 0 and state.status[host] == DUE:
            state.status[host] = CLOSED
    return True
