"""From a schedule that is promised, and from what is under way, to the arrays that a pass works on."""

from dataclasses import replace

import numpy as np

from slacktide.planner.compiled import compiled, internal
from slacktide.planner.listing.arrays import DUE, FAR, OUT, Begun, Instance, Ints, Promises, State
from slacktide.planner.listing.decisions import Schedule, Underway
from slacktide.planner.listing.draining import change_service
from slacktide.planner.listing.room import use_links
from slacktide.planner.listing.targets import enlist, unlist
from slacktide.planner.problem import Problem

LOAD_CELLS = 32_000_000
"""Groups times instants at which hosts out are counted ahead: 256 MB.  More make the instants lie further apart, so
that a short peak is overlooked, and a promise broken that could have been kept."""

NOTHING = np.empty(0, np.int64)


def promises_of(
    problem: Problem, instance: Instance, promised: Schedule | None, underway: Underway | None, first: bool = False
) -> Promises:
    """Return what is promised of hosts that are still to leave, or to end their drain, in the order of its moments.

    If promised hosts go ``first`` nobody asks what they will take of the limits on hosts out.
    """
    hosts = len(problem.hosts.ids)
    if promised is None:
        return _no_promises(hosts)
    still = (problem.hosts.due | problem.hosts.evacuated) & problem.hosts.in_service
    if underway is not None:
        still[underway.host[underway.return_s >= 0]] = False
    chosen = np.flatnonzero(still[promised.host])
    of_host = np.full(hosts, -1, np.int64)
    of_host[promised.host[chosen]] = np.arange(len(chosen))
    number = of_host[promised.source]
    rows = np.flatnonzero(number >= 0)
    due_s = promised.drain_start_s[chosen]
    begun = np.isin(promised.host[chosen], underway.host) if underway is not None else np.zeros(len(chosen), np.bool_)
    first_s = np.full(len(chosen), instance.from_s, np.int64)
    np.minimum.at(first_s, number[rows], promised.start_s[rows])
    due_s = np.where(begun, first_s, due_s)
    others = ~problem.hosts.evacuated[promised.host[chosen]]
    in_turn = np.lexsort((due_s, ~begun, others, np.maximum(due_s, instance.from_s)))
    chosen, due_s, behind_s = chosen[in_turn], due_s[in_turn], instance.from_s - int(due_s[~begun].min(initial=FAR))
    of_host[promised.host[chosen]] = np.arange(len(chosen))
    number = of_host[promised.source]
    rows = rows[np.argsort(number[rows], kind="stable")]
    target = promised.target[rows]
    return_s = promised.return_s[chosen]
    bare = Promises(
        host=promised.host[chosen],
        wave=promised.wave[chosen],
        due_s=due_s,
        drained_s=promised.drained_s[chosen],
        return_s=return_s,
        first=np.searchsorted(number[rows], np.arange(len(chosen) + 1)).astype(np.int64),
        vm=promised.vm[rows],
        target=target,
        start_s=promised.start_s[rows],
        end_s=promised.end_s[rows],
        rate=promised.rate[rows],
        told_s=np.full(len(rows), -1, np.int64) if underway is None else underway.told_s[promised.vm[rows]],
        settled=_settled(problem, of_host, return_s, target, promised.start_s[rows]),
        of_host=of_host,
        load=np.empty((0, 0), np.int64),
        step_s=1,
        behind_s=max(0, behind_s),
        load_limit=NOTHING,
        load_group=np.empty((hosts, 0), np.int64),
        load_weight=np.empty((hosts, 0), np.int64),
        progress=np.zeros(2, np.int64),
        late=np.zeros(len(chosen), np.int64),
        tried_s=np.full(len(chosen), -1, np.int64),
    )
    return bare if first else _with_loads(problem, instance, bare, underway)


def _no_promises(hosts: int) -> Promises:
    arrays = {name: np.empty(0, np.int64) for name in Promises._fields if name not in ("step_s", "behind_s")}
    tables = {name: np.empty((hosts, 0), np.int64) for name in ("load_group", "load_weight")}
    single = {"first": np.zeros(1, np.int64), "progress": np.zeros(2, np.int64)}
    load = np.empty((0, 0), np.int64)
    given = {**arrays, **tables, **single, "of_host": np.full(hosts, -1, np.int64), "load": load}
    return Promises(**given, step_s=1, behind_s=0)


