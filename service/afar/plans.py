"""``slacktide plan`` on a server: made there, fetched, and written here as if it had been made here."""

from typing import TYPE_CHECKING, Any, NamedTuple

from slacktide.object_store import AnyPath
from slacktide.service.afar.objects import fetched_plan, fleet_there
from slacktide.service.client.jobs import done
from slacktide.service.commands.options import Afar
from slacktide.service.console import tell

if TYPE_CHECKING:
    from slacktide.planner.plan import Plan
    from slacktide.planner.policy import Policy


class PlanWanted(NamedTuple):
    """A plan that a server is to make."""

    preset: str | None
    policy: "Policy | None"
    """The operator's own; null: a preset."""
    evacuate: tuple[str, ...]
    time_limit_s: float | None
    iterations: int | None
    seed: int
    workers: int
    cells: int | str


def plan_there(
    afar: Afar, path: AnyPath, wanted: PlanWanted, output: AnyPath, html: AnyPath | None
) -> "tuple[Plan | None, bool]":
    """Have a plan made, and write it here; return it, None: there is none, and whether there was an interrupt."""
    from slacktide.service.commands.plan import tell_left_out, write

    with afar.api() as api:
        fleet = fleet_there(api, path)
        asked = wanted._asdict() | {"policy": policy_body(wanted.policy), "fleet_id": fleet.fleet_id}
        outcome = done(api, "/v1/plans", asked, "Planning")
        if outcome.result is None:
            tell("interrupted before there was an audited plan; nothing is written")
            return None, True
        tell_left_out(outcome.result["left_out"])
        made = fetched_plan(api, outcome.result["plan_id"])
        write(made, None if html is None else fleet.read(api), output, html)
    return made, outcome.interrupted


def policy_body(policy: "Policy | None") -> dict[str, Any] | None:
    """Return a policy as a server takes it."""
    return None if policy is None else policy.model_dump(mode="json")
