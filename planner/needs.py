"""What each due host takes at least, and the resources that all of them share: what every bound counts."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slacktide.planner.limits import resolved
from slacktide.planner.policy import Policy
from slacktide.planner.problem import Problem

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

RESOURCES = ("vcpus", "memory")
FAR = 2**62
"""More than anything takes."""
TOLERANCE = 1e-9
"""Quotients are lowered by this share before they are rounded up, so that rounding never lifts a bound."""
RESERVE_ROUNDING = 1e-6
"""Units by which a reserve's share may exceed a whole number and still be it, as in the audit."""


@dataclass(frozen=True)
class Needs:
    """What each due host takes at least; n hosts."""

    host: Ints
    drain_s: Ints
    """From the first to the last second of its evictions."""
    patch_s: Ints
    earliest_s: Ints
    """Its return if nothing else were to be done."""
    live_mib: Floats
    """Memory of its VMs that migrate live."""
    sending_s: Floats
    """What these need of its NIC."""
    kept_mib_s: Floats
    """What they take at most on it while they leave, summed over time: those that need the NIC longest leave first."""
    fastest_mib_s: Floats
    """Memory that leaves it in a second of its NIC at most, of whatever VM that has room beside its own."""


@dataclass(frozen=True)
class Demand:
    """One limited resource: what each host takes of it, and how much there is."""

    name: str
    member: Ints
    """Places among the due hosts of those that need it."""
    amount: Floats
    """Taken while a host is out (or patched), shape (members,)."""
    span_s: Ints
    """How long at least, shape (members,)."""
    limit: float
    lead_s: int
    """From the gate to the first moment at which a host can take it."""
    areas: tuple[tuple[Floats, float], ...]
    """Resource times seconds of each host, shape (members,), and what there is of it while these are taken."""


def canary_size(policy: Policy, selected: int) -> int:
    """Return how many of the selected hosts are in the canary wave, 0: there is none."""
    canary, most = resolved(policy.canary.hosts, selected), policy.gates.max_wave_hosts
    return canary if most is None else min(canary, max(1, resolved(most, selected)))


def canary_gate(problem: Problem, needs: Needs, *, complete: bool = True) -> tuple[int, int]:
    """Return how many hosts are in the canary wave, and when the others can start at the earliest, in seconds.

    No hosts and 0 s where every host may be in it.  Unless it is ``complete`` the wave may have one host alone.
    """
    canary = canary_size(problem.policy, int(problem.selected.sum()))
    if not 0 < canary < len(needs.host):
        return 0, 0
    last = canary - 1 if complete else 0
    return canary, int(np.partition(needs.earliest_s, last)[last]) + problem.policy.canary.bake_s


def canary_places(problem: Problem, needs: Needs) -> Ints:
    """Return the places among the due hosts of the canary: the hosts that are back soonest."""
    canary, _ = canary_gate(problem, needs)
    return np.argsort(needs.earliest_s, kind="stable")[:canary]


