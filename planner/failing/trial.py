"""What fails together, what falls with it, and where it may go: failures as arrays, ready to be packed."""

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from slacktide.planner.failing.samples import Beside, Failures, Samples, beside, failures, sampled
from slacktide.planner.failing.stays import expanded, machine_types, stays
from slacktide.planner.replay import Bools, Ints, Replay, ints
from slacktide.planner.sweep import starts

NARROW: Final = 192
"""Targets that are looked at first, those with most room of each machine type; where they do not do, all are.

The VMs of one host rarely need more; a rack or a row has fewer.
"""
NO_LIMIT: Final = 2**30
"""Stands for the spread limit of a host in no domain; above every number of VMs."""


@dataclass(frozen=True, eq=False)
class Trial:
    """Failures with the VMs that need room and the hosts that may have it; F failures, C columns, R VMs, G groups."""

    number: Ints
    """Place of each failure among all, shape (F,)."""
    host: Ints
    """Hosts that VMs may go to, -1: no more; shape (F, C)."""
    machine_type: Ints
    free: Ints
    """vCPUs and MiB, -1 where nothing may go; shape (2, F, C)."""
    complete: bool
    """No host with room was left out."""
    failure: Ints
    """Row of each VM's failure, ascending; shape (R,)."""
    vm: Ints
    size: Ints
    """vCPUs and MiB, shape (2, R)."""
    choosy: Bools
    """Whether the VM may not run on every machine type, shape (R,)."""
    group: Ints
    """Number of the VM's service in its failure, -1: its spread is free; shape (R,)."""
    alone: Bools
    """Whether no other VM of the failure is of the same group, shape (G,)."""
    kind: Ints
    """Row in ``domains`` of what each group spreads over, shape (G,)."""
    count: Ints
    """VMs of each group in each column's domain while its fallen VMs run nowhere, shape (G, C)."""
    limit: Ints
    """The most that the group may have there: what its service allows, or what it had before; shape (G, C)."""
    domains: Ints
    """Domain of each host for each kind that a service spreads over, -1: none; shape (kinds, H)."""
    types_allowed: Bools
    """Whether each VM of the fleet may run on each machine type."""

    def allowed(self, rows: Ints) -> Bools:
        """Return whether VMs may run on the machine type of each column."""
        return self.types_allowed[self.vm[rows][:, None], self.machine_type[self.failure[rows]]]

    def domains_of(self, group: Ints, failure: Ints) -> Ints:
        """Return the domain of each column for groups, each in its failure."""
        return self.domains[self.kind[group][:, None], np.maximum(self.host[failure], 0)]


