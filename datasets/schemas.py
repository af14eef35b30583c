"""The tables of a fleet snapshot, declared once.

Units are in the names: ``_s`` seconds, ``_ms`` milliseconds, ``_mib`` MiB (2**20 bytes), ``_mbit_s`` 10**6 bit/s,
``_mib_s`` MiB/s.  Unknown is null, never a default.
"""

from typing import Final

import dataframely as dy

LONGEST_MAINTENANCE_S: Final = 7 * 86_400
"""A patch and reboot of more than a week is a wrong unit, and would make a plan of years that nobody can follow."""
LONGEST_NOTICE_S: Final = 31 * 86_400
"""A notice of more than a month is a wrong unit."""
LONGEST_BLACKOUT_MS: Final = 86_400_000
"""A VM that may stand still for more than a day has no limit; null says so."""
MOST_MIB: Final = 2**40
"""More than an exbibyte in one host or VM is a wrong unit."""
MOST_MBIT_S: Final = 10**9
"""More than a petabit each second on one link is a wrong unit."""
LONGEST_NAME: Final = 200
"""Bytes of UTF-8 in an id or another name: longer ones are no names, and what is told of them would fill memory."""
HOST_STATES: Final = ("active", "empty", "down", "quarantined")
EVICTIONS: Final = ("live", "restart", "pinned")
DOMAIN_KINDS: Final = ("host", "rack", "power", "row")
"""What a service may spread over; ``domains.parquet`` may hold further kinds."""


class HostTable(dy.Schema):
    """The machines that carry VMs."""

    host_id = dy.String(primary_key=True, min_length=1, max_length=LONGEST_NAME)
    rack_id = dy.String(nullable=False, min_length=1, max_length=LONGEST_NAME)
    machine_type = dy.String(nullable=False, min_length=1, max_length=LONGEST_NAME)
    vcpus = dy.Int32(nullable=False, min=1)
    """vCPUs that may be sold on this host."""
    memory_mib = dy.Int64(nullable=False, min=1, max=MOST_MIB)
    """Memory that may be sold on this host."""
    migration_mbit_s = dy.Int64(nullable=False, min=1, max=MOST_MBIT_S)
    """What the NIC may carry of migration traffic, in each direction."""
    patch_level = dy.String(nullable=False, max_length=LONGEST_NAME)
    maintenance_s = dy.Int64(nullable=False, min=1, max=LONGEST_MAINTENANCE_S)
    """Patch and reboot together."""
    state = dy.Enum(HOST_STATES, nullable=False)


class VmTable(dy.Schema):
    """The virtual machines and what moving them takes."""

    vm_id = dy.String(primary_key=True, min_length=1, max_length=LONGEST_NAME)
    host_id = dy.String(nullable=False, max_length=LONGEST_NAME)
    service_id = dy.String(nullable=True, max_length=LONGEST_NAME)
    vcpus = dy.Int32(nullable=False, min=1)
    memory_mib = dy.Int64(nullable=False, min=1, max=MOST_MIB)
    used_mib = dy.Int64(nullable=True, min=0, max=MOST_MIB)
    """Memory that its host has given it so far: what a migration sends at first; null: not known, so all of it."""
    dirty_mib_s = dy.Float64(nullable=True, min=0)
    """Rate at which pages outside the hot set are dirtied; null: not measured."""
    hot_mib = dy.Float64(nullable=True, min=0)
    """Writable working set: pages dirtied faster than they can be sent; null: not measured."""
    local_disk_mib = dy.Int64(nullable=False, min=0, max=MOST_MIB)
    """Storage copied along; 0: the storage is shared."""
    eviction = dy.Enum(EVICTIONS, nullable=False)
    notice_s = dy.Int64(nullable=False, min=0, max=LONGEST_NOTICE_S)
    blackout_limit_ms = dy.Int64(nullable=True, min=1, max=LONGEST_BLACKOUT_MS)
    machine_types = dy.List(dy.String(nullable=False, max_length=LONGEST_NAME), nullable=True)
    """Machine types it may run on; null: any."""


class ServiceTable(dy.Schema):
    """What belongs together and must stay apart."""

    service_id = dy.String(primary_key=True, min_length=1, max_length=LONGEST_NAME)
    spread_over = dy.Enum(DOMAIN_KINDS, nullable=True)
    max_per_domain = dy.Int32(nullable=True, min=1)
    max_moving = dy.Int32(nullable=True, min=1)
    """How many of the service's VMs may migrate at once."""


class LinkTable(dy.Schema):
    """Directed links; a node is a host's id or a switch's name."""

    tail = dy.String(primary_key=True, min_length=1, max_length=LONGEST_NAME)
    head = dy.String(primary_key=True, min_length=1, max_length=LONGEST_NAME)
    capacity_mbit_s = dy.Int64(nullable=False, min=1, max=MOST_MBIT_S)


class DomainTable(dy.Schema):
    """Which failure domain of each kind a host is in."""

    host_id = dy.String(primary_key=True, max_length=LONGEST_NAME)
    kind = dy.String(primary_key=True, min_length=1, max_length=LONGEST_NAME)
    domain_id = dy.String(nullable=False, min_length=1, max_length=LONGEST_NAME)


OPTIONAL: Final[dict[str, frozenset[str]]] = {"vms": frozenset({"used_mib"})}
"""Columns that a snapshot may leave out: all unknown.  They came after the first snapshots."""
TABLES: Final[dict[str, type[dy.Schema]]] = {
    "hosts": HostTable,
    "vms": VmTable,
    "services": ServiceTable,
    "links": LinkTable,
    "domains": DomainTable,
}
