"""Builders: the links of the fabrics that datacenters are built as.

Every cable is two directed links of equal capacity.  Switches are named after what they are and where they stand:
``leaf/<rack>``, ``spine/3``, ``pod/2/spine/1``, ``super/1/4`` (plane 1), ``pod/2/aggregation/1``, ``core/5``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from slacktide.errors import UsageError

SPINE_PORTS: Final = 576
"""Leaves that two layers carry at most.

Every leaf takes one port of every spine, and modular spine chassis end at 16 line cards of 36 ports.  Above that,
a third layer is built.
"""

RACKS_PER_POD: Final = 48
"""Racks behind one set of pod spines in a three-layer fabric: with as many ports again towards the super-spines, a pod
spine still fits into three line cards of 36 ports."""


@dataclass(frozen=True, slots=True)
class Fabric:
    """Tables of a fleet snapshot that describe its network."""

    links: pl.DataFrame
    """tail, head, capacity_mbit_s; sorted by (tail, head)."""
    domains: pl.DataFrame
    """host_id, kind (``rack``), domain_id; sorted by host."""


@dataclass(frozen=True, slots=True)
class Rates:
    """Link rates and how much thinner each layer is than the one below."""

    host_mbit_s: int = 25_000
    uplink_mbit_s: int = 100_000
    """Of every cable between switches."""
    oversubscription: float = 3.0
    """Bandwidth of a leaf's hosts over that of its uplinks; 3 is the common 48 x 25 over 4 x 100 Gbit/s."""
    super_oversubscription: float = 2.0
    """Bandwidth of a pod spine towards its leaves over that towards the super-spines."""


def clos(host_ids: Sequence[str], racks: Sequence[str], rates: Rates | None = None) -> Fabric:
    """Return a leaf-spine fabric up to :data:`SPINE_PORTS` racks, and a three-layer one above.

    The hosts of a single rack hang on its leaf alone: no stream would cross a spine.
    """
    count = len(set(racks))
    if count > SPINE_PORTS:
        return clos3(host_ids, racks, rates)
    return leaf_spine(host_ids, racks, rates, spines=0 if count == 1 else None)


def leaf_spine(
    host_ids: Sequence[str], racks: Sequence[str], rates: Rates | None = None, *, spines: int | None = None
) -> Fabric:
    """Return one leaf in each rack, and every leaf linked to every spine.

    ``racks`` names the rack of each host.  Without ``spines`` there are as many as the fullest rack needs at the
    oversubscription of ``rates``.

    Raises
    ------
    UsageError
        If there are more racks than a spine has ports, a rate is not positive, or a host is there twice.
    """
    rates = rates or Rates()
    plan = _RackPlan.of(host_ids, racks, rates)
    if len(plan.racks) > SPINE_PORTS:
        raise UsageError(
            "leaf-spine fabric",
            f"{len(plan.racks)} racks need more than the {SPINE_PORTS} ports of a spine",
            "Build a three-layer fabric (clos3)",
        )
    spine_names = [f"spine/{spine}" for spine in range(plan.uplinks if spines is None else spines)]
    leaf, spine = _product(len(plan.racks), len(spine_names))
    cables = _cables(_take(plan.leaves, leaf), _take(spine_names, spine), rates.uplink_mbit_s)
    return _fabric(plan, [plan.host_cables(rates), cables])


