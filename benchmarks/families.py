"""Kinds of fleets that planners find hard in different ways, each as settings of the product's generator."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from slacktide.datasets.calibration import MachineType, VmSize
from slacktide.datasets.generator import generate_fleet
from slacktide.datasets.generator_settings import GeneratorSettings
from slacktide.datasets.importers.huawei_on_alibaba import ImportOptions, import_huawei_on_alibaba
from slacktide.datasets.snapshot import FleetSnapshot

ONE_TYPE: Final = (MachineType("gen-2", 36, 64 * 1024, 10_000, 1_800),)
LARGE_SIZES: Final = (
    VmSize(4, 8 * 1024, 0.3),
    VmSize(8, 16 * 1024, 0.4),
    VmSize(12, 24 * 1024, 0.2),
    VmSize(16, 32 * 1024, 0.1),
)
"""An eighth to a half of a gen-2 host; a quarter or more in seven of ten."""


@dataclass(frozen=True, slots=True)
class Family:
    """A kind of fleet."""

    name: str
    what: str
    settings: dict[str, Any]


FAMILIES: Final = (
    Family("fill 60 %", "three machine types, 60 % of the memory used", {"fill": 0.60}),
    Family("fill 75 %", "the generator's defaults: three machine types, leaf and spine, 1:3", {"fill": 0.75}),
    Family("fill 85 %", "three machine types, 85 % used", {"fill": 0.85}),
    Family("fill 92 %", "three machine types, 92 % used", {"fill": 0.92, "fill_spread": 0.05}),
    Family("one type", "one machine type, 75 % used", {"machine_types": ONE_TYPE}),
    Family(
        "large VMs",
        "one machine type, VMs of an eighth to a half of a host",
        {"machine_types": ONE_TYPE, "vm_sizes": LARGE_SIZES, "fill_spread": 0.2},
    ),
    Family(
        "scarce uplinks",
        "hosts at 10 Gbit/s in racks of 40 behind 1:8",
        {"oversubscription": 8.0, "host_link_mbit_s": 10_000, "uplink_mbit_s": 10_000},
    ),
    Family(
        "one host a rack",
        "every host is a rack, ten racks on a power feed",
        {"hosts_per_rack": 1, "racks_per_power_feed": 10},
    ),
    Family(
        "long notice",
        "a tenth of the VMs is told an hour ahead, half of them ten minutes",
        {"notice_s": ((0, 0.4), (600, 0.5), (3_600, 0.1))},
    ),
    Family(
        "many services",
        "nine VMs of ten in a service, all of them spread over racks or hosts",
        {"service_share": 0.9, "spread": {"rack": 0.7, "host": 0.3}, "max_moving_share": 1.0},
    ),
)
REAL: Final = Family("real fleet", "VMs of Huawei-East-1 on the machines of Alibaba 2018", {})

SHARED_STORAGE: Final = {
    "local_disk_share": 0.0,
    "pinned_share": 0.0,
    "restart_share": 0.0,
    "restricted_share": 0.0,
    "service_share": 0.0,
    "fill": 0.6,
}
"""What Ganeti's hroller can be asked: any VM on any host, nothing but memory and vCPUs."""


def family_named(name: str) -> Family:
    """Return a family by its name."""
    return next(family for family in (*FAMILIES, REAL) if family.name == name)


def fleet_of(family: Family, hosts: int, seed: int, traces: tuple[str, str] | None = None) -> FleetSnapshot:
    """Return the fleet of a family; ``traces`` are machines and VMs, for the real one, of which ``hosts`` are taken."""
    if family == REAL:
        assert traces is not None
        machines, vms = (Path(path) for path in traces)
        return import_huawei_on_alibaba(machines, vms, ImportOptions(hosts=hosts or None, seed=seed))
    return generate_fleet(GeneratorSettings.model_validate({"hosts": hosts, "seed": seed, **family.settings}))
