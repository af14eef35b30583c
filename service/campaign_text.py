"""A campaign's figures as people read them: measured, planned and bound side by side."""

from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import polars as pl
from rich.text import Text

from slacktide.executors.control_events import CampaignPaused
from slacktide.executors.half_drained import WHAT_TO_DO, half_drained_words
from slacktide.executors.over_limits import over_limits_words
from slacktide.executors.readable import UNKNOWN, count, duration, host_hours, milliseconds, over_bound, seconds
from slacktide.executors.report_brownouts import brownout_words
from slacktide.executors.report_figures import STAGE_WORDS, ended_words, next_step, overrun_words, revisions_words
from slacktide.executors.report_notices import notice_words
from slacktide.executors.report_others import counts_words
from slacktide.service.words import counted, plain

if TYPE_CHECKING:
    from slacktide.executors.progress import Progress
    from slacktide.executors.report import CampaignReport
    from slacktide.executors.report_summary import CampaignSummary, HalfDrained
    from slacktide.planner.plan import Plan

_NEVER_TRIED: Final = "given up without an attempt"
HOSTS_NAMED: Final = 5
"""Hosts not patched that are named with their reason; the tables have them all."""
HALF_DRAINED_NAMED: Final = 20
"""Hosts left half drained that are named: a person may want to look at each."""


class PlannedHosts(NamedTuple):
    """How many hosts a campaign was to patch, as its figures are compared with."""

    planned: int
    deferred: int


def planned_hosts(plan: "Plan") -> PlannedHosts:
    """Return how many hosts of a plan are planned, and how many are left alone."""
    return PlannedHosts(plan.hosts.height, plan.deferred.height)


def complete(summary: "CampaignSummary", hosts: PlannedHosts) -> bool:
    """Return whether the campaign has ended and every planned host returned, or is evacuated."""
    ended = summary.hosts.get("returned", 0) + summary.hosts.get("evacuated", 0)
    return summary.finished and ended == hosts.planned


def campaign_title(summary: "CampaignSummary", hosts: PlannedHosts) -> str:
    """Return one line that says what came of it."""
    returned = summary.hosts.get("returned", 0)
    name = f"Campaign {summary.campaign_id}"
    state = "" if summary.finished else ", not finished"
    simulated = " (simulated)" if summary.simulated else ""
    evacuated = summary.hosts.get("evacuated", 0)
    due = counted(hosts.planned - evacuated, "planned host")
    patched = f"{name}{simulated}{state}: {count(returned)} of {due} patched"
    patched += f", {count(evacuated)} evacuated" if evacuated else ""
    when = f" in {duration(summary.makespan.measured_s)}" if returned else ""
    ended = ended_words(summary)
    return plain(f"{patched}{when}{f'; {ended}' if ended else ''}")


def campaign_rows(summary: "CampaignSummary", hosts: PlannedHosts) -> Iterator[tuple[str, ...]]:
    """Yield label, value and what belongs beside it."""
    yield "hosts", count(summary.hosts.get("returned", 0)), _others(summary.hosts, "returned", hosts.deferred)
    for each in summary.evacuations:
        at = f"after {duration(each.at_s)}, " if each.at_s is not None else ""
        yield "evacuated" if each.at_s is not None else "not evacuated", each.host_id, f"{at}{each.why}"
    done = summary.migrations.get("done", 0)
    states = {_NEVER_TRIED if state == "given-up" else state: number for state, number in summary.migrations.items()}
    yield "migrations", count(done), f"{_others(states, 'done')}; {counted(summary.attempts, 'attempt')}"
    if summary.failed_attempts:
        failed = {STAGE_WORDS.get(stage, stage): number for stage, number in summary.failed_attempts.items()}
        yield "attempts failed", count(sum(failed.values())), _by(failed)
    if summary.not_patched:
        yield "hosts not patched", count(sum(summary.not_patched.values())), _by(summary.not_patched)
    if summary.half_drained:
        gone = sum(each.gone_vms for each in summary.half_drained)
        of = counted(gone + sum(each.remaining_vms for each in summary.half_drained), "VM")
        yield "half drained", count(len(summary.half_drained)), f"of these, in service; {count(gone)} of {of} gone"
    yield from zip_longest(("over limits",), over_limits_words(summary.over_limits) or ["none"], fillvalue="")
    if summary.overruns is not None:
        yield "overruns", overrun_words(summary.overruns)
    if summary.revisions:
        yield "revisions", count(len(summary.revisions)), revisions_words(summary)
    yield from _asked_rows(summary)
    if summary.others:
        yield "others", count(sum(summary.others.values())), f"VMs meanwhile: {counts_words(summary.others)}"
    if summary.notices is not None:
        yield "notice", notice_words(summary.notices)
    makespan, exposure = summary.makespan, summary.exposure
    whole = not summary.not_patched
    compared_s = makespan.measured_s if whole else None
    beside = _beside(duration(makespan.planned_s), duration(makespan.bound_s), compared_s, makespan.bound_s)
    beside += "" if whole else ", for all planned hosts"
    beside += f"; {duration(makespan.waited_s)} of it waited for people" if makespan.waited_s >= 1 else ""
    yield "makespan", duration(makespan.measured_s), beside
    planned, bound = host_hours(exposure.planned_host_h), host_hours(exposure.bound_host_h)
    beside = _beside(planned, bound, exposure.measured_host_h if whole else None, exposure.bound_host_h)
    until = "" if whole else ", measured until the campaign's end; hosts not patched stay exposed"
    yield "exposure", host_hours(exposure.measured_host_h), beside + until
    yield from _blackout_rows(summary)
    yield from [] if summary.brownout is None else [("forwarding", brownout_words(summary.brownout))]
    yield "plan", summary.plan_id, f"policy {summary.policy_name}"
    how = f"seed {summary.seed}" if summary.simulated else "on real hosts"
    many = summary.coordinators
    since = f" since the command was last given; {count(many)} coordinators in all, one after the other"
    if not summary.agents:
        yield "execution", UNKNOWN, f"this report is made again from the journal, {how}"
        return
    where = f"{counted(summary.agents, 'agent')} {'on Ray' if summary.ray else 'in one process'}"
    yield "execution", seconds(summary.execution_wall_s), f"{where}, {how}{';' + since if many > 1 else ''}"


