"""The picture of a Pareto front: makespan against hosts out, and against moves, the bound beside every plan."""

from typing import Final

import altair as alt
import polars as pl
import vl_convert

from slacktide.executors.charts import time_unit
from slacktide.executors.figures import FONT, TONES, Chart

WIDTH_PX: Final = 640
HEIGHT_PX: Final = 220
SCALE: Final = 2.0
"""Pixels of the PNG for one of the chart: sharp on dense screens."""
SHAPES: Final = {"exposure": "circle", "makespan": "triangle-up", "moves": "square", "blackout": "diamond"}


def pareto_chart(points: pl.DataFrame) -> alt.VConcatChart:
    """Return the front, a mark for each plan; ``points`` is a table of :class:`slacktide.planner.pareto.FrontPoint`.

    The thin line to the left of a plan ends at its bound: no plan under the same policy is further left.
    """
    unit = time_unit(float(points["makespan_s"].max() or 0))  # type: ignore[arg-type]
    data = points.with_columns(
        makespan=pl.col("makespan_s") / unit.seconds, bound=pl.col("makespan_bound_s") / unit.seconds
    )
    plots = [
        _plot(data, "hosts_out", "hosts out at once, at most", f"makespan and its bound, {unit.name}", ",d"),
        _plot(data, "moves_per_vm", "moves per VM", f"makespan and its bound, {unit.name}", ".3f"),
    ]
    stacked: alt.VConcatChart = alt.vconcat(*plots, spacing=14).resolve_legend(shape="shared")
    return stacked


def pareto_files(points: pl.DataFrame) -> dict[str, bytes]:
    """Return the picture as PNG and SVG, by file name."""
    spec = _themed(pareto_chart(points)).to_dict(validate=False)
    version = ".".join(alt.SCHEMA_VERSION.removeprefix("v").split(".")[:2])
    svg: str = vl_convert.vegalite_to_svg(spec, vl_version=version)
    png: bytes = vl_convert.vegalite_to_png(spec, vl_version=version, scale=SCALE)
    return {"front.png": png, "front.svg": svg.encode()}


def _plot(data: pl.DataFrame, column: str, title: str, time_title: str, form: str) -> Chart:
    y = alt.Y(
        f"{column}:Q", title=title, axis=alt.Axis(format=form, tickCount=5), scale=alt.Scale(zero=False, nice=True)
    )
    scale = alt.Scale(zero=False, nice=True, padding=12)
    base = alt.Chart(data)
    names = [name for name in SHAPES if name in data["first_objective"].unique().to_list()]
    shape = alt.Shape(
        "first_objective:N",
        title="first objective",
        scale=alt.Scale(domain=names, range=[SHAPES[name] for name in names]),
    )
    x = alt.X("makespan:Q", title=time_title, scale=scale)
    gaps = base.mark_rule(color=TONES["limit"], strokeWidth=1.2).encode(
        alt.X("bound:Q", scale=scale), alt.X2("makespan:Q"), y
    )
    ends = base.mark_tick(color=TONES["limit"], thickness=1.6, size=9, orient="vertical").encode(alt.X("bound:Q"), y)
    marks = base.mark_point(filled=True, size=62, opacity=1, color=TONES["planned"]).encode(x, y, shape)
    present = (
        alt.Chart(data.filter(pl.col("present")))
        .mark_point(size=190, color=TONES["ink"], shape="circle", strokeWidth=1.3)
        .encode(x, y)
    )
    return alt.layer(gaps, ends, marks, present, width=WIDTH_PX, height=HEIGHT_PX)


def _themed(chart: alt.VConcatChart) -> alt.VConcatChart:
    title = alt.TitleParams(
        "Plans of which none is better in makespan, moves and hosts out",
        subtitle="Red: from the bound of the plan's policy to the plan. Ringed: the present limit on hosts out.",
        subtitleColor=TONES["muted"],
    )
    themed: alt.VConcatChart = chart.properties(title=title).configure(
        background="white",
        font=FONT,
        padding=12,
        axis=alt.AxisConfig(
            gridColor=TONES["grid"], labelColor=TONES["muted"], titleColor=TONES["muted"], titleFontWeight="normal"
        ),
        legend=alt.LegendConfig(labelColor=TONES["muted"], titleColor=TONES["muted"], titleFontWeight="normal"),
        title=alt.TitleConfig(color=TONES["ink"], fontSize=13, fontWeight="normal", anchor="start", offset=8),
        view=alt.ViewConfig(stroke=None),
    )
    return themed
