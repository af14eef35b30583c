"""The small plan broken in one place, and what the audit finds."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import polars as pl
from small_fleet import POLICY, edited, small_fleet, small_plan

from slacktide.findings import Finding
from slacktide.planner.audit import audit
from slacktide.planner.plan import Plan
from slacktide.planner.policy import Reserve

Changes = Mapping[str, Mapping[str, Any] | None]
SHARED = {"reserve": Reserve(share=0.1)}
"""Of hosts that fail nothing is asked."""
V7 = small_fleet().vms.row(by_predicate=pl.col("vm_id") == "v5", named=True) | {"vm_id": "v7", "host_id": "h3"}
"""A seventh VM, on h3, which stays in service."""


def found(
    policy: dict[str, Any] | None = None, fleet: dict[str, Changes] | None = None, **plan: Changes
) -> list[Finding]:
    """Return the findings about the small plan, with its policy, its fleet and its rows changed."""
    terms = POLICY.model_copy(update=policy or {})
    snapshot = small_fleet(**(fleet or {}))
    return list(audit(snapshot, edited(small_plan(), snapshot, terms, **plan)).findings)


def only(findings: list[Finding]) -> Finding:
    """Return the one finding that there is."""
    assert [str(finding) for finding in findings] == [str(findings[0])]
    assert findings[0].remedy
    return findings[0]


def of_rule(rule: str, findings: list[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.rule == rule]


def move(row: str, source: str, target: str, start_s: int, **values: Any) -> Changes:
    """Return a further migration of a VM: m5's figures, an hour's worth of bandwidth for 8 GiB."""
    like = small_plan().migrations.row(by_predicate=pl.col("migration_id") == "m5", named=True)
    times = {"notified_s": start_s - 60, "start_s": start_s, "end_s": start_s + like["end_s"] - like["start_s"]}
    return {row: {**like, "source": source, "target": target, **times, "migration_id": row, **values}}


def with_summary(plan: Plan, **figures: Any) -> Plan:
    summary = plan.header.summary.model_copy(update=figures)
    return replace(plan, header=plan.header.model_copy(update={"summary": summary}))
