"""A plan's figures as people read them, each with its unit, and its bound where there is one."""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import polars as pl
from rich.text import Text

from slacktide.executors.readable import count, duration, host_hours, milliseconds, percent, seconds
from slacktide.service.words import counted, plain, resource

if TYPE_CHECKING:
    from slacktide.planner.plan import Plan, PlanSummary
    from slacktide.planner.stopping import Progress


def plan_title(plan: "Plan") -> str:
    """Return one line that says what the plan achieves."""
    header, summary = plan.header, plan.header.summary
    deferred = plan.deferred.height
    due = summary.hosts + deferred
    name = f"Plan {header.id}, policy {header.policy.name}"
    if not due and summary.evacuated:
        within = duration(summary.makespan_s)
        return plain(f"{name}: {counted(summary.evacuated, 'host')} evacuated within {within}, none is to be patched")
    if not due:
        return f"{name}: no host is due, there is nothing to plan"
    if not summary.hosts:
        return f"{name}: nothing can be planned, all {counted(due, 'due host')} deferred"
    left = f", {count(summary.evacuated)} evacuated" if summary.evacuated else ""
    left += f", {count(deferred)} deferred" if deferred else ""
    within = duration(summary.makespan_s)
    return plain(f"{name}: {count(summary.hosts)} of {counted(due, 'due host')} patched within {within}{left}")


def plan_rows(plan: "Plan") -> Iterator[tuple[str, ...]]:
    """Yield label, value and what belongs beside it."""
    summary = plan.header.summary
    if summary.hosts or summary.evacuated:
        revised, in_place = plan.header.revision is not None, plan.header.policy.in_place
        yield from _schedule_rows(summary, revised=revised, in_place=in_place)
        yield from _blackout_rows(plan)
    rules = counted(len(summary.audit.checked_rules), "rule")
    yield "audit", rules, _audit(summary)
    for note in summary.audit.notes:
        yield "tried", "", note
    for finding in summary.audit.findings:
        yield str(finding.get("severity")), "", f"{finding.get('message')} [{finding.get('rule')}]"
    yield "planning", seconds(summary.planning_s), f"seed {plan.header.seed}"


def _schedule_rows(summary: "PlanSummary", *, revised: bool, in_place: bool) -> Iterator[tuple[str, ...]]:
    yield "hosts", count(summary.hosts), f"in {counted(summary.waves, 'wave')}"
    if summary.evacuated:
        yield "evacuated", count(summary.evacuated), "before all others leave; not patched, and out from then on"
    moves = f"{counted(summary.migrations, 'migration')}, {summary.moves_per_vm:.3f} moves per VM"
    yield "VMs", count(summary.vms), "stay where they are: patches are applied in place" if in_place else moves
    yield (
        "makespan",
        duration(summary.makespan_s),
        _beside(duration(summary.makespan_bound_s), summary.makespan_gap),
    )
    beside = _beside(host_hours(summary.exposure_bound_host_h), summary.exposure_gap)
    yield (
        "exposure",
        host_hours(summary.exposure_host_h),
        f"{beside}{'; without hosts that are back' if revised else ''}",
    )
    weighted_h, bound_h, gap = (
        summary.weighted_exposure_host_h,
        summary.weighted_exposure_bound_host_h,
        summary.weighted_exposure_gap,
    )
    if weighted_h is not None and bound_h is not None and gap is not None:
        beside = _beside(host_hours(bound_h), gap)
        yield "weighted", host_hours(weighted_h), f"{beside}; exposure, each host times its weight"
    yield "bound by", resource(summary.binding_resource)


def _blackout_rows(plan: "Plan") -> Iterator[tuple[str, ...]]:
    restart = plan.migrations["strategy"] == "restart"
    live_ms = plan.migrations.filter(~restart)["predicted_blackout_ms"]
    if len(live_ms):
        p50, p99, most = (milliseconds(live_ms.quantile(share, "nearest")) for share in (0.5, 0.99, 1.0))
        limit = milliseconds(float(plan.header.policy.migration.blackout_limit_ms))
        rest = f"p99 {p99}, max {most}, predicted, live migrations; limit {limit} for VMs without their own"
        yield "blackout", f"p50 {p50}", rest
    if restart.any():
        longest_ms = float(plan.migrations.filter(restart)["predicted_blackout_ms"].to_numpy().max())
        yield "restarts", count(int(restart.sum())), f"blackout max {duration(longest_ms / 1000)}, predicted"


def _beside(bound: str, gap: float) -> str:
    return f"bound {bound}, gap {percent(gap)}"


def _audit(summary: "PlanSummary") -> str:
    findings = summary.audit.findings
    errors = sum(finding.get("severity") == "error" for finding in findings)
    if not findings:
        return "checked, no finding"
    return f"checked, {counted(errors, 'error')}, {counted(len(findings) - errors, 'warning')}"


def deferred_text(plan: "Plan") -> Text:
    """Return the hosts that are left alone, counted by reason, each with what can be done."""
    by_reason = plan.deferred.group_by("reason").agg(pl.len().alias("hosts"), pl.col("remedy").sort().first())
    text = Text(f"deferred: {counted(plan.deferred.height, 'host')}\n", style="yellow")
    for reason, hosts, remedy in by_reason.sort("reason").iter_rows():
        text.append(f"  {count(hosts):>5}  {reason}: {remedy}\n", style="default")
    text.rstrip()
    return text


def progress_words(now: "Progress") -> str:
    """Return how far planning is, in a few words."""
    if now.makespan_s is None:
        return now.phase
    bound = "" if now.bound_s is None or math.isinf(now.bound_s) else f", bound {duration(now.bound_s)}"
    return f"{now.phase} {now.iteration}: {duration(now.makespan_s)}{bound}"
