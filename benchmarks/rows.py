"""One way of patching one fleet, as figures."""

from dataclasses import dataclass

import numpy as np

from slacktide.planner.plan import Plan
from slacktide.planner.problem import Problem
from slacktide.planner.streams.comparison import Figures, of_plan, of_replay
from slacktide.planner.streams.replayed import Replayed
from slacktide.planner.sweep import excess, levels


@dataclass(frozen=True, slots=True)
class Row:
    """What a table shows; None: not measured, or not asked."""

    family: str
    policy: str
    who: str
    hosts: int
    makespan_s: float | None = None
    exposure_host_h: float | None = None
    moves_per_vm: float | None = None
    blackout_s: float | None = None
    over_limit: int | None = None
    planning_s: float | None = None
    peak_mib: float | None = None
    makespan_gap: float | None = None
    exposure_gap: float | None = None
    binding: str = ""
    deferred: int | None = None
    waves: int | None = None
    remark: str = ""


def row_of_plan(problem: Problem, plan: Plan, family: str, peak_mib: float) -> Row:
    """Return the figures of a plan, its audit's errors in the remark."""
    summary, figures = plan.header.summary, of_plan(problem, plan)
    errors = sum(finding.get("severity") == "error" for finding in summary.audit.findings)
    return Row(
        family=family,
        policy=plan.header.policy.name,
        who="Slacktide",
        hosts=summary.hosts,
        **_shared(figures, summary.migrations, summary.vms),
        planning_s=summary.planning_s,
        peak_mib=peak_mib,
        makespan_gap=summary.makespan_gap,
        exposure_gap=summary.exposure_gap,
        binding=summary.binding_resource,
        deferred=plan.deferred.height,
        waves=summary.waves,
        remark=f"{errors} errors in the audit" if errors else "",
    )


def row_of_replay(problem: Problem, done: Replayed, who: str, family: str, **more: object) -> Row:
    """Return the figures of moves carried out on paper; what they break is in the remark."""
    due = np.isin(problem.vms.host, done.host)
    broken = overfull(problem, done)
    remarks = [str(more.pop("remark", ""))]
    if broken:
        remarks.append(f"breaks capacity on {broken} hosts")
    if done.let_out_against_limits:
        remarks.append(f"{done.let_out_against_limits} hosts out against a limit")
    figures = of_replay(problem, who, done)
    fields: dict[str, object] = {
        "family": family,
        "policy": problem.policy.name,
        "who": who,
        "hosts": len(done.host),
        **_shared(figures, len(done.vm), int(due.sum())),
        "remark": "; ".join(remark for remark in remarks if remark),
    }
    return Row(**(fields | more))  # type: ignore[arg-type]


def overfull(problem: Problem, done: Replayed) -> int:
    """Return how many hosts hold more than they sell at some moment, moving VMs counted on both."""
    used = np.zeros_like(problem.hosts.capacity)
    np.add.at(used, problem.vms.host, problem.vms.demand)
    moved = np.isfinite(done.end_s)
    host = np.concatenate([done.target[moved], done.source[moved]])
    at_s = np.concatenate([done.start_s[moved], done.end_s[moved]]).astype(np.int64)
    size = problem.vms.demand[done.vm[moved]]
    swept = levels(host, at_s, np.concatenate([size, -size]), used)
    limit = np.maximum(problem.hosts.capacity, used)
    return len(np.unique(np.concatenate([excess(swept, limit[:, each], each).key for each in range(2)])))


def _shared(figures: Figures, migrations: int, vms: int) -> dict[str, float]:
    return {
        "makespan_s": figures.makespan_s,
        "exposure_host_h": figures.exposure_host_h,
        "moves_per_vm": migrations / vms if vms else 0.0,
        "blackout_s": figures.blackout_s,
        "over_limit": figures.over_limit,
    }
