"""The curves a report shows, prepared for drawing: pure event sweeps over whole tables.

Times are seconds from the plan's origin and intervals half-open ``[start, end)``: at equal times ends come before
starts, so that a host leaving in the second another returns never counts twice.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from slacktide.planner.limits import resolved

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

CURVE_COLUMNS: Final = 400
"""Steps a drawn curve has at most.

Two to three for each pixel of the widest plot would be invisible, and the file would grow with the fleet; a curve
with more is condensed, keeping the highest value of each column, so that no excess over a limit disappears.
"""

WAVE_ROWS: Final = 24
"""Rows in the picture of the waves at most: what fits a screen with readable labels; more waves share rows."""


@dataclass(frozen=True, slots=True)
class StepCurve:
    """A quantity that jumps: ``value[i]`` from ``at_s[i]`` until ``at_s[i + 1]``, 0 before, the last value after."""

    at_s: Floats
    value: Floats
    until_s: float = math.inf
    """When it stops being known: a campaign that has not ended yet is drawn only so far."""

    def at(self, moments_s: Floats) -> Floats:
        """Return the values at ``moments_s``."""
        if self.at_s.size == 0:
            return np.zeros_like(moments_s)
        index = np.searchsorted(self.at_s, moments_s, side="right") - 1
        return np.where(index >= 0, self.value[np.maximum(index, 0)], 0.0)

    @property
    def peak(self) -> float:
        """The highest value; 0 of an empty curve."""
        return float(self.value.max(initial=0.0))


def step_curve(start_s: Floats, end_s: Floats, weight: Floats | None = None) -> StepCurve:
    """Return the sum of the weights (default 1 each) of the intervals that hold at each moment."""
    each = np.ones(len(start_s)) if weight is None else weight
    at_s, event = np.unique(np.concatenate([start_s, end_s]).astype(np.float64), return_inverse=True)
    jumps = np.bincount(event, np.concatenate([each, -each]), minlength=len(at_s))
    return StepCurve(at_s, np.cumsum(jumps))


def condensed(curve: StepCurve, horizon_s: float, columns: int = CURVE_COLUMNS) -> StepCurve:
    """Return the curve on ``[0, horizon_s]``, as far as it is known, in at most ``columns`` + 1 steps.

    Each step is the highest value within it; a curve that already has as few steps stays exact.
    """
    horizon_s = min(horizon_s, curve.until_s)
    ends = np.array([0.0, horizon_s])
    inside = curve.at_s[(curve.at_s > 0) & (curve.at_s < horizon_s)]
    if len(inside) < columns:
        at_s = np.unique(np.concatenate([inside, ends]))
        return StepCurve(at_s, curve.at(at_s))
    edges = np.linspace(0.0, horizon_s, columns + 1)
    moments = np.union1d(inside, edges[:-1])
    highest = np.maximum.reduceat(curve.at(moments), np.searchsorted(moments, edges[:-1]))
    return StepCurve(edges, np.append(highest, curve.at(ends[1:])))


def peaks_by_group(group: Ints, start_s: Floats, end_s: Floats, weight: Floats, groups: int) -> Floats:
    """Return, for each of ``groups`` groups, the highest sum of weights that hold at once; 0 without intervals."""
    owner = np.concatenate([group, group])
    at_s = np.concatenate([start_s, end_s])
    order = np.lexsort((at_s, owner))
    owner, at_s = owner[order], at_s[order]
    # Every interval ends within its group, so the running sum is 0 again wherever a group begins.
    load = np.cumsum(np.concatenate([weight, -weight])[order])
    settled = np.ones(len(owner), dtype=bool)
    settled[:-1] = (owner[1:] != owner[:-1]) | (at_s[1:] != at_s[:-1])
    owner, load = owner[settled], load[settled]
    peaks = np.zeros(groups)
    if owner.size:
        first = np.flatnonzero(np.append(True, owner[1:] != owner[:-1]))
        peaks[owner[first]] = np.maximum(np.maximum.reduceat(load, first), 0.0)
    return peaks


class OutLimit(NamedTuple):
    """Where hosts out are counted, and how many may be."""

    kind: str
    """``fleet`` or a kind of failure domain."""
    domain: str
    """The most loaded domain of its kind, by planned peak over limit; empty for the fleet."""
    hosts: tuple[str, ...]
    limit: int


def out_limits(
    planned: pl.DataFrame, host_ids: pl.Series, domains: pl.DataFrame, max_out: Mapping[str, int | str]
) -> tuple[OutLimit, ...]:
    """Return the fleet's limit and, of each limited kind, the most loaded domain's; ties go to the first id."""
    limits = []
    for kind in sorted(max_out, key=lambda kind: (kind != "fleet", kind)):
        if kind == "fleet":
            limits.append(OutLimit("fleet", "", tuple(host_ids), resolved(max_out[kind], len(host_ids))))
            continue
        members = domains.filter(pl.col("kind") == kind).sort("domain_id", "host_id")
        sizes = members.group_by("domain_id").agg(pl.len().alias("size")).sort("domain_id").with_row_index("group")
        if sizes.is_empty():
            continue
        allowed = np.array([resolved(max_out[kind], size) for size in sizes["size"]], dtype=np.float64)
        out = planned.join(members, on="host_id").join(sizes, on="domain_id").sort("host_id")
        start_s, end_s = (out[name].cast(pl.Float64).to_numpy() for name in ("drain_start_s", "return_s"))
        peaks = peaks_by_group(
            out["group"].cast(pl.Int64).to_numpy(), start_s, end_s, np.ones(len(out)), groups=len(sizes)
        )
        worst = int(np.argmax(peaks / np.maximum(allowed, 0.5)))
        domain = str(sizes["domain_id"][worst])
        hosts = tuple(members.filter(pl.col("domain_id") == domain)["host_id"])
        limits.append(OutLimit(kind, domain, hosts, int(allowed[worst])))
    return tuple(limits)


def hosts_out(hosts: pl.DataFrame, among: tuple[str, ...], horizon_s: float) -> StepCurve:
    """Return how many of the hosts ``among`` are out; one that has not returned stays out until ``horizon_s``."""
    out = hosts.filter(pl.col("host_id").is_in(list(among)) & pl.col("drain_start_s").is_not_null())
    end_s = out["return_s"].cast(pl.Float64).fill_null(horizon_s)
    return step_curve(out["drain_start_s"].cast(pl.Float64).to_numpy(), end_s.to_numpy())


def exposure(return_s: pl.Series, due: int) -> StepCurve:
    """Return how many of the ``due`` hosts are not yet patched; null: never returned."""
    at_s, count = np.unique(return_s.drop_nulls().cast(pl.Float64).to_numpy(), return_counts=True)
    curve = StepCurve(at_s, due - np.cumsum(count).astype(np.float64))
    if at_s.size and at_s[0] <= 0:
        return curve
    return StepCurve(np.append(0.0, curve.at_s), np.append(float(due), curve.value))


def wave_rows(waves: pl.DataFrame, most: int = WAVE_ROWS) -> pl.DataFrame:
    """Return for each ``wave`` the ``row`` it is drawn in and that row's ``label``; the canary has its own row."""
    number = waves.sort("wave")["wave"]
    canary = 1 if (waves["gate"] == "canary").any() else 0
    place = np.arange(len(number))
    share = max(1, -(-(len(number) - canary) // max(1, most - canary)))
    row = place if len(number) <= most else np.where(place < canary, place, canary + (place - canary) // share)
    rows = pl.DataFrame({"wave": number, "row": pl.Series(row, dtype=pl.Int64)})
    first, last = pl.col("wave").min().cast(pl.String), pl.col("wave").max().cast(pl.String)
    span = pl.when(first == last).then(first).otherwise(first + "\u2013" + last)
    named = pl.when(pl.col("row") < canary).then(pl.col("label") + " canary").otherwise(pl.col("label"))
    labels = rows.group_by("row").agg(span.alias("label")).with_columns(named.alias("label"))
    return rows.join(labels, on="row").sort("wave")


def wave_spans(hosts: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    """Return ``row``, ``label``, ``stage``, ``start_s``, ``end_s``: when each row's hosts drain, are patched, return.

    A stage lasts from its first host's beginning to its last host's end; ``return`` from the first return to the last.
    """
    known = hosts.join(rows, on="wave")
    stages = (
        ("drain", "drain_start_s", "drained_s"),
        ("patch", "drained_s", "return_s"),
        ("return", "return_s", "return_s"),
    )
    parts = [
        known.group_by("row", "label").agg(
            pl.lit(stage).alias("stage"),
            pl.col(start).min().cast(pl.Float64).alias("start_s"),
            pl.col(end).max().cast(pl.Float64).alias("end_s"),
        )
        for stage, start, end in stages
    ]
    return pl.concat(parts).drop_nulls().sort("row", "stage")
