"""How far a plan has been carried out at a moment, and the fleet as it is then."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

import polars as pl

from slacktide.datasets.snapshot import FleetSnapshot
from slacktide.errors import InputError
from slacktide.planner.plan import Plan

MOVE_STATES: Final = ("done", "running", "failed")
"""``failed``: the VM is on its source, and nothing moves it."""
HOST_STATES: Final = ("returned", "out")


@dataclass(frozen=True, slots=True)
class Progress:
    """What of a plan has happened by ``at_s``; what is in neither table is still to come."""

    at_s: int
    migrations: pl.DataFrame
    """``migration_id``, ``state``, ``start_s`` and ``end_s``: when each did start, and is expected to end."""
    hosts: pl.DataFrame
    """``host_id``, ``state``, ``drain_start_s``, and ``drained_s`` and ``return_s`` as expected; null while VMs on it
    have not started to leave."""
    notified: pl.DataFrame
    """``migration_id`` and ``notified_s`` of those whose guests have been told by ``at_s``."""


def progress_at(
    snapshot: FleetSnapshot,
    plan: Plan,
    at_s: int,
    *,
    late: Mapping[str, int] | None = None,
    failed: Iterable[str] = (),
    lost_hosts: Iterable[str] = (),
    new_vms: pl.DataFrame | None = None,
    gone_vms: Iterable[str] = (),
) -> tuple[FleetSnapshot, Progress]:
    """Return the fleet and the progress of ``plan`` at ``at_s`` if all has gone as planned but for what is named.

    Parameters
    ----------
    late
        Ends of running migrations, and returns of hosts that are out, by id: later than planned.
    failed
        Migrations that have started and left their VM where it was.
    lost_hosts
        Hosts that are down since ``at_s``, with the VMs on them.
    new_vms, gone_vms
        Rows of the snapshot's ``vms``, and ids.

    Raises
    ------
    InputError
        If something is named that the plan or the fleet does not have, or that cannot have happened by then.
    """
    late, lost = dict(late or {}), tuple(lost_hosts)
    _check_moment(plan, at_s)
    _check_names("fleet", snapshot.hosts["host_id"], lost)
    moves = _moves_at(plan, at_s, late, tuple(failed), lost)
    hosts = _hosts_at(plan, at_s, late, moves, lost)
    known = set(moves["migration_id"]) | set(hosts["host_id"])
    if strangers := sorted(set(late) - known):
        fact = f"{strangers[0]} cannot be late: at {at_s} s it is not under way"
        raise InputError("plan", fact, "Name migrations that run then, and hosts that are out")
    told = plan.migrations.filter(pl.col("notified_s") < at_s).select("migration_id", "notified_s")
    progress = Progress(at_s, moves, hosts, told)
    gone = evacuated_by(plan, progress)
    left = Progress(at_s, moves, hosts.filter(~pl.col("host_id").is_in(list(gone))), told)
    fleet = fleet_at(
        snapshot, plan, progress, lost_hosts=lost, evacuated_hosts=gone, new_vms=new_vms, gone_vms=gone_vms
    )
    return fleet, left


def evacuated_by(plan: Plan, progress: Progress) -> tuple[str, ...]:
    """Return the hosts that the plan evacuates and that are empty at the moment of ``progress``."""
    leaves = pl.col("host_id").is_in(list(plan.header.policy.evacuate))
    return tuple(progress.hosts.filter(leaves & (pl.col("drained_s") <= progress.at_s))["host_id"])


def fleet_at(
    snapshot: FleetSnapshot,
    plan: Plan,
    progress: Progress,
    *,
    lost_hosts: Iterable[str] = (),
    evacuated_hosts: Iterable[str] = (),
    new_vms: pl.DataFrame | None = None,
    gone_vms: Iterable[str] = (),
) -> FleetSnapshot:
    """Return the fleet as it is now: VMs where migrations have brought them, hosts that have returned patched.

    VMs that are on their way are on their source.  Hosts that are lost are down, those that are evacuated quarantined.
    """
    done = progress.migrations.filter(pl.col("state") == "done").select("migration_id")
    moved = (
        plan.migrations.join(done, on="migration_id", how="semi")
        .sort("start_s")
        .unique("vm_id", keep="last")
        .select("vm_id", now_on="target")
    )
    vms = (
        snapshot.vms.join(moved, on="vm_id", how="left", maintain_order="left")
        .with_columns(host_id=pl.coalesce("now_on", "host_id"))
        .drop("now_on")
    )
    evacuated = list(evacuated_hosts)
    back = (pl.col("state") == "returned") & ~pl.col("host_id").is_in(evacuated)
    returned = progress.hosts.filter(back)["host_id"].implode()
    hosts = snapshot.hosts.with_columns(
        patch_level=pl.when(pl.col("host_id").is_in(returned))
        .then(pl.lit(plan.header.policy.patch_level))
        .otherwise("patch_level"),
        state=_state(snapshot.hosts, pl.col("host_id").is_in(list(lost_hosts)), "down"),
    )
    hosts = hosts.with_columns(state=_state(hosts, pl.col("host_id").is_in(evacuated), "quarantined"))
    taken_at = snapshot.meta.taken_at + timedelta(seconds=progress.at_s)
    meta = snapshot.meta.model_copy(update={"taken_at": taken_at})
    return with_vms(replace(snapshot, meta=meta, hosts=hosts, vms=vms), new_vms, gone_vms)


def with_vms(snapshot: FleetSnapshot, new_vms: pl.DataFrame | None, gone_vms: Iterable[str]) -> FleetSnapshot:
    """Return the fleet with VMs that have come and without those that are no more; who holds a VM is not empty.

    Raises
    ------
    InputError
        If a VM that is no more is not in the fleet.
    """
    gone = tuple(gone_vms)
    _check_names("fleet", snapshot.vms["vm_id"], gone)
    vms = snapshot.vms.filter(~pl.col("vm_id").is_in(list(gone)))
    if new_vms is not None and new_vms.height:
        vms = pl.concat([vms, new_vms.select(vms.columns).cast(vms.schema)]).sort("vm_id")
    filled = (pl.col("state") == "empty") & pl.col("host_id").is_in(vms["host_id"].unique().implode())
    hosts = snapshot.hosts.with_columns(state=_state(snapshot.hosts, filled, "active"))
    return replace(snapshot, hosts=hosts.select(snapshot.hosts.columns), vms=vms)


def _state(hosts: pl.DataFrame, those: pl.Expr, state: str) -> pl.Expr:
    """Return the column of states with another one for some hosts."""
    kept = pl.col("state").cast(pl.String)
    return pl.when(those).then(pl.lit(state)).otherwise(kept).cast(hosts.schema["state"])


def _check_moment(plan: Plan, at_s: int) -> None:
    """Refuse a moment outside the plan."""
    first_s = 0 if plan.header.revision is None else plan.header.revision.from_s
    if not first_s <= at_s < plan.header.summary.makespan_s:
        fact = f"{at_s:,} s is outside the plan, which goes from {first_s:,} s to {plan.header.summary.makespan_s:,} s"
        raise InputError("plan", fact, "Choose a moment within it; after its end there is nothing to revise")


def _check_names(where: str, known: pl.Series, names: tuple[str, ...]) -> None:
    if strangers := sorted(set(names) - set(known)):
        fact = f"does not have {strangers[0]!r}" + (f" and {len(strangers) - 1} more" if strangers[1:] else "")
        raise InputError(where, fact, "Name what is in its tables")


def _moves_at(
    plan: Plan, at_s: int, late: Mapping[str, int], failed: tuple[str, ...], lost: tuple[str, ...]
) -> pl.DataFrame:
    """Return the migrations that have started by ``at_s``, with what has become of them.

    One that has not ended when its source or target is lost has failed.
    """
    _check_names("plan", plan.migrations["migration_id"], failed)
    drained = plan.hosts.select(source="host_id", drained_s="drained_s")
    started = (
        plan.migrations.filter(pl.col("start_s") < at_s)
        .join(drained, on="source", how="left", maintain_order="left")
        .with_columns(expected_s=_replaced("migration_id", late, "end_s"))
    )
    ended_late = started.filter((pl.col("expected_s") != pl.col("end_s")) & (pl.col("end_s") <= at_s))
    if ended_late.height or started.filter(pl.col("expected_s") < pl.col("end_s")).height:
        name = (*ended_late["migration_id"], *late)[0]
        fact = f"{name} cannot end at {late.get(name)} s: it is planned to end later, or has by {at_s} s"
        raise InputError("plan", fact, "Name migrations that run then, each with an end after the planned one")
    cannot = started.filter(pl.col("migration_id").is_in(list(failed)) & (pl.col("drained_s") <= at_s))
    if missing := sorted((set(failed) - set(started["migration_id"])) | set(cannot["migration_id"])):
        fact = f"{missing[0]} cannot have failed at {at_s} s: it has not started, or its host has been drained by then"
        raise InputError("plan", fact, "Name migrations of hosts that drain then")
    running = pl.col("expected_s") > at_s
    broken = pl.col("source").is_in(list(lost)) | pl.col("target").is_in(list(lost))
    state = (
        pl.when(pl.col("migration_id").is_in(list(failed)) | (running & broken))
        .then(pl.lit("failed"))
        .when(running)
        .then(pl.lit("running"))
        .otherwise(pl.lit("done"))
    )
    return started.select("migration_id", "start_s", state=state.cast(pl.Enum(MOVE_STATES)), end_s="expected_s")


def _hosts_at(
    plan: Plan, at_s: int, late: Mapping[str, int], moves: pl.DataFrame, lost: tuple[str, ...]
) -> pl.DataFrame:
    """Return the hosts that have begun to drain by ``at_s``, with what has become of them."""
    sources = plan.migrations.select("migration_id", "source", planned_s="end_s")
    states = sources.join(moves, on="migration_id", how="left").with_columns(
        to_come=pl.col("state").is_null() | (pl.col("state") == "failed")
    )
    of_host = states.group_by(host_id="source").agg(
        to_come=pl.col("to_come").any(), last_s=pl.col("end_s").max(), planned_s=pl.col("planned_s").max()
    )
    begun = (
        plan.hosts.filter((pl.col("drain_start_s") < at_s) & ~pl.col("host_id").is_in(list(lost)))
        .join(of_host, on="host_id", how="left")
        .with_columns(
            pl.col("to_come").fill_null(False), drained=pl.max_horizontal("drained_s", pl.col("last_s").fill_null(0))
        )
        .with_columns(back=pl.col("return_s") + pl.col("drained") - pl.col("drained_s"))
        .with_columns(back=_replaced("host_id", late, "back"))
    )
    returned = (pl.col("back") <= at_s) & ~pl.col("to_come")
    return begun.select(
        "host_id",
        state=pl.when(returned).then(pl.lit("returned")).otherwise(pl.lit("out")).cast(pl.Enum(HOST_STATES)),
        drain_start_s="drain_start_s",
        drained_s=pl.when(~pl.col("to_come")).then("drained"),
        return_s=pl.when(~pl.col("to_come")).then("back"),
    ).sort("host_id")


def _replaced(key: str, late: Mapping[str, int], column: str) -> pl.Expr:
    """Return a column with the values of ``late`` where its key is in it."""
    if not late:
        return pl.col(column)
    return pl.col(key).replace_strict(dict(late), default=None, return_dtype=pl.Int64).fill_null(pl.col(column))


def without_hosts(snapshot: FleetSnapshot, plan: Plan, progress: Progress, lost_hosts: Iterable[str]) -> Progress:
    """Return the progress once hosts are lost as well: what was under way from or to them has failed.

    Raises
    ------
    InputError
        If the fleet does not have one of them.
    """
    lost = tuple(lost_hosts)
    _check_names("fleet", snapshot.hosts["host_id"], lost)
    ends = plan.migrations.select("migration_id", "source", "target")
    broken = pl.col("source").is_in(list(lost)) | pl.col("target").is_in(list(lost))
    failed = (pl.col("state") == "failed") | ((pl.col("state") == "running") & broken)
    moves = progress.migrations.join(ends, on="migration_id", how="left", maintain_order="left").with_columns(
        state=pl.when(failed)
        .then(pl.lit("failed"))
        .otherwise(pl.col("state").cast(pl.String))
        .cast(pl.Enum(MOVE_STATES))
    )
    to_come = moves.filter(pl.col("state") == "failed")["source"].implode()
    still_out = pl.col("host_id").is_in(to_come) & (pl.col("state") == "out")
    hosts = progress.hosts.filter(~pl.col("host_id").is_in(list(lost))).with_columns(
        drained_s=pl.when(~still_out).then("drained_s"), return_s=pl.when(~still_out).then("return_s")
    )
    return Progress(progress.at_s, moves.select(progress.migrations.columns), hosts, progress.notified)
