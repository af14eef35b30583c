"""What passes decide, and what has been decided before they begin; numbered as in the problem."""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from slacktide.planner.listing.arrays import Ints

Bools = NDArray[np.bool_]
EVACUATION = -2
"""Wave of hosts that are evacuated, while plans are made: they belong to none, and no gate waits for them."""
HOST_COLUMNS = frozenset({"host", "wave", "drain_start_s", "drained_s", "return_s"})


@dataclass(frozen=True)
class Schedule:
    """What one pass decides, numbered as in the problem; n hosts, m migrations."""

    host: Ints
    """Hosts in the order in which they leave service, shape (n,)."""
    wave: Ints
    drain_start_s: Ints
    drained_s: Ints
    return_s: Ints
    vm: Ints
    """VM of each migration, shape (m,)."""
    source: Ints
    target: Ints
    start_s: Ints
    end_s: Ints
    rate: Ints
    """Number of the rate in the problem's ``rates_mbit_s``."""

    def part(self, chosen: Bools) -> "Schedule":
        """Return the chosen hosts and their moves, ``chosen`` of shape (n,)."""
        moved = np.isin(self.source, self.host[chosen])
        rows = {field.name: chosen if field.name in HOST_COLUMNS else moved for field in fields(self)}
        return Schedule(**{name: getattr(self, name)[picked] for name, picked in rows.items()})

    @property
    def makespan_s(self) -> int:
        """When the last host has returned."""
        return int(self.return_s.max(initial=0))


@dataclass(frozen=True)
class Underway:
    """What goes on when a pass begins at ``from_s``: hosts that are out, n of them, and m migrations."""

    from_s: int
    host: Ints
    """Shape (n,)."""
    wave: Ints
    drain_start_s: Ints
    drained_s: Ints
    return_s: Ints
    """When each is expected, -1: VMs on it have not started to leave."""
    vm: Ints
    """VM of each migration, shape (m,)."""
    source: Ints
    target: Ints
    start_s: Ints
    end_s: Ints
    rate: Ints
    waves: int
    """Waves whose start closed a gate behind them: all of them, or the canary alone, or none."""
    label: int
    """The number that promises give the last of these."""
    wave_hosts: int
    """Its hosts."""
    gate_s: int
    """When the next wave may start, as far as hosts with an expected return say."""
    told_s: Ints
    """When the guest of each VM was notified of its next move, -1: it has not been; shape (all VMs,)."""
