"""Guests are told in time."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import polars as pl

from slacktide.findings import Finding
from slacktide.planner.replay import Replay, ints

if TYPE_CHECKING:
    from slacktide.planner.encoding import Encoding
    from slacktide.planner.problem import Problem


@dataclass(frozen=True, slots=True)
class Notice:
    """A guest is notified ``notice_s`` before its migration starts, and not before the one before has ended.

    In a revision, those migrations that are the parent's may have been notified before it begins; no other.
    """

    rule: ClassVar[str] = "notice"

    def encode(self, problem: "Problem", encoding: "Encoding") -> None:
        """Start a VM's first leg after its notice, each further one as long after the one before."""
        for (vm, number), move in encoding.moves.items():
            before_s = encoding.moves[vm, number - 1].end_s if number > 1 else 0
            encoding.at_least(move.start_s, before_s + int(problem.vms.notice_s[vm]), move.present)

    def check(self, replay: Replay) -> Iterator[Finding]:
        """Yield migrations with too short a notice, or one that comes too soon."""
        moves = replay.moves
        needed_s = ints(replay.snapshot.vms["notice_s"])[moves.vm]
        given_s = moves.start_s - moves.notified_s
        earliest_s = np.where(moves.again, np.roll(moves.end_s, 1), np.where(_of_parent(replay), 0, replay.from_s))
        for wrong, fact in (
            (given_s < needed_s, "has {given} s of notice; it needs {needed} s"),
            (moves.notified_s < earliest_s, "is notified at {notified} s, before {earliest} s, when it last moved"),
        ):
            rows = np.flatnonzero(wrong)
            for name, move in zip(replay.ids(rows), rows.tolist(), strict=True):
                vm = replay.vms.ids[moves.vm[move]]
                what = fact.format(
                    given=given_s[move],
                    needed=needed_s[move],
                    notified=moves.notified_s[move],
                    earliest=earliest_s[move],
                )
                yield Finding(
                    self.rule,
                    f"{vm} {what}",
                    f"Start {name} later",
                    subjects=(name, vm),
                    at_s=int(moves.notified_s[move]),
                )


def _of_parent(replay: Replay) -> np.ndarray:
    """Return which migrations have an id of a revision's parent."""
    revision = replay.plan.header.revision
    ids = replay.plan.migrations["migration_id"].gather(replay.moves.row)
    numbers = ids.str.slice(1).cast(pl.Int64, strict=False)
    first = 0 if revision is None else revision.first_new_id
    return (numbers < first).fill_null(False).to_numpy()
