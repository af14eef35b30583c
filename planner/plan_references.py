"""Whether the tables of a plan fit together; what needs the snapshot is the audit's."""

from collections.abc import Iterator
from typing import Final

import polars as pl

from slacktide.findings import Finding
from slacktide.planner.plan import Plan

LISTED: Final = 100
"""Findings of one rule that are listed; a wrong file has as many as it has rows."""


def reference_findings(plan: Plan) -> Iterator[Finding]:
    """Yield what in one table contradicts another, or a row itself.

    What is under way when a revision begins may have left a host that is no longer to be drained, and has no wave.
    """
    waves = plan.waves["wave"].implode()
    migrations = plan.migrations["migration_id"]
    from_s = 0 if plan.header.revision is None else plan.header.revision.from_s
    after = plan.migrations.select("migration_id", "after").explode("after", empty_as_null=False).drop_nulls()
    checks = (
        ("hosts", plan.hosts, ~pl.col("wave").is_in(waves), "host_id", "wave-unknown", "its wave is not in waves"),
        (
            "hosts",
            plan.hosts,
            (pl.col("drain_start_s") > pl.col("drained_s")) | (pl.col("drained_s") > pl.col("return_s")),
            "host_id",
            "times-order",
            "drain start, drained and return are not in order",
        ),
        (
            "migrations",
            plan.migrations,
            ~pl.col("wave").is_in(waves) & (pl.col("start_s") >= from_s),
            "migration_id",
            "wave-unknown",
            "its wave is not in waves",
        ),
        (
            "migrations",
            plan.migrations,
            pl.col("end_s") <= pl.col("start_s"),
            "migration_id",
            "times-order",
            "it ends before it starts",
        ),
        (
            "migrations",
            after,
            ~pl.col("after").is_in(migrations.implode()),
            "migration_id",
            "migration-unknown",
            "it comes after a migration that the plan does not have",
        ),
        (
            "deferred",
            plan.deferred,
            pl.col("host_id").is_in(plan.hosts["host_id"].implode()),
            "host_id",
            "deferred-planned",
            "it is both planned and deferred",
        ),
    )
    for name, table, broken, key, rule, fact in checks:
        ids = table.filter(broken)[key].to_list()
        for identifier in ids[:LISTED]:
            yield Finding(
                rule, f"{identifier}: {fact}", "Make the plan again", subjects=(identifier,), file=f"{name}.parquet"
            )
        if len(ids) > LISTED:
            message = f"{len(ids) - LISTED} more rows break the rule {rule}"
            yield Finding(rule, message, "Make the plan again", file=f"{name}.parquet")
