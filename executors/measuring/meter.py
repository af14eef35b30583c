"""A campaign's meter: reads all metrics off its state, from counts over whole arrays and nothing else.

Nothing is done for an event.  A reading takes some milliseconds for 1,000 hosts, and is taken no more often than every
:data:`INTERVAL_S`.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from slacktide.datasets.snapshot import FleetSnapshot
from slacktide.executors.campaign_state import RUNNING_STAGES, CampaignState, HostStage
from slacktide.executors.events import Stage
from slacktide.executors.measuring import metrics
from slacktide.executors.measuring.link_reservations import LinkReservations
from slacktide.executors.measuring.readings import Readings, Standing
from slacktide.executors.program import Program
from slacktide.executors.progress import progress
from slacktide.planner.limits import resolved

INTERVAL_S: Final = 1.0
"""Time between two readings, on this machine's clock: Ray hands metrics on every ten seconds by default, and at most
every second."""


class Meter:
    """Reads a campaign's metrics; what has happened before its first reading counts as known."""

    def __init__(self, snapshot: FleetSnapshot, program: Program) -> None:
        self._links = LinkReservations(snapshot, program.migrations)
        self._program: Program | None = None
        self._done = np.zeros(0, np.bool_)
        """Migrations whose blackout is in the histograms, by number."""
        self._done_ids: set[str] = set()
        self._last = 0

    def begin(self, state: CampaignState) -> None:
        """Take what the journal knows as counted: by the coordinator before."""
        self._program = state.program
        self._done = state.stage == Stage.DONE
        self._last = state.last

    def read(self, standing: Standing) -> Readings:
        """Return the metrics as they are."""
        readings = Readings()
        self._progress(readings, standing)
        self._by_state(readings, standing.state)
        self._links_used(readings, standing)
        self._ended(readings, standing.state)
        self._journal(readings, standing)
        return readings

    def _progress(self, readings: Readings, standing: Standing) -> None:
        far = progress(standing.state, standing.program)
        for metric, value in (
            (metrics.HOSTS_PLANNED, far.hosts),
            (metrics.HOSTS_DONE, far.hosts_returned + far.hosts_evacuated),
            (metrics.HOSTS_OUT, far.hosts_out),
            (metrics.HOSTS_OUT_LIMIT, _limit(standing)),
            (metrics.MIGRATIONS_PLANNED, far.migrations),
            (metrics.MIGRATIONS_DONE, far.migrations_done),
            (metrics.WAVES, far.waves),
            (metrics.WAVES_OPENED, far.waves_opened),
            (metrics.WAVES_OVER, far.waves_over),
            (metrics.CLOCK, far.now_s),
            (metrics.MAKESPAN, far.planned_s),
            (metrics.PAUSED, standing.state.paused is not None),
            (metrics.WAITING, standing.waits),
            (metrics.AGENTS, standing.agents),
            (metrics.AGENTS_AWAY, standing.agents_away),
            (metrics.GENERATION, standing.generation),
            (metrics.REVISIONS, len(standing.state.revisions)),
        ):
            readings.value(metric, value)
        for queue, length in standing.queues.items():
            readings.value(metrics.QUEUE, length, queue)

    def _by_state(self, readings: Readings, state: CampaignState) -> None:
        hosts = np.bincount(state.host_stage[state.program.hosts.planned], minlength=len(HostStage))
        for stage in HostStage:
            readings.value(metrics.HOSTS, hosts[stage], word(stage))
        migrations = np.bincount(state.stage, minlength=len(Stage))
        for each in Stage:
            readings.value(metrics.MIGRATIONS, migrations[each], word(each))
        readings.value(metrics.IN_FLIGHT, migrations[list(RUNNING_STAGES)].sum())

    def _links_used(self, readings: Readings, standing: Standing) -> None:
        stage, part = standing.state.stage, standing.state.program.migrations
        running = (stage >= RUNNING_STAGES[0]) & (stage <= RUNNING_STAGES[-1]) & (part.bandwidth_mbit_s > 0)
        named, kinds = self._links.use(part, np.flatnonzero(running))
        for link, ratio in named.items():
            readings.value(metrics.LINK_USE, ratio, link)
        for kind, (most, mean) in kinds.items():
            readings.value(metrics.LINKS_MOST, most, kind)
            readings.value(metrics.LINKS_MEAN, mean, kind)
        readings.value(metrics.LINK_SHARE, standing.program.policy.link_share)

    def _ended(self, readings: Readings, state: CampaignState) -> None:
        """Read what migrations took that have ended since the reading before."""
        if state.program is not self._program:
            self._renumber(state.program)
        done = state.stage == Stage.DONE
        new = done & ~self._done
        self._done |= done
        restarts = state.program.migrations.restarts
        for strategy, rows in (("live", new & ~restarts), ("restart", new & restarts)):
            by_hypervisor, by_probe = state.blackout_ms[rows], state.probe_blackout_ms[rows]
            blackout_ms = np.where(np.isnan(by_hypervisor), by_probe, by_hypervisor)
            readings.observe(metrics.BLACKOUT, _known(blackout_ms / 1000), strategy)
        live = np.flatnonzero(new & ~restarts)
        brownout_s = state.times[live, Stage.BLACKOUT] - state.times[live, Stage.BROWNOUT]
        readings.observe(metrics.BROWNOUT, _known(brownout_s))

    def _renumber(self, program: Program) -> None:
        """Know the migrations of a revision by their ids; those of before that it has no more are over."""
        assert self._program is not None, "it was begun"
        ids = self._program.migrations.ids
        self._done_ids.update(ids[number] for number in np.flatnonzero(self._done).tolist())
        self._done = np.fromiter((name in self._done_ids for name in program.migrations.ids), np.bool_)
        self._program = program

    def _journal(self, readings: Readings, standing: Standing) -> None:
        state = standing.state
        readings.count(metrics.EVENTS, state.last - self._last)
        self._last = state.last
        for stage in RUNNING_STAGES:
            readings.value(metrics.FAILED_ATTEMPTS, state.failed_attempts.get(stage, 0), word(Stage(stage)))
        taken = [standing.append_s.popleft() for _ in range(len(standing.append_s))]
        readings.observe(metrics.JOURNAL, taken)


def word(stage: HostStage | Stage) -> str:
    """Return a state as a label's value: as in reports and in the API."""
    return stage.name.lower().replace("_", "-")


def _limit(standing: Standing) -> int:
    """Return how many hosts may be out at once in the fleet, by the policy or by order."""
    out, fleet = standing.program.out, standing.program.out.kinds.index("fleet")
    asked = standing.state.max_out.get("fleet")
    return int(out.limit[fleet]) if asked is None else resolved(asked, int(out.sizes[fleet]))


def _known(values: NDArray[np.float64]) -> Sequence[float]:
    found: list[float] = values[~np.isnan(values)].tolist()
    return found
