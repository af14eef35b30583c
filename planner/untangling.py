"""Cells' schedules in which a service moves too many VMs at once, put right without moving any host's times.

Cells are planned apart, so VMs of one service may migrate at once from two of them.  VMs that follow each other from
one host at one rate are a *run*: whatever their order, the host's NIC and the links behind it carry the same at every
moment, and room on the targets has been taken since the drain was decided.  So where a service moves too much, one of
its VMs changes places with another of its run, if the NICs of their targets allow it, and nothing else of the schedule
changes.  Links to the targets are looked at by the pass that joins the cells' schedules.
"""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from slacktide.planner.compiled import compiled
from slacktide.planner.listing.decisions import Schedule
from slacktide.planner.problem import Problem

Ints = NDArray[np.int64]

ROUNDS = 4
"""Times that all collisions are looked at: what changes places for one may now stand in the way of another."""


class Runs(NamedTuple):
    """All moves in the order of their runs; M moves, S services."""

    vm: Ints
    start_s: Ints
    end_s: Ints
    first: Ints  # (M,) first move of the run
    last: Ints  # (M,) first move behind the run
    before: Ints  # (M,) the VM's move before, -1: none
    behind: Ints  # (M,) the VM's next move, -1: none
    cell: Ints  # (M,)
    notice_s: Ints  # (M,)
    service: Ints  # (M,) -1: none
    service_start: Ints  # (S + 1,) into service_moves
    service_moves: Ints
    target: Ints  # (M,)
    rate_mbit_s: Ints  # (M,)
    target_start: Ints  # (N + 1,) into target_moves
    target_moves: Ints
    ingress_mbit_s: Ints  # (N,)
    max_moving: Ints  # (S,)
    spreads: Ints  # (S,) 1: its VMs must stay spread


def untangled(problem: Problem, cell: Ints, schedule: Schedule) -> tuple[Schedule, int]:
    """Return the schedule with as few services moving too much as can be, and how many moves are still one too many."""
    order, runs = _runs(problem, cell, schedule)
    left = colliding(runs)
    for _ in range(ROUNDS):
        if not len(left):
            break
        _settle(runs, left)
        left = colliding(runs)
    start_s, end_s = schedule.start_s.copy(), schedule.end_s.copy()
    start_s[order], end_s[order] = runs.start_s, runs.end_s
    # A run's moves change places: each row keeps its VM and takes its new times.
    return replace(schedule, start_s=start_s, end_s=end_s), len(left)


def colliding(runs: Runs) -> Ints:
    """Return the moves, by their start, during whose first second their service moves too many VMs."""
    limited = runs.max_moving < np.diff(runs.service_start)
    member = np.flatnonzero(runs.service >= 0)
    member = member[limited[runs.service[member]]]
    service = runs.service[member]
    span = int(runs.end_s.max(initial=0)) + 1
    begin, finish = service * span + runs.start_s[member], service * span + runs.end_s[member]
    under_way = np.searchsorted(np.sort(begin), begin, side="right") - np.searchsorted(
        np.sort(finish), begin, side="right"
    )
    found = member[under_way > runs.max_moving[service]]
    return found[np.argsort(runs.start_s[found], kind="stable")]


def _runs(problem: Problem, cell: Ints, schedule: Schedule) -> tuple[Ints, Runs]:
    """Return the places in the schedule of the moves in the order of their runs, and the moves in that order."""
    order = np.lexsort((schedule.start_s, schedule.source))
    vm, source, target = schedule.vm[order], schedule.source[order], schedule.target[order]
    start_s, end_s, rate = schedule.start_s[order], schedule.end_s[order], schedule.rate[order]
    count = len(order)
    fresh = np.ones(count, bool)
    fresh[1:] = (source[1:] != source[:-1]) | (rate[1:] != rate[:-1]) | (start_s[1:] != end_s[:-1])
    begins = np.append(np.flatnonzero(fresh), count)
    length = np.diff(begins)
    before, behind = np.full(count, -1, np.int64), np.full(count, -1, np.int64)
    by_vm = np.lexsort((start_s, vm))
    again = np.flatnonzero(vm[by_vm][1:] == vm[by_vm][:-1])
    before[by_vm[again + 1]], behind[by_vm[again]] = by_vm[again], by_vm[again + 1]
    service = problem.vms.service[vm]
    by_service = np.argsort(service, kind="stable")
    by_service = by_service[service[by_service] >= 0]
    by_target = np.argsort(target, kind="stable")
    services, hosts = len(problem.services.max_moving), len(problem.hosts.ids)
    return order, Runs(
        vm=vm,
        start_s=start_s.copy(),
        end_s=end_s.copy(),
        first=np.repeat(begins[:-1], length),
        last=np.repeat(begins[1:], length),
        before=before,
        behind=behind,
        cell=cell[source],
        notice_s=problem.vms.notice_s[vm],
        service=service,
        service_start=np.searchsorted(service[by_service], np.arange(services + 1)).astype(np.int64),
        service_moves=by_service.astype(np.int64),
        target=target,
        rate_mbit_s=problem.vms.rates_mbit_s[rate],
        target_start=np.searchsorted(target[by_target], np.arange(hosts + 1)).astype(np.int64),
        target_moves=by_target.astype(np.int64),
        ingress_mbit_s=problem.network.ingress_mbit_s,
        max_moving=problem.services.max_moving,
        spreads=(problem.services.spread_kind >= 0).astype(np.int64),
    )


