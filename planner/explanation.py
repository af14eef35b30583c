"""Why a plan is as long as it is: what binds, what is deferred, what a looser limit would buy.

Everything here is computed from bounds, which take some tenths of a second, and not from further plans: what is said of
a looser limit is how far its *bound* falls.  A plan need not follow; :mod:`slacktide.planner.whatif` makes the plans.
"""

import math
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import polars as pl

from slacktide.datasets.snapshot import FleetSnapshot
from slacktide.planner.belonging import refuse_a_revision, refuse_another_snapshot
from slacktide.planner.bounds import Bounds, compute_bounds
from slacktide.planner.bounds_in_words import obstacles, words
from slacktide.planner.conflict import Conflict, smallest_conflict
from slacktide.planner.levers import levers
from slacktide.planner.loosening import Case
from slacktide.planner.needs import Needs, canary_gate, demands, host_needs
from slacktide.planner.plan import Plan
from slacktide.planner.problem import Problem, positions
from slacktide.planner.problem_building import build_problem
from slacktide.planner.reach import Oracle, everything
from slacktide.planner.relaxation import Relaxation, narrowed, relaxations
from slacktide.units import SECONDS_PER_HOUR

SHOWN_BOUNDS: Final = 5
"""Bounds listed in the text: a fleet has one for every rack, and those far below the highest say nothing."""
SHOWN_HOSTS: Final = 3
"""Hosts named as examples, here and for every reason of deferral."""


@dataclass(frozen=True)
class BoundInWords:
    """One bound on the makespan."""

    resource: str
    bound_s: float
    """Infinite: no plan at all is possible under this limit."""
    gap: float | None
    """Of the plan above this bound; null where nothing is planned."""
    words: str


@dataclass(frozen=True)
class DeferredHosts:
    """Hosts left alone for one reason."""

    reason: str
    hosts: int
    remedy: str
    examples: tuple[tuple[str, str], ...]
    """Host and detail, a few."""


@dataclass(frozen=True)
class CostlyHost:
    """A host that takes long."""

    host_id: str
    drain_s: int
    """At least, whatever else the plan does."""
    patch_s: int
    notice_s: int
    """The longest among its VMs."""


