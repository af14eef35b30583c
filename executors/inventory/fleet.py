"""From the facts of live hosts to a fleet snapshot; what no hypervisor knows comes from settings."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import polars as pl

from slacktide.datasets.fabric import fabric_links
from slacktide.datasets.schemas import EVICTIONS, HOST_STATES, TABLES
from slacktide.datasets.snapshot import FleetMeta, FleetSnapshot
from slacktide.datasets.validation import checked_snapshot
from slacktide.errors import UsageError
from slacktide.executors.inventory.observed import ObservedHost, ObservedVm
from slacktide.topology.builders import Rates

ONE_RACK: Final = "rack-1"
"""Where hosts are whose racks nobody named."""
HOST_MEMORY_MIB: Final = 2048
"""Memory that a host keeps for itself, where nobody says what it sells."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InventorySettings:
    """What hypervisors do not say."""

    migration_mbit_s: int
    """What a host's NIC may carry of migration traffic, in each direction."""
    vcpus_per_cpu: float = 1.0
    """vCPUs sold for each CPU."""
    memory_mib: int | None = None
    """Memory that each host sells; None: all but :data:`HOST_MEMORY_MIB`."""
    maintenance_s: int = 1800
    patch_level: str | None = None
    """None: the versions of hypervisor and libvirt."""
    notice_s: int = 0
    blackout_limit_ms: int | None = None
    racks: Mapping[str, str] = field(default_factory=dict)
    """Rack of each host; none named: all are in one."""


def fleet_of(
    hosts: Sequence[ObservedHost], settings: InventorySettings, taken_at: datetime, measure_s: int | None
) -> FleetSnapshot:
    """Return the snapshot of live hosts, their dirty rates measured for ``measure_s`` seconds or unknown.

    Hosts are called by their host names, VMs by their domains'.  All hosts of a rack hang on one switch, and
    several racks on spines that carry whatever their hosts can send: no hypervisor knows the fabric.

    Raises
    ------
    UsageError
        If a host's rack is not named while others' are, or a VM's name is there twice.
    InputError
        If what was found is no fleet, such as a host that sells less than its VMs have.
    """
    _refuse_two_names(hosts)
    frame = _hosts(hosts, settings)
    racks = frame["rack_id"].to_list()
    rate = settings.migration_mbit_s
    rates = Rates(host_mbit_s=rate, uplink_mbit_s=max(rate, 100_000), oversubscription=1.0)
    tables = {
        "hosts": frame,
        "vms": _vms(hosts, settings),
        "services": TABLES["services"].create_empty(),
        "links": fabric_links(frame["host_id"].to_list(), racks, "leaf_spine", rates),
        "domains": frame.select("host_id", kind=pl.lit("rack"), domain_id="rack_id"),
    }
    return checked_snapshot(_meta(hosts, taken_at, measure_s), tables, "inventory")


def connections_of(hosts: Sequence[ObservedHost]) -> dict[str, str]:
    """Return the address of each host by its id."""
    return {host.name: host.uri for host in sorted(hosts, key=lambda host: host.name)}


def _hosts(hosts: Sequence[ObservedHost], settings: InventorySettings) -> pl.DataFrame:
    racks = [settings.racks.get(host.name, ONE_RACK) for host in hosts]
    if settings.racks and (missing := [host.name for host in hosts if host.name not in settings.racks]):
        raise UsageError("racks", f"do not name that of {', '.join(missing)}", "Add a row for each host")
    sold_mib = [settings.memory_mib or max(1, host.memory_mib - HOST_MEMORY_MIB) for host in hosts]
    return pl.DataFrame(
        {
            "host_id": [host.name for host in hosts],
            "rack_id": racks,
            "machine_type": [host.machine for host in hosts],
            "vcpus": pl.Series([max(1, int(host.cpus * settings.vcpus_per_cpu)) for host in hosts], dtype=pl.Int32),
            "memory_mib": pl.Series(sold_mib, dtype=pl.Int64),
            "migration_mbit_s": pl.Series([settings.migration_mbit_s] * len(hosts), dtype=pl.Int64),
            "patch_level": [settings.patch_level or host.software for host in hosts],
            "maintenance_s": pl.Series([settings.maintenance_s] * len(hosts), dtype=pl.Int64),
            "state": pl.Series(["active" if host.vms else "empty" for host in hosts], dtype=pl.Enum(HOST_STATES)),
        }
    ).sort("host_id")


