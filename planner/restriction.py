"""A problem restricted to some of its hosts: arrays are sliced and numbered anew, nothing is worked out again."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from slacktide.planner.network import Network
from slacktide.planner.problem import Hosts, OutLimits, Problem, Reserves, Services, Vms

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Part:
    """Some hosts of a problem as a problem of its own, and what its numbers stand for in the whole."""

    problem: Problem
    """Its limits are still those of the whole."""
    host: Ints
    """Ascending, as are all of these."""
    vm: Ints
    service: Ints
    out_group: Ints
    reserve_group: Ints
    bundle: Ints


def restricted(problem: Problem, host: Ints) -> Part:
    """Return the problem of the hosts ``host``, ascending, with the VMs on them: they move among these hosts alone."""
    inside = np.zeros(len(problem.hosts.ids), bool)
    inside[host] = True
    vm = np.flatnonzero(inside[problem.vms.host])
    service = np.unique(problem.vms.service[vm])
    service = service[service >= 0]
    out_group = _used(problem.out.group[host], first=True)
    reserve_group = _used(problem.reserves.group[host], first=False)
    network, bundle = _network(problem.network, host)
    place = _places(host, len(problem.hosts.ids))
    deferred = tuple((int(place[at]), reason, detail) for at, reason, detail in problem.deferred if inside[at])
    part = Problem(
        policy=problem.policy,
        hosts=_hosts(problem.hosts, host),
        vms=_vms(problem.vms, vm, place, _places(service, len(problem.services.max_moving))),
        services=_services(problem.services, service, host),
        out=OutLimits(
            names=tuple(problem.out.names[group] for group in out_group.tolist()),
            group=_places(out_group, len(problem.out.limit))[problem.out.group[host]],
            limit=problem.out.limit[out_group],
        ),
        reserves=Reserves(
            group=_places(reserve_group, len(problem.reserves.required))[problem.reserves.group[host]],
            required=problem.reserves.required[reserve_group],
        ),
        network=network,
        selected=problem.selected[host],
        deferred=deferred,
    )
    return Part(part, host, vm, service, out_group, reserve_group, bundle)


def _used(group: Ints, *, first: bool) -> Ints:
    """Return the groups that are used, ascending; the first of all, the whole fleet, in any case if ``first``."""
    used = np.unique(group)
    used = used[used >= 0]
    return np.union1d([0], used).astype(np.int64) if first else used


def _places(kept: Ints, count: int) -> Ints:
    """Return the new number of each old one, -1: not kept.  The last place is for -1, which stays -1."""
    place = np.full(count + 1, -1, np.int64)
    place[kept] = np.arange(len(kept))
    return place


def _hosts(hosts: Hosts, host: Ints) -> Hosts:
    return Hosts(
        ids=tuple(map(hosts.ids.__getitem__, host.tolist())),
        capacity=hosts.capacity[host],
        sold=hosts.sold[host],
        lacking=hosts.lacking[host],
        machine_type=hosts.machine_type[host],
        maintenance_s=hosts.maintenance_s[host],
        in_service=hosts.in_service[host],
        patched=hosts.patched[host],
        due=hosts.due[host],
        evacuated=hosts.evacuated[host],
        shunned=hosts.shunned[host],
        rack=np.unique(hosts.rack[host], return_inverse=True)[1].astype(np.int64),
        weight=hosts.weight[host],
    )


def _vms(vms: Vms, vm: Ints, host_place: Ints, service_place: Ints) -> Vms:
    return Vms(
        ids=tuple(map(vms.ids.__getitem__, vm.tolist())),
        host=host_place[vms.host[vm]],
        demand=vms.demand[vm],
        allowed_types=vms.allowed_types[vm],
        notice_s=vms.notice_s[vm],
        service=service_place[vms.service[vm]],
        restart=vms.restart[vm],
        local_disk_mib=vms.local_disk_mib[vm],
        sent_mib=vms.sent_mib[vm],
        hot_mib=vms.hot_mib[vm],
        dirty_mib_s=vms.dirty_mib_s[vm],
        blackout_limit_ms=vms.blackout_limit_ms[vm],
        rates_mbit_s=vms.rates_mbit_s,
        duration_s=vms.duration_s[vm],
    )


def _services(services: Services, service: Ints, host: Ints) -> Services:
    return replace(
        services,
        spread_kind=services.spread_kind[service],
        spread_limit=services.spread_limit[service],
        max_moving=services.max_moving[service],
        spread_domains=np.ascontiguousarray(services.spread_domains[:, host]),
    )


def _network(network: Network, host: Ints) -> tuple[Network, Ints]:
    """Return the network between ``host`` alone, and what its bundles are in the whole."""
    kept, access_class = np.unique(network.access_class[host], return_inverse=True)
    pair = (kept[:, None] * network.classes + kept[None, :]).ravel()
    length = np.diff(network.route_start)[pair]
    start = np.concatenate([[0], np.cumsum(length)]).astype(np.int64)
    at = np.arange(start[-1]) + np.repeat(network.route_start[pair] - start[:-1], length)
    bundle, route_bundle = np.unique(network.route_bundle[at], return_inverse=True)
    part = Network(
        egress_mbit_s=network.egress_mbit_s[host],
        ingress_mbit_s=network.ingress_mbit_s[host],
        rates_mbit_s=network.rates_mbit_s,
        access_class=access_class.astype(np.int64),
        classes=len(kept),
        path_mbit_s=network.path_mbit_s[pair],
        route_start=start,
        route_bundle=route_bundle.astype(np.int64),
        route_share=network.route_share[at],
        bundle_limit=network.bundle_limit[bundle],
        pod=network.pod[host],
    )
    return part, bundle.astype(np.int64)
