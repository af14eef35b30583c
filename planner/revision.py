"""From a plan, and what has happened of it, to a child plan that keeps what has been promised.

The child is on its parent's clock.  It holds what is under way at ``from_s`` and what comes after; what is over is in
the parent and in the campaign's journal.
"""

import time
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from slacktide.datasets.digest import digest
from slacktide.datasets.snapshot import FleetSnapshot
from slacktide.errors import InputError
from slacktide.planner.assembly import (
    PLACES,
    deferred_frame,
    figures,
    host_frame,
    in_order,
    nameless_migrations,
    wave_frame,
)
from slacktide.planner.audited import audited
from slacktide.planner.limits import resolved
from slacktide.planner.listing.decisions import Schedule, Underway
from slacktide.planner.listing.gating import Terms
from slacktide.planner.listing.schedule import build_instance, list_schedule
from slacktide.planner.needs import Needs, host_needs
from slacktide.planner.pacing import REACH, longest_pause, pace_s
from slacktide.planner.plan import Plan, PlanHeader, Revision
from slacktide.planner.policy import Policy
from slacktide.planner.policy_files import policy_digest
from slacktide.planner.pressing import pressing_order
from slacktide.planner.problem import NO_LIMIT, Problem, build_problem, positions
from slacktide.planner.progress import Progress
from slacktide.planner.revision_bounds import revision_bounds
from slacktide.planner.revision_changes import changes_of, moves_of, named_as_before, wave_numbers

Ints = NDArray[np.int64]


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
    canary_passed: bool
    gate_s: int
    first_new_id: int


def revise(snapshot: FleetSnapshot, policy: Policy, parent: Plan, progress: Progress) -> Plan:
    """Return an audited child of ``parent`` from ``progress.at_s`` on, for the fleet as it is then.

    Hosts and moves of the parent that still keep every limit are kept to the second; what no longer does is decided
    anew, and disturbs the rest as little as possible.  ``policy`` is the parent's, or one with other limits.

    Raises
    ------
    InputError
        If the policy does not fit the snapshot, or the parent, or its progress.
    """
    origin_s = time.monotonic()
    policy = still_selecting(policy, parent, progress)
    problem = build_problem(snapshot, policy)
    situation = situation_of(parent, progress, policy, problem)
    problem, underway = with_hosts_out(problem, situation)
    needs = host_needs(problem)
    schedule = list_schedule(
        problem,
        build_instance(problem, progress.at_s),
        pressing_order(problem, needs),
        terms_of(problem, situation, needs),
        promised=promised_by(problem, situation),
        underway=underway,
    )
    assert schedule is not None, "nobody halts this pass"
    return assemble(snapshot, problem, schedule, underway, situation, origin_s)


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
            raise InputError("progress", fact, "Give the plan that was carried out, and its fleet")
    before = parent.header.revision
    selected = int(problem.selected.sum()) if before is None else before.selected_hosts
    if before is None:
        selected = parent.hosts.height + parent.deferred.height
    canary = resolved(policy.canary.hosts, selected)
    back = parent.hosts.join(progress.hosts.filter(pl.col("state") == "returned"), on="host_id", how="semi")
    passed = canary == 0 or (before is not None and before.canary_passed)
    passed = passed or _canary_passed(parent, progress, problem)
    gate_s = 0 if before is None else before.gate_s
    if canary and back.height:
        gate_s = max(gate_s, _baked_s(back.filter(pl.col("wave") == 0), policy.canary.bake_s))
    if policy.gates.kind != "pipelined" and back.height:
        gate_s = max(gate_s, _baked_s(back, policy.gates.bake_s))
    moves = moves_of(parent, progress, problem)
    return Situation(parent, progress, moves, selected, canary, passed, gate_s, _first_new_id(parent))


def _canary_passed(parent: Plan, progress: Progress, problem: Problem) -> bool:
    """Return whether a later wave has begun, or some of the canary has returned and what has not is lost."""
    begun = parent.hosts.join(progress.hosts, on="host_id", how="inner")
    if begun.filter(pl.col("wave") > 0).height:
        return True
    first = begun.filter((pl.col("wave") == 0) & (pl.col("state") == "returned"))
    place = positions(parent.hosts.filter(pl.col("wave") == 0)["host_id"], problem.hosts.ids)
    still = problem.hosts.in_service[place[place >= 0]].sum()
    lost = positions(first["host_id"], problem.hosts.ids)
    return first.height > 0 and int(problem.hosts.in_service[lost[lost >= 0]].sum()) == int(still)


