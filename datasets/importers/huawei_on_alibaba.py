"""Real VMs on real machines: Huawei-East-1's requests on Alibaba 2018's hosts and failure domains."""

import heapq
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import ceil
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl

from slacktide.datasets.calibration import ALIBABA_2018, MachineType
from slacktide.datasets.importers import alibaba, huawei
from slacktide.datasets.importers.huawei import AliveVms
from slacktide.datasets.packing import Integers, filled, sizes_that_fit, spread_fill
from slacktide.datasets.randomness import Purpose, evenly_chosen, phase
from slacktide.datasets.schemas import EVICTIONS, HOST_STATES, TABLES
from slacktide.datasets.snapshot import FleetMeta, FleetSnapshot
from slacktide.datasets.validation import checked_snapshot
from slacktide.errors import UsageError
from slacktide.topology.builders import Rates

VmSource = Literal["resampled", "alive"]
"""``resampled``: sizes drawn from those alive until the machines are full; ``alive``: just the VMs alive."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportOptions:
    """What the traces do not say, and how to fill the machines."""

    vms: VmSource = "resampled"
    at: float | None = None
    """Moment in the VM trace's unit of time; None: when the most VMs are alive."""
    hosts: int | None = None
    """Machines to take, rack by rack; None: all, or as many as the VMs alive need."""
    seed: int = 1
    fill: float = 0.75
    """Share of the memory of the machines in service that VMs use."""
    fill_spread: float = 0.1
    empty_share: float = 0.02
    """Share of machines kept free of VMs, so that the first hosts can be drained; chosen, not measured."""
    largest_vm_share: float = 1.0
    """Largest VM as a share of a machine, for resampled sizes."""
    machine: MachineType = ALIBABA_2018
    """Memory sold, migration bandwidth and maintenance time of a machine: none of them is in the trace."""
    patch_level: str = "unpatched"
    taken_at: datetime = datetime(2018, 1, 1, tzinfo=UTC)
    """The traces name no date."""
    rates: Rates = field(default_factory=Rates)

    def __post_init__(self) -> None:
        for name, value, low, high in (
            ("fill", self.fill, 0.01, 0.95),
            ("fill_spread", self.fill_spread, 0.0, 0.5),
            ("empty_share", self.empty_share, 0.0, 0.9),
            ("largest_vm_share", self.largest_vm_share, 0.01, 1.0),
        ):
            if not low <= value <= high:
                raise UsageError(f"{name} {value:g}", f"is outside {low:g} to {high:g}", "Choose a value inside")


def import_huawei_on_alibaba(machines_csv: Path, vms_csv: Path, options: ImportOptions | None = None) -> FleetSnapshot:
    """Return a fleet of Alibaba's machines that carry Huawei's VMs.

    At most 2,432 VMs of the trace are alive at once, which fill some sixty machines; so their sizes are resampled by
    default to fill all.  Dirty rates, hot sets, blackout limits and services are unknown: null.  All VMs migrate live,
    without notice, from shared storage: the traces say nothing else.

    Raises
    ------
    UsageError, InputError
        If a file is missing or wrong, an option is out of range, or the VMs do not fit on the machines.
    """
    options = options or ImportOptions()
    vms = huawei.alive(huawei.read_huawei(vms_csv), options.at)
    machines = alibaba.read_alibaba(machines_csv, _hosts_wanted(options, vms))
    hosts = alibaba.host_frame(machines, options.machine, options.patch_level)
    ready = (hosts["state"] == "empty").to_numpy()
    kept_empty = evenly_chosen(len(hosts), options.empty_share, phase(options.seed, Purpose.EMPTY_PHASE))
    carrying = np.flatnonzero(ready & ~kept_empty)
    if not len(carrying):
        raise UsageError(f"{len(hosts)} hosts", "none is left to carry VMs", "Lower `empty_share` or take more hosts")
    placed = (
        _resampled(options, vms, hosts, carrying) if options.vms == "resampled" else _as_alive(vms, hosts, carrying)
    )
    occupied = pl.Series(np.isin(np.arange(len(hosts)), placed["host"].to_numpy()))
    active = pl.when(occupied).then(pl.lit("active", dtype=pl.Enum(HOST_STATES))).otherwise("state")
    tables = {
        "hosts": hosts.with_columns(state=active),
        "vms": _vm_frame(placed, hosts),
        "services": TABLES["services"].create_empty(),
        "links": alibaba.link_frame(hosts, options.rates),
        "domains": alibaba.domain_frame(machines),
    }
    return checked_snapshot(_meta(options, vms), tables, f"{vms_csv.name} on {machines_csv.name}")


def _hosts_wanted(options: ImportOptions, vms: AliveVms) -> int | None:
    if options.hosts is not None or options.vms == "resampled":
        return options.hosts
    needed = [
        int(vms.vms["memory_mib"].sum()) / options.machine.memory_mib,
        int(vms.vms["vcpus"].sum()) / options.machine.vcpus,
    ]
    return ceil(max(needed) / options.fill / (1 - options.empty_share)) + 1