def host_needs(problem: Problem) -> Needs:
    """Return what each due host takes at least, whatever else the plan does."""
    hosts, vms, network = problem.hosts, problem.vms, problem.network
    due = np.flatnonzero(hosts.due)
    most_mbit_s = network.egress_mbit_s[vms.host]
    shortest_s, traffic = np.full((2, len(vms.host)), FAR)
    for rate_mbit_s, duration_s in zip(vms.rates_mbit_s.tolist(), vms.duration_s.T, strict=True):
        usable = (duration_s >= 0) & (most_mbit_s >= rate_mbit_s)
        np.minimum(shortest_s, duration_s, out=shortest_s, where=usable)
        np.minimum(traffic, duration_s * rate_mbit_s, out=traffic, where=usable)
    of_due = hosts.due[vms.host]
    total = np.bincount(vms.host[of_due], weights=traffic[of_due], minlength=len(hosts.ids))
    longest_s, latest_s = np.zeros(len(hosts.ids), np.int64), np.zeros(len(hosts.ids), np.int64)
    np.maximum.at(longest_s, vms.host[of_due], shortest_s[of_due])
    np.maximum.at(latest_s, vms.host[of_due], (shortest_s + vms.notice_s)[of_due])
    egress = np.maximum(network.egress_mbit_s, 1).astype(np.float64)
    leaving = np.flatnonzero(of_due & ~vms.restart & (traffic < FAR))
    live_mib, sending_s, kept_mib_s = _leaving(
        vms.host[leaving], vms.demand[leaving, 1], traffic[leaving] / egress[vms.host[leaving]], len(hosts.ids)
    )
    drain_s = np.maximum(longest_s, np.ceil(total / egress * (1 - TOLERANCE)).astype(np.int64))
    patch_s = hosts.maintenance_s
    return Needs(
        host=due,
        drain_s=drain_s[due],
        patch_s=patch_s[due],
        earliest_s=(np.maximum(drain_s, latest_s) + patch_s)[due],
        live_mib=live_mib[due],
        sending_s=sending_s[due],
        kept_mib_s=kept_mib_s[due],
        fastest_mib_s=np.maximum(
            _densest(problem, counted_capacity(problem)[due, 1] - live_mib[due]) * egress[due], TOLERANCE
        ),
    )


def _densest(problem: Problem, spare_mib: Floats) -> Floats:
    """Return how much memory a Mbit that is sent moves at most, of any VM that fits into each of ``spare_mib``."""
    vms = problem.vms
    sent = np.full(len(vms.host), FAR)
    for rate_mbit_s, duration_s in zip(vms.rates_mbit_s.tolist(), vms.duration_s.T, strict=True):
        np.minimum(sent, duration_s * rate_mbit_s, out=sent, where=duration_s > 0)
    live = np.flatnonzero(~vms.restart & (sent > 0) & (sent < FAR))
    live = live[np.argsort(vms.demand[live, 1], kind="stable")]
    mib = vms.demand[live, 1].astype(np.float64)
    densest = np.maximum.accumulate(np.append(0.0, mib / sent[live]))
    return np.asarray(densest[np.searchsorted(mib, spare_mib, side="right")])


def _leaving(host: Ints, mib: Ints, sending_s: Floats, hosts: int) -> tuple[Floats, Floats, Floats]:
    """Return what the VMs of each host take together, how long they are sent, and MiB seconds that they stay at most.

    The VMs have a host, a size and a time on its NIC each.  They stay longest where those of most memory in a second of
    the NIC leave last; each is taken to leave bit by bit.
    """
    order = np.lexsort((mib / np.maximum(sending_s, TOLERANCE), host))
    left_mib = np.bincount(host, weights=mib, minlength=hosts).astype(np.float64)
    gone_mib = np.cumsum(mib[order]) - mib[order] / 2
    before_mib = np.cumsum(left_mib) - left_mib
    stays_mib = (before_mib + left_mib)[host[order]] - gone_mib
    kept_mib_s = np.bincount(host[order], weights=stays_mib * sending_s[order], minlength=hosts)
    sent_s = np.bincount(host, weights=sending_s, minlength=hosts).astype(np.float64)
    return left_mib, sent_s, kept_mib_s.astype(np.float64)


def demands(problem: Problem, needs: Needs) -> Iterator[Demand]:
    """Yield every limited resource: hosts out by group, free memory, free vCPUs."""
    span_s = needs.drain_s + needs.patch_s
    for kind in range(problem.out.group.shape[1]):
        group = problem.out.group[needs.host, kind]
        by_group = np.argsort(group, kind="stable")
        numbers, first = np.unique(group[by_group], return_index=True)
        for number, member in zip(numbers.tolist(), np.split(by_group, first[1:]), strict=True):
            if number < 0:
                continue
            name = "hosts-out:" + ":".join(dict.fromkeys(problem.out.names[number]))
            one = np.ones(len(member))
            most_out = float(problem.out.limit[number])
            area = span_s[member].astype(np.float64)
            yield Demand(name, member, one, span_s[member], most_out, 0, ((area, most_out),))
    yield from free_room(problem, needs)


