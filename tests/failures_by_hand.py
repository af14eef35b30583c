"""Failures worked out from a plan's tables, one VM at a time, every placement tried: what the audit is held against."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from slacktide.datasets.snapshot import FleetSnapshot
from slacktide.planner.plan import Plan


@dataclass(frozen=True)
class World:
    """A fleet at one moment of a plan, some hosts failed."""

    snapshot: FleetSnapshot
    on: dict[str, tuple[str, ...]]
    """Hosts on which each VM takes room: two while it migrates, the target last."""
    taking: frozenset[str]
    """Hosts that take VMs."""
    failed: frozenset[str]

    @cached_property
    def vms(self) -> dict[str, dict[str, Any]]:
        return {row["vm_id"]: row for row in self.snapshot.vms.iter_rows(named=True)}

    @cached_property
    def hosts(self) -> dict[str, dict[str, Any]]:
        return {row["host_id"]: row for row in self.snapshot.hosts.iter_rows(named=True)}

    @cached_property
    def spread(self) -> list[tuple[list[str], dict[str, str], int]]:
        """Members, domain of each host and limit of each service that is to spread."""
        return [
            (
                [vm for vm, row in self.vms.items() if row["service_id"] == service["service_id"]],
                self.domains(service["spread_over"]),
                service["max_per_domain"],
            )
            for service in self.snapshot.services.iter_rows(named=True)
            if service["spread_over"] is not None and service["max_per_domain"] is not None
        ]

    def fallen(self) -> list[str]:
        """Return the VMs that need another host: those that are on a failed host or on their way to one."""
        waits = {vm for vm, row in self.vms.items() if row["eviction"] == "pinned"}
        return sorted(vm for vm, hosts in self.on.items() if hosts[-1] in self.failed and vm not in waits)

    def keeps_all(self, placed: dict[str, str], hosts: frozenset[str]) -> bool:
        """Return whether these restarts keep capacity, machine types and spread; ``hosts``: where VMs may go."""
        taking = self.taking & hosts
        return all(host in taking for host in placed.values()) and self._fits(placed) and self._spread(placed)

    def _fits(self, placed: dict[str, str]) -> bool:
        for vm, host in placed.items():
            types = self.vms[vm]["machine_types"]
            if types is not None and self.hosts[host]["machine_type"] not in types:
                return False
        for host in set(placed.values()):
            there = [vm for vm, on in self.on.items() if host in on] + [vm for vm, on in placed.items() if on == host]
            for column in ("vcpus", "memory_mib"):
                if sum(self.vms[vm][column] for vm in there) > self.hosts[host][column]:
                    return False
        return True

    def _spread(self, placed: dict[str, str]) -> bool:
        for members, domain, most in self.spread:
            after = {vm: (placed[vm],) if vm in placed else self._left(vm) for vm in members}
            for host in {placed[vm] for vm in after if vm in placed}:
                where = domain.get(host)
                if where is None:
                    continue
                now = sum(any(domain.get(other) == where for other in on) for on in after.values())
                before = sum(any(domain.get(other) == where for other in self.on[vm]) for vm in after)
                if now > max(most, before):
                    return False
        return True

    def _left(self, vm: str) -> tuple[str, ...]:
        """Return where a VM that is not restarted still is; one that has fallen is nowhere."""
        if self.on[vm][-1] in self.failed:
            return ()
        return tuple(host for host in self.on[vm] if host not in self.failed)

    def domains(self, kind: str) -> dict[str, str]:
        """Return the domain of each host that has one of this kind."""
        if kind == "host":
            return {host: host for host in self.snapshot.hosts["host_id"]}
        table = self.snapshot.domains
        return dict(table.filter(table["kind"] == kind).select("host_id", "domain_id").iter_rows())

    def restartable(self, hosts: frozenset[str], placed: dict[str, str] | None = None) -> bool:
        """Try every placement of the fallen VMs on ``hosts``; what breaks a rule already is not carried on."""
        placed = placed or {}
        if not self.keeps_all(placed, hosts):
            return False
        left = [vm for vm in self.fallen() if vm not in placed]
        return not left or any(
            self.restartable(hosts, {**placed, left[0]: host}) for host in sorted(self.taking & hosts)
        )


def world(snapshot: FleetSnapshot, plan: Plan, at_s: int, failed: frozenset[str]) -> World:
    """Return the fleet at ``at_s`` (-1: before the plan) with ``failed`` hosts."""
    on: dict[str, tuple[str, ...]] = {vm: (host,) for vm, host in snapshot.vms.select("vm_id", "host_id").iter_rows()}
    for move in plan.migrations.sort("start_s").iter_rows(named=True):
        if move["start_s"] <= at_s:
            here = (move["target"],) if move["end_s"] <= at_s else (move["source"], move["target"])
            on[move["vm_id"]] = here
    out = {
        host
        for host, drain_s, return_s in plan.hosts.select("host_id", "drain_start_s", "return_s").iter_rows()
        if drain_s <= at_s < return_s
    }
    usable = snapshot.hosts.filter(~snapshot.hosts["state"].is_in(["down", "quarantined"]))["host_id"]
    return World(snapshot, on, frozenset(usable) - out - failed, failed)
