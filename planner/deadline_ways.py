"""Everything by T: which limits have to give, and how far.

For each limit alone the least level that suffices, found by bisection: bounds exclude the levels that cannot do, a plan
confirms the one that can.  Where no limit of the policy does alone, a smallest set of them, each given up no further
than needed; and where not even all of them do, one with facts of the fleet among them.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from slacktide.planner.conflict import Conflict, smallest_conflict
from slacktide.planner.levers import Lever
from slacktide.planner.plan import Plan
from slacktide.planner.reach import Levels, Oracle, TimeIsOver
from slacktide.planner.whatif import PlanFigures, figures_of

Verdict = Literal["reached", "not found", "impossible"]
"""Under the present limits: a plan keeps the time; none was found; the bound proves that there is none."""


@dataclass(frozen=True)
class Change:
    """One limit loosened."""

    limit: str
    before: str
    after: str


@dataclass(frozen=True)
class Way:
    """Limits loosened so that everything is done by T, and the plan that does it."""

    changes: tuple[Change, ...]
    plan: PlanFigures
    least: bool
    """Whether it is proven that a level less of any of them does not do, the others as they are."""
    of_fleet: bool
    """Whether facts of the fleet are among them: the plan is one for the fleet so changed."""


@dataclass(frozen=True)
class NoWay:
    """A limit that alone does not do, as loose as it gets."""

    limit: str
    loosest: str
    bound_s: float | None
    """The bound then; null: not all hosts can be patched."""
    proven: bool
    """Whether the bound is above T; otherwise no plan was found."""


@dataclass(frozen=True)
class DeadlineAnswer:
    """What must give."""

    by_s: int
    verdict: Verdict
    bound_s: float | None
    """Under the present limits; null: not all hosts can be patched."""
    present: PlanFigures | None
    """The plan that keeps the time under the present limits."""
    alone: tuple[Way, ...] = ()
    not_alone: tuple[NoWay, ...] = ()
    together: Way | None = None
    """A smallest set of limits, where none of the policy does alone."""
    conflict: Conflict | None = None
    """The smallest set of limits that rule T out together."""
    whole: bool = True
    """Whether all questions were answered before the time was over."""
    among_all: bool = True
    """Whether all limits were looked at; otherwise nothing is said of those that were not named."""

    def as_dict(self) -> dict[str, Any]:
        """Return the answer as plain data for JSON."""
        return {**asdict(self), "conflict": None if self.conflict is None else self.conflict.as_dict()}


@dataclass
class DeadlineSearch:
    """Answers what must give, part after part; :attr:`answer` holds what is known so far."""

    oracle: Oracle
    levers: Sequence[Lever]
    answer: DeadlineAnswer = field(init=False)

    def __post_init__(self) -> None:
        assert self.oracle.goal.by_s is not None
        bound_s = self.oracle.bound_s()
        self.answer = DeadlineAnswer(
            by_s=self.oracle.goal.by_s,
            verdict="impossible" if self.oracle.impossible() else "not found",
            bound_s=_finite(bound_s),
            present=None,
            whole=False,
            among_all=self.oracle.looks_at_all(self.levers),
        )

    def run(self) -> DeadlineAnswer:
        """Return the whole answer, or as much of it as the time allows."""
        try:
            self._present()
            if self.answer.verdict != "reached":
                self._alone()
                self._learnt(together=self._together())
                self._learnt(conflict=smallest_conflict(self.oracle, self.levers))
            self._learnt(whole=True)
        except TimeIsOver:
            pass
        return self.answer

    def _learnt(self, **parts: Any) -> None:  # noqa: ANN401  (fields of the answer)
        self.answer = replace(self.answer, **parts)

    def _present(self) -> None:
        """Look for a plan that keeps T under the present limits, the makespan first."""
        plan = self.oracle.answer().plan
        if plan is not None:
            self._learnt(verdict="reached", present=figures_of(plan))
        elif self.oracle.answer().proven:
            self._learnt(verdict="impossible")

    def _alone(self) -> None:
        report = self.oracle.effort.report
        for number, lever in enumerate(self.levers):
            report(number / len(self.levers), f"{lever.limit} alone")
            found = self._least([], lever)
            if found is None:
                loosest = [(lever, lever.most)]
                bound_s, proven = self.oracle.bound_s(loosest), self.oracle.answer(loosest).proven
                none = NoWay(lever.limit, lever.value(lever.most), _finite(bound_s), proven)
                self._learnt(not_alone=(*self.answer.not_alone, none))
            else:
                level, plan, least = found
                self._learnt(alone=(*self.answer.alone, _way([(lever, level)], plan, least=least)))

    def _together(self) -> Way | None:
        """Return the way of several limits, None: one of the policy suffices alone, or no plan is found without all."""
        alone = {way.changes[0].limit for way in self.answer.alone}
        policy = [lever for lever in self.levers if not lever.of_fleet]
        if any(lever.limit in alone for lever in policy):
            return None
        found = self._smallest(policy)
        return found if found is not None or alone else self._smallest(self.levers)

    def _smallest(self, among: Sequence[Lever]) -> Way | None:
        """Return a smallest set of limits, given up no further than needed, None: no plan even without all of them."""
        reached = next((levels for levels in _halved(among) if self.oracle.answer(levels).reached), None)
        if reached is None:
            return None
        kept = reached
        for lever in reversed(among):
            self.oracle.effort.report(None, f"together, with {lever.limit} as it is")
            fewer = [(other, level) for other, level in kept if other is not lever]
            if self.oracle.answer(fewer).reached:
                kept = fewer
        for lever, _ in reversed(kept.copy()):
            self.oracle.effort.report(None, f"together, how much of {lever.limit}")
            others = [(other, level) for other, level in kept if other is not lever]
            if (found := self._least(others, lever)) is not None:
                kept = [(other, found[0] if other is lever else level) for other, level in kept]
        proven = all(self.oracle.impossible(_one_less(kept, lever)) for lever, _ in kept)
        plan = self.oracle.answer(kept).plan
        return None if plan is None else _way(kept, plan, least=proven)

    def _least(self, others: Levels, lever: Lever) -> tuple[int, Plan, bool] | None:
        """Return the least level that reaches T beside ``others``, its plan, and whether less is proven not to do."""

        def excluded(level: int) -> bool:
            return self.oracle.impossible([*others, (lever, level)])

        def missed(level: int) -> bool:
            return not self.oracle.answer([*others, (lever, level)]).reached

        if excluded(lever.most):
            return None
        least = first_above(excluded, 0, lever.most)
        level = least
        if missed(least):
            done = next((level for level in _quarters(least, lever.most) if not missed(level)), None)
            if done is None:
                return None
            level = first_above(missed, least, done)
        plan = self.oracle.answer([*others, (lever, level)]).plan
        assert plan is not None
        return level, plan, excluded(level - 1)


def first_above(fails: Callable[[int], bool], low: int, high: int) -> int:
    """Return the least level at which something no longer fails, between ``low``, where it does, and ``high``."""
    while high - low > 1:
        middle = (low + high) // 2
        if fails(middle):
            low = middle
        else:
            high = middle
    return high


def _quarters(low: int, high: int) -> list[int]:
    """Return levels to look for a plan at, the loosest first: a search may do worse where it has more freedom."""
    return sorted({low + -(-(high - low) * part // 4) for part in range(1, 5)} - {low}, reverse=True)


def _halved(among: Sequence[Lever]) -> Iterator[list[tuple[Lever, int]]]:
    """Yield levels of all levers to look for a plan at, the loosest first, each about half of those before."""
    part = max((lever.most for lever in among), default=0)
    while part > 0:
        yield [(lever, min(lever.most, part)) for lever in among]
        part //= 2


def _one_less(levels: Levels, which: Lever) -> Levels:
    return [(lever, level - 1 if lever is which else level) for lever, level in levels]


def _way(levels: Levels, plan: Plan, *, least: bool) -> Way:
    changes = tuple(Change(lever.limit, lever.before, lever.value(level)) for lever, level in levels)
    return Way(changes, figures_of(plan), least, any(lever.of_fleet for lever, _ in levels))


def _finite(bound_s: float) -> float | None:
    return None if bound_s == float("inf") else bound_s
