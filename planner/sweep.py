"""Sums that change at moments, swept in the order of time: arrays in, arrays out, no loop over events."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Numbers = NDArray[Any]

LARGEST_CODE: Final = 2**62
"""Keys and moments are sorted as one 64-bit number each; beyond this, moments are numbered first."""


@dataclass(frozen=True, eq=False)
class Levels:
    """What each key's sum is from each moment at which it changes; sorted by key, then time."""

    key: Ints
    at_s: Ints
    level: Numbers
    """Shape (moments,) or (moments, quantities): after every change at that moment, so ends and starts at one
    moment count together, as half-open intervals ask."""


@dataclass(frozen=True, eq=False)
class Excess:
    """Keys whose level exceeds its limit: the first moment, and the highest level that does."""

    key: Ints
    at_s: Ints
    peak: Numbers


def levels(key: Ints, at_s: Ints, change: Numbers, base: Numbers) -> Levels:
    """Return the levels that ``change`` at ``at_s``, from ``base`` (by key), leads to; times are not negative."""
    if not len(key):
        return Levels(key, at_s, change)
    moment, moments = at_s, int(at_s.max()) + 1
    if moments * (int(key.max()) + 1) > LARGEST_CODE:
        times, moment = np.unique(at_s, return_inverse=True)
        moments = len(times)
    code = key * moments + moment
    order = np.argsort(code)
    ordered = code[order]
    first = starts(ordered)
    rows = order[first]
    changed = np.add.reduceat(change[order], first, axis=0)
    return Levels(key[rows], at_s[rows], cumulated(key[rows], changed) + base[key[rows]])


def cumulated(key: Ints, change: Numbers) -> Numbers:
    """Return the running sum of ``change`` within each run of equal keys."""
    total = np.cumsum(change, axis=0)
    first = starts(key)
    before = total[first] - change[first]
    lengths = np.diff(first, append=len(key))
    running: Numbers = total - np.repeat(before, lengths, axis=0)
    return running


def excess(swept: Levels, limit: Numbers, quantity: int | None = None) -> Excess:
    """Return the keys whose level, or one quantity of it, is above ``limit`` (by key)."""
    level = swept.level if quantity is None else swept.level[:, quantity]
    above = np.flatnonzero(level > limit[swept.key])
    key = swept.key[above]
    first = starts(key)
    peak = np.maximum.reduceat(level[above], first) if len(first) else level[above]
    return Excess(key[first], swept.at_s[above[first]], peak)


def starts(values: Ints) -> NDArray[np.intp]:
    """Return where each run of equal values begins."""
    fresh = np.ones(len(values), dtype=np.bool_)
    np.not_equal(values[1:], values[:-1], out=fresh[1:])
    return np.flatnonzero(fresh)
