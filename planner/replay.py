"""A finished plan laid over its snapshot: who is where at which moment, as arrays sorted for sweeping.

Made once for all checks of the audit, and from the tables alone: nothing of the planner's own problem is used.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from slacktide.datasets.digest import digest
from slacktide.datasets.snapshot import FleetSnapshot
from slacktide.planner.plan import STRATEGIES, Plan
from slacktide.planner.selection import due
from slacktide.planner.sweep import Levels, levels
from slacktide.topology.datacenter import Datacenter
from slacktide.topology.routing import Routing

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

BEFORE_ALL: Final = -1
"""When a VM came to the host where the snapshot finds it."""
NEVER: Final = 2**62
"""Stands for a moment that does not come; above every time, and safe from overflow in sums of two."""

VCPUS, MEMORY, VMS = 0, 1, 2
"""Quantities of a host's use: vCPUs, MiB, number of VMs."""


@dataclass(frozen=True, eq=False)
class Hosts:
    """Every host of the fleet in the order of the snapshot; H hosts."""

    ids: tuple[str, ...]
    capacity: Ints
    """Sellable vCPUs and MiB, shape (H, 2)."""
    nic_mbit_s: Ints
    maintenance_s: Ints
    usable: Bools
    """Neither down nor quarantined."""
    patched: Bools
    """At the policy's patch level from the start."""
    due: Bools
    """Selected by the policy."""
    planned: Bools
    wave: Ints
    """-1: not planned."""
    drain_start_s: Ints
    """NEVER: not planned; so are the next three."""
    drained_s: Ints
    over_s: Ints
    """When it is out no more: it has returned, or is evacuated."""
    return_s: Ints
    """NEVER as well: it is evacuated, and does not come back."""
    evacuated: Bools
    """Planned, and named to be evacuated."""
    shunned: Bools
    """Named to be evacuated."""


@dataclass(frozen=True, eq=False)
class Vms:
    """Every VM of the fleet in the order of the snapshot; V VMs."""

    ids: tuple[str, ...]
    host: Ints
    """Where it is at the start."""
    size: Ints
    """vCPUs, MiB and 1, shape (V, 3)."""
    service: Ints
    """Row in the snapshot's services; -1: none."""


@dataclass(frozen=True, eq=False)
class Moves:
    """The migrations whose VM and hosts exist, sorted by VM, then start; M moves."""

    row: Ints
    """Row in the plan's migrations."""
    vm: Ints
    source: Ints
    target: Ints
    was_on: Ints
    """Where the VM is in truth before the move: the target of its move before, or its host at the start."""
    again: Bools
    """Whether the VM has moved before; then the move before is the one above."""
    notified_s: Ints
    start_s: Ints
    end_s: Ints
    bandwidth_mbit_s: Ints
    strategy: Ints
    """Index into the plan's strategies."""
    wave: Ints

    def __len__(self) -> int:
        return len(self.row)


