"""The plan of a campaign that has gone over to a revision: the revision's rows, and those of before that are over."""

import numpy as np
import polars as pl

from slacktide.executors.campaign_state import CampaignState, HostStage
from slacktide.executors.events import Stage
from slacktide.planner.limits import resolved
from slacktide.planner.plan import Plan, PlanHeader
from slacktide.units import hours


def joined_plan(before: Plan, child: Plan, state: CampaignState) -> Plan:
    """Return the revision's rows and those of before that are over or had begun; waves by number, without gaps."""
    begun = (state.stage != Stage.PLANNED) | ~np.isnan(state.times[:, Stage.NOTIFIED])
    moves = before.migrations.filter(pl.Series(begun, dtype=pl.Boolean))
    moves = moves.filter(~pl.col("migration_id").is_in(child.migrations["migration_id"].implode()))
    hosts = before.hosts.filter(~pl.col("host_id").is_in(child.hosts["host_id"].implode()))
    held = _with_notice(before, child, state).select(moves.columns).cast(moves.schema)
    migrations = pl.concat([moves, held]).sort("migration_id")
    hosts = pl.concat([hosts, child.hosts.select(hosts.columns).cast(hosts.schema)]).sort("host_id")
    waves = _waves(before, child, hosts, migrations)
    deferred = child.deferred.filter(~pl.col("host_id").is_in(hosts["host_id"].implode()))
    return Plan(child.header, waves, hosts, migrations, deferred)


def _with_notice(before: Plan, child: Plan, state: CampaignState) -> pl.DataFrame:
    """Return the revision's migrations, those under way with the notice that they were begun with.

    A revision says of these when they did begin, and still when their guests were to be told.
    """
    begun = pl.Series((state.stage >= Stage.INTENDED) & (state.stage != Stage.GIVEN_UP), dtype=pl.Boolean)
    known = before.migrations.filter(begun).select("migration_id", notice_s=pl.col("start_s") - pl.col("notified_s"))
    told = child.migrations.join(known, on="migration_id", how="left", maintain_order="left")
    given_s = pl.col("start_s") - pl.col("notice_s")
    return told.with_columns(notified_s=given_s.clip(lower_bound=0).fill_null(pl.col("notified_s"))).drop("notice_s")


def _waves(before: Plan, child: Plan, hosts: pl.DataFrame, migrations: pl.DataFrame) -> pl.DataFrame:
    """Return the waves of all hosts, and of numbers that none has, with what opens those of the revision."""
    last = max(int(frame["wave"].to_numpy().max(initial=0)) for frame in (before.waves, child.waves, hosts))
    counted = hosts.group_by("wave").agg(
        hosts=pl.len(), start_s=pl.col("drain_start_s").min(), end_s=pl.col("return_s").max()
    )
    moved = migrations.group_by("wave").agg(migrations=pl.len())
    known = pl.concat([_gates(child), before.waves.select("wave", "gate")]).unique("wave", keep="first")
    numbers = pl.DataFrame({"wave": np.arange(last + 1)}).with_columns(pl.col("wave").cast(before.waves.schema["wave"]))
    full = numbers.join(counted, on="wave", how="left").join(moved, on="wave", how="left")
    planned = child.waves.select("wave", planned_s="start_s")
    full = full.join(known, on="wave", how="left").join(planned, on="wave", how="left").sort("wave")
    return full.select(
        "wave",
        gate=pl.col("gate").fill_null("pipelined"),
        start_s=pl.coalesce("planned_s", "start_s").fill_null(0),
        end_s=pl.col("end_s").fill_null(0),
        hosts=pl.col("hosts").fill_null(0).cast(before.waves.schema["hosts"]),
        migrations=pl.col("migrations").fill_null(0).cast(before.waves.schema["migrations"]),
    ).cast(before.waves.schema)  # fmt: skip


def _gates(child: Plan) -> pl.DataFrame:
    """Return what opens each wave of a revision.

    Its table says ``canary`` of wave 1, whether that passed before or not.  What waits for the canary, as long as it
    has not passed, is the wave after it, whatever its number; all waves, where these do not wait for each other.
    """
    revision, policy = child.header.revision, child.header.policy
    assert revision is not None, "it has a parent"
    waves = child.waves.select("wave", pl.col("gate").cast(pl.String)).sort("wave")
    due = not revision.canary_passed and resolved(policy.canary.hosts, revision.selected_hosts) > 0 and waves.height > 0
    due = due and int(waves["wave"][0]) == 0
    later = "pipelined" if policy.gates.kind == "pipelined" else "baked"
    gates = [later if gate == "canary" else gate for gate in waves["gate"].to_list()]
    for place in range(1, len(gates)) if later == "pipelined" else (1,):
        if due and place < len(gates) and gates[place] != "start":
            gates[place] = "canary"
    return waves.with_columns(gate=pl.Series(gates, dtype=pl.String)).cast(child.waves.select("wave", "gate").schema)


def shown_plan(first: Plan, before: Plan, child: Plan, joined: Plan, state: CampaignState) -> Plan:
    """Return the joined plan, what had begun by now as it was planned when it began."""
    tried = np.flatnonzero((state.stage >= Stage.INTENDED) & (state.attempts > 0)).tolist()
    names = pl.Series([state.program.migrations.ids[number] for number in tried], dtype=pl.String)
    moves = before.migrations.filter(pl.col("migration_id").is_in(names.implode()))
    drained = ~np.isnan(state.host_times[:, HostStage.DRAINING])
    left = {state.program.hosts.ids[host] for host in np.flatnonzero(drained).tolist()}
    out = before.hosts.filter(pl.col("host_id").is_in(sorted(left)))
    migrations = _replaced(joined.migrations, moves, "migration_id")
    hosts = _replaced(joined.hosts, out, "host_id")
    waves = _waves(before, child, hosts, migrations).filter(pl.col("hosts") > 0)
    header = _shown_header(first, child, hosts, migrations, joined.deferred)
    return Plan(header, waves, hosts, migrations, joined.deferred)


def _replaced(rows: pl.DataFrame, by: pl.DataFrame, key: str) -> pl.DataFrame:
    kept = rows.filter(~pl.col(key).is_in(by[key].implode()))
    return pl.concat([kept, by.join(rows, on=key, how="semi")]).sort(key)


def _shown_header(
    first: Plan, child: Plan, hosts: pl.DataFrame, migrations: pl.DataFrame, deferred: pl.DataFrame
) -> PlanHeader:
    """Return the first plan's header with the figures of what is carried out now; bounds are those of the first."""
    summary, makespan_s = first.header.summary, child.header.summary.makespan_s
    stays_out = pl.col("host_id").is_in(list(child.header.policy.evacuate))
    patched, left_alone = hosts.filter(~stays_out), deferred.filter(~stays_out).height
    exposed_s = int(patched["return_s"].clip(upper_bound=makespan_s).sum()) + left_alone * makespan_s
    figures = {
        "hosts": patched.height,
        "evacuated": hosts.height - patched.height,
        "waves": hosts["wave"].n_unique(),
        "migrations": migrations.height,
        "moves_per_vm": migrations.height / summary.vms if summary.vms else 0.0,
        "makespan_s": makespan_s,
        "exposure_host_h": float(hours(exposed_s)),
        "deferred": {name: int(many) for name, many in sorted(deferred["reason"].value_counts().iter_rows())},
        "audit": child.header.summary.audit,
    }
    return first.header.model_copy(update={"summary": summary.model_copy(update=figures)})
