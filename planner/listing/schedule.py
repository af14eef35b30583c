"""Passes of list scheduling over a problem: the arrays go in, a schedule comes out."""

import numpy as np

from slacktide.planner.listing.arrays import (
    CLOSED,
    DUE,
    KEEPS,
    MOST_BUCKETS,
    MOST_LEVELS,
    Floats,
    Instance,
    Ints,
    Moves,
    State,
)
from slacktide.planner.listing.decisions import Schedule, Underway
from slacktide.planner.listing.gating import Terms
from slacktide.planner.listing.outcome import Outcome
from slacktide.planner.listing.promised import begun_of, promises_of, take_over, with_underway
from slacktide.planner.listing.sweep import run_pass
from slacktide.planner.listing.targets import enlist_all
from slacktide.planner.problem import NO_LIMIT, Problem
from slacktide.planner.rounds import leaving_first, spared

RING_CELLS = 8_000_000
"""Cells of link use, links times buckets of time: 64 MB; more buckets only make the bucket shorter."""
SLOTS = 256
"""Slots of time in which free capacity beside a reserve is known: each a 128th part of the longest drain."""
LONGEST_RING = 4096
"""Buckets of time at most: with one-second buckets more than an hour ahead, longer than a drain takes."""


def build_instance(problem: Problem, from_s: int = 0) -> Instance:
    """Return the problem as the arrays that a pass from ``from_s`` on reads."""
    hosts, vms, services, network = problem.hosts, problem.vms, problem.services, problem.network
    grouped = np.argsort(vms.service, kind="stable")
    grouped = grouped[vms.service[grouped] >= 0]
    used = np.zeros_like(hosts.capacity)
    np.add.at(used, vms.host, vms.demand)
    pivot = int(np.argmax(used.sum(axis=0) / hosts.capacity.sum(axis=0)))
    return Instance(
        capacity=hosts.capacity,
        type_number=hosts.machine_type,
        maintenance_s=hosts.maintenance_s,
        rack=hosts.rack,
        rack_start=np.append(0, np.cumsum(np.bincount(hosts.rack))).astype(np.int64),
        rack_hosts=np.argsort(hosts.rack, kind="stable").astype(np.int64),
        out_groups=problem.out.group,
        out_limit=problem.out.limit,
        reserve_groups=problem.reserves.group,
        reserve=problem.reserves.required,
        reserve_of_all=reserve_of_all(problem),
        demand=vms.demand,
        vm_types=vms.allowed_types,
        one_way=not problem.policy.migration.allow_patched_to_unpatched,
        notice_s=vms.notice_s,
        service=vms.service,
        service_start=np.searchsorted(vms.service[grouped], np.arange(len(services.spread_kind) + 1)).astype(np.int64),
        service_vms=grouped.astype(np.int64),
        spread_kind=services.spread_kind,
        spread_limit=services.spread_limit,
        max_moving=services.max_moving,
        spread_domain=services.spread_domains,
        rates_mbit_s=vms.rates_mbit_s,
        duration_s=vms.duration_s,
        egress_mbit_s=network.egress_mbit_s,
        ingress_mbit_s=network.ingress_mbit_s,
        access_class=network.access_class,
        classes=network.classes,
        path_mbit_s=network.path_mbit_s,
        route_start=network.route_start,
        route_bundle=network.route_bundle,
        route_share=network.route_share,
        bundle_limit=network.bundle_limit,
        bucket_s=_bucket_s(problem),
        pivot=pivot,
        bucket_size=_steps_of(hosts.capacity[:, pivot], vms.demand[:, pivot], MOST_BUCKETS),
        level_size=_steps_of(hosts.capacity[:, 1 - pivot], vms.demand[:, 1 - pivot], MOST_LEVELS),
        from_s=from_s,
        spared=_takes_none(problem, from_s),
        slot_s=_slot_s(problem),
        evacuated=hosts.evacuated.astype(np.int64),
    )


def _takes_none(problem: Problem, from_s: int) -> Ints:
    """Return 1 for each host in service that takes no VM before it has left, else 0, shape (N,)."""
    few = spared(problem) if from_s == 0 else np.zeros(len(problem.hosts.ids), np.int64)
    return np.maximum(few, problem.hosts.evacuated)


def new_halt() -> Ints:
    """Return what ends a pass in another thread, once its one element is set to 1."""
    return np.zeros(1, np.int64)


