"""From a snapshot and a policy to the planning problem, with the hosts that no plan can include."""

from dataclasses import replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from slacktide.datasets.snapshot import FleetSnapshot
from slacktide.errors import InputError
from slacktide.planner.deferral import Reason
from slacktide.planner.limits import resolved
from slacktide.planner.network import Network, build_network
from slacktide.planner.policy import Policy
from slacktide.planner.precopy import estimate, estimate_restart
from slacktide.planner.problem import (
    NO_LIMIT,
    Bools,
    Hosts,
    Ints,
    OutLimits,
    Problem,
    Reserves,
    Services,
    Vms,
    positions,
)
from slacktide.planner.selection import due, unknown
from slacktide.planner.weights import check_weights, host_weights
from slacktide.topology.datacenter import Datacenter
from slacktide.topology.domains import FailureDomains


def build_problem(snapshot: FleetSnapshot, policy: Policy) -> Problem:
    """Return the problem that ``snapshot`` poses under ``policy``.

    Raises
    ------
    InputError
        If the policy names a host, a machine type or a failure domain that the snapshot does not have.
    """
    if strangers := unknown(snapshot.hosts, policy):
        raise InputError(
            "policy",
            f"`selection` or `evacuate` names what is no host of the fleet, {len(strangers):,} in all, the first is "
            f"{strangers[0]!r}",
            "Name hosts as in hosts.parquet",
        )
    check_weights(snapshot, policy)
    host_ids = tuple(snapshot.hosts["host_id"].to_list())
    datacenter = Datacenter.from_tables(host_ids, snapshot.links, snapshot.domains)
    network = build_network(datacenter, snapshot.hosts, policy.link_share)
    selected = due(snapshot.hosts, policy).copy()
    hosts = _hosts(snapshot, policy, selected, datacenter.domains)
    reserves = _reserves(policy, datacenter.domains, hosts)
    if policy.in_place:
        snapshot, hosts, reserves = _settled(snapshot, hosts, reserves)
    vms = _vms(snapshot, policy, hosts, network.rates_mbit_s)
    deferred = _deferrals(snapshot, policy, hosts, vms, network)
    hosts.due[[host for host, _, _ in deferred]] = False
    hosts.evacuated[[host for host, _, _ in deferred]] = False
    return Problem(
        policy=policy,
        hosts=hosts,
        vms=vms,
        services=_services(snapshot, datacenter.domains),
        out=_out_limits(policy, datacenter.domains, len(host_ids)),
        reserves=reserves,
        network=network,
        selected=selected,
        deferred=deferred,
    )


def _settled(snapshot: FleetSnapshot, hosts: Hosts, reserves: Reserves) -> tuple[FleetSnapshot, Hosts, Reserves]:
    """Return the fleet as those see it who move no VM: what VMs take is not there, and they are not either.

    A host that is out then withdraws what was free on it.  Overfull ones have nothing free; the reserve grows by what
    they lack, so that it is kept as if they lent it.
    """
    frame = snapshot.vms
    used = np.zeros_like(hosts.capacity)
    sizes = frame.select(pl.col("vcpus", "memory_mib").cast(pl.Int64)).to_numpy()
    np.add.at(used, positions(frame["host_id"], hosts.ids), sizes)
    free = hosts.capacity - used
    lacking = np.where(hosts.in_service[:, None], np.maximum(0, -free), 0)
    required = reserves.required.copy()
    for family in range(reserves.group.shape[1]):
        group = reserves.group[:, family]
        np.add.at(required, group[group >= 0], lacking[group >= 0])
    settled = replace(snapshot, vms=frame.clear())
    hosts = replace(hosts, capacity=np.maximum(0, free), lacking=lacking)
    return settled, hosts, replace(reserves, required=required)


