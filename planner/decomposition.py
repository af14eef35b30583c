"""Planning a fleet cell by cell; read :func:`planned_in_cells` as the table of contents.

The master problem shares the fleet's limits between the cells, the cells are planned apart, by whatever ``map`` is
given, and their schedules are put together.  A cell's try depends on the seed, the number of the try and the cell
alone: the same tries give the same schedule wherever and in whatever order they are planned.  The whole is then
improved like any plan.
"""

import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from slacktide.planner.bounds import Bounds
from slacktide.planner.budgets import Budget, budgets
from slacktide.planner.cell_plans import CellMap, CellTask, joined, plan_cell
from slacktide.planner.cells import cut
from slacktide.planner.listing.arrays import Instance
from slacktide.planner.listing.decisions import Schedule
from slacktide.planner.listing.gating import Terms
from slacktide.planner.listing.schedule import build_instance
from slacktide.planner.needs import Needs, canary_size, host_needs
from slacktide.planner.orders import Queue
from slacktide.planner.pressing import pressing_order
from slacktide.planner.problem import Problem
from slacktide.planner.rehearsing import Rehearsals
from slacktide.planner.restriction import Part, restricted
from slacktide.planner.search import (
    REPAIRS,
    Report,
    Score,
    Search,
    improve,
    passes,
    rank_of,
    score_of,
    until_interrupted,
)
from slacktide.planner.solve import terms_of
from slacktide.planner.stopping import Progress, Stop
from slacktide.planner.straggling import end_anew
from slacktide.planner.untangling import untangled

Ints = NDArray[np.int64]

Tell = Callable[[str, float], None]
"""Takes how far the first plans are, in words and as a share."""

EXTRA_TRIES = 3
"""Further tries for cells that end late: of 20 cells one or two do, and the fleet waits for them."""
LATE = 0.005
"""A cell is late that ends by this share after half of the others."""


def planned_in_cells(
    problem: Problem,
    bounds: Bounds,
    count: int,
    seed: int,
    stop: Stop,
    workers: int,
    cell_map: CellMap,
    report: Report,
    origin_s: float,
) -> Search:
    """Return the best schedule found for the fleet, first cut into ``count`` cells, then as a whole.

    Cells are planned however long they take, and joined.  The joined plan is improved in one piece until ``stop``.
    """

    def tell(words: str, fraction: float | None) -> None:
        report(Progress(words, 0, None, None, None, time.monotonic() - origin_s, fraction))

    cell = cut(problem, count)
    cells = CellPlans.of(problem, cell, cell_map, seed, tell)
    cells.make()
    tell("joining the cells", None)
    needs, instance = host_needs(problem), build_instance(problem)
    terms = terms_of(problem, needs, bounds)
    first = joined_in_one_pass(problem, needs, instance, terms, cell, cells.schedule())
    search = Search(problem, bounds, report, origin_s, first, score_of(problem, first), seed=seed)
    with until_interrupted(stop):
        search.tell()
        improve(search, instance, Rehearsals(problem, needs, bounds), terms, stop, workers)
    return search


def joined_in_one_pass(
    problem: Problem, needs: Needs, instance: Instance, terms: Terms, cell: Ints, schedule: Schedule
) -> Schedule:
    """Return the cells' schedules as one that keeps every limit of the fleet.

    What collides is put right where it stands as far as that goes.  Then one pass over the whole fleet keeps what fits,
    decides the rest anew, and finds room for hosts that had none in their cells.  A host decided anew may come back
    long after all others, which have taken every place: then the end is decided anew as well.  If some hosts still have
    no room, the fleet is planned in one piece, too.  The best of these schedules counts.
    """
    queue = Queue(pressing_order(problem, needs))
    promised = untangled(problem, cell, schedule)[0]
    found = passes(problem, instance, terms, [lambda _: queue], promised=promised)
    end = end_anew(needs.host, found[0])
    if end is not None:
        found += passes(problem, instance, terms, [lambda _: end], repairs=REPAIRS)
    if len(found[0].host) < len(needs.host):
        found += passes(problem, instance, terms, [lambda _: queue])
    return min(found, key=lambda each: rank_of(score_of(problem, each), problem.policy.objective))


