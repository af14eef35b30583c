"""Notice periods in a report: promised, given, and cut short by guests that were ready."""

from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from slacktide.executors.campaign_state import CampaignState
from slacktide.executors.events import Stage
from slacktide.executors.readable import count, duration
from slacktide.executors.report_summary import Notices, ShortNotice

SHORT_S: Final = 0.001
"""What a notice may be shorter than promised and still be kept: moments are written in fractions of seconds."""


def notice_columns(state: CampaignState) -> dict[str, NDArray[np.float64]]:
    """Return the columns of the migrations' table that are about notice, NaN: none, in seconds.

    What a guest was given lasts from when it was told to when its first attempt began.  It falls short where that is
    less than promised and the guest has not said that it is ready, by all of it where the guest was not told.
    """
    part = state.program.migrations
    promised_s = (part.start_s - part.notified_s).astype(np.float64)
    promised_s = np.where(promised_s > 0, promised_s, np.nan)
    told_s = state.times[:, Stage.WAITING]
    given_s = np.maximum(state.begun_s - told_s, 0.0)
    lacking_s = promised_s - np.where(np.isnan(told_s), 0.0, given_s)
    short = ~np.isnan(state.begun_s) & np.isnan(state.acknowledged_s) & (lacking_s > SHORT_S)
    return {
        "promised_notice_s": promised_s,
        "told_s": told_s,
        "notice_s": np.where(np.isnan(promised_s), np.nan, given_s),
        "acknowledged_s": state.acknowledged_s,
        "notice_shortfall_s": np.where(short, lacking_s, np.nan),
    }


def notices(migrations: pl.DataFrame) -> Notices | None:
    """Return how notice periods were kept, of the migrations that were begun; None: no guest wants notice."""
    due = migrations.filter(pl.col("promised_notice_s").is_not_null() & (pl.col("attempts") > 0))
    if due.is_empty():
        return None
    short = due.filter(pl.col("notice_shortfall_s").is_not_null())
    ready = pl.col("acknowledged_s").is_not_null() & (pl.col("notice_s") < pl.col("promised_notice_s"))
    most = short.sort("notice_shortfall_s", "migration_id", descending=[True, False]).head(1)
    return Notices(
        promised=due.height,
        vms=due["vm_id"].n_unique(),
        acknowledged=due["acknowledged_s"].count(),
        cut_short=due.filter(ready).height,
        short=ShortNotice(
            count=short.height,
            vms=short["vm_id"].n_unique(),
            most_s=most["notice_shortfall_s"][0],
            migration_id=most["migration_id"][0],
        )
        if short.height
        else None,
    )


def notice_words(found: Notices) -> str:
    """Return in words whether notice was kept."""
    if found.short is None:
        kept = f"notice kept for {'the one VM that wants' if found.vms == 1 else f'all {_vms(found.vms)} that want'} it"
    else:
        most = f"most by {duration(found.short.most_s)} for {found.short.migration_id}"
        kept = f"notice too short for {_vms(found.short.vms)} of {count(found.vms)}, {most}"
    if not found.acknowledged:
        return kept
    shorter = f", {count(found.cut_short)} of them waited shorter" if found.cut_short else ""
    return f"{kept}; {count(found.acknowledged)} acknowledged{shorter}"


def _vms(number: int) -> str:
    return "1 VM" if number == 1 else f"{count(number)} VMs"
