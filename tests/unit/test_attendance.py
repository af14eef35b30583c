"""Where agents are started again, and how often."""

import pytest

from slacktide.executors.attendance import Placement, Restarts, placement


@pytest.mark.parametrize(
    ("has_node", "had_node", "patching", "where"),
    [
        (True, True, False, Placement.NODE),
        (True, True, True, Placement.NODE),
        (True, False, False, Placement.NODE),
        (False, True, True, Placement.NOWHERE),
        (False, True, False, Placement.GATEWAY),
        (False, False, True, Placement.GATEWAY),
        (False, False, False, Placement.GATEWAY),
    ],
)
def test_only_a_node_that_goes_for_a_patch_is_waited_for(has_node, had_node, patching, where) -> None:
    assert placement(has_node=has_node, had_node=had_node, patching=patching) is where


def test_what_ends_again_and_again_is_given_up_and_what_ends_now_and_then_is_not() -> None:
    often, seldom = Restarts(most=3, within_s=10.0), Restarts(most=3, within_s=10.0)
    assert [often.allow(now_s) for now_s in (0.0, 1.0, 2.0, 3.0)] == [True, True, True, False]
    assert all(seldom.allow(4.0 * number) for number in range(20))
