"""The master problem: what each cell may use of what the whole fleet shares.

Hosts out and free capacity are shared so that the cells' bounds are alike (:mod:`slacktide.planner.apportioning`),
links by the traffic that cells are likely to send over them.  A service's ``max_moving`` and spread limit are shared by
its VMs; where that would leave a cell with none it gets one all the same, and the pass that joins the cells' schedules
settles what then collides.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from slacktide.planner.apportioning import Curve, apportioned, curve
from slacktide.planner.needs import Demand, Needs, free_room, host_needs
from slacktide.planner.network import Network
from slacktide.planner.policy import Canary
from slacktide.planner.problem import NO_LIMIT, Problem
from slacktide.planner.restriction import Part

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


SLACK = 0.0025
"""Part of the hosts out and of free capacity that no cell gets.

Where the cells' schedules collide a host returns some seconds late, and so does what waits for it.  Without a little
room each such host is out of its turn and comes last: the plan takes a patch longer (docs/scale.md).
"""


@dataclass(frozen=True)
class Budget:
    """One cell's limits, in the numbers of its part."""

    out_limit: Ints
    reserve: Ints
    bundle_limit: Floats
    max_moving: Ints
    spread_limit: Ints
    canary_hosts: int


def budgeted(problem: Problem, budget: Budget) -> Problem:
    """Return a part's problem under its budget."""
    hosts = problem.hosts
    sold = np.maximum(1, hosts.sold[hosts.in_service].sum(axis=0))
    kept = problem.reserves.group[:, :1] >= 0 if problem.policy.reserve.share > 0 else np.zeros((1, 1), bool)
    share = float((budget.reserve[0] / sold).min()) if kept.any() else 0.0
    policy = problem.policy.model_copy(
        update={
            "canary": Canary(hosts=budget.canary_hosts, bake_s=problem.policy.canary.bake_s),
            "reserve": problem.policy.reserve.model_copy(update={"share": min(max(share, 0.0), 0.999)}),
        }
    )
    return replace(
        problem,
        policy=policy,
        out=replace(problem.out, limit=budget.out_limit),
        reserves=replace(problem.reserves, required=budget.reserve),
        network=_narrowed(problem.network, budget.bundle_limit),
        services=replace(problem.services, max_moving=budget.max_moving, spread_limit=budget.spread_limit),
    )


def budgets(problem: Problem, parts: Sequence[Part], canary_hosts: Sequence[int]) -> list[Budget]:
    """Return the budgets of ``parts``, which together keep every limit of the fleet that is not a service's.

    ``canary_hosts`` of each are canaries.
    """
    needs = [host_needs(part.problem) for part in parts]
    out = _out_limits(problem, parts, needs)
    reserve = _reserves(problem, parts, needs)
    links = _links(problem, parts)
    crossing = _crossing(problem, parts)
    return [
        Budget(out[at], reserve[at], links[at], _moving(problem, part), _spread(part, crossing), canary_hosts[at])
        for at, part in enumerate(parts)
    ]


def _out_limits(problem: Problem, parts: Sequence[Part], needs: Sequence[Needs]) -> list[Ints]:
    limits = [part.problem.out.limit.copy() for part in parts]
    for group in _shared([part.out_group for part in parts], len(problem.out.limit)).tolist():
        inside = [at for at, part in enumerate(parts) if group in part.out_group]
        places = [int(np.searchsorted(parts[at].out_group, group)) for at in inside]
        curves, members = [], []
        for at, place in zip(inside, places, strict=True):
            in_group = (parts[at].problem.out.group == place).any(axis=1)
            curves.append(curve(_places_taken(needs[at], in_group[needs[at].host])))
            members.append(int(in_group.sum()))
        limit = int(problem.out.limit[group])
        given = apportioned(limit - int(SLACK * limit), curves, members)
        for at, place, amount in zip(inside, places, given.tolist(), strict=True):
            limits[at][place] = amount
    return limits


def _places_taken(needs: Needs, inside: NDArray[np.bool_]) -> Demand:
    """Return what hosts take of a limit on hosts out."""
    member = np.flatnonzero(inside)
    span_s = (needs.drain_s + needs.patch_s)[member]
    return Demand("hosts-out", member, np.ones(len(member)), span_s, 1.0, 0, ((span_s.astype(np.float64), 1.0),))


def _reserves(problem: Problem, parts: Sequence[Part], needs: Sequence[Needs]) -> list[Ints]:
    required = [part.problem.reserves.required.copy() for part in parts]
    for group in _shared([part.reserve_group for part in parts], len(problem.reserves.required)).tolist():
        inside = [at for at, part in enumerate(parts) if group in part.reserve_group]
        places = [int(np.searchsorted(parts[at].reserve_group, group)) for at in inside]
        free = np.array([_free(parts[at].problem, place) for at, place in zip(inside, places, strict=True)])
        spare = free.sum(axis=0) - problem.reserves.required[group]
        for resource, name in enumerate(("vcpus", "memory")):
            curves = [
                _capacity_curve(parts[at].problem, needs[at], place, name)
                for at, place in zip(inside, places, strict=True)
            ]
            given = apportioned(int((1 - SLACK) * spare[resource]), curves, free[:, resource].tolist())
            for at, place, before, amount in zip(inside, places, free[:, resource], given, strict=True):
                required[at][place, resource] = before - amount
    return required


