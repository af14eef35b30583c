"""A copy under way: sampled, kept to its bandwidth, and made to converge."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from slacktide.executors import events
from slacktide.executors.drivers.libvirt.convergence import Ladder, Sample, Step
from slacktide.executors.drivers.libvirt.pace import Pace
from slacktide.executors.drivers.protocol import MigrationRequest
from slacktide.executors.events import Event

if TYPE_CHECKING:
    import libvirt

BYTES_PER_MIB: Final = 2**20
PROGRESS_S: Final = 5.0
"""How often progress is told: often enough for an eye, seldom enough for a journal of a hundred thousand."""
PACE_S: Final = 1.0
"""How often the bandwidth is corrected: QEMU measures its own limit over a tenth of a second."""


class Copying:
    """Looks after one attempt between its first byte and its switch."""

    def __init__(self, request: MigrationRequest, ladder: Ladder, pace: Pace, report: Callable[[Event], None]) -> None:
        self._request = request
        self._ladder = ladder
        self.pace = pace
        self._report = report
        self._limit_mib_s = pace.first_limit_mib_s
        self._began: float | None = None
        self._told = self._paced = -PROGRESS_S
        self._limit_set = False

    def look(self, domain: "libvirt.virDomain", now_s: float) -> None:
        """Take a sample and act on it; a domain that has no such job, or does not answer, is left alone."""
        import libvirt

        try:
            found = domain.jobStats()
            if found.get("operation") == libvirt.VIR_DOMAIN_JOB_OPERATION_MIGRATION_OUT and found.get("data_total"):
                self._act(domain, found, now_s)
        except libvirt.libvirtError:
            return  # it is over, or the host is lost: the migration's own call says which

    def _act(self, domain: "libvirt.virDomain", found: dict[str, Any], now_s: float) -> None:
        if self._began is None:
            self._began = time.monotonic()
        sample = _sample(found, time.monotonic() - self._began)
        if not self._limit_set:
            domain.migrateSetMaxDowntime(self._ladder.first_limit_ms)
            self._limit_set = True
        step = self._ladder.next_step(sample)
        if step is not None:
            self._take(step, domain, now_s)
        self._keep_pace(domain, sample)
        if sample.at_s - self._told >= PROGRESS_S:
            self._told = sample.at_s
            self._report(_progress(self._request, sample, now_s))

    def _take(self, step: Step, domain: "libvirt.virDomain", now_s: float) -> None:
        """Take a rung of the ladder; one that the hypervisor does not take now is tried at the next look."""
        if step.name == "raise-limit":
            domain.migrateSetMaxDowntime(self._ladder.longest_ms)
        elif step.name == "postcopy":
            domain.migrateStartPostCopy()
        self._ladder.took(step)
        attempt = self._request.migration_id, self._request.attempt
        self._report(events.MigrationForced(now_s, *attempt, step.name, step.reason))

    def _keep_pace(self, domain: "libvirt.virDomain", sample: Sample) -> None:
        import libvirt

        if sample.at_s - self._paced < PACE_S:
            return
        limit = self.pace.limit_mib_s(sample.sent_mib, sample.at_s)
        if limit != self._limit_mib_s:
            postcopy = libvirt.VIR_DOMAIN_MIGRATE_MAX_SPEED_POSTCOPY if self._ladder.switched else 0
            domain.migrateSetMaxSpeed(limit, postcopy)
            self._limit_mib_s = limit
        self._paced = sample.at_s


def _sample(found: dict[str, Any], at_s: float) -> Sample:
    page = found.get("memory_page_size") or 4096
    return Sample(
        at_s=at_s,
        iteration=int(found.get("memory_iteration") or 0),
        sent_mib=float(found.get("data_processed") or 0) / BYTES_PER_MIB,
        remaining_mib=float(found.get("data_remaining") or 0) / BYTES_PER_MIB,
        dirty_mib_s=float(found.get("memory_dirty_rate") or 0) * page / BYTES_PER_MIB,
        rate_mib_s=float(found.get("memory_bps") or found.get("disk_bps") or 0) / BYTES_PER_MIB,
        throttle=float(found.get("auto_converge_throttle") or 0) / 100,
    )


def _progress(request: MigrationRequest, sample: Sample, now_s: float) -> events.MigrationProgress:
    return events.MigrationProgress(
        now_s,
        request.migration_id,
        request.attempt,
        iteration=sample.iteration,
        sent_mib=round(sample.sent_mib, 1),
        remaining_mib=round(sample.remaining_mib, 1),
        dirty_mib_s=round(sample.dirty_mib_s, 1),
        rate_mib_s=round(sample.rate_mib_s, 1),
        throttle=sample.throttle,
        estimate_s=None if sample.estimate_s is None else round(sample.estimate_s, 1),
    )
