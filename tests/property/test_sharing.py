"""Max-min rates: properties, and against a sequence of linear programs."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from scipy.optimize import linprog

from slacktide.topology import max_min_rates


@st.composite
def problems(draw):
    streams, links = draw(st.integers(1, 5)), draw(st.integers(1, 4))
    share = st.sampled_from([0.0, 0.0, 0.25, 0.5, 1.0, 2.0])
    loads = np.array(draw(st.lists(share, min_size=streams * links, max_size=streams * links))).reshape(streams, links)
    whole = st.integers(0, 50)
    capacity = np.array(draw(st.lists(whole, min_size=links, max_size=links)), dtype=float)
    demand = np.array(draw(st.lists(whole, min_size=streams, max_size=streams)), dtype=float)
    return capacity, sparse.csr_array(loads), demand


def by_linear_programs(capacity, loads, demand):
    """Raise the least rate as far as it goes; fix every stream that cannot go beyond; repeat."""
    streams = loads.shape[0]
    fixed = {}
    while len(fixed) < streams:
        free = [stream for stream in range(streams) if stream not in fixed]
        level = _least(capacity, loads, demand, fixed, free)
        for stream in free:
            if _most(capacity, loads, demand, fixed, free, level, stream) <= level + 1e-7:
                fixed[stream] = level
    return np.array([fixed[stream] for stream in range(streams)])


def _bounds(demand, fixed, floor):
    return [(fixed[stream], fixed[stream]) if stream in fixed else (floor, most) for stream, most in enumerate(demand)]


def _solved(objective, rows, right, bounds):
    # A hair of slack: rates fixed by an earlier program are rounded.
    result = linprog(objective, A_ub=rows, b_ub=right + 1e-9, bounds=bounds, method="highs")
    assert result.status == 0
    return result


def _least(capacity, loads, demand, fixed, free):
    streams, links = loads.shape
    rows = np.zeros((links + len(free), streams + 1))
    rows[:links, :streams] = loads.toarray().T
    for row, stream in enumerate(free):
        rows[links + row, [stream, streams]] = -1, 1
    right = np.concatenate([capacity, np.zeros(len(free))])
    objective = np.zeros(streams + 1)
    objective[-1] = -1
    return -_solved(objective, rows, right, [*_bounds(demand, fixed, 0), (0, None)]).fun


def _most(capacity, loads, demand, fixed, free, level, stream):
    bounds = _bounds(demand, fixed, 0)
    for other in free:
        bounds[other] = (min(max(level - 1e-9, 0), demand[other]), demand[other])
    objective = np.zeros(loads.shape[0])
    objective[stream] = -1
    return -_solved(objective, loads.toarray().T, capacity, bounds).fun


@given(problems())
def test_no_link_and_no_demand_is_exceeded(problem):
    capacity, loads, demand = problem
    rate = max_min_rates(capacity, loads, demand)
    assert (rate >= 0).all()
    assert (rate <= demand).all()
    assert (loads.T @ rate <= capacity * (1 + 1e-9)).all()


@given(problems())
def test_every_stream_below_its_demand_is_among_the_fastest_on_a_full_link(problem):
    capacity, loads, demand = problem
    rate = max_min_rates(capacity, loads, demand)
    dense = loads.toarray()
    full = dense.T @ rate >= capacity - 1e-6
    for stream in np.flatnonzero(rate < demand):
        on = dense[stream] > 0
        fastest = [rate[dense[:, link] > 0].max() for link in np.flatnonzero(on & full)]
        assert any(rate[stream] >= other - 1e-6 for other in fastest)


@settings(max_examples=60)
@given(problems())
def test_rates_agree_with_linear_programs(problem):
    np.testing.assert_allclose(max_min_rates(*problem), by_linear_programs(*problem), atol=1e-5)


def test_streams_that_nothing_limits_are_unlimited():
    loads = sparse.csr_array(np.array([[1.0], [0.0]]))
    assert max_min_rates(np.array([4.0]), loads).tolist() == [4.0, np.inf]


def test_no_streams():
    assert max_min_rates(np.array([4.0]), sparse.csr_array((0, 1))).tolist() == []


def test_the_textbook_example():
    # One stream over both links, two on the first, one on the second.
    loads = sparse.csr_array(np.array([[1.0, 1.0], [1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]))
    np.testing.assert_allclose(max_min_rates(np.array([9.0, 10.0]), loads), [3.0, 3.0, 3.0, 7.0])
