"""What a what-if found, as people read it: every figure with its unit, plans beside bounds."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Final, Literal

from slacktide.executors.readable import count, duration, host_hours, percent
from slacktide.planner.conflict import Conflict
from slacktide.planner.deadline_ways import DeadlineAnswer, Way
from slacktide.planner.pareto import FrontPoint
from slacktide.planner.relaxation import Relaxation
from slacktide.planner.whatif import PlanFigures, Purchase
from slacktide.service.what_if_run import WhatIf
from slacktide.service.words import counted, plain
from slacktide.units import SECONDS_PER_HOUR

LEAST_HOST_H: Final = 0.05
"""Host-hours below which a gain is none: three minutes of one host."""
ABOVE_PROMISE: Final = "* more than the bound promises: from the search, or from what bounds do not see"


def what_if_title(found: WhatIf) -> str:
    """Return one line about the plan under the present limits."""
    now = found.present
    deferred = f", {count(now.deferred)} deferred" if now.deferred else ""
    return plain(
        f"Policy {found.policy}: {counted(now.hosts, 'host')} in {duration(now.makespan_s)}, exposure "
        f"{host_hours(now.exposure_host_h)}{deferred} (plan {now.plan_id})"
    )


def ended_words(ended_by: Literal["time", "tries"], *, interrupted: bool = False) -> str:
    """Return what ended the search for the present plan too soon, and what that means for the table."""
    what = "the number of tries" if ended_by == "tries" else "the interrupt" if interrupted else "the time"
    return f"{what} ended the search for this plan: part of what limits seem to buy is the search's"


def deadline_lines(answer: DeadlineAnswer, *, interrupted: bool = False) -> Iterator[str]:
    """Yield what must give for everything to be done by T."""
    yield _verdict(answer)
    if answer.verdict == "reached":
        return
    yield from _ways(answer)
    sure = [one.limit for one in answer.not_alone if one.proven]
    unsure = [one.limit for one in answer.not_alone if not one.proven]
    if sure:
        yield f"Alone proven not to suffice, however loose: {', '.join(sure)}"
    if unsure:
        yield f"Alone no plan found, however loose: {', '.join(unsure)}"
    if answer.conflict is not None:
        yield answer.conflict.text()
        yield from _indented(answer.conflict)
    if not answer.whole:
        yield f"The {'interrupt came' if interrupted else 'time ended'} before every question was answered"


def _verdict(answer: DeadlineAnswer) -> str:
    by, bound = duration(answer.by_s), "none" if answer.bound_s is None else duration(answer.bound_s)
    if answer.verdict == "reached" and answer.present is not None:
        plan = answer.present
        if not plan.hosts and plan.deferred:
            return f"Everything by {by}: no host can be patched, whatever limit gives; `slacktide plan` says why"
        rest = f"; {counted(plan.deferred, 'host')} left alone, whatever limit gives" if plan.deferred else ""
        return f"Everything by {by}: the present limits suffice, {_takes(plan)} (plan {plan.plan_id}){rest}"
    if answer.verdict == "impossible":
        why = "not all hosts can be patched" if answer.bound_s is None else f"the bound is {bound}"
        return f"Everything by {by}: proven impossible under the present limits, {why}"
    return f"Everything by {by}: no plan found under the present limits; the bound, {bound}, does not exclude one"


def _ways(answer: DeadlineAnswer) -> Iterator[str]:
    if answer.alone:
        yield "What suffices alone:"
        yield from (f"  {_way(way)}" for way in answer.alone)
    named = "" if answer.among_all else " that was named"
    if answer.together is not None:
        yield f"No limit{' of the policy' if answer.alone else ''}{named} suffices alone; together:"
        yield f"  {_way(answer.together)}"
    elif answer.whole and answer.alone and all(one.of_fleet for one in answer.alone):
        yield f"No plan was found that gives up only limits of the policy{' that were named' if named else ''}"
    elif (
        not answer.alone
        and answer.whole
        and (answer.conflict is None or not answer.conflict.proven or answer.conflict.members)
    ):
        yield "No plan was found even with all of these limits given up"


def conflict_lines(conflict: Conflict) -> Iterator[str]:
    """Yield why hosts are left alone."""
    yield f"Why hosts are left alone: {conflict.text()}"
    yield from _indented(conflict)


def _indented(conflict: Conflict) -> Iterator[str]:
    yield from (f"  {line}" for line in conflict.lines(duration))


def purchase_rows(bought: list[Purchase]) -> Iterator[tuple[str, ...]]:
    """Yield the table of what each limit buys, what buys most first, below a line of headings."""
    yield "limit", "one step", "makespan", "exposure", "per unit", "what the bound promises"
    for one in sorted(bought, key=lambda one: (-one.more_hosts, -one.exposure_gain_host_h, -one.gain_s, one.limit)):
        marks = [" *" if above else "" for above in above_promise(one)]
        yield (
            one.limit,
            f"{one.before} -> {one.after}",
            _less(one.gain_s, 1, duration) + marks[0],
            _less(one.exposure_gain_host_h, LEAST_HOST_H, host_hours) + marks[1],
            _per_unit(one),
            _promise(one),
        )


def promised_title(found: WhatIf) -> str:
    """Return the line above what bounds say of limits that were not planned."""
    why = "the work was interrupted" if found.interrupted else "the time was over"
    if found.promised:
        return f"not planned, {why}; what the quick bounds promise, without a plan:"
    return f"not planned, {why}: {', '.join(found.not_planned)}"


def promised_rows(promised: Sequence[Relaxation]) -> Iterator[tuple[str, ...]]:
    """Yield what bounds say of limits that were not planned, below a line of headings."""
    yield "limit", "one step", "makespan", "exposure"
    for one in promised:
        step = f"{one.before} -> {one.after}"
        if math.isinf(one.bound_s) or math.isinf(one.gain_s):
            yield one.limit, step, "still no plan" if math.isinf(one.bound_s) else "a plan becomes possible", ""
        else:
            exposure = _less(one.exposure_gain_s / SECONDS_PER_HOUR, LEAST_HOST_H, host_hours)
            yield one.limit, step, _less(one.gain_s, 1, duration), exposure


def above_promise(one: Purchase) -> tuple[bool, bool]:
    """Return whether makespan and exposure fall further than their bounds, as far as it would be seen."""
    return (one.gain_above_bound_s or 0) >= 1, (one.exposure_gain_above_bound_host_h or 0) >= LEAST_HOST_H


def front_rows(points: tuple[FrontPoint, ...]) -> Iterator[tuple[str, ...]]:
    """Yield the table of a front, below a line of headings."""
    yield "hosts out", "makespan", "bound, gap", "moves per VM", "exposure", "bound, gap", "first objective, plan"
    for one in points:
        yield (
            f"{count(one.hosts_out)} of {count(one.max_out_fleet)} allowed{' *' if one.present else ''}",
            duration(one.makespan_s),
            f"{duration(one.makespan_bound_s)}, {percent(one.makespan_gap)}",
            f"{one.moves_per_vm:.3f}",
            host_hours(one.exposure_host_h),
            f"{host_hours(one.exposure_bound_host_h)}, {percent(one.exposure_gap)}",
            f"{one.first_objective}, {one.plan_id}",
        )


def _way(way: Way) -> str:
    changes = ", ".join(f"{one.limit} {one.before} -> {one.after}" for one in way.changes)
    least = "proven least" if way.least else "least found"
    return f"{changes}: {_takes(way.plan)} ({least}, plan {way.plan.plan_id})"


def _takes(figures: PlanFigures) -> str:
    return duration(figures.makespan_s)


def _less(gain: float, least: float, said: Callable[[float], str]) -> str:
    """Return a gain with its sign, a minus for what a figure falls by; 0 for less than would be seen."""
    return "0" if abs(gain) < least else f"{'-' if gain > 0 else '+'}{said(abs(gain))}"


def _per_unit(one: Purchase) -> str:
    if one.unit == "limit" or one.present or one.more_hosts:  # with other hosts the figures are of another campaign
        return ""
    hours, host_h = one.gain_h_per_unit, one.exposure_gain_host_h_per_unit
    return f"{_signed(-hours, 3)} h, {_signed(-host_h, 1 if abs(host_h) >= 10 else 2)} host-h per {one.unit}"


def _signed(value: float, decimals: int) -> str:
    """Return a value with its sign, 0 for what would be shown as none."""
    rounded = round(value, decimals)
    return f"{rounded:+,.{decimals}f}" if rounded else "0"


def _promise(one: Purchase) -> str:
    if one.bound_gain_s is None or one.exposure_bound_gain_host_h is None:
        promised = "a plan becomes possible"
    elif one.bound_gain_s < 1 and one.exposure_bound_gain_host_h < LEAST_HOST_H:
        promised = "nothing"
    else:
        exposure = _less(one.exposure_bound_gain_host_h, LEAST_HOST_H, host_hours)
        promised = f"{_less(one.bound_gain_s, 1, duration)}, {exposure}"
    more = f"; {counted(one.more_hosts, 'host')} more patched" if one.more_hosts > 0 else ""
    return promised + more + ("; no better plan found" if one.present else f"; plan {one.plan.plan_id}")
