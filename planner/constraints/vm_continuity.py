"""A VM is in one place, and moves from there."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from slacktide.findings import Finding
from slacktide.planner.replay import Replay


@dataclass(frozen=True, slots=True)
class VmContinuity:
    """Each migration starts where its VM is, ends elsewhere and later, and overlaps no other of the same VM."""

    rule: ClassVar[str] = "vm-continuity"

    def check(self, replay: Replay) -> Iterator[Finding]:
        """Yield migrations from the wrong place or at the wrong time."""
        moves, hosts = replay.moves, replay.hosts.ids
        ended_s = np.where(moves.again, np.roll(moves.end_s, 1), 0)
        for wrong, fact in (
            (moves.source != moves.was_on, "starts from {source}, but the VM is on {was_on}"),
            (moves.source == moves.target, "ends on {source}, where it starts"),
            (moves.end_s <= moves.start_s, "ends at {end_s} s, not after its start"),
            (moves.start_s < ended_s, "starts before the VM's migration before has ended at {ended_s} s"),
        ):
            rows = np.flatnonzero(wrong)
            for name, move in zip(replay.ids(rows), rows.tolist(), strict=True):
                vm = replay.vms.ids[moves.vm[move]]
                what = fact.format(
                    source=hosts[moves.source[move]],
                    was_on=hosts[moves.was_on[move]],
                    end_s=moves.end_s[move],
                    ended_s=ended_s[move],
                )
                yield Finding(
                    self.rule,
                    f"{name} of {vm} {what}",
                    "Plan again",
                    subjects=(name, vm),
                    at_s=int(moves.start_s[move]),
                )
