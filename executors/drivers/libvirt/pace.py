"""The bandwidth that a plan gave to a migration, kept to while it runs: pure.

libvirt takes whole MiB/s, and QEMU falls short of a limit by what its clock loses.  So the limit goes up and down
between the whole numbers around the planned rate, as what was sent so far is behind or ahead of it.
"""

from dataclasses import dataclass
from math import ceil, floor
from typing import Final

from slacktide import units

CATCH_UP: Final = 1.1
"""How far above its planned rate a migration that is behind may be sent: enough for what the limiter loses, a few per
cent, and too little to take a link from others."""


@dataclass(frozen=True, slots=True)
class Pace:
    """The planned rate of one attempt."""

    bandwidth_mbit_s: int
    goodput: float
    """Share of it that is guest memory; the rest is protocol and encryption."""

    @property
    def planned_mib_s(self) -> float:
        """Guest memory that may be sent in a second."""
        return float(units.mib_s(self.bandwidth_mbit_s * self.goodput))

    @property
    def first_limit_mib_s(self) -> int:
        """Limit to begin with: the nearest whole number, at least 1."""
        return max(1, round(self.planned_mib_s))

    def limit_mib_s(self, sent_mib: float, sending_s: float) -> int:
        """Return the limit from now on, for a copy that has sent ``sent_mib`` in ``sending_s``."""
        behind = sent_mib < self.planned_mib_s * sending_s
        return max(1, ceil(self.planned_mib_s * CATCH_UP) if behind else floor(self.planned_mib_s))
