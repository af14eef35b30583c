"""What the tables of a snapshot say about each other: known ids, capacities, states, domains, services."""

from collections.abc import Callable, Iterator, Mapping
from typing import Final

import polars as pl

from slacktide.datasets.listing import ROW, listed
from slacktide.findings import Finding

Tables = Mapping[str, pl.DataFrame]


def reference_findings(tables: Tables) -> Iterator[Finding]:
    """Yield every broken rule between tables; a rule is left out where a table that it needs is missing.

    The tables have the right columns and row numbers; nulls, which are found elsewhere, break no rule here.
    """
    for needed, check in _CHECKS:
        if all(name in tables for name in needed):
            yield from check(tables)


def _empty_fleet(tables: Tables) -> Iterator[Finding]:
    if tables["hosts"].is_empty():
        yield Finding("fleet-empty", "the fleet has no hosts", "Add hosts to the table", file="hosts.parquet")


def _unknown_hosts_of_vms(tables: Tables) -> Iterator[Finding]:
    yield from listed(
        _without_partner(tables["vms"], tables["hosts"], "host_id").select(ROW, "vm_id", "host_id"),
        rule="vm-host-unknown",
        table="vms",
        message=lambda row: f"{row['vm_id']} is on {row['host_id']}, which is not in hosts.parquet",
        remedy="Add the host, or correct the VM's host_id",
        subjects=("vm_id", "host_id"),
    )


def _unknown_services_of_vms(tables: Tables) -> Iterator[Finding]:
    yield from listed(
        _without_partner(tables["vms"], tables["services"], "service_id").select(ROW, "vm_id", "service_id"),
        rule="vm-service-unknown",
        table="vms",
        message=lambda row: f"{row['vm_id']} belongs to {row['service_id']}, which is not in services.parquet",
        remedy="Add the service, or set service_id to null",
        subjects=("vm_id", "service_id"),
    )


def _unknown_hosts_of_domains(tables: Tables) -> Iterator[Finding]:
    yield from listed(
        _without_partner(tables["domains"], tables["hosts"], "host_id").select(ROW, "host_id", "kind", "domain_id"),
        rule="domain-host-unknown",
        table="domains",
        message=lambda row: f"{row['kind']} {row['domain_id']} holds {row['host_id']}, which is not in hosts.parquet",
        remedy="Add the host, or remove the row",
        subjects=("host_id", "domain_id"),
    )


def _rack_domains(tables: Tables) -> Iterator[Finding]:
    racks = tables["domains"].filter(pl.col("kind") == "rack").select("host_id", "domain_id").unique("host_id")
    hosts = tables["hosts"].select(ROW, "host_id", "rack_id").join(racks, on="host_id", how="left")
    yield from listed(
        hosts.filter(pl.col("domain_id").is_null() & pl.col("host_id").is_not_null()),
        rule="rack-domain-missing",
        table="hosts",
        message=lambda row: f"{row['host_id']} is in {row['rack_id']}, but domains.parquet has no rack for it",
        remedy="Add a row of kind rack to domains.parquet",
        subjects=("host_id",),
    )
    yield from listed(
        hosts.filter(pl.col("domain_id") != pl.col("rack_id")),
        rule="rack-domain-contradiction",
        table="hosts",
        message=lambda row: f"{row['host_id']} is in {row['rack_id']}, but in {row['domain_id']} by domains.parquet",
        remedy="Make rack_id and the domain of kind rack the same",
        subjects=("host_id", "rack_id", "domain_id"),
    )


def _unknown_machine_types(tables: Tables) -> Iterator[Finding]:
    known = tables["hosts"].select(pl.col("machine_type").unique().drop_nulls())
    named = tables["vms"].select(ROW, "vm_id", "machine_types").drop_nulls("machine_types")
    named = named.explode("machine_types", empty_as_null=False).drop_nulls("machine_types")
    yield from listed(
        named.join(known, left_on="machine_types", right_on="machine_type", how="anti"),
        rule="machine-type-unknown",
        table="vms",
        message=lambda row: f"{row['vm_id']} may run on {row['machine_types']}, of which the fleet has no host",
        remedy="Correct the name, or remove it from machine_types",
        subjects=("vm_id", "machine_types"),
        severity="warning",
    )


def _own_machine_type(tables: Tables) -> Iterator[Finding]:
    restricted = tables["vms"].select(ROW, "vm_id", "host_id", "machine_types").drop_nulls("machine_types")
    types = tables["hosts"].select("host_id", "machine_type").unique("host_id").drop_nulls()
    placed = restricted.join(types, on="host_id")
    yield from listed(
        placed.filter(~pl.col("machine_types").list.contains(pl.col("machine_type"))),
        rule="vm-machine-type",
        table="vms",
        message=lambda row: (
            f"{row['vm_id']} runs on {row['host_id']} of type {row['machine_type']}, "
            f"which its machine_types ({', '.join(map(str, row['machine_types']))}) do not allow"
        ),
        remedy="Add the type to machine_types, or correct the VM's host_id",
        subjects=("vm_id", "host_id"),
        severity="warning",
    )


