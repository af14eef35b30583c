"""Carry out work under a rule: numbers in, times, brownouts and blackouts out."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slacktide import units
from slacktide.planner.precopy import PRECOPY, RESTART
from slacktide.planner.problem import Problem
from slacktide.planner.streams.arrays import (
    NO_LIMIT,
    Course,
    Fleet,
    Hosts,
    Links,
    Lists,
    Moves,
    Rules,
    Shares,
    Waves,
)
from slacktide.planner.streams.execution import execute
from slacktide.planner.streams.rules import StreamRule
from slacktide.planner.streams.work import Work

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

SLOT_S = 1.0
"""Moves start and end on whole seconds, as in plans; streams begin and end within them at any moment."""


@dataclass(frozen=True)
class Replayed:
    """What became of the work; times in seconds from the start, infinite where something never happened."""

    host: Ints
    """Hosts in the order of the work, shape (n,)."""
    drain_start_s: Floats
    drained_s: Floats
    return_s: Floats
    vm: Ints
    """Shape (M,), as are the next."""
    source: Ints
    target: Ints
    start_s: Floats
    end_s: Floats
    strategy: Ints
    brownout_s: Floats
    blackout_s: Floats
    sent_mib: Floats
    let_out_against_limits: int
    """Hosts that could not be drained within the limits in this order, and were drained all the same."""

    @property
    def makespan_s(self) -> float:
        """When the last host has returned."""
        return float(self.return_s.max(initial=0.0))


def replay(
    problem: Problem, work: Work, rule: StreamRule, *, slot_s: float = SLOT_S, everywhere: bool = False
) -> Replayed:
    """Return how ``work`` goes if migrations start as ``rule`` allows and share the links max-min fairly.

    Hosts drain in the order of the work, each as soon as the policy's limits on hosts out and its reserve allow, what
    it waits for has happened, and its wave is open.  With ``everywhere`` all rates are shared anew at every change, and
    not only those that it can reach: the same result, slower.
    """
    moves, lists = _moves(problem, work), _lists(problem, work)
    hosts, waves = _hosts(problem, work, rule), _waves(work)
    rules = _rules(problem, rule, slot_s, everywhere)
    course, fleet = _course(moves), _fleet(problem, work, hosts, moves, waves)
    links = _links(problem)
    execute(hosts, moves, waves, links, rules, lists, course, fleet, _shares(links, len(work.vm)))
    return Replayed(
        host=work.order,
        drain_start_s=fleet.drain_start_s[work.order],
        drained_s=fleet.drained_s[work.order],
        return_s=fleet.return_s[work.order],
        vm=work.vm,
        source=work.source,
        target=work.target,
        start_s=course.start_s,
        end_s=course.end_s,
        strategy=course.strategy,
        brownout_s=course.brownout_s,
        blackout_s=course.blackout_s,
        sent_mib=course.sent_mib,
        let_out_against_limits=int(fleet.counters[2]),
    )


def _moves(problem: Problem, work: Work) -> Moves:
    vms, vm = problem.vms, work.vm
    return Moves(
        vm=vm,
        source=work.source,
        target=work.target,
        owner=np.where(work.back, work.target, work.source),
        back=work.back.astype(np.int64),
        after_return=work.after_return,
        in_drain=work.in_drain.astype(np.int64),
        after_move=_moves_before(vm),
        arrival_for=work.arrival_for,
        notice_s=vms.notice_s[vm],
        vcpus=vms.demand[vm, 0],
        memory_mib=vms.demand[vm, 1],
        service=vms.service[vm],
        restart=vms.restart[vm].astype(np.int64),
        sent_mib=vms.sent_mib[vm],
        hot_mib=np.minimum(vms.hot_mib[vm], vms.sent_mib[vm]),
        dirty_mib_s=vms.dirty_mib_s[vm],
        disk_mib=vms.local_disk_mib[vm].astype(np.float64),
        limit_s=vms.blackout_limit_ms[vm] / 1000,
    )


def _moves_before(vm: Ints) -> Ints:
    """Return each move's VM's move before, -1: none."""
    order = np.argsort(vm, kind="stable")
    again = vm[order[1:]] == vm[order[:-1]]
    before = np.full(len(vm), -1, np.int64)
    before[order[1:][again]] = order[:-1][again]
    return before


def _lists(problem: Problem, work: Work) -> Lists:
    hosts, services = len(problem.hosts.ids), len(problem.services.max_moving)
    owner = np.where(work.back, work.target, work.source)
    before = _moves_before(work.vm)
    following = np.full(len(before), -1, np.int64)
    following[before[before >= 0]] = np.flatnonzero(before >= 0)
    return Lists(
        *_listed(work.source, hosts),
        *_listed(work.target, hosts),
        *_listed(owner, hosts),
        *_listed(problem.vms.service[work.vm], services),
        problem.services.max_moving,
        *_listed(work.after_return, hosts),
        following,
    )


def _listed(key: Ints, keys: int) -> tuple[Ints, Ints]:
    """Return where each key's list starts, and the moves of all lists one after the other; keys below 0 have none."""
    order = np.argsort(key, kind="stable")
    order = order[key[order] >= 0]
    return np.searchsorted(key[order], np.arange(keys + 1)).astype(np.int64), order.astype(np.int64)


