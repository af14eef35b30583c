"""Which wave a host may leave with, and when the next wave may start."""

from typing import NamedTuple

import numpy as np

from slacktide.planner.compiled import inlined, internal
from slacktide.planner.listing.arrays import FAR, Ints

BARRIER_S, WAVE, LABEL, MEMBERS, DRAINING = 0, 1, 2, 3, 4
"""Places in a gate: when the next wave may start, its number, the promised number of the one before, its hosts, and how
many of these drain without an end in sight."""


class Terms(NamedTuple):
    """How a pass goes about it."""

    canary_hosts: int
    canary_bake_s: int
    strict: bool
    """Every wave waits for the one before."""
    bake_s: int
    wave_hosts: int
    reach: int
    """Targets looked at for one VM."""
    pace_s: int
    """Least time between two moments at which waiting hosts are tried."""
    scatter_until_s: int
    """Until when VMs with a long notice may go to hosts still to be drained, their next notice included."""
    longest_pause: int
    """Returns that a host lets pass at most before it tries again to find room."""
    opens_s: int = 0
    """When the first host may leave; guests are notified before."""
    complete: bool = True
    """The canary waits until it has all its hosts; what is left of one in a revision does not."""
    in_turn: bool = False
    """A host that is too large for what is free is waited for; otherwise smaller ones overtake it."""
    promised_first: bool = False
    """Nobody else leaves before the last promised host has."""


@inlined
def is_strict(terms: Terms, wave: int) -> bool:
    """Return whether the wave after ``wave`` waits for it."""
    return terms.strict or (wave == 0 and terms.canary_hosts > 0)


@inlined
def most_hosts(terms: Terms, wave: int) -> int:
    """Return how many hosts a wave may have."""
    return terms.canary_hosts if wave == 0 and terms.canary_hosts > 0 else terms.wave_hosts


@inlined
def is_open(gate: Ints, at_s: int) -> bool:
    """Return whether a wave may start."""
    return at_s >= gate[BARRIER_S] and gate[DRAINING] == 0


@inlined
def opens_later_s(gate: Ints, at_s: int) -> int:
    """Return when the next wave may start, if that is later than ``at_s`` and known; else a time after all others."""
    return gate[BARRIER_S] if gate[BARRIER_S] > at_s else np.int64(FAR)


@inlined
def is_incomplete(terms: Terms, gate: Ints) -> bool:
    """Return whether the canary has begun and waits for more hosts: nobody else leaves before it has all."""
    return terms.complete and gate[WAVE] == 1 and gate[MEMBERS] < terms.canary_hosts


@internal
def may_join(terms: Terms, gate: Ints, label: int) -> bool:
    """Return whether a host that was promised for the wave ``label`` may leave with the last wave."""
    last = gate[WAVE] - 1
    return last >= 0 and is_strict(terms, last) and gate[LABEL] == label and gate[MEMBERS] < most_hosts(terms, last)


@internal
def join_wave(terms: Terms, gate: Ints, return_s: int) -> int:
    """Count a host into the last wave, and return the wave's number."""
    last = gate[WAVE] - 1
    bake_s = terms.canary_bake_s if last == 0 and terms.canary_hosts > 0 else terms.bake_s
    gate[BARRIER_S] = max(gate[BARRIER_S], return_s + bake_s)
    gate[MEMBERS] += 1
    return last


@internal
def open_wave(terms: Terms, gate: Ints, label: int, hosts: int, return_s: int) -> None:
    """Let a wave of ``hosts`` start; where waves wait for each other the gate behind it closes."""
    wave = gate[WAVE]
    if not is_strict(terms, wave):
        return
    bake_s = terms.canary_bake_s if wave == 0 and terms.canary_hosts > 0 else terms.bake_s
    gate[BARRIER_S] = return_s + bake_s
    gate[WAVE] += 1
    gate[LABEL] = label
    gate[MEMBERS] = hosts
