"""The due hosts as a fluid: how many of each class come back in each slot of time, as a linear program.

Hosts that are alike (failure domains of like shape, machine type, patch time, weight, time out) form a class, and only
the number of hosts of a class that return in a slot is decided.  What is left of the problem is small however large the
fleet, and two questions are put to it:

bound
    With everything rounded in favour of the plan, no plan has less exposure than the program's optimum (the proof is in
    docs/model.md).  Unlike the other bounds it sees fleet, failure domains and memory together, and which hosts can go
    first at all.
profile
    With times as they are expected, it says when hosts of each class should leave so that all limits are used to the
    end: the order of list scheduling comes from it (:mod:`slacktide.planner.orders`).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array, vstack

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

TOLERANCE = 1e-9
"""By which share a bound is lowered for what doubles lose."""
FEWEST_SLOTS = 160
MOST_SLOTS = 400
"""Slots of a horizon at most: the program's time grows with their square, and the last ones change the third digit."""
SLOTS_PER_SPAN = 40
"""Slots that a mean time out is cut into where that gives neither too few nor too many slots."""
TOO_LATE = 4.0
"""What a profile pays for a host that returns after its horizon, in horizons: it is to end in time if it can."""
SLOT_TRIES = 64
"""Lengths of a slot that are compared by how much of the times out they round away."""
PROFILE_SLOTS = (180, 400)
"""Slots of a profile, from fewest to most: times out are rounded up to whole ones, and the best length loses least."""
FORGIVEN = 0.1
"""Part of a slot by which a profile rounds times out down: who is out longer than most of a class is few."""


@dataclass(frozen=True)
class Classes:
    """Hosts that are alike; G classes, C caps."""

    hosts: Floats
    """How many, shape (G,)."""
    out_s: Floats
    """How long each is out, shape (G,)."""
    patch_s: Floats
    earliest_s: Floats
    """Return if nothing else were to be done."""
    weight: Floats
    """What each counts in the exposure."""
    amounts: Floats
    """vCPUs and memory that each takes while it is patched, shape (G, 2)."""
    member: NDArray[np.bool_]
    """Which classes each cap on hosts out is over, shape (C, G)."""
    most_out: Floats
    """The caps, shape (C,)."""
    room: Floats
    """vCPUs and memory that may be taken at once, shape (2,)."""
    canary: int
    """Hosts that need not wait for ``gate_s``."""
    gate_s: float


@dataclass(frozen=True)
class Flow:
    """What the program says."""

    slot_s: float
    returned: Floats
    """Hosts of each class that have returned by the end of each slot after the gate, shape (G, slots)."""
    bound_s: float
    """Proven lower limit on the objective of the program: the weighted sum of return times, in seconds."""


def slot_length_s(classes: Classes, horizon_s: float) -> float:
    """Return a length of slots that rounds little of the times out away."""
    mean_s = float(np.average(classes.out_s, weights=classes.hosts * classes.out_s))
    wanted_s = min(max(mean_s / SLOTS_PER_SPAN, horizon_s / MOST_SLOTS), horizon_s / FEWEST_SLOTS)
    tried_s = np.linspace(0.8 * wanted_s, 1.25 * wanted_s, SLOT_TRIES)
    tried_s = tried_s[tried_s > 0]
    lost_s = np.mod(classes.out_s[:, None], tried_s[None, :]) * classes.hosts[:, None]
    return float(tried_s[np.argmin(lost_s.sum(axis=0) + tried_s * classes.hosts.sum() / 2)])


def profile_slot_s(classes: Classes, horizon_s: float) -> float:
    """Return a length of slots that adds little to the times out of a profile."""
    tried_s = horizon_s / np.linspace(*PROFILE_SLOTS, PROFILE_SLOTS[1] - PROFILE_SLOTS[0] + 1)
    added_s = (_rounded_up(classes.out_s[:, None] / tried_s) * tried_s - classes.out_s[:, None]) * classes.hosts[
        :, None
    ]
    return float(tried_s[np.argmin(np.maximum(added_s, 0.0).sum(axis=0))])


def _rounded_up(slots: Floats) -> Floats:
    return np.maximum(np.ceil(slots - FORGIVEN), 1.0)


def slots_of(classes: Classes, slot_s: float, *, expected: bool = False) -> tuple[Ints, Ints, Ints]:
    """Return for how many slots each class is out, for how many it takes room, and the first in which it may return."""
    if expected:
        out = room = _rounded_up(classes.out_s / slot_s).astype(np.int64)
    else:
        out, room = (np.floor(times / slot_s).astype(np.int64) for times in (classes.out_s, classes.patch_s))
    first_s = np.maximum(classes.out_s, classes.earliest_s - classes.gate_s)
    return out, room, np.ceil(first_s / slot_s * (1 - TOLERANCE)).astype(np.int64) - 1


