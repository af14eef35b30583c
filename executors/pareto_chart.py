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
MARGIN: Final = 1.08
"""Factor by which the time axis goes beyond the first bound and the last plan."""
ROOM: Final = 0.08
"""Share of a vertical axis above and below the plans."""
SHAPES: Final = {"exposure": "circle", "makespan": "triangle-up", "moves": "square", "blackout": "diamond"}


def pareto_chart(points: pl.DataFrame) -> alt.VConcatChart:
    """Return the front, a mark for each plan; ``points`` is a table of :class:`slacktide.planner.pareto.FrontPoint`.

    The thin line to the left of a plan ends at its bound: no plan under the same policy is further left.
    """
    last_s = float(points["makespan_s"].to_numpy().max())
    unit = time_unit(last_s)
    data = points.with_columns(
        makespan=pl.col("makespan_s") / unit.seconds, bound=pl.col("makespan_bound_s") / unit.seconds
    )
    first = max(float(data["bound"].to_numpy().min()), 1 / unit.seconds)
    scale = alt.Scale(type="log", domain=[first / MARGIN, last_s / unit.seconds * MARGIN], nice=False)
    axis = alt.Axis(title=f"makespan and its bound, {unit.name}", format="~g", tickCount=8)
    x = alt.X("makespan:Q", axis=axis, scale=scale)
    plots = [
        _plot(data, x, "hosts_out", "most hosts out at once", ",d"),
        _plot(data, x, "moves_per_vm", "moves per VM", ".3f"),
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


def _plot(data: pl.DataFrame, x: alt.X, column: str, title: str, form: str) -> Chart:
    low, high = (float(end) for end in (data[column].to_numpy().min(), data[column].to_numpy().max()))
    room = ROOM * (high - low) or 0.1 * high
    y = alt.Y(
        f"{column}:Q",
        axis=alt.Axis(title=title, format=form, tickCount=5),
        scale=alt.Scale(domain=[low - room, high + room], nice=False),
    )
    names = [name for name in SHAPES if name in data["first_objective"].unique().to_list()]
    shape = alt.Shape(
        "first_objective:N",
        title="first objective",
        scale=alt.Scale(domain=names, range=[SHAPES[name] for name in names]),
    )
    base, bound = alt.Chart(data), alt.X("bound:Q")
    limit, size, ring = TONES["limit"], (WIDTH_PX, HEIGHT_PX), TONES["ink"]
    gaps = base.mark_rule(color=limit, strokeWidth=1.2).encode(bound, alt.X2("makespan:Q"), y)
    ends = base.mark_tick(color=limit, thickness=1.6, size=9, orient="vertical").encode(bound, y)
    marks = base.mark_point(filled=True, size=62, opacity=1, color=TONES["planned"]).encode(x, y, shape)
    present = alt.Chart(data.filter(pl.col("present"))).mark_point(size=190, color=ring, shape="circle").encode(x, y)
    return alt.layer(gaps, ends, marks, present, width=size[0], height=size[1])


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
