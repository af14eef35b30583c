"""What one limit a step looser would buy, in terms of the bounds: cheap to say, and never a promise of a plan."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from slacktide.planner.bounds import Bounds, compute_bounds
from slacktide.planner.levers import Lever, levers
from slacktide.planner.loosening import Case
from slacktide.planner.problem import Problem

Bools = NDArray[np.bool_]

SMALLEST_EXPOSURE_S: Final = 180
"""Host-seconds that count as a gain: 0.05 host-hours, below which the text would say 0.0."""


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

    def as_dict(self) -> dict[str, Any]:
        """Return the relaxation as plain data for JSON; infinite figures are null."""
        return {
            name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in asdict(self).items()
        }


def narrowed(problem: Problem, due: Bools) -> Problem:
    """Return the problem with only the hosts of ``due``, shape (N,), to be patched."""
    return replace(problem, hosts=replace(problem.hosts, due=due))


def relaxations(case: Case, bounds: Bounds, among: Sequence[Lever] | None = None) -> tuple[Relaxation, ...]:
    """Return relaxations of a case, whose bounds are ``bounds``, of all its limits or ``among`` some.

    The one that buys most is first.
    """
    found = [
        _compared(lever, bounds, compute_bounds(lever.loosen(case, lever.step).problem, fluid=False))
        for lever in (levers(case) if among is None else among)
    ]
    return tuple(sorted(found, key=lambda one: (-one.gain_s, -one.exposure_gain_s)))


def _compared(lever: Lever, old: Bounds, new: Bounds) -> Relaxation:
    """Return the relaxation; a bound that looser limits would raise, since bounds are not tight, stays as it is."""
    best_s, exposure_s = min(old.best_s, new.best_s), min(old.exposure_s, new.exposure_s)
    return Relaxation(
        limit=lever.limit,
        before=lever.before,
        after=lever.value(lever.step),
        bound_s=best_s,
        gain_s=old.best_s - best_s if best_s < old.best_s else 0.0,
        exposure_gain_s=old.exposure_s - exposure_s if exposure_s < old.exposure_s else 0.0,
        binding_resource=new.binding_resource,
    )
