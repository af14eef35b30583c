"""Hosts whose VMs have few others to go to: those of which most may run on machine types with least room.

The fullest hosts are the worst to lose only where VMs may run anywhere.
"""

from typing import TYPE_CHECKING, Final

import numpy as np

from slacktide.planner.failing.stays import Stays, level_at
from slacktide.planner.replay import BEFORE_ALL, MEMORY, NEVER, Bools, Ints, Replay
from slacktide.planner.sweep import levels, starts

if TYPE_CHECKING:
    from slacktide.planner.failing.samples import Beside, Samples

MOST_SETS: Final = 8
"""Sets of machine types that are looked at, those of most VMs: fleets have few."""


def of_fewest_choices(
    replay: Replay, stays: Stays, samples: "Samples", beside: "Beside", host_type: Ints, types_allowed: Bools
) -> Ints:
    """Return the host at each sample whose choosy VMs have least free memory beside them, -1: no VM is choosy.

    What counts is the memory of a host's VMs of one set of machine types, over what other hosts of these types have
    free.
    """
    worst, chosen = np.zeros(len(samples)), np.full(len(samples), -1, dtype=np.int64)
    choosy, at_s = np.flatnonzero(~types_allowed.all(axis=1)), samples.at_s[beside.sample]
    sets, of_vm, count = np.unique(types_allowed[choosy], axis=0, return_inverse=True, return_counts=True)
    for number in np.argsort(-count, kind="stable")[:MOST_SETS].tolist():
        fallen = _memory_of(replay, stays, choosy[of_vm.reshape(-1) == number], beside.host, at_s)
        lost = np.where(beside.lost.any(axis=1), fallen, 0)
        free = np.where(sets[number][host_type[beside.host]], beside.free[:, MEMORY], 0)
        others = np.bincount(beside.sample, weights=free, minlength=len(samples))[beside.sample] - free
        score = lost / np.maximum(1.0, others)
        most = np.zeros(len(samples))
        np.maximum.at(most, beside.sample, score)
        rows = np.flatnonzero(score == most[beside.sample])
        first = rows[starts(beside.sample[rows])]
        better = first[most[beside.sample[first]] > worst[beside.sample[first]]]
        worst[beside.sample[better]], chosen[beside.sample[better]] = score[better], beside.host[better]
    return chosen


def _memory_of(replay: Replay, stays: Stays, vms: Ints, host: Ints, at_s: Ints) -> Ints:
    """Return the MiB of those of ``vms`` that fall with each host at each moment."""
    of_set = np.zeros(len(replay.vms.ids), dtype=np.bool_)
    of_set[vms] = True
    rows = np.flatnonzero(of_set[stays.vm])
    on, size = stays.host[rows], replay.vms.size[stays.vm[rows], MEMORY]
    from_s, leaving_s = stays.from_s[rows], stays.leaving_s[rows]
    there, come, go = from_s == BEFORE_ALL, from_s != BEFORE_ALL, leaving_s != NEVER
    at_start = np.bincount(on[there], weights=size[there], minlength=len(replay.hosts.ids)).astype(np.int64)[:, None]
    swept = levels(
        np.concatenate([on[come], on[go]]),
        np.concatenate([from_s[come], leaving_s[go]]),
        np.concatenate([size[come], -size[go]])[:, None],
        at_start,
    )
    return level_at(swept, at_start, host, at_s)[:, 0]
