"""A service has few VMs on the move."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import polars as pl

from slacktide.findings import Finding
from slacktide.planner.replay import NEVER, Replay, ints
from slacktide.planner.sweep import excess, levels

if TYPE_CHECKING:
    from slacktide.planner.encoding import Encoding
    from slacktide.planner.problem import Problem


@dataclass(frozen=True, slots=True)
class ServiceMoving:
    """At most ``max_moving`` VMs of a service migrate at once."""

    rule: ClassVar[str] = "service-moving"

    def encode(self, problem: "Problem", encoding: "Encoding") -> None:
        """Limit how many VMs of each service move at once."""
        for service, limit in enumerate(problem.services.max_moving.tolist()):
            streams = encoding.streams(encoding.legs_of(np.flatnonzero(problem.vms.service == service).tolist()))
            encoding.cumulative([stream.interval for stream in streams], [1] * len(streams), limit)

    def check(self, replay: Replay) -> Iterator[Finding]:
        """Yield services with too many VMs moving: the first moment and the peak."""
        moves, services = replay.moves, replay.snapshot.services
        most = ints(services["max_moving"].cast(pl.Int64).fill_null(NEVER))
        service = replay.vms.service[moves.vm]
        member = service >= 0
        one = np.ones(int(member.sum()), dtype=np.int64)
        swept = levels(
            np.concatenate([service[member], service[member]]),
            np.concatenate([moves.start_s[member], moves.end_s[member]]),
            np.concatenate([one, -one]),
            np.zeros(services.height, dtype=np.int64),
        )
        over = excess(swept, most)
        for key, at_s, peak in zip(over.key.tolist(), over.at_s.tolist(), over.peak.tolist(), strict=True):
            name = services["service_id"][key]
            yield Finding(
                self.rule,
                f"up to {peak} VMs of {name} migrate at once; it allows {most[key]}",
                "Start one of these migrations later",
                subjects=(name,),
                at_s=at_s,
            )
