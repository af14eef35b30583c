"""Hosts filled with VMs of random sizes, whole fleets at a time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from slacktide.datasets.calibration import MachineType, VmSize
from slacktide.datasets.randomness import Purpose, chosen, uniform
from slacktide.errors import UsageError

_HOSTS_AT_ONCE: Final = 16_384
_DRAWS_AT_ONCE: Final = 32
"""Hosts and draws in one block: 4 MiB a column of numbers, whatever the fleet's size."""

FULLEST: Final = 0.97
"""Share of its memory that no host is filled beyond on purpose: its last VM would rarely fit."""

Integers = NDArray[np.int64]
Numbers = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class PackedVms:
    """Arrays with one element a VM: number of its host, its number on the host, its size."""

    host: Integers
    number: Integers
    vcpus: Integers
    memory_mib: Integers

    @property
    def count(self) -> int:
        """Return how many VMs there are."""
        return len(self.host)


def no_vms() -> PackedVms:
    """Return no VMs."""
    empty = np.empty(0, dtype=np.int64)
    return PackedVms(empty, empty, empty, empty)


def joined(parts: Sequence[PackedVms]) -> PackedVms:
    """Return the VMs of all parts, of which there is one or more, sorted by host and number on the host."""
    host = np.concatenate([part.host for part in parts])
    number = np.concatenate([part.number for part in parts])
    order = np.lexsort((number, host))
    vcpus = np.concatenate([part.vcpus for part in parts])
    memory = np.concatenate([part.memory_mib for part in parts])
    return PackedVms(host[order], number[order], vcpus[order], memory[order])


def spread_fill(seed: int, host: Integers, fill: float, spread: float) -> Numbers:
    """Return each host's fill, even between ``spread`` below and above ``fill`` where there is room above."""
    mean = min(fill, FULLEST)
    width = min(spread, FULLEST - mean, mean)
    return mean + width * (2 * uniform(seed, Purpose.HOST_FILL, host) - 1)


def sizes_that_fit(sizes: Sequence[VmSize], machine: MachineType, largest_share: float) -> tuple[VmSize, ...]:
    """Return the sizes that take at most ``largest_share`` of a machine's vCPUs and memory.

    Raises
    ------
    UsageError
        If there is none.
    """
    fitting = tuple(
        size
        for size in sizes
        if size.share > 0
        and size.memory_mib <= largest_share * machine.memory_mib
        and size.vcpus <= largest_share * machine.vcpus
    )
    if not fitting:
        raise UsageError(
            "VM sizes",
            f"none fits into {largest_share:.0%} of a {machine.name} host "
            f"({machine.vcpus} vCPU, {machine.memory_mib} MiB)",
            "Raise `largest_vm_share`, give smaller sizes or larger machines",
        )
    return fitting


def filled(seed: int, sizes: Sequence[VmSize], machine: MachineType, host: Integers, target_mib: Numbers) -> PackedVms:
    """Return VMs that fill each host of one machine type to its target, and never beyond what it sells.

    Sizes are drawn one after the other.  The VM that crosses the target is kept with the probability that makes the
    expected fill the target, so that small sizes are not favoured; one that does not fit on the host at all is drawn
    again.
    """
    parts = [no_vms()]
    for start in range(0, len(host), _HOSTS_AT_ONCE):
        block = slice(start, start + _HOSTS_AT_ONCE)
        parts += _drawn_until_full(seed, sizes, machine, host[block], target_mib[block])
    return joined(parts)


def _drawn_until_full(
    seed: int, sizes: Sequence[VmSize], machine: MachineType, host: Integers, target_mib: Numbers
) -> Iterator[PackedVms]:
    memory = np.array([size.memory_mib for size in sizes], dtype=np.int64)
    vcpus = np.array([size.vcpus for size in sizes], dtype=np.int64)
    shares = [size.share for size in sizes]
    used_mib, used_vcpus = np.zeros((2, len(host), 1), dtype=np.int64)
    first_number = 0
    while len(host):
        number = np.arange(first_number, first_number + _DRAWS_AT_ONCE)
        size = chosen(shares, uniform(seed, Purpose.VM_SIZE, host[:, None], number[None, :]))
        mib_after = used_mib + np.cumsum(memory[size], axis=1)
        vcpus_after = used_vcpus + np.cumsum(vcpus[size], axis=1)
        too_far = (mib_after > target_mib[:, None]) | (vcpus_after > machine.vcpus)
        stop = np.where(too_far.any(axis=1), too_far.argmax(axis=1), _DRAWS_AT_ONCE)
        kept = np.arange(_DRAWS_AT_ONCE)[None, :] < stop[:, None]
        rows = np.flatnonzero(stop < _DRAWS_AT_ONCE)
        last = size[rows, stop[rows]]
        mib_before, vcpus_before = mib_after[:, -1].copy(), vcpus_after[:, -1].copy()
        mib_before[rows] = mib_after[rows, stop[rows]] - memory[last]
        vcpus_before[rows] = vcpus_after[rows, stop[rows]] - vcpus[last]
        free_mib, free_vcpus = machine.memory_mib - mib_before[rows], machine.vcpus - vcpus_before[rows]
        fits = (memory[last] <= free_mib) & (vcpus[last] <= free_vcpus)
        wanted = uniform(seed, Purpose.LAST_VM, host[rows]) * memory[last] < target_mib[rows] - mib_before[rows]
        kept[rows, stop[rows]] = fits & wanted
        row, column = np.nonzero(kept)
        yield PackedVms(host[row], number[column], vcpus[size[kept]], memory[size[kept]])
        on = stop == _DRAWS_AT_ONCE
        on[rows] = ~fits & (free_mib >= memory.min()) & (free_vcpus >= vcpus.min())
        host, target_mib = host[on], target_mib[on]
        used_mib, used_vcpus = mib_before[on, None], vcpus_before[on, None]
        first_number += _DRAWS_AT_ONCE
