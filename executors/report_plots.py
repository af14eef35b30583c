"""The pictures of a report page: which curves each shows, what its colours mean, and what it says in words."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from slacktide.executors.blackout_charts import comparison_chart, distribution_chart
from slacktide.executors.blackouts import comparison, distribution, known_ms
from slacktide.executors.charts import LimitedRow, TimeAxis, exposure_chart, hosts_out_chart, links_chart, waves_chart
from slacktide.executors.curves import (
    StepCurve,
    exposure,
    hosts_out,
    out_limits,
    wave_rows,
    wave_spans,
)
from slacktide.executors.figures import Draw, Drawing, drawings
from slacktide.executors.link_use import LinkUse, Streams, hottest_links
from slacktide.executors.over_limits import out_until_s
from slacktide.executors.readable import count, duration, milliseconds, percent
from slacktide.executors.report_view import CampaignReport, ReportView
from slacktide.planner.bounds import compute_bounds
from slacktide.planner.problem_building import build_problem
from slacktide.topology.datacenter import Datacenter
from slacktide.topology.routing import Routing


@dataclass(frozen=True, slots=True)
class Key:
    """One entry of a legend."""

    tone: str
    mark: str
    """``area``, ``line``, ``dash`` or ``dots``, or the name of a gate's shape."""
    meaning: str


@dataclass(frozen=True, slots=True)
class Plot:
    """One picture with its words."""

    key: str
    title: str
    caption: str
    """What is seen, in one or two sentences with figures; also what a screen reader says."""
    legend: tuple[Key, ...]
    drawings: tuple[Drawing, ...]
    wide: bool = False


def plots(view: ReportView, links: tuple[LinkUse, ...]) -> tuple[Plot, ...]:
    """Return the pictures for which there is something to show."""
    return tuple(_plots(view, links))


def _plots(view: ReportView, links: tuple[LinkUse, ...]) -> Iterator[Plot]:
    axis = TimeAxis(view.horizon_s)
    if len(view.plan.hosts):
        yield _waves(view, axis)
        yield _hosts_out(view, axis)
        yield _exposure(view, axis)
    if links:
        yield _links(view, axis, links)
    if len(view.live):
        yield _distribution(view)
    if view.report is not None and view.live["blackout_ms"].count():
        yield _comparison(view)


def hottest(view: ReportView) -> tuple[LinkUse, ...]:
    """Return how the plan's migrations use the links that come closest to their limit."""
    if view.plan.migrations.is_empty():
        return ()
    snapshot = view.snapshot
    datacenter = Datacenter.from_tables(snapshot.hosts["host_id"], snapshot.links, snapshot.domains)
    planned = Streams.of(view.plan.migrations, datacenter.hosts)
    measured = None
    if view.report is not None:
        ran = pl.col("start_s").is_not_null() & pl.col("end_s").is_not_null()
        measured = Streams.of(view.report.migrations.filter(ran), datacenter.hosts)
    share = view.plan.header.policy.link_share
    return hottest_links(datacenter, Routing(datacenter).link_loads, share, planned, measured)


def _plot(key: str, title: str, caption: str, legend: tuple[Key, ...], draw: Draw, *, wide: bool = False) -> Plot:
    return Plot(key, title, caption, legend, drawings(key, f"{title}. {caption}", draw, wide=wide), wide)


def _waves(view: ReportView, axis: TimeAxis) -> Plot:
    rows = wave_rows(view.plan.waves)
    planned = wave_spans(view.plan.hosts, rows)
    measured = None if view.report is None else wave_spans(view.report.hosts, rows)
    gates = (
        view.plan.waves.join(rows, on="wave")
        .with_columns(pl.col("gate").cast(pl.String))
        .filter(~pl.col("gate").is_in(["start", "pipelined"]))
        .group_by("row", "label", "gate")
        .agg(at_s=pl.col("start_s").min())
        .sort("row", "gate")
    )
    shared = len(view.plan.waves) > rows["row"].n_unique()
    caption = f"{count(len(view.plan.waves))} waves; each row is {'some waves in a row' if shared else 'one wave'}"
    caption += ", numbered from 0." + (" Bars: planned; thin lines within: measured." if measured is not None else "")
    legend = [Key("drain", "area", "drain"), Key("patch", "area", "patch"), Key("return", "area", "return")]
    legend += [] if measured is None else [Key("ink", "line", "measured")]
    legend += [Key("limit", str(gate), f"gate: {gate}") for gate in gates["gate"].unique().sort()]
    return _plot(
        "waves",
        "Waves over time",
        caption,
        tuple(legend),
        lambda width: waves_chart(axis, planned, measured, gates, width),
        wide=True,
    )


