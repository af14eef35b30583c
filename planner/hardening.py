"""Planning again where failing hosts would leave VMs without room: with room kept together where it was missing."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

import numpy as np

from slacktide.datasets.snapshot import FleetSnapshot
from slacktide.findings import Severity
from slacktide.planner.constraints.failures import FailuresRestartable
from slacktide.planner.failing.shortfalls import Shortfall
from slacktide.planner.plan import Plan
from slacktide.planner.problem import Ints, Problem, Reserves
from slacktide.planner.replay import Replay

PATIENT_ROUNDS: Final = 6
"""Plans that are made again with a step more in each domain that is short: all steps, and some for late comers."""
ROUNDS: Final = 8
"""Plans that are made again at most; in the last ones what is short is closed at once."""
STEPS: Final = ((1, False), (1, True), (2, True), (4, True), (8, True))
"""Emptiest hosts of a domain, beyond those that may fail, that keep room each time that it is short; and whether each
for itself, or all together.  After the last step the domain's hosts of these types are closed.

Together they lose nothing, for one at a time may be out; but what is free may be scattered among them.  Each for itself
is left alone as it is, and is deferred if it was due.
"""
CLOSED: Final = len(STEPS) + 1
ANY_TYPE: Final = -1
"""Bits of all machine types: a problem of patches in place has no VMs, so it does not know what one of them needs."""


Place = tuple[int, int]
"""A domain, as a group of the reserve, and the bits of the machine types on which a VM that had no room may run."""


def hardened(snapshot: FleetSnapshot, problem: Problem, plan_of: Callable[[Problem, bool], Plan]) -> Plan:
    """Return a plan whose failures can be restarted: the first without such an error, else that with fewest errors.

    ``plan_of`` makes a plan, and searches for a better one where it is told to.  Each round keeps more room together in
    the domains that were short, and makes a plan at once; that which does is searched on, unless the first search was
    interrupted.  An interrupt between searches ends it all.
    """
    stronger = problem
    best = plan = plan_of(problem, True)
    times: dict[Place, int] = {}
    try:
        for round_ in range(ROUNDS):
            short = _proven(snapshot, plan)
            if not short:
                return min(plan_of(stronger, True), best, key=_errors) if times else best
            for each in short:
                types = ANY_TYPE if problem.policy.in_place else int(problem.vms.allowed_types[each.vm])
                place = int(problem.reserves.group[each.hosts[0], -1]), types
                times[place] = CLOSED if round_ >= PATIENT_ROUNDS else times.get(place, 0) + 1
            stronger = reinforced(problem, times)
            plan = plan_of(stronger, False)
            best = min(best, plan, key=_errors)
    except KeyboardInterrupt:
        return best
    return best


def reinforced(problem: Problem, times: Mapping[Place, int]) -> Problem:
    """Return the problem with room kept together where some was missing, the more the oftener.

    A reserve that is free somewhere in a domain may be scattered over hosts, and no VM fits.  So some of its emptiest
    hosts of the right machine types keep free what all of them have free but for one, or, each for itself, all that is
    free (:data:`STEPS`).  At last everything free on hosts of these types stays free: none goes out and no VM comes.
    """
    hosts, reserves = problem.hosts, problem.reserves
    free = np.where(hosts.in_service[:, None], hosts.capacity, 0)
    serving = hosts.in_service[problem.vms.host]
    np.subtract.at(free, problem.vms.host[serving], problem.vms.demand[serving])
    share = (free / np.maximum(1.0, hosts.capacity.mean(axis=0))).min(axis=1)
    pool = np.full(len(free), -1, np.int64)
    pools: list[Ints] = []
    for (number, types), often in sorted(times.items(), key=lambda place: (-min(place[1], CLOSED), place[0])):
        there = (
            hosts.in_service
            & ~hosts.evacuated
            & (reserves.group[:, -1] == number)
            & ((types >> hosts.machine_type) & 1 == 1)
        )
        fit = np.flatnonzero(there & (pool < 0))
        closed = often >= CLOSED
        more, apart = (len(fit), False) if closed else STEPS[often - 1]
        chosen = fit[np.lexsort((fit, -share[fit]))][: problem.policy.reserve.hosts + more]
        pool[chosen] = len(reserves.required) + len(pools) + (np.arange(len(chosen)) if apart else 0)
        together = free[chosen].sum(axis=0) - (0 if closed else free[chosen].max(axis=0, initial=0))
        pools.extend(free[chosen] if apart else [together])
    required = np.concatenate([reserves.required, np.reshape(pools, (-1, 2)).astype(np.int64)])
    return replace(problem, reserves=Reserves(np.insert(reserves.group, 0, pool, axis=1), required))


def _proven(snapshot: FleetSnapshot, plan: Plan) -> tuple[Shortfall, ...]:
    """Return the failures that are errors; they are worked out again, since findings are only listed up to a number."""
    rule = FailuresRestartable.rule
    error: Severity = "error"
    findings = plan.header.summary.audit.findings
    if not any(finding["rule"] == rule and finding["severity"] == error for finding in findings):
        return ()
    failures, replay = FailuresRestartable(plan.header.policy.reserve), Replay(snapshot, plan)
    found = failures.outcome(replay)
    return () if found is None else tuple(each for each in found.shortfalls if failures.blamed(replay, each))


def _errors(plan: Plan) -> int:
    return sum(finding["severity"] == "error" for finding in plan.header.summary.audit.findings)
