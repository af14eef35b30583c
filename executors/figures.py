"""From a chart to SVG that belongs in the page: named for readers, in the colours of their light or dark scheme."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from typing import Final

import altair as alt
import vl_convert

TONES: Final = {
    "ink": "#20242a",
    "muted": "#59616b",
    "grid": "#dfe3e8",
    "planned": "#0072b2",
    "measured": "#c85200",
    "probe": "#00805d",
    "limit": "#a3133f",
    "drain": "#9a5ea1",
    "patch": "#7a828c",
    "return": "#008563",
}
"""What each colour means, as it is on white.

Blue, vermilion and bluish green are Okabe and Ito's, which people with any common colour blindness tell apart,
darkened to a contrast of at least 3 : 1 on white; the page's style sheet has each tone's twin for dark screens.
Every use of colour is doubled by position, dash or label.
"""

FULL_PX: Final = 1080
HALF_PX: Final = 520
NARROW_PX: Final = 318
"""Widths a chart is drawn for: both columns of a desktop page, one column, and a telephone (390 px less margins).

Scaling one drawing down to a telephone would shrink its 11 px labels to 4 px.
"""

FONT: Final = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"

Chart = alt.LayerChart | alt.FacetChart | alt.VConcatChart | alt.ConcatChart
Draw = Callable[[int], Chart]
"""A chart for a width in pixels."""


@dataclass(frozen=True, slots=True)
class Drawing:
    """One chart at one width."""

    size: str
    """``full``, ``half`` or ``narrow``: a class of the style sheet."""
    svg: str


def drawings(key: str, label: str, draw: Draw, *, wide: bool = False) -> tuple[Drawing, ...]:
    """Return the chart at each width a reader may have; ``wide``: it may take both columns.

    Parameters
    ----------
    key
        Unique in the page; parts inside the SVG are named after it.
    label
        What a screen reader says instead of showing the chart.
    draw
        Called with the width in pixels.
    """
    widths = {"full": FULL_PX} if wide else {}
    widths |= {"half": HALF_PX, "narrow": NARROW_PX}
    return tuple(Drawing(size, _svg(f"{key}-{size}", label, draw(width))) for size, width in widths.items())


def _svg(key: str, label: str, chart: Chart) -> str:
    themed = chart.configure(
        aria=False,
        background="transparent",
        font=FONT,
        padding={"left": 2, "right": 10, "top": 4, "bottom": 2},
        axis=alt.AxisConfig(
            domainColor=TONES["muted"],
            gridColor=TONES["grid"],
            labelColor=TONES["muted"],
            labelFontSize=11,
            tickColor=TONES["muted"],
            titleColor=TONES["muted"],
            titleFontSize=11,
            titleFontWeight="normal",
        ),
        title=alt.TitleConfig(color=TONES["ink"], fontSize=12, fontWeight="normal", anchor="start", offset=4),
        view=alt.ViewConfig(stroke=None),
    )
    version = ".".join(alt.SCHEMA_VERSION.removeprefix("v").split(".")[:2])
    drawn: str = vl_convert.vegalite_to_svg(themed.to_dict(validate=False), vl_version=version)
    return _in_page(drawn, key, label)


def _in_page(svg: str, key: str, label: str) -> str:
    """Return the SVG named for readers, with the page's colours, and no id that another chart uses."""
    for tone, colour in TONES.items():
        svg = svg.replace(f'="{colour}"', f'="var(--{tone}, {colour})"')
    svg = re.sub(r'\bid="([^"]+)"', rf'id="{key}-\1"', svg)
    svg = re.sub(r"url\(#([^)]+)\)", rf"url(#{key}-\1)", svg)
    size = re.match(r'<svg\b[^>]*?viewBox="([^"]+)"[^>]*>', svg)
    if size is None:
        return svg
    title = escape(label)
    opening = f'<svg viewBox="{size[1]}" role="img" aria-label="{title}"><title>{title}</title>'
    return opening + svg[size.end() :]
