"""What guests are told of their maintenance, from what a campaign's journal says: as their hosts would tell them."""

from datetime import datetime, timedelta
from typing import Any

import polars as pl

from slacktide.executors.metadata.notice import Announcement, MaintenanceNotice, kind_of
from slacktide.ids import MigrationId

TOLD_STATES = ("notified", "running")


def told_guests(migrations: pl.DataFrame) -> pl.DataFrame:
    """Return the migrations of a report that their guests are told of now."""
    return migrations.filter(pl.col("state").is_in(TOLD_STATES))


def notice_of(told: pl.DataFrame, vm_id: str, origin: datetime) -> MaintenanceNotice:
    """Return what a guest is told, given the rows of :func:`told_guests`; nothing, where it has none among them."""
    notice = MaintenanceNotice()
    for row in told.filter(pl.col("vm_id") == vm_id).sort("planned_start_s", "migration_id").iter_rows(named=True):
        announced = _announcement(row, origin)
        notice = notice.begin(announced) if row["state"] == "running" else notice.announce(announced)
    return notice


def _announcement(row: dict[str, Any], origin: datetime) -> Announcement:
    promised_s = row["promised_notice_s"] or 0.0
    if row["state"] == "running":
        begins_s = row["start_s"]
        ends_s = begins_s + row["predicted_brownout_s"] + row["predicted_blackout_ms"] / 1000
    else:
        begins_s = max(row["planned_start_s"], (row["notified_s"] or 0.0) + promised_s)
        ends_s = begins_s + row["planned_end_s"] - row["planned_start_s"]
    return Announcement(
        migration_id=MigrationId(row["migration_id"]),
        kind=kind_of(row["strategy"]),
        window_start=origin + timedelta(seconds=begins_s),
        window_end=origin + timedelta(seconds=ends_s),
        notice_s=round(promised_s),
        acknowledged=row["acknowledged_s"] is not None,
    )
