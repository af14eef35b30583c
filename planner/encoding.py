"""A small planning problem as a CP-SAT model, in the words of the problem: what the limits' ``encode`` write on.

Every due host may be *out* once.  Every VM on a due host makes some *legs*, at most ``most_legs``: the first leaves the
host where the VM is, each further one a due host that the leg before has brought it to and that is drained later.  A
leg runs at the fastest rate between its two hosts.  VMs on other hosts never move.  Between legs VMs *stop* on hosts.

The structure alone keeps a VM in one place and moves it only from where it is; everything else is a limit that a module
of :mod:`slacktide.planner.constraints` encodes.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import gcd

import numpy as np
from ortools.sat.python import cp_model
from ortools.sat.python.cp_model import CpModel, IntervalVar, IntVar, LinearExprT, LiteralT

from slacktide.planner.encoding_parts import Leg, Move, Out, Stop, Stream, Use
from slacktide.planner.problem import Problem


@dataclass(eq=False)
class Encoding:
    """The model and its variables; times are whole seconds in [0, ``horizon_s``]."""

    problem: Problem
    horizon_s: int
    most_legs: int
    canary_hosts: int
    """Hosts of the canary wave, 0: none."""
    model: CpModel = field(default_factory=cp_model.CpModel)
    always: IntVar = field(init=False)
    outs: dict[int, Out] = field(default_factory=dict)
    """By host, due hosts only."""
    canary: dict[int, IntVar] = field(default_factory=dict)
    """Whether a due host is in the canary wave, by host; filled by the limit on waves."""
    moves: dict[tuple[int, int], Move] = field(default_factory=dict)
    """By VM and number."""
    legs: dict[tuple[int, int, int, int], Leg] = field(default_factory=dict)
    """By VM, number, source and target."""
    stops: list[Stop] = field(default_factory=list)

    def __post_init__(self) -> None:
        hosts, vms = self.problem.hosts, self.problem.vms
        self.always = self.model.new_constant(1)
        for host in np.flatnonzero(hosts.due).tolist():
            self.outs[host] = self._out(host)
        for vm, host in enumerate(vms.host.tolist()):
            if host in self.outs:
                self._chain(vm, host)
            else:
                self.stops.append(Stop(vm, host, None, None, self.always))

    def stops_on(self, host: int) -> list[Stop]:
        """Return the stops that VMs may make on a host."""
        return [stop for stop in self.stops if stop.host == host]

    def finals_on(self, host: int) -> list[Stop]:
        """Return the stops on a host to which VMs come for good."""
        return [stop for stop in self.stops_on(host) if stop.came is not None and stop.goes is None]

    def relays_on(self, host: int) -> list[Stop]:
        """Return the stops on a host to which VMs come until it drains."""
        return [stop for stop in self.stops_on(host) if stop.came is not None and stop.goes is not None]

    def departures_from(self, host: int) -> list[Use]:
        """Return for each VM that leaves a due host the time from the start of its leg to the host's return."""
        out = self.outs[host]
        return [
            Use(stop.vm, self._interval(stop.goes.start_s, out.return_s, stop.present))
            for stop in self.stops_on(host)
            if stop.goes is not None
        ]

    def served_by(self, hosts: Iterable[int]) -> list[Use]:
        """Return when VMs are on these hosts while the hosts are in service: from their leg's start to the drain's."""
        uses = []
        for host in hosts:
            for stop in self.stops_on(host):
                until_s = self.horizon_s if stop.goes is None else self.outs[host].drain_start_s
                uses.append(self._stay(stop, until_s))
        return uses

    def stays_in(self, vms: Iterable[int], domain: frozenset[int]) -> list[Use]:
        """Return when VMs are in a set of hosts; one that moves within the set is there once."""
        wanted = frozenset(vms)
        uses = []
        for stop in self.stops:
            if stop.vm not in wanted or stop.host not in domain:
                continue
            if stop.goes is None:
                uses.append(self._stay(stop, self.horizon_s))
                continue
            for leg in self.legs_leaving(stop):
                until_s = leg.move.start_s if leg.target in domain else leg.move.end_s
                uses.append(Use(stop.vm, self._interval(stop.start_s, until_s, leg.present)))
        return uses

    def legs_leaving(self, stop: Stop) -> list[Leg]:
        """Return the legs that a VM may leave a stop by."""
        return [leg for leg in self.legs.values() if leg.move is stop.goes and leg.source == stop.host]

    def legs_from(self, host: int) -> list[Leg]:
        """Return the legs that may leave a host."""
        return [leg for leg in self.legs.values() if leg.source == host]

    def legs_to(self, host: int) -> list[Leg]:
        """Return the legs that may lead to a host."""
        return [leg for leg in self.legs.values() if leg.target == host]

    def legs_of(self, vms: Iterable[int]) -> list[Leg]:
        """Return the legs that these VMs may make."""
        wanted = frozenset(vms)
        return [leg for leg in self.legs.values() if leg.vm in wanted]

    def streams(self, legs: Iterable[Leg]) -> list[Stream]:
        """Return when migrations on any of these legs run, those that are alike together."""
        alike: dict[tuple[int, int, int, int], list[Leg]] = {}
        for leg in legs:
            alike.setdefault((leg.vm, leg.move.number, leg.rate, leg.duration_s), []).append(leg)
        streams = []
        for (_, _, rate, duration_s), group in alike.items():
            present, move = group[0].present, group[0].move
            if len(group) > 1:
                present = self.choice(f"one of {len(group)} like {present.name}")
                self.equal(present, sum(leg.present for leg in group))
            interval = self.model.new_optional_fixed_size_interval_var(
                move.start_s, duration_s, present, f"while {present.name}"
            )
            streams.append(Stream(rate, interval))
        return streams

    def out_of(self, hosts: Iterable[int]) -> list[Out]:
        """Return the times out of those of the hosts that are due."""
        return [self.outs[host] for host in hosts if host in self.outs]

    def choice(self, name: str) -> IntVar:
        """Return a new yes or no."""
        return self.model.new_bool_var(name)

    def time(self, name: str, later_s: int = 0) -> IntVar:
        """Return a new time, at most ``later_s`` after the horizon."""
        return self.model.new_int_var(0, self.horizon_s + later_s, name)

    def forbid(self, literal: IntVar) -> None:
        """Say that something is not chosen."""
        self.model.add(literal == 0)

    def at_least(self, larger: LinearExprT, smaller: LinearExprT, *given: LiteralT) -> None:
        """Say that ``larger >= smaller`` wherever all of ``given`` are chosen."""
        self.model.add(larger >= smaller).only_enforce_if(*given)

    def equal(self, left: LinearExprT, right: LinearExprT, *given: LiteralT) -> None:
        """Say that ``left == right`` wherever all of ``given`` are chosen."""
        self.model.add(left == right).only_enforce_if(*given)

    def at_most(self, limit: int, chosen: Sequence[IntVar], weights: Sequence[int], *given: LiteralT) -> None:
        """Say that what is chosen weighs at most ``limit`` together wherever all of ``given`` are chosen."""
        if sum(weights) > limit:
            self.at_least(limit, cp_model.LinearExpr.weighted_sum(chosen, weights), *given)

    def reduced(self, most: int, parts: Sequence[tuple[IntVar, int]]) -> IntVar | int:
        """Return ``most`` less the weights of the parts that are chosen, at least 0."""
        if not parts:
            return max(0, most)
        left = self.model.new_int_var(0, max(0, most), f"{most} less {len(parts)} parts")
        self.at_least(left, most - cp_model.LinearExpr.weighted_sum(*zip(*parts, strict=True)))
        return left

    def cumulative(self, intervals: Sequence[IntervalVar | None], demands: Sequence[IntVar | int], limit: int) -> None:
        """Say that what is going on at once never takes more than ``limit``; None goes on all the time."""
        pairs = list(zip(intervals, demands, strict=True))
        room = limit - sum(demand for interval, demand in pairs if interval is None and isinstance(demand, int))
        taking = [(interval, demand) for interval, demand in pairs if interval is not None]
        fixed = [demand for _, demand in taking if isinstance(demand, int)]
        if len(fixed) < len(taking):
            self.model.add_cumulative([interval for interval, _ in taking], [demand for _, demand in taking], room)
        elif sum(fixed) > room:
            unit = max(1, gcd(*fixed))
            self.model.add_cumulative(
                [interval for interval, _ in taking], [demand // unit for demand in fixed], room // unit
            )

    def _out(self, host: int) -> Out:
        name = self.problem.hosts.ids[host]
        patched = self.choice(f"{name} is patched")
        times = [self.time(f"{name} {what}") for what in ("starts to drain", "is drained", "returns")]
        for time_s in times:
            self.equal(time_s, 0, ~patched)
        drain_start_s, drained_s, return_s = times
        return Out(host, patched, drain_start_s, drained_s, return_s, self._interval(drain_start_s, return_s, patched))

    def _chain(self, vm: int, host: int) -> None:
        """Add a VM's moves, the legs that they may be and the stops between them."""
        first = self._move(vm, 1)
        stayed = self.choice(f"{self.problem.vms.ids[vm]} stays")
        self.model.add_exactly_one(stayed, first.present)
        self.stops.append(Stop(vm, host, None, None, stayed))
        here = [Stop(vm, host, None, first, first.present)]
        for number in range(1, self.most_legs + 1):
            self.stops.extend(here)
            move = self.moves[vm, number]
            arrivals: dict[int, list[IntVar]] = {}
            lasting: dict[int, list[IntVar]] = {}
            for stop in here:
                legs = self._legs(stop, move)
                self.model.add(sum(leg.present for leg in legs) == stop.present)
                for leg in legs:
                    arrivals.setdefault(leg.target, []).append(leg.present)
                    lasting.setdefault(leg.duration_s, []).append(leg.present)
            for duration_s, chosen in sorted(lasting.items()):
                for given in [move.present] if len(lasting) == 1 else chosen:
                    self.equal(move.end_s, move.start_s + duration_s, given)
            here = self._arrive(vm, move, arrivals)

    def _legs(self, stop: Stop, move: Move) -> list[Leg]:
        legs = []
        for target, rate in fastest_rates(self.problem, stop.vm, stop.host):
            names = self.problem.vms.ids[stop.vm], self.problem.hosts.ids[stop.host], self.problem.hosts.ids[target]
            duration_s = int(self.problem.vms.duration_s[stop.vm, rate])
            present = self.choice("{}: leg {} from {} to {}".format(names[0], move.number, *names[1:]))
            legs.append(Leg(stop.vm, stop.host, target, rate, move, duration_s, present))
            self.legs[stop.vm, move.number, stop.host, target] = legs[-1]
        return legs

    def _arrive(self, vm: int, came: Move, arrivals: dict[int, list[IntVar]]) -> list[Stop]:
        """Add the stops after a move, and return those that the VM leaves again."""
        again, relays = came.number < self.most_legs, []
        onward = self._move(vm, came.number + 1) if again else None
        for host in sorted(arrivals):
            name = f"{self.problem.vms.ids[vm]} after leg {came.number} on {self.problem.hosts.ids[host]}"
            final = self.choice(f"{name}, for good")
            self.stops.append(Stop(vm, host, came, None, final))
            present = [final]
            if onward is not None and host in self.outs:
                relay = self.choice(f"{name}, for a time")
                self.model.add_implication(relay, self.outs[host].patched)
                relays.append(Stop(vm, host, came, onward, relay))
                present.append(relay)
            self.model.add(sum(present) == sum(arrivals[host]))
        if onward is not None:
            self.model.add(sum(stop.present for stop in relays) == onward.present)
        return relays

    def _move(self, vm: int, number: int) -> Move:
        name = f"{self.problem.vms.ids[vm]} leg {number}"
        present = self.choice(f"{name} is made")
        move = Move(vm, number, present, self.time(f"{name} starts"), self.time(f"{name} ends"))
        for time_s in (move.start_s, move.end_s):
            self.equal(time_s, 0, ~present)
        if number > 1:
            self.at_least(move.start_s, self.moves[vm, number - 1].end_s, present)
        self.moves[vm, number] = move
        return move

    def _stay(self, stop: Stop, until_s: IntVar | int) -> Use:
        if stop.present is self.always:
            return Use(stop.vm, None)
        return Use(stop.vm, self._interval(stop.start_s, until_s, stop.present))

    def _interval(self, start_s: IntVar | int, end_s: IntVar | int, present: IntVar) -> IntervalVar:
        size_s: LinearExprT
        if isinstance(start_s, int) or isinstance(end_s, int):
            size_s = end_s - start_s
        else:
            size_s = self.time(f"from {start_s.name} until {end_s.name}")
        return self.model.new_optional_interval_var(start_s, size_s, end_s, present, f"while {present.name}")


def fastest_rates(problem: Problem, vm: int, source: int) -> list[tuple[int, int]]:
    """Return each host that a VM can be sent to from ``source``, with the number of the fastest rate to it."""
    network, vms = problem.network, problem.vms
    others = np.flatnonzero(np.arange(len(problem.hosts.ids)) != source)
    if vms.duration_s[vm, 0] >= 0:
        return [(target, 0) for target in others.tolist()]
    pair = network.access_class[source] * network.classes + network.access_class[others]
    path_mbit_s = np.minimum(network.path_mbit_s[pair], 1e15).astype(np.int64)
    most_mbit_s = np.minimum(np.minimum(network.egress_mbit_s[source], network.ingress_mbit_s[others]), path_mbit_s)
    rate = np.searchsorted(vms.rates_mbit_s, most_mbit_s, side="right") - 1
    possible = (rate >= 1) & (vms.duration_s[vm, rate] >= 0)
    return list(zip(others[possible].tolist(), rate[possible].tolist(), strict=True))
