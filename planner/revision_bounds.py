"""Lower limits on what any revision can reach; the proof is in docs/model.md."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from slacktide.planner.bounds import Bounds, compute_bounds
from slacktide.planner.listing.decisions import Schedule, Underway
from slacktide.planner.needs import Demand, demands, host_needs
from slacktide.planner.policy import Canary, Reserve
from slacktide.planner.problem import Problem
from slacktide.planner.weights import THOUSANDTHS

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

UNDER_WAY = "under-way"
"""The resource that binds where hosts that are out already come back last."""


def revision_bounds(problem: Problem, schedule: Schedule, underway: Underway, canary_hosts: int) -> Bounds:
    """Return the bounds on every revision that patches, or evacuates, the hosts of ``schedule``, on the parent's clock.

    What goes on is taken from ``underway``; the others can leave from its ``from_s`` on, behind a canary of
    ``canary_hosts`` if that is still to come, and share with it what is limited.
    """
    from_s = underway.from_s
    underway = _planned(underway, schedule)
    back_s = _back_s(problem, underway)
    ahead = np.zeros(len(problem.hosts.ids), np.bool_)
    ahead[schedule.host] = True
    ahead[underway.host] = False
    evacuated = problem.hosts.evacuated
    canary = problem.policy.canary.model_copy(update={"hosts": canary_hosts}) if not underway.waves else Canary()
    rest = _rest(problem, schedule, ahead, from_s, canary)
    own = compute_bounds(rest, fluid=False, complete=False)
    makespan = {name: from_s + bound_s for name, bound_s in own.makespan_s.items()}
    makespan = makespan if (ahead | rest.hosts.evacuated).any() else {}
    makespan[UNDER_WAY] = float(back_s.max(initial=0))
    for demand, later_s in _after_those_out(rest, underway, back_s):
        makespan[demand.name] = max(makespan[demand.name], later_s)
    returns_s = np.sort(np.concatenate([from_s + own.returns_s, back_s[~evacuated[underway.host]]]))
    left_alone = int(problem.selected.sum()) - int((~evacuated[schedule.host]).sum())
    exposure_s = float(returns_s.sum()) + (left_alone * max(makespan.values()) if left_alone else 0.0)
    return Bounds(makespan, returns_s, exposure_s, _weighted_s(problem, schedule, returns_s, max(makespan.values())))


def _weighted_s(problem: Problem, schedule: Schedule, returns_s: Floats, makespan_s: float) -> float:
    """Return the bound on the weighted exposure: the heaviest hosts are back first, the deferred ones at the end."""
    weight = problem.hosts.weight / THOUSANDTHS
    deferred = problem.selected.copy()
    deferred[schedule.host] = False
    patched = schedule.host[~problem.hosts.evacuated[schedule.host]]
    return float(-np.sort(-weight[patched]) @ returns_s + weight[deferred].sum() * makespan_s)


def _planned(underway: Underway, schedule: Schedule) -> Underway:
    """Return what is under way without hosts whose drain has been given up."""
    kept = np.isin(underway.host, schedule.host)
    return replace(underway, host=underway.host[kept], return_s=underway.return_s[kept])


def _back_s(problem: Problem, underway: Underway) -> Floats:
    """Return when each host that is out is back: as expected, or as soon as it can be drained and patched."""
    leaving_s = np.full(len(problem.hosts.ids), underway.from_s, np.int64)
    np.maximum.at(leaving_s, underway.source, underway.end_s)
    soonest_s = leaving_s[underway.host] + problem.hosts.maintenance_s[underway.host]
    return np.where(underway.return_s >= 0, underway.return_s, soonest_s).astype(np.float64)


def _rest(problem: Problem, schedule: Schedule, ahead: NDArray[np.bool_], from_s: int, canary: Canary) -> Problem:
    """Return the problem of the hosts that are still to leave, with the notices that have been given taken off.

    A reserve that the fleet is short of for a while is left out: it only lengthens a plan.
    """
    vms, evacuated = problem.vms, problem.hosts.evacuated
    notice_s = vms.notice_s.copy()
    told = schedule.start_s >= from_s
    np.minimum.at(notice_s, schedule.vm[told], np.maximum(0, schedule.start_s[told] - from_s))
    out = np.zeros(len(problem.hosts.ids), np.bool_)
    out[schedule.host] = ~ahead[schedule.host]
    policy = problem.policy.model_copy(update={"canary": canary})
    if _short(problem, out):
        policy = policy.model_copy(update={"reserve": Reserve()})
    return replace(
        problem,
        policy=policy,
        hosts=replace(problem.hosts, due=ahead & ~evacuated, evacuated=ahead & evacuated),
        vms=replace(vms, notice_s=notice_s),
        selected=ahead & ~evacuated,
        deferred=(),
    )


def _short(problem: Problem, out: NDArray[np.bool_]) -> bool:
    """Return whether the hosts in service have less free than the reserve asks for."""
    hosts, vms = problem.hosts, problem.vms
    serving = hosts.in_service & ~out
    free = hosts.capacity[serving].sum(axis=0) - vms.demand[serving[vms.host]].sum(axis=0)
    free -= vms.demand[out[vms.host]].sum(axis=0)
    sold = hosts.sold[hosts.in_service].sum(axis=0)
    return bool((free < problem.policy.reserve.share * sold).any())


def _after_those_out(rest: Problem, underway: Underway, back_s: Floats) -> Iterator[tuple[Demand, float]]:
    """Yield each limited resource with when it suffices for the rest, if those that are out keep their part of it."""
    needs = host_needs(rest)
    if not len(needs.host):
        return
    order = np.argsort(back_s, kind="stable")
    host, back_s, known = underway.host[order], back_s[order], underway.return_s[order] >= 0
    numbers = {":".join(dict.fromkeys(names)): number for number, names in enumerate(rest.out.names)}
    groups = rest.out.group[host]
    for demand in demands(rest, needs):
        kind, _, name = demand.name.partition(":")
        if kind == "hosts-out":
            taken = (groups == numbers[name]).any(axis=1).astype(np.float64)
        else:
            taken = rest.hosts.capacity[host, 0 if kind == "vcpus" else 1] * known.astype(np.float64)
        for area, limit in demand.areas:
            yield demand, enough_s(limit, taken, back_s, underway.from_s, float(area.sum()))


def enough_s(limit: float, taken: Floats, until_s: Floats, from_s: int, needed: float) -> float:
    """Return when ``needed``, amount times seconds, has been there at the earliest.

    Of the amount ``limit`` there is what those leave who have ``taken`` some ``until_s``, and never less than nothing.
    """
    if limit <= 0:
        return float("inf") if needed > 0 else float(from_s)
    order = np.argsort(until_s, kind="stable")
    moments = np.concatenate([[float(from_s)], np.maximum(until_s[order], from_s)])
    held = np.concatenate([[taken.sum()], taken.sum() - np.cumsum(taken[order])])
    there = np.maximum(0.0, limit - held)
    given = np.concatenate([[0.0], np.cumsum(there[:-1] * np.diff(moments))])
    at = int(np.searchsorted(given, needed, side="left")) - 1
    at = max(0, at)
    return float(moments[at] + (needed - given[at]) / max(there[at], 1e-12) * (1 - 1e-9))
