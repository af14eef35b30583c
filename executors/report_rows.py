"""What became of migrations and hosts, as the rows of a report's tables."""

from collections.abc import Collection
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from slacktide.executors.campaign_state import RUNNING_STAGES, CampaignState, HostStage
from slacktide.executors.events import Stage
from slacktide.executors.half_drained import half_drained
from slacktide.executors.report_notices import notice_columns
from slacktide.executors.report_tables import (
    HOST_STATES,
    MIGRATION_STATES,
    ReportHostTable,
    ReportMigrationTable,
    ReportTroubleTable,
)
from slacktide.ids import HostId
from slacktide.planner.plan import Plan

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

FABRIC: Final = "fabric"
"""Reason of a migration whose fabric did not confirm in time, or could not do what it was asked."""

Floats = NDArray[np.float64]


def migration_rows(plan: Plan, state: CampaignState) -> pl.DataFrame:
    """Return what became of the plan's migrations, in the order of the plan."""
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
        "fabric_s": _known(np.where(done, state.fabric_s, np.nan)),
        "forwarded_packets": _known(np.where(done, state.forwarded_packets, np.nan)).cast(pl.Int64),
        "lost_packets": _known(np.where(done, state.lost_packets, np.nan)).cast(pl.Int64),
        "fabric_finding": _texts(state.unconfirmed, len(stages)),
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


def host_reasons(state: CampaignState, untouched: Collection[str]) -> dict[int, tuple[str, str]]:
    """Return why hosts were not patched, short and long, by number."""
    numbers = {state.host_numbers[HostId(host)] for host in untouched}
    return {
        host: (
            PATCH_REFUSED
            if host in numbers and state.host_stage[host] in (HostStage.LOST, HostStage.FAILED)
            else reason,
            detail,
        )
        for host, (reason, detail) in state.host_reasons.items()
    }


def host_rows(plan: Plan, state: CampaignState, why: dict[int, tuple[str, str]]) -> pl.DataFrame:
    """Return what became of the plan's hosts; ``why``: :func:`host_reasons`."""
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
    half = {each.host_id: each for each in half_drained(state)}
    for name in ("gone_vms", "remaining_vms"):
        vms = [getattr(half.get(host), name, None) for host in plan.hosts["host_id"].to_list()]
        columns[name] = pl.Series(vms, dtype=pl.Int32)
    names = ("drain_start_s", "drained_s", "return_s")
    planned = plan.hosts.rename({name: f"planned_{name}" for name in names})
    return ReportHostTable.validate(planned.with_columns(**columns), cast=True)


def _released_s(times: Floats) -> Floats:
    """Return when each host was given up, or was empty and stayed out: then it counts as out no more."""
    failed_s, others_s = times[:, HostStage.FAILED], (HostStage.BLOCKED, HostStage.EVACUATED)
    return np.where(np.isnan(failed_s), np.fmax(*(times[:, stage] for stage in others_s)), failed_s)


def trouble_rows(state: CampaignState, why: dict[int, tuple[str, str]]) -> pl.DataFrame:
    """Return what went wrong, in order of time; ``why``: :func:`host_reasons`."""
    rows = [
        (float(np.nanmax(state.host_times[host])), "host", state.program.hosts.ids[host], reason, detail)
        for host, (reason, detail) in why.items()
    ]
    rows += [
        (float(state.times[number, Stage.GIVEN_UP]), "migration", state.program.migrations.ids[number], reason, detail)
        for number, reason in state.given_up.items()
        for detail in (state.errors[number],)
    ]
    rows += [
        (float(state.times[number, Stage.FORWARDING]), "migration", state.program.migrations.ids[number], *late)
        for number, detail in state.unconfirmed.items()
        for late in ((FABRIC, detail),)
    ]
    names = ReportTroubleTable.column_names()
    schema = {"at_s": pl.Float64, **dict.fromkeys(names[1:], pl.String)}
    table = pl.DataFrame(rows, schema=schema, orient="row").sort("at_s", "kind", "subject")
    return ReportTroubleTable.validate(table, cast=True)


def _known(values: Floats) -> pl.Series:
    """Return measured values; what was not measured is null."""
    return pl.Series(values, dtype=pl.Float64).fill_nan(None)


def _texts(texts: dict[int, str], rows: int) -> pl.Series:
    return pl.Series([texts.get(row) for row in range(rows)], dtype=pl.String)
