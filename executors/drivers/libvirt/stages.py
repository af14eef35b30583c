"""The stages of one attempt, from what hypervisors tell: each reported once, in order, with its moment.

====================  ==================================================================
target reserved       the checks before the attempt have passed
target prepared       the target has started the domain, paused
connected, brownout   the source begins its first round of copying
blackout              the source has paused the guest
forwarding            the target has resumed it
source deleted        the source has stopped the domain, and forwards no more
====================  ==================================================================
"""

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from slacktide.executors import events
from slacktide.executors.drivers.libvirt.absence import Ending
from slacktide.executors.drivers.libvirt.hypervisors import Heard
from slacktide.executors.drivers.protocol import MigrationRequest
from slacktide.executors.events import Event, Stage

_EVENTS: Final[dict[Stage, type[events.AttemptEvent]]] = {
    Stage.RESERVED: events.TargetReserved,
    Stage.PREPARED: events.TargetPrepared,
    Stage.CONNECTED: events.TargetConnected,
    Stage.BROWNOUT: events.BrownoutStarted,
    Stage.BLACKOUT: events.BlackoutStarted,
    Stage.SOURCE_DELETED: events.SourceDeleted,
}
STARTED, SUSPENDED, RESUMED, STOPPED = 2, 3, 4, 5
"""``virDomainEventType``."""
BY_MIGRATION: Final = 1
"""Detail of a domain that was started, suspended or resumed by a migration."""
POSTCOPY: Final = 3
"""Detail of a domain that was resumed while its memory is still on the source."""
ENDINGS: Final = {0: "shut itself down", 1: "was destroyed by somebody"}
"""Details of a stopped domain that are no fault of a migration."""


class Stages:
    """What one attempt has come to; heard by libvirt's thread, finished by the attempt's own."""

    def __init__(self, request: MigrationRequest, report: Callable[[Event], None]) -> None:
        self._request = request
        self._report = report
        self._lock = threading.Lock()
        self.reached = Stage.INTENDED
        self.statistics: Mapping[str, Any] = {}
        """Of the finished job, as the source told them."""
        self._ended_by: str | None = None
        self.switched_wall_s: float | None = None
        """When the target resumed the guest, by the wall clock."""
        self.off_s: float | None = None
        """How long it ran nowhere, where it was restarted and not moved."""
        self._resumed_s: float | None = None
        self._stopped_s: float | None = None

    @property
    def ending(self) -> Ending:
        """What was heard of the guest's end; a migration's own is none."""
        return Ending(self._ended_by, self._resumed_s is not None or self.reached >= Stage.FORWARDING)

    @property
    def last_before_return(self) -> Stage:
        """The stage reached, as far as there is a way back from it."""
        return min(self.reached, Stage.BLACKOUT)

    def hear(self, heard: Heard) -> None:
        """Take note of what a hypervisor told of this VM."""
        if heard.host_id == self._request.source:
            self._hear_source(heard)
        elif heard.host_id == self._request.target:
            self._hear_target(heard)

    def _hear_source(self, heard: Heard) -> None:
        if heard.kind == "iteration":
            self.reach(Stage.CONNECTED, heard.at_s)
            self.reach(Stage.BROWNOUT, heard.at_s)
        elif heard.kind == "completed":
            self.statistics = heard.statistics
        elif heard.what == SUSPENDED and heard.detail == BY_MIGRATION:
            self.reach(Stage.BLACKOUT, heard.at_s)
        elif heard.what == STOPPED:
            self._stopped_s = heard.at_s
            self._ended_by = self._ended_by or ENDINGS.get(heard.detail)

    def _hear_target(self, heard: Heard) -> None:
        if heard.kind != "lifecycle":
            return
        if heard.what == STARTED and heard.detail == BY_MIGRATION:
            self.reach(Stage.PREPARED, heard.at_s)
        elif heard.what == RESUMED and heard.detail in (BY_MIGRATION, POSTCOPY) and self._resumed_s is None:
            self._resumed_s, self.switched_wall_s = heard.at_s, time.time()
            if heard.detail == POSTCOPY:  # the rest takes its time, and there is no way back from here
                self._forward(heard.at_s, None)
        elif heard.what == STOPPED and self._resumed_s is not None:
            self._ended_by = self._ended_by or ENDINGS.get(heard.detail)

    def reach(self, stage: Stage, at_s: float) -> None:
        """Report a stage, unless it or a later one was reported."""
        with self._lock:
            if stage > self.reached:
                self.reached = stage
                kind = _EVENTS[stage]
                self._report(kind(at_s, self._request.migration_id, self._request.attempt))

    def _forward(self, at_s: float, blackout_ms: float | None) -> None:
        with self._lock:
            if self.reached < Stage.FORWARDING:
                self.reached = Stage.FORWARDING
                request = self._request
                self._report(events.ForwardingStarted(at_s, request.migration_id, request.attempt, blackout_ms))

    def forward(self, statistics: Mapping[str, Any], now_s: float) -> float | None:
        """Report that the guest runs on its target, of an attempt whose call is over.

        Returns the blackout by the hypervisor's count, in milliseconds, if it could not be reported with it.
        """
        downtime = statistics.get("downtime")
        blackout_ms = None if downtime is None else float(downtime)
        if self.off_s is not None:
            blackout_ms = self.off_s * 1000
        late = self.reached >= Stage.FORWARDING
        self._forward(self._resumed_s or now_s, blackout_ms)
        return blackout_ms if late else None

    def delete_source(self, now_s: float, *, at_once: bool) -> None:
        """Report that nothing of the guest is left on its source; ``at_once``: since the hypervisor stopped it there.

        Otherwise its source has forwarded until now.
        """
        stopped_s = self._stopped_s if at_once and self._stopped_s is not None else now_s
        self.reach(Stage.SOURCE_DELETED, max(stopped_s, self._resumed_s or stopped_s))
