"""The fluid program: what it proves, by hand, and that failure domains count."""

from dataclasses import replace

import numpy as np
import pytest

from slacktide.planner.fluid import Classes, profile_slot_s, slot_length_s, slots_of, solve_flow


def classes(**changed):
    """Return four hosts of 100 s and four of 300 s, two out at once, no canary."""
    values = Classes(
        hosts=np.array([4.0, 4.0]),
        out_s=np.array([100.0, 300.0]),
        patch_s=np.array([100.0, 300.0]),
        earliest_s=np.array([100.0, 300.0]),
        weight=np.ones(2),
        amounts=np.ones((2, 2)),
        member=np.ones((1, 2), np.bool_),
        most_out=np.array([2.0]),
        room=np.array([100.0, 100.0]),
        canary=0,
        gate_s=0.0,
    )
    return replace(values, **changed)


BEST_S = 2 * 100 + 2 * 200 + 2 * 500 + 2 * 800
"""Short hosts first, two at a time: the least sum of returns."""


def test_the_bound_is_the_optimum_but_for_a_slot_of_each_host():
    flow = solve_flow(classes(), 1000.0, 10.0)
    assert BEST_S - 8 * 10 - 1e-3 <= flow.bound_s <= BEST_S


def test_a_cap_on_short_hosts_raises_the_bound():
    """Only one short host at a time: the other place goes to long ones from the start."""
    capped = classes(member=np.array([[True, True], [True, False]]), most_out=np.array([2.0, 1.0]))
    assert solve_flow(capped, 1200.0, 10.0).bound_s > solve_flow(classes(), 1200.0, 10.0).bound_s + 100


def test_room_for_one_host_makes_all_wait():
    one = solve_flow(classes(room=np.array([1.0, 100.0])), 2000.0, 10.0)
    alone_s = 100 + 200 + 300 + 400 + 700 + 1000 + 1300 + 1600
    assert alone_s - 8 * 10 - 1e-3 <= one.bound_s <= alone_s


def test_heavy_hosts_count_more_and_go_first():
    heavy = solve_flow(classes(weight=np.array([1.0, 10.0])), 1000.0, 10.0)
    best_s = 10 * (2 * 300 + 2 * 600) + 2 * 700 + 2 * 800
    assert best_s - (4 + 40) * 10 - 1e-3 <= heavy.bound_s <= best_s
    assert heavy.returned[1, 30] > heavy.returned[0, 30]


def test_a_horizon_that_is_too_short_still_bounds():
    assert solve_flow(classes(), 400.0, 10.0).bound_s <= BEST_S


def test_the_canary_need_not_wait_for_the_gate():
    """A host of the last pair, back at 1,300 s behind the gate, is back at 300 s in the canary."""
    waits = solve_flow(classes(gate_s=500.0), 1000.0, 10.0).bound_s
    assert solve_flow(classes(gate_s=500.0, canary=1), 1000.0, 10.0).bound_s == pytest.approx(waits - 1000, abs=20)


def test_slots_round_little_away():
    slot_s = slot_length_s(classes(), 1000.0)
    assert np.mod(classes().out_s, slot_s).max() < 0.1 * slot_s


def test_a_profile_s_slots_add_little_to_the_times_out() -> None:
    """With 200 slots of 87 s, 2,502 s are 29 slots, which add 0.8 %, and 1,670 s are 20, which add 4.2 %."""
    alike = classes(out_s=np.array([2502.0, 1670.0]), hosts=np.array([500.0, 100.0]))
    slot_s = profile_slot_s(alike, 17_400.0)
    out, room, _ = slots_of(alike, slot_s, expected=True)
    added = out * slot_s / alike.out_s - 1
    assert (out == room).all()
    assert (np.abs(added) < 0.01).all()
    assert 17_400 / 400 - 1e-6 <= slot_s <= 17_400 / 180 + 1e-6
