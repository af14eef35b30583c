"""Campaigns that have fallen behind their plan."""

import polars as pl

from slacktide.planner.progress import Progress


def behind(progress: Progress, by_s: int) -> Progress:
    """Return the progress ``by_s`` later if nothing has begun or ended since: all that is under way ends as much later.

    ``progress`` is that of a plan carried out to the second.
    """
    at_s = progress.at_s + by_s
    migrations = progress.migrations.with_columns(
        end_s=pl.col("end_s") + pl.when(pl.col("state") == "running").then(by_s).otherwise(0)
    )
    hosts = progress.hosts.with_columns(
        drained_s=pl.col("drained_s") + pl.when(pl.col("drained_s") > progress.at_s).then(by_s).otherwise(0),
        return_s=pl.col("return_s") + pl.when(pl.col("state") == "out").then(by_s).otherwise(0),
    )
    return Progress(at_s, migrations, hosts, progress.notified)
