"""What is to be carried out on paper: hosts in their order, their moves, and what waits for what."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from slacktide.errors import InputError
from slacktide.planner.plan import Plan
from slacktide.planner.problem import Problem, positions

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Work:
    """Hosts and moves, numbered as in the problem, without times; n hosts, M moves, W waves."""

    order: Ints
    """Hosts to drain, the first first, shape (n,)."""
    wave: Ints
    """Wave of each of them."""
    late: NDArray[np.bool_]
    """Which of them drain before all hosts that their VMs go to have returned."""
    behind: Ints
    """Wave that must be complete before each wave starts, -1: none; shape (W,)."""
    bake_s: Ints
    """How long that wave must have been complete."""
    vm: Ints
    """VM of each move, in the order in which moves are to be tried; shape (M,)."""
    source: Ints
    target: Ints
    back: NDArray[np.bool_]
    """Moves to a host that has just returned, from one that stays in service."""
    after_return: Ints
    """Host that must have returned before the move, -1: none."""
    in_drain: NDArray[np.bool_]
    """Whether the source may begin to drain before that host has returned."""
    arrival_for: Ints
    """Host that must not drain before the move has ended, -1: none."""


def work_of(problem: Problem, plan: Plan) -> Work:
    """Return what ``plan`` has to be carried out, in its order of hosts and moves, with its waves and gates.

    Raises
    ------
    InputError
        If a VM leaves a host that is not being drained.
    """
    hosts = plan.hosts.sort("drain_start_s", "wave", "host_id")
    moves = plan.migrations.sort("start_s", "migration_id")
    order = positions(hosts["host_id"], problem.hosts.ids)
    drain_s, return_s = _times(problem, order, hosts, "drain_start_s"), _times(problem, order, hosts, "return_s")
    source, target = (positions(moves[column], problem.hosts.ids) for column in ("source", "target"))
    start_s, end_s = moves["start_s"].to_numpy(), moves["end_s"].to_numpy()
    if len(astray := np.flatnonzero((start_s < drain_s[source]) | (start_s >= return_s[source]))):
        row = moves.row(int(astray[0]), named=True)
        raise InputError(
            f"migration {row['migration_id']}",
            f"leaves {row['source']}, which is not drained then",
            "Compare a plan whose migrations all leave hosts that are being drained",
        )
    returned = start_s >= return_s[target]
    in_drain = returned & (return_s[target] > drain_s[source])
    late = np.zeros(len(problem.hosts.ids), np.bool_)
    late[source[in_drain]] = True
    behind, bake_s = _gates(problem, plan.waves["gate"].cast(pl.String).to_list())
    return Work(
        order=order,
        wave=hosts["wave"].cast(pl.Int64).to_numpy(),
        late=late[order],
        behind=behind,
        bake_s=bake_s,
        vm=positions(moves["vm_id"], problem.vms.ids),
        source=source,
        target=target,
        back=np.zeros(len(source), np.bool_),
        after_return=np.where(returned, target, -1),
        in_drain=in_drain,
        arrival_for=np.where(~returned & (drain_s[target] < NEVER) & (end_s <= drain_s[target]), target, -1),
    )


NEVER = 2**62
"""When a host that is not in the plan drains and returns."""


def _times(problem: Problem, order: Ints, hosts: pl.DataFrame, column: str) -> Ints:
    """Return a time of every host, NEVER for those that are not in the plan."""
    times = np.full(len(problem.hosts.ids), NEVER, np.int64)
    times[order] = hosts[column].to_numpy()
    return times


def _gates(problem: Problem, gates: Sequence[str]) -> tuple[Ints, Ints]:
    """Return for each wave the one that must be complete before it, and how long."""
    policy = problem.policy
    behind, bake_s = np.full(len(gates), -1, np.int64), np.zeros(len(gates), np.int64)
    for wave, gate in enumerate(gates):
        if gate == "canary" or (gate == "pipelined" and "canary" in gates[:wave]):
            behind[wave], bake_s[wave] = 0, policy.canary.bake_s
        elif wave > 0 and gate in ("baked", "approval"):
            behind[wave], bake_s[wave] = wave - 1, policy.gates.bake_s
    return behind, bake_s
