"""A fleet at a glance: counts, fill, domains, what is unknown."""

from dataclasses import asdict, dataclass
from typing import Any

import polars as pl

from slacktide.datasets.snapshot import FleetMeta, FleetSnapshot


@dataclass(frozen=True, slots=True)
class FleetSummary:
    """Figures about one snapshot; counts by name are in the order of the names."""

    meta: FleetMeta
    hosts: int
    hosts_by_state: dict[str, int]
    hosts_by_machine_type: dict[str, int]
    hosts_by_patch_level: dict[str, int]
    vms: int
    vms_by_eviction: dict[str, int]
    vms_per_host: float | None
    """VMs over hosts; None: no hosts."""
    memory_mib: int
    """Sold by all hosts."""
    used_memory_mib: int
    vcpus: int
    used_vcpus: int
    memory_fill: float | None
    """Used over sold; None: no hosts."""
    vcpu_fill: float | None
    domains: dict[str, int]
    """Failure domains of each kind."""
    services: int
    services_by_spread: dict[str, int]
    """By what they spread over; ``none``: nothing."""
    vms_in_services: int
    unknown_dirty_rates: int
    unknown_hot_sets: int
    vms_with_notice: int
    vms_with_local_disk: int
    links: int
    link_mbit_s: int
    """Sum of all capacities, each direction counted."""
    switches: int

    def as_dict(self) -> dict[str, Any]:
        """Return the summary as plain data for JSON."""
        return {**asdict(self), "meta": self.meta.model_dump(mode="json")}


def summarise(snapshot: FleetSnapshot) -> FleetSummary:
    """Return the figures of a valid snapshot."""
    hosts, vms, services, links = snapshot.hosts, snapshot.vms, snapshot.services, snapshot.links
    sold_mib, sold_vcpus = _total(hosts["memory_mib"]), _total(hosts["vcpus"])
    used_mib, used_vcpus = _total(vms["memory_mib"]), _total(vms["vcpus"])
    nodes = pl.concat([links["tail"], links["head"].alias("tail")]).unique()
    return FleetSummary(
        meta=snapshot.meta,
        hosts=len(hosts),
        hosts_by_state=_counts(hosts["state"]),
        hosts_by_machine_type=_counts(hosts["machine_type"]),
        hosts_by_patch_level=_counts(hosts["patch_level"]),
        vms=len(vms),
        vms_by_eviction=_counts(vms["eviction"]),
        vms_per_host=len(vms) / len(hosts) if len(hosts) else None,
        memory_mib=sold_mib,
        used_memory_mib=used_mib,
        vcpus=sold_vcpus,
        used_vcpus=used_vcpus,
        memory_fill=used_mib / sold_mib if sold_mib else None,
        vcpu_fill=used_vcpus / sold_vcpus if sold_vcpus else None,
        domains=_counts(snapshot.domains.select("kind", "domain_id").unique()["kind"]),
        services=len(services),
        services_by_spread=_counts(services["spread_over"].cast(pl.String).fill_null("none")),
        vms_in_services=vms["service_id"].count(),
        unknown_dirty_rates=vms["dirty_mib_s"].null_count(),
        unknown_hot_sets=vms["hot_mib"].null_count(),
        vms_with_notice=int((vms["notice_s"] > 0).sum()),
        vms_with_local_disk=int((vms["local_disk_mib"] > 0).sum()),
        links=len(links),
        link_mbit_s=_total(links["capacity_mbit_s"]),
        switches=len(nodes) - int(nodes.is_in(hosts["host_id"].implode()).sum()),
    )


def _total(column: pl.Series) -> int:
    return int(column.cast(pl.Int64).sum())


def _counts(column: pl.Series) -> dict[str, int]:
    names = column.cast(pl.String)
    return {str(name): int(count) for name, count in names.value_counts(name="hosts").sort(names.name).iter_rows()}
