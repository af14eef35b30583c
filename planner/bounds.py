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

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from slacktide.planner.alike import classes_of
from slacktide.planner.condensing import condensed
from slacktide.planner.fluid import slot_length_s, solve_flow
from slacktide.planner.needs import TOLERANCE, Demand, Needs, canary_gate, demands, host_needs
from slacktide.planner.problem import Problem
from slacktide.planner.wave_bound import wave_returns_s
from slacktide.planner.weights import THOUSANDTHS

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

ALL_PERIODS = 96
"""Periods ``q`` up to which all spans, halves and thirds are tried: every one gives a valid bound."""
SOME_PERIODS = 24
"""Evenly chosen ones of more than that, beside those at which a wave is full."""
FEWEST_HOSTS = 64
"""Due hosts from which on the fluid program is solved: of fewer, whole hosts count, which it does not see."""
BINS = 3
"""Bins of times out in each class of hosts: 2 lose half a percent of the exposure, 4 take twice the time."""
HORIZON = 1.15
"""End of the fluid program over the bound on the makespan; hosts that return later are counted as at the end."""
MOST_WAVES = 24
"""Waves for which the period is sought at which they are just not enough; the last ones give the highest bounds."""

EVACUATED = "evacuated"
"""The resource that binds where the last host that is evacuated is empty after all others are back."""


@dataclass(frozen=True)
class Bounds:
    """Lower limits on what any plan can reach."""

    makespan_s: dict[str, float]
    """By the resource that gives it."""
    returns_s: Floats
    """On when the first, second, ... of the plannable hosts is back, shape (hosts,)."""
    exposure_s: float
    """On the sum of the due hosts' return times; hosts left alone count until the makespan."""
    weighted_exposure_s: float
    """The same, each host's time times its weight; equal to ``exposure_s`` where the policy has no weights."""

    @property
    def binding_resource(self) -> str:
        """The resource that gives the largest bound on the makespan."""
        return max(self.makespan_s, key=lambda name: (self.makespan_s[name], name))

    @property
    def best_s(self) -> float:
        """The largest bound on the makespan."""
        return max(self.makespan_s.values())


def compute_bounds(problem: Problem, *, fluid: bool = True, complete: bool = True) -> Bounds:
    """Return the bounds on every plan of ``problem`` that patches, and evacuates, all hosts that it can.

    Without ``fluid`` the exposure's bound is lower where failure domains bind, and found in milliseconds.  Unless it is
    ``complete`` the canary may have fewer hosts than the policy asks for, and a wave may have begun that others join;
    that goes without ``fluid``.
    """
    needs, evacuated = host_needs(problem), evacuation_bound(problem)
    if len(needs.host) == 0:
        return Bounds({"chain": 0.0, **evacuated}, np.empty(0), 0.0, 0.0)
    canary, gate_s = canary_gate(problem, needs, complete=complete)
    makespan = {"chain": _chain(needs, gate_s, canary), **evacuated}
    exposure = np.sort(needs.earliest_s).astype(np.float64)
    exposure[canary:] = np.maximum(exposure[canary:], gate_s + int((needs.drain_s + needs.patch_s).min()))
    for demand in demands(problem, needs):
        makespan[demand.name] = _demand_bound(demand, canary, gate_s)
        if len(demand.member) == len(needs.host):
            completions = _completions(demand)
            exposure = np.maximum(exposure, completions)
            exposure[canary:] = np.maximum(exposure[canary:], gate_s + completions[: len(exposure) - canary])
    waves_s = wave_returns_s(problem, needs, canary, gate_s) if complete else None
    if waves_s is not None:
        makespan["waves"] = float(waves_s[-1])
        exposure = np.maximum(exposure, waves_s)
    left_alone = int(problem.selected.sum()) - len(needs.host)
    returns_s, behind_s = float(exposure.sum()), left_alone * max(makespan.values()) if left_alone else 0.0
    alike = np.ones(len(needs.host))
    if fluid:
        returns_s = max(returns_s, fluid_exposure_s(problem, needs, alike, max(makespan.values())))
    exposure_s = returns_s + behind_s
    if not problem.policy.weights:
        return Bounds(makespan, exposure, exposure_s, exposure_s)
    return Bounds(makespan, exposure, exposure_s, _weighted_s(problem, needs, exposure, max(makespan.values()), fluid))


def evacuation_bound(problem: Problem) -> dict[str, float]:
    """Return the bound on when the last evacuated host is empty: its VMs have their notice, and leave by its NIC."""
    if not problem.hosts.evacuated.any():
        return {}
    needs = host_needs(replace(problem, hosts=replace(problem.hosts, due=problem.hosts.evacuated)))
    empty_s = float(needs.earliest_s.max())
    return {EVACUATED: empty_s} if empty_s > 0 else {}


def fluid_exposure_s(
    problem: Problem, needs: Needs, weight: Floats, makespan_s: float, fewest_hosts: int = FEWEST_HOSTS
) -> float:
    """Return the bound that the fluid program gives on the sum of return times, each times its host's weight.

    ``weight`` has shape (due hosts,); ``makespan_s`` is a known bound.  0 where the program gives none.
    """
    if len(needs.host) < fewest_hosts or not np.isfinite(makespan_s):
        return 0.0
    out_s = (needs.drain_s + needs.patch_s).astype(np.float64)
    classes, _ = classes_of(problem, needs, out_s, BINS, weight=weight)
    if not (classes.room > 0).all():
        return 0.0
    horizon_s = HORIZON * makespan_s - classes.gate_s
    slot_s = slot_length_s(classes, horizon_s)
    flow = solve_flow(condensed(classes, slot_s), horizon_s, slot_s)
    return 0.0 if flow is None else flow.bound_s


def _weighted_s(problem: Problem, needs: Needs, returns_s: Floats, makespan_s: float, fluid: bool) -> float:
    """Return the bound on the weighted exposure: the heaviest first, every host at its earliest, or the program's."""
    weight = problem.hosts.weight / THOUSANDTHS
    left_alone = problem.selected & ~problem.hosts.due
    behind_s = float(weight[left_alone].sum()) * makespan_s if left_alone.any() else 0.0
    due = weight[needs.host]
    in_order_s = float(np.dot(-np.sort(-due), returns_s))
    fluid_s = fluid_exposure_s(problem, needs, due, makespan_s) if fluid else 0.0
    return max(in_order_s, float(np.dot(due, needs.earliest_s)), fluid_s) + behind_s


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
