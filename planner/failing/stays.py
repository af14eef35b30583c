"""Where every VM is at which moment of a plan, host by host."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from slacktide.planner.replay import BEFORE_ALL, NEVER, Bools, Ints, Replay
from slacktide.planner.sweep import Levels


@dataclass(frozen=True, eq=False)
class Stays:
    """Times for which a VM takes room on a host, sorted by host; one for each VM and one more for each migration."""

    vm: Ints
    host: Ints
    from_s: Ints
    """When its migration to the host starts; BEFORE_ALL: it is there at the start."""
    leaving_s: Ints
    """When its migration away starts; NEVER: it stays.  From then on it counts with the host that it goes to."""
    until_s: Ints
    """When its migration away ends."""
    of_host: Ints
    """Where the stays on each host begin, shape (H + 1,)."""
    by_vm: Ints
    """Stays sorted by VM."""
    of_vm: Ints
    """Where the stays of each VM begin in :attr:`by_vm`, shape (V + 1,)."""


def stays(replay: Replay) -> Stays:
    """Return all stays of a plan over its snapshot."""
    moves, vms, hosts = replay.moves, replay.vms, len(replay.hosts.ids)
    last = ~np.roll(moves.again, -1)
    if len(last):
        last[-1] = True
    first = np.flatnonzero(~moves.again)
    leaving_s, until_s = (np.full(len(vms.ids), NEVER, dtype=np.int64) for _ in range(2))
    leaving_s[moves.vm[first]], until_s[moves.vm[first]] = moves.start_s[first], moves.end_s[first]
    vm = np.concatenate([np.arange(len(vms.ids), dtype=np.int64), moves.vm])
    host = np.concatenate([vms.host, moves.target])
    from_s = np.concatenate([np.full(len(vms.ids), BEFORE_ALL, dtype=np.int64), moves.start_s])
    leaving_s = np.concatenate([leaving_s, np.where(last, NEVER, np.roll(moves.start_s, -1))])
    until_s = np.concatenate([until_s, np.where(last, NEVER, np.roll(moves.end_s, -1))])
    order = np.argsort(host, kind="stable")
    vm, host = vm[order], host[order]
    by_vm = np.argsort(vm, kind="stable")
    return Stays(
        vm=vm,
        host=host,
        from_s=from_s[order],
        leaving_s=leaving_s[order],
        until_s=until_s[order],
        of_host=np.searchsorted(host, np.arange(hosts + 1)),
        by_vm=by_vm,
        of_vm=np.searchsorted(vm[by_vm], np.arange(len(vms.ids) + 1)),
    )


def expanded(first: Ints, end: Ints) -> tuple[Ints, Ints]:
    """Return, for ranges from ``first`` to before ``end``, the range's number and the place of each element."""
    lengths = end - first
    number = np.repeat(np.arange(len(first)), lengths)
    place = np.arange(len(number)) - np.repeat(np.cumsum(lengths) - lengths, lengths) + np.repeat(first, lengths)
    return number, place


def level_at(swept: Levels, base: Ints, key: Ints, at_s: Ints) -> Ints:
    """Return the level of each ``key`` at each moment, ``base`` (by key) where nothing has changed it yet."""
    if not len(swept.key):
        return base[key]
    span = max(int(swept.at_s.max()), int(at_s.max(initial=0))) + 2
    place = np.searchsorted(swept.key * span + swept.at_s, key * span + at_s, side="right") - 1
    known = (place >= 0) & (swept.key[place] == key)
    return np.where(known[:, None], swept.level[place], base[key])


def machine_types(replay: Replay) -> tuple[Ints, Bools]:
    """Return each host's machine type by number, and whether each VM may run on each type, shape (V, types)."""
    table = replay.snapshot.hosts["machine_type"]
    names = table.unique().sort()
    number = table.cast(pl.Enum(names)).to_physical().cast(pl.Int64).to_numpy()
    allowed = np.ones((len(replay.vms.ids), len(names)), dtype=np.bool_)
    wanted = replay.snapshot.vms["machine_types"]
    chosen = np.flatnonzero(wanted.is_not_null().to_numpy())
    few = wanted.gather(chosen)
    for column, name in enumerate(names.to_list()):
        allowed[chosen, column] = few.list.contains(name).to_numpy()
    return number, allowed
