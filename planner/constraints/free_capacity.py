"""What is free on the hosts in service, and what the largest of them sell, over time."""

import numpy as np

from slacktide.planner.replay import Ints, Replay
from slacktide.planner.sweep import Levels, levels, starts, summed


def free_capacity(replay: Replay, domain: Ints, domains: int) -> tuple[Levels, Ints]:
    """Return the free vCPUs and MiB of hosts in service in each domain, over time and at the start.

    ``domain`` gives each host's domain, -1: none.  A host is in service unless it is out, down or quarantined.  The
    levels have a moment wherever a host of the domain goes out, returns, or changes its use.
    """
    key = domain.tobytes()
    if key not in replay.free:
        replay.free[key] = _free_capacity(replay, domain, domains)
    return replay.free[key]


def _free_capacity(replay: Replay, domain: Ints, domains: int) -> tuple[Levels, Ints]:
    hosts = replay.hosts
    used_host, used_s, used = replay.use_changes
    out_host, out_s, out = replay.out_changes
    change = np.zeros((len(used_host) + len(out_host), 3), dtype=np.int64)
    change[: len(used_host), :2] = used[:, :2]
    change[len(used_host) :, 2] = out
    key, at_s = np.concatenate([used_host, out_host]), np.concatenate([used_s, out_s])
    base = np.column_stack([replay.use_at_start[:, :2], np.zeros(len(hosts.ids), dtype=np.int64)])
    state = levels(key, at_s, change, base)
    serves = hosts.usable[state.key] & (state.level[:, 2] == 0)
    free = np.where(serves[:, None], hosts.capacity[state.key] - state.level[:, :2], 0)
    free_at_start = np.where(hosts.usable[:, None], hosts.capacity - base[:, :2], 0)
    before = np.roll(free, 1, axis=0)
    first = starts(state.key)
    before[first] = free_at_start[state.key[first]]
    inside = domain[state.key] >= 0
    at_start = np.zeros((domains, 2), dtype=np.int64)
    np.add.at(at_start, domain[domain >= 0], free_at_start[domain >= 0])
    return levels(domain[state.key][inside], state.at_s[inside], (free - before)[inside], at_start), at_start


def largest_in_service(
    replay: Replay, domain: Ints, grid: Levels, count: int, quantity: int, domains: int
) -> tuple[Ints, Ints]:
    """Return what the ``count`` largest hosts in service sell together, at the moments of ``grid`` and at the start.

    Hosts are counted by size, from the largest down, until ``count`` of them are found at every moment: as many steps
    as there are sizes that ever matter, each over all moments at once.
    """
    hosts = replay.hosts
    out_host, out_s, out = replay.out_changes
    size = hosts.capacity[:, quantity]
    counted = hosts.usable & (domain >= 0)
    total = np.zeros(len(grid.key) + domains, dtype=np.int64)
    missing = np.full(len(total), count, dtype=np.int64)
    span = int(grid.at_s.max(initial=0)) + 1
    codes = grid.key * span + grid.at_s
    everywhere = np.arange(len(codes))
    for value in np.unique(size[counted])[::-1]:
        alike = counted & (size == value)
        base = np.bincount(domain[alike], minlength=domains)
        events = np.flatnonzero(alike[out_host])
        place = np.searchsorted(codes, domain[out_host[events]] * span + out_s[events])
        change = np.zeros(len(grid.key), dtype=np.int64)
        np.subtract.at(change, place, out[events])
        serving = summed(grid.key, change, everywhere) + base[grid.key]
        taken = np.minimum(missing, np.concatenate([serving, base]))
        total += taken * value
        missing -= taken
        if not missing.any():
            break
    return total[: len(grid.key)], total[len(grid.key) :]