def solve_flow(classes: Classes, horizon_s: float, slot_s: float, *, expected: bool = False) -> Flow | None:
    """Return the flow of least weighted exposure, None: the solver gave up.

    Hosts may also return after the horizon, counted as at its end, so there always is a flow.  ``expected`` rounds
    times up, as a profile wants it, and not in favour of the plan; and a host takes room from its drain on.
    """
    program = _Program(classes, max(2, int(np.ceil(horizon_s / slot_s))), slot_s)
    out, taking, first = slots_of(classes, slot_s, expected=expected)
    program.not_before(first)
    program.monotone()
    for member, most_out in zip(classes.member, classes.most_out, strict=True):
        program.at_once(member.astype(np.float64), out, most_out, whole=expected)
    for resource in range(2):
        if classes.room[resource] > 0:
            program.at_once(classes.amounts[:, resource] / classes.room[resource], taking, 1.0, whole=expected)
    program.canary()
    return program.solve(TOO_LATE if expected else 1.0)


class _Program:
    """Variables: hosts of each class returned by each slot, shape (G, slots); in the canary, (G,); too late, (G,)."""

    def __init__(self, classes: Classes, slots: int, slot_s: float) -> None:
        self.classes, self.slots, self.slot_s = classes, slots, slot_s
        self.count = len(classes.hosts)
        self.columns = self.count * (slots + 2)
        self._rows: list[csr_array] = []
        self._limits: list[Floats] = []
        self._upper = np.concatenate([np.repeat(classes.hosts, slots), classes.hosts, classes.hosts])

    def not_before(self, first: Ints) -> None:
        """Let no host of a class return before its first slot."""
        returned = self._upper[: self.count * self.slots].reshape(self.count, self.slots)
        returned[np.arange(self.slots)[None, :] < first[:, None]] = 0.0

    def monotone(self) -> None:
        """Let nobody who has returned leave again."""
        before = self._place(np.arange(self.count)[:, None], np.arange(self.slots - 1)[None, :]).ravel()
        row = np.arange(len(before))
        values = np.repeat([1.0, -1.0], len(row))
        self._add(np.tile(row, 2), np.concatenate([before, before + 1]), values, len(row), 0.0)

    def at_once(self, amount: Floats, length: Ints, limit: float, *, whole: bool) -> None:
        """Limit what the hosts take that are within ``length`` slots before their return.

        Rows behind the first that all returns to the end are in follow from it, for they have fewer of them.  They are
        kept if ``whole``: which of flows alike in their cost is found depends on them.
        """
        group = np.flatnonzero((amount > 0) & (length > 0))
        height = self.slots if whole else max(1, self.slots + 1 - int(length[group].min(initial=self.slots)))
        slot = np.arange(height)
        until = self._place(group[:, None], np.minimum(slot[None, :] + length[group, None] - 1, self.slots - 1))
        since = self._place(group[:, None], slot[None, 1:] - 1)
        rows = np.concatenate([np.tile(slot, len(group)), np.tile(slot[1:], len(group))])
        values = np.concatenate([np.repeat(amount[group], height), np.repeat(-amount[group], height - 1)])
        self._add(rows, np.concatenate([until.ravel(), since.ravel()]), values, height, limit)

    def canary(self) -> None:
        """Limit the hosts that need not wait for the gate."""
        group = np.arange(self.count)
        column = self.count * self.slots + group
        self._add(np.zeros(self.count, np.int64), column, np.ones(self.count), 1, float(self.classes.canary))

    def solve(self, too_late: float) -> Flow | None:
        """Return the flow and the bound that its dual proves; returns after the horizon cost ``too_late`` times it."""
        classes, group = self.classes, np.arange(self.count)
        last = self._place(group, np.full(self.count, self.slots - 1))
        ahead, late = self.count * self.slots + group, self.count * (self.slots + 1) + group
        cost = np.zeros(self.columns)
        cost[: self.count * self.slots] = np.repeat(-classes.weight * self.slot_s, self.slots)
        cost[last] = classes.weight * (classes.gate_s + (self.slots - 1) * self.slot_s)
        cost[ahead] = classes.weight * classes.earliest_s
        cost[late] = classes.weight * (classes.gate_s + self.slots * self.slot_s * too_late)
        everyone = csr_array(
            coo_array(
                (np.ones(3 * self.count), (np.tile(group, 3), np.concatenate([last, ahead, late]))),
                shape=(self.count, self.columns),
            )
        )
        from scipy.optimize import linprog  # takes long to load, and a revision does without

        rows, limits = csr_array(vstack(self._rows)), np.concatenate(self._limits)
        found = linprog(  # type: ignore[call-overload]  # the stubs know no sparse rows
            cost,
            A_ub=rows,
            b_ub=limits,
            A_eq=everyone,
            b_eq=classes.hosts,
            bounds=np.stack([np.zeros(self.columns), self._upper], axis=1),
            method="highs-ipm",
        )
        if found.status != 0:
            return None
        duals, free_duals = np.minimum(found.ineqlin.marginals, 0.0), found.eqlin.marginals
        reduced = cost - rows.T @ duals - everyone.T @ free_duals
        bound_s = limits @ duals + classes.hosts @ free_duals + np.minimum(reduced, 0.0) @ self._upper
        returned = found.x[: self.count * self.slots].reshape(self.count, self.slots)
        return Flow(self.slot_s, returned, float(bound_s) * (1 - TOLERANCE))

    def _place(self, group: Ints, slot: Ints) -> Ints:
        return group * self.slots + slot

    def _add(self, rows: Ints, columns: Ints, values: Floats, height: int, limit: float) -> None:
        self._rows.append(csr_array(coo_array((values, (rows, columns)), shape=(height, self.columns))))
        self._limits.append(np.full(height, limit))
