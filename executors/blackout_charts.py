"""The pictures of blackouts: their distribution, and prediction against measurement."""

from typing import Final

import altair as alt
import polars as pl

from slacktide.executors.figures import TONES, Chart

LABEL_PX: Final = 44
"""Kept for the labels of the vertical axis."""
_FIT: Final = alt.AutoSizeParams(type="fit", contains="padding")


def _milliseconds(column: str, title: str, low: float, high: float) -> alt.X:
    axis = alt.Axis(title=title, format="~s", tickCount=6, labelFlush=False)
    return alt.X(f"{column}:Q", axis=axis, scale=alt.Scale(type="log", domain=[low, high], nice=False))


def distribution_chart(table: pl.DataFrame, limit_ms: float, width: int) -> Chart:
    """Return the share of migrations by length of blackout, one outline per series, the policy's limit dashed.

    ``table`` comes from :func:`slacktide.executors.blackouts.distribution`; its series are tones.
    """
    low, high = float(table["from_ms"].min()), float(table["to_ms"].max())  # type: ignore[arg-type]
    x = _milliseconds("from_ms", "blackout in ms (log scale)", low, high)
    share = alt.Axis(title=None, format=".0%", tickCount=4, minExtent=LABEL_PX, maxExtent=LABEL_PX)
    y = alt.Y("share:Q", axis=share, scale=alt.Scale(domainMin=0))
    layers = []
    for tone in table["series"].unique(maintain_order=True):
        base = alt.Chart(table.filter(pl.col("series") == tone)).encode(x, y)
        if tone == "planned":
            layers.append(base.mark_area(interpolate="step-after", color=TONES[tone], opacity=0.3))
        dash = [3, 2] if tone == "probe" else [1, 0]
        layers.append(base.mark_line(interpolate="step-after", color=TONES[tone], strokeWidth=1.5, strokeDash=dash))
    limit = alt.Chart(pl.DataFrame({"limit": [limit_ms]})).mark_rule(
        strokeDash=[5, 3], strokeWidth=1.3, color=TONES["limit"]
    )
    layers.append(limit.encode(alt.X("limit:Q")))
    return alt.layer(*layers, width=width, height=230, autosize=_FIT)


def comparison_chart(cells: pl.DataFrame, width: int) -> Chart:
    """Return predicted against measured blackout: the stronger a cell, the more migrations; the diagonal is agreement.

    ``cells`` comes from :func:`slacktide.executors.blackouts.comparison`.
    """
    low = min(float(cells[f"{side}_from_ms"].min()) for side in ("predicted", "measured"))  # type: ignore[arg-type]
    high = max(float(cells[f"{side}_to_ms"].max()) for side in ("predicted", "measured"))  # type: ignore[arg-type]
    x = _milliseconds("predicted_from_ms", "predicted blackout in ms (log scale)", low, high)
    axis = alt.Axis(title="measured in ms", format="~s", tickCount=6)
    y = alt.Y("measured_from_ms:Q", axis=axis, scale=alt.Scale(type="log", domain=[low, high], nice=False))
    most = max(2, *cells["count"])
    # Logarithmic, since the fullest cells hold hundreds of times what the sparse ones do.
    shade = alt.Opacity("count:Q", legend=None, scale=alt.Scale(type="log", domain=[1, most], range=[0.25, 1]))
    diagonal = alt.Chart(pl.DataFrame({"predicted_from_ms": [low, high], "measured_from_ms": [low, high]}))
    boxes = (
        alt.Chart(cells)
        .mark_rect(color=TONES["planned"])
        .encode(x, y, shade, x2=alt.X2("predicted_to_ms:Q"), y2=alt.Y2("measured_to_ms:Q"))
    )
    line = diagonal.mark_line(color=TONES["ink"], strokeDash=[5, 3], strokeWidth=1.2).encode(x, y)
    return alt.layer(boxes, line, width=width, height=230, autosize=_FIT)
