"""Sweeps over moments against counting second by second."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slacktide.planner import sweep

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
