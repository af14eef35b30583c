"""What each due host takes at least, and the resources that all of them share: what every bound counts."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slacktide.planner.limits import resolved
from slacktide.planner.problem import Problem
from slacktide.units import mib_s

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

RESOURCES = ("vcpus", "memory")
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
    """Memory that must cross its NIC."""
    egress_mib_s: Floats


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


def canary_gate(problem: Problem, needs: Needs) -> tuple[int, int]:
    """Return how many hosts may be in the canary wave, and when the others can start at the earliest, in seconds.

    No hosts and 0 s where every host may be in it.
    """
    canary = resolved(problem.policy.canary.hosts, int(problem.selected.sum()))
    if not 0 < canary < len(needs.host):
        return 0, 0
    return canary, int(needs.earliest_s.min()) + problem.policy.canary.bake_s


def canary_places(problem: Problem, needs: Needs) -> Ints:
    """Return the places among the due hosts of the canary: the hosts that are back soonest."""
    canary, _ = canary_gate(problem, needs)
    return np.argsort(needs.earliest_s, kind="stable")[:canary]


def expected_gate_s(problem: Problem, needs: Needs) -> int:
    """Return when the hosts behind the canary can start if the canary has all its hosts, in seconds."""
    canary, _ = canary_gate(problem, needs)
    if canary == 0:
        return 0
    return int(np.partition(needs.earliest_s, canary - 1)[canary - 1]) + problem.policy.canary.bake_s


def host_needs(problem: Problem) -> Needs:
    """Return what each due host takes at least, whatever else the plan does."""
    hosts, vms, network = problem.hosts, problem.vms, problem.network
    due = np.flatnonzero(hosts.due)
    usable = (vms.duration_s >= 0) & (vms.rates_mbit_s[None, :] <= network.egress_mbit_s[vms.host][:, None])
    far = np.int64(2**62)
    shortest_s = np.where(usable, vms.duration_s, far).min(axis=1)
    traffic = np.where(usable, vms.duration_s * vms.rates_mbit_s[None, :], far).min(axis=1)
    of_due = hosts.due[vms.host]
    total = np.bincount(vms.host[of_due], weights=traffic[of_due], minlength=len(hosts.ids))
    longest_s, latest_s = np.zeros(len(hosts.ids), np.int64), np.zeros(len(hosts.ids), np.int64)
    np.maximum.at(longest_s, vms.host[of_due], shortest_s[of_due])
    np.maximum.at(latest_s, vms.host[of_due], (shortest_s + vms.notice_s)[of_due])
    live = of_due & ~vms.restart
    live_mib = np.bincount(vms.host[live], weights=vms.demand[live, 1], minlength=len(hosts.ids))
    egress = np.maximum(network.egress_mbit_s, 1).astype(np.float64)
    drain_s = np.maximum(longest_s, np.ceil(total / egress * (1 - TOLERANCE)).astype(np.int64))
    patch_s = hosts.maintenance_s
    return Needs(
        host=due,
        drain_s=drain_s[due],
        patch_s=patch_s[due],
        earliest_s=(np.maximum(drain_s, latest_s) + patch_s)[due],
        live_mib=live_mib[due].astype(np.float64),
        egress_mib_s=mib_s(egress)[due],
    )


def demands(problem: Problem, needs: Needs) -> Iterator[Demand]:
    """Yield every limited resource: hosts out by group, free memory, free vCPUs."""
    span_s = needs.drain_s + needs.patch_s
    for kind in range(problem.out.group.shape[1]):
        group = problem.out.group[needs.host, kind]
        by_group = np.argsort(group, kind="stable")
        by_group = by_group[group[by_group] >= 0]
        numbers, first = np.unique(group[by_group], return_index=True)
        for number, member in zip(numbers.tolist(), np.split(by_group, first[1:]), strict=False):
            name = "hosts-out:" + ":".join(dict.fromkeys(problem.out.names[number]))
            one = np.ones(len(member))
            most_out = float(problem.out.limit[number])
            area = span_s[member].astype(np.float64)
            yield Demand(name, member, one, span_s[member], most_out, 0, ((area, most_out),))
    yield from free_room(problem, needs)


def free_room(problem: Problem, needs: Needs) -> Iterator[Demand]:
    """Yield the limited resources of :data:`RESOURCES`: free vCPUs, free memory."""
    everyone = np.arange(len(needs.host))
    hosts, vms = problem.hosts, problem.vms
    sold = hosts.capacity[hosts.in_service].sum(axis=0)
    used = vms.demand[hosts.in_service[vms.host]].sum(axis=0)
    reserve = np.ceil(problem.policy.reserve.share * sold - RESERVE_ROUNDING)
    restarted_mib = float(vms.demand[vms.restart & hosts.in_service[vms.host], 1].sum())
    for resource, name in enumerate(RESOURCES):
        capacity = hosts.capacity[needs.host, resource].astype(np.float64)
        limit = float(sold[resource] - used[resource] - reserve[resource])
        areas: tuple[tuple[Floats, float], ...] = ((capacity * needs.patch_s, limit),)
        if name == "memory":
            kept_mib = np.minimum(capacity - needs.live_mib, restarted_mib)
            areas = (
                (_drained_area(needs, capacity, kept_mib), limit),
                (_drained_area(needs, capacity, 0.0), limit + restarted_mib),
            )
        yield Demand(name, everyone, capacity, needs.patch_s, limit, int(needs.drain_s.min()), areas)


def _drained_area(needs: Needs, capacity: Floats, kept_mib: Floats | float) -> Floats:
    """Return what drains and patches take of free memory, in MiB s, if ``kept_mib`` of each host restart at the end."""
    sending_s = needs.live_mib / needs.egress_mib_s
    return capacity * needs.patch_s + sending_s * (2 * (capacity - kept_mib) - needs.live_mib) / 2
