"""Never from patched to unpatched."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from slacktide.findings import Finding
from slacktide.planner.replay import Ints, Replay

if TYPE_CHECKING:
    from slacktide.planner.encoding import Encoding
    from slacktide.planner.problem import Problem


@dataclass(frozen=True, slots=True)
class PatchDirection:
    """No VM goes from a patched to an unpatched host, unless the policy allows it, or its host is evacuated.

    A host is patched from its return, or from the start if it has the policy's patch level.
    """

    allowed: bool
    rule: ClassVar[str] = "patch-direction"

    def encode(self, problem: "Problem", encoding: "Encoding") -> None:
        """Let VMs leave hosts patched from the start only for such hosts, or for hosts that have returned.

        No other source is patched: VMs leave a host before it returns, and hosts that have returned keep theirs.
        """
        if self.allowed:
            return
        patched = problem.hosts.patched
        for leg in encoding.legs.values():
            if not patched[leg.source] or patched[leg.target]:
                continue
            if leg.target not in encoding.outs:
                encoding.forbid(leg.present)
                continue
            out = encoding.outs[leg.target]
            encoding.equal(out.patched, 1, leg.present)
            encoding.at_least(leg.move.start_s, out.return_s, leg.present)

    def check(self, replay: Replay) -> Iterator[Finding]:
        """Yield migrations in the wrong direction."""
        if self.allowed:
            return
        moves, hosts = replay.moves, replay.hosts

        def patched(host: Ints) -> np.ndarray:
            return hosts.patched[host] | (hosts.planned[host] & (hosts.return_s[host] <= moves.start_s))

        rows = np.flatnonzero(patched(moves.was_on) & ~patched(moves.target) & ~hosts.evacuated[moves.was_on])
        for name, move in zip(replay.ids(rows), rows.tolist(), strict=True):
            source, target = hosts.ids[moves.was_on[move]], hosts.ids[moves.target[move]]
            yield Finding(
                self.rule,
                f"{name} goes from {source}, which is patched by then, to {target}, which is not",
                "Choose a patched target, or set migration.allow_patched_to_unpatched",
                subjects=(name, source, target),
                at_s=int(moves.start_s[move]),
            )
