"""When the proven bounds of a parent also hold for its revision; the proof is in docs/model.md.

They do where the revision is an end of a plan for the parent's own problem: the same fleet under the same limits, all
that has happened as planned to the second, and the same hosts patched.
"""

from dataclasses import replace

import numpy as np
import polars as pl

from slacktide.datasets.digest import digest
from slacktide.datasets.snapshot import FleetSnapshot
from slacktide.planner.bounds import Bounds
from slacktide.planner.plan import ParentBounds, Plan
from slacktide.planner.policy import Policy
from slacktide.planner.policy_files import policy_digest
from slacktide.planner.problem import Problem, positions
from slacktide.planner.progress import Progress, progress_at
from slacktide.planner.weights import THOUSANDTHS
from slacktide.units import SECONDS_PER_HOUR

ROUNDING = 1e-12
"""Part by which a bound that was written in host-hours is lowered, so that no rounding makes it too high."""


def so_far(
    before: FleetSnapshot | None, now: FleetSnapshot, policy: Policy, parent: Plan, progress: Progress
) -> ParentBounds | None:
    """Return whether the parent's bounds hold for what is planned from ``progress`` on, as far as that is known before.

    Parameters
    ----------
    before
        The fleet that the parent was made for; None: it is not there, and nothing is said.
    """
    if before is None:
        return None
    header = parent.header
    if policy_digest(policy) != header.policy_digest:
        return "other-limits"
    if any(finding.get("severity") == "error" for finding in header.summary.audit.findings):
        return "parent-refused"
    if policy.evacuate:
        return "other-hosts"
    gates = policy.gates
    if gates.kind != "pipelined" and gates.max_wave_hosts is not None:
        return "waves"
    if _down(before) != _down(now) or _vms(before) != _vms(now) or digest(before) != header.snapshot_digest:
        return "other-fleet"
    from_s = 0 if header.revision is None else header.revision.from_s
    if not from_s <= progress.at_s < header.summary.makespan_s:
        return "departed"
    fleet, planned = progress_at(before, parent, progress.at_s)
    if not _same(planned, progress):
        return "departed"
    return "kept" if digest(fleet) == digest(now) else "other-fleet"


def _down(fleet: FleetSnapshot) -> set[str]:
    return set(fleet.hosts.filter(pl.col("state").cast(pl.String).is_in(["down", "quarantined"]))["host_id"])


def _vms(fleet: FleetSnapshot) -> set[str]:
    return set(fleet.vms["vm_id"])


def with_parents(
    own: Bounds,
    ground: ParentBounds | None,
    problem: Problem,
    parent: Plan,
    progress: Progress,
    tables: dict[str, pl.DataFrame],
) -> tuple[Bounds, ParentBounds | None]:
    """Return the higher of a revision's own bounds and of its parent's, where these hold, and whether they do."""
    if ground != "kept":
        return own, ground
    back = pl.col("host_id").is_in(progress.hosts.filter(pl.col("state") == "returned")["host_id"].implode())
    returned, ahead = parent.hosts.filter(back), parent.hosts.filter(~back)
    if set(ahead["host_id"]) != set(tables["hosts"]["host_id"]):
        return own, "other-hosts"
    if set(parent.deferred["host_id"]) != set(tables["deferred"]["host_id"]):
        return own, "other-hosts"
    first = pl.col("wave") == 0
    if set(ahead.filter(first)["host_id"]) != set(tables["hosts"].filter(first)["host_id"]):
        return own, "canary"
    return _higher(own, problem, parent, returned), "kept"


def _higher(own: Bounds, problem: Problem, parent: Plan, returned: pl.DataFrame) -> Bounds:
    """Return the higher bounds; what hosts that are back have taken of the parent's exposure is taken off."""
    summary = parent.header.summary
    names = own.makespan_s | summary.bounds
    makespan_s = {name: max(own.makespan_s.get(name, 0.0), summary.bounds.get(name, 0.0)) for name in names}
    return_s = returned["return_s"].to_numpy()
    weight = problem.hosts.weight[positions(returned["host_id"], problem.hosts.ids)] / THOUSANDTHS
    weighted_h = summary.weighted_exposure_bound_host_h
    exposure_s = _rest_s(summary.exposure_bound_host_h, float(return_s.sum()))
    weighted_s = exposure_s if weighted_h is None else _rest_s(weighted_h, float(np.dot(weight, return_s)))
    return replace(
        own,
        makespan_s=makespan_s,
        exposure_s=max(own.exposure_s, exposure_s),
        weighted_exposure_s=max(own.weighted_exposure_s, weighted_s),
    )


def _rest_s(bound_host_h: float, over_s: float) -> float:
    return bound_host_h * SECONDS_PER_HOUR * (1 - ROUNDING) - over_s


def _same(planned: Progress, progress: Progress) -> bool:
    """Return whether all has begun and ended when it was planned to, and nothing has failed."""
    for name in ("migrations", "hosts", "notified"):
        one, other = getattr(planned, name), getattr(progress, name)
        if not one.sort(one.columns[0]).equals(other.select(one.columns).sort(one.columns[0])):
            return False
    return True
