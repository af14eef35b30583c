"""Migrations leave room on every link."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from slacktide.errors import UsageError
from slacktide.findings import Finding
from slacktide.planner.replay import NEVER, Bools, Ints, Replay
from slacktide.planner.sweep import Excess, Levels, excess, levels

if TYPE_CHECKING:
    from slacktide.planner.encoding import Encoding
    from slacktide.planner.encoding_parts import Leg
    from slacktide.planner.problem import Problem

Loads = Callable[[Ints, Ints], "sparse.csr_array[np.float64]"]
"""From sources and targets to the share of each migration on every link, or on every bundle of links."""

ENTRIES_BY_LINK: Final = 20_000_000
"""Loads (migration and link) up to which every link is swept by itself: about 5 s.

Beyond, as in a three-layer fabric with a million migrations, bundles of links that routing always loads alike are
swept; that they are loaded alike is tried on :data:`PROBED` migrations of this very plan.
"""

ENTRIES_AT_ONCE: Final = 4_000_000
"""Loads swept together: about 500 MB with sorting, and few enough passes not to matter."""

PROBED: Final = 512
"""Migrations asked first, to learn how many links a route has, and to try the bundles on."""

ROUNDING_MBIT_S: Final = 1e-3
"""Sums of shares in double precision may exceed a limit by this much and still keep it."""

CELLS: Final = 2_000_000
"""Links times parts of time in which all that is on a link at any moment of a part is summed up: 16 MB.

