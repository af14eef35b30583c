"""Room at run time: vCPUs and memory of targets, NICs, and services whose VMs may not all move at once.

A VM takes room on its source until its migration is done and on its target from the moment it is intended.  Who was
planned earlier on the same target and has not begun yet keeps its room: a late migration is never locked out by one
that it was to precede, so every wait ends where the plan's own order ends.
"""

from slacktide.executors.campaign_state import RUNNING_STAGES, CampaignState
from slacktide.executors.events import Stage
from slacktide.executors.program import Program
from slacktide.executors.vm_state import NOWHERE, place_of


class Room:
    """Counts what is taken; M migrations by number, H hosts by number."""

    def __init__(self, program: Program, state: CampaignState) -> None:
        part, hosts = program.migrations, program.hosts
        self.source: list[int] = part.source.tolist()
        self.target: list[int] = part.target.tolist()
        self._vcpus: list[int] = part.vcpus.tolist()
        self._memory: list[int] = part.memory_mib.tolist()
        self._bandwidth: list[int] = part.bandwidth_mbit_s.tolist()
        self._service: list[int] = part.service.tolist()
        self._rank: list[int] = part.rank.tolist()
        self._vcpus_free: list[int] = hosts.vcpus.tolist()
        self._memory_free: list[int] = hosts.memory_mib.tolist()
        self._nic: list[int] = hosts.migration_mbit_s.tolist()
        self._leaving = [0] * len(self._nic)
        self._arriving = [0] * len(self._nic)
        self._moving = [0] * len(program.max_moving)
        self._max_moving: list[int] = program.max_moving.tolist()
        self._incoming = hosts.incoming.lists()
        """Migrations by target in planned order; those before ``_first`` have begun or are given up."""
        self._first = [0] * len(self._nic)
        self._open = [True] * len(part.ids)
        """Neither begun nor given up."""
        self._waiting: dict[tuple[str, int], set[int]] = {}
        self.vms_on = [0] * len(self._nic)
        self.crowded: set[int] = set()
        """Hosts on which others have put VMs."""
        self._take_over(program, state)

    def come(self, host: int, vcpus: int, memory_mib: int) -> None:
        """Take room for a VM that others have put on a host."""
        self._vcpus_free[host] -= vcpus
        self._memory_free[host] -= memory_mib
        self.vms_on[host] += 1
        self.crowded.add(host)

    def leave(self, host: int, vcpus: int, memory_mib: int) -> set[int]:
        """Let go of the room of a VM that others have taken from a host, and return who waited for it."""
        self._vcpus_free[host] += vcpus
        self._memory_free[host] += memory_mib
        self.vms_on[host] -= 1
        return self._woken(("room", host))

    def _take_over(self, program: Program, state: CampaignState) -> None:
        for stranger in state.strangers.values():
            self.come(stranger.host, stranger.made.vcpus, stranger.made.memory_mib)
        self.crowded.update(place for name in state.touched if (place := place_of(state, name)) != NOWHERE)
        for vm, host in enumerate(state.vm_host.tolist()):
            if host < 0:
                continue
            self._vcpus_free[host] -= int(program.vms.vcpus[vm])
            self._memory_free[host] -= int(program.vms.memory_mib[vm])
            self.vms_on[host] += 1
        arrived = state.vm_host[program.migrations.vm] == program.migrations.target
        for number, stage in enumerate(state.stage.tolist()):
            if stage >= Stage.INTENDED:
                self._open[number] = False
            if stage in RUNNING_STAGES:
                other = self.source[number] if arrived[number] else self.target[number]
                self._hold(number, other)
                if arrived[number]:
                    self.vms_on[self.source[number]] += 1
                    self.vms_on[self.target[number]] -= 1
                self._use(number, 1)
            elif stage == Stage.FAILED:
                self._hold(number, self.target[number])

    def obstacle(self, number: int, *, holds: bool) -> tuple[str, int] | None:
        """Return what a migration waits for, as a kind and a number, or None where there is room for it.

        ``holds``: an earlier attempt's room on the target is still kept.
        """
        source, target = self.source[number], self.target[number]
        bandwidth = self._bandwidth[number]
        if self._leaving[source] and self._leaving[source] + bandwidth > self._nic[source]:
            return "nic", source
        if self._arriving[target] and self._arriving[target] + bandwidth > self._nic[target]:
            return "nic", target
        service = self._service[number]
        if service >= 0 and self._moving[service] >= self._max_moving[service]:
            return "service", service
        if not holds and not self._fits(number, target):
            return "room", target
        return None

    def _fits(self, number: int, target: int) -> bool:
        vcpus, memory = self._vcpus[number], self._memory[number]
        incoming, place = self._incoming[target], self._first[target]
        while place < len(incoming) and not self._open[incoming[place]]:
            place += 1
        self._first[target] = place
        rank = self._rank[number]
        while place < len(incoming) and self._rank[incoming[place]] < rank:
            earlier = incoming[place]
            if self._open[earlier]:
                vcpus += self._vcpus[earlier]
                memory += self._memory[earlier]
            place += 1
        return vcpus <= self._vcpus_free[target] and memory <= self._memory_free[target]

    def wait(self, number: int, obstacle: tuple[str, int]) -> None:
        """Remember that a migration waits for room."""
        self._waiting.setdefault(obstacle, set()).add(number)

    def begin(self, number: int, *, holds: bool) -> None:
        """Take room for a migration that begins."""
        if not holds:
            self._hold(number, self.target[number])
            self._open[number] = False
        self._use(number, 1)

    def finish(self, number: int) -> set[int]:
        """Let go of a done migration's room on its source, and return who waited for some of it."""
        source, target = self.source[number], self.target[number]
        self._vcpus_free[source] += self._vcpus[number]
        self._memory_free[source] += self._memory[number]
        self.vms_on[source] -= 1
        self.vms_on[target] += 1
        return self._woken(("room", source)) | self.pause(number)

    def pause(self, number: int) -> set[int]:
        """Let go of what an ended attempt used, its room on the target excepted; return who waited for it."""
        self._use(number, -1)
        woken = self._woken(("nic", self.source[number])) | self._woken(("nic", self.target[number]))
        return woken | self._woken(("service", self._service[number]))

    def give_up(self, number: int, *, holds: bool) -> set[int]:
        """Let go of the target's room for good, and return who waited for it."""
        self._open[number] = False
        if holds:
            self._hold(number, self.target[number], sign=-1)
        return self._woken(("room", self.target[number]))

    def _woken(self, obstacle: tuple[str, int]) -> set[int]:
        return self._waiting.pop(obstacle, set())

    def _hold(self, number: int, host: int, sign: int = 1) -> None:
        self._vcpus_free[host] -= sign * self._vcpus[number]
        self._memory_free[host] -= sign * self._memory[number]

    def _use(self, number: int, sign: int) -> None:
        bandwidth = sign * self._bandwidth[number]
        self._leaving[self.source[number]] += bandwidth
        self._arriving[self.target[number]] += bandwidth
        if self._service[number] >= 0:
            self._moving[self._service[number]] += sign
