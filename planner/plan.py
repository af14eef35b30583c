"""A plan: immutable and complete.  Nothing is left to decide.

Times are whole seconds from the plan's origin; intervals are half-open ``[start, end)``; at equal times ends come
before starts.  A VM's resources are taken on the source until ``end_s`` and on the target from ``start_s``.  A host
takes no VM from its ``drain_start_s`` to its ``return_s``, and its VMs leave it within ``[drain_start_s, drained_s)``.
"""

from dataclasses import dataclass
from typing import Any, Final, Literal

import dataframely as dy
import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from slacktide.planner.policy import Policy

FORMAT_VERSION = 1
STRATEGIES: Final = ("precopy", "autoconverge", "postcopy", "restart")
GATES: Final = ("start", "canary", "pipelined", "baked", "approval")
"""What opens a wave.  ``start``: nothing, the first wave; ``canary``: the canary wave has returned and baked; the
others as in the policy."""


class WaveTable(dy.Schema):
    """Sets of hosts released for eviction together."""

    wave = dy.Int32(primary_key=True, min=0)
    gate = dy.Enum(GATES, nullable=False)
    start_s = dy.Int64(nullable=False, min=0)
    end_s = dy.Int64(nullable=False, min=0)
    """When the last of its hosts has returned."""
    hosts = dy.Int32(nullable=False, min=1)
    migrations = dy.Int32(nullable=False, min=0)


class PlannedHostTable(dy.Schema):
    """When each host leaves service and comes back."""

    host_id = dy.String(primary_key=True)
    wave = dy.Int32(nullable=False, min=0)
    drain_start_s = dy.Int64(nullable=False, min=0)
    drained_s = dy.Int64(nullable=False, min=0)
    return_s = dy.Int64(nullable=False, min=0)
    """Of a host that is evacuated (``evacuate`` in the policy): its ``drained_s``, for it does not come back."""


class PlannedMigrationTable(dy.Schema):
    """Every move of every VM."""

    migration_id = dy.String(primary_key=True)
    vm_id = dy.String(nullable=False)
    source = dy.String(nullable=False)
    target = dy.String(nullable=False)
    wave = dy.Int32(nullable=False, min=0)
    """The wave of its source."""
    notified_s = dy.Int64(nullable=False, min=0)
    start_s = dy.Int64(nullable=False, min=0)
    end_s = dy.Int64(nullable=False, min=1)
    bandwidth_mbit_s = dy.Int64(nullable=False, min=0)
    """Rate it is given on every link of its route, split over equal-cost paths; 0: nothing is sent."""
    predicted_brownout_s = dy.Float64(nullable=False, min=0)
    predicted_blackout_ms = dy.Float64(nullable=False, min=0)
    predicted_transfer_mib = dy.Float64(nullable=False, min=0)
    strategy = dy.Enum(STRATEGIES, nullable=False)
    after = dy.List(dy.String(nullable=False), nullable=False)
    """Migrations that must have ended before this one starts."""


class DeferredTable(dy.Schema):
    """Due hosts that the plan leaves alone, and why."""

    host_id = dy.String(primary_key=True)
    reason = dy.String(nullable=False, min_length=1)
    detail = dy.String(nullable=False)
    remedy = dy.String(nullable=False)


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class BlackoutSummary(_Part):
    """Predicted blackout over the live migrations, in milliseconds; null where there is none.

    Restarts are none: a VM that is restarted is down for a minute, which says nothing of the others.  (Plans of before
    counted them in; both are true, and a plan's id is the same either way.)
    """

    p50: float | None
    p99: float | None
    max: float | None

    @classmethod
    def over(cls, blackout_ms: pl.Series) -> "BlackoutSummary":
        """Return the summary of these blackouts."""
        if blackout_ms.is_empty():
            return cls(p50=None, p99=None, max=None)
        p50, p99, most = (float(blackout_ms.quantile(share, "nearest") or 0.0) for share in (0.5, 0.99, 1.0))
        return cls(p50=p50, p99=p99, max=most)


class AuditSummary(_Part):
    """What the audit checked and found."""

    checked_rules: tuple[str, ...]
    findings: tuple[dict[str, Any], ...]
    notes: tuple[str, ...] = Field(default=(), exclude_if=lambda notes: not notes)
    """What was tried, where a rule is checked by trying; not written where nothing was."""


