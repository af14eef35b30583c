"""A fleet, and what a plan does with its hosts, as columns: one entry for each host, in the order of the hosts' ids.

A map of ten thousand hosts is drawn from them; names that repeat are numbers into a list of names.
"""

from pathlib import Path
from typing import Any, Final

import polars as pl

from slacktide.service.kept_files import fleet_table, plan_table

LAID_OUT_BY: Final = ("row", "power")
"""Kinds of failure domain by which racks are laid out in rows, the first that a fleet has."""
STATES: Final = ("active", "empty", "down", "quarantined")


def fleet_columns(folder: Path) -> dict[str, Any]:
    """Return where every host of a fleet is, what state it is in and how full it is; shares are per mille."""
    hosts = fleet_table(folder, "hosts").sort("host_id")
    used = (
        fleet_table(folder, "vms", columns=["host_id", "memory_mib", "vcpus"])
        .group_by("host_id")
        .agg(vms=pl.len().cast(pl.Int64), memory=pl.col("memory_mib").sum(), vcpus_used=pl.col("vcpus").sum())
    )
    placed, laid_out_by = _placed(hosts, folder)
    table = placed.join(used, on="host_id", how="left", maintain_order="left").with_columns(
        pl.col("vms", "memory", "vcpus_used").fill_null(0)
    )
    columns: dict[str, Any] = {"host_id": table["host_id"].to_list(), "laid_out_by": laid_out_by}
    for name, column in (("racks", "rack_id"), ("rows", "row"), ("types", "machine_type"), ("levels", "patch_level")):
        columns[name], columns[_SINGULAR[name]] = _numbered(table[column].cast(pl.String))
    columns["states"] = list(STATES)
    columns["state"] = [STATES.index(state) for state in table["state"].cast(pl.String)]
    columns["vms"] = table["vms"].to_list()
    columns["memory_fill"] = _per_mille(table, "memory", "memory_mib")
    columns["vcpu_fill"] = _per_mille(table, "vcpus_used", "vcpus")
    return columns


def plan_columns(folder: Path, host_ids: list[str]) -> dict[str, Any]:
    """Return when a plan has each host leave service and return, and in which wave; null: it leaves the host alone.

    Parameters
    ----------
    host_ids
        The fleet's hosts, in order.
    """
    order = pl.DataFrame({"host_id": host_ids})
    hosts = order.join(plan_table(folder, "hosts"), on="host_id", how="left", maintain_order="left")
    deferred = plan_table(folder, "deferred").select("host_id", pl.col("reason").cast(pl.String))
    left = order.join(deferred, on="host_id", how="left", maintain_order="left")
    reasons = sorted(deferred["reason"].unique())
    number = {reason: place for place, reason in enumerate(reasons)}
    return {
        **{name: hosts[name].to_list() for name in ("wave", "drain_start_s", "drained_s", "return_s")},
        "reasons": reasons,
        "deferred": [None if reason is None else number[reason] for reason in left["reason"]],
    }


_SINGULAR: Final = {"racks": "rack", "rows": "row", "types": "type", "levels": "level"}


def _placed(hosts: pl.DataFrame, folder: Path) -> tuple[pl.DataFrame, str | None]:
    """Return the hosts with their ``row``, and the kind of domain that it is; a fleet without any is one row."""
    domains = fleet_table(folder, "domains").with_columns(pl.col("kind", "domain_id").cast(pl.String))
    for kind in LAID_OUT_BY:
        of_kind = domains.filter(pl.col("kind") == kind).select("host_id", row="domain_id")
        if of_kind.height:
            joined = hosts.join(of_kind, on="host_id", how="left", maintain_order="left")
            return joined.with_columns(pl.col("row").fill_null("")), kind
    return hosts.with_columns(row=pl.lit("")), None


def _numbered(column: pl.Series) -> tuple[list[str], list[int]]:
    names = sorted(column.unique())
    number = {name: place for place, name in enumerate(names)}
    return names, [number[name] for name in column]


def _per_mille(table: pl.DataFrame, used: str, whole: str) -> list[int]:
    share = (1000 * pl.col(used) / pl.max_horizontal(whole, pl.lit(1))).round().cast(pl.Int64)
    return table.select(share.alias("share"))["share"].to_list()
