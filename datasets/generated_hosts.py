"""Hosts of a generated fleet: racks of one machine type each, states, failure domains."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from slacktide.datasets.fabric import hosts_per_edge_switch
from slacktide.datasets.generator_settings import GeneratorSettings
from slacktide.datasets.randomness import Purpose, chosen, evenly_chosen, phase
from slacktide.datasets.schemas import HOST_STATES

_GOLDEN_RATIO: Final = (5**0.5 - 1) / 2
"""Steps of this size in [0, 1) spread evenly however many are taken."""


@dataclass(frozen=True, slots=True)
class GeneratedHosts:
    """Arrays with one element a host, in the order of host numbers."""

    count: int
    machine_type: NDArray[np.int64]
    """Index into the settings' machine types."""
    empty: NDArray[np.bool_]
    down: NDArray[np.bool_]
    rack: NDArray[np.int64]
    power: NDArray[np.int64]
    row: NDArray[np.int64]

    @property
    def occupied(self) -> NDArray[np.bool_]:
        """Return which hosts carry VMs."""
        return ~(self.empty | self.down)


def generated_hosts(settings: GeneratorSettings) -> GeneratedHosts:
    """Return the hosts' types, states and domains."""
    number = np.arange(settings.hosts, dtype=np.int64)
    per_rack = settings.hosts_per_rack
    if settings.topology == "fat_tree":
        per_rack = hosts_per_edge_switch(settings.hosts)
    rack = number // per_rack
    offset = phase(settings.seed, Purpose.RACK_TYPE_PHASE)
    at = np.asarray((offset + rack * _GOLDEN_RATIO) % 1.0, dtype=np.float64)
    types = chosen([machine.share for machine in settings.machine_types], at)
    empty = evenly_chosen(settings.hosts, settings.empty_share, phase(settings.seed, Purpose.EMPTY_PHASE))
    down = evenly_chosen(settings.hosts, settings.down_share, phase(settings.seed, Purpose.DOWN_PHASE))
    return GeneratedHosts(
        count=settings.hosts,
        machine_type=types,
        empty=empty & ~down,
        down=down,
        rack=rack,
        power=rack // settings.racks_per_power_feed,
        row=rack // settings.racks_per_row,
    )


def numbered(name: str, numbers: NDArray[np.int64], digits: int) -> pl.Series:
    """Return ids such as ``host-000012``, which sort as they count."""
    return pl.select(pl.format(name + "-{}", pl.lit(pl.Series(numbers)).cast(pl.String).str.zfill(digits))).to_series()


def host_ids(hosts: GeneratedHosts) -> pl.Series:
    """Return every host's id."""
    return numbered("host", np.arange(hosts.count, dtype=np.int64), 6)


def host_frame(hosts: GeneratedHosts, settings: GeneratorSettings) -> pl.DataFrame:
    """Return ``hosts.parquet``."""
    machines = pl.DataFrame(
        {
            "machine_type": [machine.name for machine in settings.machine_types],
            "vcpus": pl.Series([machine.vcpus for machine in settings.machine_types], dtype=pl.Int32),
            "memory_mib": pl.Series([machine.memory_mib for machine in settings.machine_types], dtype=pl.Int64),
            "migration_mbit_s": pl.Series(
                [min(machine.migration_mbit_s, settings.host_link_mbit_s) for machine in settings.machine_types],
                dtype=pl.Int64,
            ),
            "maintenance_s": pl.Series([machine.maintenance_s for machine in settings.machine_types], dtype=pl.Int64),
        }
    )[hosts.machine_type]
    patched = evenly_chosen(hosts.count, settings.patched_share, phase(settings.seed, Purpose.PATCHED_PHASE))
    states = np.where(hosts.down, "down", np.where(hosts.empty, "empty", "active"))
    return machines.select(
        host_ids(hosts).alias("host_id"),
        numbered("rack", hosts.rack, 5).alias("rack_id"),
        "machine_type",
        "vcpus",
        "memory_mib",
        "migration_mbit_s",
        pl.Series("patch_level", np.where(patched, settings.patched_level, settings.patch_level)),
        "maintenance_s",
        pl.Series("state", states).cast(pl.Enum(HOST_STATES)),
    )


def domain_frame(hosts: GeneratedHosts) -> pl.DataFrame:
    """Return ``domains.parquet``: rack, power feed and row of every host."""
    ids = host_ids(hosts)
    kinds = {"power": hosts.power, "rack": hosts.rack, "row": hosts.row}
    parts = [
        pl.DataFrame({"host_id": ids, "kind": [kind] * hosts.count, "domain_id": numbered(kind, numbers, 5)})
        for kind, numbers in kinds.items()
    ]
    return pl.concat(parts).sort("host_id", "kind")
