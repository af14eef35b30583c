"""The smallest set of limits in conflict: together they rule a goal out, and without any one of them they do not.

Deletion: limits are given up one after the other, as far as they go; where the goal stays out of reach the limit is no
part of the conflict and stays given up, otherwise it is part and is put back.  What is left rules the goal out.  A last
round asks the same of every limit that is left, with all others of them in force, since a bound may rise a little where
a limit is loosened.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from slacktide.planner.levers import Lever
from slacktide.planner.reach import Answer, Ground, Levels, Oracle

LOOSE: Final = "however loose all others are"
"""What a conflict means, and what is tried without one of its limits: all others are given up as far as they go."""
NAMED_LOOSE: Final = "however loose the others named are, and all that were not named as they are"
"""The same where only some limits were looked at."""


@dataclass(frozen=True)
class Member:
    """One limit of a conflict."""

    limit: str
    value: str
    without_s: float
    """If it alone of the conflict were given up: makespan of a plan, or the bound where none was looked for."""
    plan_id: str | None
    """The audited plan then; null: it is no longer proven that there is none, but none is known."""


@dataclass(frozen=True)
class Conflict:
    """Limits that together rule a goal out."""

    members: tuple[Member, ...]
    """Empty: no limit keeps the goal out of reach but the fleet itself."""
    ground: Ground
    """What says that they rule it out; ``search``: no plan was found, which is no proof."""
    among_all: bool = True
    """Whether all limits were looked at; otherwise those that were not named stayed as they are, and may be part."""

    @property
    def proven(self) -> bool:
        """Whether it is proven that no plan keeps them all."""
        return self.ground != "search"

    def as_dict(self) -> dict[str, Any]:
        """Return the conflict as plain data for JSON."""
        return {**asdict(self), "proven": self.proven}

    def text(self) -> str:
        """Return the conflict in a sentence."""
        how = {"bounds": "proven", "joint model": "proven with the joint model", "search": "not proven: no plan found"}
        said = how[self.ground]
        loose = LOOSE if self.among_all else NAMED_LOOSE
        if not self.members and self.among_all:
            return f"No limit of the policy stands in the way, but the fleet itself ({said})"
        if not self.members:
            none = "no plan is found" if self.ground == "search" else "it is proven that there is no plan"
            return (
                "Not the limits that were named stand in the way, but others, which were not looked at, or the fleet: "
                f"as loose as the named ones get, {none}"
            )
        named = ", ".join(f"{one.limit} {one.value}" for one in self.members)
        if len(self.members) == 1:
            outcome = f"without it as well {_outcome(self.members)}"
            return f"This limit alone is in conflict: {named} ({said}), {loose}; {outcome}"
        without = f"drop any one as well and {_outcome(self.members)}"
        return f"These limits together are in conflict: {named} ({said}), {loose}; {without}"

    def lines(self, said: Callable[[float], str]) -> Iterator[str]:
        """Yield what there is without each limit, the others of the conflict kept; times as ``said``."""
        for one in self.members:
            if one.plan_id is None:
                yield f"without {one.limit}{self._others}: no plan is known; the bound is {said(one.without_s)}"
            else:
                yield f"without {one.limit}{self._others}: {said(one.without_s)} (plan {one.plan_id})"

    @property
    def _others(self) -> str:
        """Return what else is loose where a limit is given up: it is not that limit alone."""
        outside = " outside this conflict" if len(self.members) > 1 else ""
        return f", and with {'all others' if self.among_all else 'the others named'}{outside} loose too"


def smallest_conflict(oracle: Oracle, levers: Sequence[Lever]) -> Conflict | None:
    """Return a smallest set of limits that keep the oracle's goal out of reach, None: as far as is known none do.

    Where it is proven that all limits together do, the set is one of which that is proven, and without any one of its
    limits it no longer is; otherwise it is one for which no plan is found, and without any one limit there is a plan.
    The limits that cost most to give up are tried first, so that they are kept out where others do.  Where ``levers``
    are not all that there are, nothing is said of the others.

    Raises
    ------
    TimeIsOver
        If the oracle's time ended before the set was smallest.
    """
    present = oracle.answer()
    if present.ground is None:
        return None
    proof, ground, given_up = present.proven, present.ground, list[tuple[Lever, int]]()
    while True:
        members, before = list[Member](), len(given_up)
        for number, lever in enumerate(reversed(levers)):
            if any(lever is other for other, _ in given_up):
                continue
            oracle.effort.report(number / len(levers), f"without {lever.limit}")
            tried: Levels = [*given_up, (lever, lever.most)]
            answer = oracle.answer(tried)
            if answer.ground is not None and (answer.proven or not proof):
                ground, given_up = answer.ground, [*tried]
            else:
                members.append(_member(lever, answer, oracle.bound_s(tried)))
        if len(given_up) == before:
            return Conflict(tuple(reversed(members)), ground, oracle.looks_at_all(levers))


def _member(lever: Lever, answer: Answer, bound_s: float) -> Member:
    if answer.plan is None:
        return Member(lever.limit, lever.before, bound_s, None)
    header = answer.plan.header
    return Member(lever.limit, lever.before, float(header.summary.makespan_s), header.id)


def _outcome(members: Sequence[Member]) -> str:
    return "a plan exists" if all(one.plan_id for one in members) else "a plan may exist"
