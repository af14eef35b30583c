"""Two limits on one search: whichever comes first ends it."""

from collections.abc import Sequence

from slacktide.planner.stopping import Stop


class EitherStop:
    """Stop when one of several conditions says so."""

    def __init__(self, stops: Sequence[Stop]) -> None:
        self.interrupted = False
        self._stops = tuple(stops)

    def __call__(self, iteration: int, value: float, bound: float) -> bool:
        """Return whether one of the conditions holds; every one of them is asked."""
        return any([stop(iteration, value, bound) for stop in self._stops])

    def over(self) -> bool:
        """Return whether one of the conditions ends even a try that is under way."""
        return any(stop.over() for stop in self._stops)

    def fraction(self, iteration: int) -> float | None:
        """Return the largest share that any of them knows."""
        known = [share for stop in self._stops if (share := stop.fraction(iteration)) is not None]
        return max(known, default=None)
