"""Orders rehearsed without VMs: the same as a plain simulation, and polishing never costs more."""

import heapq

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from slacktide.planner.listing.rehearsal import Cast, polish, rehearse
from slacktide.planner.listing.schedule import new_halt
from slacktide.planner.rehearsing import lanes_of


def cast_of(seed: int, hosts: int, racks: int, feeds: int, together: int, room: float, in_turn: bool) -> Cast:
    """Return hosts at random in racks and power feeds, some in none; each rack has one of three sizes."""
    rng = np.random.default_rng(seed)
    rack = rng.integers(-1, racks, hosts)
    feed = rng.integers(0, feeds, hosts)
    groups = np.stack([np.zeros(hosts, np.int64), np.where(rack >= 0, 1 + rack, -1), 1 + racks + feed], axis=1)
    limit = np.concatenate([[together], rng.integers(1, 3, racks + feeds)]).astype(np.int64)
    lane, lane_start, lanes = lanes_of(groups, len(limit))
    return Cast(
        out_s=rng.integers(1, 40, hosts),
        groups=groups,
        lane=lane,
        lane_start=lane_start,
        lanes=lanes,
        limit=limit,
        amount=np.tile((1 + (rack + 1) % 3)[:, None] / room, 2),
        weight=rng.integers(1, 4, hosts).astype(np.float64),
        gate_s=5,
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
            too_large = cast.amount[[*busy, host], 0].sum() > 1.0
            if free and too_large and cast.in_turn and out:
                break
            if free and not too_large:
                leaves[host] = now
                heapq.heappush(out, (now + int(cast.out_s[host]), host))
                waiting.remove(host)
        if not out:
            break
        now = out[0][0]
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


def paid(cast: Cast, start_s: np.ndarray) -> float:
    """Return what an order costs, as the search counts it."""
    leaves_s = np.array(plainly(cast, np.argsort(start_s, kind="stable")))
    return_s = cast.gate_s + leaves_s + cast.out_s
    exposure = cast.exposure_counts * (cast.weight * return_s).sum() / cast.exposure_s
    return float(return_s.max() / cast.makespan_s + exposure)


def test_nobody_waits_for_a_host_that_never_fits() -> None:
    alone = cast_of(1, hosts=4, racks=1, feeds=1, together=4, room=4.0, in_turn=True)._replace(
        groups=np.zeros((4, 1), np.int64),
        limit=np.array([4]),
        lane=np.arange(4),
        lane_start=np.zeros(2, np.int64),
        lanes=np.empty(0, np.int64),
        out_s=np.full(4, 5),
        amount=np.tile(np.array([1.5, 0.5, 0.5, 0.5])[:, None], 2),
    )
    assert rehearse(alone, np.arange(4)).tolist() == [-1, 0, 0, 5]
