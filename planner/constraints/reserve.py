"""Capacity stays free for what fails while hosts are out."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from slacktide.findings import Finding
from slacktide.planner.constraints.free_capacity import free_capacity, largest_in_service
from slacktide.planner.policy import Reserve
from slacktide.planner.replay import MEMORY, VCPUS, Ints, Replay
from slacktide.planner.sweep import Levels, starts

if TYPE_CHECKING:
    from slacktide.planner.encoding import Encoding
    from slacktide.planner.problem import Problem


@dataclass(frozen=True, slots=True)
class ReserveKept:
    """Hosts in service keep free what the policy reserves; a fleet short of it at the start never gets shorter.

    A revision starts with the hosts out that are out when it begins.

    ``share`` of what all hosts sell that are neither down nor quarantined, in the whole fleet; and as much as the
    ``hosts`` largest hosts in service sell, in each domain of kind ``per`` (null: the fleet).
    """

    reserve: Reserve
    rule: ClassVar[str] = "reserve"

    def encode(self, problem: "Problem", encoding: "Encoding") -> None:
        """Limit, in each group, what hosts that are out and VMs on hosts in service take together.

        The largest hosts are counted as at the start, which is never less than what the check asks.
        """
        hosts, vms = problem.hosts, problem.vms
        for family in range(problem.reserves.group.shape[1]):
            group = problem.reserves.group[:, family]
            for number in np.unique(group[group >= 0]).tolist():
                members = np.flatnonzero((group == number) & hosts.in_service)
                there = np.isin(vms.host, members)
                free = hosts.capacity[members].sum(axis=0) - vms.demand[there].sum(axis=0)
                spare = np.maximum(0, free - problem.reserves.required[number])
                if len(members) == hosts.in_service.sum():
                    _encode_fleet(problem, encoding, spare)
                else:
                    _encode_domain(problem, encoding, members, spare + vms.demand[there].sum(axis=0))

    def check(self, replay: Replay) -> Iterator[Finding]:
        """Yield domains that fall below their reserve: the first moment and the least that is free."""
        fleet = np.zeros(len(replay.hosts.ids), dtype=np.int64), ("fleet",)
        if self.reserve.share > 0:
            yield from self._share(replay, *fleet)
        if self.reserve.hosts > 0:
            found = fleet if self.reserve.per is None else replay.domain_of(self.reserve.per)
            if found is None:
                fact = f"no host is in a failure domain of kind {self.reserve.per}, so its reserve reserves nothing"
                remedy = "Name another kind in reserve.per, or add the domains to the snapshot"
                yield Finding(self.rule, fact, remedy, "warning", (str(self.reserve.per),))
                return
            yield from self._largest(replay, *found)

    def _share(self, replay: Replay, domain: Ints, names: tuple[str, ...]) -> Iterator[Finding]:
        free, at_start = free_capacity(replay, domain, len(names))
        sold = replay.hosts.capacity[replay.hosts.usable].sum(axis=0)
        needed = np.ceil(self.reserve.share * sold - 1e-6).astype(np.int64)
        for quantity in (VCPUS, MEMORY):
            everywhere = np.full(len(free.key), needed[quantity])
            yield from self._short(replay, free, at_start, everywhere, needed[quantity : quantity + 1], quantity, names)

    def _largest(self, replay: Replay, domain: Ints, names: tuple[str, ...]) -> Iterator[Finding]:
        free, at_start = free_capacity(replay, domain, len(names))
        for quantity in (VCPUS, MEMORY):
            needed, needed_at_start = largest_in_service(replay, domain, free, self.reserve.hosts, quantity, len(names))
            yield from self._short(replay, free, at_start, needed, needed_at_start, quantity, names)

    def _short(
        self,
        replay: Replay,
        free: Levels,
        free_at_start: Ints,
        needed: Ints,
        needed_at_start: Ints,
        quantity: int,
        names: tuple[str, ...],
    ) -> Iterator[Finding]:
        """Yield domains whose slack falls below 0 and below what it was at the start."""
        slack = free.level[:, quantity] - needed
        allowed = np.minimum(0, free_at_start[:, quantity] - needed_at_start)
        begun = np.flatnonzero(free.at_s < replay.from_s)
        allowed[free.key[begun]] = np.minimum(0, slack[begun])
        short = np.flatnonzero(slack < allowed[free.key])
        first = short[starts(free.key[short])]
        unit = "vCPUs" if quantity == VCPUS else "MiB"
        for row in first.tolist():
            name = names[free.key[row]]
            of_domain = short[free.key[short] == free.key[row]]
            worst = of_domain[np.argmin(slack[of_domain])]
            where = name if self.reserve.per is None or name == "fleet" else f"{self.reserve.per} {name}"
            yield Finding(
                self.rule,
                f"in the {where} as little as {free.level[worst, quantity]:,} {unit} are free on hosts in service; "
                f"the reserve is {needed[worst]:,} {unit}",
                "Drain fewer hosts at once, or lower the reserve",
                subjects=(name,),
                at_s=int(free.at_s[row]),
            )


def _encode_fleet(problem: "Problem", encoding: "Encoding", spare: Ints) -> None:
    """Limit what hosts that are out withdraw of the whole fleet's free capacity.

    At first it is what is free on them, and what each VM takes from when it starts to leave: by then it is elsewhere.
    """
    for quantity in (VCPUS, MEMORY):
        intervals, demands = [], []
        for host, out in encoding.outs.items():
            departures, relays = encoding.departures_from(host), encoding.relays_on(host)
            sizes = problem.vms.demand[:, quantity]
            free = int(problem.hosts.capacity[host, quantity] - sizes[problem.vms.host == host].sum())
            arrived = [(stop.present, int(sizes[stop.vm])) for stop in relays]
            intervals += [out.interval, *(departure.interval for departure in departures)]
            demands += [encoding.reduced(free, arrived), *(int(sizes[departure.vm]) for departure in departures)]
        encoding.cumulative(intervals, demands, int(spare[quantity]))


def _encode_domain(problem: "Problem", encoding: "Encoding", members: Ints, room: Ints) -> None:
    """Limit what hosts of a domain that are out sell, and what VMs on its others take."""
    outs, stays = encoding.out_of(members.tolist()), encoding.served_by(members.tolist())
    intervals = [out.interval for out in outs] + [stay.interval for stay in stays]
    for quantity in (VCPUS, MEMORY):
        demands = [int(problem.hosts.capacity[out.host, quantity]) for out in outs]
        demands += [int(problem.vms.demand[stay.vm, quantity]) for stay in stays]
        encoding.cumulative(intervals, demands, int(room[quantity]))
