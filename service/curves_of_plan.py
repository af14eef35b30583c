"""A plan as curves: hosts out against limits, exposure and its bound, the hottest links, predicted blackouts."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from slacktide.executors.blackouts import Floats, distribution, known_ms
from slacktide.executors.curves import OutLimit, StepCurve, condensed, exposure, hosts_out, out_limits
from slacktide.executors.report_figures import RESTARTED, quantiles
from slacktide.executors.report_plots import exposure_bound, hottest
from slacktide.executors.report_view import ReportView

SPAN_STAGES = (("drain", "drain_start_s", "drained_s"), ("patch", "drained_s", "return_s"))


def plan_curves(view: ReportView) -> dict[str, Any]:
    """Return what is drawn of a plan; times in seconds from its origin."""
    plan, policy = view.plan, view.plan.header.policy
    limits = out_limits(plan.hosts, view.snapshot.hosts["host_id"], view.snapshot.domains, policy.max_out)
    everyone = OutLimit("fleet", "", tuple(view.snapshot.hosts["host_id"]), len(view.snapshot.hosts))
    return {
        "horizon_s": view.horizon_s,
        "due": view.due,
        "waves": wave_spans(plan.hosts),
        "out": [
            {**named(limit), "planned": drawn(hosts_out(plan.hosts, limit.hosts, view.horizon_s), view.horizon_s)}
            for limit in limits or (everyone,)
        ],
        "exposure": drawn(exposure(view.patched["return_s"], view.due), view.horizon_s),
        "links": _links(view),
        "blackouts": blackouts(
            {"predicted": known_ms(view.live["predicted_blackout_ms"])},
            view.restarted.height,
            view.blackout_limit_ms,
        ),
    }


def bound_curve(view: ReportView) -> dict[str, Any]:
    """Return how many due hosts any plan for the same hosts leaves unpatched at each moment, at the least."""
    return drawn(exposure_bound(view), view.horizon_s)


def wave_spans(hosts: pl.DataFrame) -> list[dict[str, Any]]:
    """Return for every wave when its hosts drain and are patched: from the first host's beginning to the last's end."""
    parts = [
        pl.col(column).min() if end == "from" else pl.col(column).max()
        for _, first, last in SPAN_STAGES
        for column, end in ((first, "from"), (last, "to"))
    ]
    names = [f"{stage}_{end}_s" for stage, _, _ in SPAN_STAGES for end in ("from", "to")]
    spans = hosts.group_by("wave").agg(part.alias(name) for part, name in zip(parts, names, strict=True))
    return spans.sort("wave").to_dicts()


def named(limit: OutLimit) -> dict[str, Any]:
    """Return where hosts out are counted, and how many may be."""
    return {"kind": limit.kind, "domain": limit.domain, "hosts": len(limit.hosts), "limit": limit.limit}


def drawn(curve: StepCurve, horizon_s: float) -> dict[str, Any]:
    """Return a curve as few steps as a picture needs; it holds from each moment to the next."""
    few = condensed(curve, horizon_s)
    return {"at_s": np.round(few.at_s, 1).tolist(), "value": np.round(few.value, 4).tolist()}


def blackouts(samples_ms: dict[str, Floats], restarts: int, limit_ms: int) -> dict[str, Any]:
    """Return blackouts of live migrations as distributions over common bins, with the quantiles of a report."""
    known = {name: sample for name, sample in samples_ms.items() if len(sample)}
    table = distribution(known, limit_ms) if known else None
    series = {}
    for name, sample in known.items():
        assert table is not None
        mine = table.filter(pl.col("series") == name)
        found = quantiles(pl.Series(sample))
        series[name] = {
            "count": len(sample),
            "share": np.round(mine["share"].to_numpy(), 6).tolist(),
            **{"p50_ms": found.p50, "p99_ms": found.p99, "max_ms": found.max},
        }
    edges: Sequence[float] = []
    if table is not None:
        first = table.filter(pl.col("series") == next(iter(known)))
        edges = np.round([*first["from_ms"], first["to_ms"][-1]], 4).tolist()
    return {"limit_ms": limit_ms, "restarts": restarts, "edges_ms": edges, "series": series}


def live(migrations: pl.DataFrame) -> pl.DataFrame:
    """Return the migrations that are live ones."""
    return migrations.filter(~RESTARTED)


def _links(view: ReportView) -> list[dict[str, Any]]:
    rows = []
    for link in hottest(view):
        share = StepCurve(link.planned.at_s, link.planned.value / link.limit_mbit_s)
        rows.append(
            {
                "name": link.name,
                "between_switches": link.between_switches,
                "capacity_mbit_s": link.capacity_mbit_s,
                "limit_mbit_s": link.limit_mbit_s,
                "mean_share": round(link.mean_share, 4),
                "peak_share": round(link.peak_share, 4),
                "planned": drawn(share, view.horizon_s),
            }
        )
    return rows
