"""A job's pulse: its progress written down every second, and whether it is to end read at the same time."""

import threading
import time
from types import TracebackType
from typing import Final

from slacktide.errors import SlacktideError
from slacktide.service.store.database import Database
from slacktide.service.store.jobs import tell_progress

BEAT_S: Final = 1.0
LEAST_FRACTION: Final = 0.02
"""Share of the work below which nothing is said of the rest: it would be a guess."""

MOST_FRACTION: Final = 0.99
"""What is said of a job whose time is over and that has not ended."""


class Pulse:
    """Progress as it is told, for whoever asks; and the word that the job is to end."""

    def __init__(self, database: Database, job_id: str) -> None:
        self._database, self._job_id = database, job_id
        self._told: tuple[float | None, str] = (None, "begun")
        self._origin_s = time.monotonic()
        self._limit: tuple[float, float] | None = None
        """Since when, and for how many seconds from then on."""
        self._reached = 0.0
        """The largest fraction that was told while there is a limit."""
        self._cancelled = threading.Event()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat, name=f"pulse of job {job_id}", daemon=True)

    def lasts(self, limit_s: float | None) -> None:
        """Take note of how long the job may take from now on, null: as long as it needs."""
        self._limit = (time.monotonic(), limit_s) if limit_s else None

    def tell(self, fraction: float | None, words: str) -> None:
        """Take note of how far the job is."""
        self._told = (fraction, words)

    def cancelled(self) -> bool:
        """Return whether the job is to end with what it has."""
        return self._cancelled.is_set()

    def __enter__(self) -> "Pulse":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def _beat(self) -> None:
        while True:
            (fraction, eta_s), words = self.far(time.monotonic()), self._told[1]
            try:
                if tell_progress(self._database, self._job_id, fraction, words, eta_s):
                    self._cancelled.set()
            except SlacktideError:
                pass  # it is told at the next beat
            if self._over.wait(BEAT_S):
                return

    def far(self, now_s: float) -> tuple[float | None, float | None]:
        """Return how far the job is, and how many seconds it has left: by what is done, or by its time if that is more.

        Once the time is over, the first plan and what is written after the search may take longer, nobody knows how
        long.
        """
        done = self._told[0]
        if self._limit is None:
            return done, self._eta_s(now_s, done)
        since_s, limit_s = self._limit
        used = (now_s - since_s) / limit_s
        self._reached = max(self._reached, min(MOST_FRACTION, max(used, done or 0.0)))
        if used >= 1:
            return self._reached, None
        left_s, eta_s = limit_s - (now_s - since_s), self._eta_s(now_s, done)
        return self._reached, left_s if eta_s is None else min(left_s, eta_s)

    def _eta_s(self, now_s: float, fraction: float | None) -> float | None:
        if fraction is None or fraction < LEAST_FRACTION:
            return None
        return (now_s - self._origin_s) * (1 - fraction) / fraction


class Cancelled:
    """A stop for the planner: the search ends with the best plan so far once the job is to end."""

    def __init__(self, pulse: Pulse) -> None:
        self.interrupted = False
        self._pulse = pulse

    def __call__(self, iteration: int, value: float, bound: float) -> bool:
        """Return whether the job is to end."""
        return self.over()

    def over(self) -> bool:
        """Return whether the job is to end."""
        if self._pulse.cancelled():
            self.interrupted = True
        return self.interrupted

    def fraction(self, iteration: int) -> float | None:
        """Return None: nobody knows when a person loses patience."""
        return None