def _hosts(snapshot: FleetSnapshot, policy: Policy, selected: Bools, domains: FailureDomains) -> Hosts:
    frame = snapshot.hosts
    types = frame["machine_type"].unique().sort()
    in_service = frame["state"].cast(pl.String).is_in(["active", "empty"]).to_numpy()
    racks = frame["rack_id"].unique().sort()
    sold = frame.select(pl.col("vcpus", "memory_mib").cast(pl.Int64)).to_numpy().copy()
    shunned = frame["host_id"].is_in(list(policy.evacuate)).to_numpy()
    return Hosts(
        ids=tuple(frame["host_id"].to_list()),
        capacity=sold,
        sold=sold,
        lacking=np.zeros_like(sold),
        machine_type=positions(frame["machine_type"], types),
        maintenance_s=np.where(shunned, 0, frame["maintenance_s"].to_numpy()),
        in_service=in_service,
        patched=(frame["patch_level"] == policy.patch_level).to_numpy(),
        due=selected.copy(),
        evacuated=shunned & in_service,
        shunned=shunned,
        rack=positions(frame["rack_id"], racks),
        weight=host_weights(snapshot, policy),
    )


def _vms(snapshot: FleetSnapshot, policy: Policy, hosts: Hosts, rates_mbit_s: Ints) -> Vms:
    frame = snapshot.vms
    restart = (frame["eviction"].cast(pl.String) == "restart").to_numpy()
    vms = Vms(
        ids=tuple(frame["vm_id"].to_list()),
        host=positions(frame["host_id"], hosts.ids),
        demand=frame.select(pl.col("vcpus", "memory_mib").cast(pl.Int64)).to_numpy().copy(),
        sent_mib=pl.select(pl.min_horizontal(frame["used_mib"], frame["memory_mib"])).to_series().to_numpy().copy(),
        allowed_types=_allowed_types(snapshot),
        notice_s=frame["notice_s"].to_numpy().copy(),
        service=positions(frame["service_id"], snapshot.services["service_id"]),
        restart=restart,
        local_disk_mib=frame["local_disk_mib"].to_numpy().copy(),
        hot_mib=_assumed(frame["hot_mib"], policy.assume.hot_mib, frame["memory_mib"]),
        dirty_mib_s=_assumed(frame["dirty_mib_s"], policy.assume.dirty_mib_s, None),
        blackout_limit_ms=frame["blackout_limit_ms"].fill_null(policy.migration.blackout_limit_ms).to_numpy().copy(),
        rates_mbit_s=rates_mbit_s,
        duration_s=np.full((len(frame), len(rates_mbit_s)), -1, np.int64),
    )
    pinned = (frame["eviction"].cast(pl.String) == "pinned").to_numpy()
    _fill_durations(vms, pinned, policy)
    return vms


def _assumed(values: pl.Series, assumed: float | None, at_most: pl.Series | None) -> NDArray[np.float64]:
    """Return measured values, the policy's assumption where unknown, NaN where the policy assumes nothing."""
    filled = values.to_numpy().astype(np.float64)
    unknown = np.isnan(filled)
    if assumed is not None:
        filled = np.where(unknown, assumed, filled)
        if at_most is not None:
            filled = np.where(unknown, np.minimum(filled, at_most.to_numpy()), filled)
    return filled


def _fill_durations(vms: Vms, pinned: Bools, policy: Policy) -> None:
    """Fill in how long each VM's move takes at each rate."""
    live = estimate(
        vms.sent_mib[:, None],
        vms.hot_mib[:, None],
        vms.dirty_mib_s[:, None],
        vms.local_disk_mib[:, None],
        vms.blackout_limit_ms[:, None],
        vms.rates_mbit_s[None, 1:],
        policy.migration,
    )
    vms.duration_s[:, 1:] = np.where(live.strategy >= 0, live.duration_s, -1)
    if vms.restart.any():
        cold = estimate_restart(vms.local_disk_mib[vms.restart, None], vms.rates_mbit_s[None, 1:], policy.migration)
        vms.duration_s[vms.restart, 1:] = cold.duration_s
        silent = vms.restart & (vms.local_disk_mib == 0)
        any_rate = np.ones(1, np.int64)
        vms.duration_s[silent, 0] = estimate_restart(np.zeros(1), any_rate, policy.migration).duration_s
    vms.duration_s[pinned] = -1


