"""The moments at which failures are tried, and the hosts that fail then.

Trying all hosts at all moments would cost more than the plan.  Within a domain the moments of least free capacity are
those at which a restart is hardest, so each part of the plan's time gives its two hardest: one by vCPUs, one by memory.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from slacktide.planner.constraints.free_capacity import free_capacity
from slacktide.planner.failing.choosy import of_fewest_choices
from slacktide.planner.failing.stays import Stays, expanded, level_at
from slacktide.planner.replay import BEFORE_ALL, MEMORY, VCPUS, Bools, Ints, Replay
from slacktide.planner.sweep import levels, starts

MOST_PARTS: Final = 32
"""Parts into which a plan's time is cut: with two moments each, the start and the end a domain has 66 at most."""
LEAST_PARTS: Final = 2
MOMENTS: Final = 3000
"""Moments over all domains that are aimed at: with more the audit of 10,000 hosts would get a fifth slower."""
LARGEST_VMS: Final = 32
"""Stays of the largest VMs of a domain that are looked at for one that is under way at the moment."""


@dataclass(frozen=True, eq=False)
class Samples:
    """Moments of domains, sorted by domain, then time; each domain's first is the start, before anything moves."""

    domain: Ints
    at_s: Ints

    def __len__(self) -> int:
        return len(self.domain)


@dataclass(frozen=True, eq=False)
class Failures:
    """Hosts that fail together at a sampled moment, sorted by sample; F failures of up to n hosts."""

    sample: Ints
    hosts: Ints
    """Ascending, -1 first: fewer hosts than n hold a VM; shape (F, n)."""


@dataclass(frozen=True, eq=False)
class Beside:
    """The hosts of each sample's domain at its moment, sorted by sample; B rows."""

    sample: Ints
    host: Ints
    free: Ints
    """Free vCPUs and MiB, 0 where the host takes no VM: out, down or quarantined; shape (B, 2)."""
    lost: Ints
    """vCPUs and MiB of the VMs that fall with the host, shape (B, 2)."""


