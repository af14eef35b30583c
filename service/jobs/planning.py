"""Jobs that plan: a plan for a fleet, an urgent campaign with its plan."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from slacktide.datasets.snapshot import FleetSnapshot
from slacktide.executors.readable import duration
from slacktide.planner.plan import Plan
from slacktide.planner.plan_files import write_plan
from slacktide.planner.policy import PRESETS, Policy
from slacktide.planner.solve import make_plan
from slacktide.planner.stopping import Iterations, NoImprovement, Progress, Stop, TimeLimit
from slacktide.service.either_stop import EitherStop
from slacktide.service.jobs.asked import Effort, HostSelector, PlanAsked, UrgentAsked
from slacktide.service.jobs.pulse import Cancelled
from slacktide.service.jobs.selecting import selected
from slacktide.service.jobs.tools import Tools
from slacktide.service.kept_files import kept_fleet, kept_plan
from slacktide.service.kept_sums import keep
from slacktide.service.plan_text import progress_words
from slacktide.service.planning import evacuating
from slacktide.service.presets import fitted
from slacktide.service.store.inventory import add_plan
from slacktide.service.words import counted, plain

if TYPE_CHECKING:
    from slacktide.planner.cell_plans import CellMap


def plan_job(asked: PlanAsked, by: str, tools: Tools) -> dict[str, Any]:
    """Make a plan and keep it."""
    snapshot = kept_fleet(tools.places.fleet(asked.fleet_id))
    policy, left_out = policy_for(asked.preset, asked.policy, snapshot)
    policy = evacuating(policy, asked.evacuate) if asked.evacuate else policy
    made = _planned(snapshot, policy, asked, tools, asked.cells)
    keep_plan(made, asked.fleet_id, by, tools)
    return {**_figures(made), "left_out": left_out}


def urgent_job(asked: UrgentAsked, by: str, tools: Tools) -> dict[str, Any]:
    """Make a plan for the hosts that are asked for, and a campaign that carries it out."""
    snapshot = kept_fleet(tools.places.fleet(asked.fleet_id))
    preset = asked.preset or (None if asked.policy is not None else "urgent")
    policy, left_out = policy_for(preset, asked.policy, snapshot)
    selection = policy.selection.model_copy(update={"hosts": _hosts(asked.hosts, snapshot)})
    deadline_s = asked.deadline_s() or policy.deadline_s
    policy = Policy.model_validate(
        {**policy.model_dump(), "selection": selection.model_dump(), "deadline_s": deadline_s}
    )
    made = _planned(snapshot, policy, asked, tools, "off")
    keep_plan(made, asked.fleet_id, by, tools)
    cancelled = tools.pulse.cancelled()
    start = asked.start == "now" and not cancelled
    run, is_new = tools.campaigning.propose(made, asked.fleet_id, asked.terms, by, start=start, job_id=tools.job_id)
    if start:
        tools.campaigning.look()
    if run.plan_id != made.header.id:
        made = kept_plan(tools.places.plan(run.plan_id))
    campaign = {"campaign_id": run.campaign_id, "campaign_is_new": is_new, "started": start}
    return {**_figures(made), **campaign, "left_out": left_out}


def keep_plan(made: Plan, fleet_id: str, by: str, tools: Tools) -> None:
    """Write a plan to its place, unless it is there, and note it."""
    keep(tools.places.plan(made.header.id), partial(write_plan, made))
    add_plan(tools.database, made.header.id, fleet_id, by, made.header.model_dump(mode="json"))
    tools.kept.append(made.header.id)


def policy_for(preset: str | None, policy: Policy | None, snapshot: FleetSnapshot) -> tuple[Policy, list[str]]:
    """Return the policy that is asked for, and kinds of failure domain of a preset that the fleet does not have."""
    return (policy, []) if policy is not None else fitted(PRESETS[preset or "routine"], snapshot)


def _planned(snapshot: FleetSnapshot, policy: Policy, effort: Effort, tools: Tools, cells: int | str) -> Plan:
    tools.pulse.lasts(effort.time_limit_s)

    def tell(now: Progress) -> None:
        tools.pulse.tell(now.fraction, plain(progress_words(now)))

    with _cells(tools, effort.workers, cells) as cell_map:
        return make_plan(
            snapshot,
            policy,
            seed=effort.seed,
            stop=EitherStop([Cancelled(tools.pulse), *_stops(effort)]),
            workers=effort.workers,
            progress=tell,
            cells=None if cells == "auto" else 1 if cells == "off" else int(cells),
            cell_map=cell_map,
        )


@contextmanager
def _cells(tools: Tools, workers: int, cells: int | str) -> "Iterator[CellMap | None]":
    if cells == "off" or tools.cell_maps is None:
        yield None
        return
    with tools.cell_maps(workers) as cell_map:
        yield cell_map


def _stops(effort: Effort) -> list[Stop]:
    stops: list[Stop] = []
    if effort.time_limit_s is not None:
        stops.append(TimeLimit(effort.time_limit_s))
    if effort.iterations is not None:
        stops.append(Iterations(effort.iterations))
    return stops or [NoImprovement()]


def _hosts(asked: str | HostSelector | tuple[str, ...], snapshot: FleetSnapshot) -> str | tuple[str, ...]:
    """Return the hosts as a policy selects them."""
    if not isinstance(asked, HostSelector):
        return asked
    return selected(asked, snapshot.hosts, snapshot.domains)


def _figures(made: Plan) -> dict[str, Any]:
    summary = made.header.summary
    by_s = made.header.policy.deadline_s
    late = 0 if by_s is None else int((made.hosts["return_s"] > by_s).sum())
    late_by_s = 0 if by_s is None else max(0, summary.makespan_s - by_s)
    return {
        "plan_id": made.header.id,
        "hosts": summary.hosts,
        "migrations": summary.migrations,
        "makespan_s": summary.makespan_s,
        "exposure_host_h": summary.exposure_host_h,
        "deferred": made.deferred.height,
        "findings": len(summary.audit.findings),
        "deadline_s": by_s,
        "late_hosts": late,
        "late_by_s": late_by_s,
        "said": _late_words(late, late_by_s) if late_by_s else None,
    }


def _late_words(late: int, late_by_s: int) -> str:
    said = f"the plan ends {duration(late_by_s)} after the deadline, {counted(late, 'host')} late"
    return plain(f"{said}; a what-if says what would have to give")
