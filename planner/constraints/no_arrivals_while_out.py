"""Nothing goes to a host that is out of service."""

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
class NoArrivalsWhileOut:
    """No migration has a target that drains, is being patched, is down or is quarantined."""

    rule: ClassVar[str] = "no-arrivals-while-out"

    def encode(self, problem: "Problem", encoding: "Encoding") -> None:
        """Let VMs come for good after a host's return, for a time before its drain, and never to hosts out of use."""
        for leg in encoding.legs.values():
            if not problem.hosts.in_service[leg.target]:
                encoding.forbid(leg.present)
        for stop in encoding.stops:
            if stop.came is None or stop.host not in encoding.outs:
                continue
            out = encoding.outs[stop.host]
            if stop.goes is None:
                encoding.at_least(stop.came.start_s, out.return_s, stop.present, out.patched)
            else:
                encoding.at_least(out.drain_start_s, stop.came.end_s, stop.present)

    def check(self, replay: Replay) -> Iterator[Finding]:
        """Yield migrations to hosts out of service."""
        moves, hosts = replay.moves, replay.hosts
        out = hosts.planned[moves.target]
        out &= (moves.start_s < hosts.return_s[moves.target]) & (moves.end_s > hosts.drain_start_s[moves.target])
        for wrong, fact in (
            (out, "which is out from {begins} s to {ends} s"),
            (~hosts.usable[moves.target], "which is down or quarantined"),
        ):
            rows = np.flatnonzero(wrong)
            for name, move in zip(replay.ids(rows), rows.tolist(), strict=True):
                target = moves.target[move]
                why = fact.format(begins=hosts.drain_start_s[target], ends=hosts.return_s[target])
                yield Finding(
                    self.rule,
                    f"{name} goes to {hosts.ids[target]}, {why}",
                    "Choose another target",
                    subjects=(name, hosts.ids[target]),
                    at_s=int(moves.start_s[move]),
                )
