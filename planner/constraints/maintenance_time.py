"""There is time to patch and reboot."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from slacktide.findings import Finding
from slacktide.planner.replay import Replay

if TYPE_CHECKING:
    from slacktide.planner.encoding import Encoding
    from slacktide.planner.problem import Problem


@dataclass(frozen=True, slots=True)
class MaintenanceTime:
    """A host returns no sooner than ``maintenance_s`` after it has drained, and drains before that."""

    rule: ClassVar[str] = "maintenance-time"

    def encode(self, problem: "Problem", encoding: "Encoding") -> None:
        """Let a host return once it has been drained and patched."""
        for host, out in encoding.outs.items():
            encoding.at_least(out.drained_s, out.drain_start_s, out.patched)
            encoding.at_least(out.return_s, out.drained_s + int(problem.hosts.maintenance_s[host]), out.patched)

    def check(self, replay: Replay) -> Iterator[Finding]:
        """Yield hosts that return too soon."""
        hosts = replay.hosts
        time_s = np.where(hosts.planned, hosts.return_s - hosts.drained_s, hosts.maintenance_s)
        reversed_ = hosts.planned & (hosts.drain_start_s > hosts.drained_s)
        for host in np.flatnonzero((time_s < hosts.maintenance_s) | reversed_):
            name = hosts.ids[host]
            fact = (
                f"{name} is drained before its drain starts"
                if reversed_[host]
                else f"{name} has {time_s[host]} s to be patched; it needs {hosts.maintenance_s[host]} s"
            )
            at_s = int(hosts.drained_s[host])
            yield Finding(self.rule, fact, "Let it return later", subjects=(name,), at_s=at_s)
