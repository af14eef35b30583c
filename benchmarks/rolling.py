"""What operators do without a planner: one group of hosts after the other, their VMs spread evenly over the rest."""

from dataclasses import dataclass, field
from functools import cached_property

import numba
import numpy as np
from numpy.typing import NDArray

from slacktide.planner.limits import resolved
from slacktide.planner.problem import Problem
from slacktide.planner.streams.work import Work

Ints = NDArray[np.int64]
NONE = np.zeros(0, np.int64)


@numba.njit(cache=True)
def emptiest(capacity, used, machine_type, closed, demand, allowed, domain, full):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Return the emptiest host with room in a domain not full, the emptiest with room, and the emptiest; -1: none."""
    apart, room, any_ = -1, -1, -1
    best_apart, best_room, best = -2.0e9, -2.0e9, -2.0e9
    for host in range(capacity.shape[0]):
        if closed[host] or (allowed >> machine_type[host]) & 1 == 0:
            continue
        free_vcpus, free_mib = capacity[host, 0] - used[host, 0], capacity[host, 1] - used[host, 1]
        share = free_mib / capacity[host, 1]
        if share > best:
            best, any_ = share, host
        if free_vcpus >= demand[0] and free_mib >= demand[1]:
            if share > best_room:
                best_room, room = share, host
            if share > best_apart and not (full == domain[host]).any():
                best_apart, apart = share, host
    return apart, room, any_


@dataclass
class Rolling:
    """The moves so far, and where every VM is."""

    problem: Problem
    where: Ints
    used: Ints
    moves: list[tuple[int, int, int, int, bool]] = field(default_factory=list)
    """VM, source, target, group, whether it goes back."""
    overfilled: int = 0
    """VMs for which no host had room, and that went to the emptiest all the same."""
    crowded: int = 0
    """VMs that could only go where their service has too many already."""

    @cached_property
    def members(self) -> list[Ints]:
        """VMs of each service."""
        service = self.problem.vms.service
        order = np.argsort(service, kind="stable")
        bounds = np.searchsorted(service[order], np.arange(len(self.problem.services.spread_kind) + 1))
        return np.split(order, bounds)[1:-1]

    def place(self, vm: int, closed: NDArray[np.bool_], *, force: bool) -> int:
        """Return the host with the largest share of free memory that may take a VM, -1: none has room.

        Hosts where its service has too many already are taken if there is no other; with ``force`` even a full one.
        """
        hosts, vms = self.problem.hosts, self.problem.vms
        domain, full = self.full_domains(vm)
        found = emptiest(
            hosts.capacity, self.used, hosts.machine_type, closed, vms.demand[vm], vms.allowed_types[vm], domain, full
        )
        apart, room, any_ = found
        if apart >= 0:
            return apart
        if room >= 0:
            self.crowded += 1
            return room
        self.overfilled += force
        return any_ if force else -1

    def full_domains(self, vm: int) -> tuple[Ints, Ints]:
        """Return each host's domain of the kind that a VM's service spreads over, and the domains it has filled."""
        services, service = self.problem.services, int(self.problem.vms.service[vm])
        if service < 0 or services.spread_kind[service] < 0:
            return self.problem.hosts.rack, NONE
        domain = services.spread_domains[services.spread_kind[service]]
        others = self.members[service]
        names, counts = np.unique(domain[self.where[others[others != vm]]], return_counts=True)
        return domain, names[(counts >= services.spread_limit[service]) & (names >= 0)]

    def go(self, vm: int, target: int, group: int, *, back: bool) -> None:
        """Move a VM."""
        source, demand = int(self.where[vm]), self.problem.vms.demand[vm]
        self.moves.append((vm, source, target, group, back))
        self.used[source] -= demand
        self.used[target] += demand
        self.where[vm] = target


def rolling_work(problem: Problem, due: Ints, *, back: bool) -> tuple[Work, Rolling]:
    """Return the work of draining ``due`` in the order of racks, group after group within the limits on hosts out.

    The canary comes first and bakes.  With ``back`` every VM returns to its host after the patch, before the next group
    begins.
    """
    used = np.zeros_like(problem.hosts.capacity)
    np.add.at(used, problem.vms.host, problem.vms.demand)
    state = Rolling(problem, problem.vms.host.copy(), used)
    left = due[np.argsort(problem.hosts.rack[due], kind="stable")].tolist()
    canary = resolved(problem.policy.canary.hosts, int(problem.selected.sum()))
    order, wave, groups = [], [], 0
    while left:
        taken = _drained(state, _group(problem, left, canary if groups == 0 and canary else len(left)), groups)
        order += taken
        wave += [groups] * len(taken)
        if back:
            for vm, source, target, group, _ in [move for move in state.moves if move[3] == groups]:
                assert state.where[vm] == target
                state.go(vm, source, group, back=True)
        gone = set(taken)
        left = [host for host in left if host not in gone]
        groups += 1
    return _work(state, np.array(order, np.int64), np.array(wave, np.int64), groups), state


def _group(problem: Problem, left: list[int], most: int) -> list[int]:
    """Return the first hosts that may be out together, ``most`` at most."""
    out, chosen = np.zeros(len(problem.out.limit), np.int64), []
    for host in left:
        groups = problem.out.group[host][problem.out.group[host] >= 0]
        if (out[groups] < problem.out.limit[groups]).all():
            out[groups] += 1
            chosen.append(host)
        if out[0] >= problem.out.limit[0] or len(chosen) >= most:
            break
    return chosen


def _drained(state: Rolling, group: list[int], number: int) -> list[int]:
    """Empty the hosts of a group, one after the other; return those for which there is room, one at least."""
    closed = ~state.problem.hosts.in_service
    closed[group] = True
    taken: list[int] = []
    for host in group:
        before = (state.where.copy(), state.used.copy(), len(state.moves), state.crowded)
        for vm in np.flatnonzero(state.where == host).tolist():
            target = state.place(vm, closed, force=not taken)
            if target < 0:
                state.where, state.used, kept, state.crowded = before
                del state.moves[kept:]
                break
            state.go(vm, target, number, back=False)
        else:
            taken.append(host)
    return taken


def _work(state: Rolling, order: Ints, wave: Ints, groups: int) -> Work:
    vm, source, target, _, goes_back = np.array(state.moves, np.int64).reshape(-1, 5).T.copy()
    back = goes_back > 0
    bake_s = np.zeros(groups, np.int64)
    bake_s[1:2] = state.problem.policy.canary.bake_s if state.problem.policy.canary.hosts else 0
    return Work(
        order=order,
        wave=wave,
        late=np.zeros(len(order), np.bool_),
        behind=np.arange(groups) - 1,
        bake_s=bake_s,
        vm=vm,
        source=source,
        target=target,
        back=back,
        after_return=np.where(back, target, -1),
        in_drain=np.zeros(len(vm), np.bool_),
        arrival_for=np.full(len(vm), -1, np.int64),
    )