def _hosts_out(view: ReportView, axis: TimeAxis) -> Plot:
    planned, policy = view.plan.hosts, view.plan.header.policy
    limits = out_limits(planned, view.snapshot.hosts["host_id"], view.snapshot.domains, policy.max_out)
    rows, facts = [], []
    for limit in limits:
        curves = {"planned": hosts_out(planned, limit.hosts, view.horizon_s)}
        if view.report is not None:
            curves["measured"] = _measured_out(view.report, limit.hosts)
        named = not limit.domain or limit.domain.startswith(limit.kind)
        place = (limit.domain or limit.kind) if named else f"{limit.kind} {limit.domain}"
        rows.append(LimitedRow(f"{place}, at most {count(limit.limit)}", limit.limit, curves))
        peaks = " planned, ".join(count(curve.peak) for curve in curves.values())
        facts.append(f"{place}: {peaks} {'measured' if view.report else 'planned'} of {count(limit.limit)}")
    if not rows:
        rows = [_unlimited(view)]
        facts = ["no limit on hosts out"]
    caption = f"At the peak: {'; '.join(facts)}. Of each kind of failure domain the most loaded is shown."
    legend = (*_curve_keys(view), Key("limit", "dash", "limit"))
    return _plot("out", "Hosts out", caption, legend, lambda width: hosts_out_chart(axis, rows, width))


def _measured_out(report: CampaignReport, among: tuple[str, ...]) -> StepCurve:
    end_s = report.summary.end_s
    hosts = report.hosts.with_columns(return_s=out_until_s(report.hosts))
    return replace(hosts_out(hosts, among, end_s), until_s=end_s)


def _unlimited(view: ReportView) -> LimitedRow:
    everyone = tuple(view.snapshot.hosts["host_id"])
    curves = {"planned": hosts_out(view.plan.hosts, everyone, view.horizon_s)}
    if view.report is not None:
        curves["measured"] = _measured_out(view.report, everyone)
    return LimitedRow("fleet, no limit", len(everyone), curves)


def _curve_keys(view: ReportView) -> tuple[Key, ...]:
    planned = (Key("planned", "area", "planned"),)
    return planned if view.report is None else (*planned, Key("measured", "line", "measured"))


def _exposure(view: ReportView, axis: TimeAxis) -> Plot:
    curves = {"planned": exposure(view.patched["return_s"], view.due)}
    if view.report is not None:
        returned = exposure(view.report.hosts["return_s"], view.due)
        curves["measured"] = replace(returned, until_s=view.report.summary.end_s)
    bound = exposure_bound(view)
    halves = {name: _reaches(curve, view.due / 2) for name, curve in curves.items()}
    facts = [f"{name} after {duration(at_s)}" for name, at_s in halves.items() if at_s is not None]
    caption = "Due hosts not yet patched. " + (f"Half are patched: {', '.join(facts)}. " if facts else "")
    caption += "No plan can run below the dashed line, the bound on each host's return."
    legend = (*_curve_keys(view), Key("limit", "dash", "bound"))
    return _plot("exposure", "Exposure", caption, legend, lambda width: exposure_chart(axis, curves, bound, width))


def exposure_bound(view: ReportView) -> StepCurve:
    """Return how many due hosts any plan for the same hosts leaves unpatched at each moment, at the least."""
    problem = build_problem(view.snapshot, view.plan.header.policy)
    planned = np.isin(np.array(problem.hosts.ids), view.patched["host_id"].to_numpy())
    bounds = compute_bounds(replace(problem, hosts=replace(problem.hosts, due=planned)))
    return exposure(pl.Series(bounds.returns_s, dtype=pl.Float64), view.due)


