"""The tables of a report page, counted and cut to what a person reads."""

from typing import Final

import polars as pl

from slacktide.executors.link_use import LinkUse
from slacktide.executors.over_limits import COUNTED_MS
from slacktide.executors.readable import UNKNOWN, count, duration, gbit_s, milliseconds, percent
from slacktide.executors.report_brownouts import brownouts_listing
from slacktide.executors.report_figures import STAGE_WORDS, differ_words, next_step
from slacktide.executors.report_happened import (
    half_drained_listing,
    orders_listing,
    others_listing,
    own_steps_listing,
    revisions_listing,
)
from slacktide.executors.report_listing import REASONS_SHOWN, Column, Listing, more, numbers
from slacktide.executors.report_summary import OverLimits
from slacktide.executors.report_view import CampaignReport, ReportView

WAVES_SHOWN: Final = 300
"""Rows of the wave table: more are not read on a page, and ``waves.parquet`` has them all."""
LONGEST_SHOWN: Final = 20
"""VMs with the longest blackouts: as many as one would ask their owners about."""


def listings(view: ReportView, links: tuple[LinkUse, ...]) -> tuple[Listing, ...]:
    """Return the tables, those that ask for something to be done first."""
    found = [_findings(view)] if view.plan.header.summary.audit.findings else []
    happened: list[Listing] = []
    if view.report is not None:
        over, report = view.report.summary.over_limits, view.report
        happened = [_over_limits(over)] if over.hosts_out or over.blackouts else []
        happened += [revisions_listing(report.summary)] if report.summary.revisions else []
        happened += [orders_listing(report.summary)] if report.summary.orders else []
        own = own_steps_listing(report.summary)
        happened += [own] if own.rows else []
        happened += [others_listing(report)] if report.others.height else []
        happened += [half_drained_listing(report)] if report.summary.half_drained else []
        happened += [_failed_hosts(report), _failed_migrations(report), _given_up(report)]
        happened += [] if report.summary.notices is None else [_notices(report)]
        happened += [] if report.summary.brownout is None else [brownouts_listing(report.migrations)]
    restarts = [] if view.restarted.is_empty() else [_restarts(view)]
    return (*found, *happened, _deferred(view), _longest_blackouts(view), *restarts, _links(view, links), _waves(view))


def _findings(view: ReportView) -> Listing:
    findings = view.plan.header.summary.audit.findings
    rows = tuple(
        (
            str(each.get("severity", "")),
            str(each.get("rule", "")),
            str(each.get("message", "")),
            str(each.get("remedy", "")),
        )
        for each in findings[:REASONS_SHOWN]
    )
    columns = tuple(Column(name) for name in ("severity", "rule", "finding", "remedy"))
    return Listing("findings", "Findings of the audit", columns, rows, more(len(findings), REASONS_SHOWN, "plan.json"))


def _over_limits(over: OverLimits) -> Listing:
    rows = [
        (f"hosts out: {each.where}", count(each.most), count(each.limit), "") for each in over.hosts_out[:REASONS_SHOWN]
    ]
    if over.blackouts is not None:
        most, limit = over.blackouts.longest_ms, over.blackouts.longest_limit_ms
        many = over.blackouts.count > 1
        detail = f"{count(over.blackouts.count)} above their VM's limit, the longest shown" if many else "1"
        rows.append(("blackouts of live migrations", milliseconds(most), milliseconds(limit), detail))
    columns = (Column("what"), *numbers("measured", "limit"), Column("how many"))
    note = more(len(over.hosts_out), REASONS_SHOWN, "report.json")
    return Listing("over", "Over limits", columns, tuple(rows), note)


def _deferred(view: ReportView) -> Listing:
    reasons = (
        view.plan.deferred.group_by("reason", "remedy")
        .agg(hosts=pl.len(), example=pl.struct("host_id", "detail").sort_by("host_id").first())
        .sort("hosts", "reason", "remedy", descending=[True, False, False])
    )
    rows = tuple(
        (row["reason"], count(row["hosts"]), f"{row['example']['host_id']}: {row['example']['detail']}", row["remedy"])
        for row in reasons.head(REASONS_SHOWN).iter_rows(named=True)
    )
    columns = (Column("reason"), *numbers("hosts"), Column("for example"), Column("remedy"))
    note = more(len(reasons), REASONS_SHOWN, "deferred.parquet")
    return Listing("deferred", "Deferred hosts", columns, rows, note, "No due host is deferred.")