def _settled(problem: Problem, of_host: Ints, return_s: Ints, target: Ints, start_s: Ints) -> Ints:
    """Return which moves lead to a host that is not drained after them."""
    number = of_host[target]
    back = np.where(number >= 0, return_s[number] if len(return_s) else 0, 0) <= start_s
    return np.where(number >= 0, back, ~problem.hosts.due[target]).astype(np.int64)


def _with_loads(problem: Problem, instance: Instance, bare: Promises, underway: Underway | None) -> Promises:
    """Return the promises with what they, and the hosts that are out, take of each limit at every instant."""
    group, weight, limit = _loads(problem)
    host, from_s, until_s = bare.host, bare.due_s + bare.behind_s, bare.return_s + bare.behind_s
    if underway is not None:
        back = underway.return_s >= 0
        host = np.concatenate([host, underway.host[back]])
        from_s = np.concatenate([from_s, np.full(back.sum(), instance.from_s, np.int64)])
        until_s = np.concatenate([until_s, underway.return_s[back]])
    span_s = int(until_s.max(initial=instance.from_s)) - instance.from_s + 1
    step_s = -(-span_s * len(limit) // LOAD_CELLS)
    load = np.zeros((len(limit), -(-span_s // step_s) + 1), np.int64)
    first, last = (np.maximum(0, -(-(time_s - instance.from_s) // step_s)) for time_s in (from_s, until_s))
    for column in range(group.shape[1]):
        there = group[host, column] >= 0
        row, amount = group[host[there], column], weight[host[there], column]
        np.add.at(load, (row, first[there]), amount)
        np.add.at(load, (row, last[there]), -amount)
    np.cumsum(load, axis=1, out=load)
    return bare._replace(load=load, step_s=step_s, load_limit=limit, load_group=group, load_weight=weight)


def _loads(problem: Problem) -> tuple[Ints, Ints, Ints]:
    """Return the groups whose hosts out are limited, what a host out takes of each, and the limits.

    A host that is out withdraws its whole capacity from what must stay free, if the reserve is the whole fleet's: its
    VMs take room elsewhere.  One that is evacuated withdraws it for good, so it is counted from the beginning.
    """
    hosts, vms, reserves = problem.hosts, problem.vms, problem.reserves
    groups = [problem.out.group]
    weights = [np.ones_like(problem.out.group)]
    limits = [problem.out.limit]
    rows = len(problem.out.limit)
    stays = hosts.in_service & ~hosts.evacuated
    free = hosts.capacity[stays].sum(axis=0) - vms.demand[hosts.in_service[vms.host]].sum(axis=0)
    for family in range(reserves.group.shape[1]):
        of_service = np.unique(reserves.group[hosts.in_service, family])
        if len(of_service) != 1 or of_service[0] < 0:
            continue
        groups.append(np.tile(np.arange(rows, rows + 2), (len(hosts.ids), 1)))
        weights.append(np.where(stays[:, None], hosts.capacity, 0))
        limits.append(free - reserves.required[of_service[0]])
        rows += 2
    return (
        np.ascontiguousarray(np.concatenate(groups, axis=1)),
        np.ascontiguousarray(np.concatenate(weights, axis=1)),
        np.concatenate(limits),
    )


def begun_of(hosts: int, underway: Underway | None) -> Begun:
    """Return the hosts that are draining, those that are expected back, and the gate."""
    of_host = np.full(hosts, -1, np.int64)
    if underway is None:
        arrays = {name: np.empty(0, np.int64) for name in Begun._fields}
        gate = np.array([0, 0, -1, 0, 0], np.int64)
        return Begun(**{**arrays, "first": np.zeros(1, np.int64), "of_host": of_host, "gate": gate})
    draining = underway.return_s < 0
    host = underway.host[draining]
    of_host[host] = np.arange(len(host))
    number = of_host[underway.source]
    rows = np.flatnonzero(number >= 0)
    rows = rows[np.argsort(number[rows], kind="stable")]
    undone = int((underway.wave[draining] == underway.label).sum()) if underway.waves > 0 else 0
    return Begun(
        host=host,
        wave=underway.wave[draining],
        drain_start_s=underway.drain_start_s[draining],
        first=np.searchsorted(number[rows], np.arange(len(host) + 1)).astype(np.int64),
        vm=underway.vm[rows],
        target=underway.target[rows],
        start_s=underway.start_s[rows],
        end_s=underway.end_s[rows],
        rate=underway.rate[rows],
        of_host=of_host,
        return_host=underway.host[~draining],
        return_s=underway.return_s[~draining],
        gate=np.array([underway.gate_s, underway.waves, underway.label, underway.wave_hosts, undone], np.int64),
    )


def take_over(problem: Problem, instance: Instance, state: State, underway: Underway) -> None:
    """Put what is under way into the state that a pass starts from."""
    _hosts_out(instance, state, underway.host)
    _moves_under_way(
        instance,
        state,
        underway.vm,
        underway.source,
        underway.target,
        underway.start_s,
        underway.end_s,
        underway.rate,
    )


@compiled
def _hosts_out(instance: Instance, state: State, hosts: Ints) -> None:
    """Take hosts out of service that are out."""
    for host in hosts:
        unlist(instance, state, host)
        state.status[host] = OUT
        change_service(instance, state, host, 1)
        if instance.evacuated[host] > 0:
            state.patched[host] = 0


@compiled
def _moves_under_way(
    instance: Instance,
    state: State,
    vms: Ints,
    sources: Ints,
    targets: Ints,
    start_s: Ints,
    end_s: Ints,
    rates: Ints,
) -> None:
    """Book migrations that have started, and hand their VMs over."""
    state.counters[1] = instance.from_s // instance.bucket_s
    for at in range(vms.shape[0]):
        vm, source, target = vms[at], sources[at], targets[at]
        for resource in range(2):
            state.free[target, resource] -= instance.demand[vm, resource]
            for family in range(instance.reserve_groups.shape[1]):
                group = instance.reserve_groups[target, family]
                if group >= 0 and state.status[target] <= DUE:
                    state.reserve_free[group, resource] -= instance.demand[vm, resource]
        enlist(instance, state, target)
        rate_mbit_s = instance.rates_mbit_s[rates[at]]
        pair = instance.access_class[source] * instance.classes + instance.access_class[target]
        use_links(instance, state, pair, rate_mbit_s, instance.from_s, end_s[at], 1)
        state.vm_start[vm], state.vm_end[vm] = start_s[at], end_s[at]
        state.vm_host[vm], state.vm_source[vm] = target, source
        slot = state.counters[0]
        state.counters[0] = state.interval[slot, 3]
        state.interval[slot, 0], state.interval[slot, 1] = start_s[at], end_s[at]
        state.interval[slot, 2], state.interval[slot, 3] = rate_mbit_s, state.inbound[target]
        state.inbound[target] = slot
        _hand_over(state, vm, source, target)


@internal
def _hand_over(state: State, vm: int, source: int, target: int) -> None:
    """Take a VM out of its source's chain and put it into its target's."""
    before, at = -1, state.host_vm[source]
    while at != vm:
        before, at = at, state.next_vm[at]
    if before < 0:
        state.host_vm[source] = state.next_vm[vm]
    else:
        state.next_vm[before] = state.next_vm[vm]
    state.next_vm[vm] = state.host_vm[target]
    state.host_vm[target] = vm


def with_underway(decided: Schedule, underway: Underway) -> Schedule:
    """Return a pass's schedule with the hosts and migrations that were under way before it."""
    wave = decided.wave.copy()
    order = np.argsort(underway.host)
    at = np.searchsorted(underway.host[order], decided.host)
    known = np.isin(decided.host, underway.host)
    wave[known] = underway.wave[order][at[known]]
    back = underway.return_s >= 0
    return replace(
        decided,
        host=np.concatenate([underway.host[back], decided.host]),
        wave=np.concatenate([underway.wave[back], wave]),
        drain_start_s=np.concatenate([underway.drain_start_s[back], decided.drain_start_s]),
        drained_s=np.concatenate([underway.drained_s[back], decided.drained_s]),
        return_s=np.concatenate([underway.return_s[back], decided.return_s]),
        vm=np.concatenate([underway.vm, decided.vm]),
        source=np.concatenate([underway.source, decided.source]),
        target=np.concatenate([underway.target, decided.target]),
        start_s=np.concatenate([underway.start_s, decided.start_s]),
        end_s=np.concatenate([underway.end_s, decided.end_s]),
        rate=np.concatenate([underway.rate, decided.rate]),
    )
