"""``slacktide fleet import libvirt``: a snapshot of live hosts."""

import json
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from cyclopts.validators import Number

from slacktide.object_store import AnyPath
from slacktide.service.commands.fleet import fleet_files, imports, show_summary, written
from slacktide.service.commands.options import HERE, Afar, Amount, AsJson, Count, PathOption, Whole, any_path
from slacktide.service.console import progress
from slacktide.service.destinations import check_directory, check_file
from slacktide.service.failures import OK

if TYPE_CHECKING:
    from slacktide.datasets.snapshot import FleetSnapshot
    from slacktide.executors.inventory.fleet import InventorySettings

LONGEST_WINDOW_S = 60
"""QEMU measures no longer at once."""
SHORTEST_WINDOW_S = 2
"""The first window has one second: only a longer one tells hot memory from the rest."""


def _window(_kind: type, value: int) -> None:
    """Refuse a window that is no longer than the first, or longer than is measured at once."""
    if value and not SHORTEST_WINDOW_S <= value <= LONGEST_WINDOW_S:
        raise ValueError(f"Must be {SHORTEST_WINDOW_S} to {LONGEST_WINDOW_S}, or 0 to measure nothing.")


@imports.command(name="libvirt")
def import_libvirt(
    *uris: Annotated[str, Parameter(name="URI", help="Address of a host's libvirtd, such as qemu+tls://h1/system.")],
    output: Annotated[
        AnyPath | None,
        Parameter(name=["--output", "-o"], converter=any_path, n_tokens=1, accepts_keys=False),
    ] = None,
    migration_mbit_s: Count,
    connections: PathOption = None,
    vcpus_per_cpu: Annotated[float, Parameter(validator=Number(gt=0, lte=64))] = 1.0,
    memory_mib: Count | None = None,
    maintenance_s: Count = 1800,
    patch_level: str | None = None,
    notice_s: Amount = 0,
    blackout_limit_ms: Count | None = None,
    racks: Path | None = None,
    shared_path: tuple[str, ...] = (),
    measure_s: Annotated[Whole, Parameter(validator=_window)] = 5,
    profile: str | None = None,
    afar: Afar = HERE,
    as_json: AsJson = False,
) -> int:
    """Ask live hosts what they are and what runs on them, and measure how fast guests dirty their memory.

    Nothing is changed on the hosts. All of them must answer. A VM with a device passed through is pinned; one whose
    processor other hosts lack goes to machine types that have it; disks that no shared storage holds are copied along.

    Parameters
    ----------
    output
        Directory to write, or its URL; a fleet snapshot that is there is replaced. Needed, unless a server has the
        fleet.
    migration_mbit_s
        What a host's NIC may carry of migration traffic, in each direction.
    connections
        File to write with the address of each host. [default: beside the fleet, its name and "-connections.json"]
    vcpus_per_cpu
        vCPUs that a host sells for each of its CPUs.
    memory_mib
        Memory that a host sells. [default: all but 2,048 MiB]
    maintenance_s
        What a patch and reboot take.
    patch_level
        What the hosts have now. [default: versions of hypervisor and libvirt]
    notice_s
        Time between a VM's notice and its migration.
    blackout_limit_ms
        What a VM's blackout may be. [default: the policy's]
    racks
        CSV file with the columns host_id and rack_id. [default: one rack]
    shared_path
        Folder that all hosts see; repeat it for more.
    measure_s
        Window of 2 to 60 seconds in which dirty memory is counted, after one of one second; 0: not measured, dirty
        rates are unknown.
    profile
        With a server, and in place of URIs: its name for the hosts, which it asks. The fleet is kept there.
    """
    from slacktide import atomic
    from slacktide.errors import UsageError
    from slacktide.executors.inventory.fleet import InventorySettings

    if output is not None:
        check_directory(output, fleet_files())
    if afar.named:
        here = {"URI": uris, "--connections": connections, "--shared-path": shared_path}
        afar.refuse_here(here, "Leave it out: the server's profile of the hosts says it; name that: --profile")
        asked = {
            **{"profile": profile, "migration_mbit_s": migration_mbit_s, "vcpus_per_cpu": vcpus_per_cpu},
            **{"memory_mib": memory_mib, "maintenance_s": maintenance_s, "patch_level": patch_level},
            **{"notice_s": notice_s, "blackout_limit_ms": blackout_limit_ms, "measure_s": measure_s},
            "racks": {} if racks is None else _racks(racks),
        }
        return _imported_there(afar, asked, output, as_json=as_json)
    afar.refuse_here({"--profile": profile}, "Leave it out, or give --server")
    if output is None:
        raise UsageError("--output", "is missing", "Say which directory the fleet is to be written to")
    if not uris:
        raise UsageError("URI", "there is none", "Give the address of each host, such as qemu+tls://h1/system")
    addresses = connections or output.resolve().with_name(f"{output.resolve().name}-connections.json")
    check_file(addresses)
    settings = InventorySettings(
        migration_mbit_s=migration_mbit_s,
        vcpus_per_cpu=vcpus_per_cpu,
        memory_mib=memory_mib,
        maintenance_s=maintenance_s,
        patch_level=patch_level,
        notice_s=notice_s,
        blackout_limit_ms=blackout_limit_ms,
        racks={} if racks is None else _racks(racks),
    )
    snapshot, known = _observed(uris, settings, [PurePosixPath(path) for path in shared_path], measure_s or None)
    atomic.write_file(addresses, (json.dumps(known, indent=2) + "\n").encode())
    return written(snapshot, output, as_json=as_json)


def _imported_there(afar: Afar, asked: dict[str, Any], output: AnyPath | None, *, as_json: bool) -> int:
    from slacktide.errors import UsageError
    from slacktide.service.afar.fleets import imported

    if asked["profile"] is None:
        remedy = "Name one: --profile; `slacktide server status` lists them"
        raise UsageError("--profile", "is missing: a server knows hosts by the names of its profiles", remedy)
    summary, title = imported(afar, asked, output)
    show_summary(summary, title, as_json=as_json)
    return OK


def _observed(
    uris: tuple[str, ...], settings: "InventorySettings", shared: list[PurePosixPath], measure_s: int | None
) -> "tuple[FleetSnapshot, dict[str, str]]":
    from slacktide.clock import SystemClock
    from slacktide.executors.inventory.fleet import connections_of, fleet_of
    from slacktide.executors.inventory.hosts import observe

    with progress("Asking hosts") as told:
        hosts = observe(uris, shared, measure_s, told)
        return fleet_of(hosts, settings, SystemClock().now(), measure_s), connections_of(hosts)


def _racks(path: Path) -> dict[str, str]:
    """Return the rack of each host from a CSV file.

    Raises
    ------
    UsageError
        If there is no such file.
    InputError
        If it lacks a column, or a cell is empty, or a host is there twice.
    """
    import csv

    from slacktide.errors import InputError, UsageError

    if not path.is_file():
        raise UsageError(str(path), "there is no such file", "Give the path of a CSV file")
    found: dict[str, str] = {}
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file)
        if missing := {"host_id", "rack_id"} - set(rows.fieldnames or ()):
            raise InputError(str(path), f"has no column {sorted(missing)[0]}", "Name the columns in its first line")
        for number, row in enumerate(rows, start=2):
            host, rack = row["host_id"], row["rack_id"]
            if not host or not rack:
                raise InputError(f"{path}, line {number}", "lacks a host or its rack", "Fill both columns")
            if host in found:
                raise InputError(f"{path}, line {number}", f"names {host} again", "Name each host once")
            found[host] = rack
    return found