def _spread_kinds(tables: Tables) -> Iterator[Finding]:
    known = set(tables["domains"]["kind"].unique().drop_nulls()) | {"host"}
    services = tables["services"].with_columns(pl.col("spread_over").cast(pl.String))
    yield from listed(
        services.filter(pl.col("spread_over").is_not_null() & ~pl.col("spread_over").is_in(sorted(known))),
        rule="service-spread-kind",
        table="services",
        message=lambda row: (
            f"{row['service_id']} spreads over {row['spread_over']}, a kind that domains.parquet does not have"
        ),
        remedy=f"Add rows of kind to domains.parquet, or spread over one of {', '.join(sorted(known))}",
        subjects=("service_id",),
    )


def _spread_limits(tables: Tables) -> Iterator[Finding]:
    services = tables["services"]
    yield from listed(
        services.filter(pl.col("spread_over").is_null() & pl.col("max_per_domain").is_not_null()),
        rule="service-limit-without-spread",
        table="services",
        message=lambda row: f"{row['service_id']}: max_per_domain is {row['max_per_domain']}, but spread_over is null",
        remedy="Say what to spread over, or set max_per_domain to null",
        subjects=("service_id",),
    )
    yield from listed(
        services.filter(pl.col("spread_over").is_not_null() & pl.col("max_per_domain").is_null()),
        rule="service-spread-without-limit",
        table="services",
        message=lambda row: f"{row['service_id']}: spread_over is {row['spread_over']}, but max_per_domain is null",
        remedy="Set max_per_domain; without it the service is spread over nothing",
        subjects=("service_id",),
        severity="warning",
    )


OVERFULL: Final = ("host-vcpus-overfull", "host-memory-overfull")
"""Rules that a host breaks which holds more than it sells."""


def _overfull_hosts(tables: Tables) -> Iterator[Finding]:
    used = (
        tables["vms"]
        .group_by("host_id")
        .agg(
            used_vcpus=pl.col("vcpus").cast(pl.Int64).sum(),
            used_mib=pl.col("memory_mib").cast(pl.Float64).sum(),
            vms=pl.len(),
        )
    )
    hosts = tables["hosts"].join(used, on="host_id")
    yield from listed(
        hosts.filter(pl.col("used_vcpus") > pl.col("vcpus")),
        rule="host-vcpus-overfull",
        table="hosts",
        message=lambda row: (
            f"{row['host_id']}: its {row['vms']} VMs use {row['used_vcpus']} vCPU, it sells {row['vcpus']}"
        ),
        remedy="Correct the host's vcpus, or the VMs' vcpus or hosts",
        subjects=("host_id",),
    )
    yield from listed(
        hosts.filter(pl.col("used_mib") > pl.col("memory_mib")),
        rule="host-memory-overfull",
        table="hosts",
        message=lambda row: (
            f"{row['host_id']}: its {row['vms']} VMs use {row['used_mib']:.0f} MiB of memory, "
            f"it sells {row['memory_mib']} MiB"
        ),
        remedy="Correct the host's memory_mib, or the VMs' memory or hosts",
        subjects=("host_id",),
    )


def _vms_in_states(tables: Tables) -> Iterator[Finding]:
    states = tables["hosts"].select("host_id", "state").unique("host_id").drop_nulls("host_id")
    placed = tables["vms"].select(ROW, "vm_id", "host_id").join(states, on="host_id")
    yield from listed(
        placed.filter(pl.col("state") == "empty"),
        rule="vm-on-empty-host",
        table="vms",
        message=lambda row: f"{row['vm_id']} is on {row['host_id']}, whose state is empty",
        remedy="Set the host's state to active, or correct the VM's host_id",
        subjects=("vm_id", "host_id"),
    )
    yield from listed(
        placed.filter(pl.col("state") == "down"),
        rule="vm-on-down-host",
        table="vms",
        message=lambda row: f"{row['vm_id']} is on {row['host_id']}, whose state is down",
        remedy="Set the host's state, or correct the VM's host_id; a VM cannot leave a host that is down",
        subjects=("vm_id", "host_id"),
        severity="warning",
    )


def _hot_sets(tables: Tables) -> Iterator[Finding]:
    yield from listed(
        tables["vms"].filter((pl.col("hot_mib") > pl.col("memory_mib")) & (pl.col("memory_mib") > 0)),
        rule="vm-hot-set",
        table="vms",
        message=lambda row: f"{row['vm_id']}: hot_mib is {row['hot_mib']:g} MiB of {row['memory_mib']} MiB of memory",
        remedy="Correct hot_mib (or set it to null: unknown), or memory_mib",
        subjects=("vm_id",),
    )


def _without_partner(table: pl.DataFrame, partner: pl.DataFrame, column: str) -> pl.DataFrame:
    known = partner.select(column).drop_nulls()
    return table.filter(pl.col(column).is_not_null()).join(known, on=column, how="anti")


_CHECKS: Final[tuple[tuple[tuple[str, ...], Callable[[Tables], Iterator[Finding]]], ...]] = (
    (("hosts",), _empty_fleet),
    (("vms", "hosts"), _unknown_hosts_of_vms),
    (("vms", "services"), _unknown_services_of_vms),
    (("domains", "hosts"), _unknown_hosts_of_domains),
    (("domains", "hosts"), _rack_domains),
    (("vms", "hosts"), _unknown_machine_types),
    (("vms", "hosts"), _own_machine_type),
    (("services", "domains"), _spread_kinds),
    (("services",), _spread_limits),
    (("vms", "hosts"), _overfull_hosts),
    (("vms", "hosts"), _vms_in_states),
    (("vms",), _hot_sets),
)
"""Tables that a check needs, and the check."""
