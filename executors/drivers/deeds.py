"""What others do to a simulated fleet meanwhile: VMs that they create, delete and move.

A function of the seed and the fleet alone, so that it is the same on any number of agents and after a resumption.
Others place VMs where the fleet had room when the campaign began, and one at a time.
"""

from collections.abc import Iterable
from math import floor

import numpy as np

from slacktide.executors.drivers.luck import luck
from slacktide.executors.drivers.protocol import HostVms, SeenVm
from slacktide.executors.drivers.settings import Others
from slacktide.executors.numbering import Ints
from slacktide.executors.program import Program
from slacktide.ids import HostId, VmId

NAME = "{vm}-by-others"
"""What a VM is called that is created in the size of another."""


def deeds_of(program: Program, others: Others | None, seed: int) -> tuple[HostVms, ...]:
    """Return what others do while a plan is carried out as planned, by time; each touches one VM."""
    if others is None:
        return ()
    vms, room = program.vms, _Room(program)
    created, deleted = others.created_per_mille, others.created_per_mille + others.deleted_per_mille
    moved = deleted + others.moved_per_mille
    drawn = []
    for number, name in enumerate(vms.ids):
        what, when, where, *_ = luck(seed, f"{name}\0others")
        if what * 1000 < moved:
            drawn.append((when * program.makespan_s, number, what * 1000, where))
    found = []
    for at_s, number, what, where in sorted(drawn):
        vm = SeenVm(VmId(vms.ids[number]), int(vms.vcpus[number]), int(vms.memory_mib[number]))
        home = int(vms.host[number])
        if created <= what < deleted:
            room.give(home, vm)
            found.append(HostVms(at_s, HostId(program.hosts.ids[home]), (), (vm.vm_id,)))
            continue
        target = room.take(vm, where, avoid=home)
        if target is None:
            continue
        if what < created:
            vm = vm._replace(vm_id=VmId(NAME.format(vm=vm.vm_id)))
        else:
            room.give(home, vm)
        found.append(HostVms(at_s, HostId(program.hosts.ids[target]), (vm,), ()))
    return tuple(found)


def deeds_of_agent(deeds: Iterable[HostVms], program: Program, number: int, agents: int) -> tuple[HostVms, ...]:
    """Return what others do on the hosts that one of several agents stands for."""
    own = set(program.hosts.ids[number::agents])
    return tuple(deed for deed in deeds if deed.host_id in own)


class _Room:
    """What is free on each host, as others see it."""

    def __init__(self, program: Program) -> None:
        hosts, vms = program.hosts, program.vms
        self._free: Ints = np.column_stack([hosts.vcpus, hosts.memory_mib])
        np.subtract.at(self._free, vms.host, np.column_stack([vms.vcpus, vms.memory_mib]))

    def take(self, vm: SeenVm, where: float, avoid: int) -> int | None:
        """Take room for a VM on a host other than ``avoid``, chosen by a number from 0 to 1; null: there is none."""
        fits = (self._free >= (vm.vcpus, vm.memory_mib)).all(axis=1)
        hosts = np.setdiff1d(np.flatnonzero(fits), [avoid])
        if not len(hosts):
            return None
        chosen = int(hosts[floor(where * len(hosts))])
        self._free[chosen] -= (vm.vcpus, vm.memory_mib)
        return chosen

    def give(self, host: int, vm: SeenVm) -> None:
        """Take back the room of a VM that has left a host."""
        self._free[host] += (vm.vcpus, vm.memory_mib)
