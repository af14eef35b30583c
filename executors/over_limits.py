"""Where what was measured is above what the policy allows: hosts out, and blackouts of live migrations."""

from typing import Final

import numpy as np
import polars as pl

from slacktide.datasets.snapshot import FleetSnapshot
from slacktide.executors.curves import peaks_by_group
from slacktide.executors.out_limits import OutLimits
from slacktide.executors.program import Program
from slacktide.executors.readable import count, milliseconds
from slacktide.executors.report_figures import RESTARTED
from slacktide.executors.report_summary import BlackoutsOver, HostsOver, OverLimits
from slacktide.planner.plan import Plan

NAMED: Final = 3
"""Exceeded limits on hosts out that a sentence names; the others are counted."""


COUNTED_MS: Final = pl.max_horizontal("blackout_ms", pl.col("probe_blackout_ms") - pl.col("probe_resolution_ms"))
"""How long a guest stood still, as it is held against its VM's limit: the longer of both counts, the probe's less what
it cannot see; null: neither counted."""


def over_limits(program: Program, hosts: pl.DataFrame, migrations: pl.DataFrame) -> OverLimits:
    """Return every limit that was exceeded.

    Parameters
    ----------
    hosts, migrations
        The report's tables, the migrations with their limits.
    """
    return OverLimits(hosts_out=_hosts_over(program, hosts), blackouts=blackouts_over(migrations))


def with_limits(migrations: pl.DataFrame, snapshot: FleetSnapshot, plan: Plan) -> pl.DataFrame:
    """Return migrations with ``blackout_limit_ms``: their VM's, else the policy's."""
    limits = snapshot.vms.select("vm_id", "blackout_limit_ms")
    common = plan.header.policy.migration.blackout_limit_ms
    return migrations.join(limits, on="vm_id", how="left", maintain_order="left").with_columns(
        pl.col("blackout_limit_ms").fill_null(common).cast(pl.Float64)
    )


def held_against_limits(migrations: pl.DataFrame) -> pl.DataFrame:
    """Return migrations with ``counted_blackout_ms`` (:data:`COUNTED_MS`) and ``above_limit``: done live, and over it.

    Parameters
    ----------
    migrations
        With ``blackout_limit_ms``.
    """
    counted = migrations.with_columns(counted_blackout_ms=COUNTED_MS)
    is_over = pl.col("counted_blackout_ms") > pl.col("blackout_limit_ms")
    return counted.with_columns(above_limit=((pl.col("state") == "done") & ~RESTARTED & is_over).fill_null(value=False))


def blackouts_over(migrations: pl.DataFrame) -> BlackoutsOver | None:
    """Return the live migrations whose measured blackout is above ``blackout_limit_ms``; None: there is none.

    It is :data:`COUNTED_MS` that counts.
    """
    over = held_against_limits(migrations).filter("above_limit")
    if over.is_empty():
        return None
    longest = over.sort("counted_blackout_ms", "migration_id", descending=[True, False]).row(0, named=True)
    return BlackoutsOver(
        count=over.height,
        longest_ms=longest["counted_blackout_ms"],
        longest_limit_ms=longest["blackout_limit_ms"],
    )


def over_limits_words(over: OverLimits) -> list[str]:
    """Return what was measured above what the policy allows, in words; empty: nothing was."""
    words = [f"hosts out: {each.where} {count(each.most)} of {count(each.limit)}" for each in over.hosts_out[:NAMED]]
    if len(over.hosts_out) > NAMED:
        words.append(f"hosts out: {count(len(over.hosts_out) - NAMED)} more limits")
    part = over.blackouts
    if part is not None:
        which = "live migration's blackout above its" if part.count == 1 else "live migrations' blackouts above their"
        longest = f"{milliseconds(part.longest_ms)} of {milliseconds(part.longest_limit_ms)}"
        words.append(f"{count(part.count)} {which} VM's limit, longest {longest}")
    return words


def out_until_s(hosts: pl.DataFrame) -> pl.Series:
    """Return until when each host was out: patched, or released unpatched; null: it still is, or never was."""
    return hosts.select(pl.coalesce("return_s", "released_s").alias("return_s")).to_series()


def _hosts_over(program: Program, hosts: pl.DataFrame) -> tuple[HostsOver, ...]:
    limits: OutLimits = program.out
    numbers = {name: number for number, name in enumerate(program.hosts.ids)}
    out = hosts.with_columns(return_s=out_until_s(hosts)).filter(pl.col("drain_start_s").is_not_null())
    counted = [limits.of_host[numbers[host]] for host in out["host_id"].to_list()]
    row = np.repeat(np.arange(out.height), [len(each) for each in counted])
    group = np.array([limit for each in counted for limit in each], dtype=np.int64)
    start_s = out["drain_start_s"].to_numpy()[row]
    end_s = out["return_s"].fill_null(np.inf).to_numpy()[row]
    peaks = peaks_by_group(group, start_s, end_s, np.ones(len(group)), groups=len(limits.names))
    return tuple(
        HostsOver(where=limits.names[limit], most=int(peaks[limit]), limit=int(limits.limit[limit]))
        for limit in np.flatnonzero(peaks > limits.limit).tolist()
    )
