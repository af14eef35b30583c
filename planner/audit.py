"""The audit: a finished plan replayed against its snapshot, with no code in common with the solver."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from slacktide.datasets.snapshot import FleetSnapshot
from slacktide.findings import Finding, Severity, errors_in
from slacktide.planner.constraints.after_order import AfterOrder
from slacktide.planner.constraints.constraint import Constraint, Tried
from slacktide.planner.constraints.convergence import Convergence
from slacktide.planner.constraints.deadline import Deadline
from slacktide.planner.constraints.drained_host_empty import DrainedHostEmpty
from slacktide.planner.constraints.eligibility import Eligibility
from slacktide.planner.constraints.evacuation import Evacuation
from slacktide.planner.constraints.failures import FailuresRestartable
from slacktide.planner.constraints.host_capacity import HostCapacity
from slacktide.planner.constraints.hosts_out import HostsOut
from slacktide.planner.constraints.link_share import LinkShare
from slacktide.planner.constraints.maintenance_time import MaintenanceTime
from slacktide.planner.constraints.no_arrivals_while_out import NoArrivalsWhileOut
from slacktide.planner.constraints.notice import Notice
from slacktide.planner.constraints.patch_direction import PatchDirection
from slacktide.planner.constraints.plan_complete import PlanComplete
from slacktide.planner.constraints.reserve import ReserveKept
from slacktide.planner.constraints.service_moving import ServiceMoving
from slacktide.planner.constraints.service_spread import ServiceSpread
from slacktide.planner.constraints.snapshot_digest import SnapshotDigest
from slacktide.planner.constraints.summary import SummaryTrue
from slacktide.planner.constraints.vm_continuity import VmContinuity
from slacktide.planner.constraints.waves_and_gates import WavesAndGates
from slacktide.planner.plan import Plan
from slacktide.planner.policy import Policy
from slacktide.planner.replay import Replay

FINDINGS_PER_RULE: Final = 100
"""Findings of one rule that are listed; the rest are counted, since what breaks one row often breaks thousands."""


@dataclass(frozen=True, slots=True)
class AuditReport:
    """What was checked and what was found."""

    checked_rules: tuple[str, ...]
    findings: tuple[Finding, ...]
    notes: tuple[str, ...] = ()
    """What was tried, where a rule is checked by trying: how much, and what came of it."""

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings that forbid the plan's execution."""
        return errors_in(self.findings)

    def as_dict(self) -> dict[str, Any]:
        """Return the report as plain data for JSON."""
        return {
            "checked_rules": list(self.checked_rules),
            "findings": [finding.as_dict() for finding in self.findings],
            "notes": list(self.notes),
        }


def constraints(policy: Policy) -> tuple[Constraint, ...]:
    """Return everything that a plan under ``policy`` must satisfy."""
    return (
        SnapshotDigest(),
        PlanComplete(),
        VmContinuity(),
        DrainedHostEmpty(),
        NoArrivalsWhileOut(),
        MaintenanceTime(),
        HostCapacity(),
        ReserveKept(policy.reserve),
        FailuresRestartable(policy.reserve),
        LinkShare(policy.link_share),
        HostsOut(policy.max_out),
        ServiceSpread(),
        ServiceMoving(),
        Eligibility(),
        PatchDirection(policy.migration.allow_patched_to_unpatched),
        Notice(),
        Convergence(policy.migration, policy.assume),
        WavesAndGates(policy.canary, policy.gates, policy.approve_start),
        *((Evacuation(),) if policy.evacuate else ()),
        AfterOrder(),
        Deadline(policy.deadline_s),
        SummaryTrue(),
    )


def audit(snapshot: FleetSnapshot, plan: Plan, fingerprint: str | None = None) -> AuditReport:
    """Return every rule that was checked, and what in ``plan`` breaks it.

    ``snapshot`` is valid (:mod:`slacktide.datasets.validation`), ``plan`` has valid tables; everything that they say is
    checked, and nothing is believed.  Of a plan for another snapshot only that is said: all else would follow from it.
    Whoever has just worked out the snapshot's digest may give it as ``fingerprint``.
    """
    replay = Replay(snapshot, plan, fingerprint)
    if replay.snapshot_digest != plan.header.snapshot_digest:
        return AuditReport((SnapshotDigest.rule,), tuple(SnapshotDigest().check(replay)))
    rules = constraints(plan.header.policy)
    findings: list[Finding] = []
    notes = []
    for constraint in rules:
        if isinstance(constraint, Tried):
            found, note = constraint.examine(replay)
            notes += [note] if note else []
            findings += _listed(constraint.rule, iter(found))
        else:
            findings += _listed(constraint.rule, constraint.check(replay))
    return AuditReport(tuple(constraint.rule for constraint in rules), tuple(findings), tuple(notes))


def _listed(rule: str, found: Iterator[Finding]) -> Iterator[Finding]:
    """Yield the first findings of a rule, and a count of the others."""
    yield from itertools.islice(found, FINDINGS_PER_RULE)
    rest = 0
    severity: Severity = "warning"
    remedy = ""
    for finding in found:
        rest, remedy = rest + 1, finding.remedy
        severity = "error" if finding.severity == "error" else severity
    if rest:
        yield Finding(rule, f"{rest:,} more findings of this rule", remedy, severity)
