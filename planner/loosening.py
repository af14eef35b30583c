"""A fleet under a policy with one limit changed: the tables, which the audit goes by, and the planner's arrays alike.

Arrays are changed in place of a rebuild wherever the limit allows.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from slacktide.datasets.snapshot import FleetSnapshot
from slacktide.planner.limits import resolved
from slacktide.planner.policy import Reserve
from slacktide.planner.problem import NO_LIMIT, Problem
from slacktide.planner.problem_building import build_problem

Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Case:
    """A fleet under a policy, as tables and as the planner's arrays; the two say the same."""

    snapshot: FleetSnapshot
    problem: Problem
    only: Bools | None = None
    """Hosts to which the problem is narrowed, shape (N,); None: all that can be planned."""


def with_policy(case: Case, **changes: Any) -> Case:  # noqa: ANN401  (fields of a policy)
    """Return the case with fields of the policy changed that no array depends on."""
    policy = case.problem.policy.model_copy(update=changes)
    return replace(case, problem=replace(case.problem, policy=policy))


def rebuilt(case: Case, **changes: Any) -> Case:  # noqa: ANN401  (fields of a policy)
    """Return the case with fields of the policy changed, and all arrays built anew."""
    problem = build_problem(case.snapshot, case.problem.policy.model_copy(update=changes))
    if case.only is not None:
        problem = replace(problem, hosts=replace(problem.hosts, due=case.only))
    return replace(case, problem=problem)


def with_rules(case: Case, **changes: Any) -> Case:  # noqa: ANN401  (fields of a policy's migration rules)
    """Return the case with fields of the policy's rules for migrations changed."""
    return rebuilt(case, migration=case.problem.policy.migration.model_copy(update=changes))


def with_max_out(case: Case, kind: str, limit: int | str) -> Case:
    """Return the case with another limit on hosts out; the kinds are the same."""
    out = case.problem.out
    sizes = group_sizes(case.problem)
    limits = [
        resolved(limit, size) if of == kind else int(present)
        for (of, _), size, present in zip(out.names, sizes, out.limit.tolist(), strict=True)
    ]
    case = with_policy(case, max_out={**case.problem.policy.max_out, kind: limit})
    return replace(case, problem=replace(case.problem, out=replace(out, limit=np.array(limits, np.int64))))


def group_sizes(problem: Problem) -> list[int]:
    """Return how many hosts are in each group of the limits on hosts out."""
    out = problem.out
    sizes = np.zeros(len(out.limit), np.int64)
    for kind in range(out.group.shape[1]):
        group = out.group[:, kind]
        sizes += np.bincount(group[group >= 0], minlength=len(sizes))
    return sizes.tolist()


def with_reserve_share(case: Case, share: float) -> Case:
    """Return the case with another share reserved, which is the first group; at 0 it asks for nothing."""
    hosts, reserves = case.problem.hosts, case.problem.reserves
    sold = hosts.capacity[hosts.in_service].sum(axis=0)
    required = reserves.required.copy()
    required[0] = np.ceil(share * sold).astype(np.int64)
    case = with_policy(case, reserve=case.problem.policy.reserve.model_copy(update={"share": share}))
    if share == 0 or case.problem.policy.in_place:
        return rebuilt(case)
    return replace(case, problem=replace(case.problem, reserves=replace(reserves, required=required)))


def with_reserve_hosts(case: Case, hosts: int) -> Case:
    """Return the case with another number of hosts that may fail at once."""
    reserve = case.problem.policy.reserve
    return rebuilt(case, reserve=Reserve(share=reserve.share, hosts=hosts, per=reserve.per if hosts else None))


def without_spread(case: Case) -> Case:
    """Return the case with services that need not be spread."""
    services = case.problem.services
    free = np.full_like(services.spread_kind, -1)
    problem = replace(
        case.problem, services=replace(services, spread_kind=free, spread_limit=np.full_like(free, NO_LIMIT))
    )
    return replace(case, problem=problem, snapshot=_unlimited(case.snapshot, "max_per_domain"))


def without_max_moving(case: Case) -> Case:
    """Return the case with services of which any number of VMs may move at once."""
    services = case.problem.services
    problem = replace(case.problem, services=replace(services, max_moving=np.full_like(services.max_moving, NO_LIMIT)))
    return replace(case, problem=problem, snapshot=_unlimited(case.snapshot, "max_moving"))


def _unlimited(snapshot: FleetSnapshot, column: str) -> FleetSnapshot:
    services = snapshot.services
    return replace(snapshot, services=services.with_columns(pl.lit(None, dtype=services.schema[column]).alias(column)))


def with_notice(case: Case, most_s: int) -> Case:
    """Return the case with no notice above ``most_s``."""
    vms, table = case.problem.vms, case.snapshot.vms
    shorter = table.with_columns(pl.col("notice_s").clip(upper_bound=most_s).cast(table.schema["notice_s"]))
    problem = replace(case.problem, vms=replace(vms, notice_s=np.minimum(vms.notice_s, most_s)))
    return replace(case, problem=problem, snapshot=replace(case.snapshot, vms=shorter))


def with_patch_time(case: Case, percent: int) -> Case:
    """Return the case with every patch shorter, whole seconds, rounded up."""
    hosts, table = case.problem.hosts, case.snapshot.hosts
    maintenance_s = -(-hosts.maintenance_s * (100 - percent) // 100)
    column = pl.Series("maintenance_s", maintenance_s, dtype=table.schema["maintenance_s"])
    problem = replace(case.problem, hosts=replace(hosts, maintenance_s=maintenance_s))
    return replace(case, problem=problem, snapshot=replace(case.snapshot, hosts=table.with_columns(column)))
