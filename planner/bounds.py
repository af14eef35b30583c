"""Proven lower limits on the makespan and the exposure of any plan; the proofs are in docs/model.md.

All of them hold for every plan of the problem: one that the audit accepts, that patches these hosts, and whose
migrations take a rate of the problem's list, keep its NIC limits and go by the strategy that :mod:`precopy` chooses.
After the canary the other hosts start at ``gate_s`` at the earliest; from there on every host spends its drain and
patch in turn on resources that are limited: the number of hosts out, free memory, free vCPUs.  Two arguments are used:

area
    What all hosts need, resource times time, over what there is of the resource.
instants
    A host that is out for at least ``k * q`` seconds is out at ``k`` of the instants ``gate_s + q - 1 + i * q``.
    So the instants before the makespan, times what the resource holds, are at least what the hosts need.  This sees
    that a fleet needs whole waves, which areas do not.
"""

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
ALL_PERIODS = 96
"""Periods ``q`` up to which all spans, halves and thirds are tried: every one gives a valid bound."""
SOME_PERIODS = 24
"""Evenly chosen ones of more than that, beside those at which a wave is full."""
MOST_WAVES = 24
"""Waves for which the period is sought at which they are just not enough; the last ones give the highest bounds."""
TOLERANCE = 1e-9
"""Quotients are lowered by this share before they are rounded up, so that rounding never lifts a bound."""
RESERVE_ROUNDING = 1e-6
"""Units by which a reserve's share may exceed a whole number and still be it, as in the audit."""


@dataclass(frozen=True)
class Bounds:
    """Lower limits on what any plan can reach."""

    makespan_s: dict[str, float]
    """By the resource that gives it."""
    returns_s: Floats
    """On when the first, second, ... of the plannable hosts is back, shape (hosts,)."""
    exposure_s: float
    """On the sum of the due hosts' return times; hosts left alone count until the makespan."""

    @property
    def binding_resource(self) -> str:
        """The resource that gives the largest bound on the makespan."""
        return max(self.makespan_s, key=lambda name: (self.makespan_s[name], name))

    @property
    def best_s(self) -> float:
        """The largest bound on the makespan."""
        return max(self.makespan_s.values())


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


def compute_bounds(problem: Problem) -> Bounds:
    """Return the bounds on every plan of ``problem`` that patches all its plannable hosts."""
    needs = host_needs(problem)
    if len(needs.host) == 0:
        return Bounds({"chain": 0.0}, np.empty(0), 0.0)
    canary, gate_s = canary_gate(problem, needs)
    makespan = {"chain": _chain(needs, gate_s, canary)}
    exposure = np.sort(needs.earliest_s).astype(np.float64)
    exposure[canary:] = np.maximum(exposure[canary:], gate_s + int((needs.drain_s + needs.patch_s).min()))
    for demand in demands(problem, needs):
        makespan[demand.name] = _demand_bound(demand, canary, gate_s)
        if len(demand.member) == len(needs.host):
            completions = _completions(demand)
            exposure = np.maximum(exposure, completions)
            exposure[canary:] = np.maximum(exposure[canary:], gate_s + completions[: len(exposure) - canary])
    left_alone = int(problem.selected.sum()) - len(needs.host)
    behind_s = left_alone * max(makespan.values()) if left_alone else 0.0
    return Bounds(makespan, exposure, float(exposure.sum()) + behind_s)


def canary_gate(problem: Problem, needs: Needs) -> tuple[int, int]:
    """Return how many hosts may be in the canary wave, and when the others can start at the earliest, in seconds.

    No hosts and 0 s where every host may be in it.
    """
    canary = resolved(problem.policy.canary.hosts, int(problem.selected.sum()))
    if not 0 < canary < len(needs.host):
        return 0, 0
    return canary, int(needs.earliest_s.min()) + problem.policy.canary.bake_s


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
    everyone = np.arange(len(needs.host))
    for kind in range(problem.out.group.shape[1]):
        group = problem.out.group[needs.host, kind]
        for number in np.unique(group[group >= 0]).tolist():
            member = np.flatnonzero(group == number)
            name = "hosts-out:" + ":".join(dict.fromkeys(problem.out.names[number]))
            one = np.ones(len(member))
            most_out = float(problem.out.limit[number])
            area = span_s[member].astype(np.float64)
            yield Demand(name, member, one, span_s[member], most_out, 0, ((area, most_out),))
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


def _chain(needs: Needs, gate_s: int, canary: int) -> float:
    """Return the bound by the longest host: of all, alone; of those behind the canary, after the gate."""
    span_s = np.sort(needs.drain_s + needs.patch_s)
    behind_s = int(span_s[len(span_s) - 1 - canary])
    return float(max(int(needs.earliest_s.max()), gate_s + behind_s))


def _demand_bound(demand: Demand, canary: int, gate_s: int) -> float:
    """Return how long the resource needs for its hosts: for all from the start on, and behind the canary's gate."""
    if demand.limit <= 0:
        return float("inf")
    tried = periods(demand, canary)
    hits = np.sort(demand.amount[:, None] * (demand.span_s[:, None] // tried[None, :]), axis=0)
    areas = [(np.sort(area), limit) for area, limit in demand.areas]
    best = 0.0
    for done, from_s in ((0, 0), (canary, gate_s)):
        kept = len(demand.member) - done
        if kept > 0:
            instants = demand.lead_s + _whole(hits[:kept].sum(axis=0) / demand.limit) * tried
            longest = max(float(instants.max()), *(float(area[:kept].sum()) / limit for area, limit in areas))
            best = max(best, from_s + longest)
    return best


def _completions(demand: Demand) -> Floats:
    """Return a lower limit on when the first, second, ... of the hosts is back after the gate, in seconds."""
    if demand.limit <= 0:
        return np.full(len(demand.member), np.inf)
    best = np.zeros(len(demand.member))
    for area, limit in demand.areas:
        best = np.maximum(best, np.cumsum(np.sort(area)) / limit)
    for period in periods(demand, 0).tolist():
        hits = np.cumsum(np.sort(demand.amount * (demand.span_s // period)))
        best = np.maximum(best, demand.lead_s + _whole(hits / demand.limit) * period)
    return best


def _whole(quotient: Floats) -> Floats:
    return np.ceil(quotient * (1 - TOLERANCE))


def periods(demand: Demand, done: int) -> Ints:
    """Return periods worth trying: spans, halves and thirds; if many, a few and those at which waves are full."""
    spans = np.unique(demand.span_s)
    tried = _fractions(spans)
    if len(tried) > ALL_PERIODS:
        some = tried[np.unique(np.linspace(0, len(tried) - 1, SOME_PERIODS).astype(np.int64))]
        tried = np.unique(
            np.concatenate([some, _fractions(_full_waves(demand, 0)), _fractions(_full_waves(demand, done))])
        )
    return tried


def _fractions(spans: Ints) -> Ints:
    tried = np.unique(np.concatenate([spans, spans // 2, spans // 3]))
    return tried[tried > 0]


def _full_waves(demand: Demand, done: int) -> Ints:
    """Return for each number of waves the longest period that more hosts fill than fit into them, ``done`` left out."""
    order = np.argsort(-demand.span_s, kind="stable")[done:]
    total = np.cumsum(demand.amount[order])
    if not len(total) or demand.limit <= 0:
        return np.empty(0, np.int64)
    waves = int(np.ceil(total[-1] / demand.limit))
    full = np.arange(max(0, waves - MOST_WAVES), waves) * demand.limit
    at = np.searchsorted(total, full, side="right")
    return demand.span_s[order[at[at < len(order)]]]