class Replay:
    """A plan over its snapshot."""

    def __init__(self, snapshot: FleetSnapshot, plan: Plan, fingerprint: str | None = None) -> None:
        self.snapshot = snapshot
        self._fingerprint = fingerprint
        self.plan = plan
        self.policy = plan.header.policy
        self.hosts = _hosts(snapshot, plan)
        self.vms = _vms(snapshot)
        self.moves = self._moves()
        self.free: dict[bytes, tuple[Levels, Ints]] = {}
        """Free capacity by domain over time, kept from one rule for another (:mod:`.constraints.free_capacity`)."""

    @property
    def from_s(self) -> int:
        """When the plan begins: 0, or the moment from which it revises its parent; nothing new starts before."""
        return 0 if self.plan.header.revision is None else self.plan.header.revision.from_s

    @property
    def selected(self) -> int:
        """Hosts that shares of the selected hosts are taken of."""
        revision = self.plan.header.revision
        return int(self.hosts.due.sum()) if revision is None else revision.selected_hosts

    @cached_property
    def snapshot_digest(self) -> str:
        """The fingerprint of the snapshot's content."""
        return self._fingerprint or digest(self.snapshot)

    @cached_property
    def datacenter(self) -> Datacenter:
        """The topology; its hosts are numbered like :attr:`hosts`."""
        return Datacenter.from_tables(self.hosts.ids, self.snapshot.links, self.snapshot.domains)

    @cached_property
    def routing(self) -> Routing:
        """The routes of the topology."""
        return Routing(self.datacenter)

    @cached_property
    def use_at_start(self) -> Ints:
        """Use of each host before anything moves, shape (H, 3)."""
        used = np.zeros((len(self.hosts.ids), 3), dtype=np.int64)
        np.add.at(used, self.vms.host, self.vms.size)
        return used

    @cached_property
    def use_changes(self) -> tuple[Ints, Ints, Ints]:
        """Host, moment and change of use (shape (2 M, 3)): a VM counts on both hosts while it moves."""
        moves, size = self.moves, self.vms.size[self.moves.vm]
        return (
            np.concatenate([moves.target, moves.was_on]),
            np.concatenate([moves.start_s, moves.end_s]),
            np.concatenate([size, -size]),
        )

    @cached_property
    def use(self) -> Levels:
        """Use of each host from each moment at which it changes."""
        return levels(*self.use_changes, self.use_at_start)

    @cached_property
    def out_changes(self) -> tuple[Ints, Ints, Ints]:
        """Host, moment and +1 (goes out) or -1 (returns), of planned hosts; those that are evacuated do not return."""
        host, at_s, change = self.place_changes
        stays = (change > 0) | ~self.hosts.evacuated[host]
        return host[stays], at_s[stays], change[stays]

    @cached_property
    def place_changes(self) -> tuple[Ints, Ints, Ints]:
        """Host, moment and +1 (takes a place among the hosts out) or -1 (gives it back), of planned hosts."""
        host = np.flatnonzero(self.hosts.planned)
        one = np.ones(len(host), dtype=np.int64)
        times = np.concatenate([self.hosts.drain_start_s[host], self.hosts.over_s[host]])
        return np.concatenate([host, host]), times, np.concatenate([one, -one])

    def domain_of(self, kind: str) -> tuple[Ints, tuple[str, ...]] | None:
        """Return each host's domain of ``kind`` (-1: none) and the domains' names; None: no such kind.

        ``host`` is a kind of its own: every host is its domain.
        """
        if kind == "host":
            return np.arange(len(self.hosts.ids)), self.hosts.ids
        domains = self.datacenter.domains
        if kind not in domains.kinds:
            return None
        return domains.of(kind).astype(np.int64), domains.names(kind)

    def ids(self, moves: Ints) -> list[str]:
        """Return the migration ids of moves, by their place in :attr:`moves`."""
        return self.plan.migrations["migration_id"].gather(self.moves.row[moves]).to_list()

    @cached_property
    def named(self) -> tuple[Ints, Ints, Ints]:
        """The place of each migration's VM, source and target, in the order of the plan's table; -1: no such name."""
        table, hosts = self.plan.migrations, self.snapshot.hosts["host_id"]
        vm = places(table["vm_id"], self.snapshot.vms["vm_id"])
        return vm, places(table["source"], hosts), places(table["target"], hosts)

    def _moves(self) -> Moves:
        table = self.plan.migrations
        vm, source, target = self.named
        start_s = ints(table["start_s"])
        row = np.flatnonzero((vm >= 0) & (source >= 0) & (target >= 0))
        row = row[np.lexsort((ints(table["end_s"])[row], start_s[row], vm[row]))]
        vm, source, target = vm[row], source[row], target[row]
        again = np.zeros(len(row), dtype=np.bool_)
        again[1:] = vm[1:] == vm[:-1]
        was_on = np.where(again, np.roll(target, 1), self.vms.host[vm])
        strategies = table["strategy"].cast(pl.String)
        return Moves(
            row=row,
            vm=vm,
            source=source,
            target=target,
            was_on=was_on,
            again=again,
            notified_s=ints(table["notified_s"])[row],
            start_s=start_s[row],
            end_s=ints(table["end_s"])[row],
            bandwidth_mbit_s=ints(table["bandwidth_mbit_s"])[row],
            strategy=places(strategies, STRATEGIES)[row],
            wave=ints(table["wave"])[row],
        )


def places(names: pl.Series, ids: Sequence[str] | pl.Series) -> Ints:
    """Return the place of each name in ``ids``, which are distinct; -1: not there, or null."""
    known = pl.DataFrame({"name": pl.Series(ids, dtype=pl.String)}).with_row_index("place")
    found = pl.DataFrame({"name": names.cast(pl.String)}).join(known, on="name", how="left", maintain_order="left")
    return ints(found["place"].cast(pl.Int64).fill_null(-1))


def ints(column: pl.Series) -> Ints:
    """Return an integer column as an array."""
    return column.cast(pl.Int64).to_numpy()


def _hosts(snapshot: FleetSnapshot, plan: Plan) -> Hosts:
    table = snapshot.hosts
    ids = tuple(table["host_id"].to_list())
    planned = places(plan.hosts["host_id"], ids)
    known = np.flatnonzero(planned >= 0)

    def of_planned(column: str, otherwise: int) -> Ints:
        values = np.full(len(ids), otherwise, dtype=np.int64)
        values[planned[known]] = ints(plan.hosts[column])[known]
        return values

    shunned = table["host_id"].is_in(list(plan.header.policy.evacuate)).to_numpy()
    over_s = of_planned("return_s", NEVER)
    return Hosts(
        ids=ids,
        capacity=np.column_stack([ints(table["vcpus"]), ints(table["memory_mib"])]),
        nic_mbit_s=ints(table["migration_mbit_s"]),
        maintenance_s=ints(table["maintenance_s"]),
        usable=~table["state"].cast(pl.String).is_in(["down", "quarantined"]).to_numpy(),
        patched=(table["patch_level"] == plan.header.policy.patch_level).to_numpy(),
        due=due(table, plan.header.policy),
        planned=of_planned("wave", -1) >= 0,
        wave=of_planned("wave", -1),
        drain_start_s=of_planned("drain_start_s", NEVER),
        drained_s=of_planned("drained_s", NEVER),
        over_s=over_s,
        return_s=np.where(shunned, NEVER, over_s),
        evacuated=shunned & (over_s < NEVER),
        shunned=shunned,
    )


def _vms(snapshot: FleetSnapshot) -> Vms:
    table = snapshot.vms
    one = np.ones(table.height, dtype=np.int64)
    return Vms(
        ids=tuple(table["vm_id"].to_list()),
        host=places(table["host_id"], snapshot.hosts["host_id"]),
        size=np.column_stack([ints(table["vcpus"]), ints(table["memory_mib"]), one]),
        service=places(table["service_id"], snapshot.services["service_id"]),
    )
