"""The reserve is real: what falls with failing hosts can be restarted on others."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from slacktide.findings import Finding, Severity
from slacktide.planner.failing.packing import WAYS
from slacktide.planner.failing.shortfalls import Outcome, Shortfall, Verdict, outcome
from slacktide.planner.policy import Reserve
from slacktide.planner.replay import Ints, Replay


@dataclass(frozen=True, slots=True)
class FailuresRestartable:
    """At sampled moments the VMs of the worst ``hosts`` hosts of each ``per`` domain find room on its other hosts.

    Hosts that are draining or quarantined may fail as well; VMs are restarted on hosts in service.  A VM that migrates
    falls with the host that it goes to: it needs another one.  If only its source fails, its target already holds its
    room.  A pinned VM waits for its host.  Capacity, machine types and spread hold for a restart; a service may be as
    close together as before the failure.  Patched and unpatched hosts are alike: the VM has stopped anyhow.

    What is found is an error if it is proven that there is no room, and at the start there was room for all that was
    tried then; of a revision also at the start of the campaign's first plan.  A reserve that is only a ``share`` of the
    fleet promises nothing about failures.
    """

    reserve: Reserve
    rule: ClassVar[str] = "failures-restartable"

    def check(self, replay: Replay) -> Iterator[Finding]:
        """Yield the first failure of each domain whose VMs do not all find room."""
        yield from self.examine(replay)[0]

    def examine(self, replay: Replay) -> tuple[tuple[Finding, ...], str]:
        """Return the findings, and in words what was tried, empty: nothing."""
        found = self.outcome(replay)
        if found is None or not found.failures:
            return (), ""
        return tuple(self._finding(replay, each) for each in found.shortfalls), self._words(found)

    def outcome(self, replay: Replay) -> Outcome | None:
        """Return what came of failing hosts on paper, None: the policy names no hosts that may fail."""
        if not self.reserve.hosts:
            return None
        domain, names = _domains(replay, self.reserve.per)
        return outcome(replay, domain, len(names), self.reserve.hosts) if len(names) else None

    def _finding(self, replay: Replay, short: Shortfall) -> Finding:
        name = _domains(replay, self.reserve.per)[1][short.domain]
        where = name if self.reserve.per is None else f"{self.reserve.per} {name}"
        hosts = tuple(replay.hosts.ids[host] for host in short.hosts)
        vm, (vcpus, memory_mib, _) = replay.vms.ids[short.vm], replay.vms.size[short.vm].tolist()
        severity: Severity = "error" if self.blamed(replay, short) else "warning"
        tried = {
            Verdict.PROVEN: "at the start there was"
            if severity == "error"
            else "so it was before the campaign's first plan began",
            Verdict.OPEN: f"none of {len(WAYS)} ways of packing found any; that there is none is not proven",
            Verdict.AT_START: "so it is before the plan begins",
        }[short.verdict]
        lost = "1 VM" if short.vms == 1 else f"{short.vms:,} VMs"
        return Finding(
            self.rule,
            f"if {_listed(hosts)} failed, {vm} ({vcpus:,} vCPUs, {memory_mib:,} MiB), of {lost} to restart in the "
            f"{where}, would have no room there; {tried}",
            "Free room in the domain, or lower reserve.hosts"
            if short.verdict is Verdict.AT_START
            else "Let fewer hosts out at once in max_out, reserve more, or lower reserve.hosts",
            severity,
            (name, *hosts, vm),
            at_s=None if short.verdict is Verdict.AT_START else short.at_s,
        )

    def blamed(self, replay: Replay, short: Shortfall) -> bool:
        """Return whether a plan is wrong for a shortfall."""
        revision, name = replay.plan.header.revision, _domains(replay, self.reserve.per)[1][short.domain]
        excused = () if revision is None else revision.short_at_start
        return short.verdict is Verdict.PROVEN and name not in excused

    def _words(self, found: Outcome) -> str:
        count = self.reserve.hosts
        hosts = "the worst host" if count == 1 else f"the {count:,} worst hosts"
        per = self.reserve.per
        where = "the fleet" if per is None else f"each {per}"
        moments = "1 sampled moment" if found.moments == 1 else f"each of {found.moments:,} sampled moments"
        if not found.shortfalls:
            result = "all VMs restarted on paper"
        elif per is None:
            result = "not all VMs find room"
        else:
            result = f"not all VMs find room in {len(found.shortfalls):,} of {found.domains:,} domains"
        return f"{hosts} of {where} failed at {moments}: {result}"


def _domains(replay: Replay, per: str | None) -> tuple[Ints, tuple[str, ...]]:
    """Return each host's domain (-1: none) and the names of the domains, none where there is no such kind."""
    if per is None:
        return np.zeros(len(replay.hosts.ids), dtype=np.int64), ("fleet",)
    return replay.domain_of(per) or (np.full(len(replay.hosts.ids), -1, dtype=np.int64), ())


def _listed(hosts: tuple[str, ...]) -> str:
    """Return host names as a list in words; of many, the first ones and a count."""
    shown, rest = hosts[:4], len(hosts) - 4
    if rest > 0:
        return f"{', '.join(shown)} and {rest} more"
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"
