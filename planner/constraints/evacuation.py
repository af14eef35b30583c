"""Hosts that are evacuated leave before all others, and stay out."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from slacktide.findings import Finding
from slacktide.planner.replay import Replay


@dataclass(frozen=True, slots=True)
class Evacuation:
    """A host that the policy evacuates leaves before all that have not begun to, takes no VM, and is not patched.

    It is over with its drain: no time to patch it is planned, and it is in no wave with hosts that are patched.  Where
    it cannot be emptied it is deferred; nobody waits for it then, but still it takes no VM.
    """

    rule: ClassVar[str] = "evacuation"

    def check(self, replay: Replay) -> Iterator[Finding]:
        """Yield hosts that leave before one that is evacuated, or come with it, and what it is not emptied for."""
        hosts, moves = replay.hosts, replay.moves
        yield from self._first(replay)
        for host in np.flatnonzero(hosts.evacuated & (hosts.over_s != hosts.drained_s)).tolist():
            fact = (
                f"{hosts.ids[host]} is out until {hosts.over_s[host]} s; it is evacuated at {hosts.drained_s[host]} s"
            )
            yield self._finding(fact, "End its time out with its drain", (hosts.ids[host],), int(hosts.drained_s[host]))
        patched = hosts.planned & ~hosts.evacuated
        for host in np.flatnonzero(hosts.evacuated & np.isin(hosts.wave, hosts.wave[patched])).tolist():
            fact = f"{hosts.ids[host]} is evacuated, but wave {hosts.wave[host]} has hosts that are patched"
            yield self._finding(fact, "Give it a wave of its own", (hosts.ids[host],), None)
        early = moves.end_s <= hosts.drain_start_s[moves.target]
        rows = np.flatnonzero(hosts.shunned[moves.target] & early & (moves.start_s >= replay.from_s))
        for name, move in zip(replay.ids(rows), rows.tolist(), strict=True):
            target = hosts.ids[moves.target[move]]
            fact = f"{name} goes to {target}, which is to be evacuated"
            yield self._finding(fact, "Choose another target", (name, target), int(moves.start_s[move]))

    def _first(self, replay: Replay) -> Iterator[Finding]:
        """Yield hosts that begin to leave before one that is evacuated; those out when the plan begins have begun."""
        hosts = replay.hosts
        ahead = hosts.planned & (hosts.drain_start_s >= replay.from_s)
        evacuated = np.flatnonzero(ahead & hosts.evacuated)
        if not len(evacuated):
            return
        last = int(evacuated[np.argmax(hosts.drain_start_s[evacuated])])
        last_s, name = int(hosts.drain_start_s[last]), hosts.ids[last]
        for host in np.flatnonzero(ahead & ~hosts.evacuated & (hosts.drain_start_s < last_s)).tolist():
            fact = f"{hosts.ids[host]} leaves at {hosts.drain_start_s[host]} s, before {name}, which is evacuated"
            remedy = f"Let it leave at {last_s} s or later, or evacuate {name} sooner"
            yield self._finding(fact, remedy, (hosts.ids[host], name), int(hosts.drain_start_s[host]))

    def _finding(self, fact: str, remedy: str, subjects: tuple[str, ...], at_s: int | None) -> Finding:
        return Finding(self.rule, fact, remedy, subjects=subjects, at_s=at_s)
