"""The fleet as it is while a campaign runs: VMs where its migrations, and others, have brought them."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

import polars as pl

from slacktide.datasets.snapshot import FleetSnapshot
from slacktide.executors.campaign_progress import evacuated_hosts
from slacktide.executors.campaign_state import CampaignState
from slacktide.executors.changeover import Course
from slacktide.executors.vm_state import NOWHERE, is_under_way, place_of
from slacktide.planner.progress import Progress, fleet_at, with_vms


def present_fleet(
    course: Course, state: CampaignState, progress: Progress, lost_hosts: Iterable[str] = ()
) -> FleetSnapshot:
    """Return the fleet of a campaign as it is now; VMs that are on their way are on their source.

    Of a VM that others have created nobody knows the dirty rate, and it has no service and asks for no notice.
    """
    gone = evacuated_hosts(state)
    fleet = fleet_at(course.snapshot, course.plan, progress, lost_hosts=lost_hosts, evacuated_hosts=gone)
    touched = [name for name in sorted(state.touched) if not is_under_way(state, name)]
    if not touched:
        return fleet
    hosts = state.program.hosts.ids
    places = {name: hosts[place] for name in touched if (place := place_of(state, name)) != NOWHERE}
    known = set(fleet.vms.filter(pl.col("vm_id").is_in(touched))["vm_id"])
    fleet = with_vms(fleet, _come(course, state, places, known), sorted(known - places.keys()))
    moved = {name: host for name, host in places.items() if name in known}
    return _with_places(fleet, moved)


def _come(course: Course, state: CampaignState, places: Mapping[str, str], known: set[str]) -> pl.DataFrame | None:
    """Return rows of the VMs that the plan which is carried out does not have."""
    come = {name: host for name, host in places.items() if name not in known}
    if not come:
        return None
    schema = course.fleet.vms.schema
    before = course.fleet.vms.filter(pl.col("vm_id").is_in(sorted(come)))
    before = before.with_columns(host_id=pl.col("vm_id").replace_strict(come, return_dtype=pl.String))
    types = dict(course.snapshot.hosts.select("host_id", "machine_type").iter_rows())
    rows = []
    for name in sorted(come.keys() - set(before["vm_id"])):
        made = state.strangers[name].made
        rows.append(
            {
                "vm_id": name,
                "host_id": come[name],
                "service_id": None,
                "vcpus": made.vcpus,
                "memory_mib": made.memory_mib,
                "used_mib": None,
                "dirty_mib_s": None,
                "hot_mib": None,
                "local_disk_mib": made.local_disk_mib,
                "eviction": "pinned" if made.pinned else "live",
                "notice_s": 0,
                "blackout_limit_ms": None,
                "machine_types": [types[come[name]]] if made.follows_host else None,
            }
        )
    return pl.concat([before, pl.DataFrame(rows, schema=schema).select(before.columns)])


def _with_places(fleet: FleetSnapshot, places: Mapping[str, str]) -> FleetSnapshot:
    """Return the fleet with some VMs on other hosts; who holds a VM is not empty."""
    if not places:
        return fleet
    there = pl.col("vm_id").replace_strict(dict(places), default=None, return_dtype=pl.String)
    vms = fleet.vms.with_columns(host_id=pl.coalesce(there, "host_id"))
    return with_vms(replace(fleet, vms=vms), None, ())
