"""An agent: has one driver carry out what the coordinator asks, and reports what comes of it.

One agent stands for one real host, or for many simulated ones.  Reports are kept until the coordinator says that they
are in its journal, so that none is lost if it dies in between.
"""

from collections import deque
from collections.abc import Sequence

from slacktide.errors import DriverError, ExecutionError
from slacktide.executors import events
from slacktide.executors.commands import Report, Turn
from slacktide.executors.drivers.protocol import (
    Adoption,
    Driver,
    HostCondition,
    HostVms,
    MigrationRequest,
    PatchRequest,
    TakenOver,
    VmLocation,
)
from slacktide.executors.events import Event


class HostAgent:
    """Carries out turns, one after the other."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._generation = 0
        self._adopted = False
        self._reports = 0
        self._kept: deque[tuple[int, list[Event], tuple[HostVms, ...]]] = deque()
        """Reports that were not acknowledged, by number."""

    def turn(self, turn: Turn) -> Report:
        """Begin what is asked and report what happened up to ``turn.until_s``.

        Raises
        ------
        ExecutionError
            If the turn comes from a coordinator that another has replaced.
        """
        if turn.generation < self._generation:
            fact = f"commands of generation {turn.generation} are refused: generation {self._generation} is in charge"
            raise ExecutionError("coordinator", fact, "Let it end; the newer one goes on with the campaign")
        while self._kept and self._kept[0][0] <= turn.acknowledged:
            self._kept.popleft()
        news = self._begin(turn)
        news += self._driver.poll(turn.until_s)
        seen = tuple(self._driver.seen(turn.until_s))
        if turn.generation > self._generation:
            self._adopted = self._generation > 0
            self._generation = turn.generation
            news = [event for _, kept, _ in self._kept for event in kept] + news
            seen = tuple(each for _, _, kept in self._kept for each in kept) + seen
            self._kept.clear()
        self._reports += 1
        if news or seen:
            self._kept.append((self._reports, news, seen))
        return Report(self._reports, news, self._driver.next_s(), seen)

    def _begin(self, turn: Turn) -> list[Event]:
        """Call the driver; where it cannot even try, that is an outcome."""
        refused: list[Event] = []
        if turn.look:
            self._driver.look(turn.look)
        if turn.notify:
            self._driver.notify(turn.notify)
        if turn.cancel:
            self._driver.cancel(turn.cancel)
        if turn.migrate:
            try:
                self._driver.migrate(turn.migrate)
            except DriverError as error:
                refused += [
                    events.MigrationFailed(r.at_s, r.migration_id, r.attempt, "intended", str(error), error.retryable)
                    for r in turn.migrate
                ]
        if turn.patch:
            try:
                self._driver.patch(turn.patch)
            except DriverError as error:
                refused += [events.PatchFailed(r.at_s, r.host_id, str(error), untouched=True) for r in turn.patch]
        return refused

    def adopt(self, adoption: Adoption) -> None:
        """Take charge of what an earlier agent began; one that reported before knows itself what it began."""
        if not self._adopted:
            self._adopted = True
            self._driver.adopt(adoption)

    def take_over(self, adoption: Adoption) -> TakenOver:
        """Take charge of what was under way when coordinator or agent ended, and say where it is."""
        self.adopt(adoption)
        migrations = [request for request, _ in adoption.migrations]
        return TakenOver(tuple(self.locate(migrations)), tuple(self.inspect(adoption.patches)))

    def locate(self, requests: Sequence[MigrationRequest]) -> list[VmLocation]:
        """Return where the VMs of these migrations are."""
        return self._driver.locate(requests)

    def inspect(self, requests: Sequence[PatchRequest]) -> list[HostCondition]:
        """Return how far these hosts' patches are."""
        return self._driver.inspect(requests)
