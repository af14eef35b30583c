"""What each limit costs: every limit loosened by a step, planned for real, beside what the bound promises.

A plan under a policy also keeps every looser one.  So where a loosened limit brings no better plan, the present plan is
the plan behind the figure, and the gain is 0.  The present plan is searched for until nothing more comes of it, and the
others begin with its order and have to beat what as many more tries find under the present limits: otherwise the luck
of a search would be told as the effect of a limit.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from slacktide.planner.bounds import Bounds, compute_bounds
from slacktide.planner.levers import Lever, levers
from slacktide.planner.loosening import Case
from slacktide.planner.plan import Plan
from slacktide.planner.reach import Effort, planned
from slacktide.planner.search import rank_of
from slacktide.units import SECONDS_PER_HOUR

NO_BOUND: Final = float("inf")


@dataclass(frozen=True)
class PlanFigures:
    """The figures of one audited plan."""

    plan_id: str
    hosts: int
    deferred: int
    makespan_s: int
    makespan_bound_s: float
    exposure_host_h: float
    """Weighted where the policy has weights."""
    exposure_bound_host_h: float
    migrations: int
    moves_per_vm: float


@dataclass(frozen=True)
class Purchase:
    """One limit a step looser: what the bound promises, and what a plan has of it."""

    limit: str
    before: str
    after: str
    unit: str
    """What the step is counted in: ``host``, ``point``, ``minute``, ..."""
    units: float
    """Units in this step."""
    bound_gain_s: float | None
    """By which the bound on the makespan falls; null: from no plan at all."""
    exposure_bound_gain_host_h: float | None
    gain_s: int
    """By which the makespan of the plan falls; negative where exposure was bought with it."""
    exposure_gain_host_h: float
    more_hosts: int
    """Hosts patched that the present plan leaves alone."""
    plan: PlanFigures
    """The plan behind the figures."""
    of_fleet: bool
    """Whether the fleet was changed and not the policy: the plan is one for the fleet so changed."""
    present: bool
    """Whether that is the present plan: the search found no better one."""

    @property
    def gain_h_per_unit(self) -> float:
        """Hours of makespan for one unit."""
        return self.gain_s / SECONDS_PER_HOUR / self.units

    @property
    def exposure_gain_host_h_per_unit(self) -> float:
        """Host-hours of exposure for one unit."""
        return self.exposure_gain_host_h / self.units

    @property
    def gain_above_bound_s(self) -> float | None:
        """By how much the makespan falls further than its bound; null: from no plan at all, or of another campaign."""
        return self._above(self.gain_s, self.bound_gain_s)

    @property
    def exposure_gain_above_bound_host_h(self) -> float | None:
        """The same of the exposure."""
        return self._above(self.exposure_gain_host_h, self.exposure_bound_gain_host_h)

    def _above(self, gain: float, promised: float | None) -> float | None:
        return None if promised is None or self.more_hosts else max(0.0, gain - promised)

    def as_dict(self) -> dict[str, Any]:
        """Return the purchase as plain data for JSON."""
        return {
            **asdict(self),
            "gain_above_bound_s": self.gain_above_bound_s,
            "exposure_gain_above_bound_host_h": self.exposure_gain_above_bound_host_h,
            "gain_h_per_unit": self.gain_h_per_unit,
            "exposure_gain_host_h_per_unit": self.exposure_gain_host_h_per_unit,
        }


@dataclass(frozen=True)
class Promise:
    """A lever, a step of it, and the bounds then."""

    lever: Lever
    bounds: Bounds


def promises(case: Case, among: Sequence[Lever], present: Bounds) -> tuple[Promise, ...]:
    """Return the levers, those first of which the bounds promise most."""
    found = [Promise(lever, compute_bounds(lever.loosen(case, lever.step).problem)) for lever in among]

    def gains(one: Promise) -> tuple[float, float]:
        return -_fall(present.best_s, one.bounds.best_s), -_fall(present.exposure_s, one.bounds.exposure_s)

    return tuple(sorted(found, key=gains))


def purchases(case: Case, present: Plan, effort: Effort, among: Sequence[Lever] | None = None) -> Iterator[Purchase]:
    """Yield what each lever buys, in the order of what its bound promises, until the effort's time is over."""
    if effort.over():
        return
    bounds = compute_bounds(case.problem)
    ordered = promises(case, levers(case) if among is None else among, bounds)
    if effort.over():
        return
    effort.report(None, "the present limits again")
    best = min(score(present, case), score(planned(case, effort, known=present), case))
    for number, promise in enumerate(ordered):
        if effort.over():
            return
        lever = promise.lever
        effort.report(number / len(ordered), f"{lever.limit} {lever.before} -> {lever.value(lever.step)}")
        plan = planned(lever.loosen(case, lever.step), effort, known=present)
        kept = score(plan, case) >= best
        plan = present if kept else plan
        effort.keep(plan)
        yield _purchase(case, promise, bounds, present, plan, kept=kept)


def figures_of(plan: Plan) -> PlanFigures:
    """Return the figures of a plan."""
    summary = plan.header.summary
    weighted_h, bound_h = summary.weighted_exposure_host_h, summary.weighted_exposure_bound_host_h
    return PlanFigures(
        plan_id=plan.header.id,
        hosts=summary.hosts,
        deferred=plan.deferred.height,
        makespan_s=summary.makespan_s,
        makespan_bound_s=summary.makespan_bound_s,
        exposure_host_h=summary.exposure_host_h if weighted_h is None else weighted_h,
        exposure_bound_host_h=summary.exposure_bound_host_h if bound_h is None else bound_h,
        migrations=summary.migrations,
        moves_per_vm=summary.moves_per_vm,
    )


def _purchase(case: Case, promise: Promise, bounds: Bounds, present: Plan, plan: Plan, *, kept: bool) -> Purchase:
    lever, old, new = promise.lever, figures_of(present), figures_of(plan)
    return Purchase(
        limit=lever.limit,
        before=lever.before,
        after=lever.value(lever.step),
        unit=lever.unit,
        units=lever.step * lever.per_level,
        bound_gain_s=_finite(_fall(bounds.best_s, promise.bounds.best_s)),
        exposure_bound_gain_host_h=_finite(
            _fall(bounds.weighted_exposure_s, promise.bounds.weighted_exposure_s) / SECONDS_PER_HOUR
        ),
        gain_s=old.makespan_s - new.makespan_s,
        exposure_gain_host_h=old.exposure_host_h - new.exposure_host_h,
        more_hosts=new.hosts - old.hosts,
        plan=new,
        of_fleet=lever.of_fleet and not kept,
        present=kept,
    )


def score(plan: Plan, case: Case) -> tuple[float, ...]:
    """Return what plans are compared by: hosts left alone, then the policy's objective."""
    figures, summary = figures_of(plan), plan.header.summary
    values = {
        "exposure": figures.exposure_host_h * SECONDS_PER_HOUR,
        "makespan": float(figures.makespan_s),
        "moves": float(figures.migrations),
        "blackout": float(plan.migrations["predicted_blackout_ms"].sum()),
    }
    objective = case.problem.policy.objective
    return rank_of((-float(summary.hosts), *(values[goal] for goal in objective)), objective)


def _fall(before: float, after: float) -> float:
    """Return how far a bound falls; one that a looser limit would raise, since bounds are not tight, stays."""
    return before - after if after < before else 0.0


def _finite(value: float) -> float | None:
    return None if value == NO_BOUND else value
