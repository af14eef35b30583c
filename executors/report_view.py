"""What a report page is made from: a snapshot, its plan, and what happened, if anything has."""

from dataclasses import dataclass
from functools import cached_property
from typing import Final, Protocol

import polars as pl

from slacktide.datasets.snapshot import FleetSnapshot
from slacktide.executors.over_limits import with_limits
from slacktide.executors.report_figures import RESTARTED
from slacktide.executors.report_summary import CampaignSummary
from slacktide.planner.plan import Plan

MEASURED_MS: Final = ("blackout_ms", "probe_blackout_ms", "probe_resolution_ms")
"""Columns of a report's migrations that a plan's do not have."""


class CampaignReport(Protocol):
    """A campaign's report: its summary and its tables (:mod:`slacktide.executors.report_tables`)."""

    @property
    def summary(self) -> CampaignSummary:
        """The figures."""
        ...

    @property
    def hosts(self) -> pl.DataFrame:
        """Every planned host and what became of it."""
        ...

    @property
    def migrations(self) -> pl.DataFrame:
        """Every planned migration and what became of it."""
        ...

    @property
    def others(self) -> pl.DataFrame:
        """What others did with VMs meanwhile."""
        ...


@dataclass(frozen=True)
class ReportView:
    """The inputs of a page, and the few things that all its parts derive from them."""

    snapshot: FleetSnapshot
    plan: Plan
    report: CampaignReport | None

    @cached_property
    def horizon_s(self) -> float:
        """Right end of every time axis: when the plan and the campaign have ended; at least 1 s."""
        end_s = 0.0 if self.report is None else self.report.summary.end_s
        return max(1.0, float(self.plan.header.summary.makespan_s), end_s)

    @cached_property
    def due(self) -> int:
        """Hosts that should be patched: planned and deferred."""
        return len(self.patched) + len(self.plan.deferred)

    @cached_property
    def patched(self) -> pl.DataFrame:
        """The plan's hosts without those that are evacuated."""
        named = list(self.plan.header.policy.evacuate)
        named += [] if self.report is None else [each.host_id for each in self.report.summary.evacuations]
        return self.plan.hosts.filter(~pl.col("host_id").is_in(named))

    @cached_property
    def done(self) -> pl.DataFrame:
        """The migrations that were carried out; empty without a report."""
        if self.report is None:
            return pl.DataFrame()
        return self.report.migrations.filter(pl.col("state") == "done")

    @cached_property
    def moved(self) -> pl.DataFrame:
        """What blackouts are told of: the migrations that were carried out, without a report all of the plan.

        With ``blackout_limit_ms``, and null for what was not measured.
        """
        shown = self.plan.migrations if self.report is None else self.done
        measured = [name for name in MEASURED_MS if name not in shown.columns]
        shown = shown.with_columns(pl.lit(None, dtype=pl.Float64).alias(name) for name in measured)
        return with_limits(shown, self.snapshot, self.plan)

    @cached_property
    def live(self) -> pl.DataFrame:
        """The live migrations of these."""
        return self.moved.filter(~RESTARTED)

    @cached_property
    def restarted(self) -> pl.DataFrame:
        """The others: VMs that were shut down and started on the target."""
        return self.moved.filter(RESTARTED)

    @cached_property
    def blackout_limit_ms(self) -> int:
        """The policy's limit, for VMs without their own."""
        return self.plan.header.policy.migration.blackout_limit_ms
