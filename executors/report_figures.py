"""The figures of a report, from its tables."""

from typing import Final

import numpy as np
import polars as pl

from slacktide.executors.order_state import revision_reason
from slacktide.executors.readable import count, duration, milliseconds
from slacktide.executors.report_summary import (
    Blackouts,
    CampaignSummary,
    CountsDiffer,
    Exposure,
    Makespan,
    Overruns,
    Quantiles,
    Restarts,
)
from slacktide.planner.plan import Plan
from slacktide.units import hours

WAITED_S: Final = 60
"""How long after the last return a campaign ends before that is told: below it, the end is only written down later."""
OVERRUN_S: Final = 300
"""By which a patch takes longer than planned before it is told: as long as a revision waits for a host that is late.

Patches vary by some minutes both ways; what is below is in the makespan all the same.
"""
NAMED_REVISIONS: Final = 3
"""Revisions whose moment one line names; the page lists all."""
STAGE_WORDS: Final = {
    "intended": "before its target was asked",
    "reserved": "while its target was prepared",
    "prepared": "while source and target connected",
    "connected": "before its memory was copied",
    "brownout": "while its memory was copied",
    "blackout": "while its guest was paused",
    "forwarding": "after its guest had moved",
    "source_deleted": "after its source was deleted",
}
"""When an attempt failed, by the stage that it had reached."""
NAMED_EVACUATIONS: Final = 3
"""Evacuated hosts that one line names; report.json has all."""
RESTARTED = pl.col("strategy") == "restart"
"""Migrations that are no live migrations."""
APART_MS = (pl.col("blackout_ms") - pl.col("probe_blackout_ms")).abs()
"""By how much hypervisor and probe differ."""


def not_patched(hosts: pl.DataFrame) -> dict[str, int]:
    """Return how many hosts failed or are blocked, by reason."""
    reasons = hosts.filter(pl.col("state").is_in(["failed", "blocked"]))["reason"]
    return dict(sorted(reasons.drop_nulls().value_counts().iter_rows()))


def makespan(plan: Plan, hosts: pl.DataFrame) -> Makespan:
    """Return when the last host has returned, or was evacuated, planned and measured."""
    summary = plan.header.summary
    empty_s = pl.when(pl.col("state") == "evacuated").then("released_s")
    measured_s = hosts.select(pl.max_horizontal(pl.max("return_s"), empty_s.max())).item()
    return Makespan(
        planned_s=summary.makespan_s,
        bound_s=summary.makespan_bound_s,
        measured_s=measured_s if isinstance(measured_s, float) else None,
    )


def ended_words(summary: CampaignSummary) -> str:
    """Return when the campaign ended, where it waited longer than for the last return; else nothing."""
    ended = duration(summary.end_s)
    waited_s = summary.end_s - (summary.makespan.measured_s or 0.0)
    return f"the campaign ended after {ended}" if summary.finished and waited_s > WAITED_S else ""


def overruns(hosts: pl.DataFrame) -> Overruns | None:
    """Return the hosts that took over :data:`OVERRUN_S` longer to patch than planned; None: none did."""
    planned_s = pl.col("planned_return_s") - pl.col("planned_drained_s")
    hosts = hosts.filter(pl.col("state") != "evacuated")
    longer = hosts.select("host_id", longer_s=pl.col("return_s") - pl.col("drained_s") - planned_s)
    longer = longer.filter(pl.col("longer_s") > OVERRUN_S).sort("longer_s", "host_id", descending=[True, False])
    if longer.is_empty():
        return None
    host_id, most_s = longer.row(0)
    return Overruns(count=longer.height, most_s=most_s, host_id=host_id)


def overrun_words(late: Overruns) -> str:
    """Return in words how many patches overran, by how much, and what plans the rest anew."""
    who = "1 host" if late.count == 1 else f"{count(late.count)} hosts"
    least, most = duration(OVERRUN_S), f"{late.host_id} most, by {duration(late.most_s)}"
    return f"{who} took over {least} longer to patch than planned, {most}; `slacktide revise` plans the rest anew"


