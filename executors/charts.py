"""The pictures of a report: each a function of prepared curves and of a width in pixels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

import altair as alt
import polars as pl

from slacktide.executors.curves import CURVE_COLUMNS, StepCurve, condensed
from slacktide.executors.figures import FULL_PX, TONES, Chart
from slacktide.executors.link_use import LinkUse

STAGES: Final = ("drain", "patch", "return")
GATE_SHAPES: Final = {"canary": "triangle-right", "baked": "square", "approval": "diamond"}
LABEL_PX: Final = 44
"""Kept for the labels of a vertical axis, so that plots above one another align."""
WAVE_LABEL_PX: Final = 56
"""The same for waves: ``0 canary``, and ranges of waves."""
SIDE_PX: Final = 14
"""Padding left and right, within a chart's width."""


class TimeUnit(NamedTuple):
    """The unit of a time axis."""

    name: str
    seconds: int


def time_unit(horizon_s: float) -> TimeUnit:
    """Return hours for plans over three hours, minutes over five, else seconds: axes keep two or three digits."""
    if horizon_s > 3 * 3600:
        return TimeUnit("hours", 3600)
    return TimeUnit("minutes", 60) if horizon_s > 300 else TimeUnit("seconds", 1)


@dataclass(frozen=True, slots=True)
class TimeAxis:
    """The horizontal axis that all curves share: from the plan's origin to ``horizon_s``."""

    horizon_s: float

    @property
    def unit(self) -> TimeUnit:
        """The unit that suits the horizon."""
        return time_unit(self.horizon_s)

    def shown(self, column: str, *, title: bool = True, labels: bool = True) -> alt.X:
        """Return the encoding of a column that is already in the axis' unit."""
        heading = f"{self.unit.name} from the plan's origin" if title else None
        axis = alt.Axis(title=heading, labels=labels, ticks=labels, grid=True, tickCount=6, labelFlush=True)
        scale = alt.Scale(domain=[0, self.horizon_s / self.unit.seconds], nice=False)
        return alt.X(f"{column}:Q", axis=axis, scale=scale)

    def curve_data(self, curves: Mapping[str, StepCurve], columns: int = CURVE_COLUMNS) -> pl.DataFrame:
        """Return ``series``, ``time``, ``value`` of condensed curves, ready to draw."""
        parts = []
        for series, curve in curves.items():
            drawn = condensed(curve, self.horizon_s, columns)
            parts.append(
                pl.DataFrame({"time": drawn.at_s / self.unit.seconds, "value": drawn.value}).select(
                    pl.lit(series).alias("series"), "time", "value"
                )
            )
        return pl.concat(parts)


def waves_chart(
    axis: TimeAxis, planned: pl.DataFrame, measured: pl.DataFrame | None, gates: pl.DataFrame, width: int
) -> Chart:
    """Return each wave's drain, patch and return as bars; measured times as lines within them; gates as marks.

    ``planned`` and ``measured`` come from :func:`slacktide.executors.curves.wave_spans`; ``gates`` has ``label``,
    ``gate`` and ``at_s``.
    """
    seconds = axis.unit.seconds
    labels = planned.sort("row")["label"].unique(maintain_order=True).to_list()
    y = alt.Y(
        "label:N",
        sort=labels,
        title=None,
        axis=alt.Axis(ticks=False, domain=False, minExtent=WAVE_LABEL_PX, labelLimit=90, labelOverlap=False),
    )
    lane = alt.YOffset("stage:N", scale=alt.Scale(domain=list(STAGES), paddingInner=0.1))
    tone = alt.Color("stage:N", legend=None, scale=alt.Scale(domain=list(STAGES), range=[TONES[s] for s in STAGES]))

    def spans(table: pl.DataFrame) -> alt.Chart:
        return alt.Chart(
            table.select("label", "stage", start=pl.col("start_s") / seconds, end=pl.col("end_s") / seconds)
        )

    x, x2 = axis.shown("start"), alt.X2("end:Q")
    layers = [
        spans(planned.filter(pl.col("stage") != "return")).mark_bar(height=5).encode(x, x2, y, lane, tone),
        spans(planned.filter(pl.col("stage") == "return"))
        .mark_rule(strokeWidth=5, strokeCap="round")
        .encode(x, x2, y, lane, tone),
    ]
    if measured is not None and not measured.is_empty():
        ink = alt.value(TONES["ink"])
        layers.append(spans(measured).mark_rule(strokeWidth=1.5, strokeCap="round").encode(x, x2, y, lane, color=ink))
    if not gates.is_empty():
        layers.append(_gate_marks(gates.select("label", "gate", start=pl.col("at_s") / seconds)).encode(x, y))
    return _fitted(layers, _Plot(width, 46 + 19 * len(labels), last=True, form=""))


def _gate_marks(gates: pl.DataFrame) -> alt.Chart:
    scale = alt.Scale(domain=list(GATE_SHAPES), range=list(GATE_SHAPES.values()))
    marks = alt.Chart(gates).mark_point(filled=True, size=46, opacity=1, color=TONES["limit"])
    marked: alt.Chart = marks.encode(shape=alt.Shape("gate:N", legend=None, scale=scale))
    return marked


