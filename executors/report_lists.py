"""The tables of a report page, counted and cut to what a person reads."""

from dataclasses import dataclass
from typing import Final

import polars as pl

from slacktide.executors.link_use import LinkUse
from slacktide.executors.readable import UNKNOWN, count, duration, gbit_s, milliseconds, percent
from slacktide.executors.report_view import CampaignReport, ReportView

WAVES_SHOWN: Final = 300
"""Rows of the wave table: more are not read on a page, and ``waves.parquet`` has them all."""
REASONS_SHOWN: Final = 40
"""Reasons listed, the most frequent first; error texts may name single VMs and be as many as these."""
LONGEST_SHOWN: Final = 20
"""VMs with the longest blackouts: as many as one would ask their owners about."""


@dataclass(frozen=True, slots=True)
class Column:
    """Head of a column."""

    name: str
    number: bool = False
    """Numbers are set flush right."""


@dataclass(frozen=True, slots=True)
class Listing:
    """One table."""

    key: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""
    nothing: str = ""
    """What stands there if there are no rows."""


def listings(view: ReportView, links: tuple[LinkUse, ...]) -> tuple[Listing, ...]:
    """Return the tables, those that ask for something to be done first."""
    found = [_findings(view)] if view.plan.header.summary.audit.findings else []
    happened = [] if view.report is None else [_failed_migrations(view.report), _failed_hosts(view.report)]
    return (*found, _deferred(view), *happened, _longest_blackouts(view), _links(links), _waves(view))


def _numbers(*names: str) -> tuple[Column, ...]:
    return tuple(Column(name, number=True) for name in names)


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
    return Listing("findings", "Findings of the audit", columns, rows, _more(len(findings), REASONS_SHOWN, "plan.json"))


def _more(total: int, shown: int, file: str) -> str:
    return f"{count(total - shown)} more in {file}." if total > shown else ""


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
    columns = (Column("reason"), *_numbers("hosts"), Column("for example"), Column("remedy"))
    note = _more(len(reasons), REASONS_SHOWN, "deferred.parquet")
    return Listing("deferred", "Deferred hosts", columns, rows, note, "No due host is deferred.")


def _failed_migrations(report: CampaignReport) -> Listing:
    reasons = (
        report.migrations.filter(pl.col("state").is_in(["failed", "given-up"]))
        .group_by("state", "failed_stage", "error")
        .agg(migrations=pl.len(), attempts=pl.col("attempts").sum(), example=pl.col("vm_id").min())
        .sort("migrations", "state", "failed_stage", "error", descending=[True, False, False, False])
    )
    rows = tuple(
        (
            row["error"] or UNKNOWN,
            row["failed_stage"] or UNKNOWN,
            row["state"],
            count(row["migrations"]),
            count(row["attempts"]),
            row["example"],
        )
        for row in reasons.head(REASONS_SHOWN).iter_rows(named=True)
    )
    columns = (
        *(Column(name) for name in ("reason", "stage", "state")),
        *_numbers("migrations", "attempts"),
        Column("for example"),
    )
    note = _more(len(reasons), REASONS_SHOWN, "migrations.parquet")
    return Listing("failed", "Failed migrations", columns, rows, note, "No migration failed.")


def _failed_hosts(report: CampaignReport) -> Listing:
    reasons = (
        report.hosts.filter(pl.col("state").is_in(["failed", "blocked"]))
        .group_by("state", "reason")
        .agg(hosts=pl.len(), example=pl.col("host_id").min())
        .sort("hosts", "state", "reason", descending=[True, False, False])
    )
    rows = tuple(
        (row["reason"] or UNKNOWN, row["state"], count(row["hosts"]), row["example"])
        for row in reasons.head(REASONS_SHOWN).iter_rows(named=True)
    )
    columns = (Column("reason"), Column("state"), *_numbers("hosts"), Column("for example"))
    note = _more(len(reasons), REASONS_SHOWN, "hosts.parquet")
    return Listing("hosts", "Hosts not patched", columns, rows, note, "Every planned host was patched.")


def _longest_blackouts(view: ReportView) -> Listing:
    table = view.plan.migrations if view.report is None else view.done
    unknown = pl.lit(None, dtype=pl.Float64)
    if view.report is None:
        table = table.with_columns(blackout_ms=unknown, probe_blackout_ms=unknown)
    by = "predicted_blackout_ms" if view.report is None else "longest"
    longest = (
        table.with_columns(longest=pl.max_horizontal("blackout_ms", "probe_blackout_ms"))
        .sort(by, "migration_id", descending=[True, False], nulls_last=True)
        .head(LONGEST_SHOWN)
        .join(view.snapshot.vms.select("vm_id", "blackout_limit_ms"), on="vm_id", how="left", maintain_order="left")
        .with_columns(pl.col("blackout_limit_ms").fill_null(view.blackout_limit_ms))
    )
    rows = tuple(
        (
            row["vm_id"],
            f"{row['source']} \u2192 {row['target']}",
            row["strategy"],
            milliseconds(row["predicted_blackout_ms"]),
            *(
                ()
                if view.report is None
                else (milliseconds(row["blackout_ms"]), milliseconds(row["probe_blackout_ms"]))
            ),
            milliseconds(float(row["blackout_limit_ms"])),
        )
        for row in longest.iter_rows(named=True)
    )
    counted = () if view.report is None else ("hypervisor", "probe")
    columns = (Column("VM"), Column("migration"), Column("strategy"), *_numbers("predicted", *counted, "limit"))
    return Listing("longest", "Longest blackouts", columns, rows, "", "No migration.")


def _links(links: tuple[LinkUse, ...]) -> Listing:
    rows = tuple(
        (
            link.name,
            gbit_s(link.capacity_mbit_s),
            gbit_s(link.limit_mbit_s),
            gbit_s(link.use.peak),
            percent(link.peak_share),
        )
        for link in links
    )
    columns = (Column("link"), *_numbers("capacity", "limit for migrations", "planned peak", "of the limit"))
    return Listing("links", "Hottest links", columns, rows, "", "No migration crosses a link.")


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
    columns = (*_numbers("wave"), Column("gate"), *_numbers("hosts", *returned, "migrations", *heads))
    return Listing("waves", "Waves", columns, rows, _more(len(waves), WAVES_SHOWN, "waves.parquet"), "No wave.")