@dataclass(frozen=True)
class Explanation:
    """What there is to say about a plan."""

    plan_id: str
    hosts: int
    makespan_s: int
    canary_hosts: int
    """In the first wave, which the others wait for; 0: nobody waits."""
    gate_s: int
    """When the canary is back and baked at the earliest."""
    bounds: tuple[BoundInWords, ...]
    """The highest first; the first one binds."""
    relaxations: tuple[Relaxation, ...]
    deferred: tuple[DeferredHosts, ...]
    obstacles: tuple[str, ...]
    """Limits that keep hosts from being patched in any plan."""
    conflict: Conflict | None
    """A smallest set of limits that rule out, by the bounds, that all hosts are patched or that the deadline is kept;
    null where the plan does both, or bounds exclude neither."""
    longest_drains: tuple[CostlyHost, ...]
    longest_notices: tuple[CostlyHost, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return the explanation as plain data for JSON; infinite figures are null."""
        return {
            "plan_id": self.plan_id,
            "hosts": self.hosts,
            "makespan_s": self.makespan_s,
            "canary_hosts": self.canary_hosts,
            "gate_s": self.gate_s,
            "bounds": [_finite(asdict(bound)) for bound in self.bounds],
            "relaxations": [one.as_dict() for one in self.relaxations],
            "deferred": [asdict(one) for one in self.deferred],
            "obstacles": list(self.obstacles),
            "conflict": None if self.conflict is None else self.conflict.as_dict(),
            "longest_drains": [asdict(host) for host in self.longest_drains],
            "longest_notices": [asdict(host) for host in self.longest_notices],
        }

    def text(self) -> str:
        """Return the explanation for people, in lines."""
        parts = (
            self._title(),
            *self._bound_lines(),
            *(f"in no plan: {fact}" for fact in self.obstacles),
            *([] if self.conflict is None else [self.conflict.text()]),
            *self._relaxation_lines(),
            *self._deferred_lines(),
            *self._costly_lines(),
        )
        return "\n".join(parts)

    def _title(self) -> str:
        if not self.hosts:
            deferred = sum(reason.hosts for reason in self.deferred)
            return f"Plan {self.plan_id} patches no host" + (
                f"; {_counted(deferred, 'host')} deferred" if deferred else ": none is due"
            )
        binding = self.bounds[0]
        return (
            f"Plan {self.plan_id} patches {_counted(self.hosts, 'host')} in {_time(self.makespan_s)}; "
            f"no plan takes less than {_time(binding.bound_s)}, a gap of {100 * (binding.gap or 0.0):.1f} %"
        )

    def _bound_lines(self) -> list[str]:
        if not self.bounds:
            return []
        lines = [f"What binds: {self.bounds[0].words}"]
        if self.canary_hosts:
            who = _counted(self.canary_hosts, "host")
            lines.append(f"All wait for the canary, {who}: back and baked at {_time(self.gate_s)} at the earliest")
        if len(self.bounds) > 1:
            lines.append("Further bounds on the makespan:")
            lines += [f"  {_time(bound.bound_s)}: {bound.words}" for bound in self.bounds[1:SHOWN_BOUNDS]]
        if len(self.bounds) > SHOWN_BOUNDS:
            lines.append(f"  and {len(self.bounds) - SHOWN_BOUNDS:,} lower ones")
        return lines

    def _relaxation_lines(self) -> list[str]:
        if not self.relaxations:
            return []
        lines = ["What one step would buy in terms of the quick bounds (no plan is promised):"]
        idle = [one.limit for one in self.relaxations if not one.buys]
        for one in self.relaxations:
            if one.limit not in idle:
                lines.append(f"  {one.limit} {one.before} -> {one.after}: {_gain(one)}")
        if idle:
            lines.append(f"  nothing: {', '.join(idle)}")
        lines.append("  `slacktide what-if` makes the plans behind such figures, and so does `explain --plans DIR`")
        return lines

    def _deferred_lines(self) -> list[str]:
        lines = []
        for one in self.deferred:
            lines.append(f"Deferred, {one.reason}: {_counted(one.hosts, 'host')}. {one.remedy}")
            lines += [f"  {host}: {detail}" for host, detail in one.examples]
            if one.hosts > len(one.examples):
                lines.append(f"  and {one.hosts - len(one.examples):,} more")
        return lines

    def _costly_lines(self) -> list[str]:
        lines = []
        if self.longest_drains:
            hosts = ", ".join(f"{one.host_id} {one.drain_s:,} s" for one in self.longest_drains)
            lines.append(f"Longest drains, at least: {hosts}")
        if self.longest_notices:
            hosts = ", ".join(f"{one.host_id} {one.notice_s:,} s" for one in self.longest_notices)
            lines.append(f"Longest notices: {hosts}")
        return lines


def explain(snapshot: FleetSnapshot, plan: Plan) -> Explanation:
    """Return why ``plan``, made for ``snapshot``, is as long as it is and leaves alone what it leaves alone.

    Raises
    ------
    InputError
        If the plan was made for another snapshot, or is a revision.
    """
    header = plan.header
    refuse_another_snapshot(snapshot, plan)
    refuse_a_revision(plan)
    whole = build_problem(snapshot, header.policy)
    places = positions(plan.hosts["host_id"], whole.hosts.ids)
    planned = np.zeros(len(whole.hosts.ids), np.bool_)
    planned[places[places >= 0]] = True
    planned &= ~whole.hosts.evacuated
    problem = narrowed(whole, planned) if planned.any() else whole
    needs, bounds = host_needs(problem), compute_bounds(problem, fluid=False)
    canary, gate_s = canary_gate(problem, needs)
    return Explanation(
        plan_id=header.id,
        hosts=header.summary.hosts,
        makespan_s=header.summary.makespan_s,
        canary_hosts=canary,
        gate_s=gate_s,
        bounds=_bounds(problem, needs, bounds, header.summary.makespan_s if planned.any() else None),
        relaxations=relaxations(Case(snapshot, problem, problem.hosts.due), bounds) if len(needs.host) else (),
        deferred=_deferred(plan),
        obstacles=obstacles(whole, whole.hosts.due & ~planned),
        conflict=_conflict(snapshot, whole, plan),
        longest_drains=_longest(problem, needs, needs.drain_s),
        longest_notices=_longest(problem, needs, _notices(problem)[needs.host]),
    )


def _conflict(snapshot: FleetSnapshot, whole: Problem, plan: Plan) -> Conflict | None:
    """Return the limits that the plan fails to reach everything for, as far as bounds can tell."""
    by_s = whole.policy.deadline_s
    goal = everything(whole, by_s)
    late = by_s is not None and plan.header.summary.makespan_s > by_s
    if not late and plan.header.summary.hosts >= int(goal.hosts.sum()):
        return None
    case = Case(snapshot, whole)
    return smallest_conflict(Oracle(case, goal, plans=False), levers(case))


def _bounds(problem: Problem, needs: Needs, bounds: Bounds, makespan_s: int | None) -> tuple[BoundInWords, ...]:
    if not len(needs.host):
        return ()
    demand_of = {demand.name: demand for demand in demands(problem, needs)}
    found = []
    for name, bound_s in bounds.makespan_s.items():
        gap = None if makespan_s is None else (makespan_s - bound_s) / bound_s
        said = words(problem, needs, name, demand_of.get(name), bound_s)
        found.append(BoundInWords(name, float(bound_s), gap, said))
    return tuple(sorted(found, key=lambda bound: (bound.bound_s, bound.resource), reverse=True))


def _deferred(plan: Plan) -> tuple[DeferredHosts, ...]:
    reasons = (
        plan.deferred.group_by("reason")
        .agg(pl.len().alias("hosts"))
        .sort(["hosts", "reason"], descending=[True, False])
    )
    found = []
    for reason, hosts in reasons.iter_rows():
        rows = plan.deferred.filter(pl.col("reason") == reason)
        examples = tuple(rows.select("host_id", "detail").head(SHOWN_HOSTS).rows())
        found.append(DeferredHosts(reason, hosts, rows["remedy"][0], examples))
    return tuple(found)


def _notices(problem: Problem) -> np.ndarray:
    """Return the longest notice among the VMs of each host at the start, in seconds, shape (N,)."""
    longest_s = np.zeros(len(problem.hosts.ids), np.int64)
    np.maximum.at(longest_s, problem.vms.host, problem.vms.notice_s)
    return longest_s


def _longest(problem: Problem, needs: Needs, value_s: np.ndarray) -> tuple[CostlyHost, ...]:
    """Return the hosts with the highest values above 0, shape (due hosts,)."""
    notice_s = _notices(problem)[needs.host]
    order = np.lexsort((needs.host, -value_s))[:SHOWN_HOSTS]
    return tuple(
        CostlyHost(
            host_id=problem.hosts.ids[needs.host[at]],
            drain_s=int(needs.drain_s[at]),
            patch_s=int(needs.patch_s[at]),
            notice_s=int(notice_s[at]),
        )
        for at in order.tolist()
        if value_s[at] > 0
    )


def _gain(one: Relaxation) -> str:
    if math.isinf(one.bound_s):
        return "still no plan"
    if math.isinf(one.gain_s):
        return f"a plan becomes possible as far as bounds can say, of {_time(one.bound_s)} at least"
    exposure = f"exposure -{one.exposure_gain_s / SECONDS_PER_HOUR:,.1f} host-hours"
    if one.gain_s < 1:
        return exposure
    return f"{_time(one.bound_s)}, -{_time(one.gain_s)}, {exposure}; then {one.binding_resource} binds"


def _finite(row: dict[str, Any]) -> dict[str, Any]:
    """Return the row with null for infinite figures, which JSON does not have."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value for name, value in row.items()
    }


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _time(seconds: float) -> str:
    """Return seconds, with hours and minutes beside them from one hour on."""
    if math.isinf(seconds):
        return "for ever"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{seconds:,.0f} s ({hours:,} h {minutes} min)" if hours else f"{seconds:,.0f} s"