def _free(problem: Problem, group: int) -> Ints:
    """Return what is free in hosts in service of a reserve group at the start."""
    member = problem.hosts.in_service & (problem.reserves.group == group).any(axis=1)
    used = problem.vms.demand[member[problem.vms.host]].sum(axis=0)
    free: Ints = problem.hosts.capacity[member].sum(axis=0) - used
    return free


def _capacity_curve(problem: Problem, needs: Needs, group: int, name: str) -> Curve:
    """Return how much free capacity the due hosts of a reserve group need."""
    inside = (problem.reserves.group == group).any(axis=1)[needs.host]
    if not len(needs.host):
        return Curve((), np.empty(0), np.empty(0, np.int64), 0)
    demand = next(demand for demand in free_room(problem, needs) if demand.name == name)
    return curve(
        replace(
            demand,
            member=demand.member[inside],
            amount=demand.amount[inside],
            span_s=demand.span_s[inside],
            areas=tuple((area[inside], limit) for area, limit in demand.areas),
        )
    )


def _links(problem: Problem, parts: Sequence[Part]) -> list[Floats]:
    """Return what each cell may fill of its bundles: all of those that it has alone, its share of the others."""
    limit = problem.network.bundle_limit
    traffic = [np.bincount(part.bundle, weights=_traffic(part), minlength=len(limit)) for part in parts]
    total = np.sum(traffic, axis=0)
    return [
        limit[part.bundle] * each[part.bundle] / total[part.bundle] for part, each in zip(parts, traffic, strict=True)
    ]


def _traffic(part: Part) -> Floats:
    """Return what a cell is likely to send over each of its bundles: from where VMs are to where capacity is."""
    network, hosts, vms = part.problem.network, part.problem.hosts, part.problem.vms
    memory = np.bincount(network.access_class[vms.host], weights=vms.demand[:, 1], minlength=network.classes)
    room = np.bincount(network.access_class, weights=hosts.capacity[:, 1], minlength=network.classes)
    pair = np.outer(memory + 1.0, (room + 1.0) / (room + 1.0).sum()).ravel()
    load = np.repeat(pair, np.diff(network.route_start)) * network.route_share
    return np.bincount(network.route_bundle, weights=load, minlength=len(network.bundle_limit)).astype(np.float64)


def _narrowed(network: Network, bundle_limit: Floats) -> Network:
    """Return the network with less of its bundles, and no stream wider than what is left of its route."""
    if np.array_equal(bundle_limit, network.bundle_limit):
        return network
    path = network.path_mbit_s.copy()
    length = np.diff(network.route_start)
    crossed = np.flatnonzero(length)
    widest = bundle_limit[network.route_bundle] / network.route_share
    path[crossed] = np.minimum(path[crossed], np.minimum.reduceat(widest, network.route_start[:-1][crossed]))
    return replace(network, path_mbit_s=path, bundle_limit=bundle_limit)


def _moving(problem: Problem, part: Part) -> Ints:
    """Return how many VMs of each service a cell may move at once: its share, at least one."""
    whole = np.bincount(problem.vms.service[problem.vms.service >= 0], minlength=len(problem.services.max_moving))
    of_part = part.problem.vms.service
    here = np.bincount(of_part[of_part >= 0], minlength=len(part.service))
    limit = part.problem.services.max_moving
    share = np.maximum(1, np.minimum(limit, len(problem.vms.ids)) * here // np.maximum(1, whole[part.service]))
    return np.where(limit >= whole[part.service], NO_LIMIT, share)


def _crossing(problem: Problem, parts: Sequence[Part]) -> Ints:
    """Return for each kind that services spread over how many cells one of its domains has hosts in, at most."""
    domains = problem.services.spread_domains
    cells = np.zeros(domains.shape[1], np.int64)
    for number, part in enumerate(parts):
        cells[part.host] = number
    crossing = np.ones(len(domains), np.int64)
    for kind in range(1, len(domains)):
        inside = domains[kind] >= 0
        pairs = np.unique(np.stack([domains[kind][inside], cells[inside]]), axis=1)
        crossing[kind] = np.bincount(pairs[0]).max(initial=1)
    return crossing


def _spread(part: Part, crossing: Ints) -> Ints:
    """Return each service's limit per domain in a cell: its share where cells share domains, at least one."""
    services = part.problem.services
    shared = crossing[np.maximum(0, services.spread_kind)]
    return np.where(shared > 1, np.maximum(1, services.spread_limit // shared), services.spread_limit)


def _shared(of_parts: Sequence[Ints], count: int) -> Ints:
    """Return the numbers that more than one part has."""
    times = np.zeros(count, np.int64)
    for numbers in of_parts:
        times[numbers] += 1
    return np.flatnonzero(times > 1)
