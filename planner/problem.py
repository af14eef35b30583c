"""The planning problem as numbered arrays: a snapshot under a policy.

Hosts, VMs, services and failure domains are numbered in the order of their ids; the rest of the planner works on the
numbers alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from slacktide.planner.deferral import Reason
from slacktide.planner.network import Network
from slacktide.planner.policy import Policy

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

NO_LIMIT = 2**40
"""Stands for an absent count: above any number of hosts or VMs."""


@dataclass(frozen=True)
class Hosts:
    """The hosts, in the order of their ids; N hosts."""

    ids: tuple[str, ...]
    capacity: Ints
    """Sellable vCPUs and memory in MiB, shape (N, 2); where VMs stay on hosts that are patched, what these leave."""
    sold: Ints
    """Sellable vCPUs and memory in MiB, whatever stays: what a share of the reserve is taken of; shape (N, 2)."""
    lacking: Ints
    """What VMs that stay on hosts take beyond what these sell, shape (N, 2); 0 where VMs leave them."""
    machine_type: Ints
    """Number of the type, shape (N,)."""
    maintenance_s: Ints
    in_service: Bools
    """Neither down nor quarantined."""
    patched: Bools
    """At the policy's patch level."""
    due: Bools
    """To be patched by this plan; deferred hosts are not."""
    evacuated: Bools
    """To be emptied before all others leave, and not to come back; deferred hosts are not."""
    shunned: Bools
    """Named to be evacuated, whether that is possible or not: they take no VM."""
    rack: Ints
    weight: Ints
    """What each counts in the exposure, in thousandths, shape (N,); 1000 where the policy has no weights."""


@dataclass(frozen=True)
class Vms:
    """The VMs, in the order of their ids; V VMs, L rates."""

    ids: tuple[str, ...]
    host: Ints
    """Where each runs at the start, shape (V,)."""
    demand: Ints
    """vCPUs and memory in MiB, shape (V, 2)."""
    sent_mib: Ints
    """Memory that a migration sends at first: what is used of it, all where that is unknown."""
    allowed_types: Ints
    """Bits of the machine types that it may run on, shape (V,)."""
    notice_s: Ints
    service: Ints
    """Number of the service, -1: none."""
    restart: Bools
    """Moved by a restart, not by a live migration."""
    local_disk_mib: Ints
    hot_mib: NDArray[np.float64]
    dirty_mib_s: NDArray[np.float64]
    blackout_limit_ms: Ints
    rates_mbit_s: Ints
    """Rates that a migration may be given, ascending; the first is 0, for restarts that send nothing; shape (L,)."""
    duration_s: Ints
    """How long a move takes at each rate, -1: not possible; shape (V, L)."""


@dataclass(frozen=True)
class Services:
    """The services, in the order of their ids; S services."""

    spread_kind: Ints
    """Number of the failure-domain kind in ``spread_domains``, -1: none; shape (S,)."""
    spread_limit: Ints
    max_moving: Ints
    spread_domains: Ints
    """Domain of each host for each kind that a service spreads over, -1: none; shape (kinds, N)."""


@dataclass(frozen=True)
class OutLimits:
    """Hosts that may be out at once; G groups of K kinds, the first the whole fleet."""

    names: tuple[tuple[str, str], ...]
    """Kind and domain of each group."""
    group: Ints
    """Group of each host for each kind, -1: none; shape (N, K)."""
    limit: Ints


@dataclass(frozen=True)
class Reserves:
    """Capacity that stays free in hosts in service; R groups of F families."""

    group: Ints
    """Group of each host for each family, -1: none; shape (N, F)."""
    required: Ints
    """vCPUs and memory in MiB, shape (R, 2)."""


@dataclass(frozen=True)
class Problem:
    """Everything that the planner needs to know, and the due hosts that it cannot plan."""

    policy: Policy
    hosts: Hosts
    vms: Vms
    services: Services
    out: OutLimits
    reserves: Reserves
    network: Network
    selected: Bools
    """Hosts that the policy asks for: those due and those deferred; shape (N,)."""
    deferred: tuple[tuple[int, Reason, str], ...]
    """Host, reason and detail."""


def positions(values: pl.Series, keys: Sequence[str] | pl.Series) -> Ints:
    """Return the place of each value among ``keys``, -1 where it is null or not among them."""
    places = pl.DataFrame({"value": pl.Series(keys, dtype=pl.String)}).with_row_index("place")
    found = pl.DataFrame({"value": values.cast(pl.String)}).join(places, on="value", how="left", maintain_order="left")
    return found["place"].cast(pl.Int64).fill_null(-1).to_numpy().copy()
