"""How far a campaign is, as single lines where no bar can move: cron, systemd, a pipe."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from slacktide.executors.readable import count, duration
from slacktide.service.console import shows_bars, tell
from slacktide.service.words import counted, plain

if TYPE_CHECKING:
    from slacktide.executors.progress import Progress

LEAST_S: Final = 10.0
"""Between two lines: a simulated night that is over in less says nothing, and many waves at once say one line."""
MOST_S: Final = 600.0
"""After which there is a line in any case, so that who reads the log knows that it goes on."""
STEPS: Final = 10
"""Parts of the whole after each of which there is a line."""


class ProgressLines:
    """Decides when there is something to tell: waves opened or over, another tenth done, or ten minutes gone by."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began: tuple[float, float] | None = None
        """This machine's moment and the campaign's at which it was first looked at."""
        self._told_s = 0.0
        self._told: tuple[int, int, int] = (0, 0, 0)

    def tell(self, now: "Progress") -> None:
        """Print a line on standard error if it is time for one and no bar is shown."""
        line = None if shows_bars() else self.line(now)
        if line is not None:
            tell(line)

    def line(self, now: "Progress") -> str | None:
        """Return what is to be told of a campaign at this moment; None: nothing yet."""
        at_s, known = self._clock(), (now.waves_opened, now.waves_over, int(STEPS * _share(now)))
        if self._began is None:
            self._began, self._told_s, self._told = (at_s, now.now_s), at_s, known
            return None
        since_s = at_s - self._told_s
        if now.finished or since_s < LEAST_S or (known == self._told and since_s < MOST_S):
            return None
        self._told_s, self._told = at_s, known
        hosts = f"{count(now.hosts_returned)} of {counted(now.hosts, 'host')} returned, {count(now.hosts_out)} out"
        done = int(100 * now.migrations_done / max(1, now.migrations))
        moves = f"{count(now.migrations_done)} of {counted(now.migrations, 'migration')} done ({done} %)"
        moves += f", {count(now.migrations_given_up)} given up" if now.migrations_given_up else ""
        waves = f"{count(now.waves_opened)} of {counted(now.waves, 'wave')} opened, {count(now.waves_over)} over"
        rest = f"waits: {now.waits_for}" if now.waits_for is not None else self._rest(now, at_s)
        return plain(f"{duration(now.now_s)} into the campaign: {hosts}; {moves}; {waves}; {rest}")

    def _rest(self, now: "Progress", at_s: float) -> str:
        """Return how long it will take by the plan and this machine's clock, or by how much it is late."""
        assert self._began is not None, "it was looked at before"
        if now.aborted:
            return "aborted, it ends once what is under way has ended"
        rest_s, passed_s = now.planned_s - now.now_s, now.now_s - self._began[1]
        if rest_s <= 0:
            return f"{duration(-rest_s)} later than planned"
        if passed_s <= 0:
            return f"the plan takes another {duration(rest_s)} of the campaign's time"
        return f"about {duration(rest_s * (at_s - self._began[0]) / passed_s)} of real time to go by the plan"


def _share(now: "Progress") -> float:
    """Return how much of it has ended, from 0 to 1."""
    ended = now.hosts_returned + now.hosts_failed + now.migrations_done + now.migrations_given_up
    return ended / max(1, now.hosts + now.migrations)
