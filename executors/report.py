"""A campaign's report: what was planned and what was measured, side by side, as tables and figures."""

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import dataframely as dy
import numpy as np
import polars as pl
from pydantic import ValidationError

from slacktide import atomic
from slacktide.datasets.snapshot import FleetSnapshot
from slacktide.errors import InputError, UsageError
from slacktide.executors.campaign_state import CampaignState, HostStage
from slacktide.executors.events import Stage
from slacktide.executors.half_drained import half_drained
from slacktide.executors.journal import CampaignRecord
from slacktide.executors.journal_notes import JournalNotes
from slacktide.executors.order_words import orders_answered, own_steps
from slacktide.executors.over_limits import over_limits, with_limits
from slacktide.executors.report_brownouts import brownouts
from slacktide.executors.report_figures import (
    blackouts,
    counts_differ,
    exposure,
    makespan,
    not_patched,
    overruns,
    restarts,
)
from slacktide.executors.report_notices import notices
from slacktide.executors.report_others import others_counts, others_table
from slacktide.executors.report_rows import host_reasons, host_rows, migration_rows, trouble_rows
from slacktide.executors.report_summary import FORMAT_VERSION, CampaignSummary, Evacuated, Makespan, RevisionMade
from slacktide.executors.report_tables import (
    HOST_STATES,
    MIGRATION_STATES,
    ReportHostTable,
    ReportMigrationTable,
    ReportOthersTable,
    ReportTroubleTable,
)
from slacktide.executors.waited import waited_for_people_s
from slacktide.planner.plan import Plan

SUMMARY_FILE: Final = "report.json"
PAGE_FILE: Final = "report.html"
TABLES: Final[dict[str, type[dy.Schema]]] = {
    "migrations": ReportMigrationTable,
    "hosts": ReportHostTable,
    "troubles": ReportTroubleTable,
    "others": ReportOthersTable,
}
LATER_TABLES: Final = frozenset({"others"})
"""Tables that the first reports do not have; they are empty there."""
LATER_COLUMNS: Final = {
    "migrations": (
        *("told_s", "promised_notice_s", "notice_s", "acknowledged_s", "notice_shortfall_s"),
        *("fabric_s", "forwarded_packets", "lost_packets", "fabric_finding"),
    ),
    "hosts": ("gone_vms", "remaining_vms"),
}
"""Columns that the first reports do not have."""


@dataclass(frozen=True, slots=True)
class CampaignReport:
    """The figures and the four tables (:mod:`slacktide.executors.report_tables`), sorted by their keys."""

    summary: CampaignSummary
    hosts: pl.DataFrame
    migrations: pl.DataFrame
    troubles: pl.DataFrame
    others: pl.DataFrame = field(default_factory=lambda: others_table(()))


@dataclass(frozen=True, slots=True)
class Execution:
    """How a campaign was executed, as far as its journal does not say."""

    simulated: bool
    seed: int
    wall_s: float
    ray: bool
    agents: int


def make_report(
    snapshot: FleetSnapshot,
    plan: Plan,
    state: CampaignState,
    record: CampaignRecord,
    execution: Execution,
    notes: JournalNotes | None = None,
) -> CampaignReport:
    """Return the report of a campaign as far as it has got; hosts that were never touched are counted apart."""
    notes = notes or JournalNotes()
    reasons = host_reasons(state, notes.untouched)
    migrations, hosts, troubles = (
        migration_rows(plan, state),
        host_rows(plan, state, reasons),
        trouble_rows(state, reasons),
    )
    summary = CampaignSummary(
        campaign_id=record.campaign_id,
        plan_id=record.plan_id,
        snapshot_digest=record.snapshot_digest,
        policy_name=plan.header.policy.name,
        simulated=execution.simulated,
        seed=execution.seed,
        origin=record.origin,
        finished=state.finished,
        end_s=state.end_s,
        hosts=_counted(hosts["state"], HOST_STATES),
        migrations=_counted(migrations["state"], MIGRATION_STATES),
        attempts=int(state.attempts.sum(dtype=np.int64)),
        failed_attempts={Stage(stage).name.lower(): count for stage, count in sorted(state.failed_attempts.items())},
        not_patched=not_patched(hosts),
        half_drained=half_drained(state),
        over_limits=over_limits(state.program, hosts, with_limits(migrations, snapshot, plan)),
        overruns=overruns(hosts),
        revisions=tuple(
            RevisionMade(at_s=each.at_s, plan_id=each.plan_id, by=each.by, why=each.why, evacuates=each.evacuates)
            for each in state.revisions
        ),
        orders=orders_answered(notes.orders, notes.asked_for),
        own_steps=own_steps(notes.orders),
        evacuations=_evacuations(state),
        notices=notices(migrations),
        others=others_counts(state.deeds),
        makespan=_makespan(plan, hosts, state, notes),
        exposure=exposure(plan, hosts, state.end_s),
        blackout=blackouts(migrations),
        brownout=brownouts(migrations),
        counts_differ=counts_differ(migrations),
        restarts=restarts(migrations),
        execution_wall_s=execution.wall_s,
        coordinators=notes.coordinators,
        ray=execution.ray,
        agents=execution.agents,
        plan_path=record.plan_path,
        fleet_path=record.fleet_path,
    )
    return CampaignReport(summary, hosts, migrations, troubles, others_table(state.deeds))


