"""From a plan, and what has happened of it, to a child plan that keeps what has been promised.

The child is on its parent's clock.  It holds what is under way at ``from_s`` and what comes after; what is over is in
the parent and in the campaign's journal.
"""

import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

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
from slacktide.planner.bounds import Bounds
from slacktide.planner.canary import given_up_by, is_short, lacking, without_hosts
from slacktide.planner.hardening import hardened
from slacktide.planner.limits import resolved
from slacktide.planner.listing.decisions import Schedule, Underway
from slacktide.planner.listing.gating import Terms
from slacktide.planner.listing.schedule import build_instance, list_schedule
from slacktide.planner.needs import Needs, host_needs
from slacktide.planner.pacing import REACH, longest_pause, pace_s
from slacktide.planner.parent_bounds import so_far, with_parents
from slacktide.planner.plan import ParentBounds, Plan, PlanHeader, Revision
from slacktide.planner.policy import Policy
from slacktide.planner.policy_files import policy_digest
from slacktide.planner.pressing import pressing_order
from slacktide.planner.problem import NO_LIMIT, Problem, positions
from slacktide.planner.problem_building import build_problem
from slacktide.planner.progress import Progress
from slacktide.planner.revision_bounds import revision_bounds
from slacktide.planner.revision_changes import changes_of, named_as_before, stranded_in, wave_numbers
from slacktide.planner.situation import Situation, short_at_start, situation_of, still_selecting

Ints = NDArray[np.int64]

CANARY_PATIENCE_S = 900
"""By how much a revision with a canary that has not passed may end later than its parent before it is tried to end
sooner by giving up what was promised: below it promises to guests are worth more than minutes.
"""


def revise(
    snapshot: FleetSnapshot, policy: Policy, parent: Plan, progress: Progress, before: FleetSnapshot | None = None
) -> Plan:
    """Return an audited child of ``parent`` from ``progress.at_s`` on, for the fleet as it is then.

    Hosts and moves of the parent that still keep every limit are kept to the second; what no longer does is decided
    anew, and disturbs the rest as little as possible.  Where VMs of failing hosts would find no room, it is planned
    again, as a plan is (:mod:`slacktide.planner.hardening`).  ``policy`` is the parent's, or one with other limits.
    Where it is shown to be sound, with the fleet from ``before``, for which the parent was made, the parent's bounds
    hold as well.

    Raises
    ------
    InputError
        If the policy does not fit the snapshot, or the parent, or its progress.
    """
    if policy.in_place or parent.header.policy.in_place:
        fact = "patches hosts in place, of which there are no revisions"
        remedy = "Import the fleet as it is now, and plan the rest anew: nothing has moved"
        raise InputError(f"plan {parent.header.id}", fact, remedy)
    origin_s = time.monotonic()
    with ThreadPoolExecutor(max_workers=1) as beside:
        fingerprint = beside.submit(digest, snapshot)
        ground = so_far(before, snapshot, policy, parent, progress)
        policy = still_selecting(policy, parent, progress)
        problem = build_problem(snapshot, policy)
        situation = situation_of(parent, progress, policy, problem)
        problem, underway = with_hosts_out(problem, situation)

        def plan_of(stronger: Problem, _: bool) -> Plan:
            schedule, going_on = decided(stronger, situation, underway)
            own = beside.submit(revision_bounds, problem, schedule, going_on, situation.canary_hosts)
            plan = assemble(snapshot, problem, schedule, situation, own, ground, fingerprint.result())
            return audited(snapshot, plan, origin_s)

        return hardened(snapshot, problem, plan_of)