def sampled(replay: Replay, domain: Ints, domains: int) -> Samples:
    """Return the moments of each domain at which failures are tried: the start, the end and the hardest between."""
    free, _ = free_capacity(replay, domain, domains)
    there = np.unique(domain[domain >= 0])
    parts = min(MOST_PARTS, max(LEAST_PARTS, MOMENTS // (2 * max(1, len(there))) - 1))
    span = int(free.at_s.max(initial=0)) + 2
    part = free.at_s * parts // span
    chosen = []
    for quantity in (VCPUS, MEMORY):
        order = np.lexsort((free.at_s, free.level[:, quantity], part, free.key))
        chosen.append(order[starts(free.key[order] * parts + part[order])])
    first = starts(free.key)
    rows = np.concatenate([*chosen, np.append(first[1:], len(free.key))[: len(first)] - 1]).astype(np.int64)
    codes = np.concatenate([there * span, free.key[rows] * span + free.at_s[rows] + 1])
    number, moment = np.divmod(np.unique(codes), span)
    return Samples(number, np.where(moment == 0, BEFORE_ALL, moment - 1))


def beside(replay: Replay, domain: Ints, samples: Samples) -> Beside:
    """Return what each host of a sample's domain has free, and what falls with it."""
    hosts, moves = replay.hosts, replay.moves
    by_domain = np.argsort(domain, kind="stable")
    first, end = (np.searchsorted(domain[by_domain], samples.domain, side=side) for side in ("left", "right"))
    sample, place = expanded(first, end)
    host = by_domain[place]
    at_s = samples.at_s[sample]
    used = level_at(replay.use, replay.use_at_start, host, at_s)[:, :2]
    serves = hosts.usable[host] & ~((hosts.drain_start_s[host] <= at_s) & (at_s < hosts.return_s[host]))
    size = replay.vms.size[moves.vm]
    leaving = levels(
        np.concatenate([moves.target, moves.was_on]),
        np.concatenate([moves.start_s, moves.start_s]),
        np.concatenate([size, -size]),
        replay.use_at_start,
    )
    up = (replay.snapshot.hosts["state"] != "down").to_numpy()
    return Beside(
        sample=sample,
        host=host,
        free=np.where(serves[:, None], np.maximum(0, hosts.capacity[host] - used), 0),
        lost=np.where(up[host, None], level_at(leaving, replay.use_at_start, host, at_s)[:, :2], 0),
    )


def failures(
    replay: Replay,
    stays: Stays,
    domain: Ints,
    samples: Samples,
    beside: Beside,
    count: int,
    types: tuple[Ints, Bools],
) -> Failures:
    """Return the worst failures of ``count`` hosts at each sample.

    They are those with most vCPUs, those with most memory, the hosts of the largest VM by vCPUs and by memory, and the
    one whose choosy VMs have least room, each with the others that hold most memory.  ``types`` is the machine type of
    each host, and which each VM may run on.
    """
    count = min(count, int(np.bincount(beside.sample, minlength=1).max()))
    by_vcpus, by_memory = (_fullest(beside, len(samples), quantity, count) for quantity in (VCPUS, MEMORY))
    tried = [by_vcpus, by_memory]
    alone = [_of_largest(replay, stays, domain, samples, quantity) for quantity in (VCPUS, MEMORY)]
    for host in (*alone, of_fewest_choices(replay, stays, samples, beside, *types)):
        others = by_memory.copy()
        absent = ~(others == host[:, None]).any(axis=1) & (host >= 0)
        others[absent, -1] = host[absent]
        tried.append(others)
    rows = np.concatenate([np.column_stack([np.arange(len(samples)), np.sort(hosts, axis=1)]) for hosts in tried])
    rows = np.unique(rows[(rows[:, 1:] >= 0).any(axis=1)], axis=0)
    return Failures(rows[:, 0], rows[:, 1:])


def _fullest(beside: Beside, samples: int, quantity: int, count: int) -> Ints:
    """Return the hosts with which most falls at each sample, the worst first, -1: no more; shape (samples, count)."""
    rows = np.flatnonzero(beside.lost.any(axis=1))
    rows = rows[np.lexsort((beside.host[rows], -beside.lost[rows, quantity], beside.sample[rows]))]
    sample = beside.sample[rows]
    rank = np.arange(len(rows)) - np.searchsorted(sample, sample)
    chosen = np.full((samples, count), -1, dtype=np.int64)
    worst = rank < count
    chosen[sample[worst], rank[worst]] = beside.host[rows[worst]]
    return chosen


def _of_largest(replay: Replay, stays: Stays, domain: Ints, samples: Samples, quantity: int) -> Ints:
    """Return the host of the largest VM in each sample's domain, -1: none among the largest is there by then."""
    if not len(stays.vm):
        return np.full(len(samples), -1, dtype=np.int64)
    size = replay.vms.size[stays.vm, quantity]
    where = domain[stays.host]
    up = (replay.snapshot.hosts["state"] != "down").to_numpy()
    rows = np.flatnonzero((where >= 0) & up[stays.host])
    rows = rows[np.lexsort((-size[rows], where[rows]))]
    rank = np.arange(len(rows)) - np.searchsorted(where[rows], where[rows])
    largest = np.full((int(domain.max(initial=0)) + 1, LARGEST_VMS), -1, dtype=np.int64)
    top = rank < LARGEST_VMS
    largest[where[rows[top]], rank[top]] = rows[top]
    stay = largest[samples.domain]
    at_s = samples.at_s[:, None]
    there = (stay >= 0) & (stays.from_s[stay] <= at_s) & (at_s < stays.leaving_s[stay])
    found = stay[np.arange(len(samples)), there.argmax(axis=1)]
    return np.where(there.any(axis=1), stays.host[found], -1)
