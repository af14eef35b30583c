"""Sums that change at moments, swept in the order of time: arrays in, arrays out, no loop over events."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Numbers = NDArray[Any]

LARGEST_CODE: Final = 2**62
"""Keys and moments are sorted as one 64-bit number each; beyond this, moments are numbered first."""
DIGIT_BITS: Final = 16
"""Numbers of so many bits numpy sorts by counting them."""


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
    order = ascending(code)
    last = ends(code[order])
    rows = order[last]
    key = key[rows]
    level = base[key].astype(np.result_type(base, change), copy=False)
    if change.ndim == 1:
        level += summed(key, change[order], last)
    else:
        for quantity in range(change.shape[1]):
            level[:, quantity] += summed(key, change[order, quantity], last)
    return Levels(key, at_s[rows], level)


def ascending(codes: Ints) -> Ints:
    """Return the order that sorts ``codes``, none negative: digit after digit, each of 16 bits, which takes no search.

    Equal codes stay in the order in which they are.
    """
    order = np.argsort(codes.astype(np.uint16), kind="stable")
    for shift in range(DIGIT_BITS, int(codes.max(initial=0)).bit_length(), DIGIT_BITS):
        digit = (codes >> shift).astype(np.uint16)
        order = order[np.argsort(digit[order], kind="stable")]
    return order


def summed(key: Ints, change: Numbers, last: NDArray[np.intp]) -> Numbers:
    """Return the running sums of ``change`` at its places ``last``, each run of equal keys (of ``last``) by itself."""
    total: Numbers = np.cumsum(change)[last]
    first = starts(key)
    before = np.zeros(len(first), dtype=total.dtype)
    before[1:] = total[first[1:] - 1]
    total -= np.repeat(before, np.diff(first, append=len(key)))
    return total


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


def ends(values: Ints) -> NDArray[np.intp]:
    """Return where each run of equal values has its last."""
    final = np.ones(len(values), dtype=np.bool_)
    np.not_equal(values[1:], values[:-1], out=final[:-1])
    return np.flatnonzero(final)
