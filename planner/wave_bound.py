"""What gates cost: where every wave waits for the one before, whole waves follow one another."""

import numpy as np
from numpy.typing import NDArray

from slacktide.planner.limits import resolved
from slacktide.planner.needs import Needs
from slacktide.planner.problem import Problem

Floats = NDArray[np.float64]


def most_in_a_wave(problem: Problem) -> int:
    """Return how many hosts a wave may have that the next one waits for, 0: any number, or none waits."""
    gates = problem.policy.gates
    if gates.kind == "pipelined" or gates.max_wave_hosts is None:
        return 0
    return max(1, resolved(gates.max_wave_hosts, int(problem.selected.sum())))


def wave_returns_s(problem: Problem, needs: Needs, behind: int) -> Floats | None:
    """Return a lower limit on when the first, second, ... of ``behind`` hosts is back after the gate, in seconds.

    None: no number of waves follows from the policy.  Of hosts in waves of k the first m are in m / k waves at least,
    and the i-th longest of these lasts as long as the host that is (i - 1) k + 1 from the longest (docs/model.md).
    """
    most = most_in_a_wave(problem)
    if not most or not behind:
        return None
    out_s = np.sort(needs.drain_s + needs.patch_s)[:behind].astype(np.float64)
    rows = -(-behind // most)
    waves = np.zeros(rows * most)
    waves[:behind] = out_s
    waves = np.cumsum(waves.reshape(rows, most), axis=0).ravel()[:behind]
    return np.asarray(waves + np.arange(behind) // most * problem.policy.gates.bake_s)
