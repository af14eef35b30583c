"""The fluid program made smaller: its bound stays, and what may be left out is left out."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from slacktide.planner.condensing import condensed, merged, without_implied
from slacktide.planner.fluid import Classes, solve_flow

HORIZON_S, SLOT_S = 1500.0, 10.0


def classes(**changed: Any) -> Classes:
    """Return two racks of two machine types, their times out within a slot of each other in each type."""
    values = Classes(
        hosts=np.array([4.0, 3.0, 4.0, 2.0]),
        out_s=np.array([101.0, 103.0, 301.0, 307.0]),
        patch_s=np.array([91.0, 94.0, 301.0, 302.0]),
        earliest_s=np.array([101.0, 103.0, 301.0, 307.0]),
        weight=np.ones(4),
        amounts=np.array([[1.0, 2.0], [1.0, 2.0], [2.0, 3.0], [2.0, 3.0]]),
        member=np.array([[True] * 4, [True, True, False, False], [False, False, True, True]]),
        most_out=np.array([4.0, 2.0, 1.0]),
        room=np.array([100.0, 100.0]),
        canary=1,
        gate_s=50.0,
    )
    return replace(values, **changed)


def test_classes_that_no_slot_tells_apart_become_one() -> None:
    one = merged(classes(), SLOT_S)
    assert sorted(zip(one.hosts.tolist(), one.out_s.tolist(), strict=True)) == [(6.0, 301.0), (7.0, 101.0)]
    assert sorted(map(tuple, one.member.T.tolist())) == [(True, False, True), (True, True, False)]


@pytest.mark.parametrize(
    "changed",
    [
        {"weight": np.array([1.0, 2.0, 1.0, 1.0])},
        {"out_s": np.array([101.0, 113.0, 301.0, 307.0])},
        {"amounts": np.array([[1.0, 2.0], [1.0, 3.0], [2.0, 3.0], [2.0, 3.0]])},
        {"earliest_s": np.array([101.0, 200.0, 301.0, 307.0])},
        {"member": np.array([[True] * 4, [True, False, False, False], [False, False, True, True]])},
    ],
)
def test_classes_that_differ_in_what_counts_stay_apart(changed: dict[str, Any]) -> None:
    assert len(merged(classes(**changed), SLOT_S).hosts) == 3


def test_a_cap_above_those_of_its_parts_is_left_out() -> None:
    assert without_implied(classes()).most_out.tolist() == [2.0, 1.0]


def test_a_cap_below_those_of_its_parts_stays() -> None:
    assert without_implied(classes(most_out=np.array([2.5, 2.0, 1.0]))).most_out.tolist() == [2.5, 2.0, 1.0]


def test_a_cap_with_a_class_that_no_part_has_stays() -> None:
    member = np.array([[True] * 4, [True, True, False, False], [False, False, True, False]])
    assert len(without_implied(classes(member=member)).most_out) == 3


@pytest.mark.parametrize("most_out", [[4.0, 2.0, 1.0], [2.0, 2.0, 1.0], [4.0, 4.0, 4.0]])
def test_the_bound_stays(most_out: list[float]) -> None:
    whole = classes(most_out=np.array(most_out))
    one, other = (solve_flow(each, HORIZON_S, SLOT_S) for each in (whole, condensed(whole, SLOT_S)))
    assert one is not None
    assert other is not None
    assert other.bound_s == pytest.approx(one.bound_s, rel=1e-7)
