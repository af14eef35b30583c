"""A host that is being patched is empty."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from slacktide.findings import Finding
from slacktide.planner.replay import BEFORE_ALL, NEVER, Replay

if TYPE_CHECKING:
    from slacktide.planner.encoding import Encoding
    from slacktide.planner.problem import Problem


@dataclass(frozen=True, slots=True)
class DrainedHostEmpty:
    """All VMs have left a planned host by ``drained_s``, and leave it from ``drain_start_s`` on.

    Where hosts are patched in place, VMs may stay; those that leave keep to the same moments.
    """

    rule: ClassVar[str] = "drained-host-empty"

    def encode(self, problem: "Problem", encoding: "Encoding") -> None:
        """Make every VM on a host that is patched leave it, between the start and the end of its drain."""
        for vm, host in enumerate(problem.vms.host.tolist()):
            if host in encoding.outs:
                encoding.equal(encoding.moves[vm, 1].present, encoding.outs[host].patched)
        for stop in encoding.stops:
            if stop.goes is not None:
                out = encoding.outs[stop.host]
                encoding.at_least(stop.goes.start_s, out.drain_start_s, stop.present)
                encoding.at_least(out.drained_s, stop.goes.end_s, stop.present)

    def check(self, replay: Replay) -> Iterator[Finding]:
        """Yield evictions outside the drain, and VMs that are still there after it."""
        moves, hosts, names = replay.moves, replay.hosts, replay.hosts.ids
        begins, ends = hosts.drain_start_s[moves.was_on], hosts.drained_s[moves.was_on]
        before_return = hosts.planned[moves.was_on] & (moves.start_s < hosts.return_s[moves.was_on])
        rows = np.flatnonzero(before_return & ((moves.start_s < begins) | (moves.end_s > ends)))
        for name, move in zip(replay.ids(rows), rows.tolist(), strict=True):
            host = names[moves.was_on[move]]
            yield Finding(
                self.rule,
                f"{name} leaves {host} from {moves.start_s[move]} s to {moves.end_s[move]} s, outside its drain "
                f"from {begins[move]} s to {ends[move]} s",
                "Widen the drain, or move the migration into it",
                subjects=(name, host),
                at_s=int(moves.start_s[move]),
            )
        if not replay.policy.in_place:
            yield from self._left_behind(replay)

    def _left_behind(self, replay: Replay) -> Iterator[Finding]:
        """Yield VMs that came to a host, or were there, and never leave it before it has returned, or at all."""
        moves, vms, hosts = replay.moves, replay.vms, replay.hosts
        first = np.flatnonzero(~moves.again)
        left_s = np.full(len(vms.ids), NEVER)
        left_s[moves.vm[first]] = moves.end_s[first]
        next_end_s = np.full(len(moves), NEVER)
        next_end_s[:-1][moves.again[1:]] = moves.end_s[1:][moves.again[1:]]
        vm = np.concatenate([np.arange(len(vms.ids)), moves.vm])
        host = np.concatenate([vms.host, moves.target])
        came_s = np.concatenate([np.full(len(vms.ids), BEFORE_ALL), moves.start_s])
        until_s = np.concatenate([left_s, next_end_s])
        stays = (
            hosts.planned[host]
            & (came_s < hosts.drain_start_s[host])
            & ((until_s > hosts.return_s[host]) | (hosts.evacuated[host] & (until_s == NEVER)))
        )
        for index in np.flatnonzero(stays):
            name, place = vms.ids[vm[index]], hosts.ids[host[index]]
            when = "once it is evacuated" if hosts.evacuated[host[index]] else "while it is patched"
            yield Finding(
                self.rule,
                f"{name} is on {place} {when}",
                f"Evict {name} before {hosts.drained_s[host[index]]} s, or defer {place}",
                subjects=(name, place),
                at_s=int(hosts.drained_s[host[index]]),
            )