def _hosts(problem: Problem, work: Work, rule: StreamRule) -> Hosts:
    hosts = problem.hosts
    wave, late = np.full(len(hosts.ids), -1, np.int64), np.zeros(len(hosts.ids), np.int64)
    wave[work.order], late[work.order] = work.wave, work.late
    used = np.zeros_like(hosts.capacity)
    np.add.at(used, problem.vms.host, problem.vms.demand)
    free = hosts.capacity - used
    reserve_free = np.zeros_like(problem.reserves.required)
    for family in range(problem.reserves.group.shape[1]):
        group = problem.reserves.group[:, family]
        member = hosts.in_service & (group >= 0)
        np.add.at(reserve_free, group[member], free[member])
    outgoing, incoming = rule.per_host(problem.network.egress_mbit_s, NO_LIMIT)
    return Hosts(
        order=work.order,
        wave=wave,
        late=late,
        maintenance_s=hosts.maintenance_s,
        capacity=hosts.capacity,
        free=free,
        out_groups=problem.out.group,
        out_limit=problem.out.limit,
        reserve_groups=problem.reserves.group,
        reserve=problem.reserves.required,
        reserve_free=reserve_free,
        outgoing=outgoing,
        incoming=incoming,
    )


def _waves(work: Work) -> Waves:
    pending = np.bincount(work.wave, minlength=len(work.behind))
    wave = np.zeros(max(int(work.order.max(initial=0)), int(work.target.max(initial=0))) + 1, np.int64)
    wave[work.order] = work.wave
    pending += np.bincount(wave[work.target[work.back]], minlength=len(work.behind))
    return Waves(work.behind, work.bake_s, pending.astype(np.int64))


def _rules(problem: Problem, rule: StreamRule, slot_s: float, everywhere: bool) -> Rules:
    migration = problem.policy.migration
    return Rules(
        cluster=NO_LIMIT if rule.cluster is None else rule.cluster,
        mib_per_mbit=units.mib_s(1.0) * migration.goodput,
        setup_s=float(migration.setup_s),
        forwarding_s=float(migration.forwarding_s),
        switchover_s=migration.switchover_ms / 1000,
        restart_s=float(migration.restart_s),
        autoconverge="autoconverge" in migration.strategies,
        postcopy="postcopy" in migration.strategies,
        slot_s=slot_s,
        everywhere=everywhere,
    )


def _course(moves: Moves) -> Course:
    count = len(moves.vm)
    wait = (moves.back == 0).astype(np.int64) + (moves.after_return >= 0) + (moves.after_move >= 0)
    ints = {name: np.zeros(count, np.int64) for name in ("phase", "version", "round")}
    floats = {name: np.zeros(count) for name in Course._fields if name not in (*ints, "wait", "strategy")}
    strategy = np.where(moves.restart > 0, RESTART, PRECOPY).astype(np.int64)
    course = Course(**ints, **floats, wait=wait, strategy=strategy)
    course.end_s[:] = np.inf
    course.start_s[:] = np.inf
    return course


def _fleet(problem: Problem, work: Work, hosts: Hosts, moves: Moves, waves: Waves) -> Fleet:
    count = len(problem.hosts.ids)
    wait = np.bincount(moves.arrival_for[moves.arrival_for >= 0], minlength=count)
    waiting = (moves.back == 0) & (moves.after_return >= 0) & (moves.in_drain == 0)
    wait = wait + np.bincount(moves.source[waiting], minlength=count)
    zeros = {name: np.zeros(count, np.int64) for name in ("state", "sending", "receiving")}
    times = {name: np.full(count, np.inf) for name in ("drain_start_s", "drained_s", "return_s")}
    return Fleet(
        **zeros,
        **times,
        wait=wait.astype(np.int64),
        moves_left=np.bincount(moves.source[moves.back == 0], minlength=count).astype(np.int64),
        free=hosts.free.copy(),
        reserve_free=hosts.reserve_free.copy(),
        out_count=np.zeros(len(hosts.out_limit), np.int64),
        moving=np.zeros(len(problem.services.max_moving), np.int64),
        wave_pending=waves.pending.copy(),
        wave_open=(waves.behind < 0).astype(np.int64),
        counters=np.array([0, 0, 0, len(moves.vm) + len(work.order)], np.int64),
    )


def _links(problem: Problem) -> Links:
    network = problem.network
    return Links(
        limit_mbit_s=np.concatenate([network.egress_mbit_s, network.ingress_mbit_s, network.bundle_limit]).astype(
            np.float64
        ),
        hosts=len(problem.hosts.ids),
        access_class=network.access_class,
        classes=network.classes,
        route_start=network.route_start,
        route_bundle=network.route_bundle,
        route_share=network.route_share,
    )


def _shares(links: Links, moves: int) -> Shares:
    nodes = len(links.limit_mbit_s)
    return Shares(
        use=np.zeros(nodes),
        left=np.zeros(nodes),
        weight=np.zeros(nodes),
        count=np.zeros(nodes, np.int64),
        node_mark=np.zeros(nodes, np.int64),
        nodes=np.zeros(nodes, np.int64),
        stream_mark=np.zeros(moves, np.int64),
        streams=np.zeros(moves, np.int64),
        rate=np.zeros(moves),
        active=np.zeros(moves, np.int64),
        place=np.full(moves, -1, np.int64),
        stamp=np.zeros(1, np.int64),
    )