def _failed_migrations(report: CampaignReport) -> Listing:
    """Return the migrations that were tried and whose last attempt failed."""
    reasons = (
        report.migrations.filter(pl.col("state") == "failed")
        .group_by("failed_stage", "error")
        .agg(migrations=pl.len(), attempts=pl.col("attempts").sum(), example=pl.col("vm_id").min())
        .sort("migrations", "failed_stage", "error", descending=[True, False, False])
    )
    rows = tuple(
        (
            row["error"] or UNKNOWN,
            STAGE_WORDS.get(row["failed_stage"], UNKNOWN),
            count(row["migrations"]),
            count(row["attempts"]),
            row["example"],
        )
        for row in reasons.head(REASONS_SHOWN).iter_rows(named=True)
    )
    columns = (Column("reason"), Column("when"), *numbers("migrations", "attempts"), Column("for example"))
    note = more(len(reasons), REASONS_SHOWN, "migrations.parquet")
    return Listing("failed", "Failed migrations", columns, rows, note, "No migration that was tried failed.")


def _given_up(report: CampaignReport) -> Listing:
    """Return the migrations that were never tried, because what they depend on did not come."""
    reasons = (
        report.migrations.filter(pl.col("state") == "given-up")
        .group_by("error")
        .agg(migrations=pl.len(), example=pl.col("vm_id").min())
        .sort("migrations", "error", descending=[True, False])
    )
    rows = tuple(
        (row["error"] or UNKNOWN, count(row["migrations"]), row["example"])
        for row in reasons.head(REASONS_SHOWN).iter_rows(named=True)
    )
    columns = (Column("reason"), *numbers("migrations"), Column("for example"))
    note = more(len(reasons), REASONS_SHOWN, "migrations.parquet")
    title = "Migrations given up without an attempt"
    return Listing("given-up", title, columns, rows, note, "No migration was given up without an attempt.")


def _notices(report: CampaignReport) -> Listing:
    """Return the guests whose notice was too short, the worst first, then those that were ready before its end."""
    told = report.migrations.filter(
        pl.col("notice_shortfall_s").is_not_null() | (pl.col("acknowledged_s").is_not_null() & (pl.col("attempts") > 0))
    ).sort("notice_shortfall_s", "migration_id", descending=[True, False], nulls_last=True)
    rows = tuple(
        (
            row["vm_id"],
            duration(row["promised_notice_s"]),
            duration(row["notice_s"]) if row["told_s"] is not None else "not told",
            duration(row["notice_shortfall_s"]) if row["notice_shortfall_s"] is not None else "",
            "" if row["acknowledged_s"] is None else f"{duration(row['acknowledged_s'] - row['told_s'])} after",
        )
        for row in told.head(REASONS_SHOWN).iter_rows(named=True)
    )
    columns = (Column("VM"), *numbers("notice promised", "given", "too short by"), Column("acknowledged"))
    note = more(told.height, REASONS_SHOWN, "migrations.parquet")
    return Listing("notices", "Notice", columns, rows, note, "Every guest was told in time; none acknowledged.")


def _failed_hosts(report: CampaignReport) -> Listing:
    reasons = (
        report.hosts.filter(pl.col("state").is_in(["failed", "blocked"]))
        .group_by("state", "reason")
        .agg(hosts=pl.len(), example=pl.col("host_id").min())
        .with_columns(pl.col("state").cast(pl.String))
        .sort("state", "hosts", "reason", descending=[True, True, False])
    )
    rows = tuple(
        (row["reason"] or UNKNOWN, row["state"], count(row["hosts"]), row["example"])
        for row in reasons.head(REASONS_SHOWN).iter_rows(named=True)
    )
    columns = (Column("reason"), Column("state"), *numbers("hosts"), Column("for example"))
    note = more(len(reasons), REASONS_SHOWN, "hosts.parquet")
    note = f"{note} Next: {next_step(report.summary)}.".strip()
    return Listing("hosts", "Hosts not patched", columns, rows, note, "Every planned host was patched.")