class Trials:
    """All failures that are tried for a plan, and what is needed to make trials of them."""

    def __init__(self, replay: Replay, domain: Ints, domains: int, count: int) -> None:
        self.replay = replay
        self.stays = stays(replay)
        self.samples: Samples = sampled(replay, domain, domains)
        self.beside: Beside = beside(replay, domain, self.samples)
        self.host_type, self.types_allowed = types = machine_types(replay)
        self.failures: Failures = failures(replay, self.stays, domain, self.samples, self.beside, count, types)
        self._pinned = (replay.snapshot.vms["eviction"].cast(pl.String) == "pinned").to_numpy()
        self._kind, self._most, self.domains = _spread(replay)
        known = np.flatnonzero(replay.vms.service >= 0)
        self._members = known[np.argsort(replay.vms.service[known], kind="stable")]
        services = np.arange(replay.snapshot.services.height + 1)
        self._of_service = np.searchsorted(replay.vms.service[self._members], services)

    @cached_property
    def _first(self) -> Ints:
        """Where the hosts beside each sample begin."""
        return np.searchsorted(self.beside.sample, np.arange(len(self.samples) + 1))

    def __len__(self) -> int:
        return len(self.failures.sample)

    @property
    def columns(self) -> int:
        """Hosts that one failure looks at, at most."""
        return min(NARROW, self.beside_each)

    @property
    def beside_each(self) -> int:
        """Hosts of the largest domain."""
        return int(np.diff(self._first).max(initial=1))

    def trial(self, number: Ints, *, narrow: bool) -> Trial:
        """Return the failures ``number`` with their VMs and targets."""
        failed = self.failures.hosts[number]
        host, free, complete = self._targets(self.failures.sample[number], failed, narrow=narrow)
        failure, vm = self._fallen(self.failures.sample[number], failed)
        size = self.replay.vms.size[vm, :2].T.copy()
        group, of_group, service = self._groups(failure, vm)
        count, limit = self._neighbours(number, host, (failure, vm), of_group, service)
        return Trial(
            number=number,
            host=host,
            machine_type=self.host_type[host],
            free=free,
            complete=complete,
            failure=failure,
            vm=vm,
            size=size,
            choosy=~np.asarray(self.types_allowed[vm].all(axis=1)),
            group=group,
            alone=np.bincount(group[group >= 0], minlength=len(service)) == 1,
            kind=self._kind[service],
            count=count,
            limit=limit,
            domains=self.domains,
            types_allowed=self.types_allowed,
        )

    def _targets(self, sample: Ints, failed: Ints, *, narrow: bool) -> tuple[Ints, Ints, bool]:
        """Return the hosts beside each failure that take VMs, those with most room first, and what they have free."""
        there, back = np.unique(sample, return_inverse=True)
        number, row = expanded(self._first[there], self._first[there + 1])
        room = self.beside.free[row].min(axis=1) > 0
        number, row = number[room], row[room]
        host, free = self.beside.host[row], self.beside.free[row]
        most = free / np.maximum(1.0, self.replay.hosts.capacity.mean(axis=0))
        kind = self.host_type[host]
        order = np.lexsort((host, -most.min(axis=1), kind, number))
        number, host, free, kind = number[order], host[order], free[order], kind[order]
        types = self.types_allowed.shape[1]
        alike = number * types + kind
        kept = np.arange(len(alike)) - np.searchsorted(alike, alike) < NARROW // min(types, NARROW)
        few = np.bincount(number, minlength=len(there)) <= NARROW
        kept |= few[number] | (not narrow)
        complete = bool(kept.all())
        number, host, free = number[kept], host[kept], free[kept]
        column = np.arange(len(number)) - np.searchsorted(number, number)
        hosts = np.full((len(there), int(column.max(initial=0)) + 1), -1, dtype=np.int64)
        left = np.full((2, *hosts.shape), -1, dtype=np.int64)
        hosts[number, column] = host
        left[:, number, column] = free.T
        hosts, left = hosts[back], left[:, back]
        for each in range(failed.shape[1]):
            left[:, hosts == failed[:, each, None]] = -1
        return hosts, left, complete

    def _fallen(self, sample: Ints, failed: Ints) -> tuple[Ints, Ints]:
        """Return failure and VM of all that need another host."""
        failure, place = np.nonzero(failed >= 0)
        host = failed[failure, place]
        number, stay = expanded(self.stays.of_host[host], self.stays.of_host[host + 1])
        failure = failure[number]
        at_s = self.samples.at_s[sample[failure]]
        there = (self.stays.from_s[stay] <= at_s) & (at_s < self.stays.leaving_s[stay])
        there &= ~self._pinned[self.stays.vm[stay]]
        failure, vm = failure[there], self.stays.vm[stay[there]]
        order = np.lexsort((vm, failure))
        return failure[order], vm[order]

    def _groups(self, failure: Ints, vm: Ints) -> tuple[Ints, Ints, Ints]:
        """Return each VM's group, and each group's failure and service."""
        service = self.replay.vms.service[vm]
        bound = np.flatnonzero((service >= 0) & (self._kind[service] >= 0))
        services = len(self._kind)
        codes, place = np.unique(failure[bound] * services + service[bound], return_inverse=True)
        group = np.full(len(vm), -1, dtype=np.int64)
        group[bound] = place
        return group, codes // services, codes % services

    def _neighbours(
        self, number: Ints, host: Ints, fallen: tuple[Ints, Ints], of_group: Ints, service: Ints
    ) -> tuple[Ints, Ints]:
        """Return how many VMs each group has in the domains of its failure's columns, and how many it may have."""
        count = np.zeros((len(service), host.shape[1]), dtype=np.int64)
        limit = np.repeat(self._most[service][:, None], host.shape[1], axis=1)
        for kind in range(len(self.domains)):
            mine = np.flatnonzero(self._kind[service] == kind)
            columns = np.where(host >= 0, self.domains[kind][np.maximum(host, 0)], -1)
            limit[mine] = np.where(columns[of_group[mine]] < 0, NO_LIMIT, limit[mine])
            span = int(self.domains[kind].max(initial=0)) + 1
            failure, column = np.nonzero(columns >= 0)
            code = failure * span + columns[failure, column]
            order = np.argsort(code, kind="stable")
            code, column = code[order], column[order]
            group, where, before, now = self._present(number, fallen, mine, of_group, service, code, span)
            wanted = of_group[group] * span + where
            entry, place = expanded(*(np.searchsorted(code, wanted, side=side) for side in ("left", "right")))
            place = column[place]
            count[group[entry], place] = now[entry]
            limit[group[entry], place] = np.maximum(limit[group[entry], place], before[entry])
        return count, limit

    def _present(
        self,
        number: Ints,
        fallen: tuple[Ints, Ints],
        mine: Ints,
        of_group: Ints,
        service: Ints,
        code: Ints,
        span: int,
    ) -> tuple[Ints, Ints, Ints, Ints]:
        """Return group, domain, and VMs of the group there before the failure and of those that still run.

        Only of groups ``mine``, which spread over one kind, and of domains whose ``code`` some column is in.  A VM that
        migrates counts in the domains of both hosts, once where they are the same.
        """
        failed, vms = self.failures.hosts[number], len(self.replay.vms.ids)
        group, member = expanded(self._of_service[service[mine]], self._of_service[service[mine] + 1])
        member = self._members[member]
        entry, place = expanded(self.stays.of_vm[member], self.stays.of_vm[member + 1])
        group, stay = mine[group[entry]], self.stays.by_vm[place]
        if not len(group) or not len(code):
            return (np.empty(0, dtype=np.int64),) * 4
        where = self.domains[self._kind[service[mine[0]]]][self.stays.host[stay]]
        wanted = of_group[group] * span + where
        there = (where >= 0) & (code[np.searchsorted(code, wanted) % len(code)] == wanted)
        at_s = self.samples.at_s[self.failures.sample[number]][of_group[group]]
        there &= (self.stays.from_s[stay] <= at_s) & (at_s < self.stays.until_s[stay])
        group, stay, where = group[there], stay[there], where[there]
        vm, host = self.stays.vm[stay], self.stays.host[stay]
        runs = ~(failed[of_group[group]] == host[:, None]).any(axis=1)
        down, mine_down = fallen[0] * vms + fallen[1], of_group[group] * vms + vm
        runs &= down[np.searchsorted(down, mine_down) % len(down)] != mine_down
        order = np.lexsort((runs, vm, where, group))
        group, where, vm, runs = group[order], where[order], vm[order], runs[order]
        once = np.ones(len(group), dtype=np.bool_)
        once[:-1] = (group[1:] != group[:-1]) | (where[1:] != where[:-1]) | (vm[1:] != vm[:-1])
        group, where, runs = group[once], where[once], runs[once]
        first = starts(group * span + where)
        before = np.diff(first, append=len(group))
        now = np.add.reduceat(runs.astype(np.int64), first) if len(first) else before
        return group[first], where[first], before, now


def _spread(replay: Replay) -> tuple[Ints, Ints, NDArray[np.int64]]:
    """Return what each service spreads over (-1: nothing), its limit, and the domain of each host for each kind.

    The last one, which VMs without a service index, spreads over nothing.
    """
    services = replay.snapshot.services
    over = services["spread_over"].cast(pl.String)
    bound = over.is_not_null() & services["max_per_domain"].is_not_null()
    kind = np.full(services.height + 1, -1, dtype=np.int64)
    domains: list[Ints] = []
    for name in over.filter(bound).unique().sort().to_list():
        found = replay.domain_of(name)
        if found is not None:
            kind[:-1][(bound & (over == name)).fill_null(value=False).to_numpy()] = len(domains)
            domains.append(found[0])
    most = ints(services["max_per_domain"].cast(pl.Int64).fill_null(NO_LIMIT))
    return kind, most, np.array(domains, dtype=np.int64).reshape(len(domains), len(replay.hosts.ids))
