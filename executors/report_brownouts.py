"""The post-migration brownout in a report: how long sources forwarded, what was lost, and what was told too late."""

from typing import Final

import numpy as np
import polars as pl

from slacktide.executors.readable import UNKNOWN, count, duration, milliseconds
from slacktide.executors.report_listing import Column, Listing, more, numbers
from slacktide.executors.report_summary import Brownouts, Quantiles

SHOWN: Final = 20
"""Migrations listed: those with findings, then those whose sources forwarded longest."""


def brownouts(migrations: pl.DataFrame) -> Brownouts | None:
    """Return how sources forwarded, of migrations that are done; None: nobody was told."""
    told = _told(migrations)
    if told.is_empty():
        return None
    seconds = told["fabric_s"].drop_nulls().to_numpy()
    p50, p99, most = (np.quantile(seconds, [0.5, 0.99, 1.0]) * 1000).tolist() if len(seconds) else (None, None, None)
    return Brownouts(
        migrations=told.height,
        length_ms=Quantiles(p50=p50, p99=p99, max=most),
        forwarded_packets=_sum(told["forwarded_packets"]),
        lost_packets=_sum(told["lost_packets"]),
        uncounted=told["lost_packets"].null_count(),
        findings=told["fabric_finding"].count(),
    )


def _sum(known: pl.Series) -> int | None:
    return int(known.sum()) if known.count() else None


def brownout_words(found: Brownouts) -> str:
    """Return in words how sources forwarded."""
    length = found.length_ms
    words = f"p50 {milliseconds(length.p50)}, longest {milliseconds(length.max)}" if length.p50 is not None else UNKNOWN
    if found.forwarded_packets is not None:
        words += f"; {count(found.forwarded_packets)} packets forwarded"
        words += "" if found.lost_packets is None else f", {count(found.lost_packets)} lost"
        words += f", losses not known of {count(found.uncounted)}" if found.uncounted else ""
    if found.findings:
        words += f"; findings in {count(found.findings)} of {count(found.migrations)} migrations"
    return words


def brownouts_listing(migrations: pl.DataFrame) -> Listing:
    """Return the migrations whose sources forwarded longest, those first that the fabric did not know of in time."""
    told = _told(migrations).sort(
        pl.col("fabric_finding").is_null(), "fabric_s", "migration_id", descending=[False, True, False]
    )
    rows = tuple(
        (
            row["vm_id"],
            row["source"],
            row["target"],
            _length(row["fabric_s"]),
            UNKNOWN if row["forwarded_packets"] is None else count(row["forwarded_packets"]),
            UNKNOWN if row["lost_packets"] is None else count(row["lost_packets"]),
            row["fabric_finding"] or "",
        )
        for row in told.head(SHOWN).iter_rows(named=True)
    )
    columns = (
        *(Column(name) for name in ("VM", "from", "to")),
        *numbers("brownout", "packets forwarded", "lost"),
        Column("finding"),
    )
    note = more(told.height, SHOWN, "migrations.parquet")
    return Listing("brownouts", "Until the fabric had caught up", columns, rows, note)


def _length(seconds: float | None) -> str:
    """Return a length in milliseconds below 10 s, which most are."""
    return milliseconds(seconds * 1000) if seconds is not None and seconds < 10 else duration(seconds)


def _told(migrations: pl.DataFrame) -> pl.DataFrame:
    known = pl.col("fabric_s").is_not_null()
    return migrations.filter((pl.col("state") == "done") & known)