def revisions_words(summary: CampaignSummary) -> str:
    """Return when a campaign went over to revisions, and why it did so last."""
    last = summary.revisions[-1]
    when = ", ".join(duration(each.at_s) for each in summary.revisions[-NAMED_REVISIONS:])
    more = "the last " if len(summary.revisions) > NAMED_REVISIONS else ""
    return f"{more}after {when}; last: {revision_reason(last.by, last.why, last.evacuates)}"


def evacuation_words(summary: CampaignSummary) -> str:
    """Return which hosts were to be evacuated, who asked for it and why."""
    said = [f"{each.host_id}, {each.why}" for each in summary.evacuations[:NAMED_EVACUATIONS]]
    more = len(summary.evacuations) - len(said)
    return "; ".join(said) + (f"; and {count(more)} more" if more else "")


def exposure(plan: Plan, hosts: pl.DataFrame, end_s: float) -> Exposure:
    """Return unpatched host-hours, planned and measured until ``end_s``."""
    summary = plan.header.summary
    due = hosts.filter(pl.col("state") != "evacuated")
    exposed_s = float(due["return_s"].fill_null(end_s).sum()) + end_s * plan.deferred.height
    return Exposure(
        planned_host_h=summary.exposure_host_h,
        bound_host_h=summary.exposure_bound_host_h,
        measured_host_h=hours(exposed_s),
    )


def blackouts(migrations: pl.DataFrame) -> Blackouts:
    """Return the blackouts of live migrations that are done."""
    done = migrations.filter((pl.col("state") == "done") & ~RESTARTED)
    return Blackouts(
        predicted_ms=quantiles(done["predicted_blackout_ms"]),
        hypervisor_ms=quantiles(done["blackout_ms"]),
        probe_ms=quantiles(done["probe_blackout_ms"]),
    )


def counts_differ(migrations: pl.DataFrame) -> CountsDiffer | None:
    """Return where hypervisor and probe differ by more than the probe can see; None: nowhere."""
    both = migrations.filter((pl.col("state") == "done") & ~RESTARTED).with_columns(apart_ms=APART_MS)
    both = both.drop_nulls(["apart_ms", "probe_resolution_ms"])
    differ = both.filter(pl.col("apart_ms") > pl.col("probe_resolution_ms"))
    if differ.is_empty():
        return None
    most = differ.sort("apart_ms", "migration_id", descending=[True, False]).row(0, named=True)
    return CountsDiffer(
        count=differ.height,
        compared=both.height,
        most_ms=most["apart_ms"],
        migration_id=most["migration_id"],
        resolution_ms=most["probe_resolution_ms"],
    )


def differ_words(differ: CountsDiffer) -> str:
    """Return in words how hypervisor and probe differ."""
    of = f"{count(differ.count)} of {count(differ.compared)}"
    most = f"{milliseconds(differ.most_ms)} at {differ.migration_id}"
    within = f"{milliseconds(differ.resolution_ms)} that the probe can see"
    return f"Hypervisor and probe differ by more than the {within} in {of} migrations, most by {most}"


def restarts(migrations: pl.DataFrame) -> Restarts:
    """Return how many VMs were restarted, and their longest blackout."""
    done = migrations.filter((pl.col("state") == "done") & RESTARTED)
    return Restarts(
        count=done.height,
        predicted_max_ms=quantiles(done["predicted_blackout_ms"]).max,
        hypervisor_max_ms=quantiles(done["blackout_ms"]).max,
    )


def quantiles(values: pl.Series) -> Quantiles:
    """Return median, 99th percentile and maximum of what is known."""
    known = values.drop_nulls().to_numpy()
    if not len(known):
        return Quantiles(p50=None, p99=None, max=None)
    p50, p99, most = np.quantile(known, [0.5, 0.99, 1.0]).tolist()
    return Quantiles(p50=p50, p99=p99, max=most)


def next_step(summary: CampaignSummary) -> str:
    """Return what to do about hosts that were not patched; a revision cannot be run on real hosts."""
    if summary.simulated:
        return "plan the rest anew, with `slacktide revise` or on a fresh snapshot"
    return "see why, import the fleet as it is now, and plan the rest"
