"""Jobs that plan: a plan for a fleet, an urgent campaign with its plan, a what-if."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import polars as pl

from slacktide import atomic
from slacktide.datasets.files import read_snapshot
from slacktide.datasets.snapshot import FleetSnapshot
from slacktide.errors import InputError
from slacktide.planner.plan import Plan
from slacktide.planner.plan_files import read_plan, write_plan
from slacktide.planner.policy import PRESETS, Policy
from slacktide.planner.solve import make_plan
from slacktide.planner.stopping import Iterations, NoImprovement, Progress, Stop, TimeLimit
from slacktide.service.either_stop import EitherStop
from slacktide.service.jobs.asked import Effort, HostSelector, PlanAsked, UrgentAsked, WhatIfAsked
from slacktide.service.jobs.pulse import Cancelled
from slacktide.service.jobs.tools import Tools
from slacktide.service.plan_text import progress_words
from slacktide.service.presets import fitted
from slacktide.service.store.inventory import add_plan
from slacktide.service.words import plain

if TYPE_CHECKING:
    from slacktide.planner.cell_plans import CellMap


def plan_job(asked: PlanAsked, by: str, tools: Tools) -> dict[str, Any]:
    """Make a plan and keep it."""
    snapshot = read_snapshot(tools.places.fleet(asked.fleet_id))
    policy = _policy(asked.preset, asked.policy, snapshot)
    made = _planned(snapshot, policy, asked, tools, asked.cells)
    keep_plan(made, asked.fleet_id, by, tools)
    return _figures(made)


def urgent_job(asked: UrgentAsked, by: str, tools: Tools) -> dict[str, Any]:
    """Make a plan for the hosts that are asked for, and a campaign that carries it out."""
    snapshot = read_snapshot(tools.places.fleet(asked.fleet_id))
    preset = asked.preset or (None if asked.policy is not None else "urgent")
    policy = _policy(preset, asked.policy, snapshot)
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
        made = read_plan(tools.places.plan(run.plan_id))
    return {**_figures(made), "campaign_id": run.campaign_id, "campaign_is_new": is_new, "started": start}


def what_if_job(asked: WhatIfAsked, by: str, tools: Tools) -> dict[str, Any]:
    """Find what would have to give, and keep the plans behind the figures."""
    from slacktide.planner.reach import TRIES
    from slacktide.planner.reach import Effort as Reaching
    from slacktide.service.what_if_run import (
        PLANS,
        Question,
        ask,
        case_of,
        chosen_levers,
        plan_keeper,
        time_is_over,
        write_what_if,
    )

    snapshot = read_snapshot(tools.places.fleet(asked.fleet_id))
    case = case_of(snapshot, _policy(asked.preset, asked.policy, snapshot))
    by_s = asked.within_s or case.problem.policy.deadline_s
    question = Question(by_s, asked.relax, asked.time_limit_s, asked.iterations, asked.seed, asked.workers)
    among = chosen_levers(case, asked.relax)
    folder = tools.places.what_if(tools.job_id)
    with atomic.staged_directory(folder, ("what-if.json", "what-if.parquet", PLANS)) as staged:
        over = time_is_over(asked.time_limit_s, tools.pulse.cancelled)
        keep = plan_keeper(staged / PLANS)
        effort = Reaching(asked.iterations or TRIES, asked.seed, asked.workers, over, keep=keep)
        found = ask(case, question, among, effort, lambda share, words: tools.pulse.tell(share, plain(words)))
        found.interrupted = tools.pulse.cancelled()
        write_what_if(found, staged)
    for path in sorted((folder / PLANS).iterdir()):
        keep_plan(read_plan(path), asked.fleet_id, by, tools)
    return found.as_dict()


def keep_plan(made: Plan, fleet_id: str, by: str, tools: Tools) -> None:
    """Write a plan to its place, unless it is there, and note it."""
    path = tools.places.plan(made.header.id)
    if not path.exists():
        write_plan(made, path)
    add_plan(tools.database, made.header.id, fleet_id, by, made.header.model_dump(mode="json"))


def _policy(preset: str | None, policy: Policy | None, snapshot: FleetSnapshot) -> Policy:
    return policy if policy is not None else fitted(PRESETS[preset or "routine"], snapshot)[0]


def _planned(snapshot: FleetSnapshot, policy: Policy, effort: Effort, tools: Tools, cells: int | str) -> Plan:
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
    hosts = snapshot.hosts
    if asked.machine_type is not None:
        hosts = hosts.filter(pl.col("machine_type") == asked.machine_type)
    if asked.patch_level is not None:
        hosts = hosts.filter(pl.col("patch_level") == asked.patch_level)
    if asked.domain is not None:
        named = (pl.col("kind") == asked.domain.kind) & (pl.col("domain_id") == asked.domain.id)
        hosts = hosts.join(snapshot.domains.filter(named), on="host_id", how="semi", maintain_order="left")
    if hosts.is_empty():
        raise InputError("hosts", "no host of the fleet is as the selector says", "Loosen it, or name hosts by id")
    return tuple(hosts["host_id"])


def _figures(made: Plan) -> dict[str, Any]:
    summary = made.header.summary
    return {
        "plan_id": made.header.id,
        "hosts": summary.hosts,
        "migrations": summary.migrations,
        "makespan_s": summary.makespan_s,
        "exposure_host_h": summary.exposure_host_h,
        "deferred": made.deferred.height,
        "findings": len(summary.audit.findings),
    }
