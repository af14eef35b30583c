"""What the scheduler keeps of every migration and host, as lists: one number of an array takes ten times as long."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from slacktide.executors.campaign_state import CampaignState, HostStage
from slacktide.executors.events import Stage
from slacktide.executors.program import Program
from slacktide.executors.waiting_periods import ready_s
from slacktide.ids import HostId, MigrationId

IDLE: Final = 0
"""A migration that has not begun."""
RUNNING: Final = 1
RETRYING: Final = 2
"""Failed, and to be tried again."""
ENDED: Final = 3
"""Done or given up."""


class Books:
    """A program and where its migrations and hosts are; M migrations, H hosts, by number."""

    def __init__(self, program: Program, state: CampaignState) -> None:
        self._program = program
        part, hosts = program.migrations, program.hosts
        self._numbers, self._host_numbers = state.numbers, state.host_numbers
        self._rank: list[int] = part.rank.tolist()
        self._start_s: list[float] = part.start_s.astype(np.float64).tolist()
        self._duration_s: list[int] = (part.end_s - part.start_s).tolist()
        self._notice_s: list[int] = (part.start_s - part.notified_s).tolist()
        self._wave: list[int] = part.wave.tolist()
        self._needs_drain: list[bool] = part.needs_drain.tolist()
        self._needs_return: list[bool] = part.needs_return.tolist()
        self._before_drain: list[bool] = part.before_drain.tolist()
        self._dependents = part.dependents.lists()
        self._tried: list[int] = part.tried.tolist()
        self._next_move: list[int] = part.next_move.tolist()
        self._vm: list[int] = part.vm.tolist()
        self._planned: list[bool] = hosts.planned.tolist()
        self._host_wave: list[int] = hosts.wave.tolist()
        self._maintenance_s: list[int] = hosts.maintenance_s.tolist()
        self._outgoing, self._incoming = hosts.outgoing.lists(), hosts.incoming.lists()
        self._order: list[int] = np.argsort(part.rank).tolist()
        self.finished = state.finished
        self._of_state(state)

    def _of_state(self, state: CampaignState) -> None:
        """Take every migration and host as the state has it."""
        part, hosts = self._program.migrations, len(self._planned)
        running, ended = under_way(state), (state.stage == Stage.DONE) | (state.stage == Stage.GIVEN_UP)
        phase = np.select([running, state.stage == Stage.FAILED, ended], [RUNNING, RETRYING, ENDED], IDLE)
        self._phase: list[int] = phase.tolist()
        self._running = int(running.sum())
        self._attempts: list[int] = state.attempts.tolist()
        self._cancelled: list[int] = state.cancelled.tolist()
        self._again: list[bool] = state.again.tolist()
        self._uncounted: list[int] = state.uncounted.tolist()
        self._vm_host: list[int] = state.vm_host.tolist()
        self._notified: list[bool] = (~np.isnan(state.times[:, Stage.NOTIFIED])).tolist()
        self._ready_s: list[float] = ready_s(self._program, state).tolist()
        self._acknowledged: list[bool] = (~np.isnan(state.acknowledged_s)).tolist()
        self._ready = [False] * len(self._phase)
        open_edges = np.repeat(~ended, np.diff(part.dependents.start))
        waits = part.dependents.members[open_edges]
        self._left: list[int] = np.bincount(waits, minlength=len(self._phase)).tolist()
        self._outgoing_left: list[int] = np.bincount(part.source[~ended], minlength=hosts).tolist()
        early = ~ended & part.before_drain
        self._incoming_left: list[int] = np.bincount(part.target[early], minlength=hosts).tolist()
        self._host_stage: list[int] = state.host_stage.tolist()
        self._host_due = [False] * hosts
        self._patching = int(patching(state).sum())

    def _id(self, number: int) -> MigrationId:
        return MigrationId(self._program.migrations.ids[number])

    def _host_id(self, host: int) -> HostId:
        return HostId(self._program.hosts.ids[host])


def under_way(state: CampaignState) -> NDArray[np.bool_]:
    """Return which migrations have been intended and have not ended, shape (M,)."""
    return (state.stage >= Stage.INTENDED) & (state.stage < Stage.DONE)


def patching(state: CampaignState) -> NDArray[np.bool_]:
    """Return which hosts are drained and have neither returned nor been lost, shape (H,)."""
    return (state.host_stage >= HostStage.DRAINED) & (state.host_stage <= HostStage.PATCHING)