class PlanSummary(_Part):
    """The figures of a plan."""

    hosts: int
    """Hosts that are patched."""
    evacuated: int = Field(default=0, exclude_if=lambda count: not count)
    """Hosts that are emptied and stay out; not written where there is none."""
    vms: int
    """VMs on these hosts at the start."""
    waves: int
    migrations: int
    moves_per_vm: float
    """Migrations over ``vms``."""
    makespan_s: int
    """When the last host has returned, or is evacuated."""
    exposure_host_h: float
    """Unpatched host-hours: the sum of the due hosts' return times; deferred hosts count until the makespan."""
    bounds: dict[str, float]
    """Proven lower limits on the makespan in seconds, by the resource that gives them."""
    makespan_bound_s: float
    makespan_gap: float
    exposure_bound_host_h: float
    exposure_gap: float
    weighted_exposure_host_h: float | None = None
    """The same, each host times its weight; null, with the next two, where the policy has no weights."""
    weighted_exposure_bound_host_h: float | None = None
    weighted_exposure_gap: float | None = None
    binding_resource: str
    predicted_blackout_ms: BlackoutSummary
    deferred: dict[str, int]
    audit: AuditSummary
    planning_s: float


ParentBounds = Literal[
    "kept", "other-limits", "other-fleet", "departed", "other-hosts", "canary", "waves", "parent-refused"
]
"""Whether a revision may claim the proven bounds of its parent as well, or why not (docs/model.md, Revisions)."""


class Changes(_Part):
    """What a revision keeps of its parent, and what it changes; counts."""

    moves_under_way: int
    moves_kept: int
    """To the second, target and rate included."""
    moves_led_elsewhere: int
    """To another target."""
    moves_rescheduled: int
    """To the same target, at another time or rate."""
    moves_new: int
    """Of VMs that the parent left where they are, or moved already without success."""
    moves_dropped: int
    hosts_under_way: int
    hosts_kept: int
    """Leave and return as in the parent."""
    hosts_changed: int
    hosts_new: int
    hosts_deferred: int
    """Planned by the parent, and now left alone."""
    stranded_vms: int
    """VMs on hosts that are down or quarantined: no plan moves them."""


class StrandedVm(_Part):
    """A VM on a host that is down or quarantined: no plan moves it."""

    vm_id: str
    host_id: str


class Revision(_Part):
    """What a revision takes over from its parent and from what has happened."""

    from_s: int
    """Nothing new starts before; on the parent's clock, like all times."""
    canary_passed: bool
    """The canary has returned: no wave of this plan has to be it."""
    canary_returned: int | None = Field(default=None, exclude_if=lambda count: count is None)
    """Hosts of the canary that had returned by ``from_s``; null in revisions of before this was noted."""
    gate_s: int
    """When all that had returned by ``from_s`` and that waves wait for has baked."""
    selected_hosts: int
    """Hosts that the first plan of the campaign selected: what shares of the selected hosts are taken of."""
    first_new_id: int
    """Migrations numbered below are the parent's; no plan before has used this number or a higher one."""
    short_at_start: tuple[str, ...] = Field(default=(), exclude_if=lambda names: not names)
    """Domains in which, before the campaign's first plan began, not all VMs of failing hosts found room: facts that no
    plan of it is blamed for."""
    parent_bounds: ParentBounds | None = Field(default=None, exclude_if=lambda known: known is None)
    """Whether the parent's bounds are among this plan's; null where nobody looked."""
    changes: Changes
    stranded: tuple[StrandedVm, ...] = Field(default=(), exclude_if=lambda vms: not vms)
    """The VMs that ``changes.stranded_vms`` counts, by host and id; not written where there is none."""


class PlanHeader(_Part):
    """What ``plan.json`` holds."""

    format_version: int = FORMAT_VERSION
    id: str
    """First 16 hex digits of the SHA-256 of everything in the plan but ``planning_s``."""
    parent: str | None = None
    """Id of the plan that this one is a revision of."""
    revision: Revision | None = None
    snapshot_digest: str
    policy_digest: str
    policy: Policy
    seed: int
    objective: tuple[str, ...]
    summary: PlanSummary


@dataclass(frozen=True, slots=True)
class Plan:
    """A plan in memory: the header and four valid tables, sorted by their keys."""

    header: PlanHeader
    waves: pl.DataFrame
    hosts: pl.DataFrame
    migrations: pl.DataFrame
    deferred: pl.DataFrame
