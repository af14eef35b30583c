"""What passes decide, and what has been decided before they begin; numbered as in the problem."""

from dataclasses import dataclass

from slacktide.planner.listing.arrays import Ints


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
    """Waves that have started."""
    wave_hosts: int
    """Hosts of the last of these."""
    gate_s: int
    """When the next wave may start, as far as hosts with an expected return say."""
