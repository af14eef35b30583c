"""The head of a report page: the verdict in one sentence, and the key figures, each with its unit and bound."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from slacktide.executors.over_limits import over_limits_words
from slacktide.executors.readable import (
    UNKNOWN,
    count,
    duration,
    host_hours,
    milliseconds,
    over_bound,
    percent,
    seconds,
)
from slacktide.executors.report_brownouts import brownout_words
from slacktide.executors.report_figures import ended_words, evacuation_words, overrun_words, quantiles
from slacktide.executors.report_notices import notice_words
from slacktide.executors.report_summary import CampaignSummary
from slacktide.executors.report_view import CampaignReport, ReportView

Mood = Literal["good", "warning", "bad"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of it, in one sentence."""

    mood: Mood
    word: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Tile:
    """One key figure."""

    name: str
    value: str
    lines: tuple[tuple[str, str], ...] = ()
    """Label and value of what belongs beside it: bound, gap, plan."""
    mood: Mood | None = None


@dataclass(frozen=True, slots=True)
class BlackoutTile:
    """Blackouts: a row for each way of counting, with p50, p99 and maximum."""

    limit: str
    rows: tuple[tuple[str, tuple[str, str, str]], ...]
    restarts: str
    """How many restarts, and the longest; empty: none."""


def verdict(view: ReportView) -> Verdict:
    """Return the sentence that heads the page."""
    if view.report is None:
        return _plan_verdict(view)
    summary = view.report.summary
    returned = summary.hosts.get("returned", 0)
    failed, given_up = (summary.migrations.get(state, 0) for state in ("failed", "given-up"))
    patched = f"{count(returned)} of {count(view.due)} due hosts patched"
    facts = [f"{patched} in {duration(summary.makespan.measured_s)}" if returned else patched]
    facts += [ended] if (ended := ended_words(summary)) else []
    evacuated = summary.hosts.get("evacuated", 0)
    facts += [f"{count(evacuated)} evacuated: {evacuation_words(summary)}"] if summary.evacuations else []
    half = len(summary.half_drained)
    facts += [f"{count(half)} {'host' if half == 1 else 'hosts'} left half drained"] if half else []
    facts += [f"{count(len(view.plan.deferred))} deferred"] if len(view.plan.deferred) else []
    total = count(sum(summary.migrations.values()))
    facts.append(f"{count(failed)} of {total} migrations failed" if failed else "no migration failed")
    facts += [f"{count(given_up)} of {total} migrations given up without an attempt"] if given_up else []
    facts += over_limits_words(summary.over_limits)
    facts += [] if summary.overruns is None else [overrun_words(summary.overruns)]
    revised = len(summary.revisions)
    facts += [f"planned anew {'once' if revised == 1 else f'{count(revised)} times'}"] if revised else []
    facts += [] if summary.notices is None else [notice_words(summary.notices)]
    late = summary.brownout is not None and bool(summary.brownout.findings)
    facts += [f"post-migration brownout {brownout_words(summary.brownout)}"] if summary.brownout and late else []
    sentence = "; ".join(facts) + "."
    if not summary.finished:
        return Verdict("warning", "Not finished", sentence)
    if returned + evacuated < len(view.plan.hosts):
        return Verdict("bad", "Incomplete", sentence)
    short = summary.notices is not None and summary.notices.short is not None
    if failed or given_up or short or late or len(view.plan.deferred) or over_limits_words(summary.over_limits):
        return Verdict("warning", "Patched, with exceptions", sentence)
    return Verdict("good", "All patched", sentence)


def _plan_verdict(view: ReportView) -> Verdict:
    summary = view.plan.header.summary
    errors = sum(finding.get("severity") == "error" for finding in summary.audit.findings)
    if not summary.hosts and len(view.plan.deferred):
        return Verdict("bad", "Nothing can be planned", f"All {count(view.due)} due hosts are deferred.")
    gap = over_bound(summary.makespan_s, summary.makespan_bound_s)
    facts = [
        f"{count(summary.hosts)} of {count(view.due)} due hosts in {count(summary.waves)} waves, "
        f"patched within {duration(summary.makespan_s)}" + (f" ({gap} over the proven bound)" if gap else "")
    ]
    facts += [f"{count(len(view.plan.deferred))} deferred"] if len(view.plan.deferred) else []
    facts.append(f"audit: {count(errors)} errors" if errors else f"audit: no error in {_rules(view)} rules")
    sentence = "; ".join(facts) + "."
    if errors:
        return Verdict("bad", "Not to be executed", sentence)
    return (
        Verdict("warning", "Plan, with deferrals", sentence)
        if len(view.plan.deferred)
        else Verdict("good", "Plan", sentence)
    )


def _rules(view: ReportView) -> str:
    return count(len(view.plan.header.summary.audit.checked_rules))


def tiles(view: ReportView) -> tuple[Tile, ...]:
    """Return the key figures, the most asked for first."""
    summary = view.plan.header.summary
    measured = None if view.report is None else view.report.summary
    patched = summary.hosts if measured is None else measured.hosts.get("returned", 0)
    complete = patched == view.due
    shown = [
        Tile(
            "Hosts to patch, of due" if measured is None else "Hosts patched, of due",
            f"{count(patched)} of {count(view.due)}",
            (("deferred", count(len(view.plan.deferred))), ("in the fleet", count(len(view.snapshot.hosts)))),
            None if complete else "warning",
        ),
        _makespan(view),
        _exposure(view),
        Tile(
            "VMs on these hosts",
            count(summary.vms),
            (("migrations", count(summary.migrations)), ("moves per VM", f"{summary.moves_per_vm:.3f}")),
        ),
        Tile("Waves", count(summary.waves), (("policy", view.plan.header.policy.name),)),
        Tile(
            "Binding resource",
            summary.binding_resource,
            tuple((resource, duration(bound)) for resource, bound in _highest(summary.bounds)),
        ),
    ]
    if measured is not None:
        shown.append(_failures(measured))
    shown.append(_machine_time(view))
    return tuple(shown)