def _baked_s(back: pl.DataFrame, bake_s: int) -> int:
    return 0 if back.is_empty() else int(back["return_s"].to_numpy().max()) + bake_s


def _first_new_id(parent: Plan) -> int:
    numbers = parent.migrations["migration_id"].str.slice(1).cast(pl.Int64, strict=False).to_numpy()
    known = int(np.nan_to_num(numbers).max(initial=0)) + 1
    return known if parent.header.revision is None else max(known, parent.header.revision.first_new_id)


def with_hosts_out(problem: Problem, situation: Situation) -> tuple[Problem, Underway]:
    """Return the problem in which hosts that are out are due whatever is on them, and what is under way.

    A host that drains and can no longer be emptied ends its drain and is deferred.
    """
    progress, parent = situation.progress, situation.parent
    out = progress.hosts.filter(pl.col("state") == "out").join(
        parent.hosts.select("host_id", "wave"), on="host_id", how="left", maintain_order="left"
    )
    host = positions(out["host_id"], problem.hosts.ids)
    if len(strange := np.flatnonzero((host < 0) | ~problem.selected[host])):
        name = out["host_id"][int(strange[0])]
        fact = f"{name} is out, but the policy does not select it, or the fleet does not have it"
        raise InputError("policy", fact, "Select it until it has returned")
    return_s = _or(out["return_s"], -1)
    kept = (return_s >= 0) | ~np.isin(host, [number for number, _, _ in problem.deferred])
    host, out = host[kept], out.filter(pl.Series(kept, dtype=pl.Boolean))
    problem.hosts.due[host] = True
    problem = replace(problem, deferred=tuple(row for row in problem.deferred if row[0] not in set(host.tolist())))
    rows = parent.migrations.join(
        progress.migrations.filter(pl.col("state") == "running").select(
            "migration_id", begun_s="start_s", expected_s="end_s"
        ),
        on="migration_id",
        maintain_order="left",
    )
    wave = out["wave"].cast(pl.Int64).to_numpy()
    waves, label, members = _last_wave(problem, situation)
    rates = problem.vms.rates_mbit_s
    at = np.searchsorted(rates, rows["bandwidth_mbit_s"].to_numpy(), side="left")
    return problem, Underway(
        from_s=progress.at_s,
        host=host,
        wave=wave,
        drain_start_s=out["drain_start_s"].to_numpy(),
        drained_s=_or(out["drained_s"], -1),
        return_s=_or(out["return_s"], -1),
        vm=_known(positions(rows["vm_id"], problem.vms.ids), rows["vm_id"]),
        source=positions(rows["source"], problem.hosts.ids),
        target=positions(rows["target"], problem.hosts.ids),
        start_s=rows["begun_s"].to_numpy(),
        end_s=rows["expected_s"].to_numpy(),
        rate=np.minimum(at, len(rates) - 1).astype(np.int64),
        waves=waves,
        label=label,
        wave_hosts=members,
        gate_s=situation.gate_s if not waves else max(situation.gate_s, _gate_s(problem, out, label)),
    )


def _or(column: pl.Series, otherwise: int) -> Ints:
    return column.fill_null(otherwise).cast(pl.Int64).to_numpy().copy()


def _known(places: Ints, names: pl.Series) -> Ints:
    if len(missing := np.flatnonzero(places < 0)):
        fact = f"the VM {names[int(missing[0])]} is migrating, but the fleet does not have it"
        raise InputError("progress", fact, "Leave its migration out, or the VM in")
    return places


def _last_wave(problem: Problem, situation: Situation) -> tuple[int, int, int]:
    """Return how many waves have begun that others wait for, the number of the last, and its hosts."""
    begun = situation.parent.hosts.join(situation.progress.hosts, on="host_id", how="semi")
    strict = problem.policy.gates.kind != "pipelined"
    if begun.is_empty() or not (strict or situation.canary_hosts):
        passed = situation.canary_hosts > 0 and situation.canary_passed
        return int(passed), 0 if passed else -1, 0
    label = int(begun["wave"].to_numpy().max()) if strict else 0
    members = begun.filter(pl.col("wave") == label).height
    if not strict and not situation.canary_passed and not members:
        return 0, -1, 0
    return label + 1, label, members


