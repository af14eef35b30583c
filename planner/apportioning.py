"""Sharing one limited resource between cells so that the cell that needs longest needs as short as can be.

A cell with the amount L of a resource needs at least T seconds, by the arguments of :mod:`slacktide.planner.bounds`:
the area of its hosts over L, and for each period q as many of its instants as its hosts hit.  Read the other way round,
within T it needs at least

    L(T) = max of  A / T,  N(q) / floor((T - lead) / q),

which falls as T grows.  So the least T for which the cells' L(T), rounded up, fit into the whole is found by bisection,
exactly; what is left over is dealt by need.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slacktide.planner.bounds import periods
from slacktide.planner.needs import Demand

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

LONGEST_S = 2**40
"""No cell needs so long with any amount at all."""


@dataclass(frozen=True)
class Curve:
    """How much of a resource one cell needs to be done within a time."""

    areas: tuple[tuple[float, float], ...]
    """Resource times seconds, and how much of it there is beside what is shared."""
    hits: Floats
    """What the cell's hosts take at the instants of each period, shape (periods,)."""
    period_s: Ints
    lead_s: int

    def least(self, within_s: float) -> float:
        """Return the least amount with which the cell's bound is at most ``within_s``, infinite: none."""
        if not len(self.hits) or not self.hits.any():
            return 0.0
        if within_s <= 0:
            return float("inf")
        most = max(area / within_s - beside for area, beside in self.areas)
        instants = np.floor(max(0.0, within_s - self.lead_s) / self.period_s)
        hit = self.hits > 0
        if (instants[hit] == 0).any():
            return float("inf")
        return max(most, float((self.hits[hit] / instants[hit]).max()), 1.0)


def curve(demand: Demand) -> Curve:
    """Return the curve of a cell's demand."""
    tried = periods(demand, 0) if len(demand.member) else np.empty(0, np.int64)
    hits = (demand.amount[:, None] * (demand.span_s[:, None] // np.maximum(1, tried[None, :]))).sum(axis=0)
    areas = tuple((float(area.sum()), limit - demand.limit) for area, limit in demand.areas)
    return Curve(areas, hits, tried, demand.lead_s)


def apportioned(total: int, curves: Sequence[Curve], most: Sequence[int] | None = None) -> Ints:
    """Return how much of ``total`` each cell gets, at most ``most`` each: whole amounts that add up to no more.

    Where not every cell can have what it needs at any time, those that need most come first.
    """
    caps = np.full(len(curves), max(0, total), np.int64) if most is None else np.asarray(most, np.int64)
    if total <= 0 or not len(curves):
        return np.zeros(len(curves), np.int64)
    low, high = 0, LONGEST_S
    while high - low > 1:
        middle = (low + high) // 2
        if _fits(total, curves, caps, middle):
            high = middle
        else:
            low = middle
    wanted = [each.least(high) for each in curves]
    amounts = np.array([0 if np.isinf(want) else int(np.ceil(want)) for want in wanted], np.int64)
    amounts = np.minimum(amounts, caps)
    if amounts.sum() > total:
        amounts = _dealt(total, amounts.astype(np.float64), amounts)
    return amounts + _dealt(total - int(amounts.sum()), amounts.astype(np.float64), caps - amounts)


def _fits(total: int, curves: Sequence[Curve], caps: Ints, within_s: int) -> bool:
    left = total
    for each, cap in zip(curves, caps.tolist(), strict=True):
        want = each.least(within_s)
        if np.isinf(want) or np.ceil(want) > cap:
            return False
        left -= int(np.ceil(want))
    return left >= 0


def _dealt(total: int, weight: Floats, room: Ints) -> Ints:
    """Return ``total`` dealt by weight in whole parts, none above its ``room``; ties go to the first."""
    given = np.zeros(len(weight), np.int64)
    while total > given.sum():
        open_weight = np.where(given < room, weight, 0.0)
        if not open_weight.any():
            break
        share = (total - given.sum()) * open_weight / open_weight.sum()
        step = np.minimum(np.floor(share).astype(np.int64), room - given)
        if not step.any():
            order = np.lexsort((np.arange(len(share)), -share))
            wanting = order[(given < room)[order] & (weight[order] > 0)]
            step[wanting[: total - int(given.sum())]] = 1
        given += step
    return given