def _allowed_types(snapshot: FleetSnapshot) -> Ints:
    """Return the machine types of each VM as bits, all ones where any will do."""
    types = snapshot.hosts["machine_type"].unique().sort()
    if len(types) > 62:
        raise InputError(
            "hosts.parquet",
            f"{len(types)} machine types, at most 62 can be planned together",
            "Plan the fleet in parts by machine type",
        )
    bit = pl.DataFrame({"machine_types": types}).with_columns(bit=pl.lit(2 ** np.arange(len(types), dtype=np.int64)))
    bits = (
        snapshot.vms.select("machine_types")
        .with_row_index("vm")
        .filter(pl.col("machine_types").is_not_null())
        .explode("machine_types", empty_as_null=True)
        .join(bit, on="machine_types", how="left")
        .group_by("vm")
        .agg(pl.col("bit").fill_null(0).unique().sum())
    )
    allowed = np.full(len(snapshot.vms), -1, np.int64)
    allowed[bits["vm"].to_numpy()] = bits["bit"].to_numpy()
    return allowed


def _services(snapshot: FleetSnapshot, domains: FailureDomains) -> Services:
    frame = snapshot.services
    kinds = [kind for kind in domains.kinds if kind in set(frame["spread_over"].cast(pl.String).to_list())]
    hosts = len(snapshot.hosts)
    rows = [np.arange(hosts, dtype=np.int64), *(domains.of(kind).astype(np.int64) for kind in kinds)]
    limited = frame["max_per_domain"].is_not_null().to_numpy()
    kind_number = positions(frame["spread_over"], ["host", *kinds])
    return Services(
        spread_kind=np.where(limited, kind_number, -1),
        spread_limit=frame["max_per_domain"].cast(pl.Int64).fill_null(NO_LIMIT).to_numpy().copy(),
        max_moving=frame["max_moving"].cast(pl.Int64).fill_null(NO_LIMIT).to_numpy().copy(),
        spread_domains=np.stack(rows),
    )


def _out_limits(policy: Policy, domains: FailureDomains, hosts: int) -> OutLimits:
    fleet = resolved(policy.max_out.get("fleet", hosts), hosts)
    names, limits, columns = [("fleet", "fleet")], [np.array([fleet])], [np.zeros(hosts, np.int64)]
    for kind, limit in policy.max_out.items():
        if kind == "fleet":
            continue
        if kind not in domains.kinds:
            raise InputError(
                "policy",
                f"`max_out` limits {kind!r}, a kind of failure domain that domains.parquet does not have",
                f"Use one of: fleet, {', '.join(domains.kinds)}",
            )
        of_host = domains.of(kind).astype(np.int64)
        columns.append(np.where(of_host >= 0, of_host + len(names), -1))
        sizes = np.bincount(of_host[of_host >= 0], minlength=len(domains.names(kind)))
        limits.append(np.array([resolved(limit, int(size)) for size in sizes]))
        names.extend((kind, name) for name in domains.names(kind))
    return OutLimits(tuple(names), np.stack(columns, axis=1), np.concatenate(limits).astype(np.int64))


