"""Sharing a resource out: never more than there is, and no other shares let the slowest cell end sooner."""

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from slacktide.planner.apportioning import apportioned, curve
from slacktide.planner.needs import Demand

cells = st.lists(st.lists(st.integers(1, 40), min_size=0, max_size=6), min_size=1, max_size=3)


def demand_of(spans: list[int]) -> Demand:
    span_s = np.array(spans, np.int64)
    area = (span_s.astype(float), 1.0)
    return Demand("hosts-out", np.arange(len(spans)), np.ones(len(spans)), span_s, 1.0, 0, (area,))


def bound_s(spans: list[int], places: int) -> float:
    """Return the bound on how long hosts need with so many places, by area and by the instants of every period."""
    if not spans:
        return 0.0
    if places == 0:
        return float("inf")
    tried = {part for span in spans for part in (span, span // 2, span // 3) if part > 0}
    instants = max(-(-sum(span // period for span in spans) // places) * period for period in tried)
    return max(float(instants), sum(spans) / places)


@given(cells, st.integers(0, 8))
def test_the_slowest_cell_is_as_fast_as_any_shares_make_it(spans: list[list[int]], total: int) -> None:
    given_places = apportioned(total, [curve(demand_of(each)) for each in spans]).tolist()
    assert sum(given_places) <= total
    assert min(given_places) >= 0
    slowest_s = max(bound_s(each, places) for each, places in zip(spans, given_places, strict=True))
    for shares in itertools.product(range(total + 1), repeat=len(spans)):
        if sum(shares) <= total:
            other_s = max(bound_s(each, places) for each, places in zip(spans, shares, strict=True))
            assert slowest_s <= np.ceil(other_s)


@given(cells, st.integers(0, 60), st.lists(st.integers(0, 10), min_size=3, max_size=3))
def test_no_cell_gets_more_than_it_can_use(spans: list[list[int]], total: int, most: list[int]) -> None:
    caps = most[: len(spans)]
    shares = apportioned(total, [curve(demand_of(each)) for each in spans], caps)
    assert (shares <= caps).all()
    assert shares.sum() <= total