Most links never carry as much as their limit even so; only the others are swept.  More cells spare more links, and cost
more than they save.
"""

PARTS_PER_MBIT: Final = 100_000
"""The solver counts in whole parts.  Rounded, a hundred migrations on a link stay within half of the rounding above."""


@dataclass(frozen=True, slots=True)
class LinkShare:
    """Migrations fill at most ``share`` of every directed link, and of a host's NIC what it may carry each way.

    Migrations that started before a revision may fill more of a link than its policy's share, for the parent's may have
    been another.  On such a link no other migration is under way until all of them keep the share again.
    """

    share: float
    rule: ClassVar[str] = "link-share"

    def encode(self, problem: "Problem", encoding: "Encoding") -> None:
        """Limit what each host's NIC sends and receives, and what each shared link carries."""
        network, rates_mbit_s = problem.network, problem.vms.rates_mbit_s
        for host in range(len(problem.hosts.ids)):
            sent, received = encoding.legs_from(host), encoding.legs_to(host)
            for legs, most in ((sent, network.egress_mbit_s), (received, network.ingress_mbit_s)):
                streams = encoding.streams(legs)
                demands = [int(rates_mbit_s[stream.rate]) for stream in streams]
                encoding.cumulative([stream.interval for stream in streams], demands, int(most[host]))
        for bundle, legs_of_part in sorted(_bundles(problem, encoding).items()):
            intervals, demands = [], []
            for part, legs in sorted(legs_of_part.items()):
                streams = encoding.streams(legs)
                intervals += [stream.interval for stream in streams]
                demands += [part] * len(streams)
            limit = int((network.bundle_limit[bundle] + ROUNDING_MBIT_S / 2) * PARTS_PER_MBIT)
            encoding.cumulative(intervals, demands, limit)

    def check(self, replay: Replay) -> Iterator[Finding]:
        """Yield overfull links and NICs: the first moment and the peak."""
        nics = _nic_levels(replay)
        yield from self._nics(replay, nics)
        moves, routing = replay.moves, replay.routing
        sending = np.flatnonzero(moves.bandwidth_mbit_s > 0)
        probed = sending[:: max(1, len(sending) // PROBED)]
        try:
            loads = routing.link_loads(moves.source[probed], moves.target[probed])
            if loads.nnz * len(sending) <= ENTRIES_BY_LINK * max(1, len(probed)):
                yield from self._links(replay, sending, nics)
                return
            merged = routing.bundle_loads(moves.source[probed], moves.target[probed])
            if not _alike(loads, merged, routing.bundle_of_link):
                message = "links of one bundle are not loaded alike, so the links were swept one by one"
                yield Finding(self.rule, message, "Report this: routing contradicts itself", "warning")
                yield from self._links(replay, sending, nics)
                return
            yield from self._bundles(replay, sending)
        except UsageError as error:
            yield Finding(self.rule, f"{error.subject}: {error.fact}", error.remedy)

    def _nics(self, replay: Replay, nics: tuple[Levels, Levels]) -> Iterator[Finding]:
        hosts = replay.hosts
        for swept, direction in zip(nics, ("sends", "receives"), strict=True):
            over = excess(swept, hosts.nic_mbit_s)
            for host, at_s, peak in zip(over.key.tolist(), over.at_s.tolist(), over.peak.tolist(), strict=True):
                yield Finding(
                    self.rule,
                    f"{hosts.ids[host]} {direction} up to {peak:,} Mbit/s of migrations; its NIC may carry "
                    f"{hosts.nic_mbit_s[host]:,} Mbit/s",
                    "Start one of the migrations later, or give it less bandwidth",
                    subjects=(hosts.ids[host],),
                    at_s=at_s,
                )

    def _links(self, replay: Replay, sending: Ints, nics: tuple[Levels, Levels]) -> Iterator[Finding]:
        capacity = replay.datacenter.capacity_mbit_s.astype(np.float64)
        watched = _may_exceed(replay, nics, self.share * capacity)
        first_s, peak = _overfull(replay, sending, replay.routing.link_loads, self.share * capacity, watched)
        for link in np.flatnonzero(first_s < NEVER).tolist():
            name = replay.datacenter.link_names[link]
            yield self._finding(name, name, peak[link], capacity[link], first_s[link])

    def _bundles(self, replay: Replay, sending: Ints) -> Iterator[Finding]:
        """Yield the first link of each overfull bundle, with the load and capacity of one link."""
        routing = replay.routing
        capacity = routing.bundle_capacity_mbit_s
        watched = np.ones(len(capacity), dtype=np.bool_)
        first_s, peak = _overfull(replay, sending, routing.bundle_loads, self.share * capacity, watched)
        for bundle in np.flatnonzero(first_s < NEVER).tolist():
            links = np.flatnonzero(routing.bundle_of_link == bundle)
            name, count = replay.datacenter.link_names[links[0]], len(links)
            what = f"{name} and {count - 1} links like it, each," if count > 1 else name
            yield self._finding(name, what, peak[bundle] / count, capacity[bundle] / count, first_s[bundle])

    def _finding(self, name: str, what: str, peak: float, capacity: float, at_s: int) -> Finding:
        return Finding(
            self.rule,
            f"{what} carries up to {peak:,.0f} Mbit/s of migrations; allowed are "
            f"{self.share * capacity:,.0f} of {capacity:,.0f} Mbit/s",
            "Start one of the migrations later, or give it less bandwidth",
            subjects=(name,),
            at_s=int(at_s),
        )


def _nic_levels(replay: Replay) -> tuple[Levels, Levels]:
    """Return what each host sends and what it receives, over time."""
    moves = replay.moves
    at_s = np.concatenate([moves.start_s, moves.end_s])
    change = np.concatenate([moves.bandwidth_mbit_s, -moves.bandwidth_mbit_s])
    idle = np.zeros(len(replay.hosts.ids), dtype=np.int64)
    sent, received = (levels(np.concatenate([end, end]), at_s, change, idle) for end in (moves.source, moves.target))
    return sent, received


def _may_exceed(replay: Replay, nics: tuple[Levels, Levels], allowed_mbit_s: NDArray[np.float64]) -> Bools:
    """Return the links but those of hosts that never send or receive as much as one of their links may carry.

    A migration that ends before it starts counts against the others, so that there is no telling.
    """
    datacenter, moves, hosts = replay.datacenter, replay.moves, len(replay.hosts.ids)
    possible = np.ones(len(allowed_mbit_s), dtype=np.bool_)
    if (moves.end_s < moves.start_s).any():
        return possible
    for swept, end in zip(nics, (datacenter.tail, datacenter.head), strict=True):
        most = np.zeros(hosts, dtype=np.int64)
        np.maximum.at(most, swept.key, swept.level)
        of_host = np.flatnonzero(end < hosts)
        possible[of_host] &= most[end[of_host]] > allowed_mbit_s[of_host]
    return possible


def _overfull(
    replay: Replay, sending: Ints, loads_of: Loads, allowed_mbit_s: NDArray[np.float64], watched: Bools
) -> tuple[Ints, NDArray[np.float64]]:
    """Return for each link the first moment above its limit that is not a fact (NEVER: none), and the highest load."""
    moves = replay.moves
    begun = sending[moves.start_s[sending] < replay.from_s]
    if not len(begun):
        return _sweep(replay, sending, loads_of, allowed_mbit_s, watched)
    at_once = loads_of(moves.source[begun], moves.target[begun]).T @ moves.bandwidth_mbit_s[begun]
    filled = watched & (at_once > allowed_mbit_s + ROUNDING_MBIT_S)
    first_s, peak = _sweep(replay, sending, loads_of, allowed_mbit_s, watched & ~filled)
    if filled.any():
        over = _filled_further(replay, sending, loads_of, allowed_mbit_s, filled)
        first_s[over.key], peak[over.key] = over.at_s, over.peak
    return first_s, peak


def _filled_further(
    replay: Replay, sending: Ints, loads_of: Loads, allowed_mbit_s: NDArray[np.float64], filled: Bools
) -> Excess:
    """Return the links of ``filled`` that are above their limit while a migration of the plan's own is under way."""
    moves, links = replay.moves, [np.zeros(0, dtype=np.int64)]
    rows, rates = [np.zeros(0, dtype=np.int64)], [np.zeros(0)]
    for begin in range(0, len(sending), PROBED):
        part = sending[begin : begin + PROBED]
        loads = loads_of(moves.source[part], moves.target[part]).tocoo()
        kept = filled[loads.col]
        links.append(loads.col[kept].astype(np.int64))
        rows.append(part[loads.row[kept]])
        rates.append(loads.data[kept] * moves.bandwidth_mbit_s[rows[-1]])
    link, row, rate = (np.concatenate(parts) for parts in (links, rows, rates))
    own = moves.start_s[row] >= replay.from_s
    change = np.column_stack([rate, own])
    at_s = np.concatenate([moves.start_s[row], moves.end_s[row]])
    swept = levels(np.tile(link, 2), at_s, np.concatenate([change, -change]), np.zeros((len(filled), 2)))
    alone = swept.level[:, 1] < 1 / 2
    load = np.where(alone, 0.0, swept.level[:, 0])
    return excess(Levels(swept.key, swept.at_s, load), allowed_mbit_s + ROUNDING_MBIT_S)


def _sweep(
    replay: Replay, sending: Ints, loads_of: Loads, allowed_mbit_s: NDArray[np.float64], watched: Bools
) -> tuple[Ints, NDArray[np.float64]]:
    """Return for each link the first moment above its limit (NEVER: none) and the highest load above it.

    Only links that are ``watched`` can exceed it.  Migrations are taken in the order of their starts, in blocks; what
    happens before the next block's first start is swept, the ends after it are carried over.
    """
    moves, links = replay.moves, len(allowed_mbit_s)
    first_s, peak, running = np.full(links, NEVER), np.zeros(links), np.zeros(links)
    order = sending[np.argsort(moves.start_s[sending], kind="stable")]
    link, at_s, change = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), np.zeros(0)
    begin, block = 0, PROBED
    while begin < len(order):
        part = order[begin : begin + block]
        begin += len(part)
        loads = loads_of(moves.source[part], moves.target[part]).tocoo()
        kept = watched[loads.col]
        row, column = loads.row[kept], loads.col[kept]
        rate = loads.data[kept] * moves.bandwidth_mbit_s[part][row]
        link = np.concatenate([link, column, column])
        at_s = np.concatenate([at_s, moves.start_s[part][row], moves.end_s[part][row]])
        change = np.concatenate([change, rate, -rate])
        horizon_s = moves.start_s[order[begin]] if begin < len(order) else NEVER
        done = at_s < horizon_s
        over = overfull(link[done], at_s[done], change[done], running, allowed_mbit_s)
        first_s[over.key] = np.minimum(first_s[over.key], over.at_s)
        peak[over.key] = np.maximum(peak[over.key], over.peak)
        running += np.bincount(link[done], weights=change[done], minlength=links)
        link, at_s, change = link[~done], at_s[~done], change[~done]
        block = max(PROBED, int(ENTRIES_AT_ONCE * len(part) / max(1, loads.nnz)))
    return first_s, peak


def overfull(
    link: Ints,
    at_s: Ints,
    change: NDArray[np.float64],
    running: NDArray[np.float64],
    allowed_mbit_s: NDArray[np.float64],
) -> Excess:
    """Return the links that exceed their limit.

    What ends in a part of time is first counted as if it stayed to the part's end; links that keep their limit even so
    need not be swept.
    """
    used = np.flatnonzero(np.bincount(link, minlength=len(running)))
    if not len(used):
        return Excess(link, at_s, change)
    place = np.zeros(len(running), dtype=np.int64)
    place[used] = np.arange(len(used))
    parts = max(1, CELLS // len(used) - 1)
    first_s = int(at_s.min())
    part_s = (int(at_s.max()) - first_s) // parts + 1
    cell = place[link] * (parts + 1) + (at_s - first_s) // part_s + (change < 0)
    sums = np.bincount(cell, weights=change, minlength=len(used) * (parts + 1)).reshape(len(used), -1)
    suspect = np.zeros(len(running), dtype=np.bool_)
    np.cumsum(sums, axis=1, out=sums)
    suspect[used] = running[used] + sums.max(axis=1) > allowed_mbit_s[used]
    chosen = suspect[link]
    return excess(levels(link[chosen], at_s[chosen], change[chosen], running), allowed_mbit_s + ROUNDING_MBIT_S)


def _alike(
    loads: "sparse.csr_array[np.float64]", merged: "sparse.csr_array[np.float64]", bundle_of_link: NDArray[np.integer]
) -> bool:
    """Return whether every link of a bundle carries an equal part of what the bundle does."""
    coordinates = loads.tocoo()
    links = np.bincount(bundle_of_link, minlength=merged.shape[1])
    bundle = bundle_of_link[coordinates.col]
    shape = merged.shape
    count = sparse.csr_array((np.ones(loads.nnz), (coordinates.row, bundle)), shape=shape)
    total = sparse.csr_array((coordinates.data, (coordinates.row, bundle)), shape=shape)
    largest = np.asarray(merged[coordinates.row, bundle]).ravel() / links[bundle]
    even = np.allclose(coordinates.data, largest, atol=1e-9)
    whole = bool(np.all(np.asarray(count[coordinates.row, bundle]).ravel() == links[bundle]))
    return bool(even and whole and abs(total - merged).max() <= 1e-9)


def _bundles(problem: "Problem", encoding: "Encoding") -> "dict[int, dict[int, list[Leg]]]":
    """Return the legs over each shared link, by what they take of it."""
    network = problem.network
    found: dict[int, dict[int, list[Leg]]] = {}
    for leg in encoding.legs.values():
        pair = network.access_class[leg.source] * network.classes + network.access_class[leg.target]
        for at in range(network.route_start[pair], network.route_start[pair + 1]):
            part_mbit_s = float(problem.vms.rates_mbit_s[leg.rate] * network.route_share[at])
            of_bundle = found.setdefault(int(network.route_bundle[at]), {})
            of_bundle.setdefault(round(part_mbit_s * PARTS_PER_MBIT), []).append(leg)
    return found
