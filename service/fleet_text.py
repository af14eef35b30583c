"""A fleet's figures as people read them."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from slacktide.executors.readable import count, gbit_s, percent
from slacktide.service.words import counted

if TYPE_CHECKING:
    from slacktide.datasets.summary import FleetSummary


def fleet_rows(summary: "FleetSummary") -> Iterator[tuple[str, ...]]:
    """Yield label, value and details of a fleet's figures."""
    meta = summary.meta
    yield "hosts", count(summary.hosts), _by(summary.hosts_by_state)
    yield "machine types", count(len(summary.hosts_by_machine_type)), _by(summary.hosts_by_machine_type)
    yield "patch levels", count(len(summary.hosts_by_patch_level)), _by(summary.hosts_by_patch_level)
    per_host = "" if summary.vms_per_host is None else f"{summary.vms_per_host:.1f} per host; "
    yield "VMs", count(summary.vms), per_host + _by(summary.vms_by_eviction)
    yield "memory", percent(summary.memory_fill), f"{_tib(summary.used_memory_mib)} of {_tib(summary.memory_mib)} used"
    yield "vCPUs", percent(summary.vcpu_fill), f"{count(summary.used_vcpus)} of {count(summary.vcpus)} used"
    yield "domains", count(sum(summary.domains.values())), _by(summary.domains)
    spread = _by({f"over {kind}" if kind != "none" else kind: n for kind, n in summary.services_by_spread.items()})
    with_vms = f"{counted(summary.vms_in_services, 'VM')} in them"
    yield "services", count(summary.services), f"{with_vms}; spread {spread}" if spread else with_vms
    yield "links", count(summary.links), f"{counted(summary.switches, 'switch', 'switches')}; {_capacity(summary)}"
    yield "unknown", count(summary.unknown_dirty_rates), f"dirty rates; {count(summary.unknown_hot_sets)} hot sets"
    yield "notice", count(summary.vms_with_notice), "VMs want notice"
    yield "local disks", count(summary.vms_with_local_disk), "VMs have one"
    yield "taken at", meta.taken_at.isoformat(sep=" ", timespec="seconds")
    yield "source", meta.source
    yield "licence", meta.licence
    if meta.note:
        yield "note", meta.note


def _by(counts: dict[str, int]) -> str:
    return ", ".join(f"{count(number)} {name}" for name, number in counts.items())


def _tib(size_mib: int) -> str:
    return f"{size_mib / 2**20:,.1f} TiB" if size_mib >= 2**20 else f"{size_mib / 2**10:,.1f} GiB"


def _capacity(summary: "FleetSummary") -> str:
    return f"{gbit_s(summary.link_mbit_s)} over both directions"
