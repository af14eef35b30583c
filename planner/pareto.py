"""The Pareto front of makespan against moves against hosts out: plans of which none is better in all three."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Final

import numpy as np
import polars as pl

from slacktide.planner.bounds import compute_bounds
from slacktide.planner.deadline_ways import first_above
from slacktide.planner.limits import resolved
from slacktide.planner.loosening import Case, with_max_out
from slacktide.planner.plan import Plan
from slacktide.planner.policy import Objective
from slacktide.planner.reach import Effort, planned

POINTS: Final = 8
"""Limits on hosts out that are tried: enough to see where the curve bends."""
FEWEST_SHARE: Final = 0.02
"""Of the due hosts, the fewest hosts out that are tried: half of what the preset for quiet nights allows."""
FASTER: Final = 0.002
"""Share by which the bound has to fall for a higher limit to be worth trying."""


@dataclass(frozen=True)
class FrontPoint:
    """One plan."""

    max_out_fleet: int
    """Hosts that its policy lets out at once."""
    first_objective: str
    hosts_out: int
    """Most hosts out at once in the plan."""
    hosts: int
    makespan_s: int
    makespan_bound_s: float
    """Of any plan under the same policy."""
    makespan_gap: float
    moves_per_vm: float
    migrations: int
    exposure_host_h: float
    exposure_bound_host_h: float
    exposure_gap: float
    plan_id: str
    present: bool
    """Whether the policy is the present one but for the order of its objective."""

    @property
    def costs(self) -> tuple[int, int, int]:
        """What is to be small: makespan, migrations, hosts out."""
        return self.makespan_s, self.migrations, self.hosts_out


def candidates(case: Case, points: int = POINTS) -> tuple[tuple[int, Objective], ...]:
    """Return limits on hosts out with a first objective each, in an order that spans the range early."""
    limits = fleet_limits(case, points)
    firsts: list[Objective] = list(dict.fromkeys((case.problem.policy.objective[0], "makespan", "moves")))
    order = _ends_first(len(limits))
    return tuple((limits[place], first) for place in order for first in firsts)


def fleet_limits(case: Case, points: int) -> list[int]:
    """Return limits on hosts out in the fleet, ascending: the present one, and others evenly spread in proportion.

    From :data:`FEWEST_SHARE` of the due hosts to where the bound on the makespan no longer falls: above that, another
    limit binds.
    """
    problem = case.problem
    due = int(problem.hosts.due.sum())
    if due == 0:
        return []
    fewest = max(1, round(FEWEST_SHARE * due))
    floor_s = compute_bounds(_with_fleet(case, due).problem, fluid=False).best_s

    def slow(limit: int) -> bool:
        return compute_bounds(_with_fleet(case, limit).problem, fluid=False).best_s > floor_s * (1 + FASTER)

    most = first_above(slow, 0, due)
    spread = np.geomspace(min(fewest, most), most, max(2, points)).round().astype(int).tolist()
    return sorted({*spread, min(present_limit(case), due)} - {0})


def present_limit(case: Case) -> int:
    """Return how many hosts the policy lets out at once in the fleet."""
    hosts = len(case.problem.hosts.ids)
    return resolved(case.problem.policy.max_out.get("fleet", hosts), hosts)


def front_points(case: Case, tried: Sequence[tuple[int, Objective]], effort: Effort) -> Iterator[FrontPoint]:
    """Yield the point of each candidate's audited plan, until the effort's time is over."""
    for number, (limit, first) in enumerate(tried):
        if effort.over():
            return
        effort.report(number / len(tried), f"{limit} hosts out, {first} first")
        plan = planned(_with_first(_with_fleet(case, limit), first), effort)
        effort.keep(plan)
        yield _point(plan, limit, first, present=limit == present_limit(case))


def front(points: Sequence[FrontPoint]) -> tuple[FrontPoint, ...]:
    """Return the points that no other is as good as in every cost and better in one, the shortest makespan first.

    Only plans that patch as many hosts as any are compared; of points with the same costs the first is kept.
    """
    most = max((point.hosts for point in points), default=0)
    whole = [point for point in points if point.hosts == most > 0]
    unlike = list({point.costs: point for point in reversed(whole)}.values())
    kept = [point for point in unlike if not any(_dominates(other.costs, point.costs) for other in unlike)]
    return tuple(sorted(kept, key=lambda point: point.costs))


def front_table(points: Sequence[FrontPoint]) -> pl.DataFrame:
    """Return points as a table, a column for each field."""
    names = [field.name for field in fields(FrontPoint)]
    return pl.DataFrame({name: [getattr(point, name) for point in points] for name in names})


def most_out(plan: Plan) -> int:
    """Return the most hosts that are out at once; one that returns makes place for one that leaves."""
    starts_s, ends_s = (plan.hosts[column].to_numpy() for column in ("drain_start_s", "return_s"))
    if not len(starts_s):
        return 0
    at_s = np.concatenate([ends_s, starts_s])
    change = np.repeat([-1, 1], len(starts_s))
    return int(np.cumsum(change[np.argsort(at_s, kind="stable")]).max())


def _dominates(better: tuple[int, ...], worse: tuple[int, ...]) -> bool:
    return better != worse and all(one <= other for one, other in zip(better, worse, strict=True))


def _point(plan: Plan, limit: int, first: str, *, present: bool) -> FrontPoint:
    summary = plan.header.summary
    return FrontPoint(
        max_out_fleet=limit,
        first_objective=first,
        hosts_out=most_out(plan),
        hosts=summary.hosts,
        makespan_s=summary.makespan_s,
        makespan_bound_s=summary.makespan_bound_s,
        makespan_gap=summary.makespan_gap,
        moves_per_vm=summary.moves_per_vm,
        migrations=summary.migrations,
        exposure_host_h=summary.exposure_host_h,
        exposure_bound_host_h=summary.exposure_bound_host_h,
        exposure_gap=summary.exposure_gap,
        plan_id=plan.header.id,
        present=present,
    )


def _with_fleet(case: Case, limit: int) -> Case:
    return with_max_out(case, "fleet", limit)


def _with_first(case: Case, first: Objective) -> Case:
    policy = case.problem.policy
    order: tuple[Objective, ...] = tuple(dict.fromkeys((first, *policy.objective, "makespan", "moves")))
    return replace(case, problem=replace(case.problem, policy=policy.model_copy(update={"objective": order})))


def _ends_first(count: int) -> list[int]:
    """Return the places 0 to ``count - 1`` so that early ones are spread out: the ends, then middles of gaps."""
    order = [0, count - 1][:count]
    while len(order) < count:
        known = sorted(order)
        order += [(low + high) // 2 for low, high in itertools.pairwise(known) if high - low > 1]
    return order
