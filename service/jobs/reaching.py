"""Jobs about what can be had: a what-if, and a Pareto front; the plans behind their figures are kept as any other."""

from pathlib import Path
from typing import Any

from slacktide import atomic
from slacktide.planner.belonging import refuse_another_snapshot
from slacktide.planner.reach import TRIES, Effort
from slacktide.service.console import Told
from slacktide.service.destinations import PARETO_FILES, WHAT_IF_FILES
from slacktide.service.jobs.asked import ParetoAsked, WhatIfAsked
from slacktide.service.jobs.planning import keep_plan, policy_for
from slacktide.service.jobs.tools import Tools
from slacktide.service.kept_files import kept_fleet, kept_plan
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
from slacktide.service.words import plain


def what_if_job(asked: WhatIfAsked, by: str, tools: Tools) -> dict[str, Any]:
    """Find what would have to give, and keep the plans behind the figures."""
    tools.pulse.lasts(asked.time_limit_s)
    snapshot = kept_fleet(tools.places.fleet(asked.fleet_id))
    present = None if asked.plan_id is None else kept_plan(tools.places.plan(asked.plan_id))
    if present is not None:
        refuse_another_snapshot(snapshot, present)
    policy, left_out = policy_for(asked.preset, asked.policy if present is None else present.header.policy, snapshot)
    case = case_of(snapshot, policy)
    by_s = asked.within_s or case.problem.policy.deadline_s
    question = Question(by_s, asked.relax, asked.time_limit_s, asked.iterations, asked.seed, asked.workers)
    among = chosen_levers(case, asked.relax)
    folder = tools.places.what_if(tools.job_id)
    with atomic.staged_directory(folder, WHAT_IF_FILES) as staged:
        over = time_is_over(asked.time_limit_s, tools.pulse.cancelled)
        keep = plan_keeper(staged / PLANS)
        effort = Effort(asked.iterations or TRIES, asked.seed, asked.workers, over, keep=keep)
        found = ask(case, question, among, effort, _told(tools), present)
        found.interrupted = tools.pulse.cancelled()
        write_what_if(found, staged)
    _keep_all(folder / PLANS, asked.fleet_id, by, tools)
    return {**found.as_dict(), "left_out": left_out}


def pareto_job(asked: ParetoAsked, by: str, tools: Tools) -> dict[str, Any]:
    """Find the plans that none beats, and keep them."""
    from slacktide.service.front_run import found_front, front_document, write_front

    tools.pulse.lasts(asked.time_limit_s)
    snapshot = kept_fleet(tools.places.fleet(asked.fleet_id))
    policy, left_out = policy_for(asked.preset, asked.policy, snapshot)
    case = case_of(snapshot, policy)
    question = Question(None, (), asked.time_limit_s, asked.iterations, asked.seed, asked.workers)
    folder = tools.places.what_if(tools.job_id)
    with atomic.staged_directory(folder, PARETO_FILES) as staged:
        found = found_front(case, question, asked.points, staged, _told(tools), tools.pulse.cancelled)
        write_front(found, staged)
    _keep_all(folder / PLANS, asked.fleet_id, by, tools)
    return {**front_document(found), "left_out": left_out, "selected": bool(case.problem.selected.any())}


def _keep_all(folder: Path, fleet_id: str, by: str, tools: Tools) -> None:
    for path in sorted(folder.iterdir()):
        keep_plan(kept_plan(path), fleet_id, by, tools)


def _told(tools: Tools) -> Told:
    return lambda share, words: tools.pulse.tell(share, plain(words))