def _longest_blackouts(view: ReportView) -> Listing:
    return _longest(view, view.live, "longest", "Longest blackouts of live migrations")


def _restarts(view: ReportView) -> Listing:
    return _longest(view, view.restarted, "restarts", "Restarts")


def _longest(view: ReportView, table: pl.DataFrame, key: str, title: str) -> Listing:
    by = "predicted_blackout_ms" if view.report is None else "longest"
    longest = (
        table.with_columns(longest=COUNTED_MS)
        .sort(by, "migration_id", descending=[True, False], nulls_last=True)
        .head(LONGEST_SHOWN)
    )
    counted = () if view.report is None else ("blackout_ms", "probe_blackout_ms")
    limited = ("blackout_limit_ms",) if key == "longest" else ()
    rows = tuple(
        (
            row["vm_id"],
            f"{row['source']} \u2192 {row['target']}",
            row["strategy"],
            *(milliseconds(row[name]) for name in ("predicted_blackout_ms", *counted, *limited)),
        )
        for row in longest.iter_rows(named=True)
    )
    names = ("predicted", *(() if view.report is None else ("hypervisor", "probe")), *(("limit",) if limited else ()))
    columns = (Column("VM"), Column("migration"), Column("strategy"), *numbers(*names))
    note = more(len(table), LONGEST_SHOWN, "migrations.parquet") if key == "restarts" else _differ_note(view)
    return Listing(key, title, columns, rows, note, "No migration.")


def _differ_note(view: ReportView) -> str:
    differ = None if view.report is None else view.report.summary.counts_differ
    return "" if differ is None else f"{differ_words(differ)}; see probe_resolution_ms in migrations.parquet."


def _links(view: ReportView, links: tuple[LinkUse, ...]) -> Listing:
    measured = view.report is not None
    rows = tuple(
        (
            link.name,
            gbit_s(link.capacity_mbit_s),
            gbit_s(link.limit_mbit_s),
            percent(link.mean_share),
            percent(link.peak_share),
            *((percent(link.measured_peak_share),) if measured else ()),
        )
        for link in links
    )
    names = ("capacity", "limit for migrations", "planned mean", "planned peak", "measured peak")
    columns = (Column("link"), *numbers(*names[: 5 if measured else 4]))
    note = "Mean and peaks are shares of the limit." if links else ""
    return Listing("links", "Hottest links", columns, rows, note, "No migration crosses a link.")


def _waves(view: ReportView) -> Listing:
    waves = view.plan.waves.sort("wave")
    if view.report is not None:
        measured = view.report.hosts.group_by("wave").agg(
            measured_start_s=pl.col("drain_start_s").min(),
            measured_end_s=pl.col("return_s").max(),
            returned=(pl.col("state") == "returned").sum(),
        )
        waves = waves.join(measured, on="wave", how="left", maintain_order="left")
    times = ("start_s", "end_s", *(() if view.report is None else ("measured_start_s", "measured_end_s")))
    rows = tuple(
        (
            str(row["wave"]),
            row["gate"],
            count(row["hosts"]),
            *(() if view.report is None else (count(row["returned"]),)),
            count(row["migrations"]),
            *(duration(row[name]) for name in times),
        )
        for row in waves.head(WAVES_SHOWN).iter_rows(named=True)
    )
    returned = () if view.report is None else ("returned",)
    heads = ("start", "end") if view.report is None else ("planned start", "end", "measured start", "end")
    columns = (*numbers("wave"), Column("gate"), *numbers("hosts", *returned, "migrations", *heads))
    return Listing("waves", "Waves", columns, rows, more(len(waves), WAVES_SHOWN, "waves.parquet"), "No wave.")