def list_schedule(
    problem: Problem,
    instance: Instance,
    order: Ints,
    terms: Terms,
    halt: Ints | None = None,
    promised: Schedule | None = None,
    underway: Underway | None = None,
) -> Schedule | None:
    """Return the schedule that one pass over the hosts of ``order`` gives, None: it was halted.

    Hosts that find no room are not in it.  Those of the first round take no VMs before they leave, unless more
    hosts find room if they do.  Hosts of ``promised`` leave when and as they do there, move by move, where that keeps
    every limit; what does not fit is decided anew, and if need be its host waits with the others.  With ``underway``
    the pass begins at its ``from_s``, and the schedule holds what was under way as well.  Hosts that are evacuated are
    in it whatever the order: they leave before all others.
    """
    halt = new_halt() if halt is None else halt
    evacuated = problem.hosts.evacuated
    order = order[~evacuated[order]]
    if promised is not None and evacuated.any():
        begun = np.zeros_like(evacuated) if underway is None else np.isin(np.arange(len(evacuated)), underway.host)
        promised = promised.part(~evacuated[promised.host] | begun[promised.host])
    if underway is not None:
        order = order[~np.isin(order, underway.host)]
    elif promised is None:
        first = instance._replace(spared=np.maximum(instance.spared, leaving_first(problem, order)))
        schedule = _one_pass(problem, first, order, terms, halt, None, None)
        if schedule is None or len(schedule.host) == len(order) + int(evacuated.sum()):
            return schedule
        again = _one_pass(problem, instance, order, terms, halt, None, None)
        return schedule if again is None or len(again.host) <= len(schedule.host) else again
    return _one_pass(problem, instance, order, terms, halt, promised, underway)


def _one_pass(
    problem: Problem,
    instance: Instance,
    order: Ints,
    terms: Terms,
    halt: Ints,
    promised: Schedule | None,
    underway: Underway | None,
) -> Schedule | None:
    """Return the schedule of a pass with as many rows for its moves as it turns out to need."""
    hosts, vms = len(problem.hosts.ids), len(problem.vms.ids)
    rows = 2 * vms + 64
    while True:
        state = _initial_state(problem, instance)
        promises = promises_of(problem, instance, promised, underway, terms.promised_first)
        begun = begun_of(hosts, underway)
        if underway is not None:
            take_over(problem, instance, state, underway)
        moves = Moves(*(np.zeros(_most_vms(problem), np.int64) for _ in Moves._fields))
        out = Outcome(np.zeros((hosts, 5), np.int64), np.zeros((rows, 6), np.int64), np.zeros(3, np.int64), halt)
        run_pass(instance, state, moves, terms, order.astype(np.int64), promises, begun, out)
        if out.counts[2] == 0:
            break
        rows *= 2
    if halt[0]:
        return None
    planned = out.hosts[: out.counts[0]].T.copy()
    moved = out.rows[: out.counts[1]].T.copy()
    decided = Schedule(*planned, *moved)
    return decided if underway is None else with_underway(decided, underway)


def reserve_of_all(problem: Problem) -> Ints:
    """Return for each group of reserves whether every host in service belongs to it."""
    group = problem.reserves.group[problem.hosts.in_service]
    of_all = np.zeros(len(problem.reserves.required), np.int64)
    same = group[:1][(group[:1] >= 0) & (group == group[:1]).all(axis=0)]
    of_all[same] = 1
    return of_all


