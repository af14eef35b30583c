"""Units and the only place where one is turned into another.

Memory is counted in MiB (2**20 bytes), bandwidth in Mbit/s (10**6 bits a second), as the names of
fields and columns say: ``_mib``, ``_mbit_s``, ``_mib_s``, ``_s``, ``_ms``.

Every function works on numbers and on numpy arrays alike.
"""

from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

Quantity = TypeVar("Quantity", float, NDArray[np.float64])

MBIT_PER_MIB: Final = 2**20 * 8 / 1e6
"""Megabits in one MiB: 8.388608."""

SECONDS_PER_HOUR: Final = 3600


def mbit(size_mib: Quantity) -> Quantity:
    """Return a size in MiB as megabits."""
    return size_mib * MBIT_PER_MIB


def mib_s(bandwidth_mbit_s: Quantity) -> Quantity:
    """Return a bandwidth in Mbit/s as MiB/s."""
    return bandwidth_mbit_s / MBIT_PER_MIB


def transfer_s(size_mib: Quantity, bandwidth_mbit_s: Quantity) -> Quantity:
    """Return how long ``size_mib`` takes at ``bandwidth_mbit_s``, in seconds."""
    return mbit(size_mib) / bandwidth_mbit_s


def hours(duration_s: Quantity) -> Quantity:
    """Return seconds as hours."""
    return duration_s / SECONDS_PER_HOUR
