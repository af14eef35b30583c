"""A campaign's figures as people read them: measured, planned and bound side by side."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from slacktide.executors.readable import count, duration, host_hours, milliseconds, over_bound, seconds
from slacktide.service.words import counted, plain

if TYPE_CHECKING:
    from slacktide.executors.coordinator import Progress
    from slacktide.executors.report_summary import CampaignSummary
    from slacktide.planner.plan import Plan


def complete(summary: "CampaignSummary", plan: "Plan") -> bool:
    """Return whether the campaign has ended and every planned host returned."""
    return summary.finished and summary.hosts.get("returned", 0) == plan.hosts.height


def campaign_title(summary: "CampaignSummary", plan: "Plan") -> str:
    """Return one line that says what came of it."""
    returned = summary.hosts.get("returned", 0)
    name = f"Campaign {summary.campaign_id}"
    state = "" if summary.finished else ", not finished"
    simulated = " (simulated)" if summary.simulated else ""
    hosts = counted(plan.hosts.height, "planned host")
    return plain(
        f"{name}{simulated}{state}: {count(returned)} of {hosts} patched in {duration(summary.makespan.measured_s)}"
    )


def campaign_rows(summary: "CampaignSummary", plan: "Plan") -> Iterator[tuple[str, ...]]:
    """Yield label, value and what belongs beside it."""
    yield "hosts", count(summary.hosts.get("returned", 0)), _others(summary.hosts, "returned", plan.deferred.height)
    done = summary.migrations.get("done", 0)
    yield "migrations", count(done), f"{_others(summary.migrations, 'done')}; {counted(summary.attempts, 'attempt')}"
    if summary.failures:
        yield "failures", count(sum(summary.failures.values())), _by(summary.failures)
    makespan, exposure = summary.makespan, summary.exposure
    yield (
        "makespan",
        duration(makespan.measured_s),
        _beside(duration(makespan.planned_s), duration(makespan.bound_s), makespan.measured_s, makespan.bound_s),
    )
    planned, bound = host_hours(exposure.planned_host_h), host_hours(exposure.bound_host_h)
    beside = _beside(planned, bound, exposure.measured_host_h, exposure.bound_host_h)
    yield "exposure", host_hours(exposure.measured_host_h), beside
    for label, name, part in (
        ("blackout", "by the hypervisor", summary.blackout.hypervisor_ms),
        ("", "by an outside probe", summary.blackout.probe_ms),
        ("", "as predicted", summary.blackout.predicted_ms),
    ):
        if part.p50 is not None:
            most = f"p99 {milliseconds(part.p99)}, max {milliseconds(part.max)}"
            yield label, f"p50 {milliseconds(part.p50)}", f"{most}, {name}"
    yield "plan", summary.plan_id, f"policy {summary.policy_name}"
    where = f"{counted(summary.agents, 'agent')} {'on Ray' if summary.ray else 'in one process'}, seed {summary.seed}"
    yield "execution", seconds(summary.execution_wall_s), where


def progress_words(now: "Progress") -> tuple[float | None, str]:
    """Return how much of a campaign is done, and a few words about it."""
    total = now.hosts + now.migrations
    ended = now.hosts_returned + now.hosts_failed + now.migrations_done + now.migrations_given_up
    words = f"{duration(now.now_s)}: {count(now.hosts_returned)} of {counted(now.hosts, 'host')} returned"
    return (ended / total if total else None), f"{words}, {count(now.hosts_out)} out"


def _beside(planned: str, bound: str, value: float | None, lowest: float) -> str:
    gap = over_bound(value, lowest)
    return f"planned {planned}, bound {bound}" + (f" ({gap})" if gap else "")


def _others(counts: dict[str, int], main: str, deferred: int = 0) -> str:
    others = {name: number for name, number in counts.items() if name != main}
    others |= {"deferred": deferred} if deferred else {}
    return f"{main}; {_by(others)}" if others else main


def _by(counts: dict[str, int]) -> str:
    return ", ".join(f"{count(number)} {name}" for name, number in counts.items())
