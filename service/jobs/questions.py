"""Jobs about a plan: audited again, compared with constants, explained."""

from typing import Any

from slacktide.datasets.snapshot import FleetSnapshot
from slacktide.errors import UsageError
from slacktide.planner.plan import Plan
from slacktide.service.jobs.asked import AboutPlan
from slacktide.service.jobs.tools import Tools
from slacktide.service.kept_files import kept_fleet, kept_plan
from slacktide.service.store.inventory import find_plan


def audit_job(asked: AboutPlan, tools: Tools) -> dict[str, Any]:
    """Replay a plan against its fleet."""
    from slacktide.planner.audit import audit

    found = audit(*_both(asked.plan_id, tools))
    return {"plan_id": asked.plan_id, "errors": len(found.errors), **found.as_dict()}


def compare_job(asked: AboutPlan, tools: Tools) -> dict[str, Any]:
    """Set a plan beside the same migrations started by constants."""
    from slacktide.planner.streams.comparison import compare
    from slacktide.planner.streams.rules import RULES, stream_rule

    rules = [stream_rule(text) for text in asked.constants] or list(RULES.values())
    snapshot, plan = _both(asked.plan_id, tools)
    rows = []
    for number, row in enumerate(compare(snapshot, plan, rules)):
        tools.pulse.tell((number + 1) / (len(rules) + 1), row.name)
        rows.append(row.as_dict())
    return {"plan_id": asked.plan_id, "hosts": plan.hosts.height, "migrations": plan.migrations.height, "rows": rows}


def explain_job(asked: AboutPlan, tools: Tools) -> dict[str, Any]:
    """Say what limits a plan and what each relaxation would buy, by bounds; ``text``: the same for people."""
    from slacktide.planner.explanation import explain

    explanation = explain(*_both(asked.plan_id, tools))
    return {**explanation.as_dict(), "text": explanation.text()}


def _both(plan_id: str, tools: Tools) -> tuple[FleetSnapshot, Plan]:
    stored = find_plan(tools.database, plan_id)
    if stored is None:
        raise UsageError(f"plan {plan_id}", "is not there any more", "Make the plan again")
    return kept_fleet(tools.places.fleet(stored.fleet_id)), kept_plan(tools.places.plan(plan_id))
