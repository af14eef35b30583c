"""What is free beside a reserve from any moment on: VMs that start to move later take their room later.

Capacity on a host is taken from the decision on, for one number says then what a host has left.  The reserve is a sum
over many hosts; here it is kept by time, in a ring of slots, so that half of each drain is not taken from it too early.
Hosts that are out and whose return is near are counted from their return on.
"""

from slacktide.planner.compiled import inlined, internal
from slacktide.planner.listing.arrays import FAR, Instance, Ints, State


@inlined
def slots_ahead(instance: Instance, state: State, at_s: int) -> int:
    """Return how many slots after the present one a moment lies, 0: in it or before, at most the last."""
    return min(max(0, at_s // instance.slot_s - state.counters[3]), state.later.shape[2] - 1)


@internal
def enter(instance: Instance, state: State, host: int, total: Ints, amount: Ints, sign: int, from_s: int) -> None:
    """Add ``amount``, or take it away (``sign`` -1), to a total of each of the host's reserves from a moment on.

    Beyond the ring of slots there is no telling when: it counts at once.
    """
    slots = state.later.shape[2]
    ahead = from_s // instance.slot_s - state.counters[3]
    for family in range(instance.reserve_groups.shape[1]):
        group = instance.reserve_groups[host, family]
        if group >= 0:
            known = sign < 0 and state.stale[group] == 0
            state.stale[group] = 0 if known else 1
            for resource in range(2):
                total[group, resource] += sign * amount[resource]
                if 0 < ahead < slots:
                    state.later[group, resource, (state.counters[3] + ahead) % slots] += sign * amount[resource]
                if known:
                    lower(state, group, resource, amount[resource], ahead if 0 < ahead < slots else 0)


@inlined
def lower(state: State, group: int, resource: int, amount: int, ahead: int) -> None:
    """Take an amount from what is free at least from each slot on: from the slot ``ahead`` on it is taken.

    Before that slot the least can only be what is left from it on, or what it was; it never falls from slot to slot.
    """
    least = state.least[group, resource]
    for slot in range(ahead, least.shape[0]):
        least[slot] -= amount
    slot = ahead - 1
    while slot >= 0 and least[slot] > least[ahead]:
        least[slot] = least[ahead]
        slot -= 1


@internal
def take(instance: Instance, state: State, vm: int, target: int, start_s: int, sign: int) -> None:
    """Take what a VM needs from the reserves of its target from its start on (``sign`` 1), or give it back (-1)."""
    enter(instance, state, target, state.reserve_free, instance.demand[vm], -sign, start_s)


@internal
def expect(instance: Instance, state: State, host: int, return_s: int, sign: int) -> None:
    """Count on a host's return (``sign`` 1), or no longer (-1), as it has returned."""
    enter(instance, state, host, state.coming, instance.capacity[host], sign, return_s + instance.slot_s - 1)


@internal
def renew(state: State, group: int) -> None:
    """Work out what is free at least from each slot on."""
    slots = state.later.shape[2]
    for resource in range(2):
        level = state.reserve_free[group, resource] + state.coming[group, resource]
        least = level
        for ahead in range(slots - 1, -1, -1):
            least = min(least, level)
            state.least[group, resource, ahead] = least
            level -= state.later[group, resource, (state.counters[3] + ahead) % slots]
    state.stale[group] = 0


@inlined
def least_free(instance: Instance, state: State, group: int, resource: int, at_s: int) -> int:
    """Return what a group has free at least from a moment on."""
    if state.stale[group] > 0:
        renew(state, group)
    return state.least[group, resource, slots_ahead(instance, state, at_s)]


@internal
def reserve_ready_s(instance: Instance, state: State, vm: int, host: int, at_s: int) -> int:
    """Return from when on, not before ``at_s``, every reserve that the host belongs to stays free beside the VM."""
    slots = state.later.shape[2]
    for family in range(instance.reserve_groups.shape[1]):
        group = instance.reserve_groups[host, family]
        if group >= 0:
            for resource in range(2):
                wanted = instance.reserve[group, resource] + instance.demand[vm, resource]
                if least_free(instance, state, group, resource, at_s) >= wanted:
                    continue
                if state.least[group, resource, slots - 1] < wanted:
                    return FAR
                ahead = slots_ahead(instance, state, at_s)
                while state.least[group, resource, ahead] < wanted:
                    ahead += 1
                at_s = (state.counters[3] + ahead) * instance.slot_s
    return at_s


@internal
def move_slots(instance: Instance, state: State, at_s: int) -> None:
    """Clear the slots that are over or have begun: what starts in them is taken."""
    slots = state.later.shape[2]
    slot = at_s // instance.slot_s
    if slot == state.counters[3]:
        return
    for past in range(max(state.counters[3] + 1, slot - slots + 1), slot + 1):
        state.later[:, :, past % slots] = 0
    state.counters[3] = slot
    state.stale[:] = 1
