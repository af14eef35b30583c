"""Planning again where failing hosts would leave VMs without room: with room kept together where it was missing."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from slacktide.datasets.snapshot import FleetSnapshot
from slacktide.findings import Severity
from slacktide.planner.constraints.failures import FailuresRestartable
from slacktide.planner.failing.shortfalls import Shortfall, Verdict
from slacktide.planner.plan import Plan
from slacktide.planner.problem import Ints, Problem, Reserves
from slacktide.planner.replay import Replay

PATIENT_ROUNDS: Final = 6
"""Plans that are made again with a step more in each domain that is short: all steps, and some for late comers."""
ROUNDS: Final = 8
"""Plans that are made again at most; in the last ones a domain that is short is closed at once."""
STEPS: Final = ((1, False), (1, True), (2, True), (4, True), (8, True))
"""Emptiest hosts of a domain, beyond those that may fail, that keep room each time that it is short; and whether each
for itself, or all together.  After the last step the domain is closed.

Together they lose nothing, for one at a time may be out; but what is free may be scattered among them.  Each for itself
is left alone as it is, and is deferred if it was due.
"""
CLOSED: Final = len(STEPS) + 1


@dataclass
class Shortage:
    """What has been found of a domain so far."""

    types: int
    """Bits of the machine types on which all VMs that had no room may run."""
    times: int = 0


def hardened(snapshot: FleetSnapshot, problem: Problem, plan_of: Callable[[Problem, bool], Plan]) -> Plan:
    """Return a plan whose failures can be restarted: the first without such an error, else that with fewest errors.

    ``plan_of`` makes a plan, and searches for a better one where it is told to.  Each round keeps more room together in
    the domains that were short, and makes a plan at once; that which does is searched on, unless the first search was
    interrupted.  An interrupt between searches ends it all.
    """
    stronger = problem
    best = plan = plan_of(problem, True)
    shortages: dict[int, Shortage] = {}
    try:
        for round_ in range(ROUNDS):
            short = _proven(snapshot, plan)
            if not short:
                return min(plan_of(stronger, True), best, key=_errors) if shortages else best
            for each in short:
                number = int(problem.reserves.group[each.hosts[0], -1])
                shortage = shortages.setdefault(number, Shortage(-1))
                shortage.types &= int(problem.vms.allowed_types[each.vm])
                shortage.times = CLOSED if round_ >= PATIENT_ROUNDS else shortage.times + 1
            stronger = reinforced(problem, shortages)
            plan = plan_of(stronger, False)
            best = min(best, plan, key=_errors)
    except KeyboardInterrupt:
        return best
    return best


def reinforced(problem: Problem, shortages: Mapping[int, Shortage]) -> Problem:
    """Return the problem with room kept together in each group of the reserve that was short.

    A reserve that is free somewhere in a domain may be scattered over hosts, and no VM fits.  So some of its emptiest
    hosts keep free what all of them have free but for one, or, each for itself, all that is free (:data:`STEPS`).  In a
    domain that is closed everything free stays free, so no host goes out and no VM comes.
    """
    hosts, reserves = problem.hosts, problem.reserves
    free = np.where(hosts.in_service[:, None], hosts.capacity, 0)
    serving = hosts.in_service[problem.vms.host]
    np.subtract.at(free, problem.vms.host[serving], problem.vms.demand[serving])
    share = (free / np.maximum(1.0, hosts.capacity.mean(axis=0))).min(axis=1)
    required, pool = reserves.required.copy(), np.full(len(free), -1, np.int64)
    pools: list[Ints] = []
    for number, shortage in sorted(shortages.items()):
        there = hosts.in_service & (reserves.group[:, -1] == number)
        if shortage.times >= CLOSED:
            required[number] = np.maximum(required[number], free[there].sum(axis=0))
            continue
        fit = np.flatnonzero(there & ((shortage.types >> hosts.machine_type) & 1 == 1))
        more, apart = STEPS[shortage.times - 1]
        chosen = fit[np.lexsort((fit, -share[fit]))][: problem.policy.reserve.hosts + more]
        pool[chosen] = len(required) + len(pools) + (np.arange(len(chosen)) if apart else 0)
        together = free[chosen].sum(axis=0) - free[chosen].max(axis=0, initial=0)
        pools.extend(free[chosen] if apart else [together])
    group = np.insert(reserves.group, 0, pool, axis=1)
    return replace(
        problem, reserves=Reserves(group, np.concatenate([required, np.reshape(pools, (-1, 2)).astype(np.int64)]))
    )


def _proven(snapshot: FleetSnapshot, plan: Plan) -> tuple[Shortfall, ...]:
    """Return the failures that are errors; they are worked out again, since findings are only listed up to a number."""
    rule = FailuresRestartable.rule
    error: Severity = "error"
    findings = plan.header.summary.audit.findings
    if not any(finding["rule"] == rule and finding["severity"] == error for finding in findings):
        return ()
    found = FailuresRestartable(plan.header.policy.reserve).outcome(Replay(snapshot, plan))
    return () if found is None else tuple(each for each in found.shortfalls if each.verdict is Verdict.PROVEN)


def _errors(plan: Plan) -> int:
    return sum(finding["severity"] == "error" for finding in plan.header.summary.audit.findings)
