"""What a pass has decided so far, written down host by host."""

from typing import NamedTuple

import numpy as np

from slacktide.planner.compiled import inlined, internal
from slacktide.planner.listing.arrays import FAR, Instance, Ints, Moves, State
from slacktide.planner.listing.draining import commit


class Outcome(NamedTuple):
    """What a pass decides; rows of hosts in the order in which they leave."""

    hosts: Ints  # (N, 5) host, wave, drain start, drained, return
    rows: Ints  # (M, 6) VM, source, target, start, end, rate
    counts: Ints  # hosts, migrations, 1: `rows` was too short
    halt: Ints  # (1,) set to 1 by another thread: end at once, the outcome is not wanted


@internal
def start_host(
    instance: Instance,
    state: State,
    moves: Moves,
    out: Outcome,
    host: int,
    first: int,
    count: int,
    at_s: int,
    wave: int,
) -> int:
    """Write a drained host down and return when it is back; its moves before ``first`` are written already."""
    first_s, last_s = np.int64(FAR), np.int64(at_s)
    for at in range(count):
        first_s = min(first_s, moves.start_s[at])
        last_s = max(last_s, moves.end_s[at])
    commit(state, moves, host, first, count, at_s, out.rows, out.counts[1])
    row = out.counts[0]
    out.hosts[row, 0], out.hosts[row, 1] = host, wave
    out.hosts[row, 2], out.hosts[row, 3] = min(first_s, last_s), last_s
    out.hosts[row, 4] = last_s + instance.maintenance_s[host]
    out.counts[0] += 1
    out.counts[1] += count - first
    return out.hosts[row, 4]


@inlined
def too_short(moves: Moves, out: Outcome, vms: int) -> bool:
    """Return whether the arrays have no room for so many moves more."""
    return out.counts[1] + vms > out.rows.shape[0] or vms > moves.vm.shape[0]
