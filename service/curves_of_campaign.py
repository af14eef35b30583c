"""A campaign under way as figures: the stage of every host, when it will end, and what is planned beside measured."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from slacktide.executors.blackouts import known_ms
from slacktide.executors.campaign_state import CampaignState, HostStage
from slacktide.executors.curves import OutLimit, StepCurve, exposure, hosts_out, out_limits
from slacktide.executors.over_limits import out_until_s
from slacktide.executors.report_view import CampaignReport
from slacktide.service.curves_of_plan import blackouts, drawn, live, named

LEFT_ALONE = "-"
"""Stands for a host that the campaign's plan leaves alone."""
OVER = (HostStage.RETURNED, HostStage.FAILED, HostStage.BLOCKED, HostStage.LOST, HostStage.EVACUATED)


class Fleet(NamedTuple):
    """What is needed of a campaign's fleet and policy."""

    host_ids: pl.Series
    domains: pl.DataFrame
    max_out: Mapping[str, int | str]
    blackout_limit_ms: int


def host_stages(state: CampaignState) -> dict[str, Any]:
    """Return the stage of every host, one character each in the order of their ids: its number, or ``-``."""
    planned, stages = state.program.hosts.planned, state.host_stage
    digits = np.where(planned, (stages + ord("0")).astype(np.uint8), np.uint8(ord(LEFT_ALONE)))
    ids = state.program.hosts.ids
    return {
        "number": state.last,
        "now_s": state.end_s,
        "finished": state.finished,
        "stages": digits.astype(np.uint8).tobytes().decode("ascii"),
        "skipped": sorted(ids[host] for host in state.skipped),
        "evacuated": sorted(ids[host] for host in state.evacuated),
    }


def behind_s(state: CampaignState, now_s: float) -> float | None:
    """Return by how much hosts return later than planned, negative: earlier; None: none has, and none is late.

    The last return is compared with the planned return of as many hosts; a return that is overdue counts as it grows.
    """
    hosts = state.program.hosts
    planned_s = np.sort(hosts.return_s[hosts.planned])
    returned_s = state.host_times[:, HostStage.RETURNED][state.host_stage == HostStage.RETURNED]
    over = int(np.isin(state.host_stage[hosts.planned], OVER).sum())
    late_s = now_s - float(planned_s[over]) if over < len(planned_s) else -np.inf
    if not len(returned_s):
        return late_s if late_s > 0 else None
    return max(float(returned_s.max() - planned_s[min(over, len(planned_s)) - 1]), late_s)


def expected_end_s(state: CampaignState, now_s: float) -> float | None:
    """Return when the last host will be back if the campaign stays as far behind its plan as it is; None: unknown.

    It is unknown before the first return, and while nothing new begins.
    """
    late_s = behind_s(state, now_s)
    if state.finished:
        return state.end_s
    if late_s is None or state.paused is not None or state.aborted is not None:
        return None
    return max(now_s, state.program.makespan_s + late_s)


def campaign_curves(report: CampaignReport, fleet: Fleet, makespan_s: float, deferred: int) -> dict[str, Any]:
    """Return what is drawn of a campaign; times in seconds from its origin, measured ones as far as it has got.

    Parameters
    ----------
    deferred
        Due hosts that the plan which the campaign follows now leaves alone; hosts that are evacuated are not due.
    """
    now_s, hosts = report.summary.end_s, report.hosts
    patched = hosts.filter(~pl.col("host_id").is_in([each.host_id for each in report.summary.evacuations]))
    horizon_s = max(1.0, makespan_s, now_s)
    planned = hosts.select(
        "host_id",
        "wave",
        **{name: f"planned_{name}" for name in ("drain_start_s", "drained_s", "return_s")},
    )
    out = hosts.with_columns(return_s=out_until_s(hosts))
    due = patched.height + deferred
    everyone = OutLimit("fleet", "", tuple(fleet.host_ids), len(fleet.host_ids))
    limits = out_limits(planned, fleet.host_ids, fleet.domains, fleet.max_out) or (everyone,)

    def so_far(curve: StepCurve) -> dict[str, Any]:
        return drawn(replace(curve, until_s=max(now_s, 1.0)), horizon_s)

    return {
        "now_s": now_s,
        "horizon_s": horizon_s,
        "due": due,
        "out": [
            {
                **named(limit),
                "planned": drawn(hosts_out(planned, limit.hosts, horizon_s), horizon_s),
                "measured": so_far(hosts_out(out, limit.hosts, now_s + 1.0)),
            }
            for limit in limits
        ],
        "exposure": drawn(exposure(patched["planned_return_s"], due), horizon_s),
        "returned": so_far(exposure(patched["return_s"], due)),
        "exposed_host_h": report.summary.exposure.measured_host_h,
        "makespan_s": report.summary.makespan.measured_s,
        "blackouts": _blackouts(report, fleet.blackout_limit_ms),
    }


def _blackouts(report: CampaignReport, limit_ms: int) -> dict[str, Any]:
    done = report.migrations.filter(pl.col("state") == "done")
    moved, over = live(done), report.summary.over_limits.blackouts
    samples = {
        "planned": known_ms(live(report.migrations)["predicted_blackout_ms"]),
        "measured": known_ms(moved["blackout_ms"]),
        "probe": known_ms(moved["probe_blackout_ms"]),
    }
    return {
        **blackouts(samples, done.height - moved.height, limit_ms),
        "above": 0 if over is None else over.count,
        "longest_above_ms": None if over is None else over.longest_ms,
        "longest_above_limit_ms": None if over is None else over.longest_limit_ms,
    }
