"""What comes after something comes after it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import polars as pl

from slacktide.findings import Finding
from slacktide.planner.replay import Replay


@dataclass(frozen=True, slots=True)
class AfterOrder:
    """Every migration that another comes ``after`` exists and has ended before that starts."""

    rule: ClassVar[str] = "after-order"

    def check(self, replay: Replay) -> Iterator[Finding]:
        """Yield migrations that start too soon, or wait for what does not exist."""
        table = replay.plan.migrations
        ends = table.select(after="migration_id", ended_s="end_s")
        pairs = (
            table.select("migration_id", "start_s", "after")
            .explode("after", empty_as_null=False)
            .drop_nulls("after")
            .join(ends, on="after", how="left", maintain_order="left")
        )
        for row in pairs.filter(pl.col("ended_s").is_null()).iter_rows(named=True):
            yield Finding(
                self.rule,
                f"{row['migration_id']} comes after {row['after']}, which the plan does not have",
                "Plan again",
                subjects=(row["migration_id"], row["after"]),
                at_s=row["start_s"],
            )
        for row in pairs.filter(pl.col("ended_s") > pl.col("start_s")).iter_rows(named=True):
            yield Finding(
                self.rule,
                f"{row['migration_id']} comes after {row['after']}, but starts before that ends at {row['ended_s']} s",
                f"Start {row['migration_id']} later",
                subjects=(row["migration_id"], row["after"]),
                at_s=row["start_s"],
            )
