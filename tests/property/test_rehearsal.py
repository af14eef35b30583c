"""Orders rehearsed without VMs: the same as a plain simulation, and polishing never costs more."""

import heapq

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from slacktide.planner.listing.rehearsal import AIM, OVERRUN, Cast, polish, rehearse
from slacktide.planner.listing.schedule import new_halt
from slacktide.planner.rehearsing import lanes_of
from slacktide.planner.rounds import evened, in_file


def cast_of(
    seed: int, hosts: int, racks: int, feeds: int, together: int, room: float, late_s: int = 0, in_turn: bool = False
) -> Cast:
    """Return hosts at random in racks and power feeds, some in none; each rack has one of three sizes."""
    rng = np.random.default_rng(seed)
    rack = rng.integers(-1, racks, hosts)
    feed = rng.integers(0, feeds, hosts)
    groups = np.stack([np.zeros(hosts, np.int64), np.where(rack >= 0, 1 + rack, -1), 1 + racks + feed], axis=1)
    limit = np.concatenate([[together], rng.integers(1, 3, racks + feeds)]).astype(np.int64)
    lane, lane_start, lanes, opens_s = lanes_of(groups, len(limit), rng.integers(0, 4, hosts) * late_s)
    return Cast(
        out_s=rng.integers(1, 40, hosts),
        groups=groups,
        lane=lane,
        lane_start=lane_start,
        lanes=lanes,
        opens_s=opens_s,
        limit=limit,
        amount=np.tile((1 + (rack + 1) % 3)[:, None] / room, 2),
        weight=rng.integers(1, 4, hosts).astype(np.float64),
        from_s=5,
        begun=0,
        makespan_s=100.0,
        exposure_s=1000.0,
        exposure_counts=0.5,
        in_turn=in_turn,
    )


casts = st.builds(
    cast_of,
    seed=st.integers(0, 10_000),
    hosts=st.integers(1, 30),
    racks=st.integers(1, 5),
    feeds=st.integers(1, 3),
    together=st.integers(1, 8),
    room=st.sampled_from([4.0, 8.0, 128.0]),
    in_turn=st.booleans(),
    late_s=st.sampled_from([0, 7, 60]),
)


def plainly(cast: Cast, order: np.ndarray) -> list[int]:
    """Return when each host leaves: at every moment those that wait are tried in order, or until one is waited for."""
    leaves = [-1] * len(order)
    waiting, out, now = order.tolist(), [], 0
    while waiting:
        for host in list(waiting):
            busy = [other for _, other in out]
            free = all(
                sum(group in cast.groups[other] for other in busy) < cast.limit[group]
                for group in cast.groups[host]
                if group >= 0
            )
            open_by_now = cast.opens_s[cast.lane[host]] <= now
            too_large = cast.amount[[*busy, host], 0].sum() > 1.0
            if open_by_now and free and too_large and cast.in_turn and out:
                break
            if open_by_now and free and not too_large:
                leaves[host] = now
                heapq.heappush(out, (now + int(cast.out_s[host]), host))
                waiting.remove(host)
        later = [int(opens) for opens in cast.opens_s if opens > now]
        if not out and not later:
            break
        now = min([*later, *(back for back, _ in out)])
        while out and out[0][0] <= now:
            heapq.heappop(out)
    return leaves


@settings(max_examples=150, deadline=None)
@given(casts, st.integers(0, 1000))
def test_a_rehearsal_is_a_plain_simulation(cast: Cast, seed: int) -> None:
    order = np.random.default_rng(seed).permutation(len(cast.out_s))
    assert rehearse(cast, order).tolist() == plainly(cast, order)


@settings(max_examples=60, deadline=None)
@given(casts, st.integers(0, 1000))
def test_polishing_never_costs_more_and_repeats(cast: Cast, seed: int) -> None:
    start_s = np.random.default_rng(seed).random(len(cast.out_s)) * 100
    polished = polish(cast, start_s, 20, seed, new_halt())
    assert paid(cast, polished) <= paid(cast, start_s) + 1e-9
    assert polish(cast, start_s, 20, seed, new_halt()).tolist() == polished.tolist()


