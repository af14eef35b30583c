"""What one limit a step looser would buy, in terms of the bounds: cheap to say, and never a promise of a plan."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Final

import numpy as np
from numpy.typing import NDArray

from slacktide.datasets.snapshot import FleetSnapshot
from slacktide.planner.bounds import Bounds, compute_bounds
from slacktide.planner.limits import resolved
from slacktide.planner.policy import Policy
from slacktide.planner.problem import Problem, build_problem

Bools = NDArray[np.bool_]

MORE_POINTS: Final = 5
"""Percentage points by which a share of hosts out is raised: the step in which operators write such shares."""
MORE_LINK_SHARE: Final = 0.1
"""By which the share of every link is raised."""
LESS_RESERVE: Final = 0.01
"""By which the reserved share of the fleet is lowered: 1 point."""
SMALLEST_EXPOSURE_S: Final = 180
"""Host-seconds that count as a gain: 0.05 host-hours, below which the text would say 0.0."""
SHORTER_PATCH: Final = 0.9
"""Factor of the patch time, as if patching took 10 % less."""


@dataclass(frozen=True)
class Relaxation:
    """One limit a step looser, and the bounds then."""

    limit: str
    """The policy's field, or what of the fleet changes."""
    before: str
    after: str
    bound_s: float
    """On the makespan; infinite: still nothing can be planned."""
    gain_s: float
    """By which the bound on the makespan falls."""
    exposure_gain_s: float
    """By which the bound on the exposure falls, in host-seconds."""
    binding_resource: str
    """What binds then."""

    @property
    def buys(self) -> bool:
        """Whether it buys a second of the makespan, or enough exposure to be seen."""
        return self.gain_s >= 1 or self.exposure_gain_s >= SMALLEST_EXPOSURE_S


def narrowed(problem: Problem, due: Bools) -> Problem:
    """Return the problem with only the hosts of ``due``, shape (N,), to be patched."""
    return replace(problem, hosts=replace(problem.hosts, due=due))


def relaxations(snapshot: FleetSnapshot, problem: Problem, bounds: Bounds) -> tuple[Relaxation, ...]:
    """Return every relaxation of ``problem``, whose bounds are ``bounds``, the one that buys most first."""
    found = [
        _compared(limit, before, after, bounds, compute_bounds(changed))
        for limit, before, after, changed in _loosened(snapshot, problem)
    ]
    return tuple(sorted(found, key=lambda one: (-one.gain_s, -one.exposure_gain_s)))


def _compared(limit: str, before: str, after: str, old: Bounds, new: Bounds) -> Relaxation:
    """Return the relaxation; a bound that looser limits would raise, since bounds are not tight, stays as it is."""
    best_s, exposure_s = min(old.best_s, new.best_s), min(old.exposure_s, new.exposure_s)
    return Relaxation(
        limit=limit,
        before=before,
        after=after,
        bound_s=best_s,
        gain_s=old.best_s - best_s if best_s < old.best_s else 0.0,
        exposure_gain_s=old.exposure_s - exposure_s if exposure_s < old.exposure_s else 0.0,
        binding_resource=new.binding_resource,
    )


def _loosened(snapshot: FleetSnapshot, problem: Problem) -> Iterator[tuple[str, str, str, Problem]]:
    """Yield limit, value before and after, and the problem with it."""
    policy, due = problem.policy, problem.hosts.due
    for kind, limit in policy.max_out.items():
        more = _one_more(limit)
        if more != limit:
            changed = {**policy.max_out, kind: more}
            yield f"max_out.{kind}", str(limit), str(more), _with_max_out(problem, changed)
    share = policy.reserve.share
    if share > 0:
        less = max(0.0, round(share - LESS_RESERVE, 6))
        reserve = policy.reserve.model_copy(update={"share": less})
        yield "reserve.share", f"{share:.1%}", f"{less:.1%}", _with_policy(problem, reserve=reserve)
    if resolved(policy.canary.hosts, int(problem.selected.sum())) and policy.canary.bake_s:
        bake_s = policy.canary.bake_s // 2
        canary = policy.canary.model_copy(update={"bake_s": bake_s})
        before, after = f"{policy.canary.bake_s:,} s", f"{bake_s:,} s"
        yield "canary.bake_s", before, after, _with_policy(problem, canary=canary)
    if policy.link_share < 1:
        wider = min(1.0, round(policy.link_share + MORE_LINK_SHARE, 6))
        terms = policy.model_copy(update={"link_share": wider})
        yield "link_share", f"{policy.link_share:.0%}", f"{wider:.0%}", narrowed(build_problem(snapshot, terms), due)
    noticed = problem.vms.notice_s[due[problem.vms.host]]
    if noticed.any():
        vms = replace(problem.vms, notice_s=problem.vms.notice_s // 2)
        longest_s = int(noticed.max())
        before, after = f"{longest_s:,} s at most", f"{longest_s // 2:,} s"
        yield "notice of every VM", before, after, replace(problem, vms=vms)
    patch_s = problem.hosts.maintenance_s
    shorter_s = np.ceil(patch_s * SHORTER_PATCH).astype(np.int64)
    if due.any():
        before, after = (f"{of[due].mean():,.0f} s on average" for of in (patch_s, shorter_s))
        hosts = replace(problem.hosts, maintenance_s=shorter_s)
        yield "patch time of every host", before, after, replace(problem, hosts=hosts)


def _one_more(limit: int | str) -> int | str:
    """Return one host more, or :data:`MORE_POINTS` percentage points more."""
    if isinstance(limit, int):
        return limit + 1
    share = min(Fraction(100), Fraction(limit.removesuffix("%")) + MORE_POINTS)
    return f"{float(share):g}%"


def _with_policy(problem: Problem, **changes: object) -> Problem:
    return replace(problem, policy=problem.policy.model_copy(update=changes))


def _with_max_out(problem: Problem, max_out: dict[str, int | str]) -> Problem:
    """Return the problem with other limits on hosts out; the kinds are the same."""
    policy: Policy = problem.policy.model_copy(update={"max_out": max_out})
    out = problem.out
    sizes = np.zeros(len(out.limit), np.int64)
    for kind in range(out.group.shape[1]):
        group = out.group[:, kind]
        sizes += np.bincount(group[group >= 0], minlength=len(sizes))
    limit = [resolved(max_out.get(kind, size), size) for (kind, _), size in zip(out.names, sizes.tolist(), strict=True)]
    return replace(problem, policy=policy, out=replace(out, limit=np.array(limit, np.int64)))