def _most_vms(problem: Problem) -> int:
    """Return how many VMs may ever be on one host."""
    smallest = problem.vms.demand.min(axis=0, initial=NO_LIMIT)
    return int(min(len(problem.vms.ids), (problem.hosts.capacity // np.maximum(1, smallest)).min(axis=1).max())) + 1


def _bucket_s(problem: Problem) -> int:
    """Return how long a bucket of time is so that the ring holds the longest drain several times."""
    vms = problem.vms
    span_s = 4 * _longest_drain_s(problem) + 2 * int(vms.duration_s.max(initial=1)) + int(vms.notice_s.max(initial=0))
    return max(1, -int(-span_s // _ring_length(problem)))


def _slot_s(problem: Problem) -> int:
    """Return how long a slot is so that the ring of slots holds the longest drain twice."""
    return max(1, -int(-2 * _longest_drain_s(problem) // SLOTS))


def _longest_drain_s(problem: Problem) -> float:
    network, vms = problem.network, problem.vms
    fastest = np.searchsorted(vms.rates_mbit_s, network.egress_mbit_s[vms.host], side="right") - 1
    each_s = np.maximum(vms.duration_s[np.arange(len(vms.host)), fastest], 0)
    return float(np.bincount(vms.host, weights=each_s, minlength=1).max())


def _ring_length(problem: Problem) -> int:
    return int(min(LONGEST_RING, max(64, RING_CELLS // max(1, len(problem.network.bundle_limit)))))


def _initial_state(problem: Problem, instance: Instance) -> State:
    hosts, vms = problem.hosts, problem.vms
    count, vm_count = len(hosts.ids), len(vms.ids)
    used = np.zeros_like(hosts.capacity)
    np.add.at(used, vms.host, vms.demand)
    free = hosts.capacity - used
    takes = hosts.in_service & (hosts.evacuated | ~hosts.shunned)
    status = np.where(takes, np.where(hosts.due | hosts.evacuated, DUE, KEEPS), CLOSED)
    reserve_free = np.zeros_like(problem.reserves.required)
    for family in range(problem.reserves.group.shape[1]):
        group = problem.reserves.group[:, family]
        member = hosts.in_service & (group >= 0)
        np.add.at(reserve_free, group[member], free[member])
    first, following = _chains(vms.host, count)
    lists = _empty_lists(problem, instance)
    intervals = np.zeros((2 * vm_count + 64, 4), np.int64)
    intervals[:, 3] = np.append(np.arange(1, len(intervals)), -1)
    state = State(
        status=status.astype(np.int64),
        patched=hosts.patched.astype(np.int64),
        free=free,
        held=np.zeros_like(free),
        out_count=np.zeros(len(problem.out.limit), np.int64),
        reserve_free=reserve_free,
        later=np.zeros((*reserve_free.shape, SLOTS), np.int64),
        coming=np.zeros_like(reserve_free),
        least=np.zeros((*reserve_free.shape, SLOTS), np.int64),
        stale=np.ones(len(reserve_free), np.int64),
        vm_host=vms.host.copy(),
        vm_source=np.full(vm_count, -1, np.int64),
        vm_start=np.full(vm_count, -1, np.int64),
        vm_end=np.full(vm_count, -1, np.int64),
        host_vm=first,
        next_vm=following,
        inbound=np.full(count, -1, np.int64),
        interval=intervals,
        bundle_use=_empty_ring(problem),
        size_head=lists,
        size_levels=np.zeros((2, lists.shape[2], lists.shape[1]), np.int64),
        size_next=np.full(count, -1, np.int64),
        size_prev=np.full(count, -1, np.int64),
        size_bucket=np.full(count, -1, np.int64),
        size_level=np.zeros(count, np.int64),
        failures=np.zeros(count, np.int64),
        retry=np.zeros(count, np.int64),
        counters=np.array([0, 0, 0, instance.from_s // instance.slot_s]),
    )
    enlist_all(instance, state, _across_racks(hosts.rack))
    return state


def _steps_of(capacity: Ints, demand: Ints, most: int) -> int:
    """Return the unit that all amounts are counted in, or a coarser one if that gives ``most`` steps or more."""
    unit = max(1, int(np.gcd.reduce(np.concatenate([capacity, demand]))))
    return max(unit, int(capacity.max()) // most + 1) if capacity.max() // unit >= most else unit


def _empty_lists(problem: Problem, instance: Instance) -> Ints:
    pivot, most = instance.pivot, instance.capacity.max(axis=0)
    buckets, levels = most[pivot] // instance.bucket_size, most[1 - pivot] // instance.level_size
    return np.full((2, int(problem.hosts.machine_type.max()) + 1, buckets + 1, levels + 1), -1, np.int64)


def _empty_ring(problem: Problem) -> Floats:
    return np.zeros((len(problem.network.bundle_limit), _ring_length(problem)))


def _across_racks(rack: Ints) -> Ints:
    """Return the hosts so that neighbours are in different racks, lest one rack's links carry what all could."""
    by_rack = np.argsort(rack, kind="stable")
    place = np.arange(len(rack)) - np.searchsorted(rack[by_rack], rack[by_rack])
    return by_rack[np.argsort(place, kind="stable")]


def _chains(host_of: Ints, hosts: int) -> tuple[Ints, Ints]:
    """Return the first VM of each host and the VM after each VM on the same host, -1: none."""
    order = np.argsort(host_of, kind="stable")
    following = np.full(len(host_of), -1, np.int64)
    same = host_of[order[:-1]] == host_of[order[1:]]
    following[order[:-1][same]] = order[1:][same]
    first = np.full(hosts, -1, np.int64)
    present, at = np.unique(host_of[order], return_index=True)
    first[present] = order[at]
    return first, following