def write_report(report: CampaignReport, directory: Path) -> None:
    """Write the report into a campaign's directory, each file whole or not at all, the figures last.

    The same report gives the same bytes.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    for name in TABLES:
        buffer = io.BytesIO()
        getattr(report, name).write_parquet(buffer)
        atomic.write_file(directory / f"{name}.parquet", buffer.getvalue())
    text = json.dumps(report.summary.model_dump(mode="json"), indent=2, ensure_ascii=False) + "\n"
    atomic.write_file(directory / SUMMARY_FILE, text.encode())


def read_report(directory: Path) -> CampaignReport:
    """Return the report in a campaign's directory.

    Raises
    ------
    UsageError
        If there is none.
    InputError
        If it is damaged, or of another version.
    """
    return CampaignReport(read_summary(directory), **{name: _read_table(directory, name) for name in TABLES})


def read_summary(directory: Path) -> CampaignSummary:
    """Return the figures of the report in a campaign's directory.

    Raises
    ------
    UsageError
        If there is none.
    InputError
        If they are damaged, or of another version.
    """
    path = directory / SUMMARY_FILE
    if not path.is_file():
        raise UsageError(
            str(directory), "holds no report", "Give the directory of a campaign, as `slacktide run` made it"
        )
    try:
        data = json.loads(path.read_bytes())
        if isinstance(data, dict) and data.get("format_version") != FORMAT_VERSION:
            fact = f"has format version {data.get('format_version')}; this release reads version {FORMAT_VERSION}"
            raise InputError(str(path), fact, "Use the release that wrote it")
        return CampaignSummary.model_validate(data)
    except (ValidationError, ValueError, OSError) as error:
        remedy = "Resume the campaign, which writes its report again"
        raise InputError(str(path), f"is damaged: {str(error).splitlines()[0]}", remedy) from error


def _read_table(directory: Path, name: str) -> pl.DataFrame:
    path = directory / f"{name}.parquet"
    remedy = "Resume the campaign, which writes its report again"
    try:
        table = pl.read_parquet(io.BytesIO(path.read_bytes()))
        later = [column for column in LATER_COLUMNS.get(name, ()) if column not in table.columns]
        table = table.with_columns(pl.lit(None, pl.Float64).alias(column) for column in later)
        return TABLES[name].validate(table, cast=name == "hosts")
    except FileNotFoundError:
        if name in LATER_TABLES:
            return TABLES[name].create_empty()
        raise InputError(str(path), "is missing", remedy) from None
    except (pl.exceptions.PolarsError, dy.exc.ValidationError, dy.exc.SchemaError, OSError) as error:
        raise InputError(str(path), f"is damaged: {str(error).splitlines()[0]}", remedy) from error


def _makespan(plan: Plan, hosts: pl.DataFrame, state: CampaignState, notes: JournalNotes) -> Makespan:
    found = makespan(plan, hosts)
    waited_s = waited_for_people_s(state, notes.orders, found.measured_s or 0.0)
    return found.model_copy(update={"waited_s": waited_s})


def _evacuations(state: CampaignState) -> tuple[Evacuated, ...]:
    empty_s = state.host_times[:, HostStage.EVACUATED]
    return tuple(
        Evacuated(
            host_id=state.program.hosts.ids[host],
            at_s=None if np.isnan(empty_s[host]) else float(empty_s[host]),
            why=why,
        )
        for host, why in sorted(state.evacuated.items())
    )


def _counted(states: pl.Series, names: Sequence[str]) -> dict[str, int]:
    counts = dict(states.cast(pl.String).value_counts().iter_rows())
    return {name: counts[name] for name in names if name in counts}
