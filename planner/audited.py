"""The last step of every plan: its audit goes into its header, and then it gets its id."""

import time
from dataclasses import replace

from slacktide.datasets.snapshot import FleetSnapshot
from slacktide.planner.audit import audit
from slacktide.planner.plan import AuditSummary, Plan
from slacktide.planner.plan_files import plan_id


def audited(snapshot: FleetSnapshot, plan: Plan, origin_s: float) -> Plan:
    """Return ``plan``, made for ``snapshot`` since ``origin_s`` of the monotonic clock, with its audit and its id."""
    report = audit(snapshot, plan, plan.header.snapshot_digest)
    checked = AuditSummary(
        checked_rules=report.checked_rules,
        findings=tuple(finding.as_dict() for finding in report.findings),
        notes=report.notes,
    )
    summary = plan.header.summary.model_copy(update={"audit": checked, "planning_s": time.monotonic() - origin_s})
    plan = replace(plan, header=plan.header.model_copy(update={"summary": summary}))
    return replace(plan, header=plan.header.model_copy(update={"id": plan_id(plan)}))
