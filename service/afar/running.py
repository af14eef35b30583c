"""``slacktide run`` and ``urgent`` on a server: begun there, followed from here, left to it at Ctrl-C."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from slacktide.errors import ExecutionError, UsageError
from slacktide.object_store import AnyPath
from slacktide.service.afar.objects import fleet_there, plan_there
from slacktide.service.afar.plans import policy_body
from slacktide.service.afar.reports import begin_place, check_place, show_fetched
from slacktide.service.campaign_standing import why_not_begun
from slacktide.service.client.api import Api
from slacktide.service.client.jobs import done
from slacktide.service.client.streams import followed
from slacktide.service.commands.options import Afar
from slacktide.service.commands.plan import tell_left_out
from slacktide.service.console import document, figures, progress, show, tell
from slacktide.service.failures import INTERRUPTED, OK, interrupted_code
from slacktide.service.interrupts import held_interrupts, told_to_end
from slacktide.service.store.runs import STARTED_BY_HAND

if TYPE_CHECKING:
    from slacktide.executors.progress import Progress
    from slacktide.planner.policy import Policy

LOOK_S: Final = 0.5
"""How often a campaign is looked at that has not begun, or whose report is being written."""


class RunWanted(NamedTuple):
    """How a server is to carry a plan out, and what is done here meanwhile."""

    terms: dict[str, Any]
    """As the API takes them."""
    output: Path | None
    """Where the report goes; null: it is printed alone."""
    detach: bool
    """Leave it to the server at once."""
    take_over: bool = False


class UrgentWanted(NamedTuple):
    """Hosts that are to be patched by a time."""

    hosts: str | list[str]
    within_s: int | None
    preset: str | None
    policy: "Policy | None"
    time_limit_s: float | None
    seed: int
    on_approval: bool


def run_there(afar: Afar, path: AnyPath, plan_path: AnyPath, wanted: RunWanted, *, as_json: bool) -> int:
    """Have a plan carried out, or go on with it; follow it, and print its report."""
    place = wanted.output
    if place is None and isinstance(plan_path, Path) and plan_path.is_dir():
        place = plan_path.resolve().with_name(f"{plan_path.resolve().name}-campaign")
    check_place(place)
    with afar.api() as api:
        plan = plan_there(api, plan_path, path)
        with held_interrupts() as held:
            with api.stopped_by(held.let_through):
                campaign = _created(api, plan.plan_id, wanted)
            if place is not None:
                begin_place(api, campaign, place)
        if held.pressed is not None:
            return _left(api, campaign, held.pressed())
        return _accompanied(api, campaign, place, detach=wanted.detach, as_json=as_json)


def urgent_there(afar: Afar, path: AnyPath, asked: UrgentWanted, wanted: RunWanted, *, as_json: bool) -> int:
    """Have hosts patched by a time, in one call: follow the campaign that comes of it, and print its report."""
    check_place(wanted.output)
    with afar.api() as api:
        fleet = fleet_there(api, path)
        body = {
            "fleet_id": fleet.fleet_id,
            "hosts": asked.hosts,
            "within_s": asked.within_s,
            "preset": asked.preset,
            "policy": policy_body(asked.policy),
            "time_limit_s": asked.time_limit_s,
            "seed": asked.seed,
            "start": "on-approval" if asked.on_approval else "now",
            "terms": wanted.terms,
        }
        outcome = done(api, "/v1/campaigns/urgent", body, "Planning")
        if outcome.result is None:
            tell("interrupted before there was an audited plan; nothing is begun")
            return INTERRUPTED
        tell_left_out(outcome.result["left_out"])
        campaign = str(outcome.result["campaign_id"])
        tell(f"plan {outcome.result['plan_id']} is to be carried out as campaign {campaign}")
        if outcome.result.get("said") is not None:
            tell(str(outcome.result["said"]))
        waits = not outcome.result["started"]
        if waits:
            tell(f"it waits for its start: `slacktide campaign start {campaign}`")
        if wanted.output is not None:
            begin_place(api, campaign, wanted.output)
        code = _accompanied(api, campaign, wanted.output, detach=wanted.detach or waits, as_json=as_json)
        return INTERRUPTED if outcome.interrupted else code


def follow(api: Api, campaign: str) -> None:
    """Tell how far a campaign is, until it has finished, as one that is carried out here; errors as :func:`watched`."""
    from slacktide.service.progress_lines import ProgressLines
    from slacktide.service.stalled import FailedHosts, Stalled

    stalled, lines, failed = Stalled(), ProgressLines(), FailedHosts()
    for now, _ in watched(api, campaign, "Running"):
        stalled.tell(now.waits_for)
        failed.tell(now)
        lines.tell(now)


def watched(api: Api, campaign: str, task: str, *, news: bool = False) -> "Iterator[tuple[Progress, str | None]]":
    """Show a bar of how far a campaign is until it has finished; yield that whenever it has changed, and news of it.

    Raises
    ------
    ExecutionError
        If the server has given it up.
    """
    from slacktide.executors.progress import Progress
    from slacktide.service.campaign_text import progress_words

    now: Progress | None = None
    with progress(task) as told:
        _wait_until_begun(api, campaign)
        for kind, said in followed(api, f"/v1/campaigns/{campaign}/progress/stream?news={str(news).lower()}"):
            if kind == "progress":
                fields = {name: said[name] for name in Progress.__dataclass_fields__}
                now = Progress(**{**fields, "failed_hosts": tuple(map(tuple, said["failed_hosts"]))})
                told(*progress_words(now))
                yield now, None
            elif kind == "news" and now is not None:
                yield now, str(said)
    _refuse_given_up(api.get(f"/v1/campaigns/{campaign}"))


def _created(api: Api, plan_id: str, wanted: RunWanted) -> str:
    """Return the id of the campaign of a plan under its terms, begun now or before."""
    campaign = api.post_or_find("/v1/campaigns", {"plan_id": plan_id, "terms": wanted.terms, "start": "now"})
    name = str(campaign["campaign_id"])
    path = f"/v1/campaigns/{name}"
    if wanted.take_over:
        api.post(f"{path}/take-over")
        tell(f"campaign {name} is taken over")
    elif campaign["state"] in STARTED_BY_HAND:
        api.post(f"{path}/start")
        tell(f"campaign {name} is started on {api.url}")
    elif campaign["finished"]:
        tell(
            f"campaign {name} of this plan had finished on {api.url}: nothing is carried out, here is its report. To "
            f"carry one out again, {_again(wanted)}"
        )
    else:
        tell(f"campaign {name} is carried out on {api.url}")
    return name


def _again(wanted: RunWanted) -> str:
    anew = "plan on the fleet as it is now, and run that plan"
    return anew if wanted.terms.get("profile") is not None else f"{anew}, or give another --seed for the same plan"


def _accompanied(api: Api, campaign: str, place: Path | None, *, detach: bool, as_json: bool) -> int:
    if detach:
        if as_json:
            document(api.get(f"/v1/campaigns/{campaign}"))
        else:
            show(figures([("campaign", campaign, f"`slacktide campaign watch {campaign}` follows it")]))
        return OK
    try:
        with told_to_end():
            follow(api, campaign)
            _wait_for_report(api, campaign)
    except KeyboardInterrupt as error:
        return _left(api, campaign, error)
    return show_fetched(api, campaign, place, as_json=as_json)


def _left(api: Api, campaign: str, how: KeyboardInterrupt) -> int:
    """Say that a campaign goes on without whoever was interrupted; return the exit code."""
    tell(f"interrupted: campaign {campaign} goes on on {api.url}; `slacktide campaign watch {campaign}` follows it")
    return interrupted_code(how)


def _wait_until_begun(api: Api, campaign: str) -> None:
    """Return once a campaign has begun; tell of every try that comes to nothing."""
    told: str | None = None
    while True:
        found = api.get(f"/v1/campaigns/{campaign}")
        _refuse_given_up(found)
        if found["state"] == "aborted":
            remedy = f"Start it again, if it is to be carried out: `slacktide campaign start {campaign}`"
            raise ExecutionError(f"campaign {campaign}", f"is not carried out: it was {found['said']}", remedy)
        if found["state"] == "proposed":
            fact = "waits to be started"
            raise UsageError(f"campaign {campaign}", fact, f"Start it: `slacktide campaign start {campaign}`")
        if found["progress"] is not None:
            return
        if found["said"] is not None and (why := why_it_has_not_begun(found)) != told:
            tell(why)
            told = why
        time.sleep(LOOK_S)


def why_it_has_not_begun(found: dict[str, Any]) -> str:
    """Return what keeps a campaign from having begun, in words."""
    return why_not_begun(found["state"], found["tries"], found["most_tries"], found["said"])


def _wait_for_report(api: Api, campaign: str) -> None:
    """Return once the campaign's process has written the report, which comes after the last event, or never will.

    Raises
    ------
    ExecutionError
        If the server has given it up.
    """
    path = f"/v1/campaigns/{campaign}"
    with progress("Waiting for the report"):
        while not api.is_ready(f"{path}/report.html"):
            found = api.get(path)
            _refuse_given_up(found)
            if found["state"] == "ended":
                return  # It is there by now, or gone; the server says so to who fetches it.
            time.sleep(LOOK_S)


def _refuse_given_up(found: dict[str, Any]) -> None:
    if found["state"] == "failed":
        said = str(found["said"] or "").strip().splitlines()
        why = f": {said[-1]}" if said else ", since its process ended every time and said nothing"
        remedy = f"Mend that, then start it again: `slacktide campaign start {found['campaign_id']}`"
        raise ExecutionError(f"campaign {found['campaign_id']}", f"has been given up by the server{why}", remedy)