def decided(problem: Problem, situation: Situation, underway: Underway) -> tuple[Schedule, Underway]:
    """Return the rest of the campaign, and what is under way of it.

    Where the canary lacks hosts, or turns out to, for some find no room or are left alone while they drain, others are
    let into it, and what is behind it is decided anew.  So it is where that ends sooner and the canary is late: what is
    promised to those behind it holds room that the canary may need.
    """
    promised = promised_by(problem, situation)
    found = _decided(problem, situation, underway, promised, lacking(problem, situation, underway, promised) > 0)
    late_s = situation.parent.header.summary.makespan_s + CANARY_PATIENCE_S
    if not situation.canary_due or found[0].makespan_s <= late_s:
        return found
    anew = _decided(problem, situation, underway, promised, True)
    fewer = len(anew[0].host) < len(found[0].host)
    return found if fewer or anew[0].makespan_s >= found[0].makespan_s else anew


def _decided(
    problem: Problem, situation: Situation, underway: Underway, promised: Schedule, whole: bool
) -> tuple[Schedule, Underway]:
    """Return the rest, what is behind the canary as promised, or decided anew (``whole``)."""
    while True:
        needs = host_needs(problem)
        schedule = list_schedule(
            problem,
            build_instance(problem, situation.progress.at_s),
            pressing_order(problem, needs),
            terms_of(problem, situation, needs, whole),
            promised=promised.part(promised.wave == 0) if whole else promised,
            underway=underway,
        )
        assert schedule is not None, "nobody halts this pass"
        given_up = given_up_by(schedule, underway)
        if not is_short(schedule, situation) or (whole and not len(given_up)):
            return schedule, underway
        whole = True
        problem, underway = without_hosts(problem, underway, given_up)


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
    waves, label, members = _last_wave(problem, situation, out)
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
        told_s=_told_s(problem, situation),
    )


def _told_s(problem: Problem, situation: Situation) -> Ints:
    """Return when the guest of each VM was notified of a move that is still to come, -1: it was not."""
    told = situation.moves.filter(
        pl.col("state").is_null() & pl.col("told_s").is_not_null() & (pl.col("vm_place") >= 0)
    )
    told_s = np.full(len(problem.vms.ids), -1, np.int64)
    told_s[told["vm_place"].to_numpy()[::-1]] = told["told_s"].to_numpy()[::-1]  # of two moves the first counts
    return told_s


def _or(column: pl.Series, otherwise: int) -> Ints:
    return column.fill_null(otherwise).cast(pl.Int64).to_numpy().copy()


def _known(places: Ints, names: pl.Series) -> Ints:
    if len(missing := np.flatnonzero(places < 0)):
        fact = f"the VM {names[int(missing[0])]} is migrating, but the fleet does not have it"
        raise InputError("plan", fact, "Leave its migration out, or the VM in")
    return places


def _last_wave(problem: Problem, situation: Situation, out: pl.DataFrame) -> tuple[int, int, int]:
    """Return how many waves have begun that others wait for, the number of the last, and its hosts.

    A wave of which no host is out any more is over, and what is left of it waits until the others have baked.
    """
    if situation.canary_due:
        members = situation.canary_returned + out.filter(pl.col("wave") == 0).height
        return (1, 0, members) if members else (0, -1, 0)
    begun = situation.parent.hosts.join(situation.progress.hosts, on="host_id", how="semi")
    strict = problem.policy.gates.kind != "pipelined"
    if begun.is_empty() or not (strict or situation.canary_hosts):
        passed = situation.canary_hosts > 0
        return int(passed), 0 if passed else -1, 0
    label = int(begun["wave"].to_numpy().max()) if strict else 0
    if strict and out.filter(pl.col("wave") == label).is_empty():
        return label + 1, label, NO_LIMIT
    return label + 1, label, begun.filter(pl.col("wave") == label).height


def _gate_s(problem: Problem, out: pl.DataFrame, label: int) -> int:
    """Return when what is out of the last wave has baked, as far as its return is known."""
    policy = problem.policy
    known = out.filter(pl.col("wave") == label)["return_s"].drop_nulls().to_numpy()
    bake_s = policy.canary.bake_s if label == 0 and policy.canary.hosts != 0 else policy.gates.bake_s
    return int(known.max(initial=-bake_s)) + bake_s