def _vms(hosts: Sequence[ObservedHost], settings: InventorySettings) -> pl.DataFrame:
    """Return one row for each running VM; a loop over what was asked one by one anyway."""
    processors = sorted({vm.cpu_xml for host in hosts for vm in host.vms if vm.cpu_xml})
    types = {
        xml: sorted({host.machine for host in hosts if host.runs[number]}) for number, xml in enumerate(processors)
    }
    every = {host.machine for host in hosts}
    rows = [
        {
            "vm_id": vm.name,
            "host_id": host.name,
            "service_id": None,
            "vcpus": vm.vcpus,
            "memory_mib": vm.memory_mib,
            "used_mib": None if vm.used_mib is None else min(vm.used_mib, vm.memory_mib),
            "dirty_mib_s": vm.dirty_mib_s,
            "hot_mib": vm.hot_mib,
            "local_disk_mib": sum(disk.copied_mib for disk in vm.disks),
            "eviction": "pinned" if vm.held_by else "live",
            "notice_s": settings.notice_s,
            "blackout_limit_ms": settings.blackout_limit_ms,
            "machine_types": _machine_types(vm, host, types, every),
        }
        for host in hosts
        for vm in host.vms
    ]
    schema = dict(TABLES["vms"].create_empty().schema)
    return pl.DataFrame(rows, schema=schema | {"eviction": pl.Enum(EVICTIONS)}).sort("vm_id")


def _machine_types(
    vm: ObservedVm, host: ObservedHost, types: Mapping[str, Sequence[str]], every: set[str]
) -> list[str] | None:
    """Return where a VM's processor lets it run, None: anywhere."""
    if vm.follows_host:
        return [host.machine]
    able = types.get(vm.cpu_xml)
    return None if able is None or set(able) == every else sorted({*able, host.machine})


def _refuse_two_names(hosts: Sequence[ObservedHost]) -> None:
    """Refuse VMs of one name: no host takes a second one of it.

    Raises
    ------
    UsageError
        If there are any.
    """
    count = Counter(vm.name for host in hosts for vm in host.vms)
    if twice := sorted(name for name, times in count.items() if times > 1):
        places = [host.name for host in hosts if any(vm.name == twice[0] for vm in host.vms)]
        fact = f"is the name of VMs on {' and '.join(places)}; no host takes a second one of it"
        raise UsageError(twice[0], fact, "Rename one of them, or import their hosts apart")


def _meta(hosts: Sequence[ObservedHost], taken_at: datetime, measure_s: int | None) -> FleetMeta:
    software = ", ".join(f"{times} x {words}" for words, times in sorted(Counter(h.software for h in hosts).items()))
    stopped = sum(host.stopped_vms for host in hosts)
    held = [f"{vm.name} ({vm.held_by})" for host in hosts for vm in host.vms if vm.held_by]
    rates = "unknown" if measure_s is None else f"measured by the hypervisors in windows of 1 s and {measure_s} s"
    parts = [
        f"Dirty rates are {rates}.",
        "Not asked of hypervisors: links, racks' uplinks, maintenance, notice.",
        *([f"{stopped} VMs that do not run are left out."] if stopped else []),
        *([f"Cannot leave their hosts: {', '.join(held)}."] if held else []),
    ]
    return FleetMeta(
        taken_at=taken_at, source=f"live hosts: {software}", licence="none: your own", note=" ".join(parts)
    )
