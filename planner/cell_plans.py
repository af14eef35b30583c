"""One cell's pass, and the ways to have many cells planned: here, or wherever a given ``map`` has it done."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slacktide.planner.bounds import compute_bounds
from slacktide.planner.budgets import Budget, budgeted
from slacktide.planner.listing.decisions import Schedule
from slacktide.planner.listing.schedule import build_instance, list_schedule, new_halt
from slacktide.planner.needs import host_needs
from slacktide.planner.orders import Queue
from slacktide.planner.pressing import pressing_order
from slacktide.planner.problem import Problem
from slacktide.planner.rehearsing import Rehearsals
from slacktide.planner.solve import terms_of

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class CellTask:
    """One try at one cell."""

    number: int
    of: int
    budget: Budget
    opens_s: int
    """When the cell's first host may leave: behind the fleet's canary."""
    seed: tuple[int, ...] | None
    """Of the chance in the order, None: a first try."""
    best: Schedule | None
    """The cell's best schedule so far, None: a first try."""

    @property
    def name(self) -> str:
        """What people call it."""
        return f"plan cell {self.number + 1} of {self.of}"


Planner = Callable[..., Schedule]
"""Plans a problem's task: :func:`plan_cell`."""
CellMap = Callable[[Planner, Sequence[Problem], Sequence[CellTask]], Iterable[Schedule]]
"""Does what ``map`` does: calls a function on each problem and its task, and gives the results in their order.

The problems of one campaign stay the same objects from call to call, so that one that sends them elsewhere can send
them once.  What it returns may be closed early (``close``) and then gives up what is not done.
"""


def plan_cell(problem: Problem, task: CellTask, halt: Ints | None = None) -> Schedule:
    """Return the schedule of one pass over a cell.

    Raises
    ------
    CancelledError
        If ``halt`` was set meanwhile.
    """
    cell = budgeted(problem, task.budget)
    needs = host_needs(cell)
    bounds = compute_bounds(cell, fluid=False)
    terms = terms_of(cell, needs, bounds)._replace(opens_s=task.opens_s)
    halt = new_halt() if halt is None else halt
    if task.best is None:
        queue = Queue(pressing_order(cell, needs))
    else:
        queue = Rehearsals(cell, needs, bounds).order(task.best, np.random.default_rng(task.seed), halt)
    schedule = list_schedule(cell, build_instance(cell), queue.order, queue.under(terms), halt, queue.kept)
    if schedule is None:
        raise CancelledError
    return schedule


def in_threads(workers: int) -> CellMap:
    """Return a map that plans ``workers`` cells at once in threads of this process: a pass lets go of Python's lock."""

    def planned(function: Planner, problems: Sequence[Problem], tasks: Sequence[CellTask]) -> Iterator[Schedule]:
        halt = new_halt()
        pool = ThreadPoolExecutor(max_workers=max(1, workers))
        try:
            waiting = [pool.submit(function, *each, halt) for each in zip(problems, tasks, strict=True)]
            for one in waiting:
                yield one.result()
        finally:
            halt[0] = 1
            pool.shutdown(cancel_futures=True)

    return planned


def joined(
    parts_hosts: Sequence[Ints], parts_vms: Sequence[Ints], schedules: Sequence[Schedule], first: int | None
) -> Schedule:
    """Return the schedules of cells as one of the whole fleet, hosts in the order in which they leave.

    ``first`` is the cell that has the canary, whose first wave is the fleet's; None: there is none.
    """
    wave = [each.wave + (first is not None and number != first) for number, each in enumerate(schedules)]
    host = np.concatenate([hosts[each.host] for hosts, each in zip(parts_hosts, schedules, strict=True)])
    source = np.concatenate([hosts[each.source] for hosts, each in zip(parts_hosts, schedules, strict=True)])
    drain_start_s = np.concatenate([each.drain_start_s for each in schedules])
    leaving = np.lexsort((host, drain_start_s))
    place = np.zeros(int(host.max(initial=0)) + 1, np.int64)
    place[host[leaving]] = np.arange(len(host))
    moving = np.argsort(place[source], kind="stable")
    return Schedule(
        host=host[leaving],
        wave=np.concatenate(wave)[leaving],
        drain_start_s=drain_start_s[leaving],
        drained_s=np.concatenate([each.drained_s for each in schedules])[leaving],
        return_s=np.concatenate([each.return_s for each in schedules])[leaving],
        vm=np.concatenate([vms[each.vm] for vms, each in zip(parts_vms, schedules, strict=True)])[moving],
        source=source[moving],
        target=np.concatenate([hosts[each.target] for hosts, each in zip(parts_hosts, schedules, strict=True)])[moving],
        start_s=np.concatenate([each.start_s for each in schedules])[moving],
        end_s=np.concatenate([each.end_s for each in schedules])[moving],
        rate=np.concatenate([each.rate for each in schedules])[moving],
    )
