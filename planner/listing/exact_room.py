"""Whether a move with a given start fits a service's limits, whatever the order in which moves were booked.

A pass that looks for a start may be on the safe side; a promised move is refused only if it breaks a limit.
"""

from slacktide.planner.compiled import inlined, internal
from slacktide.planner.listing.arrays import Instance, State
from slacktide.planner.listing.room import spread_allows


@internal
def service_allows(instance: Instance, state: State, vm: int, start_s: int, end_s: int) -> bool:
    """Return whether the VM's service may move it from ``start_s`` to ``end_s``, beside what is booked."""
    service = instance.service[vm]
    if service < 0:
        return True
    first, last = instance.service_start[service], instance.service_start[service + 1]
    if last - first <= instance.max_moving[service]:
        return True
    for at in range(first, last):
        other = instance.service_vms[at]
        if other == vm or state.vm_start[other] >= end_s or state.vm_end[other] <= start_s:
            continue
        moment = max(state.vm_start[other], start_s)
        moving = 1
        for each in range(first, last):
            third = instance.service_vms[each]
            if third != vm and state.vm_start[third] <= moment < state.vm_end[third]:
                moving += 1
        if moving > instance.max_moving[service]:
            return False
    return True


@inlined
def counted_in(instance: Instance, state: State, service: int, vm: int, domain: int, at_s: int) -> int:
    """Return how many VMs of a service, ``vm`` left out, take room in a domain at a moment."""
    domain_of = instance.spread_domain[instance.spread_kind[service]]
    count = 0
    for at in range(instance.service_start[service], instance.service_start[service + 1]):
        other = instance.service_vms[at]
        if other == vm:
            continue
        moving = state.vm_source[other] >= 0
        here = domain_of[state.vm_host[other]] == domain and (not moving or state.vm_start[other] <= at_s)
        if not here and moving and state.vm_end[other] > at_s:
            here = domain_of[state.vm_source[other]] == domain
        if here:
            count += 1
    return count


@internal
def spread_allows_from(instance: Instance, state: State, vm: int, target: int, start_s: int) -> bool:
    """Return whether the VM's service stays within its limit in the target's domain from ``start_s`` on."""
    if spread_allows(instance, state, vm, target, start_s):
        return True
    service = instance.service[vm]
    limit = instance.spread_limit[service]
    domain_of = instance.spread_domain[instance.spread_kind[service]]
    domain = domain_of[target]
    if counted_in(instance, state, service, vm, domain, start_s) >= limit:
        return False
    for at in range(instance.service_start[service], instance.service_start[service + 1]):
        other = instance.service_vms[at]
        comes = other != vm and state.vm_source[other] >= 0 and state.vm_start[other] > start_s
        comes = comes and domain_of[state.vm_host[other]] == domain
        if comes and counted_in(instance, state, service, vm, domain, state.vm_start[other]) >= limit:
            return False
    return True
