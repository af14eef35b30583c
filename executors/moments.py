"""Moments at which something may be due: those of the plan, in order, and timers set on the way."""

from collections.abc import Callable, Iterator, Sequence
from heapq import heappop, heappush
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from slacktide.executors.campaign_state import CampaignState, HostStage
from slacktide.executors.events import Stage
from slacktide.executors.program import Program

NOTIFY: Final = 0
START: Final = 1
DRAIN: Final = 2
WAVE: Final = 3
RETRY: Final = 4
MIGRATION_DEADLINE: Final = 5
PATCH_DEADLINE: Final = 6


class Moment(NamedTuple):
    """Something that may be due."""

    at_s: float
    kind: int
    subject: int
    """Number of a migration, host or wave."""
    attempt: int = 0


Planned = tuple[int, NDArray[np.int64], NDArray[np.float64] | NDArray[np.int64]]
"""A kind, its subjects and their moments."""


def planned_moments(program: Program, state: CampaignState, ready_s: NDArray[np.float64]) -> list[Planned]:
    """Return every moment of the plan that has not been acted on.

    ``ready_s``: from when on each migration's guest has had its notice, infinite: it has not been told; shape (M,).
    """
    part, hosts, waves = program.migrations, program.hosts, program.waves
    idle = state.stage < Stage.INTENDED
    starts = np.flatnonzero(idle)
    told = ~np.isnan(state.times[:, Stage.NOTIFIED])
    notices = np.flatnonzero(idle & ~told & (part.start_s > part.notified_s))
    drains = np.flatnonzero(hosts.planned & (state.host_stage == HostStage.IN_SERVICE))
    begins = np.where(np.isinf(ready_s), part.start_s, ready_s)
    return [
        (NOTIFY, notices, part.notified_s[notices]),
        (START, starts, begins[starts]),
        (DRAIN, drains, hosts.drain_start_s[drains]),
        (WAVE, np.arange(len(waves.gate)), waves.start_s),
    ]


class Moments:
    """All moments to come; ``stale`` says of a timer whether nothing hangs on it any more."""

    def __init__(
        self,
        planned: Sequence[Planned],
        stale: Callable[[Moment], bool],
    ) -> None:
        subjects = np.concatenate([of_kind for _, of_kind, _ in planned])
        moments = np.concatenate([at_s.astype(np.float64) for _, _, at_s in planned])
        kinds = np.repeat([kind for kind, _, _ in planned], [len(of_kind) for _, of_kind, _ in planned])
        order = np.lexsort((subjects, kinds, moments))
        self._at_s: list[float] = moments[order].tolist()
        self._kind: list[int] = kinds[order].tolist()
        self._subject: list[int] = subjects[order].tolist()
        self._place = 0
        self._timers: list[Moment] = []
        self._stale = stale

    def add(self, at_s: float, kind: int, subject: int, attempt: int = 0) -> None:
        """Set a timer."""
        heappush(self._timers, Moment(at_s, kind, subject, attempt))

    def due(self, now: float) -> Iterator[Moment]:
        """Yield every moment that has come and was not yielded before, the plan's first."""
        while self._place < len(self._at_s) and self._at_s[self._place] <= now:
            place = self._place
            self._place += 1
            yield Moment(self._at_s[place], self._kind[place], self._subject[place])
        while self._timers and self._timers[0].at_s <= now:
            timer = heappop(self._timers)
            if not self._stale(timer):
                yield timer

    def next_s(self) -> float | None:
        """Return the next moment; null: none is left."""
        while self._timers and self._stale(self._timers[0]):
            heappop(self._timers)
        moments = [self._timers[0].at_s] if self._timers else []
        if self._place < len(self._at_s):
            moments.append(self._at_s[self._place])
        return min(moments, default=None)

    def next_deadline_s(self) -> float | None:
        """Return when the next migration or patch overruns that is under way; null: none is."""
        deadlines = (MIGRATION_DEADLINE, PATCH_DEADLINE)
        timers = [timer.at_s for timer in self._timers if timer.kind in deadlines and not self._stale(timer)]
        return min(timers, default=None)
