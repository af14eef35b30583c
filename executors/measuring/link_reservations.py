"""What migrations under way take of each link, against its capacity.

It is the bandwidth that the plan keeps for them on every link of their routes, as in the report; switches are not
asked.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from slacktide.datasets.snapshot import FleetSnapshot
from slacktide.executors.link_use import chosen_links
from slacktide.executors.program import MigrationPart
from slacktide.topology.datacenter import Datacenter
from slacktide.topology.routing import Routing

STREAMS_LOOKED_AT: Final = 5_000
"""Migrations by which the links are chosen that are named: evenly from all of the plan.  Their routes take some ten
milliseconds where all of a large plan take seconds, and which links carry the most is plain from fewer."""
KINDS: Final = ("from hosts", "to hosts", "between switches")

Floats = NDArray[np.float64]
Ints = NDArray[np.integer]


class LinkReservations:
    """The links of a fleet, and which of them are named."""

    def __init__(self, snapshot: FleetSnapshot, migrations: MigrationPart) -> None:
        self._center = Datacenter.from_tables(snapshot.hosts["host_id"], snapshot.links, snapshot.domains)
        tail, head, hosts = self._center.tail, self._center.head, len(self._center.hosts)
        self._routing = Routing(self._center)
        self._capacity_mbit_s = self._center.capacity_mbit_s.astype(np.float64)
        between = (tail >= hosts) & (head >= hosts)
        of_kind = (tail < hosts, (tail >= hosts) & (head < hosts), between)
        self._of_kind = {kind: np.flatnonzero(links) for kind, links in zip(KINDS, of_kind, strict=True)}
        self._named = chosen_links(self._planned(migrations), between, self._center)
        self.names = tuple(self._center.link_names[link] for link in self._named.tolist())
        """The links that are named: the hottest of the plan, as in the report."""

    def _planned(self, migrations: MigrationPart) -> Floats:
        """Return how much a sample of the plan sends over each link, for what it can carry."""
        step = max(1, -(-len(migrations.ids) // STREAMS_LOOKED_AT))
        rows = np.flatnonzero(migrations.bandwidth_mbit_s > 0)[::step]
        return self._over_links(migrations, rows, migrations.bandwidth_mbit_s * (migrations.end_s - migrations.start_s))

    def _over_links(self, migrations: MigrationPart, rows: Ints, amount: Ints) -> Floats:
        """Return an amount of each of some migrations, summed over the links of their routes, for each's capacity."""
        if not len(rows):
            return np.zeros(len(self._capacity_mbit_s))
        loads = self._routing.link_loads(migrations.source[rows], migrations.target[rows])
        total: Floats = loads.T @ amount[rows].astype(np.float64)
        return total / self._capacity_mbit_s

    def use(self, migrations: MigrationPart, rows: Ints) -> tuple[dict[str, float], dict[str, tuple[float, float]]]:
        """Return the use of the links that are named, and the highest and mean use by kind, as shares of capacity.

        ``rows``: the migrations that are under way.
        """
        use = self._over_links(migrations, rows, migrations.bandwidth_mbit_s)
        named = dict(zip(self.names, use[self._named].tolist(), strict=True))
        kinds = {
            kind: (float(use[links].max()), float(use[links].mean()))
            for kind, links in self._of_kind.items()
            if len(links)
        }
        return named, kinds