def _reaches(curve: StepCurve, level: float) -> float | None:
    """Return when a falling curve first is at most ``level``."""
    below = curve.at_s[curve.value <= level]
    return float(below[0]) if below.size else None


def _links(view: ReportView, axis: TimeAxis, links: tuple[LinkUse, ...]) -> Plot:
    share, first = percent(view.plan.header.policy.link_share), links[0]
    between = sum(link.between_switches for link in links)
    kinds = [(len(links) - between, "links of hosts"), (between, "links between switches")]
    named = " and ".join(f"{count(number)} {kind}" for number, kind in kinds if number)
    caption = (
        f"The {named} that carry the most over the whole plan, of routes of equal cost one. 100 % is what migrations "
        f"may take, {share} of a link. {first.name} is planned at {percent(first.mean_share)} on average and "
        f"{percent(first.peak_share)} at its peak"
    )
    if view.report is None:
        caption += "."
    else:
        measured = max((link.measured_peak_share or 0.0 for link in links), default=0.0)
        caption += (
            f". Measured: the reserved bandwidth over the measured times; its highest peak here is {percent(measured)}."
        )
    legend = (*_curve_keys(view), Key("limit", "dash", "limit"))
    return _plot("links", "Hottest links", caption, legend, lambda width: links_chart(axis, links, width), wide=True)


def _distribution(view: ReportView) -> Plot:
    live = view.live
    samples = {"planned": known_ms(live["predicted_blackout_ms"])}
    counted = {"measured": known_ms(live["blackout_ms"]), "probe": known_ms(live["probe_blackout_ms"])}
    samples |= {series: sample for series, sample in counted.items() if sample.size}
    columns = {
        "planned": pl.col("predicted_blackout_ms"),
        "measured": pl.col("blackout_ms"),
        "probe": pl.col("probe_blackout_ms") - pl.col("probe_resolution_ms"),
    }
    names = {"planned": "predicted", "measured": "measured by the hypervisor", "probe": "measured by the probe"}
    over = [
        f"{count(live.filter(columns[series] > pl.col('blackout_limit_ms')).height)} {names[series]}"
        for series in samples
    ]
    caption = (
        f"Share of {count(live.height)} live migrations by length of blackout. Above their VM's limit: "
        f"{', '.join(over)}. The dashed line is the policy's limit, {milliseconds(float(view.blackout_limit_ms))}, "
        f"for VMs without their own.{_restarts(view)}"
    )
    marks = {"planned": "area", "measured": "line", "probe": "dots"}
    legend = [Key(series, marks[series], names[series]) for series in samples]
    limit_ms = float(view.blackout_limit_ms)
    table = distribution(samples, limit_ms)
    return _plot(
        "blackout",
        "Blackouts of live migrations",
        caption,
        (*legend, Key("limit", "dash", "policy's limit")),
        lambda width: distribution_chart(table, limit_ms, width),
    )


def _restarts(view: ReportView) -> str:
    """Return a sentence on restarts, which the picture leaves out; nothing where there are none."""
    table = view.restarted
    if table.is_empty():
        return ""
    known = known_ms(table["blackout_ms"])
    longest_ms = (known if known.size else known_ms(table["predicted_blackout_ms"])).max()
    many = table.height > 1
    return f" Not drawn: {count(table.height)} restart{'s' * many}, {'longest ' * many}{duration(longest_ms / 1000)}."


def _comparison(view: ReportView) -> Plot:
    both = view.live.select("predicted_blackout_ms", "blackout_ms").drop_nulls()
    near = both.filter((pl.col("blackout_ms") / pl.col("predicted_blackout_ms") - 1).abs() <= 0.25)
    caption = (
        f"Each cell counts live migrations by predicted and measured blackout (hypervisor); "
        f"{percent(len(near) / len(both))} lie within 25 % of their prediction."
    )
    legend = (Key("planned", "area", "migrations, stronger: more"), Key("ink", "dash", "as predicted"))
    cells = comparison(both["predicted_blackout_ms"], both["blackout_ms"])
    return _plot(
        "comparison", "Prediction and measurement", caption, legend, lambda width: comparison_chart(cells, width)
    )
