"""Every migration converges, and the plan predicts truly what it costs."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from slacktide.findings import Finding
from slacktide.planner.plan import STRATEGIES
from slacktide.planner.policy import Assumptions, MigrationRules
from slacktide.planner.precopy import RESTART, MigrationEstimate, estimate, estimate_restart
from slacktide.planner.replay import Ints, Replay, ints

AGREEMENT: Final = 1e-6
"""Relative difference up to which a stated prediction is the model's: the model is the same, rounding may differ."""

FIGURES: Final = (
    ("predicted_brownout_s", "brownout_s", "s of brownout"),
    ("predicted_blackout_ms", "blackout_ms", "ms of blackout"),
    ("predicted_transfer_mib", "transfer_mib", "MiB sent"),
)


@dataclass(frozen=True, slots=True)
class Convergence:
    """Each migration has an allowed strategy, which keeps the blackout limit at its bandwidth within its time.

    What the snapshot does not know of a VM is taken from ``assume``; the model is :mod:`slacktide.planner.precopy`.
    Migrations that are under way when a revision begins are its parent's, under the policy of then.
    """

    rules: MigrationRules
    assume: Assumptions
    rule: ClassVar[str] = "convergence"

    def check(self, replay: Replay) -> Iterator[Finding]:
        """Yield migrations that do not converge, take longer than planned, or are not as predicted."""
        for strategy in range(len(STRATEGIES)):
            rows = np.flatnonzero((replay.moves.strategy == strategy) & (replay.moves.start_s >= replay.from_s))
            if len(rows):
                yield from self._of_strategy(replay, strategy, rows)

    def _of_strategy(self, replay: Replay, strategy: int, rows: Ints) -> Iterator[Finding]:
        moves, name = replay.moves, STRATEGIES[strategy]
        if strategy != RESTART and name not in self.rules.strategies:
            for move in rows.tolist():
                yield self._finding(replay, move, f"is planned as {name}, which the policy does not allow")
            return
        model = self._model(replay, strategy, rows)
        void = model.strategy < 0
        for move in rows[void].tolist():
            fact = f"cannot keep its blackout limit by {name} at {moves.bandwidth_mbit_s[move]:,} Mbit/s"
            yield self._finding(replay, move, fact)
        planned_s = moves.end_s[rows] - moves.start_s[rows]
        for index in np.flatnonzero(~void & (planned_s < model.duration_s)).tolist():
            fact = f"is given {planned_s[index]} s; at its bandwidth it takes {model.duration_s[index]} s"
            yield self._finding(replay, int(rows[index]), fact)
        stated = replay.plan.migrations
        for column, figure, unit in FIGURES:
            said = stated[column].to_numpy()[moves.row[rows]]
            true = getattr(model, figure)
            for index in np.flatnonzero(~void & ~np.isclose(said, true, rtol=AGREEMENT, atol=AGREEMENT)).tolist():
                fact = f"states {said[index]:,.3f} {unit}; the model gives {true[index]:,.3f}"
                yield self._finding(replay, int(rows[index]), fact)

    def _model(self, replay: Replay, strategy: int, rows: Ints) -> MigrationEstimate:
        """Return what the model says of the migrations ``rows`` if only this strategy is allowed."""
        vms, vm = replay.snapshot.vms, replay.moves.vm[rows]
        bandwidth, disk = replay.moves.bandwidth_mbit_s[rows], ints(vms["local_disk_mib"])[vm]
        if strategy == RESTART:
            return estimate_restart(disk, bandwidth, self.rules)
        only = self.rules.model_copy(update={"strategies": (STRATEGIES[strategy],)})
        return estimate(
            np.fmin(_known(vms["used_mib"], None), ints(vms["memory_mib"]))[vm],
            _known(vms["hot_mib"], self.assume.hot_mib)[vm],
            _known(vms["dirty_mib_s"], self.assume.dirty_mib_s)[vm],
            disk,
            _known(vms["blackout_limit_ms"], None)[vm],
            bandwidth,
            only,
        )

    def _finding(self, replay: Replay, move: int, fact: str) -> Finding:
        (name,) = replay.ids(np.array([move]))
        vm = replay.vms.ids[replay.moves.vm[move]]
        return Finding(
            self.rule,
            f"{name} of {vm} {fact}",
            "Give it more bandwidth or time, or allow another strategy",
            subjects=(name, vm),
            at_s=int(replay.moves.start_s[move]),
        )


def _known(column: pl.Series, assumed: float | None) -> NDArray[np.float64]:
    """Return a column's values, nulls as assumed; NaN where nothing is."""
    return column.cast(pl.Float64).fill_null(float("nan") if assumed is None else assumed).to_numpy()
