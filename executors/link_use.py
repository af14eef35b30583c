"""How much of each link migrations take, planned and measured, and which links carry the most."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import sparse

from slacktide.executors.curves import Floats, Ints, StepCurve, step_curve
from slacktide.topology.datacenter import Datacenter

HOTTEST: Final = 8
"""Links drawn: as many rows as can be told apart at a glance.

Half of them lead to or from hosts and half run between switches, where as many are used: a host's link is full whenever
the host is drained, and would leave no room for those that many hosts share.
"""

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
    between_switches: bool
    capacity_mbit_s: int
    limit_mbit_s: float
    planned: StepCurve
    mean_share: float
    """Planned use over the limit, from the origin to the end of the last migration."""
    measured: StepCurve | None = None
    """The reserved bandwidth over the measured times of last attempts; null: nothing has run."""

    @property
    def peak_share(self) -> float:
        """The highest planned use over the limit."""
        return self.planned.peak / self.limit_mbit_s

    @property
    def measured_peak_share(self) -> float | None:
        """The highest measured use over the limit."""
        return None if self.measured is None else self.measured.peak / self.limit_mbit_s


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
        """Return the streams of migrations, planned or measured, between ``hosts``, by start."""
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

    def parts(self) -> Iterator[Ints]:
        """Yield all streams, ``STREAMS_AT_ONCE`` at once."""
        for first in range(0, len(self), STREAMS_AT_ONCE):
            yield np.arange(first, min(first + STREAMS_AT_ONCE, len(self)))


def hottest_links(
    datacenter: Datacenter, loads: LinkLoads, link_share: float, planned: Streams, measured: Streams | None = None
) -> tuple[LinkUse, ...]:
    """Return the links that carry the most over the whole plan for what they may carry, those of hosts first.

    A moment's peak ranks nothing: every link that is used at all is full for a while.  Ties go to the first link.
    """
    limits = datacenter.capacity_mbit_s * link_share
    hosts = len(datacenter.hosts)
    between = (datacenter.tail >= hosts) & (datacenter.head >= hosts)
    mbit = np.zeros(len(limits))
    for rows in planned.parts():
        stream, link, rate = _entries(planned, rows, loads)
        mbit += np.bincount(link, rate * (planned.end_s - planned.start_s)[stream], minlength=len(limits))
    mean = mbit / (limits * max(1.0, float(planned.end_s.max(initial=0.0))))
    links = chosen_links(mean, between, datacenter)
    curves = _curves(planned, links, loads)
    ran = [None] * len(links) if measured is None else _curves(measured, links, loads)
    return tuple(
        LinkUse(
            name=datacenter.link_names[link],
            between_switches=bool(between[link]),
            capacity_mbit_s=int(datacenter.capacity_mbit_s[link]),
            limit_mbit_s=float(limits[link]),
            planned=curve,
            mean_share=float(mean[link]),
            measured=use,
        )
        for link, curve, use in zip(links.tolist(), curves, ran, strict=True)
    )


def chosen_links(mean: Floats, between: NDArray[np.bool_], datacenter: Datacenter) -> Ints:
    """Return up to ``HOTTEST`` links, half of each kind where there are as many; each kind the hottest first.

    ``mean``: how much each link carries for what it may; ``between``: which of them run between switches.
    """
    # Rounded, so that sums in another order do not decide between equal links.
    mean = np.round(mean, 9)
    order = np.argsort(-mean, kind="stable")
    order = order[mean[order] > 0]
    of_hosts, of_switches = order[~between[order]], _without_twins(order[between[order]], mean, datacenter)
    switches = min(len(of_switches), max(HOTTEST // 2, HOTTEST - len(of_hosts)))
    return np.concatenate([of_hosts[: HOTTEST - switches], of_switches[:switches]])


def _without_twins(links: Ints, mean: Floats, datacenter: Datacenter) -> Ints:
    """Leave out links that carry what an earlier one at the same switch does: routes of equal cost share evenly."""
    seen: set[tuple[str, int, float]] = set()
    kept = []
    for link in links.tolist():
        ends = (("tail", int(datacenter.tail[link])), ("head", int(datacenter.head[link])))
        marks = {(side, node, float(mean[link])) for side, node in ends}
        if seen.isdisjoint(marks):
            kept.append(link)
        seen |= marks
    return np.array(kept, dtype=np.int64)


def _entries(streams: Streams, rows: Ints, loads: LinkLoads) -> tuple[Ints, Ints, Floats]:
    """Return every stream on every link it takes: the stream, the link and the rate there."""
    matrix = loads(streams.source[rows], streams.target[rows]).tocoo()
    stream = rows[matrix.row]
    return stream, matrix.col.astype(np.int64), matrix.data * streams.mbit_s[stream]


def _curves(streams: Streams, links: Ints, loads: LinkLoads) -> list[StepCurve]:
    """Return the use of a few links over time, in Mbit/s."""
    parts: list[tuple[Ints, Ints, Floats]] = []
    for rows in streams.parts():
        stream, link, rate = _entries(streams, rows, loads)
        here = np.isin(link, links)
        parts.append((stream[here], link[here], rate[here]))
    if not parts:
        return [step_curve(np.empty(0), np.empty(0)) for _ in links]
    stream, link, rate = (np.concatenate(column) for column in zip(*parts, strict=True))
    return [
        step_curve(streams.start_s[stream[on]], streams.end_s[stream[on]], rate[on])
        for on in (link == each for each in links)
    ]
