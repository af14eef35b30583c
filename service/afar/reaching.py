"""``slacktide what-if`` and ``pareto`` on a server, with the plans behind their figures fetched."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from slacktide import atomic
from slacktide.object_store import AnyPath
from slacktide.service.afar.objects import fetched_plan, fleet_there, plan_there
from slacktide.service.afar.plans import policy_body
from slacktide.service.client.api import Api
from slacktide.service.client.jobs import Outcome, done
from slacktide.service.commands.options import Afar
from slacktide.service.commands.plan import tell_left_out
from slacktide.service.console import tell
from slacktide.service.destinations import PARETO_FILES, WHAT_IF_FILES

if TYPE_CHECKING:
    from slacktide.planner.policy import Policy
    from slacktide.service.front_run import FoundFront
    from slacktide.service.what_if_run import Question, WhatIf


def what_if_there(
    afar: Afar, path: AnyPath, preset: str | None, policy: "Policy | None", question: "Question", output: Path
) -> "tuple[WhatIf | None, bool]":
    """Have it found what must give and what that buys, and write it here; None: nothing; and whether interrupted."""
    with afar.api() as api:
        fleet = fleet_there(api, path)
        asked = {"fleet_id": fleet.fleet_id, "preset": preset, "policy": policy_body(policy), **_effort(question)}
        return _answered(api, asked | {"within_s": question.by_s, "relax": list(question.limits)}, output)


def explained_with_plans(afar: Afar, path: AnyPath, plan_path: AnyPath, output: Path) -> "tuple[WhatIf | None, bool]":
    """Return what every relaxation of a plan that is there buys, with the plans behind the figures written here."""
    with afar.api() as api:
        plan = plan_there(api, plan_path, path)
        header = api.get(f"/v1/plans/{plan.plan_id}")["header"]
        asked = {"fleet_id": plan.fleet_id, "plan_id": plan.plan_id, "time_limit_s": None, "seed": header["seed"]}
        return _answered(api, asked, output)


def front_there(
    afar: Afar,
    path: AnyPath,
    preset: str | None,
    policy: "Policy | None",
    question: "Question",
    points: int,
    output: Path,
) -> "tuple[FoundFront | None, bool, bool]":
    """Return the plans that none beats, None: there was no time for any; whether interrupted; whether hosts are due."""
    from slacktide.service.front_run import front_of, write_front

    with afar.api() as api:
        fleet = fleet_there(api, path)
        asked = {"fleet_id": fleet.fleet_id, "preset": preset, "policy": policy_body(policy), **_effort(question)}
        outcome = done(api, "/v1/paretos", asked | {"points": points}, "Pareto front")
        result = _result(outcome)
        if result is None:
            return None, True, True
        found = front_of(result)
        with atomic.staged_directory(output, PARETO_FILES) as folder:
            _fetch_plans(api, sorted(point.plan_id for point in found.front), folder)
            write_front(found, folder)
    return found, outcome.interrupted, result["selected"]


def _answered(api: Api, asked: dict[str, Any], output: Path) -> "tuple[WhatIf | None, bool]":
    from slacktide.service.what_if_run import what_if_of, write_what_if

    outcome = done(api, "/v1/what-ifs", asked, "What if")
    result = _result(outcome)
    if result is None:
        return None, True
    found = what_if_of(result)
    with atomic.staged_directory(output, WHAT_IF_FILES) as folder:
        _fetch_plans(api, sorted(found.plan_ids()), folder)
        write_what_if(found, folder)
    return found, outcome.interrupted


def _result(outcome: Outcome) -> dict[str, Any] | None:
    if outcome.result is None:
        tell("interrupted before there was an audited plan; nothing is written")
        return None
    tell_left_out(outcome.result["left_out"])
    return outcome.result


def _fetch_plans(api: Api, plan_ids: list[str], folder: Path) -> None:
    from slacktide.service.what_if_run import PLANS, plan_keeper

    keep = plan_keeper(folder / PLANS)
    for plan_id in plan_ids:
        keep(fetched_plan(api, plan_id))


def _effort(question: "Question") -> dict[str, Any]:
    return {
        "time_limit_s": question.time_limit_s,
        "iterations": question.tries,
        "seed": question.seed,
        "workers": question.workers,
    }
