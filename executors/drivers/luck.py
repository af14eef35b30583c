"""Random numbers that belong to a thing and not to the order in which things are asked for.

The numbers are a hash of the seed and the thing's name, so that the same VM has the same luck whatever else happens,
on any number of agents.
"""

import math
from hashlib import blake2b
from statistics import NormalDist
from struct import Struct
from typing import Final

NUMBERS: Final = 8
"""Independent numbers of each thing: as many words of 64 bits as a hash has."""
_WORDS: Final = Struct("<8Q")
_normal_quantile: Final = NormalDist().inv_cdf


def luck(seed: int, name: str) -> tuple[float, ...]:
    """Return :data:`NUMBERS` uniform numbers strictly between 0 and 1."""
    words = _WORDS.unpack(blake2b(f"{seed}\0{name}".encode(), digest_size=64).digest())
    return tuple(((word >> 12) + 0.5) / 2**52 for word in words)


def lognormal(uniform: float, sigma: float) -> float:
    """Return the factor at quantile ``uniform`` of a distribution with median 1.

    ``sigma`` is the standard deviation of its logarithm.
    """
    return math.exp(sigma * _normal_quantile(uniform))
