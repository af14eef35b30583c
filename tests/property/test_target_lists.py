"""The lists that targets are sought in: the host found is the one that all hosts, looked at one by one, would give."""

import numba
import numpy as np
import pytest

from slacktide.datasets.generator import generate_fleet
from slacktide.datasets.generator_settings import GeneratorSettings
from slacktide.planner.listing import schedule
from slacktide.planner.listing.arrays import DUE, KEEPS, Instance, Moves, State
from slacktide.planner.listing.targets import choose_target, enlist, unlist
from slacktide.planner.policy import PRESETS
from slacktide.planner.problem_building import build_problem

PROBLEM = build_problem(generate_fleet(GeneratorSettings(hosts=120, seed=5)), PRESETS["urgent"])
SENDABLE = (PROBLEM.vms.duration_s[:, 1:] >= 0).all(axis=1)
FREE_VMS = np.flatnonzero(SENDABLE & (PROBLEM.vms.service < 0) & PROBLEM.hosts.in_service[PROBLEM.vms.host])
"""VMs that only room keeps from a host."""


@numba.njit(error_model="numpy")
def chosen(instance: Instance, state: State, moves: Moves, vm: int, source: int, reach: int) -> int:
    none = np.int64(0)  # of the type of variables: for that it is compiled already
    return choose_target(instance, state, moves, none, vm, source, none, reach, none + DUE + 1)[0]


@numba.njit(error_model="numpy")
def changed(instance: Instance, state: State, host: int, status: int, vcpus: int, memory: int) -> None:
    unlist(instance, state, host)
    state.status[host] = status
    state.free[host, 0] = vcpus
    state.free[host, 1] = memory
    enlist(instance, state, host)


def preference(instance: Instance, state: State, vm: int, source: int, host: int) -> tuple[int, ...] | None:
    """Return what a target is chosen by, the least first, None: the VM cannot go there."""
    pivot, other = instance.pivot, 1 - instance.pivot
    status, kind, free = state.status[host], instance.type_number[host], state.free[host]
    listed = status == KEEPS or (status == DUE and instance.spared[host] == 0)
    allowed = instance.vm_types[vm] >> kind & 1
    if host == source or not listed or not allowed or (free < instance.demand[vm]).any():
        return None
    slower = instance.ingress_mbit_s[host] < instance.egress_mbit_s[source]
    bucket, level = free[pivot] // instance.bucket_size, free[other] // instance.level_size
    return int(status), int(slower), int(bucket), int(kind), -int(level)


@pytest.mark.parametrize("seed", range(4))
def test_the_fullest_host_that_has_room_for_both(seed: int) -> None:
    instance = schedule.build_instance(PROBLEM)
    state = schedule._initial_state(PROBLEM, instance)
    moves = Moves(*(np.zeros(4, np.int64) for _ in Moves._fields))
    rng, hosts, found = np.random.default_rng(seed), len(PROBLEM.hosts.ids), 0
    for _ in range(300):
        host = int(rng.integers(hosts))
        free = rng.integers(0, instance.capacity[host] + 1)
        changed(instance, state, host, int(rng.integers(4)), *(int(amount) for amount in free))
        vm = int(rng.choice(FREE_VMS))
        source = int(PROBLEM.vms.host[vm])
        status = int(state.status[source])
        changed(instance, state, source, 2, *(int(amount) for amount in state.free[source]))
        options = {each: preference(instance, state, vm, source, each) for each in range(hosts)}
        possible = {each: option for each, option in options.items() if option is not None}
        target = chosen(instance, state, moves, vm, source, 100 * hosts)
        if possible:
            found += 1
            assert possible[target] == min(possible.values())
        else:
            assert target < 0
        changed(instance, state, source, status, *(int(amount) for amount in state.free[source]))
    assert found > 100