def _asked_rows(summary: "CampaignSummary") -> Iterator[tuple[str, ...]]:
    """Yield how much people asked of it, and how often a budget or a signal paused it."""
    if summary.orders:
        refused = sum(not each.granted for each in summary.orders)
        beside = f"last: {summary.orders[-1].outcome}, by {summary.orders[-1].by}"
        yield "orders", count(len(summary.orders)), f"{count(refused)} of them refused; {beside}" if refused else beside
    pauses = [each for each in summary.own_steps if each.kind == CampaignPaused.type]
    if pauses:
        last = f"last by {pauses[-1].by}: {pauses[-1].why}"
        yield "pauses", count(sum(each.times for each in pauses)), f"by budgets and signals; {last}"


def _blackout_rows(summary: "CampaignSummary") -> Iterator[tuple[str, ...]]:
    label = "blackout"
    for name, part in (
        ("by the hypervisor, live migrations", summary.blackout.hypervisor_ms),
        ("by an outside probe", summary.blackout.probe_ms),
        ("as predicted", summary.blackout.predicted_ms),
    ):
        if part.p50 is not None:
            most = f"p99 {milliseconds(part.p99)}, max {milliseconds(part.max)}"
            yield label, f"p50 {milliseconds(part.p50)}", f"{most}, {name}"
            label = ""
    differ = summary.counts_differ
    if differ is not None:
        most = f"{milliseconds(differ.most_ms)} at {differ.migration_id}"
        within = f"by more than the {milliseconds(differ.resolution_ms)} that the probe can see"
        yield "", f"{count(differ.count)} of {count(differ.compared)}", f"differ between the two {within}, most {most}"
    restarts = summary.restarts
    if restarts.count:
        measured, predicted = (
            duration(None if longest is None else longest / 1000)
            for longest in (restarts.hypervisor_max_ms, restarts.predicted_max_ms)
        )
        yield "restarts", count(restarts.count), f"blackout max {measured}, predicted {predicted}"


def finished_before(directory: Path, *, simulated: bool) -> str:
    """Return that a campaign had finished before, and how one begins anew."""
    again = ", and for the same plan once more give another --output" if simulated else ""
    return (
        f"the campaign in {directory} had finished: nothing is carried out, here is its report. To begin anew, plan on "
        f"the fleet as it is now, and run that plan{again}"
    )


class NotPatched(NamedTuple):
    """Planned hosts that were not patched."""

    half: "tuple[HalfDrained, ...]"
    """Those left half drained."""
    why: dict[str, str]
    """How each ended and why, by id, those that failed themselves first."""
    untouched: int
    """How many never began to leave, or were only told of it."""


def not_patched_text(report: "CampaignReport") -> Text:
    """Return the planned hosts that were not patched, those left half drained first, and what to do next."""
    half = report.summary.half_drained
    troubles = report.troubles.filter(pl.col("kind") == "host").join(
        report.hosts.select("state", "drain_start_s", subject="host_id"), on="subject"
    )
    rows = troubles.with_columns(pl.col("state").cast(pl.String)).sort(
        "state", "at_s", "subject", descending=[True, False, False]
    )
    why = {row["subject"]: f"{row['state']}, {row['reason']}: {row['detail']}" for row in rows.iter_rows(named=True)}
    untouched = rows.filter(~pl.col("subject").is_in([each.host_id for each in half]))["drain_start_s"].null_count()
    text = left_text(NotPatched(half, why, untouched), "in troubles.parquet")
    text.append(f"\nnext: {next_step(report.summary)}", style="default")
    return text


def left_text(left: NotPatched, more_in: str) -> Text:
    """Return hosts that were not patched, half-drained ones first; ``more_in`` says where those not named are."""
    half, why, untouched = left
    apart = f": {count(len(half))} half drained, {count(untouched)} never touched" if half else ""
    text = Text(f"not patched: {counted(len(why), 'host')}{apart}\n", style="yellow")
    for each in half[:HALF_DRAINED_NAMED]:
        text.append(f"  {each.host_id}  {half_drained_words(each)}; {why.get(each.host_id, '')}\n", style="default")
    if len(half) > HALF_DRAINED_NAMED:
        text.append(f"  {count(len(half) - HALF_DRAINED_NAMED)} more half drained with --json\n", style="default")
    drained = {each.host_id for each in half}
    rest = [host for host in why if host not in drained]
    for host in rest[:HOSTS_NAMED]:
        text.append(f"  {host}  {why[host]}\n", style="default")
    if len(rest) > HOSTS_NAMED:
        text.append(f"  {count(len(rest) - HOSTS_NAMED)} more {more_in}\n", style="default")
    text.append(WHAT_TO_DO if half else "", style="default")
    text.rstrip()
    return text


def progress_words(now: "Progress") -> tuple[float | None, str]:
    """Return how much of a campaign is done, and a few words about it."""
    total = now.hosts + now.migrations
    ended = now.hosts_returned + now.hosts_evacuated + now.hosts_failed + now.migrations_done + now.migrations_given_up
    if now.waits_for is not None:
        return (ended / total if total else None), f"{duration(now.now_s)}: {now.waits_for}"
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
