"""When the searches of a what-if end: after so many tries, once a time is kept, or when nothing more comes of them."""

from collections.abc import Callable

from slacktide.planner.stopping import NoImprovement, Progress


class Tries:
    """Stop after some tries, once a plan has all hosts back ``by_s``, or when the time is over."""

    def __init__(self, limit: int, over: Callable[[], bool], by_s: int | None = None) -> None:
        self.interrupted = False
        self._limit, self._over, self._by_s = limit, over, by_s
        self._reached = False

    def note(self, progress: Progress) -> None:
        """Take in how good the best plan is so far."""
        if self._by_s is not None and progress.makespan_s is not None:
            self._reached = progress.left_alone == 0 and progress.makespan_s <= self._by_s

    def __call__(self, iteration: int, value: float, bound: float) -> bool:
        """Return whether the search ends."""
        return iteration >= self._limit or self._reached or value <= bound or self._over()

    def over(self) -> bool:
        """Return whether the time is over."""
        return self._over()

    def fraction(self, iteration: int) -> float | None:
        """Return the share of tries used."""
        return min(1.0, iteration / self._limit) if self._limit else 1.0


class RunsDry(NoImprovement):
    """Stop where a search that nobody ends stops, or when the time is over."""

    def __init__(self, over: Callable[[], bool]) -> None:
        super().__init__()
        self._over = over

    def __call__(self, iteration: int, value: float, bound: float) -> bool:
        """Return whether the search ends."""
        return super().__call__(iteration, value, bound) or self._over()

    def over(self) -> bool:
        """Return whether the time is over."""
        return self._over()


class CountedTries(Tries):
    """Stop after some tries, and know whether a search that nobody ends would have stopped as well."""

    def __init__(self, limit: int, over: Callable[[], bool]) -> None:
        super().__init__(limit, over)
        self.dry = True
        self._endless = NoImprovement()

    def __call__(self, iteration: int, value: float, bound: float) -> bool:
        """Return whether the search ends."""
        self.dry = self._endless(iteration, value, bound)
        return super().__call__(iteration, value, bound)