def _gate_s(problem: Problem, out: pl.DataFrame, label: int) -> int:
    """Return when what is out of the last wave has baked, as far as its return is known."""
    policy = problem.policy
    known = out.filter(pl.col("wave") == label)["return_s"].drop_nulls().to_numpy()
    bake_s = policy.canary.bake_s if label == 0 and policy.canary.hosts != 0 else policy.gates.bake_s
    return int(known.max(initial=-bake_s)) + bake_s


def promised_by(problem: Problem, situation: Situation) -> Schedule:
    """Return what of the parent is still to come, numbered as in the problem."""
    parent, at_s = situation.parent, situation.progress.at_s
    hosts = parent.hosts.with_columns(number=positions(parent.hosts["host_id"], problem.hosts.ids))
    hosts = hosts.filter(pl.col("number") >= 0)
    there = pl.all_horizontal(pl.col(PLACES) >= 0)
    ahead = situation.moves.filter((pl.col("start_s") >= at_s) & pl.col("state").is_null() & there)
    vm, source, target, start_s, end_s = (ahead[name].to_numpy() for name in (*PLACES, "start_s", "end_s"))
    rates, bandwidth = problem.vms.rates_mbit_s, ahead["bandwidth_mbit_s"].to_numpy()
    rate = np.searchsorted(rates, bandwidth)
    same = rates[np.minimum(rate, len(rates) - 1)] == bandwidth
    return Schedule(
        host=hosts["number"].to_numpy().copy(),
        wave=hosts["wave"].cast(pl.Int64).to_numpy(),
        drain_start_s=hosts["drain_start_s"].to_numpy(),
        drained_s=hosts["drained_s"].to_numpy(),
        return_s=np.maximum(hosts["return_s"].to_numpy(), at_s + 1),
        vm=vm,
        source=source,
        target=target,
        start_s=start_s,
        end_s=end_s,
        rate=np.where(same, rate, -1).astype(np.int64),
    )


def terms_of(problem: Problem, situation: Situation, needs: Needs) -> Terms:
    """Return how list scheduling goes about the rest of a campaign."""
    gates, selected = problem.policy.gates, situation.selected
    most = NO_LIMIT if gates.max_wave_hosts is None else max(1, resolved(gates.max_wave_hosts, selected))
    return Terms(
        canary_hosts=min(most, situation.canary_hosts),
        canary_bake_s=problem.policy.canary.bake_s,
        strict=gates.kind != "pipelined",
        bake_s=gates.bake_s,
        wave_hosts=most,
        reach=REACH,
        pace_s=pace_s(needs),
        scatter_until_s=situation.progress.at_s,
        longest_pause=longest_pause(needs),
        complete=False,
    )


def assemble(
    snapshot: FleetSnapshot,
    problem: Problem,
    schedule: Schedule,
    underway: Underway,
    situation: Situation,
    origin_s: float,
) -> Plan:
    """Return the schedule as a child plan, with its figures, bounds and audit."""
    parent, progress = situation.parent, situation.progress
    wave = wave_numbers(problem, schedule, parent, situation.selected, situation.canary_passed)
    hosts = host_frame(problem, schedule, wave)
    nameless = nameless_migrations(problem, schedule, wave)
    named = named_as_before(nameless, parent, situation.moves, progress.at_s, situation.first_new_id)
    migrations = in_order(named)
    tables = {
        "hosts": hosts,
        "migrations": migrations,
        "waves": wave_frame(problem, hosts, migrations),
        "deferred": deferred_frame(problem, schedule),
    }
    bounds = revision_bounds(problem, schedule, underway, situation.canary_hosts)
    revision = Revision(
        from_s=progress.at_s,
        canary_passed=situation.canary_passed,
        gate_s=situation.gate_s,
        selected_hosts=situation.selected,
        first_new_id=situation.first_new_id,
        changes=changes_of(parent, progress, situation.moves, named, tables, snapshot),
    )
    header = PlanHeader(
        id="",
        parent=parent.header.id,
        revision=revision,
        snapshot_digest=digest(snapshot),
        policy_digest=policy_digest(problem.policy),
        policy=problem.policy,
        seed=parent.header.seed,
        objective=problem.policy.objective,
        summary=figures(problem, schedule, bounds, tables, 0.0),
    )
    return audited(snapshot, Plan(header=header, **tables), origin_s)