def counted_capacity(problem: Problem) -> Floats:
    """Return what each host counts with in the bounds: its capacity, or what it holds from the start if more.

    Shape (N, 2), vCPUs and MiB; docs/model.md says why.
    """
    hosts, vms = problem.hosts, problem.vms
    held = [np.bincount(vms.host, weights=column, minlength=len(hosts.ids)) for column in vms.demand.T]
    return np.maximum(hosts.capacity, np.stack(held, axis=1))


def beside_reserve(problem: Problem) -> Floats:
    """Return what is free on hosts in service at the start beside the fleet's reserve: vCPUs and MiB.

    A fleet that is short of its reserve may stay as short.  What overfull hosts hold beyond their capacity others may
    take as soon as these hosts are out.
    """
    hosts, vms = problem.hosts, problem.vms
    sold = hosts.capacity[hosts.in_service].sum(axis=0)
    free = sold - vms.demand[hosts.in_service[vms.host]].sum(axis=0)
    lacking = hosts.lacking[hosts.in_service].sum(axis=0)
    overfull = counted_capacity(problem)[hosts.in_service].sum(axis=0) - sold + lacking
    reserved = problem.policy.reserve.share * hosts.sold[hosts.in_service].sum(axis=0)
    spare = free - lacking - np.ceil(reserved - RESERVE_ROUNDING)
    return np.asarray(np.where(overfull > 0, np.maximum(spare, 0.0) + overfull, spare))


def free_room(problem: Problem, needs: Needs) -> Iterator[Demand]:
    """Yield the limited resources of :data:`RESOURCES`: free vCPUs, free memory."""
    everyone = np.arange(len(needs.host))
    hosts, vms = problem.hosts, problem.vms
    counted, limits = counted_capacity(problem), beside_reserve(problem)
    restarted_mib = float(vms.demand[vms.restart & hosts.in_service[vms.host], 1].sum())
    for resource, name in enumerate(RESOURCES):
        capacity = counted[needs.host, resource]
        limit = float(limits[resource])
        areas: tuple[tuple[Floats, float], ...] = ((capacity * needs.patch_s, limit),)
        if name == "memory":
            areas = (
                (_drained_area(needs, capacity, restarted_mib, _shortest_restart_s(problem)), limit),
                (_drained_area(needs, capacity, 0.0, 0), limit + restarted_mib),
            )
        yield Demand(name, everyone, capacity, needs.patch_s, limit, int(needs.drain_s.min()), areas)


def _shortest_restart_s(problem: Problem) -> int:
    """Return how long a restart takes at least, of any VM, 0: none restarts."""
    duration_s = problem.vms.duration_s[problem.vms.restart]
    return int(duration_s[duration_s >= 0].min(initial=FAR)) if (duration_s >= 0).any() else 0


def _drained_area(needs: Needs, capacity: Floats, restarted_mib: float, restart_s: int) -> Floats:
    """Return what drains and patches take of free memory, in MiB s.

    VMs of ``restarted_mib`` restart in all, in ``restart_s`` at least: on each host as many as fit beside its live VMs,
    up to that long before the end of its drain.  Other VMs may have come to a host meanwhile and leave last: none, or
    as many as are worst, and as fast as any.
    """
    beside_mib = capacity - needs.live_mib
    restarts_mib = np.minimum(beside_mib, restarted_mib)
    spare_mib = beside_mib - restarts_mib
    last_s = np.minimum(restart_s, needs.sending_s)
    none_came = spare_mib * needs.sending_s + restarts_mib * last_s
    came_mib = np.maximum(spare_mib, np.minimum(needs.fastest_mib_s * last_s - needs.live_mib, beside_mib))
    filled_s = (2 * needs.live_mib + came_mib) / (2 * needs.fastest_mib_s)
    some_came = came_mib * filled_s + (beside_mib - came_mib) * last_s
    draining = needs.live_mib * needs.sending_s - needs.kept_mib_s + np.minimum(none_came, some_came)
    return np.asarray(capacity * needs.patch_s + draining)