@dataclass
class CellPlans:
    """The cells of a fleet, and the best schedule of each."""

    problem: Problem
    parts: Sequence[Part]
    cell_map: CellMap
    seed: int
    tell: Tell
    needs: list[Needs] = field(default_factory=list)
    canary: int | None = None
    """The cell that has the canary hosts, None: there are none."""
    budgets: list[Budget] = field(default_factory=list)
    opens_s: int = 0
    best: list[Schedule] = field(default_factory=list)

    @classmethod
    def of(cls, problem: Problem, cell: Ints, cell_map: CellMap, seed: int, tell: Tell) -> "CellPlans":
        """Cut the problem into cells and share its limits between them."""
        parts = [restricted(problem, np.flatnonzero(cell == number)) for number in range(int(cell.max()) + 1)]
        search = cls(problem, parts, cell_map, seed, tell)
        search.needs = [host_needs(part.problem) for part in parts]
        search.canary = _canary_cell(problem, search.needs)
        search._share()
        return search

    def make(self) -> None:
        """Plan every cell: the one with the canary first, for its gate opens the others; late ones several times."""
        everyone = list(range(len(self.parts)))
        found: dict[int, Schedule] = {}
        if self.canary is not None:
            found |= self._tried([self.canary], None)
            self.opens_s = self._gate_s(found[self.canary])
            everyone.remove(self.canary)
        found |= self._tried(everyone, None)
        self.best = [found[number] for number in range(len(self.parts))]
        if "makespan" in self.problem.policy.objective:
            for extra in range(EXTRA_TRIES):
                self._offer(self._tried(self._waited_for(), extra))

    def _offer(self, found: dict[int, Schedule]) -> None:
        """Keep each cell's schedule if the whole fleet's plan is better with it."""
        scores = [score_of(part.problem, best) for part, best in zip(self.parts, self.best, strict=True)]
        for number, schedule in found.items():
            others = [*scores[:number], score_of(self.parts[number].problem, schedule), *scores[number + 1 :]]
            late = number == self.canary and self._gate_s(schedule) > self.opens_s
            if not late and self._rank(others) < self._rank(scores):
                self.best[number], scores = schedule, others

    def _rank(self, scores: Sequence[Score]) -> Score:
        return rank_of(self._together(scores), self.problem.policy.objective)

    def _together(self, scores: Sequence[Score]) -> Score:
        """Return what the fleet's schedule is worth if its cells' are worth ``scores``."""
        left_alone, *columns = zip(*scores, strict=True)
        goals = zip(self.problem.policy.objective, columns, strict=True)
        return (sum(left_alone), *(max(values) if goal == "makespan" else sum(values) for goal, values in goals))

    def _waited_for(self) -> list[int]:
        """Return the cells that end well after most others."""
        makespan_s = np.array([best.makespan_s for best in self.best])
        late = makespan_s > (1 + LATE) * np.median(makespan_s)
        return [int(number) for number in np.flatnonzero(late)]

    def schedule(self) -> Schedule:
        """Return the best schedules of the cells as one of the whole fleet."""
        return joined([part.host for part in self.parts], [part.vm for part in self.parts], self.best, self.canary)

    def _share(self) -> None:
        canary = _canary_hosts(self.problem)
        of_cell = [canary if number == self.canary else 0 for number in range(len(self.parts))]
        self.budgets = budgets(self.problem, self.parts, of_cell)

    def _tried(self, numbers: Sequence[int], attempt: int | None) -> dict[int, Schedule]:
        """Return a schedule for each of the cells ``numbers``; of the first try, or of a numbered further one."""
        tasks = [self._task(number, attempt) for number in numbers]
        mapped = iter(self.cell_map(plan_cell, [self.parts[number].problem for number in numbers], tasks))
        found: dict[int, Schedule] = {}
        try:
            for task, schedule in zip(tasks, mapped, strict=True):
                found[task.number] = schedule
                self._tell_of(len(found), len(tasks), attempt)
        finally:
            if isinstance(mapped, Generator):
                mapped.close()
        return found

    def _tell_of(self, done: int, tasks: int, attempt: int | None) -> None:
        if attempt is not None:
            self.tell(f"{done} of {tasks} cells tried again", done / tasks)
            return
        alone = self.canary is not None and tasks == 1
        done = done if alone else len(self.parts) - tasks + done
        self.tell(f"{done} of {len(self.parts)} cells planned", done / len(self.parts))

    def _task(self, number: int, attempt: int | None) -> CellTask:
        return CellTask(
            number=number,
            of=len(self.parts),
            budget=self.budgets[number],
            opens_s=0 if number == self.canary else self.opens_s,
            seed=None if attempt is None else (self.seed, number, attempt),
            best=None if attempt is None else self.best[number],
        )

    def _gate_s(self, schedule: Schedule) -> int:
        """Return when the canary lets the other cells begin."""
        first = schedule.return_s[schedule.wave == 0]
        return int(first.max(initial=0)) + self.problem.policy.canary.bake_s


def _canary_hosts(problem: Problem) -> int:
    return canary_size(problem.policy, int(problem.selected.sum()))


def _canary_cell(problem: Problem, needs: Sequence[Needs]) -> int | None:
    """Return the cell whose canary is back soonest, of those that have hosts for it, None: there is no canary."""
    count = _canary_hosts(problem)
    if count == 0:
        return None
    short = [max(0, count - len(need.host)) for need in needs]
    back_s = [int(np.sort(need.earliest_s)[:count].max(initial=0)) for need in needs]
    return min(range(len(needs)), key=lambda number: (short[number], back_s[number]))