@compiled
def _most_moving(runs: Runs, move: int) -> int:
    """Return how many VMs of a move's service are on their way at most while it is."""
    service = runs.service[move]
    first, last = runs.service_start[service], runs.service_start[service + 1]
    most = 1
    for at in range(first, last):
        other = runs.service_moves[at]
        if runs.start_s[other] >= runs.end_s[move] or runs.end_s[other] <= runs.start_s[move]:
            continue
        moment, moving = max(runs.start_s[other], runs.start_s[move]), 0
        for each in range(first, last):
            third = runs.service_moves[each]
            if runs.start_s[third] <= moment < runs.end_s[third]:
                moving += 1
        most = max(most, moving)
    return most


@compiled
def _stays_spread(runs: Runs, move: int, from_s: int, until_s: int) -> bool:
    """Return whether no other VM of the service moves inside the cell in a time: nothing then depends on the order."""
    service = runs.service[move]
    if runs.spreads[service] == 0:
        return True
    for at in range(runs.service_start[service], runs.service_start[service + 1]):
        other = runs.service_moves[at]
        inside = other != move and runs.cell[other] == runs.cell[move]
        if inside and runs.start_s[other] < until_s and runs.end_s[other] > from_s:
            return False
    return True


@compiled
def _fits_nic(runs: Runs, move: int) -> bool:
    """Return whether the target's NIC takes a move beside all that it receives meanwhile."""
    target, total = runs.target[move], 0
    for at in range(runs.target_start[target], runs.target_start[target + 1]):
        other = runs.target_moves[at]
        if runs.start_s[other] < runs.end_s[move] and runs.end_s[other] > runs.start_s[move]:
            total += runs.rate_mbit_s[other]
    return bool(total <= runs.ingress_mbit_s[target])


@compiled
def _may_be(runs: Runs, move: int, from_s: int, until_s: int) -> bool:
    """Return whether a move may be when it now is; its run lasts from ``from_s`` to ``until_s``."""
    told_s = 0 if runs.before[move] < 0 else runs.end_s[runs.before[move]]
    if runs.start_s[move] < told_s + runs.notice_s[move]:
        return False
    behind = runs.behind[move]
    if behind >= 0 and runs.end_s[move] + runs.notice_s[move] > runs.start_s[behind]:
        return False
    if not _fits_nic(runs, move):
        return False
    service = runs.service[move]
    if service < 0:
        return True
    return _most_moving(runs, move) <= runs.max_moving[service] and _stays_spread(runs, move, from_s, until_s)


@compiled
def _line_up(runs: Runs, sequence: Ints, from_s: int) -> None:
    """Let the moves of a run follow each other in a sequence."""
    now = from_s
    for move in sequence:
        length = runs.end_s[move] - runs.start_s[move]
        runs.start_s[move], runs.end_s[move] = now, now + length
        now += length


@compiled
def _change_places(runs: Runs, move: int) -> bool:
    """Let a move change places with another of its run so that all limits hold, if there is one; return whether."""
    first, last = runs.first[move], runs.last[move]
    count = last - first
    sequence = first + np.argsort(runs.start_s[first:last], kind="mergesort")
    from_s, until_s = runs.start_s[sequence[0]], runs.end_s[sequence[count - 1]]
    here = 0
    while sequence[here] != move:
        here += 1
    for there in range(count):
        if there == here:
            continue
        sequence[here], sequence[there] = sequence[there], sequence[here]
        _line_up(runs, sequence, from_s)
        fits = True
        for at in range(min(here, there), max(here, there) + 1):
            if not _may_be(runs, sequence[at], from_s, until_s):
                fits = False
                break
        if fits:
            return True
        sequence[here], sequence[there] = sequence[there], sequence[here]
    _line_up(runs, sequence, from_s)
    return False


@compiled
def _settle(runs: Runs, moves: Ints) -> None:
    """Let each of ``moves``, or else one that it collides with, change places."""
    for move in moves:
        service = runs.service[move]
        if _most_moving(runs, move) <= runs.max_moving[service] or _change_places(runs, move):
            continue
        for at in range(runs.service_start[service], runs.service_start[service + 1]):
            other = runs.service_moves[at]
            overlaps = runs.start_s[other] < runs.end_s[move] and runs.end_s[other] > runs.start_s[move]
            if other != move and overlaps:
                _change_places(runs, other)
                if _most_moving(runs, move) <= runs.max_moving[service]:
                    break
