"""What the scheduler keeps of every migration, host and wave.

Numbers are in lists: one number of an array takes ten times as long.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from slacktide.executors.campaign_state import CampaignState, HostStage
from slacktide.executors.events import Event, Stage
from slacktide.executors.gates import Gates
from slacktide.executors.program import Program
from slacktide.executors.room import Room
from slacktide.executors.slots import OutSlots
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
    """A program, where its migrations and hosts are, and what is decided; M migrations, H hosts, by number."""

    def __init__(self, program: Program, state: CampaignState) -> None:
        self.program = program
        part, hosts = program.migrations, program.hosts
        self.numbers, self.host_numbers = state.numbers, state.host_numbers
        self.rank: list[int] = part.rank.tolist()
        self.start_s: list[float] = part.start_s.astype(np.float64).tolist()
        self.duration_s: list[int] = (part.end_s - part.start_s).tolist()
        self.notice_s: list[int] = (part.start_s - part.notified_s).tolist()
        """How long before its planned start each guest is told; 0: it is not."""
        self.wave: list[int] = part.wave.tolist()
        self.needs_drain: list[bool] = part.needs_drain.tolist()
        self.needs_return: list[bool] = part.needs_return.tolist()
        self.before_drain: list[bool] = part.before_drain.tolist()
        self.dependents = part.dependents.lists()
        """Migrations that wait until each one has ended."""
        self.tried: list[int] = part.tried.tolist()
        self.vm: list[int] = part.vm.tolist()
        self.host_wave: list[int] = hosts.wave.tolist()
        self.maintenance_s: list[int] = hosts.maintenance_s.tolist()
        self.evacuated: list[bool] = (hosts.evacuated & hosts.current).tolist()
        self.outgoing, self.incoming = hosts.outgoing.lists(), hosts.incoming.lists()
        self.room, self.slots, self.gates = Room(program, state), OutSlots(program, state), Gates(program, state)
        self.order: list[int] = np.argsort(part.rank).tolist()
        """Migrations in planned order."""
        planned = np.flatnonzero(hosts.planned)
        self.drain_order: list[int] = planned[np.argsort(self.slots.rank[planned], kind="stable")].tolist()
        """Hosts in planned order."""
        self.woken: set[int] = set()
        """Migrations to be looked at, for something has changed that they may have waited for."""
        self.woken_hosts: set[int] = set()
        self.decided: list[Event] = []
        """What is to be done, in order, as far as it is decided."""
        self._of_state(state)

    def _of_state(self, state: CampaignState) -> None:
        """Take every migration and host as the state has it."""
        part, hosts = self.program.migrations, len(self.program.hosts.ids)
        running, ended = under_way(state), (state.stage == Stage.DONE) | (state.stage == Stage.GIVEN_UP)
        phase = np.select([running, state.stage == Stage.FAILED, ended], [RUNNING, RETRYING, ENDED], IDLE)
        self.phase: list[int] = phase.tolist()
        self.running = int(running.sum())
        """How many migrations are under way."""
        self.attempts: list[int] = state.attempts.tolist()
        self.cancelled: list[int] = state.cancelled.tolist()
        """Attempt that is to be stopped, 0: none."""
        self.again: list[bool] = state.again.tolist()
        """It is to be begun again, without counting."""
        self.uncounted: list[int] = state.uncounted.tolist()
        self.vm_host: list[int] = state.vm_host.tolist()
        """Where each VM's guest runs, by number of the VM."""
        self.notified: list[bool] = (~np.isnan(state.times[:, Stage.NOTIFIED])).tolist()
        self.ready_s: list[float] = ready_s(self.program, state).tolist()
        """When each guest has had its notice; infinite: it has not been told."""
        self.acknowledged: list[bool] = (~np.isnan(state.acknowledged_s)).tolist()
        self.ready = [False] * len(self.phase)
        """Its planned start, its guest's notice, or the pause before it is tried again is over."""
        open_edges = np.repeat(~ended, np.diff(part.dependents.start))
        waits = part.dependents.members[open_edges]
        self.left: list[int] = np.bincount(waits, minlength=len(self.phase)).tolist()
        """How many migrations have to end before each."""
        self.outgoing_left: list[int] = np.bincount(part.source[~ended], minlength=hosts).tolist()
        """How many migrations have yet to end before each host is drained."""
        early = ~ended & part.before_drain
        self.incoming_left: list[int] = np.bincount(part.target[early], minlength=hosts).tolist()
        """How many have yet to come to each host before it is drained."""
        self.host_stage: list[int] = state.host_stage.tolist()
        self.host_due = [False] * hosts
        self.patching = int(patching(state).sum())
        """How many hosts are drained and not back."""
        self.refills: dict[int, int] = {}
        """How often VMs have come to each host that was drained."""

    def id_of(self, number: int) -> MigrationId:
        """Return a migration's id."""
        return MigrationId(self.program.migrations.ids[number])

    def host_id_of(self, host: int) -> HostId:
        """Return a host's id."""
        return HostId(self.program.hosts.ids[host])

    def runs(self, number: int, attempt: int) -> bool:
        """Return whether it is this attempt at a migration that is under way."""
        return self.phase[number] == RUNNING and self.attempts[number] == attempt

    def refill(self, host: int) -> bool:
        """Have a host drain on to which VMs have come that was drained; return whether it was."""
        if not HostStage.DRAINED <= self.host_stage[host] <= HostStage.PATCHING:
            return False
        self.patching -= 1
        self.host_stage[host] = HostStage.DRAINING
        self.refills[host] = self.refills.get(host, 0) + 1
        self.woken_hosts.add(host)
        return True

    def end(self, number: int) -> None:
        """Count a migration that is done or given up, and wake who waited for it."""
        self.phase[number] = ENDED
        for follower in self.dependents[number]:
            self.left[follower] -= 1
            if not self.left[follower]:
                self.woken.add(follower)
        source, target = self.room.source[number], self.room.target[number]
        self.outgoing_left[source] -= 1
        if not self.outgoing_left[source]:
            self.woken_hosts.add(source)
        if self.before_drain[number]:
            self.incoming_left[target] -= 1
            if not self.incoming_left[target]:
                self.woken_hosts.add(target)


def under_way(state: CampaignState) -> NDArray[np.bool_]:
    """Return which migrations have been intended and have not ended, shape (M,)."""
    return (state.stage >= Stage.INTENDED) & (state.stage < Stage.DONE)


def patching(state: CampaignState) -> NDArray[np.bool_]:
    """Return which hosts are drained and have neither returned nor been lost, shape (H,)."""
    return (state.host_stage >= HostStage.DRAINED) & (state.host_stage <= HostStage.PATCHING)
