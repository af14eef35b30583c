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


def wave_returns_s(problem: Problem, needs: Needs, canary: int, gate_s: int) -> Floats | None:
    """Return a lower limit on when the first, second, ... of the due hosts is back, in seconds; shape (hosts,).

    None: no number of waves follows from the policy.  Both ways of docs/model.md count: all hosts in waves, and those
    behind the ``canary`` in waves after its gate.
    """
    most, policy = most_in_a_wave(problem), problem.policy
    if not most:
        return None
    out_s = np.sort(needs.drain_s + needs.patch_s).astype(np.float64)
    behind = np.arange(len(out_s)) - canary
    between_s = behind // most * policy.gates.bake_s
    of_all_s = _in_waves(out_s, most) + np.where(behind < 0, 0, between_s + (policy.canary.bake_s if canary else 0))
    after_s = gate_s + _in_waves(out_s[: len(out_s) - canary], most) + between_s[canary:]
    return np.asarray(np.append(of_all_s[:canary], np.maximum(of_all_s[canary:], after_s)))


def _in_waves(out_s: Floats, most: int) -> Floats:
    """Return how long waves of ``most`` hosts take at least that hold the first, the first two, ... hosts.

    ``out_s`` ascends.  Of m hosts in waves, the i-th longest wave lasts as long as the host that is (i - 1) most + 1
    from the longest.
    """
    waves = np.zeros(-(-len(out_s) // most) * most)
    waves[: len(out_s)] = out_s
    return np.asarray(np.cumsum(waves.reshape(-1, most), axis=0).ravel()[: len(out_s)])
