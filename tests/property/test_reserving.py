"""What is free beside a reserve from each slot on: kept up to date as VMs take room, and as if worked out anew."""

import numba
import numpy as np
import pytest
from small_fleet import POLICY, small_fleet

from slacktide.planner.listing import schedule
from slacktide.planner.listing.arrays import Instance, State
from slacktide.planner.listing.reserving import least_free, take
from slacktide.planner.policy import Reserve
from slacktide.planner.problem_building import build_problem


@numba.njit(error_model="numpy")
def took(instance: Instance, state: State, vm: int, target: int, start_s: int, sign: int) -> None:
    take(instance, state, vm, target, start_s, sign)


@numba.njit(error_model="numpy")
def known(instance: Instance, state: State, group: int) -> np.ndarray:
    least_free(instance, state, group, 0, 0)
    return state.least[group].copy()


@pytest.mark.parametrize("seed", range(4))
def test_as_if_worked_out_anew(seed: int) -> None:
    policy = POLICY.model_copy(update={"reserve": Reserve(share=0.1, hosts=1, per="rack")})
    problem = build_problem(small_fleet(), policy)
    instance = schedule.build_instance(problem)
    state = schedule._initial_state(problem, instance)
    groups, rng = len(problem.reserves.required), np.random.default_rng(seed)
    assert groups > 1
    span_s = int(1.2 * instance.slot_s * state.later.shape[2])
    for _ in range(60):
        for group in range(groups):
            known(instance, state, group)
        vm, target = int(rng.integers(len(problem.vms.ids))), int(rng.integers(len(problem.hosts.ids)))
        took(instance, state, vm, target, int(rng.integers(-instance.slot_s, span_s)), int(rng.choice([1, 1, 1, -1])))
        kept = [known(instance, state, group) for group in range(groups)]
        state.stale[:] = 1
        anew = [known(instance, state, group) for group in range(groups)]
        np.testing.assert_array_equal(kept, anew)
