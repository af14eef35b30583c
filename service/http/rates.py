"""How often callers may ask."""

import math
import time
from typing import Literal

from limits import RateLimitItem, parse
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from slacktide.service.http.problems import ApiError
from slacktide.service.http.settings import Rates

Kind = Literal["reads", "changes", "creations", "refusals", "tokens unchecked"]


class TooOftenError(ApiError):
    """A refusal of whoever asks too often; ``is_first`` of a run of them, which is then noted once."""

    def __init__(self, fact: str, wait_s: int, *, is_first: bool) -> None:
        super().__init__(429, "too-often", "request", fact, f"Wait {wait_s} s", {"Retry-After": str(wait_s)})
        self.is_first = is_first


class RateFence:
    """Counts by caller, and for refusals and tokens that nobody can check by address; a replica's own."""

    def __init__(self, rates: Rates) -> None:
        self._limits: dict[Kind, RateLimitItem] = {
            "reads": parse(rates.reads),
            "changes": parse(rates.changes),
            "creations": parse(rates.creations),
            "refusals": parse(rates.refusals),
            "tokens unchecked": parse(rates.refusals),
        }
        self._windows = MovingWindowRateLimiter(MemoryStorage())
        self._over: set[tuple[Kind, str]] = set()
        """Callers whose last request that is noted was refused."""

    def count(self, kind: Kind, whose: str, *, noted: bool = True) -> None:
        """Count one request.

        Parameters
        ----------
        noted
            Whether it is one of those of which the first in a row that come too often is noted.

        Raises
        ------
        TooOftenError
            429, if there were too many.
        """
        if not self._windows.hit(self._limits[kind], kind, whose):
            raise self._too_often(kind, whose, noted=noted)
        self._over.discard((kind, whose))

    def check(self, kind: Kind, whose: str, *, noted: bool = True) -> None:
        """Refuse as :meth:`count`, without counting."""
        if not self._windows.test(self._limits[kind], kind, whose):
            raise self._too_often(kind, whose, noted=noted)

    def _too_often(self, kind: Kind, whose: str, *, noted: bool) -> "TooOftenError":
        reset_s, _ = self._windows.get_window_stats(self._limits[kind], kind, whose)
        wait_s = max(1, math.ceil(reset_s - time.time()))
        fact = f"more than {self._limits[kind]} of {kind}"
        is_first = (kind, whose) not in self._over
        if noted:
            self._over.add((kind, whose))
        return TooOftenError(fact, wait_s, is_first=is_first)
