"""Every VM has its vCPUs and memory, on both hosts while it moves."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from slacktide.findings import Finding
from slacktide.planner.replay import MEMORY, VCPUS, Replay
from slacktide.planner.sweep import excess

if TYPE_CHECKING:
    from slacktide.planner.encoding import Encoding
    from slacktide.planner.problem import Problem


@dataclass(frozen=True, slots=True)
class HostCapacity:
    """No host holds more than it sells; one that does at the start never holds more than then."""

    rule: ClassVar[str] = "host-capacity"

    def encode(self, problem: "Problem", encoding: "Encoding") -> None:
        """Limit what comes to each host; no time is needed, since between two drains VMs only come.

        Those that come for a time are there beside the host's own until it drains; those that come for good, beside
        each other once it has returned, or beside its own where it is not patched.
        """
        used = np.zeros_like(problem.hosts.capacity)
        np.add.at(used, problem.vms.host, problem.vms.demand)
        for host in range(len(problem.hosts.ids)):
            finals, relays = encoding.finals_on(host), encoding.relays_on(host)
            staying = [~encoding.outs[host].patched] if host in encoding.outs else []
            for quantity in (VCPUS, MEMORY):
                sold = int(problem.hosts.capacity[host, quantity])
                free = max(0, sold - int(used[host, quantity]))
                for stops, limit, given in ((relays, free, []), (finals, sold, []), (finals, free, staying)):
                    demands = [int(problem.vms.demand[stop.vm, quantity]) for stop in stops]
                    encoding.at_most(limit, [stop.present for stop in stops], demands, *given)

    def check(self, replay: Replay) -> Iterator[Finding]:
        """Yield overfull hosts: the first moment and the peak."""
        hosts = replay.hosts
        for quantity, unit in ((VCPUS, "vCPUs"), (MEMORY, "MiB")):
            sold = hosts.capacity[:, quantity]
            over = excess(replay.use, np.maximum(sold, replay.use_at_start[:, quantity]), quantity)
            for host, at_s, peak in zip(over.key.tolist(), over.at_s.tolist(), over.peak.tolist(), strict=True):
                name = hosts.ids[host]
                yield Finding(
                    self.rule,
                    f"{name} holds up to {peak:,} {unit}; it sells {sold[host]:,} {unit}",
                    "Send a VM elsewhere, or later",
                    subjects=(name,),
                    at_s=at_s,
                )
