"""Restarting VMs on paper: one after the other, in several orders, all failures of a trial at once."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from slacktide.planner.failing.trial import Trial
from slacktide.planner.replay import MEMORY, VCPUS, Bools, Ints


@dataclass(frozen=True, slots=True)
class Way:
    """An order of VMs, the largest first by weighted size, and a choice among the hosts that fit."""

    vcpus: float
    """Weight of vCPUs as a share of an average target's room; ``memory`` likewise."""
    memory: float
    fullest: bool
    """Whether a VM goes to the host with least room left afterwards, or to that with most."""


WAYS: Final = (Way(0, 1, True), Way(1, 0, True), Way(1, 1, True), Way(1, 1, False), Way(0, 1, False), Way(1, 0, False))
"""Ways of packing, tried one after the other for failures whose VMs did not all find room before."""


def pack(trial: Trial, way: Way) -> Ints:
    """Return the column that each VM of the trial goes to, -1: none has room left; shape (R,)."""
    free, count = trial.free.copy(), trial.count.copy()
    unit = 1.0 / np.array([max(1.0, free[resource].max(initial=1)) for resource in (VCPUS, MEMORY)])
    weight = (way.vcpus * trial.size[VCPUS] * unit[VCPUS]) + (way.memory * trial.size[MEMORY] * unit[MEMORY])
    column = np.full(len(trial.vm), -1, dtype=np.int64)
    for rows in _steps(trial, weight):
        failure = trial.failure[rows]
        left = free[:, failure] - trial.size[:, rows, None]
        fits = (left >= 0).all(axis=0) & _may(trial, rows, count)
        room = left[VCPUS] * unit[VCPUS] + left[MEMORY] * unit[MEMORY]
        if not way.fullest:
            room = -room
        room[~fits] = np.inf
        chosen = room.argmin(axis=1)
        placed = fits[np.arange(len(rows)), chosen]
        rows, failure, chosen = rows[placed], failure[placed], chosen[placed]
        column[rows] = chosen
        free[:, failure, chosen] -= trial.size[:, rows]
        _count(trial, rows, chosen, count)
    return column


def _steps(trial: Trial, weight: NDArray[np.float64]) -> Iterator[Ints]:
    """Yield the heaviest VM of each failure, then the next of each, and so on."""
    order = np.lexsort((trial.vm, -weight, trial.failure))
    rank = np.arange(len(order)) - np.searchsorted(trial.failure, trial.failure)
    by_rank = np.argsort(rank, kind="stable")
    bounds = np.searchsorted(rank[by_rank], np.arange(int(rank.max(initial=-1)) + 2))
    for first, end in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        yield order[by_rank[first:end]]


def _may(trial: Trial, rows: Ints, count: Ints) -> Bools:
    """Return whether machine type and spread let VMs run in each column."""
    may = np.ones((len(rows), trial.host.shape[1]), dtype=np.bool_)
    choosy = np.flatnonzero(trial.choosy[rows])
    may[choosy] = trial.allowed(rows[choosy])
    bound = np.flatnonzero(trial.group[rows] >= 0)
    group = trial.group[rows[bound]]
    may[bound] &= count[group] < trial.limit[group]
    return may


def _count(trial: Trial, rows: Ints, chosen: Ints, count: Ints) -> None:
    """Count VMs in the domains that they have gone to, where another of their group may follow."""
    bound = np.flatnonzero(trial.group[rows] >= 0)
    bound = bound[~trial.alone[trial.group[rows[bound]]]]
    group = trial.group[rows[bound]]
    where = trial.domains_of(group, trial.failure[rows[bound]])
    mine = where[np.arange(len(bound)), chosen[bound]]
    count[group] += (where == mine[:, None]) & (mine[:, None] >= 0)
