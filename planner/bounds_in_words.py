"""What a bound says, in words and with its figures."""

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from slacktide.planner.bounds import EVACUATED
from slacktide.planner.needs import RESOURCES, Demand, Needs, canary_gate, demands, host_needs
from slacktide.planner.problem import Problem
from slacktide.planner.relaxation import narrowed
from slacktide.planner.wave_bound import most_in_a_wave

MIB_PER_GIB: Final = 1024


def words(problem: Problem, needs: Needs, name: str, demand: Demand | None, bound_s: float) -> str:
    """Return what the bound ``name`` of ``bound_s`` means: of a limited resource, of whole waves, or of a chain."""
    if name == "waves":
        return _waves(problem, needs, bound_s)
    if name == EVACUATED:
        return f"hosts that are evacuated: the VMs of one of them need {bound_s:,.0f} s of notice and drain at least"
    if demand is None:
        return _chain(problem, needs, bound_s)
    said = _hosts_out(problem, needs, demand) if demand.name not in RESOURCES else _free(problem, needs, demand)
    if math.isinf(bound_s):
        return f"{said}: there is nothing to plan with"
    return f"{said} need at least {bound_s:,.0f} s"


def obstacles(problem: Problem, left: NDArray[np.bool_]) -> tuple[str, ...]:
    """Return the limits that keep hosts of ``left``, shape (N,), from being patched in any plan."""
    if not left.any():
        return ()
    rest = narrowed(problem, left)
    needs, found = host_needs(rest), []
    for demand in demands(rest, needs):
        too_large = demand.amount > demand.limit
        if not too_large.any():
            continue
        hosts, smallest = int(too_large.sum()), float(demand.amount[too_large].min())
        if demand.name in RESOURCES:
            limit, least = _amount(demand.name, max(0.0, demand.limit)), _amount(demand.name, smallest)
            fact = (
                f"{_free_of(demand.name)} beyond the reserve: {limit}; {_hosts(hosts)} left alone sell {least} or more"
            )
            short = f", the reserve is short of {_amount(demand.name, -demand.limit)}" if demand.limit < 0 else ""
            found.append(fact + short)
        else:
            found.append(f"`max_out` is {demand.limit:,.0f} for {_where(demand.name)}; {_hosts(hosts)} are in it")
    return tuple(found)


def _chain(problem: Problem, needs: Needs, bound_s: float) -> str:
    canary, gate_s = canary_gate(problem, needs)
    longest = int(np.argmax(needs.earliest_s))
    if needs.earliest_s[longest] >= bound_s:
        name, patch_s = problem.hosts.ids[needs.host[longest]], int(needs.patch_s[longest])
        return (
            f"the longest host alone: {name} needs {needs.earliest_s[longest] - patch_s:,} s of notice and drain "
            f"+ patch {patch_s:,} s = {bound_s:,.0f} s at least"
        )
    return (
        f"the canary and the longest host behind it: {_hosts(canary)} back and baked at {gate_s:,} s, then drain "
        f"+ patch {bound_s - gate_s:,.0f} s = {bound_s:,.0f} s at least"
    )


def _waves(problem: Problem, needs: Needs, bound_s: float) -> str:
    canary, _ = canary_gate(problem, needs)
    behind, most = len(needs.host) - canary, most_in_a_wave(problem)
    return (
        f"waves that wait for each other: {_hosts(behind)} in {-(-behind // most):,} waves of {most:,} at most, each "
        f"as long as its longest host, with {problem.policy.gates.bake_s:,} s of baking between two, need at least "
        f"{bound_s:,.0f} s"
    )


def _hosts_out(problem: Problem, needs: Needs, demand: Demand) -> str:
    group = problem.out.group
    kind_and_name = tuple(demand.name.split(":", 2)[1:])
    number = [tuple(dict.fromkeys(name)) for name in problem.out.names].index(kind_and_name)
    size = int((group == number).any(axis=1).sum())
    drain_s, patch_s = needs.drain_s[demand.member], needs.patch_s[demand.member]
    return (
        f"hosts out in {_where(demand.name)}: {demand.limit:,.0f} of {size:,} at once; {_hosts(len(demand.member))} "
        f"x (drain >= {drain_s.mean():,.0f} s + patch {patch_s.mean():,.0f} s on average)"
    )


def _free(problem: Problem, needs: Needs, demand: Demand) -> str:
    hosts, resource = problem.hosts, RESOURCES.index(demand.name)
    sold = float(hosts.capacity[hosts.in_service, resource].sum())
    free = _amount(demand.name, max(0.0, demand.limit))
    each, patch_s = float(demand.amount.mean()), float(needs.patch_s.mean())
    return (
        f"{_free_of(demand.name)}: {free} of {_amount(demand.name, sold)} sold are neither used nor reserved, enough "
        f"for about {max(0.0, demand.limit) / each:,.1f} hosts out at once; {_hosts(len(demand.member))} "
        f"x patch {patch_s:,.0f} s on average"
    )


def _where(name: str) -> str:
    """Return the place of ``hosts-out:kind:domain``."""
    _, kind, *domain = name.split(":", 2)
    return f"the {kind}" if not domain else f"{kind} {domain[0]}"


def _free_of(resource: str) -> str:
    return "free memory" if resource == "memory" else "free vCPUs"


def _amount(resource: str, value: float) -> str:
    return f"{value / MIB_PER_GIB:,.0f} GiB" if resource == "memory" else f"{value:,.0f} vCPUs"


def _hosts(number: int) -> str:
    return f"{number:,} host{'' if number == 1 else 's'}"