def _resampled(options: ImportOptions, vms: AliveVms, hosts: pl.DataFrame, carrying: Integers) -> pl.DataFrame:
    """Return ``host``, ``vm_id``, ``vcpus``, ``memory_mib`` of VMs with the sizes of those alive."""
    share_carrying = len(carrying) / len(hosts)
    fill = spread_fill(options.seed, carrying, options.fill / share_carrying, options.fill_spread)
    parts = []
    for (cores, memory_mib), group in hosts.with_row_index("host")[carrying].group_by(
        "vcpus", "memory_mib", maintain_order=True
    ):
        machine = MachineType(options.machine.name, int(str(cores)), int(str(memory_mib)), 1, 1)
        chosen = group["host"].cast(pl.Int64).to_numpy()
        target = fill[np.searchsorted(carrying, chosen)] * machine.memory_mib
        sizes = sizes_that_fit(vms.sizes, machine, options.largest_vm_share)
        packed = filled(options.seed, sizes, machine, chosen, target)
        parts.append(
            pl.DataFrame(
                {
                    "host": packed.host,
                    "number": packed.number,
                    "vcpus": packed.vcpus,
                    "memory_mib": packed.memory_mib,
                }
            )
        )
    placed = pl.concat(parts)
    vm_id = pl.format(
        "vm-{}-{}", hosts["host_id"].gather(placed["host"]), pl.col("number").cast(pl.String).str.zfill(4)
    )
    return placed.select("host", vm_id.alias("vm_id"), "vcpus", "memory_mib")


def _as_alive(vms: AliveVms, hosts: pl.DataFrame, carrying: Integers) -> pl.DataFrame:
    """Return the VMs alive, largest first, each on the host with the most memory free.

    A loop over the VMs alive at one moment, some thousands at most.

    Raises
    ------
    UsageError
        If they do not fit.
    """
    memory, vcpus = hosts["memory_mib"].to_list(), hosts["vcpus"].to_list()
    free = [(-memory[host], host) for host in carrying.tolist()]
    heapq.heapify(free)
    largest_first = vms.vms.sort(["memory_mib", "vcpus", "vm_id"], descending=[True, True, False])
    chosen = []
    for needs_mib, needs_vcpus in largest_first.select("memory_mib", "vcpus").iter_rows():
        free_mib, host = free[0]
        vcpus[host] -= needs_vcpus
        if -free_mib < needs_mib or vcpus[host] < 0:
            raise UsageError(
                f"{len(carrying)} hosts",
                f"the {len(vms.vms)} VMs alive at {vms.at:g} do not fit on them",
                "Take more hosts, or hosts with more memory",
            )
        heapq.heapreplace(free, (free_mib + needs_mib, host))
        chosen.append(host)
    return largest_first.select(pl.Series("host", chosen, dtype=pl.Int64), "vm_id", "vcpus", "memory_mib")


def _vm_frame(placed: pl.DataFrame, hosts: pl.DataFrame) -> pl.DataFrame:
    return placed.select(
        "vm_id",
        hosts["host_id"].gather(placed["host"]),
        pl.lit(None, dtype=pl.String).alias("service_id"),
        pl.col("vcpus").cast(pl.Int32),
        "memory_mib",
        pl.lit(None, dtype=pl.Int64).alias("used_mib"),
        pl.lit(None, dtype=pl.Float64).alias("dirty_mib_s"),
        pl.lit(None, dtype=pl.Float64).alias("hot_mib"),
        pl.lit(0, dtype=pl.Int64).alias("local_disk_mib"),
        pl.lit("live", dtype=pl.Enum(EVICTIONS)).alias("eviction"),
        pl.lit(0, dtype=pl.Int64).alias("notice_s"),
        pl.lit(None, dtype=pl.Int64).alias("blackout_limit_ms"),
        pl.lit(None, dtype=pl.List(pl.String)).alias("machine_types"),
    )


def _meta(options: ImportOptions, vms: AliveVms) -> FleetMeta:
    way = f"resampled with seed {options.seed}" if options.vms == "resampled" else "as they are"
    return FleetMeta(
        taken_at=options.taken_at,
        source=f"{huawei.SOURCE}, VMs alive at {vms.at:g}, {way}; machines of the {alibaba.SOURCE}",
        licence=f"{huawei.LICENCE} (VMs); {alibaba.LICENCE} (machines)",
        note=(
            f"Not in the traces: memory sold ({options.machine.memory_mib} MiB), migration bandwidth "
            f"({options.machine.migration_mbit_s} Mbit/s), maintenance ({options.machine.maintenance_s} s), links, "
            "placement, eviction, notice and local disks. Dirty rates are unknown."
        ),
    )
