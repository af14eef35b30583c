"""What goes on when a revision begins, and what of its parent is still to come, numbered as in the problem."""

from dataclasses import replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from slacktide.errors import InputError
from slacktide.planner.assembly import PLACES
from slacktide.planner.listing.decisions import EVACUATION, Schedule, Underway
from slacktide.planner.problem import NO_LIMIT, Problem, positions
from slacktide.planner.situation import Situation

Ints = NDArray[np.int64]


def with_hosts_out(problem: Problem, situation: Situation) -> tuple[Problem, Underway]:
    """Return the problem in which hosts that are out are due whatever is on them, and what is under way.

    A host that drains and can no longer be emptied ends its drain and is deferred.  One that is evacuated is over with
    its drain.
    """
    progress, parent = situation.progress, situation.parent
    out = progress.hosts.filter(pl.col("state") == "out").join(
        parent.hosts.select("host_id", "wave"), on="host_id", how="left", maintain_order="left"
    )
    out = _not_back(out, problem)
    host = positions(out["host_id"], problem.hosts.ids)
    shunned = problem.hosts.shunned[host]
    if len(strange := np.flatnonzero((host < 0) | ~(problem.selected[host] | shunned))):
        name = out["host_id"][int(strange[0])]
        fact = f"{name} is out, but the policy does not select it, or the fleet does not have it"
        raise InputError("policy", fact, "Select it until it has returned")
    return_s = _or(out["return_s"], -1)
    kept = (return_s >= 0) | ~np.isin(host, [number for number, _, _ in problem.deferred])
    host, shunned, out = host[kept], shunned[kept], out.filter(pl.Series(kept, dtype=pl.Boolean))
    problem.hosts.due[host[~shunned]] = True
    problem.hosts.evacuated[host[shunned]] = True
    problem = replace(problem, deferred=tuple(row for row in problem.deferred if row[0] not in set(host.tolist())))
    rows = parent.migrations.join(
        progress.migrations.filter(pl.col("state") == "running").select(
            "migration_id", begun_s="start_s", expected_s="end_s"
        ),
        on="migration_id",
        maintain_order="left",
    )
    wave = out["wave"].to_numpy()
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


def _not_back(hosts: pl.DataFrame, problem: Problem) -> pl.DataFrame:
    """Return hosts with those that are evacuated in no wave, and over with their drain."""
    leaves = pl.col("host_id").is_in(list(problem.policy.evacuate))
    return hosts.with_columns(
        wave=pl.when(leaves).then(EVACUATION).otherwise(pl.col("wave").cast(pl.Int64)),
        return_s=pl.when(leaves).then("drained_s").otherwise("return_s"),
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
    begun = begun.filter(~pl.col("host_id").is_in(list(problem.policy.evacuate)))
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
    hosts = _not_back(hosts.filter(pl.col("number") >= 0), problem)
    there = pl.all_horizontal(pl.col(PLACES) >= 0)
    ahead = situation.moves.filter(pl.col("state").is_null() & there)
    vm, source, target, start_s, end_s = (ahead[name].to_numpy() for name in (*PLACES, "start_s", "end_s"))
    rates, bandwidth = problem.vms.rates_mbit_s, ahead["bandwidth_mbit_s"].to_numpy()
    rate = np.searchsorted(rates, bandwidth)
    same = rates[np.minimum(rate, len(rates) - 1)] == bandwidth
    return Schedule(
        host=hosts["number"].to_numpy().copy(),
        wave=hosts["wave"].to_numpy(),
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