def _highest(bounds: dict[str, float], most: int = 3) -> list[tuple[str, float]]:
    """Return the highest bound of each kind of resource: ``hosts-out:rack`` stands for all racks."""
    kinds: dict[str, float] = {}
    for resource, bound in bounds.items():
        kind = ":".join(resource.split(":")[:2])
        kinds[kind] = max(bound, kinds.get(kind, bound))
    return sorted(kinds.items(), key=lambda bound: (-bound[1], bound[0]))[:most]


def _bounded(
    name: str,
    readable: Callable[[float | None], str],
    planned: float,
    bound: float,
    measured: float | None,
    report: CampaignReport | None,
) -> Tile:
    """Return an objective: the measured value, or before a run the planned one, with bound and gaps beside it.

    A campaign that left planned hosts unpatched is not compared with a bound for all of them.
    """
    whole = report is not None and not report.summary.not_patched
    gap = over_bound(planned, bound) or UNKNOWN
    if report is None:
        return Tile(name, readable(planned), (("bound", readable(bound)), ("gap", gap)))
    lines = (
        ("bound", readable(bound)),
        ("over the bound", (whole and over_bound(measured, bound)) or UNKNOWN),
        ("planned", readable(planned)),
        ("gap of the plan", gap),
    )
    return Tile(name, readable(measured), lines)


def _makespan(view: ReportView) -> Tile:
    summary = view.plan.header.summary
    measured = None if view.report is None else view.report.summary.makespan.measured_s
    tile = _bounded("Makespan", duration, summary.makespan_s, summary.makespan_bound_s, measured, view.report)
    waited_s = 0.0 if view.report is None else view.report.summary.makespan.waited_s
    waited = (("waited for people", duration(waited_s)),) if waited_s >= 1 else ()
    return replace(tile, lines=(*tile.lines, *waited))


def _exposure(view: ReportView) -> Tile:
    summary = view.plan.header.summary
    measured = None if view.report is None else view.report.summary.exposure.measured_host_h
    planned, bound = summary.exposure_host_h, summary.exposure_bound_host_h
    tile = _bounded("Exposure", host_hours, planned, bound, measured, view.report)
    if summary.weighted_exposure_host_h is None:
        return tile
    weighted = (
        ("planned, by weight", host_hours(summary.weighted_exposure_host_h)),
        ("bound, by weight", host_hours(summary.weighted_exposure_bound_host_h)),
    )
    return replace(tile, lines=(*tile.lines, *weighted))


def _failures(summary: CampaignSummary) -> Tile:
    failed, given_up = (summary.migrations.get(state, 0) for state in ("failed", "given-up"))
    hosts = summary.hosts.get("failed", 0) + summary.hosts.get("blocked", 0)
    total = sum(summary.migrations.values())
    lines = (
        ("of migrations", percent(failed / total) if total else UNKNOWN),
        ("never tried", count(given_up)),
        ("attempts", count(summary.attempts)),
        ("attempts failed", count(sum(summary.failed_attempts.values()))),
        ("hosts failed or blocked", count(hosts)),
    )
    mood: Mood | None = "bad" if failed else None if given_up or hosts else "good"
    return Tile("Failed migrations", count(failed), lines, mood)


def _machine_time(view: ReportView) -> Tile:
    lines = []
    if view.report is not None:
        done = view.report.summary
        name = "execution, since the command was last given" if done.coordinators > 1 else "execution"
        lines = [(name, seconds(done.execution_wall_s) if done.agents else UNKNOWN)]
    summary = view.plan.header.summary
    errors = sum(finding.get("severity") == "error" for finding in summary.audit.findings)
    lines.append(("audit", f"{_rules(view)} rules, {count(errors)} errors"))
    return Tile("Planning took", seconds(summary.planning_s), tuple(lines))


def blackout_tile(view: ReportView) -> BlackoutTile:
    """Return blackouts as predicted and, after a run, as hypervisor and probe counted them."""
    if view.report is None:
        predicted = quantiles(view.live["predicted_blackout_ms"])
        rows = [("predicted", predicted.p50, predicted.p99, predicted.max)]
    else:
        blackout = view.report.summary.blackout
        named = (
            ("predicted", blackout.predicted_ms),
            ("hypervisor", blackout.hypervisor_ms),
            ("probe", blackout.probe_ms),
        )
        rows = [(name, part.p50, part.p99, part.max) for name, part in named]
    return BlackoutTile(
        milliseconds(float(view.blackout_limit_ms)),
        tuple((name, (milliseconds(p50), milliseconds(p99), milliseconds(top))) for name, p50, p99, top in rows),
        _restarts(view),
    )


def _restarts(view: ReportView) -> str:
    restarted = view.restarted
    if restarted.is_empty():
        return ""
    column = "predicted_blackout_ms" if restarted["blackout_ms"].null_count() == restarted.height else "blackout_ms"
    longest_ms = quantiles(restarted[column]).max
    return f"{count(restarted.height)}, max {duration(None if longest_ms is None else longest_ms / 1000)}"
