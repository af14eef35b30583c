"""``slacktide audit``, ``explain``, ``compare`` and ``policy check`` on a server."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from slacktide.object_store import AnyPath
from slacktide.service.afar.objects import fleet_there, plan_there
from slacktide.service.client.jobs import done, result_of
from slacktide.service.client.refusals import findings_of
from slacktide.service.commands.options import Afar
from slacktide.service.console import progress

if TYPE_CHECKING:
    from slacktide.findings import Finding
    from slacktide.planner.audit import AuditReport
    from slacktide.planner.policy import Policy
    from slacktide.planner.streams.comparison import Figures


class Compared(NamedTuple):
    """A plan beside constants."""

    plan_id: str
    rows: "list[Figures]"
    hosts: int
    migrations: int


def audited(afar: Afar, path: AnyPath, plan_path: AnyPath) -> "tuple[str, AuditReport]":
    """Return the id of a plan and what its audit on a server finds."""
    from slacktide.planner.audit import AuditReport

    plan_id, result = _asked(afar, path, plan_path, "audit", None, "Auditing the plan")
    return plan_id, AuditReport(
        findings=findings_of(result["findings"]),
        checked_rules=tuple(result["checked_rules"]),
        notes=tuple(result["notes"]),
    )


def explained(afar: Afar, path: AnyPath, plan_path: AnyPath) -> tuple[dict[str, Any], str]:
    """Return the explanation of a plan as one document, and for people."""
    _, result = _asked(afar, path, plan_path, "explain", None, "Explaining the plan")
    text = str(result.pop("text"))
    return result, text


def compared(afar: Afar, path: AnyPath, plan_path: AnyPath, constants: Sequence[str]) -> Compared:
    """Return the figures of a plan and of its migrations under constants."""
    from slacktide.planner.streams.comparison import Figures

    body = {"constants": list(constants)}
    plan_id, result = _asked(afar, path, plan_path, "compare", body, "Comparing the plan")
    rows = [Figures(**row) for row in result["rows"]]
    return Compared(plan_id, rows, result["hosts"], result["migrations"])


def policy_findings(afar: Afar, policy: "Policy", name: str, fleet: AnyPath | None) -> "tuple[Finding, ...]":
    """Return what a server finds hardly meant in a policy, or wrong for a fleet."""
    with afar.api() as api:
        fleet_id = None if fleet is None else fleet_there(api, fleet).fleet_id
        with progress("Checking the policy"):
            found = api.post("/v1/policies/check", {"policy": policy.model_dump(mode="json"), "fleet_id": fleet_id})
    return tuple(replace(finding, file=name) for finding in findings_of(found["findings"]))


def _asked(
    afar: Afar, path: AnyPath, plan_path: AnyPath, question: str, body: object, task: str
) -> tuple[str, dict[str, Any]]:
    with afar.api() as api:
        plan = plan_there(api, plan_path, path)
        return plan.plan_id, result_of(done(api, f"/v1/plans/{plan.plan_id}/{question}", body, task))
