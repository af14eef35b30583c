"""A campaign's report: what was planned and what was measured, side by side, as tables and figures."""

import io
import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import dataframely as dy
import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import ValidationError

from slacktide import atomic
from slacktide.datasets.snapshot import FleetSnapshot
from slacktide.errors import InputError, UsageError
from slacktide.executors.campaign_state import RUNNING_STAGES, CampaignState, HostStage
from slacktide.executors.events import Stage
from slacktide.executors.journal import CampaignRecord
from slacktide.executors.journal_notes import JournalNotes
from slacktide.executors.order_words import orders_answered
from slacktide.executors.over_limits import over_limits, with_limits
from slacktide.executors.report_figures import (
    blackouts,
    counts_differ,
    exposure,
    makespan,
    not_patched,
    overruns,
    restarts,
)
from slacktide.executors.report_notices import notice_columns, notices
from slacktide.executors.report_others import others_counts, others_table
from slacktide.executors.report_summary import FORMAT_VERSION, CampaignSummary, Evacuated, RevisionMade
from slacktide.executors.report_tables import (
    HOST_STATES,
    MIGRATION_STATES,
    ReportHostTable,
    ReportMigrationTable,
    ReportOthersTable,
    ReportTroubleTable,
)
from slacktide.ids import HostId
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
    "migrations": ("told_s", "promised_notice_s", "notice_s", "acknowledged_s", "notice_shortfall_s"),
}
"""Columns that the first reports do not have."""
_HOST_STATE: Final = {
    HostStage.IN_SERVICE: "planned",
    HostStage.DRAINING: "draining",
    HostStage.DRAINED: "drained",
    HostStage.PATCH_INTENDED: "patching",
    HostStage.PATCHING: "patching",
    HostStage.RETURNED: "returned",
    HostStage.FAILED: "failed",
    HostStage.BLOCKED: "blocked",
    HostStage.LOST: "failed",
    HostStage.EVACUATED: "evacuated",
}
PATCH_REFUSED: Final = "patch-refused"
"""Reason of a host that was drained and then not touched: it is as it was, but empty and out of service."""

Floats = NDArray[np.float64]


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
    reasons = _host_reasons(state, notes.untouched)
    migrations, hosts, troubles = _migrations(plan, state), _hosts(plan, state, reasons), _troubles(state, reasons)
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
        over_limits=over_limits(state.program, hosts, with_limits(migrations, snapshot, plan)),
        overruns=overruns(hosts),
        revisions=tuple(
            RevisionMade(at_s=each.at_s, plan_id=each.plan_id, by=each.by, why=each.why) for each in state.revisions
        ),
        orders=orders_answered(notes.orders),
        evacuations=_evacuations(state),
        notices=notices(migrations),
        others=others_counts(state.deeds),
        makespan=makespan(plan, hosts),
        exposure=exposure(plan, hosts, state.end_s),
        blackout=blackouts(migrations),
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


def _migrations(plan: Plan, state: CampaignState) -> pl.DataFrame:
    times, stages = state.times, state.stage
    done = stages == Stage.DONE
    ended_s = np.where(done, times[:, Stage.DONE], times[:, Stage.FAILED])

    def spent(first: Stage, last: Stage) -> pl.Series:
        return _known(times[:, last] - times[:, first])

    columns = {
        "state": pl.Series(_migration_states(state), dtype=pl.Enum(MIGRATION_STATES)),
        "attempts": pl.Series(state.attempts.astype(np.int32)),
        "error": _texts(_errors(state), len(stages)),
        "failed_stage": pl.Series([None if at < 0 else Stage(at).name.lower() for at in state.failed_stage.tolist()]),
        "notified_s": _known(times[:, Stage.NOTIFIED]),
        **{name: _known(values) for name, values in notice_columns(state).items()},
        "start_s": _known(times[:, Stage.INTENDED]),
        "end_s": _known(np.where(np.isin(stages, RUNNING_STAGES), np.nan, ended_s)),
        "reserve_s": spent(Stage.INTENDED, Stage.RESERVED),
        "prepare_s": spent(Stage.RESERVED, Stage.PREPARED),
        "connect_s": spent(Stage.PREPARED, Stage.CONNECTED),
        "brownout_s": spent(Stage.BROWNOUT, Stage.BLACKOUT),
        "blackout_ms": _known(np.where(done, state.blackout_ms, np.nan)),
        "probe_blackout_ms": _known(np.where(done, state.probe_blackout_ms, np.nan)),
        "probe_resolution_ms": _known(np.where(done, state.probe_resolution_ms, np.nan)),
        "forwarding_s": spent(Stage.FORWARDING, Stage.SOURCE_DELETED),
        "delete_s": spent(Stage.SOURCE_DELETED, Stage.DONE),
        "transfer_mib": _known(np.where(done, state.transfer_mib, np.nan)),
    }
    planned = plan.migrations.rename({name: f"planned_{name}" for name in ("notified_s", "start_s", "end_s")})
    return ReportMigrationTable.validate(planned.with_columns(**columns), cast=True)