@settings(max_examples=60, deadline=None)
@given(casts, st.integers(0, 1000), st.integers(0, 3))
def test_hosts_that_are_out_already_keep_their_places(cast: Cast, seed: int, begun: int) -> None:
    count = min(begun, len(cast.out_s) - 1)
    start_s = np.random.default_rng(seed).random(len(cast.out_s)) * 100
    polished = polish(cast._replace(begun=count), start_s, 20, seed, new_halt())
    assert set(np.argsort(polished, kind="stable")[:count].tolist()) == set(range(count))


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 30), st.integers(1, 8))
def test_rounds_dealt_out_anew_keep_their_hosts_and_their_starts(seed: int, hosts: int, at_once: int) -> None:
    rng = np.random.default_rng(seed)
    start_s, out_s = rng.random(hosts) * 100, rng.random(hosts) * 40
    dealt_s = evened(start_s, out_s, at_once)
    file = in_file(out_s, at_once)
    before, after = (order[~np.isin(order, file)] for order in (np.argsort(start_s), np.argsort(dealt_s)))
    size = at_once - hosts % at_once if len(file) else at_once
    for begin in range(0, len(before), size):
        new = after[begin : begin + size]
        assert set(before[begin : begin + size].tolist()) == set(new.tolist())
        assert (np.diff(out_s[new]) <= 0).all()
    assert np.sort(start_s).tolist() == np.sort(dealt_s).tolist()
    others = np.setdiff1d(np.arange(hosts), file)
    assert out_s[file].max(initial=0.0) <= out_s[others].min(initial=np.inf)


def test_two_lanes_end_together_once_their_rounds_are_dealt_out_anew() -> None:
    cast = cast_of(seed=0, hosts=4, racks=1, feeds=1, together=2, room=100.0)._replace(
        out_s=np.array([10, 20, 30, 40]), groups=np.zeros((4, 1), np.int64), lane=np.zeros(4, np.int64)
    )
    shortest_first = np.array([0.0, 1.0, 2.0, 3.0])

    def last_s(start_s: np.ndarray) -> int:
        return int((rehearse(cast, np.argsort(start_s, kind="stable")) + cast.out_s).max())

    assert last_s(shortest_first) == 60
    assert last_s(evened(shortest_first, cast.out_s.astype(np.float64), 2)) == 50


def test_one_host_more_than_whole_rounds_ends_with_the_others() -> None:
    """Nine hosts on four places: the shortest three follow each other while two long ones do."""
    cast = cast_of(seed=0, hosts=9, racks=1, feeds=1, together=4, room=100.0)._replace(
        out_s=np.array([20, 30, 30, 30, 30, 30, 20, 30, 20]),
        groups=np.zeros((9, 1), np.int64),
        lane=np.zeros(9, np.int64),
    )
    start_s = np.arange(9.0)
    leaves_s = rehearse(cast, np.argsort(evened(start_s, cast.out_s.astype(np.float64), 4), kind="stable"))
    assert (rehearse(cast, np.arange(9)) + cast.out_s).max() == 70
    assert (leaves_s + cast.out_s).max() == 60


def paid(cast: Cast, start_s: np.ndarray) -> float:
    """Return what an order costs, as the search counts it."""
    leaves_s = np.array(plainly(cast, np.argsort(start_s, kind="stable")))
    return_s = cast.from_s + leaves_s + cast.out_s
    exposure = cast.exposure_counts * (cast.weight * return_s).sum() / cast.exposure_s
    overrun_s = np.maximum(return_s - AIM * cast.makespan_s, 0).sum() * OVERRUN / min(cast.limit[0], len(leaves_s))
    return float((return_s.max() + overrun_s) / cast.makespan_s + exposure)


def test_nobody_waits_for_a_host_that_never_fits() -> None:
    alone = cast_of(1, hosts=4, racks=1, feeds=1, together=4, room=4.0, in_turn=True)._replace(
        groups=np.zeros((4, 1), np.int64),
        limit=np.array([4]),
        lane=np.arange(4),
        lane_start=np.zeros(2, np.int64),
        lanes=np.empty(0, np.int64),
        opens_s=np.zeros(4, np.int64),
        out_s=np.full(4, 5),
        amount=np.tile(np.array([1.5, 0.5, 0.5, 0.5])[:, None], 2),
    )
    assert rehearse(alone, np.arange(4)).tolist() == [-1, 0, 0, 5]
