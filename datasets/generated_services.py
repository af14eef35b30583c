"""Services of a generated fleet: groups of VMs dealt over the fleet, with spread rules that hold from the start."""

from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from slacktide.datasets.generated_hosts import GeneratedHosts, numbered
from slacktide.datasets.generator_settings import GeneratorSettings
from slacktide.datasets.packing import PackedVms
from slacktide.datasets.randomness import Purpose, chosen, uniform
from slacktide.datasets.schemas import DOMAIN_KINDS, ServiceTable

_MOVING_SHARE: Final = 0.2
"""Share of a service's VMs that may migrate at once, where it says so: a service of five keeps four steady."""


def generated_services(
    settings: GeneratorSettings, hosts: GeneratedHosts, vms: PackedVms
) -> tuple[pl.DataFrame, pl.Series]:
    """Return ``services.parquet`` and each VM's service id.

    A service's limit per domain is what an even spread needs, with one to spare where there are fewer domains than
    VMs, and never less than what the fleet shows.
    """
    members = np.flatnonzero(uniform(settings.seed, Purpose.IN_SERVICE, vms.host, vms.number) < settings.service_share)
    order = uniform(settings.seed, Purpose.SERVICE_ORDER, vms.host[members], vms.number[members])
    members = members[np.argsort(order, kind="stable")]
    sizes = _sizes(settings, len(members))
    service_of = np.full(vms.count, -1, dtype=np.int64)
    service_of[members] = np.repeat(np.arange(len(sizes)), sizes)
    if not len(sizes):
        return ServiceTable.create_empty(), _ids(service_of)
    kind = _kinds(settings, len(sizes))
    limit = np.zeros(len(sizes), dtype=np.int64)
    domain_of_host = {"host": np.arange(hosts.count), "rack": hosts.rack, "power": hosts.power, "row": hosts.row}
    host_of_member, service_of_member = vms.host[members], service_of[members]
    for index, name in enumerate(DOMAIN_KINDS):
        chosen_kind = kind == index
        domain = domain_of_host[name]
        domains = int(domain.max()) + 1
        most = _most_in_one_domain(service_of_member, domain[host_of_member], len(sizes), domains)
        even = -(-sizes // domains) + (sizes >= domains)
        limit[chosen_kind] = np.maximum(most, even)[chosen_kind]
    return _frame(settings, sizes, kind, limit), _ids(service_of)


def _sizes(settings: GeneratorSettings, members: int) -> NDArray[np.int64]:
    """Return sizes of services that together hold ``members`` VMs."""
    offered = np.array([size for size, _ in settings.service_sizes], dtype=np.int64)
    drawn = uniform(settings.seed, Purpose.SERVICE_SIZE, np.arange(members))
    sizes = offered[chosen([weight for _, weight in settings.service_sizes], drawn)]
    ends = np.cumsum(sizes)
    sizes = sizes[: int(np.searchsorted(ends, members)) + 1]
    if len(sizes):
        sizes[-1] -= int(sizes.sum()) - members
    return sizes


def _kinds(settings: GeneratorSettings, services: int) -> NDArray[np.int64]:
    """Return each service's index into ``DOMAIN_KINDS``; one past the last: it spreads over nothing."""
    drawn = uniform(settings.seed, Purpose.SERVICE_SPREAD, np.arange(services))
    return chosen([settings.spread.get(kind, 0.0) for kind in (*DOMAIN_KINDS, "none")], drawn)


def _most_in_one_domain(
    service: NDArray[np.int64], domain: NDArray[np.int64], services: int, domains: int
) -> NDArray[np.int64]:
    """Return the most VMs that each service has in one domain."""
    pairs, counts = np.unique(service * domains + domain, return_counts=True)
    most = np.zeros(services, dtype=np.int64)
    np.maximum.at(most, pairs // domains, counts)
    return most


def _frame(
    settings: GeneratorSettings, sizes: NDArray[np.int64], kind: NDArray[np.int64], limit: NDArray[np.int64]
) -> pl.DataFrame:
    number = np.arange(len(sizes), dtype=np.int64)
    limited = uniform(settings.seed, Purpose.SERVICE_MOVING, number) < settings.max_moving_share
    spreads = kind < len(DOMAIN_KINDS)
    return pl.DataFrame(
        {
            "service_id": numbered("service", number, 7),
            "spread_over": pl.Series([*DOMAIN_KINDS, None], dtype=pl.Enum(DOMAIN_KINDS)).gather(kind),
            "limit": pl.Series(limit, dtype=pl.Int32),
            "moving": pl.Series(np.maximum(1, sizes * _MOVING_SHARE), dtype=pl.Float64).cast(pl.Int32),
            "spreads": spreads,
            "limited": limited,
        }
    ).select(
        "service_id",
        "spread_over",
        pl.when("spreads").then("limit").alias("max_per_domain"),
        pl.when("limited").then("moving").alias("max_moving"),
    )


def _ids(service_of: NDArray[np.int64]) -> pl.Series:
    ids = pl.DataFrame({"number": service_of, "id": numbered("service", service_of, 7)})
    return ids.select(pl.when(pl.col("number") >= 0).then("id").alias("service_id")).to_series()
