"""The shortest makespan of a tiny problem by trying everything: hosts' capacity and NICs, hosts out, notice.

Knows nothing of services, reserves, shared links and canaries.  Everything starts at time 0 or when something ends:
whatever starts at another time can start earlier.
"""

from dataclasses import dataclass, field, replace

from slacktide.planner.encoding import fastest_rates
from slacktide.planner.problem import Problem


@dataclass(frozen=True)
class Moment:
    """What has been decided up to a time."""

    now_s: int
    place: tuple[int, ...]
    """Host of each VM, the target's while it moves."""
    ready_s: tuple[int, ...]
    """From when each VM has had its notice."""
    leaving: tuple[tuple[int, int, int, int], ...]
    """VM, source, end and rate of the moves under way."""
    draining: frozenset[int] = field(default_factory=frozenset)
    back_s: tuple[tuple[int, int], ...] = ()
    """Host and return of the hosts that are being patched or have been."""


def shortest_makespan_s(problem: Problem) -> int | None:
    """Return the shortest makespan of plans that patch all due hosts, None: there is none."""
    due = frozenset(int(host) for host in problem.hosts.due.nonzero()[0])
    place = tuple(int(host) for host in problem.vms.host)
    start = Moment(0, place, tuple(int(notice) for notice in problem.vms.notice_s), ())
    best: int | None = None
    seen: set[Moment] = set()
    stack = [start]
    while stack:
        moment = stack.pop()
        if moment in seen:
            continue
        seen.add(moment)
        moment = _emptied(problem, moment)
        back = dict(moment.back_s)
        if due <= back.keys():
            last_s = max(back.values())
            best = last_s if best is None else min(best, last_s)
            continue
        undone_s = [int(problem.hosts.maintenance_s[host]) for host in due - back.keys()]
        if best is not None and moment.now_s + max(undone_s) >= best:
            continue
        stack.extend(_choices(problem, moment, due))
        ahead = [end for _, _, end, _ in moment.leaving] + list(back.values()) + list(moment.ready_s)
        later = [time_s for time_s in ahead if time_s > moment.now_s]
        if later:
            stack.append(_at(moment, min(later)))
    return best


def _at(moment: Moment, now_s: int) -> Moment:
    leaving = tuple(move for move in moment.leaving if move[2] > now_s)
    return replace(moment, now_s=now_s, leaving=leaving)


def _emptied(problem: Problem, moment: Moment) -> Moment:
    """Let hosts that have drained be patched."""
    empty = [
        host
        for host in sorted(moment.draining)
        if host not in moment.place and all(source != host for _, source, _, _ in moment.leaving)
    ]
    back = [(host, moment.now_s + int(problem.hosts.maintenance_s[host])) for host in empty]
    return replace(moment, draining=moment.draining - set(empty), back_s=tuple(sorted([*moment.back_s, *back])))


def _choices(problem: Problem, moment: Moment, due: frozenset[int]) -> list[Moment]:
    """Return what one start more, of a drain or a migration, leads to at the same time."""
    back = dict(moment.back_s)
    out = moment.draining | {host for host, back_s in back.items() if back_s > moment.now_s}
    found = []
    arriving = {moment.place[vm] for vm, _, _, _ in moment.leaving}
    if len(out) < problem.out.limit[0]:
        found += [
            replace(moment, draining=moment.draining | {host})
            for host in sorted(due - back.keys() - moment.draining - arriving)
        ]
    moving = {vm for vm, _, _, _ in moment.leaving}
    for vm, source in enumerate(moment.place):
        if source not in moment.draining or vm in moving or moment.ready_s[vm] > moment.now_s:
            continue
        for target, rate in fastest_rates(problem, vm, source):
            if target in out or not problem.hosts.in_service[target] or not _fits(problem, moment, vm, target, rate):
                continue
            end_s = moment.now_s + int(problem.vms.duration_s[vm, rate])
            ready = list(moment.ready_s)
            ready[vm] = end_s + int(problem.vms.notice_s[vm])
            place = list(moment.place)
            place[vm] = target
            leaving = tuple(sorted([*moment.leaving, (vm, source, end_s, rate)]))
            found.append(replace(moment, place=tuple(place), ready_s=tuple(ready), leaving=leaving))
    return found


def _fits(problem: Problem, moment: Moment, vm: int, target: int, rate: int) -> bool:
    there = [other for other, host in enumerate(moment.place) if host == target]
    there += [other for other, source, _, _ in moment.leaving if source == target]
    used = problem.vms.demand[[*there, vm]].sum(axis=0)
    if (used > problem.hosts.capacity[target]).any():
        return False
    rates_mbit_s, network = problem.vms.rates_mbit_s, problem.network
    source = moment.place[vm]
    sent = sum(int(rates_mbit_s[other]) for _, host, _, other in moment.leaving if host == source)
    received = sum(int(rates_mbit_s[other]) for at, _, _, other in moment.leaving if moment.place[at] == target)
    rate_mbit_s = int(rates_mbit_s[rate])
    return bool(
        sent + rate_mbit_s <= network.egress_mbit_s[source] and received + rate_mbit_s <= network.ingress_mbit_s[target]
    )
