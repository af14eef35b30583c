"""Nothing is forgotten: every due host, every VM on a planned host, and no name that the fleet does not have."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import polars as pl

from slacktide.findings import Finding
from slacktide.planner.replay import VMS, Replay, places
from slacktide.planner.selection import unknown


@dataclass(frozen=True, slots=True)
class PlanComplete:
    """Every due host is planned or deferred, never both, no other is; every VM on a planned host leaves it.

    Where hosts are patched in place, VMs stay.
    """

    rule: ClassVar[str] = "plan-complete"

    def check(self, replay: Replay) -> Iterator[Finding]:
        """Yield what is missing, double or unknown."""
        yield from self._unknown_names(replay)
        yield from self._hosts(replay)
        yield from self._vms(replay)

    def _unknown_names(self, replay: Replay) -> Iterator[Finding]:
        plan, hosts = replay.plan, replay.hosts.ids
        vm, source, target = replay.named
        for table, column, place in (
            (plan.hosts, "host_id", places(plan.hosts["host_id"], hosts)),
            (plan.deferred, "host_id", places(plan.deferred["host_id"], hosts)),
            (plan.migrations, "vm_id", vm),
            (plan.migrations, "source", source),
            (plan.migrations, "target", target),
        ):
            for name in table[column].filter(pl.Series(place < 0)).to_list():
                fact = f"the plan's {column} {name} is not in the snapshot"
                yield Finding(self.rule, fact, "Plan this snapshot again", subjects=(name,))
        for name in unknown(replay.snapshot.hosts, replay.policy):
            fact = f"the policy's selection names {name}, which is not in the snapshot"
            yield Finding(self.rule, fact, "Correct the policy's selection", subjects=(name,))

    def _hosts(self, replay: Replay) -> Iterator[Finding]:
        hosts = replay.hosts
        counts = {}
        for name, table in (("planned", replay.plan.hosts), ("deferred", replay.plan.deferred)):
            place = places(table["host_id"], hosts.ids)
            counts[name] = np.bincount(place[place >= 0], minlength=len(hosts.ids))
        times = counts["planned"] + counts["deferred"]
        to_evacuate = hosts.shunned & (hosts.usable | (replay.use_at_start[:, VMS] > 0))
        for wrong, fact in (
            (hosts.due & (times == 0), "is due, but neither planned nor deferred"),
            (to_evacuate & (times == 0), "is to be evacuated, but neither planned nor deferred"),
            ((counts["planned"] > 0) & (counts["deferred"] > 0), "is both planned and deferred"),
            ((counts["planned"] > 1) | (counts["deferred"] > 1), "is listed twice"),
            (~hosts.due & ~hosts.shunned & (times > 0), "is planned or deferred, but the policy does not select it"),
        ):
            for host in np.flatnonzero(wrong):
                name = hosts.ids[host]
                yield Finding(self.rule, f"{name} {fact}", "Plan again", subjects=(name,))

    def _vms(self, replay: Replay) -> Iterator[Finding]:
        if replay.policy.in_place:
            return
        moves = replay.moves
        leaves = np.zeros(len(replay.vms.ids), dtype=np.bool_)
        leaves[moves.vm[moves.source == replay.vms.host[moves.vm]]] = True
        for vm in np.flatnonzero(replay.hosts.planned[replay.vms.host] & ~leaves):
            name, host = replay.vms.ids[vm], replay.hosts.ids[replay.vms.host[vm]]
            what = "evacuated" if replay.hosts.evacuated[replay.vms.host[vm]] else "patched"
            fact = f"{name} never leaves {host}, which is to be {what}"
            yield Finding(self.rule, fact, f"Plan a migration of {name}, or defer {host}", subjects=(name, host))
