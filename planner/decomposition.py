"""Planning a fleet cell by cell; read :class:`CellSearch` as the table of contents.

The master problem shares the fleet's limits between the cells, the cells are planned apart, by whatever ``map`` is
given, and their schedules are put together.  A cell's try depends on the seed, the number of the try and the cell
alone: the same tries give the same schedule wherever and in whatever order they are planned.
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
from slacktide.planner.listing.decisions import Schedule
from slacktide.planner.listing.schedule import build_instance
from slacktide.planner.needs import Needs, canary_size, host_needs
from slacktide.planner.orders import Queue
from slacktide.planner.pressing import pressing_order
from slacktide.planner.problem import Problem
from slacktide.planner.restriction import Part, restricted
from slacktide.planner.search import REPAIRS, Report, Score, Search, passes, rank_of, score_of, until_interrupted
from slacktide.planner.solve import terms_of
from slacktide.planner.stopping import Progress, Stop
from slacktide.planner.untangling import untangled

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

Tell = Callable[[str, float], None]
"""Takes how far this round is, in words and as a share."""
Over = Callable[[], bool]
"""Says whether even what is under way is to end."""
Attempt = tuple[int, int]
"""Numbers a further try: 0 and its round, or 1 and which of the first plan's extra tries it is."""

EXTRA_TRIES = 3
"""Further tries of the first plan for cells that end late: of 20 cells one or two do, and the fleet waits for them."""
LATE = 0.005
"""A cell is late that ends by this share after half of the others, and a join that ends by it after the cells."""
END = 2.0
"""What counts as the end of a late join, in means of the hosts' times out before the cells' end."""


def planned_in_cells(
    problem: Problem,
    bounds: Bounds,
    count: int,
    seed: int,
    stop: Stop,
    cell_map: CellMap,
    report: Report,
    origin_s: float,
) -> Search:
    """Return the best schedule found for the fleet cut into ``count`` cells.

    Every cell is planned once, however long it takes; further rounds, one try for each cell, go on until ``stop``.
    """

    def tell(words: str, fraction: float | None) -> None:
        report(Progress(words, 0, None, None, None, time.monotonic() - origin_s, fraction))

    cell = cut(problem, count)
    cells = CellSearch.of(problem, cell, cell_map, seed, tell)
    cells.begin()
    search = Search(problem, bounds, report, origin_s, cells.schedule(), cells.score())
    with until_interrupted(stop):
        while not stop(search.iteration, search.excess(), 1.0):
            cells.try_again(search.iteration, stop.over)
            search.iteration += 1
            search.offer(cells.schedule())
    tell("joining the cells", None)
    search.best = joined_in_one_pass(problem, bounds, cell, search.best)
    search.score = score_of(problem, search.best)
    return search


def joined_in_one_pass(problem: Problem, bounds: Bounds, cell: Ints, schedule: Schedule) -> Schedule:
    """Return the cells' schedules as one that keeps every limit of the fleet.

    What collides is put right where it stands as far as that goes.  Then one pass over the whole fleet keeps what fits,
    decides the rest anew, and finds room for hosts that had none in their cells.  A host decided anew may come back
    long after all others, which have taken every place: then the end is decided anew as well.  If some hosts still have
    no room, the fleet is planned in one piece, too.  The best of these schedules counts.
    """
    needs, instance = host_needs(problem), build_instance(problem)
    queue, terms = Queue(pressing_order(problem, needs)), terms_of(problem, needs, bounds)
    promised = untangled(problem, cell, schedule)[0]
    found = passes(problem, instance, terms, [lambda _: queue], promised=promised)
    if found[0].makespan_s > (1 + LATE) * schedule.makespan_s:
        end = _late_sooner(found[0], schedule.makespan_s)
        found += passes(problem, instance, terms, [lambda _: end], repairs=REPAIRS)
    if len(found[0].host) < len(needs.host):
        found += passes(problem, instance, terms, [lambda _: queue])
    return min(found, key=lambda each: rank_of(score_of(problem, each), problem.policy.objective))


def _late_sooner(joined: Schedule, ends_s: int) -> Queue:
    """Return an order of who leaves near the end, those first that come back after ``ends_s``; all before is kept."""
    mean_s = float((joined.return_s - joined.drain_start_s).mean())
    late = joined.return_s > ends_s
    ahead = (joined.drain_start_s < ends_s - END * mean_s) & ~late
    behind = np.flatnonzero(~ahead)
    order = behind[np.lexsort((joined.drain_start_s[behind], ~late[behind]))]
    return Queue(joined.host[order], kept=joined.part(ahead))


@dataclass
class CellSearch:
    """The cells of a fleet, and the best schedule of each so far."""

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
    def of(cls, problem: Problem, cell: Ints, cell_map: CellMap, seed: int, tell: Tell) -> "CellSearch":
        """Cut the problem into cells and share its limits between them."""
        parts = [restricted(problem, np.flatnonzero(cell == number)) for number in range(int(cell.max()) + 1)]
        search = cls(problem, parts, cell_map, seed, tell)
        search.needs = [host_needs(part.problem) for part in parts]
        search.canary = _canary_cell(problem, search.needs)
        search._share()
        return search

    def begin(self) -> None:
        """Plan every cell once: the one with the canary first, for its gate opens the others."""
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
                self._offer(self._tried(self._waited_for(), (1, extra)))

    def try_again(self, iteration: int, over: Over) -> None:
        """Plan every cell once more, in an order made from its best schedule, and keep what is better."""
        self._offer(self._tried(list(range(len(self.parts))), (0, iteration), over))

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

    def score(self) -> Score:
        """Return what the whole fleet's schedule is worth."""
        return score_of(self.problem, self.schedule())

    def _share(self) -> None:
        canary = _canary_hosts(self.problem)
        of_cell = [canary if number == self.canary else 0 for number in range(len(self.parts))]
        self.budgets = budgets(self.problem, self.parts, of_cell)

    def _tried(
        self, numbers: Sequence[int], attempt: Attempt | None, over: Over = lambda: False
    ) -> dict[int, Schedule]:
        """Return a schedule for each of the cells ``numbers``; of a first try, or of a further one."""
        tasks = [self._task(number, attempt) for number in numbers]
        mapped = iter(self.cell_map(plan_cell, [self.parts[number].problem for number in numbers], tasks))
        found: dict[int, Schedule] = {}
        try:
            while len(found) < len(tasks) and not over():
                schedule = next(mapped)
                if schedule is None:
                    break
                found[tasks[len(found)].number] = schedule
                self._tell_of(len(found), len(tasks), attempt)
        finally:
            if isinstance(mapped, Generator):
                mapped.close()
        return found

    def _tell_of(self, done: int, tasks: int, attempt: Attempt | None) -> None:
        if attempt is not None:
            self.tell(f"{done} of {tasks} cells tried again", done / tasks)
            return
        alone = self.canary is not None and tasks == 1
        done = done if alone else len(self.parts) - tasks + done
        self.tell(f"{done} of {len(self.parts)} cells planned", done / len(self.parts))

    def _task(self, number: int, attempt: Attempt | None) -> CellTask:
        return CellTask(
            number=number,
            of=len(self.parts),
            budget=self.budgets[number],
            opens_s=0 if number == self.canary else self.opens_s,
            seed=None if attempt is None else (self.seed, number, *attempt),
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
