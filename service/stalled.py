"""Telling that a campaign stands still, for want of its store or of a person, once, that it goes on, and who failed."""

from slacktide.executors.progress import FAILED_NAMED, Progress
from slacktide.service.console import tell


class Stalled:
    """Whether it was told, and what; a store that is on its way back may give other reasons every second."""

    def __init__(self, begins: str = "nothing new is begun", ends: str = "the campaign goes on") -> None:
        self._begins, self._ends = begins, ends
        self._told: str | None = None

    def tell(self, waits_for: str | None) -> None:
        """Tell what a campaign waits for, where that is new; null: it goes on."""
        if (waits_for is None) == (self._told is None):
            return
        self._told = waits_for
        if waits_for is None:
            tell(self._ends)
        else:
            tell(f"{self._begins}: {waits_for}")


class FailedHosts:
    """Which hosts that failed were told; those that had failed before it was first looked are not told again."""

    def __init__(self) -> None:
        self._told: set[str] | None = None

    def tell(self, now: Progress) -> None:
        """Tell of every host that has failed itself, or not come back from its patch, since."""
        failed = dict(now.failed_hosts)
        if self._told is None:
            self._told = set(failed)
        for host in [host for host in failed if host not in self._told]:
            tell(f"{host} is not patched: {failed[host]}")
            self._told.add(host)
            if len(self._told) == FAILED_NAMED:
                tell("further hosts that fail are not told here; `slacktide campaign show` has them")
