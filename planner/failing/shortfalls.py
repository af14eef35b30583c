"""Failures whose VMs do not all find room: which, when, and whether that is proven."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Final

import numpy as np

from slacktide.planner.failing.packing import WAYS, pack
from slacktide.planner.failing.proof import possible
from slacktide.planner.failing.trial import Trial, Trials
from slacktide.planner.replay import BEFORE_ALL, Bools, Ints, Replay

CELLS: Final = 65_536
"""Failures times targets that are packed together: enough to keep numpy busy, few enough for a processor's cache."""
DECIDED: Final = 4
"""Failures of one domain that are looked at one by one for a proof, once one was found that is not packed."""


class Verdict(Enum):
    """How sure it is that there is no room."""

    PROVEN = "proven"
    OPEN = "open"
    """No way of packing found room, and nothing proves that there is none."""
    AT_START = "at the start"
    """So it is before the plan begins, proven or not."""


@dataclass(frozen=True, eq=False)
class Shortfall:
    """The first failure of a domain whose VMs do not all find room."""

    domain: int
    at_s: int
    """BEFORE_ALL: before the plan begins."""
    hosts: tuple[int, ...]
    """Those that fail, by number."""
    vms: int
    """VMs that fall and need another host."""
    vm: int
    """The first for which the best way of packing had no room."""
    missing: tuple[int, int]
    """vCPUs and MiB of all VMs without room, by the best way of packing."""
    verdict: Verdict


@dataclass(frozen=True, eq=False)
class Outcome:
    """What came of failing hosts on paper."""

    domains: int
    moments: int
    """The most sampled in one domain, the start among them."""
    failures: int
    shortfalls: tuple[Shortfall, ...]
    """One for each domain that has any, by domain."""


@dataclass(frozen=True, eq=False)
class _Attempts:
    """The best packing of each failure."""

    vms: Ints
    vm: Ints
    """The first VM without room, -1: all have."""
    missing: Ints
    """vCPUs and MiB without room, shape (F, 2)."""


def outcome(replay: Replay, domain: Ints, domains: int, count: int) -> Outcome:
    """Fail ``count`` hosts of each domain at its sampled moments and say where their VMs find no room."""
    trials = Trials(replay, domain, domains, count)
    attempts = _attempts(trials)
    return Outcome(
        domains=len(np.unique(trials.samples.domain)),
        moments=int(np.bincount(trials.samples.domain, minlength=1).max()),
        failures=len(trials),
        shortfalls=_shortfalls(trials, attempts),
    )


def _attempts(trials: Trials) -> _Attempts:
    """Pack all failures one way, among the targets with most room."""
    vms, missing = np.zeros(len(trials), dtype=np.int64), np.zeros((len(trials), 2), dtype=np.int64)
    attempts = _Attempts(vms, np.full(len(trials), -1, dtype=np.int64), missing)
    for number in _batches(np.arange(len(trials)), trials.columns):
        trial = trials.trial(number, narrow=True)
        attempts.vms[number] = np.bincount(trial.failure, minlength=len(number))
        _keep(attempts, trial, pack(trial, WAYS[0]), first=True)
    return attempts


def _shortfalls(trials: Trials, attempts: _Attempts) -> tuple[Shortfall, ...]:
    """Look closer at failures that were not packed, those of each domain in the order of time, and return what stays.

    All domains' first ones are looked at together, then their second ones where no proof is found yet, and so on; at
    last all others, where the first ones were packed after all.
    """
    short = np.flatnonzero(attempts.vm >= 0)
    sample = trials.failures.sample[short]
    short = short[np.lexsort((short, trials.samples.at_s[sample], trials.samples.domain[sample]))]
    domain = trials.samples.domain[trials.failures.sample[short]]
    rank = np.arange(len(short)) - np.searchsorted(domain, domain)
    found: dict[int, Shortfall] = {}
    told: set[int] = set()
    for turn in range(min(DECIDED, int(rank.max(initial=-1))) + 1):
        wanted, known = (rank >= turn, set(found)) if turn == DECIDED else (rank == turn, told)
        looked_at = [
            (number, of)
            for number, of in zip(short[wanted].tolist(), domain[wanted].tolist(), strict=True)
            if of not in known
        ]
        verdicts = _verdicts(trials, attempts, np.array([number for number, _ in looked_at], dtype=np.int64))
        for number, of in looked_at:
            verdict = verdicts.get(number)
            surer = of not in found or (verdict is Verdict.PROVEN and found[of].verdict is Verdict.OPEN)
            if verdict is not None and surer:
                found[of] = _described(trials, attempts, number, verdict)
            if verdict in (Verdict.PROVEN, Verdict.AT_START):
                told.add(of)
    return tuple(found[of] for of in sorted(found))


def _verdicts(trials: Trials, attempts: _Attempts, number: Ints) -> dict[int, Verdict]:
    """Pack failures every way among all targets; return those that stay, each with how sure it is."""
    verdicts: dict[int, Verdict] = {}
    for batch in _batches(number, trials.beside_each):
        left = batch
        for way in WAYS:
            if len(left):
                trial = trials.trial(left, narrow=False)
                _keep(attempts, trial, pack(trial, way), first=False)
                left = batch[attempts.vm[batch] >= 0]
        if not len(left):
            continue
        trial = trials.trial(left, narrow=False)
        for row, each in enumerate(left.tolist()):
            found = possible(trial, row)
            if found:
                continue
            at_start = int(trials.samples.at_s[trials.failures.sample[each]]) == BEFORE_ALL
            unsure = Verdict.OPEN if found is None else Verdict.PROVEN
            verdicts[each] = Verdict.AT_START if at_start else unsure
    return verdicts


def _batches(number: Ints, columns: int) -> Iterator[Ints]:
    size = max(1, CELLS // columns)
    for first in range(0, len(number), size):
        yield number[first : first + size]


def _keep(attempts: _Attempts, trial: Trial, column: Ints, *, first: bool) -> None:
    """Keep what a packing leaves without room, where it leaves less memory than those before."""
    without = np.flatnonzero(column < 0)
    failure = trial.failure[without]
    missing = np.zeros((len(trial.number), 2), dtype=np.int64)
    np.add.at(missing, failure, trial.size[:, without].T)
    vm = np.full(len(trial.number), -1, dtype=np.int64)
    order = np.lexsort((-trial.vm[without], trial.size[1, without], failure))
    vm[failure[order]] = trial.vm[without[order]]
    better: Bools = (missing[:, 1] < attempts.missing[trial.number, 1]) | (vm < 0) | first
    number = trial.number[better]
    attempts.vm[number], attempts.missing[number] = vm[better], missing[better]


def _described(trials: Trials, attempts: _Attempts, number: int, verdict: Verdict) -> Shortfall:
    sample = int(trials.failures.sample[number])
    failed = trials.failures.hosts[number]
    vcpus, memory = attempts.missing[number].tolist()
    return Shortfall(
        domain=int(trials.samples.domain[sample]),
        at_s=int(trials.samples.at_s[sample]),
        hosts=tuple(failed[failed >= 0].tolist()),
        vms=int(attempts.vms[number]),
        vm=int(attempts.vm[number]),
        missing=(vcpus, memory),
        verdict=verdict,
    )