def clos3(
    host_ids: Sequence[str], racks: Sequence[str], rates: Rates | None = None, *, racks_per_pod: int = RACKS_PER_POD
) -> Fabric:
    """Return a three-layer fabric: pods of leaves with spines of their own, under super-spines in planes.

    Spine ``k`` of every pod is linked to all super-spines of plane ``k``.  Racks fill the pods in the order of their
    names.

    Raises
    ------
    UsageError
        If a rate or ``racks_per_pod`` is not positive, or a host is there twice.
    """
    rates = rates or Rates()
    if racks_per_pod < 1:
        raise UsageError("three-layer fabric", f"{racks_per_pod} racks in a pod", "Give at least 1")
    plan = _RackPlan.of(host_ids, racks, rates)
    pods, planes = ceil(len(plan.racks) / racks_per_pod), plan.uplinks
    supers = max(1, ceil(min(racks_per_pod, len(plan.racks)) / rates.super_oversubscription))
    leaf, plane = _product(len(plan.racks), planes)
    pod_spines = [f"pod/{pod}/spine/{plane}" for pod in range(pods) for plane in range(planes)]
    up = _cables(
        _take(plan.leaves, leaf), _take(pod_spines, leaf // racks_per_pod * planes + plane), rates.uplink_mbit_s
    )
    spine, place = _product(len(pod_spines), supers)
    super_names = [f"super/{plane}/{place}" for plane in range(planes) for place in range(supers)]
    across = _cables(_take(pod_spines, spine), _take(super_names, spine % planes * supers + place), rates.uplink_mbit_s)
    return _fabric(plan, [plan.host_cables(rates), up, across])


def fat_tree(host_ids: Sequence[str], link_mbit_s: int = 25_000, *, ports: int | None = None) -> Fabric:
    """Return the fat tree of switches with ``ports`` ports each, all links alike; its edge switches are the racks.

    Without ``ports`` the smallest even number is taken that carries all hosts (ports**3 / 4).

    Raises
    ------
    UsageError
        If ``ports`` is odd, or too small for the hosts, or the rate is not positive, or a host is there twice.

    References
    ----------
    Al-Fares, Loukissas, Vahdat: "A Scalable, Commodity Data Center Network Architecture", SIGCOMM 2008.
    """
    if ports is None:
        ports = next(even for even in range(2, 2 * len(host_ids) + 4, 2) if even**3 // 4 >= len(host_ids))
    if ports < 2 or ports % 2 or ports**3 // 4 < len(host_ids):
        raise UsageError(
            "fat tree",
            f"{ports} ports carry {ports**3 // 4} hosts, not {len(host_ids)}",
            "Give an even number of ports that suffices, or none",
        )
    half = ports // 2
    rates = Rates(host_mbit_s=link_mbit_s, uplink_mbit_s=link_mbit_s)
    place = np.arange(len(host_ids)) // half
    plan = _RackPlan.of(host_ids, _take([f"rack-{edge:05}" for edge in range(ports * half)], place), rates)
    edges = len(plan.racks)
    pods = ceil(edges / half)
    edge, way = _product(edges, half)
    aggregations = [f"pod/{pod}/aggregation/{way}" for pod in range(pods) for way in range(half)]
    up = _cables(_take(plan.leaves, edge), _take(aggregations, edge // half * half + way), link_mbit_s)
    aggregation, way = _product(len(aggregations), half)
    cores = [f"core/{core}" for core in range(half * half)]
    across = _cables(_take(aggregations, aggregation), _take(cores, aggregation % half * half + way), link_mbit_s)
    return _fabric(plan, [plan.host_cables(rates), up, across])


@dataclass(frozen=True, slots=True)
class _RackPlan:
    hosts: list[str]
    rack_of: NDArray[np.int64]
    racks: list[str]
    uplinks: int

    @classmethod
    def of(cls, host_ids: Sequence[str], racks: Sequence[str], rates: Rates) -> "_RackPlan":
        if len(host_ids) != len(racks):
            raise UsageError("fabric", f"{len(host_ids)} hosts, but {len(racks)} racks", "Give each host its rack")
        if len(set(host_ids)) != len(host_ids):
            raise UsageError("fabric", "a host is there twice", "Give each host once")
        if min(rates.host_mbit_s, rates.uplink_mbit_s, rates.oversubscription, rates.super_oversubscription) <= 0:
            raise UsageError("fabric", "a rate or an oversubscription is not positive", "Give rates above 0")
        names, rack_of = np.unique(np.asarray(racks, dtype=np.str_), return_inverse=True)
        fullest = int(np.bincount(rack_of).max()) if len(host_ids) else 0
        uplinks = ceil(fullest * rates.host_mbit_s / (rates.oversubscription * rates.uplink_mbit_s))
        return cls(list(host_ids), rack_of.astype(np.int64), [str(name) for name in names], max(1, uplinks))

    @property
    def leaves(self) -> list[str]:
        return [f"leaf/{rack}" for rack in self.racks]

    def host_cables(self, rates: Rates) -> pl.DataFrame:
        return _cables(self.hosts, _take(self.leaves, self.rack_of), rates.host_mbit_s)


def _product(first: int, second: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return all pairs of a number below ``first`` and one below ``second``, as two arrays."""
    return np.repeat(np.arange(first), second), np.tile(np.arange(second), first)


def _take(names: Sequence[str], places: NDArray[np.int64]) -> list[str]:
    return [names[place] for place in places.tolist()]


def _cables(low: Sequence[str], high: Sequence[str], rate_mbit_s: int) -> pl.DataFrame:
    """Return both directions of the cables from ``low`` to ``high``."""
    up = pl.DataFrame({"tail": low, "head": high}, schema={"tail": pl.String, "head": pl.String})
    both = pl.concat([up, up.select(tail="head", head="tail")])
    return both.with_columns(capacity_mbit_s=pl.lit(rate_mbit_s, dtype=pl.Int64))


def _fabric(plan: _RackPlan, cables: list[pl.DataFrame]) -> Fabric:
    links = pl.concat(cables).sort("tail", "head")
    switches = set(plan.leaves).union(*(part["tail"].unique().to_list() for part in cables[1:]))
    clash = sorted(switches.intersection(plan.hosts))
    if clash:
        raise UsageError("fabric", f"host {clash[0]} has the name of a switch", "Rename the host")
    racks = _take(plan.racks, plan.rack_of)
    domains = pl.DataFrame({"host_id": plan.hosts, "domain_id": racks}, schema_overrides={"host_id": pl.String})
    domains = domains.select("host_id", pl.lit("rack").alias("kind"), pl.col("domain_id").cast(pl.String))
    return Fabric(links, domains.sort("host_id", "kind"))
