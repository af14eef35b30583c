"""What a revision starts from: what has become of its parent, and of the canary above all."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from slacktide.errors import InputError
from slacktide.planner.constraints.failures import FailuresRestartable
from slacktide.planner.needs import canary_size
from slacktide.planner.plan import Plan
from slacktide.planner.policy import Policy
from slacktide.planner.problem import Problem, positions
from slacktide.planner.progress import Progress


@dataclass(frozen=True)
class Situation:
    """What a revision starts from."""

    parent: Plan
    progress: Progress
    moves: pl.DataFrame
    """The parent's migrations by number, with their states."""
    selected: int
    """Hosts that the campaign's first plan selected."""
    canary_hosts: int
    """How many the canary is to have, 0: there is none."""
    canary_returned: int
    """Hosts of it that have returned, before the parent's beginning too."""
    canary_passed: bool
    gate_s: int
    first_new_id: int

    @property
    def canary_due(self) -> bool:
        """Whether there is a canary that has not passed."""
        return self.canary_hosts > 0 and not self.canary_passed


def situation_of(parent: Plan, progress: Progress, policy: Policy, problem: Problem) -> Situation:
    """Return what a revision starts from.

    Raises
    ------
    InputError
        If the progress is not the parent's.
    """
    for name, table, ids in (
        ("migration", progress.migrations, parent.migrations["migration_id"]),
        ("host", progress.hosts, parent.hosts["host_id"]),
    ):
        strangers = table[f"{name}_id"].filter(~table[f"{name}_id"].is_in(ids.implode())).sort()
        if len(strangers):
            fact = f"is about the {name} {strangers[0]}, which the plan does not have"
            raise InputError("plan", fact, "Give the plan that was carried out, and its fleet")
    before = parent.header.revision
    patched = ~pl.col("host_id").is_in(list(parent.header.policy.evacuate))
    selected = int(problem.selected.sum()) if before is None else before.selected_hosts
    if before is None:
        selected = parent.hosts.filter(patched).height + parent.deferred.filter(patched).height
    canary = canary_size(policy, selected)
    begun = (
        parent.hosts.filter(patched)
        .drop("return_s")
        .join(progress.hosts.select("host_id", "state", "return_s"), on="host_id")
    )
    back = begun.filter(pl.col("state") == "returned")
    returned = back.filter(pl.col("wave") == 0).height + (0 if before is None else before.canary_returned or 0)
    passed = before is not None and before.canary_passed
    passed = passed or _canary_passed(parent, begun, canary, returned)
    gate_s = 0 if before is None else before.gate_s
    if canary and back.height:
        gate_s = max(gate_s, _baked_s(back.filter(pl.col("wave") == 0), policy.canary.bake_s))
    if policy.gates.kind != "pipelined" and back.height:
        gate_s = max(gate_s, _baked_s(back, policy.gates.bake_s))
    moves = moves_of(parent, progress, problem)
    return Situation(parent, progress, moves, selected, canary, returned, passed, gate_s, _first_new_id(parent))


def _canary_passed(parent: Plan, begun: pl.DataFrame, canary: int, returned: int) -> bool:
    """Return whether a later wave has begun, or the canary has returned: all of the parent's, or as many as asked for.

    Hosts of it that are lost have not returned: others take their place.
    """
    if begun.filter(pl.col("wave") > 0).height:
        return True
    if begun.is_empty() or begun.filter(pl.col("state") == "out").height:
        return False
    return begun.height == parent.hosts.filter(pl.col("wave") == 0).height or returned >= canary > 0


def _baked_s(back: pl.DataFrame, bake_s: int) -> int:
    return 0 if back.is_empty() else int(back["return_s"].to_numpy().max()) + bake_s


def _first_new_id(parent: Plan) -> int:
    numbers = parent.migrations["migration_id"].str.slice(1).cast(pl.Int64, strict=False).to_numpy()
    known = int(np.nan_to_num(numbers).max(initial=0)) + 1
    return known if parent.header.revision is None else max(known, parent.header.revision.first_new_id)


def moves_of(parent: Plan, progress: Progress, problem: Problem) -> pl.DataFrame:
    """Return the parent's migrations, in their order, by number (-1: gone), with their states (null: to come).

    ``told_s`` is when their guests were notified, null: they have not been.
    """
    table = parent.migrations
    vm, source, target = (
        positions(table[column], ids)
        for column, ids in (("vm_id", problem.vms.ids), ("source", problem.hosts.ids), ("target", problem.hosts.ids))
    )
    return (
        table.select("migration_id", "start_s", "end_s", "bandwidth_mbit_s")
        .with_columns(vm_place=vm, source_place=source, target_place=target)
        .join(progress.migrations.select("migration_id", "state"), on="migration_id", how="left", maintain_order="left")
        .join(
            progress.notified.select("migration_id", told_s="notified_s"),
            on="migration_id",
            how="left",
            maintain_order="left",
        )
    )


def still_selecting(policy: Policy, parent: Plan, progress: Progress) -> Policy:
    """Return the policy without the hosts that it selects by name and that have returned."""
    if policy.patch_level != parent.header.policy.patch_level:
        fact = f"brings hosts to {policy.patch_level!r}; the plan brings them to {parent.header.policy.patch_level!r}"
        raise InputError("policy", fact, "Make a plan of its own for another patch")
    if policy.selection.hosts == "due":
        return policy
    back = set(progress.hosts.filter(pl.col("state") == "returned")["host_id"])
    back |= set(parent.header.policy.selection.exclude)
    selection = policy.selection
    if isinstance(selection.hosts, tuple):
        left = tuple(name for name in selection.hosts if name not in back)
        selection = selection.model_copy(update={"hosts": left})
    else:
        selection = selection.model_copy(update={"exclude": tuple(sorted(back | set(selection.exclude)))})
    return policy.model_copy(update={"selection": selection})


def short_at_start(parent: Plan, policy: Policy) -> tuple[str, ...]:
    """Return the domains in which failing hosts had no room before the campaign began, under the same reserve."""
    if policy.reserve != parent.header.policy.reserve:
        return ()
    before = parent.header.revision
    known = set() if before is None else set(before.short_at_start)
    if before is None:
        rows = [row for row in parent.header.summary.audit.findings if row["rule"] == FailuresRestartable.rule]
        known = {row["subjects"][0] for row in rows if row["severity"] == "warning" and row["at_s"] is None}
    return tuple(sorted(known))
