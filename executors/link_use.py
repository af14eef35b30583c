"""How much of each link a plan's migrations take, and which links are the hottest."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import sparse

from slacktide.executors.curves import Floats, Ints, StepCurve, peaks_by_group, step_curve

HOTTEST: Final = 8
"""Links drawn: as many rows as can be told apart at a glance."""

STREAMS_AT_ONCE: Final = 20_000
"""Migrations whose routes are held at once.

A route through a three-layer fabric has some hundred links: 20,000 take about 50 MB, all of a large plan gigabytes.
"""

LinkLoads = Callable[[Ints, Ints], "sparse.csr_array[np.float64]"]
"""Share of each stream on each link, streams x links, from the places of sources and targets
(:meth:`slacktide.topology.routing.Routing.link_loads`)."""


@dataclass(frozen=True, slots=True)
class LinkUse:
    """One link: what migrations take of it over time, in Mbit/s, and what they may take."""

    name: str
    capacity_mbit_s: int
    limit_mbit_s: float
    use: StepCurve

    @property
    def peak_share(self) -> float:
        """The highest use over the limit."""
        return self.use.peak / self.limit_mbit_s


@dataclass(frozen=True, slots=True)
class Streams:
    """The migrations that send something: places of source and target, times, and rate in Mbit/s."""

    source: Ints
    target: Ints
    start_s: Floats
    end_s: Floats
    mbit_s: Floats

    @classmethod
    def of(cls, migrations: pl.DataFrame, hosts: tuple[str, ...]) -> "Streams":
        """Return the streams of planned migrations between ``hosts``, by start."""
        sent = migrations.filter(pl.col("bandwidth_mbit_s") > 0).sort("start_s", "migration_id")
        place = pl.DataFrame({"host_id": hosts}, schema={"host_id": pl.String}).with_row_index("place")
        source, target = (
            sent.select(host_id=side)
            .join(place, on="host_id", maintain_order="left")["place"]
            .cast(pl.Int64)
            .to_numpy()
            for side in ("source", "target")
        )
        times = (sent[name].cast(pl.Float64).to_numpy() for name in ("start_s", "end_s", "bandwidth_mbit_s"))
        return cls(source, target, *times)

    def __len__(self) -> int:
        return len(self.source)

    def windows(self) -> Iterator[tuple[Ints, float, float]]:
        """Yield stretches of time with the streams that run in them: about ``STREAMS_AT_ONCE`` begin in each."""
        opens = np.unique(self.start_s[::STREAMS_AT_ONCE])
        for low, high in pairwise(np.append(opens, np.inf)):
            yield np.flatnonzero((self.start_s < high) & (self.end_s > low)), float(low), float(high)


def hottest_links(
    streams: Streams, names: tuple[str, ...], capacity_mbit_s: NDArray[np.int64], loads: LinkLoads, link_share: float
) -> tuple[LinkUse, ...]:
    """Return the links with the highest peak over their limit, the hottest first; ties go to the first link.

    ``names`` and ``capacity_mbit_s`` are in the order of the columns of what ``loads`` returns.
    """
    limits = capacity_mbit_s * link_share
    peaks = np.zeros(len(limits))
    for rows, low, high in streams.windows():
        stream, link, rate = _entries(streams, rows, loads)
        start_s, end_s = np.maximum(streams.start_s[stream], low), np.minimum(streams.end_s[stream], high)
        np.maximum(peaks, peaks_by_group(link, start_s, end_s, rate, groups=len(limits)), out=peaks)
    # Rounded, so that sums in another order do not decide between equal links.
    hottest = np.argsort(-np.round(peaks / limits, 9), kind="stable")[:HOTTEST]
    used = hottest[peaks[hottest] > 0]
    return tuple(
        LinkUse(names[link], int(capacity_mbit_s[link]), float(limits[link]), curve)
        for link, curve in zip(used, _curves(streams, used, loads), strict=True)
    )


def _entries(streams: Streams, rows: Ints, loads: LinkLoads) -> tuple[Ints, Ints, Floats]:
    """Return every stream on every link it takes: the stream, the link and the rate there."""
    matrix = loads(streams.source[rows], streams.target[rows]).tocoo()
    stream = rows[matrix.row]
    return stream, matrix.col.astype(np.int64), matrix.data * streams.mbit_s[stream]


def _curves(streams: Streams, links: Ints, loads: LinkLoads) -> list[StepCurve]:
    """Return the use of a few links over time, in Mbit/s."""
    parts: list[tuple[Ints, Ints, Floats]] = []
    for first in range(0, len(streams), STREAMS_AT_ONCE):
        stream, link, rate = _entries(streams, np.arange(first, min(first + STREAMS_AT_ONCE, len(streams))), loads)
        here = np.isin(link, links)
        parts.append((stream[here], link[here], rate[here]))
    if not parts:
        return []
    stream, link, rate = (np.concatenate(column) for column in zip(*parts, strict=True))
    return [
        step_curve(streams.start_s[stream[on]], streams.end_s[stream[on]], rate[on])
        for on in (link == each for each in links)
    ]