def _reserves(policy: Policy, domains: FailureDomains, hosts: Hosts) -> Reserves:
    groups, required = [], []
    sold = np.where(hosts.in_service[:, None], hosts.capacity, 0)
    if policy.reserve.share > 0:
        groups.append(np.zeros(len(sold), np.int64))
        required.append(np.ceil(policy.reserve.share * sold.sum(axis=0)).astype(np.int64)[None])
    if policy.reserve.hosts > 0:
        group, count = _reserve_groups(policy, domains, len(sold))
        largest = np.zeros((count, 2), np.int64)
        for resource in range(2):
            order = np.lexsort((-sold[:, resource], group))
            rank = np.arange(len(order)) - np.searchsorted(group[order], group[order])
            chosen = order[(rank < policy.reserve.hosts) & (group[order] >= 0)]
            np.add.at(largest[:, resource], group[chosen], sold[chosen, resource])
        groups.append(np.where(group >= 0, group + sum(len(part) for part in required), -1))
        required.append(largest)
    if not groups:
        return Reserves(np.empty((len(sold), 0), np.int64), np.empty((0, 2), np.int64))
    return Reserves(np.stack(groups, axis=1), np.concatenate(required))


def _reserve_groups(policy: Policy, domains: FailureDomains, hosts: int) -> tuple[Ints, int]:
    kind = policy.reserve.per
    if kind is None:
        return np.zeros(hosts, np.int64), 1
    if kind not in domains.kinds:
        raise InputError(
            "policy",
            f"`reserve.per` names {kind!r}, a kind of failure domain that domains.parquet does not have",
            f"Use one of: {', '.join(domains.kinds)}, or leave it out for the whole fleet",
        )
    return domains.of(kind).astype(np.int64), len(domains.names(kind))


def _deferrals(
    snapshot: FleetSnapshot, policy: Policy, hosts: Hosts, vms: Vms, network: Network
) -> tuple[tuple[int, Reason, str], ...]:
    """Return the hosts to be patched or evacuated that no plan can include, with the first reason that applies.

    A host that is out of service and empty has been evacuated.
    """
    leaving = hosts.due | hosts.evacuated
    stranded = hosts.shunned & (np.bincount(vms.host, minlength=len(hosts.ids)) > 0)
    state = snapshot.hosts["state"].cast(pl.String).to_numpy()
    eviction = snapshot.vms["eviction"].cast(pl.String).to_numpy()
    unknown = ~vms.restart & (np.isnan(vms.hot_mib) | np.isnan(vms.dirty_mib_s))
    reachable = vms.rates_mbit_s[None, :] <= network.egress_mbit_s[vms.host][:, None]
    stuck = ~((vms.duration_s >= 0) & reachable).any(axis=1)
    switchover_ms = policy.migration.switchover_ms
    hopeless = ~vms.restart & (vms.blackout_limit_ms < switchover_ms)
    in_service = np.bincount(hosts.machine_type[hosts.in_service], minlength=hosts.machine_type.max() + 1)
    others = in_service[None, :] - (np.arange(len(in_service))[None, :] == hosts.machine_type[vms.host][:, None])
    allowed = (vms.allowed_types[:, None] >> np.arange(len(in_service))[None, :]) & 1
    lonely = ~((others > 0) & (allowed > 0)).any(axis=1)
    reasons: dict[int, tuple[Reason, str]] = {}
    for host in np.flatnonzero((hosts.due | stranded) & ~hosts.in_service).tolist():
        down = state[host] == "down"
        reasons[host] = (
            Reason.HOST_DOWN if down else Reason.HOST_QUARANTINED,
            f"{hosts.ids[host]} is {state[host]}",
        )
    for reason, broken, fact in (
        (Reason.PINNED_VM, eviction == "pinned", "must not be moved"),
        (Reason.UNKNOWN_DIRTY_RATE, unknown, "has no measured dirty rate or hot set"),
        (Reason.BLACKOUT_LIMIT, stuck & hopeless, f"may stand still for less than the switchover, {switchover_ms} ms"),
        (Reason.NO_CONVERGENCE, stuck, "does not converge within its blackout limit by any strategy allowed"),
        (Reason.NO_ELIGIBLE_HOST, lonely, "may run on no other host's machine type"),
    ):
        for vm in np.flatnonzero(broken & leaving[vms.host]).tolist():
            reasons.setdefault(int(vms.host[vm]), (reason, f"VM {vms.ids[vm]} {fact}"))
    return tuple((host, *reasons[host]) for host in sorted(reasons))
