"""When the search for a better plan ends: a condition is any callable, so that tests count iterations, not seconds."""

import time
from dataclasses import dataclass
from typing import Protocol

PATIENCE = 24
"""Tries in a row that bring next to nothing before the search ends by itself.

With 8, plans of three fleets of 1,000 hosts under `urgent` ended at gaps of 5.4, 5.1 and 4.9 % in makespan after some
5 s, with 24 at 3.6, 3.4 and 4.9 % after 9 to 17 s (two workers); under `routine` one had 9.4 % in exposure, and 4.8 %.
"""
WORTHWHILE = 0.002
"""An improvement by less than this share of the bounds counts as none."""
CLOSE = 0.005
"""A plan this near its bound is not searched on: what is left is less than a minute in three hours."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far planning has come."""

    phase: str
    iteration: int
    makespan_s: int | None
    bound_s: float | None
    exposure_host_h: float | None
    elapsed_s: float
    fraction: float | None
    """Of the whole, where that is known."""
    left_alone: int | None = None
    """Due hosts that have no place in the best plan so far."""


class Stop(Protocol):
    """Says after each try whether the search ends."""

    interrupted: bool
    """Whether a search that this ends has been interrupted: then none begins after it."""

    def __call__(self, iteration: int, value: float, bound: float) -> bool:
        """Return whether to stop after ``iteration`` tries.

        ``value`` is how far the best plan is from its bounds, the mean over its goals; it cannot be below ``bound``.
        """
        ...

    def over(self) -> bool:
        """Return whether even a try that is under way is to end."""
        ...

    def fraction(self, iteration: int) -> float | None:
        """Return how much of the search is done, None: unknown."""
        ...


class Iterations:
    """Stop after a number of tries; the only condition under which plans repeat byte for byte."""

    def __init__(self, limit: int) -> None:
        self.interrupted = False
        self._limit = limit

    def __call__(self, iteration: int, value: float, bound: float) -> bool:
        """Return whether the tries are used up."""
        return iteration >= self._limit

    def over(self) -> bool:
        """Return False: every try that has begun counts."""
        return False

    def fraction(self, iteration: int) -> float | None:
        """Return the share of tries used."""
        return min(1.0, iteration / self._limit) if self._limit else 1.0


class TimeLimit:
    """Stop after a number of seconds, counted from when the condition was made, or at the bound."""

    def __init__(self, limit_s: float) -> None:
        self.interrupted = False
        self._limit_s = limit_s
        self._origin_s = time.monotonic()

    def __call__(self, iteration: int, value: float, bound: float) -> bool:
        """Return whether the time is over or nothing is left to gain."""
        return self.over() or value <= bound

    def over(self) -> bool:
        """Return whether the time is over."""
        return time.monotonic() - self._origin_s >= self._limit_s

    def fraction(self, iteration: int) -> float | None:
        """Return the share of the time used."""
        return min(1.0, (time.monotonic() - self._origin_s) / self._limit_s) if self._limit_s > 0 else 1.0


class NoImprovement:
    """Stop when several tries in a row brought next to nothing, or the plan is close to its bound."""

    def __init__(self, patience: int = PATIENCE) -> None:
        self.interrupted = False
        self._patience = patience
        self._best = float("inf")
        self._since = 0

    def __call__(self, iteration: int, value: float, bound: float) -> bool:
        """Return whether the search has run dry."""
        if value < self._best * (1 - WORTHWHILE):
            self._best, self._since = value, iteration
        return iteration - self._since >= self._patience or value <= bound * (1 + CLOSE)

    def over(self) -> bool:
        """Return False: a try that has begun may bring something."""
        return False

    def fraction(self, iteration: int) -> float | None:
        """Return None: nobody knows when it runs dry."""
        return None
