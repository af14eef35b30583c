"""Sweeps over moments against counting second by second."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slacktide.planner import sweep
from slacktide.planner.constraints import link_share

KEYS, HORIZON = 4, 12
intervals = st.lists(
    st.tuples(st.integers(0, KEYS - 1), st.integers(0, HORIZON - 1), st.integers(1, HORIZON), st.integers(1, 5)),
    max_size=12,
)
bases = st.lists(st.integers(0, 5), min_size=KEYS, max_size=KEYS)
limits = st.lists(st.integers(0, 12), min_size=KEYS, max_size=KEYS)


def swept(taken: list[tuple[int, int, int, int]], base: list[int]) -> sweep.Levels:
    key, start_s, length_s, amount = np.array(taken, dtype=np.int64).reshape(-1, 4).T
    return sweep.levels(
        np.concatenate([key, key]),
        np.concatenate([start_s, start_s + length_s]),
        np.concatenate([amount, -amount]),
        np.array(base),
    )


def level_at(taken: list[tuple[int, int, int, int]], base: list[int], key: int, at_s: int) -> int:
    """Return the sum over the half-open intervals that hold ``at_s``."""
    return base[key] + sum(amount for k, start, length, amount in taken if k == key and start <= at_s < start + length)


@given(intervals, bases)
def test_levels_are_the_sums_over_half_open_intervals(taken: list[tuple[int, int, int, int]], base: list[int]) -> None:
    found = swept(taken, base)
    moments = {(key, at) for key, start, length, _ in taken for at in (start, start + length)}
    assert list(zip(found.key.tolist(), found.at_s.tolist(), strict=True)) == sorted(moments)
    for key, at_s, level in zip(found.key.tolist(), found.at_s.tolist(), found.level.tolist(), strict=True):
        assert level == level_at(taken, base, key, at_s)


@given(intervals, bases, limits)
def test_an_excess_is_the_first_moment_and_the_peak(
    taken: list[tuple[int, int, int, int]], base: list[int], limit: list[int]
) -> None:
    most = [max(one, other) for one, other in zip(limit, base, strict=True)]
    over = sweep.excess(swept(taken, base), np.array(most))
    expected = []
    for key in range(KEYS):
        above = [
            (at_s, level) for at_s in range(2 * HORIZON) if (level := level_at(taken, base, key, at_s)) > most[key]
        ]
        if above:
            expected.append((key, above[0][0], max(level for _, level in above)))
    assert list(zip(over.key.tolist(), over.at_s.tolist(), over.peak.tolist(), strict=True)) == expected


@given(intervals, bases)
def test_huge_times_are_swept_like_small_ones(taken: list[tuple[int, int, int, int]], base: list[int]) -> None:
    plain = swept(taken, base)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sweep, "LARGEST_CODE", 0)
        numbered = swept(taken, base)
    for name in ("key", "at_s", "level"):
        np.testing.assert_array_equal(getattr(plain, name), getattr(numbered, name))


@given(st.lists(st.integers(0, 2**62), max_size=20) | st.lists(st.integers(0, 9), max_size=20))
def test_ascending_codes_are_stable(codes: list[int]) -> None:
    order = sweep.ascending(np.array(codes, dtype=np.int64)).tolist()
    assert order == sorted(range(len(codes)), key=lambda place: codes[place])


@given(
    st.lists(
        st.tuples(st.integers(0, KEYS - 1), st.integers(0, HORIZON), st.integers(-3, HORIZON), st.integers(1, 5)),
        max_size=12,
    ),
    bases,
    limits,
    st.sampled_from([1, 2 * KEYS, 100]),
)
def test_links_that_are_not_swept_keep_their_limit(
    taken: list[tuple[int, int, int, int]], base: list[int], limit: list[int], cells: int
) -> None:
    """However few the parts of time, and even where migrations end before they start."""
    link, start_s, length_s, amount = np.array(taken, dtype=np.int64).reshape(-1, 4).T
    link, at_s = np.concatenate([link, link]), np.concatenate([start_s, np.maximum(0, start_s + length_s)])
    change, running = np.concatenate([amount, -amount]).astype(np.float64), np.array(base, dtype=np.float64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(link_share, "CELLS", cells)
        found = link_share.overfull(link, at_s, change, running, np.array(limit, dtype=np.float64))
    swept = sweep.levels(link, at_s, change, running)
    expected = sweep.excess(swept, np.array(limit) + link_share.ROUNDING_MBIT_S)
    for name in ("key", "at_s", "peak"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
