"""Whether the VMs of one failure can find room at all: sums, then every way of placing them."""

from typing import Final

import numpy as np

from slacktide.planner.failing.trial import Trial
from slacktide.planner.replay import Ints

STEPS: Final = 4_000
"""Placements that are tried for one failure: less than a tenth of a second.  What has a dozen VMs needs fewer."""
MOST_HOSTS: Final = 256
"""Hosts up to which all placements are tried; with more the steps are used up before anything is decided."""


def possible(trial: Trial, failure: int) -> bool | None:
    """Return whether all VMs of a failure find room together, None: neither found nor disproved within the steps."""
    rows = np.flatnonzero(trial.failure == failure)
    size, free = trial.size[:, rows], trial.free[:, failure]
    may = np.asarray((size[:, :, None] <= free[:, None]).all(axis=0))
    choosy = np.flatnonzero(trial.choosy[rows])
    may[choosy] &= trial.allowed(rows[choosy])
    bound = np.flatnonzero(trial.group[rows] >= 0)
    group = trial.group[rows[bound]]
    may[bound] &= trial.count[group] < trial.limit[group]
    if trial.complete and not _enough(size, free[:, may.any(axis=0)], may):
        return False
    if not trial.complete or may.any(axis=0).sum() > MOST_HOSTS:
        return None
    return _Search(trial, failure, rows, may).outcome()


def _enough(size: Ints, free: Ints, may: np.ndarray) -> bool:
    """Return False if a VM fits nowhere even alone, or sizes alone say that not all fit.

    Of VMs of at least a size, a host takes at most as many as that size goes into what it has free.
    """
    if not may.any(axis=1).all():
        return False
    for wanted, there in zip(size, free, strict=True):
        if wanted.sum() > there.sum():
            return False
        for least in np.unique(wanted[wanted > 0]).tolist():
            if (wanted >= least).sum() > (there // least).sum():
                return False
    return True


class _Search:
    """All placements in depth, the VM with the fewest hosts first, until one is found or the steps are used up."""

    def __init__(self, trial: Trial, failure: int, rows: Ints, may: np.ndarray) -> None:
        shares = (trial.size[:, rows] / np.maximum(1, trial.free[:, failure].max(axis=1))[:, None]).max(axis=0)
        order = np.lexsort((trial.vm[rows], -shares, may.sum(axis=1)))
        self._size = [tuple(each) for each in trial.size[:, rows[order]].T.tolist()]
        self._may: list[list[int]] = [np.flatnonzero(each).tolist() for each in may[order]]
        self._takes = [sum(1 << row for row in np.flatnonzero(each).tolist()) for each in may[order].T]
        self._free: list[list[int]] = trial.free[:, failure].T.tolist()
        self._group: list[int] = trial.group[rows[order]].tolist()
        groups = np.unique(trial.group[rows][trial.group[rows] >= 0])
        where = trial.domains_of(groups, np.full(len(groups), failure))
        self._where = dict(zip(groups.tolist(), where.tolist(), strict=True))
        self._shared = {number: _shared(domains) for number, domains in self._where.items()}
        self._count = {number: trial.count[number].tolist() for number in groups.tolist()}
        self._limit = {number: trial.limit[number].tolist() for number in groups.tolist()}
        self._steps = STEPS

    def outcome(self) -> bool | None:
        """Return whether a placement was found, None: the steps did not suffice."""
        found = self._place(0)
        return None if not found and self._steps <= 0 else found

    def _place(self, number: int) -> bool:
        if number == len(self._size):
            return True
        vcpus, memory = self._size[number]
        tried: set[tuple[object, ...]] = set()
        for column in self._may[number]:
            left = self._free[column]
            if left[0] < vcpus or left[1] < memory or not self._spread(number, column):
                continue
            alike = self._alike(number, column)
            if alike in tried:
                continue
            tried.add(alike)
            self._steps -= 1
            if self._steps <= 0:
                return False
            self._put(number, column, 1)
            if self._place(number + 1):
                return True
            self._put(number, column, -1)
        return False

    def _spread(self, number: int, column: int) -> bool:
        group = self._group[number]
        return group < 0 or self._count[group][column] < self._limit[group][column]

    def _alike(self, number: int, column: int) -> tuple[object, ...]:
        """Return what tells a host from others for the VMs that are still to be placed."""
        spread = tuple(
            (self._count[group][column], self._limit[group][column], self._shared[group][column])
            for group in sorted({group for group in self._group[number:] if group >= 0})
        )
        return (*self._free[column], spread, self._takes[column] >> number)

    def _put(self, number: int, column: int, sign: int) -> None:
        self._free[column][0] -= sign * self._size[number][0]
        self._free[column][1] -= sign * self._size[number][1]
        group = self._group[number]
        if group < 0:
            return
        where = self._where[group]
        for other, domain in enumerate(where):
            if domain == where[column] and domain >= 0:
                self._count[group][other] += sign


def _shared(domains: list[int]) -> list[int]:
    """Return the domain of each column that another column shares, -1 for the others: these differ in nothing."""
    return [domain if domains.count(domain) > 1 else -1 for domain in domains]
