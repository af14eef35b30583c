"""VMs go only where, and only as, they may."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import polars as pl

from slacktide.findings import Finding
from slacktide.planner.precopy import RESTART
from slacktide.planner.replay import Replay

if TYPE_CHECKING:
    from slacktide.planner.encoding import Encoding
    from slacktide.planner.problem import Problem


@dataclass(frozen=True, slots=True)
class Eligibility:
    """A VM moves to a machine type it may run on; a pinned one never moves; only a restartable one is restarted."""

    rule: ClassVar[str] = "eligibility"

    def encode(self, problem: "Problem", encoding: "Encoding") -> None:
        """Forbid legs to machine types that the VM may not run on; a pinned VM has no legs to choose from."""
        allowed, machine_type = problem.vms.allowed_types, problem.hosts.machine_type
        for leg in encoding.legs.values():
            if not (allowed[leg.vm] >> machine_type[leg.target]) & 1:
                encoding.forbid(leg.present)

    def check(self, replay: Replay) -> Iterator[Finding]:
        """Yield migrations that the VM does not allow."""
        moves, snapshot = replay.moves, replay.snapshot
        moved = snapshot.vms.select(pl.col("eviction").cast(pl.String), "machine_types")[moves.vm].with_columns(
            target_type=snapshot.hosts["machine_type"].gather(moves.target),
            restarted=pl.Series(moves.strategy == RESTART),
        )
        wrong_type = ~pl.col("machine_types").list.contains(pl.col("target_type"))
        for wrong, fact in (
            (wrong_type, "goes to {target}, whose machine type {type} the VM may not run on"),
            (pl.col("eviction") == "pinned", "moves a pinned VM"),
            ((pl.col("eviction") == "live") & pl.col("restarted"), "restarts a VM that is to be migrated live"),
            ((pl.col("eviction") == "restart") & ~pl.col("restarted"), "migrates live a VM that is to be restarted"),
        ):
            rows = np.flatnonzero(moved.select(wrong.fill_null(False).alias("wrong"))["wrong"].to_numpy())
            for name, move in zip(replay.ids(rows), rows.tolist(), strict=True):
                vm, target = replay.vms.ids[moves.vm[move]], replay.hosts.ids[moves.target[move]]
                what = fact.format(target=target, type=moved["target_type"][move])
                yield Finding(
                    self.rule,
                    f"{name} of {vm} {what}",
                    "Plan again, or change what the snapshot says of the VM",
                    subjects=(name, vm, target),
                    at_s=int(moves.start_s[move]),
                )
