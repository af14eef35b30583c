"""VMs of a generated fleet: hosts filled to their target with sizes drawn from the calibrated table."""

from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from slacktide.datasets.generated_hosts import GeneratedHosts, numbered
from slacktide.datasets.generator_settings import GeneratorSettings
from slacktide.datasets.packing import PackedVms, filled, joined, no_vms, sizes_that_fit, spread_fill
from slacktide.datasets.randomness import Purpose, chosen, uniform
from slacktide.datasets.schemas import EVICTIONS
from slacktide.units import mbit

Integers = NDArray[np.int64]

_SURE_MBIT_S: Final = 4_000.0
"""Bandwidth at which a stated blackout limit can be kept: below half of a 10 Gbit/s port."""
_SWITCHOVER_MS: Final = 50.0
"""Part of a blackout that no bandwidth shortens, with room."""


def generated_vms(settings: GeneratorSettings, hosts: GeneratedHosts) -> PackedVms:
    """Return VMs that fill every occupied host to its target memory, on average, and never beyond what it sells."""
    occupied = np.flatnonzero(hosts.occupied)
    sold = np.array([machine.memory_mib for machine in settings.machine_types], dtype=np.float64)
    fill = settings.fill / (1 - settings.empty_share - settings.down_share)
    targets = sold[hosts.machine_type] * spread_fill(settings.seed, np.arange(hosts.count), fill, settings.fill_spread)
    parts = [no_vms()]
    for index, machine in enumerate(settings.machine_types):
        of_type = occupied[hosts.machine_type[occupied] == index]
        if len(of_type):
            sizes = sizes_that_fit(settings.vm_sizes, machine, settings.largest_vm_share)
            parts.append(filled(settings.seed, sizes, machine, of_type, targets[of_type]))
    return joined(parts)


def vm_frame(settings: GeneratorSettings, hosts: GeneratedHosts, vms: PackedVms) -> pl.DataFrame:
    """Return ``vms.parquet``, no VM in a service yet."""
    hot_mib, dirty_mib_s = _written_memory(settings, vms)
    eviction = chosen(
        [max(0.0, 1 - settings.restart_share - settings.pinned_share), settings.restart_share, settings.pinned_share],
        _drawn(settings, Purpose.EVICTION, vms),
    )
    notice = chosen([weight for _, weight in settings.notice_s], _drawn(settings, Purpose.NOTICE, vms))
    unknown = _drawn(settings, Purpose.UNKNOWN_RATE, vms) < settings.unknown_dirty_share
    return pl.DataFrame(
        {
            "vm_id": _vm_ids(vms),
            "host_id": numbered("host", vms.host, 6),
            "service_id": pl.Series([None], dtype=pl.String).new_from_index(0, vms.count),
            "vcpus": pl.Series(vms.vcpus, dtype=pl.Int32),
            "memory_mib": vms.memory_mib,
            "used_mib": pl.Series([None], dtype=pl.Int64).new_from_index(0, vms.count),
            "dirty_mib_s": _known(dirty_mib_s, ~unknown),
            "hot_mib": _known(hot_mib, ~unknown),
            "local_disk_mib": _local_disk_mib(settings, vms),
            "eviction": pl.Series(np.array(EVICTIONS)[eviction]).cast(pl.Enum(EVICTIONS)),
            "notice_s": np.array([notice_s for notice_s, _ in settings.notice_s], dtype=np.int64)[notice],
            "blackout_limit_ms": _blackout_limits_ms(settings, vms, hot_mib),
            "machine_types": _machine_types(settings, hosts, vms),
        }
    )


def _drawn(settings: GeneratorSettings, purpose: Purpose, vms: PackedVms) -> NDArray[np.float64]:
    return uniform(settings.seed, purpose, vms.host, vms.number)


def _vm_ids(vms: PackedVms) -> pl.Series:
    parts = pl.DataFrame({"host": vms.host, "number": vms.number}).select(
        pl.format(
            "vm-{}-{}",
            pl.col("host").cast(pl.String).str.zfill(6),
            pl.col("number").cast(pl.String).str.zfill(4),
        )
    )
    return parts.to_series()


def _known(values: NDArray[np.float64], known: NDArray[np.bool_]) -> pl.Series:
    return pl.DataFrame({"value": values, "known": known}).select(pl.when("known").then("value")).to_series()


def _written_memory(settings: GeneratorSettings, vms: PackedVms) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return hot set in MiB and dirty rate in MiB/s, rounded to what a measurement would give."""
    profile = chosen([profile.share for profile in settings.profiles], _drawn(settings, Purpose.PROFILE, vms))

    def ranged(purpose: Purpose, ranges: list[tuple[float, float]]) -> NDArray[np.float64]:
        low, high = np.log(np.array(ranges)).T
        drawn = _drawn(settings, purpose, vms)
        return np.asarray(np.exp(low[profile] + drawn * (high - low)[profile]), dtype=np.float64)

    hot = ranged(Purpose.HOT, [profile.hot_mib for profile in settings.profiles])
    dirty = ranged(Purpose.DIRTY, [profile.dirty_mib_s for profile in settings.profiles])
    return np.minimum(np.round(hot, 2), vms.memory_mib / 2), np.round(dirty, 3)


def _local_disk_mib(settings: GeneratorSettings, vms: PackedVms) -> Integers:
    has_disk = _drawn(settings, Purpose.LOCAL_DISK, vms) < settings.local_disk_share
    least, most = settings.local_disk_gib
    gib = least + (_drawn(settings, Purpose.LOCAL_DISK_SIZE, vms) * (most - least + 1)).astype(np.int64)
    return np.asarray(np.where(has_disk, gib * 1024, 0), dtype=np.int64)


def _blackout_limits_ms(settings: GeneratorSettings, vms: PackedVms, hot_mib: NDArray[np.float64]) -> pl.Series:
    """Return limits that guests state, null for most; nobody states one that their own hot set must break."""
    offered = np.sort(np.array(settings.blackout_limits_ms, dtype=np.int64))
    drawn = _drawn(settings, Purpose.BLACKOUT_LIMIT, vms)
    limited = drawn < settings.blackout_limit_share
    wanted = (drawn[limited] / settings.blackout_limit_share * len(offered)).astype(np.int64)
    needed_ms = _SWITCHOVER_MS + 1_000 * mbit(hot_mib[limited]) / _SURE_MBIT_S
    choice = np.full(vms.count, len(offered), dtype=np.int64)
    choice[limited] = np.maximum(wanted, np.searchsorted(offered, needed_ms))
    return pl.Series([*offered.tolist(), None], dtype=pl.Int64).gather(choice)


def _machine_types(settings: GeneratorSettings, hosts: GeneratedHosts, vms: PackedVms) -> pl.Series:
    names = [machine.name for machine in settings.machine_types]
    present = set(np.unique(hosts.machine_type).tolist())
    beside = [(index + 1) % len(names) if (index + 1) % len(names) in present else index for index in range(len(names))]
    choices: list[list[str] | None] = [None]
    choices += [[name] for name in names]
    choices += [sorted({name, names[other]}) for name, other in zip(names, beside, strict=True)]
    restricted = _drawn(settings, Purpose.MACHINE_TYPES, vms) < settings.restricted_share
    wide = _drawn(settings, Purpose.MACHINE_TYPES_WIDTH, vms) < 0.5
    own = hosts.machine_type[vms.host]
    index = np.where(restricted, 1 + own + len(names) * wide, 0)
    return pl.Series(choices, dtype=pl.List(pl.String)).gather(index)