@dataclass(frozen=True, slots=True)
class LimitedRow:
    """Curves beneath a common limit; the keys of ``curves`` are tones: ``planned``, ``measured``."""

    title: str
    limit: float
    curves: Mapping[str, StepCurve]


def hosts_out_chart(axis: TimeAxis, rows: Sequence[LimitedRow], width: int) -> Chart:
    """Return hosts out over time, a row for the fleet and each limited kind of domain, the limit dashed."""
    height = max(44, 196 // max(1, len(rows)))
    plots = [
        _limited(axis, row, _Plot(width - LABEL_PX - SIDE_PX, height, last=row is rows[-1], form=",d")) for row in rows
    ]
    return alt.vconcat(*plots, spacing=6)


def links_chart(axis: TimeAxis, uses: Sequence[LinkUse], width: int) -> Chart:
    """Return the use of each link over time as a share of what migrations may take, 100 % dashed."""
    columns = 2 if width >= FULL_PX else 1
    plot = _Plot(width // columns - LABEL_PX - SIDE_PX - (8 if columns > 1 else 0), 34, last=True, form=".0%")
    plots = []
    for number, use in enumerate(uses):
        curves = {"planned": use.planned} | ({} if use.measured is None else {"measured": use.measured})
        shares = {name: replace(curve, value=curve.value / use.limit_mbit_s) for name, curve in curves.items()}
        row = LimitedRow(use.name, 1.0, shares)
        plots.append(_limited(axis, row, replace(plot, last=number >= len(uses) - columns)))
    return alt.concat(*plots, columns=columns, spacing=8)


def exposure_chart(axis: TimeAxis, curves: Mapping[str, StepCurve], bound: StepCurve | None, width: int) -> Chart:
    """Return due hosts not yet patched over time, planned and measured, and the fewest that any plan could leave."""
    top = max([1.0, *(curve.peak for curve in curves.values())])
    plot = _Plot(width, 270, last=True, form=",d")
    layers = _curves(axis, curves, top, plot)
    if bound is not None:
        base = _line_base(axis, {"bound": bound}, top, plot)
        layers.append(
            base.mark_line(strokeDash=[5, 3], strokeWidth=1.3, color=TONES["limit"], interpolate="step-after")
        )
    return _fitted(layers, plot)


@dataclass(frozen=True, slots=True)
class _Plot:
    """Size of a plot in pixels, and how its axes read."""

    width: int
    height: int
    last: bool
    """Whether it has the time axis' labels: the lowest of a column."""
    form: str
    """Format of the vertical axis' labels."""


def _limited(axis: TimeAxis, row: LimitedRow, plot: _Plot) -> Chart:
    top = 1.08 * max([row.limit, 1e-9, *(curve.peak for curve in row.curves.values())])
    limit = alt.Chart(pl.DataFrame({"limit": [float(row.limit)]}))
    layers = [
        *_curves(axis, row.curves, top, plot, ticks=(0.0, row.limit)),
        limit.mark_rule(strokeDash=[5, 3], strokeWidth=1.3, color=TONES["limit"]).encode(alt.Y("limit:Q")),
    ]
    title = alt.TitleParams(row.title, limit=plot.width)
    return alt.layer(*layers, width=plot.width, height=plot.height, title=title)


def _line_base(
    axis: TimeAxis, curves: Mapping[str, StepCurve], top: float, plot: _Plot, ticks: Sequence[float] | None = None
) -> alt.Chart:
    choice: dict[str, Any] = {"tickCount": 4, "tickMinStep": 1} if ticks is None else {"values": list(ticks)}
    labels = alt.Axis(title=None, format=plot.form, minExtent=LABEL_PX, maxExtent=LABEL_PX, **choice)
    return alt.Chart(axis.curve_data(curves)).encode(
        axis.shown("time", title=plot.last, labels=plot.last),
        alt.Y("value:Q", axis=labels, scale=alt.Scale(domain=[0, top], nice=False)),
    )


def _curves(
    axis: TimeAxis, curves: Mapping[str, StepCurve], top: float, plot: _Plot, ticks: Sequence[float] | None = None
) -> list[alt.Chart]:
    """Return the planned curve as an area and any other as a line over it."""
    layers = []
    for tone, curve in curves.items():
        base = _line_base(axis, {tone: curve}, top, plot, ticks)
        if tone == "planned":
            layers.append(base.mark_area(interpolate="step-after", color=TONES[tone], opacity=0.3))
        layers.append(base.mark_line(interpolate="step-after", color=TONES[tone], strokeWidth=1.3))
    return layers


def _fitted(layers: Sequence[alt.Chart], plot: _Plot) -> Chart:
    fit = alt.AutoSizeParams(type="fit", contains="padding")
    return alt.layer(*layers, width=plot.width, height=plot.height, autosize=fit)
