"""Random numbers by name: each is a function of seed, purpose and counters, never of what was drawn before.

Adding a host, or a purpose, therefore changes no other host's numbers; and whole columns are drawn at once.
"""

from enum import IntEnum
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

_STEP: Final = np.uint64(0x9E3779B97F4A7C15)
_FIRST: Final = np.uint64(0xBF58476D1CE4E5B9)
_SECOND: Final = np.uint64(0x94D049BB133111EB)


class Purpose(IntEnum):
    """What a number is drawn for; a new purpose takes a new number, so that the others stay as they are."""

    HOST_FILL = 1
    VM_SIZE = 2
    LAST_VM = 3
    PROFILE = 4
    HOT = 5
    DIRTY = 6
    UNKNOWN_RATE = 7
    EVICTION = 8
    NOTICE = 9
    BLACKOUT_LIMIT = 10
    LOCAL_DISK = 11
    LOCAL_DISK_SIZE = 12
    MACHINE_TYPES = 13
    EMPTY_PHASE = 14
    DOWN_PHASE = 15
    PATCHED_PHASE = 16
    RACK_TYPE_PHASE = 17
    IN_SERVICE = 18
    SERVICE_ORDER = 19
    SERVICE_SIZE = 20
    SERVICE_SPREAD = 21
    SERVICE_MOVING = 22
    RESAMPLE = 23
    MACHINE_TYPES_WIDTH = 24


def uniform(seed: int, purpose: Purpose, *counters: ArrayLike) -> NDArray[np.float64]:
    """Return numbers in [0, 1), one for each element of the broadcast ``counters``.

    References
    ----------
    Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators", OOPSLA 2014 (the mixing function).
    """
    state = _mixed(np.asarray([seed], dtype=np.uint64) ^ _mixed(np.asarray([int(purpose)], dtype=np.uint64)))
    for counter in counters:
        state = _mixed(state ^ _mixed(np.atleast_1d(np.asarray(counter)).astype(np.uint64)))
    return (state >> np.uint64(11)).astype(np.float64) * 2.0**-53


def phase(seed: int, purpose: Purpose) -> float:
    """Return one number in [0, 1)."""
    return float(uniform(seed, purpose)[0])


def evenly_chosen(count: int, share: float, offset: float) -> NDArray[np.bool_]:
    """Return which of ``count`` things in a row are chosen, when ``share`` of them are, evenly spaced.

    The choice among the first n things does not depend on ``count``; ``offset`` in [0, 1) shifts it.
    """
    steps = np.floor(np.arange(count + 1) * share + offset)
    return np.asarray(np.diff(steps) > 0)


def chosen(shares: ArrayLike, numbers: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return for each number in [0, 1) the index that ``shares`` (any positive scale) give it."""
    cumulated = np.cumsum(np.asarray(shares, dtype=np.float64))
    return np.minimum(np.searchsorted(cumulated / cumulated[-1], numbers, side="right"), len(cumulated) - 1)


def _mixed(state: NDArray[np.uint64]) -> NDArray[np.uint64]:
    mixed = state + _STEP
    mixed = (mixed ^ (mixed >> np.uint64(30))) * _FIRST
    mixed = (mixed ^ (mixed >> np.uint64(27))) * _SECOND
    return mixed ^ (mixed >> np.uint64(31))
