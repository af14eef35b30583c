"""Schedules to and from the variables of an encoded problem: hints that go in, solutions that come out."""

from collections import Counter

import numpy as np
from ortools.sat.python.cp_model import IntVar

from slacktide.planner.encoding import Encoding
from slacktide.planner.listing.decisions import Schedule
from slacktide.planner.problem import NO_LIMIT


def add_hint(encoding: Encoding, hint: Schedule) -> None:
    """Hint the model with a schedule, as far as it knows the schedule's moves."""
    values: dict[int, tuple[IntVar, int]] = {}

    def say(variable: IntVar, value: int) -> None:
        values[variable.index] = (variable, value)

    for variable in _variables(encoding):
        say(variable, 0)
    for row, host in enumerate(hint.host.tolist()):
        out = encoding.outs[host]
        say(out.patched, 1)
        say(out.drain_start_s, int(hint.drain_start_s[row]))
        say(out.drained_s, int(hint.drained_s[row]))
        say(out.return_s, int(hint.return_s[row]))
        if encoding.canary:
            say(encoding.canary[host], int(hint.wave[row] == 0))
    number: Counter[int] = Counter()
    for row in np.lexsort((hint.start_s, hint.vm)).tolist():
        vm, source, target = int(hint.vm[row]), int(hint.source[row]), int(hint.target[row])
        number[vm] += 1
        leg = encoding.legs.get((vm, number[vm], source, target))
        if leg is not None:
            say(leg.present, 1)
            say(leg.move.present, 1)
            say(leg.move.start_s, int(hint.start_s[row]))
            say(leg.move.end_s, int(hint.end_s[row]))
    for _, (variable, value) in sorted(values.items()):
        encoding.model.add_hint(variable, value)


def _variables(encoding: Encoding) -> list[IntVar]:
    """Return the variables that say everything but the stops."""
    found = [leg.present for leg in encoding.legs.values()] + list(encoding.canary.values())
    for move in encoding.moves.values():
        found += [move.present, move.start_s, move.end_s]
    for out in encoding.outs.values():
        found += [out.patched, out.drain_start_s, out.drained_s, out.return_s]
    return found


def schedule_of(encoding: Encoding, values: list[int]) -> Schedule:
    """Return a solution, its variables' values by index, as a schedule; drains are no longer than their migrations."""
    legs = [leg for leg in encoding.legs.values() if values[leg.present.index]]
    legs.sort(key=lambda leg: (values[leg.move.start_s.index], leg.vm))
    moved = np.array(
        [
            (leg.vm, leg.source, leg.target, values[leg.move.start_s.index], values[leg.move.end_s.index], leg.rate)
            for leg in legs
        ],
        np.int64,
    ).reshape(-1, 6)
    rows = []
    for host, out in encoding.outs.items():
        if not values[out.patched.index]:
            continue
        leaving = moved[moved[:, 1] == host]
        begin_s = int(leaving[:, 3].min(initial=NO_LIMIT)) if len(leaving) else values[out.drain_start_s.index]
        drained_s = int(leaving[:, 4].max(initial=0)) if len(leaving) else begin_s
        wave = int(bool(encoding.canary) and not values[encoding.canary[host].index])
        rows.append((host, wave, begin_s, drained_s, drained_s + int(encoding.problem.hosts.maintenance_s[host])))
    rows.sort(key=lambda row: (row[2], row[0]))
    return Schedule(*np.array(rows, np.int64).reshape(-1, 5).T.copy(), *moved.T.copy())
