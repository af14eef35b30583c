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


class Pulse:
    """Progress as it is told, for whoever asks; and the word that the job is to end."""

    def __init__(self, database: Database, job_id: str) -> None:
        self._database, self._job_id = database, job_id
        self._told: tuple[float | None, str] = (None, "begun")
        self._origin_s = time.monotonic()
        self._cancelled = threading.Event()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat, name=f"pulse of job {job_id}", daemon=True)

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
            fraction, words = self._told
            try:
                if tell_progress(self._database, self._job_id, fraction, words, self._eta_s(fraction)):
                    self._cancelled.set()
            except SlacktideError:
                pass  # it is told at the next beat
            if self._over.wait(BEAT_S):
                return

    def _eta_s(self, fraction: float | None) -> float | None:
        if fraction is None or fraction < LEAST_FRACTION:
            return None
        return (time.monotonic() - self._origin_s) * (1 - fraction) / fraction


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