def promised_by(problem: Problem, situation: Situation) -> Schedule:
    """Return what of the parent is still to come, numbered as in the problem.

    A host that is out and should have been back long since is promised from now on.
    """
    parent, progress = situation.parent, situation.progress
    out = pl.col("host_id").is_in(progress.hosts.filter(pl.col("state") == "out")["host_id"].implode())
    late = out & (pl.col("return_s") < progress.at_s)
    hosts = parent.hosts.with_columns(
        number=positions(parent.hosts["host_id"], problem.hosts.ids),
        return_s=pl.when(late).then(progress.at_s).otherwise("return_s"),
    )
    hosts = hosts.filter(pl.col("number") >= 0)
    there = pl.all_horizontal(pl.col(PLACES) >= 0)
    ahead = situation.moves.filter(pl.col("state").is_null() & there)
    vm, source, target, start_s, end_s = (ahead[name].to_numpy() for name in (*PLACES, "start_s", "end_s"))
    rates, bandwidth = problem.vms.rates_mbit_s, ahead["bandwidth_mbit_s"].to_numpy()
    rate = np.searchsorted(rates, bandwidth)
    same = rates[np.minimum(rate, len(rates) - 1)] == bandwidth
    return Schedule(
        host=hosts["number"].to_numpy().copy(),
        wave=hosts["wave"].cast(pl.Int64).to_numpy(),
        drain_start_s=hosts["drain_start_s"].to_numpy(),
        drained_s=hosts["drained_s"].to_numpy(),
        return_s=hosts["return_s"].to_numpy(),
        vm=vm,
        source=source,
        target=target,
        start_s=start_s,
        end_s=end_s,
        rate=np.where(same, rate, -1).astype(np.int64),
    )


def terms_of(problem: Problem, situation: Situation, needs: Needs, complete: bool) -> Terms:
    """Return how list scheduling goes about the rest of a campaign; a canary may have to wait until it is complete."""
    gates, selected = problem.policy.gates, situation.selected
    most = NO_LIMIT if gates.max_wave_hosts is None else max(1, resolved(gates.max_wave_hosts, selected))
    return Terms(
        canary_hosts=situation.canary_hosts,
        canary_bake_s=problem.policy.canary.bake_s,
        strict=gates.kind != "pipelined",
        bake_s=gates.bake_s,
        wave_hosts=most,
        reach=REACH,
        pace_s=pace_s(needs),
        scatter_until_s=situation.progress.at_s,
        longest_pause=longest_pause(needs),
        complete=complete,
    )


def assemble(
    snapshot: FleetSnapshot,
    problem: Problem,
    schedule: Schedule,
    situation: Situation,
    own: Future[Bounds],
    ground: ParentBounds | None,
    fingerprint: str,
) -> Plan:
    """Return the schedule as a child plan with its figures, beside bounds that are being worked out meanwhile."""
    parent, progress = situation.parent, situation.progress
    wave = wave_numbers(problem, schedule, situation)
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
    bounds, ground = with_parents(own.result(), ground, problem, parent, progress, tables)
    revision = Revision(
        from_s=progress.at_s,
        canary_passed=situation.canary_passed,
        canary_returned=situation.canary_returned,
        gate_s=situation.gate_s,
        selected_hosts=situation.selected,
        first_new_id=situation.first_new_id,
        short_at_start=short_at_start(parent, problem.policy),
        parent_bounds=ground,
        changes=changes_of(parent, progress, situation.moves, named, tables, snapshot),
        stranded=stranded_in(snapshot),
    )
    header = PlanHeader(
        id="",
        parent=parent.header.id,
        revision=revision,
        snapshot_digest=fingerprint,
        policy_digest=policy_digest(problem.policy),
        policy=problem.policy,
        seed=parent.header.seed,
        objective=problem.policy.objective,
        summary=figures(problem, schedule, bounds, tables, 0.0),
    )
    return Plan(header=header, **tables)
