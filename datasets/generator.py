"""A seeded fleet that looks like a real one: calibrated sizes, racks, services, dirty rates and links."""

import polars as pl

from slacktide.datasets.fabric import fabric_links
from slacktide.datasets.generated_hosts import domain_frame, generated_hosts, host_frame
from slacktide.datasets.generated_services import generated_services
from slacktide.datasets.generated_vms import generated_vms, vm_frame
from slacktide.datasets.generator_settings import GeneratorSettings
from slacktide.datasets.snapshot import FleetMeta, FleetSnapshot
from slacktide.topology.builders import Rates


def generate_fleet(settings: GeneratorSettings) -> FleetSnapshot:
    """Return the fleet that ``settings`` describe; it has no error finding and every service respects its own rule.

    Raises
    ------
    UsageError
        If no VM size fits on a machine type.
    """
    hosts = generated_hosts(settings)
    vms = generated_vms(settings, hosts)
    services, service_of_vm = generated_services(settings, hosts, vms)
    host_table = host_frame(hosts, settings)
    return FleetSnapshot(
        meta=_meta(settings),
        hosts=host_table,
        vms=vm_frame(settings, hosts, vms).with_columns(service_of_vm),
        services=services,
        links=_links(settings, host_table),
        domains=domain_frame(hosts),
    )


def _links(settings: GeneratorSettings, hosts: pl.DataFrame) -> pl.DataFrame:
    rates = Rates(
        host_mbit_s=settings.host_link_mbit_s,
        uplink_mbit_s=settings.uplink_mbit_s,
        oversubscription=settings.oversubscription,
    )
    return fabric_links(hosts["host_id"].to_list(), hosts["rack_id"].to_list(), settings.topology, rates)


def _meta(settings: GeneratorSettings) -> FleetMeta:
    varied = settings.model_dump(mode="json", exclude_defaults=True, exclude={"hosts", "seed"})
    options = "".join(f", {name}={value}" for name, value in varied.items() if isinstance(value, int | float | str))
    return FleetMeta(
        taken_at=settings.taken_at,
        source=f"generated: hosts={settings.hosts}, seed={settings.seed}{options}",
        licence="none: synthetic",
        note="VM sizes follow the Huawei-East-1 trace; other figures as documented in slacktide.datasets.calibration",
    )