def _migration_states(state: CampaignState) -> NDArray[np.object_]:
    stages = state.stage
    names = np.select(
        [
            stages == Stage.PLANNED,
            stages <= Stage.WAITING,
            stages < Stage.DONE,
            stages == Stage.DONE,
            (stages == Stage.FAILED) | (state.attempts > 0),
        ],
        ["planned", "notified", "running", "done", "failed"],
        "given-up",
    )
    return names.astype(object)


def _errors(state: CampaignState) -> dict[int, str]:
    """Return why migrations failed, or the short name of why they were never begun."""
    never_begun = {number: reason for number, reason in state.given_up.items() if not state.attempts[number]}
    return state.errors | never_begun


def _host_reasons(state: CampaignState, untouched: Collection[str]) -> dict[int, tuple[str, str]]:
    """Return why hosts were not patched, short and long, by number."""
    numbers = {state.host_numbers[HostId(host)] for host in untouched}
    return {
        host: (PATCH_REFUSED if host in numbers and state.host_stage[host] == HostStage.LOST else reason, detail)
        for host, (reason, detail) in state.host_reasons.items()
    }


def _hosts(plan: Plan, state: CampaignState, why: dict[int, tuple[str, str]]) -> pl.DataFrame:
    place = np.array([state.host_numbers[host] for host in plan.hosts["host_id"].to_list()], np.int64)
    stages, times = state.host_stage[place], state.host_times[place]
    reasons = {row: why[host][0] for row, host in enumerate(place.tolist()) if host in why}
    columns = {
        "state": pl.Series([_HOST_STATE[HostStage(stage)] for stage in stages.tolist()], dtype=pl.Enum(HOST_STATES)),
        "reason": _texts(reasons, len(place)),
        "drain_start_s": _known(times[:, HostStage.DRAINING]),
        "drained_s": _known(times[:, HostStage.DRAINED]),
        "return_s": _known(times[:, HostStage.RETURNED]),
        "released_s": _known(np.where(np.isnan(times[:, HostStage.DRAINING]), np.nan, _released_s(times))),
    }
    names = ("drain_start_s", "drained_s", "return_s")
    planned = plan.hosts.rename({name: f"planned_{name}" for name in names})
    return ReportHostTable.validate(planned.with_columns(**columns), cast=True)


def _released_s(times: Floats) -> Floats:
    """Return when each host was given up, or was empty and stayed out: then it counts as out no more."""
    failed_s, others_s = times[:, HostStage.FAILED], (HostStage.BLOCKED, HostStage.EVACUATED)
    return np.where(np.isnan(failed_s), np.fmax(*(times[:, stage] for stage in others_s)), failed_s)


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


def _troubles(state: CampaignState, why: dict[int, tuple[str, str]]) -> pl.DataFrame:
    rows = [
        (float(np.nanmax(state.host_times[host])), "host", state.program.hosts.ids[host], reason, detail)
        for host, (reason, detail) in why.items()
    ]
    rows += [
        (float(state.times[number, Stage.GIVEN_UP]), "migration", state.program.migrations.ids[number], reason, detail)
        for number, reason in state.given_up.items()
        for detail in (state.errors[number],)
    ]
    names = ReportTroubleTable.column_names()
    schema = {"at_s": pl.Float64, **dict.fromkeys(names[1:], pl.String)}
    table = pl.DataFrame(rows, schema=schema, orient="row").sort("at_s", "kind", "subject")
    return ReportTroubleTable.validate(table, cast=True)


def _counted(states: pl.Series, names: Sequence[str]) -> dict[str, int]:
    counts = dict(states.cast(pl.String).value_counts().iter_rows())
    return {name: counts[name] for name in names if name in counts}


def _known(values: Floats) -> pl.Series:
    """Return measured values; what was not measured is null."""
    return pl.Series(values, dtype=pl.Float64).fill_nan(None)


def _texts(texts: dict[int, str], rows: int) -> pl.Series:
    return pl.Series([texts.get(row) for row in range(rows)], dtype=pl.String)
