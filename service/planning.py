"""How a plan is asked for, on the command line and in Python: which terms, when the search ends, what plans cells.

What computes is imported where it is used, so that a command line answers at once.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Literal

from slacktide.errors import UsageError

if TYPE_CHECKING:
    from slacktide.planner.cell_plans import CellMap
    from slacktide.planner.policy import Policy
    from slacktide.planner.stopping import Stop

PresetName = Literal["urgent", "routine"]
DEFAULT_PRESET: Final[PresetName] = "routine"
"""The gentler one: whoever is in a hurry says so."""
Cells = int | Literal["auto", "off"]
"""Into how many cells a fleet is cut; ``auto``: as the planner finds best, ``off``: it is planned in one piece."""


def evacuating(policy: "Policy", hosts: tuple[str, ...]) -> "Policy":
    """Return a policy under whose limits hosts are evacuated, and none is patched: no canary, no gate.

    Raises
    ------
    UsageError
        If the policy patches hosts in place: it moves no VM.
    """
    from slacktide.planner.policy import Canary, Gates, Selection

    if policy.in_place:
        raise UsageError("evacuate", "moves VMs; the policy patches hosts in place", "Give another policy")
    terms = {"selection": Selection(hosts=()), "canary": Canary(), "gates": Gates(), "weights": (), "deadline_s": None}
    return policy.model_copy(update={**terms, "evacuate": tuple(dict.fromkeys(hosts))})


def stop_after(time_limit_s: float | None, iterations: int | None) -> "Stop | None":
    """Return what ends the search: whichever of the limits comes first, or None without a limit."""
    from slacktide.planner.stopping import Iterations, TimeLimit
    from slacktide.service.either_stop import EitherStop

    stops: list[Stop] = []
    if time_limit_s is not None:
        stops.append(TimeLimit(time_limit_s))
    if iterations is not None:
        stops.append(Iterations(iterations))
    return EitherStop(stops) if len(stops) > 1 else stops[0] if stops else None


def cell_number(asked: Cells) -> int | None:
    """Return into how many cells to cut, None: as the planner finds best."""
    if isinstance(asked, int):
        return asked
    return None if asked == "auto" else 1


@contextmanager
def cell_map_for(workers: int, *, ray: bool) -> "Iterator[CellMap | None]":
    """Have what plans cells: Ray, or None for threads of this process."""
    if not ray:
        yield None
        return
    from slacktide.executors.ray_cells import RayCells  # Ray takes seconds to import

    with RayCells(workers) as cell_map:
        yield cell_map
