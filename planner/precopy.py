"""How long a migration takes, how long the guest stands still, and what crosses the network.

One model for whole fleets: every argument is an array (or broadcasts to one), every result an array.

Symbols, beside the fields they stand for:

===========  ==========================================================================================
``M``        ``memory_mib``, sent once in the first round
``H``        ``hot_mib``, at most ``M``: the writable working set, re-sent in the blackout
``C``        ``M - H``, the cold pages
``D``        ``dirty_mib_s``: rate at which cold pages are dirtied
``R``        MiB/s that carry guest memory: ``bandwidth_mbit_s`` times ``rules.goodput``
``lambda``   ``D / R``
===========  ==========================================================================================

Round 0 sends ``M``; round ``i`` sends the cold pages dirtied during the round before: ``V1 = min(C, lambda M)``,
then ``V1 lambda^(i-1)``.  The guest is paused after the first round whose remainder fits: ``n`` is the smallest number
of rounds with ``(V1 lambda^(n-1) + H) / R + switchover <= limit``.  A later pause would shorten the blackout below
what was asked and lengthen the brownout, the bytes and the time that capacity is held twice, so the earliest is taken.

References
----------
Clark et al., "Live Migration of Virtual Machines", NSDI 2005 (rounds, writable working set, 30 rounds at most).
Liu et al., "Performance and Energy Modeling for Live Migration of Virtual Machines", HPDC 2011 (geometric rounds).
Kherbache et al., "Scheduling Live-Migrations for Fast, Adaptable and Energy-Efficient Relocation Operations", UCC 2015
(hot and cold pages).
QEMU, ``docs/devel/migration`` and ``migration/ram.c`` (auto-converge steps, post-copy).
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from slacktide import units
from slacktide.planner.plan import STRATEGIES
from slacktide.planner.policy import MigrationRules

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

MAX_ROUNDS: Final = 30
"""Rounds after which a copy is given up as not converging.

Xen pauses the guest after 30 rounds whatever is left (Clark 2005); a copy that needs more has ``lambda`` above about
0.8 and sends the memory five times.  A higher limit trades guest throttling for still longer brownouts.
"""

THROTTLE_STEPS: Final = (0.0, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.99)
"""Share of its CPU time that auto-converge takes from the guest, step by step.

QEMU's defaults: ``cpu-throttle-initial`` 20, ``cpu-throttle-increment`` 10, ``max-cpu-throttle`` 99.
"""

ROUNDS_PER_THROTTLE_STEP: Final = 2
"""QEMU raises the throttle after every second round in which the guest dirtied too much."""

PRECOPY, AUTOCONVERGE, POSTCOPY, RESTART = (
    STRATEGIES.index(name) for name in ("precopy", "autoconverge", "postcopy", "restart")
)
NO_STRATEGY: Final = -1
"""No allowed strategy keeps the blackout limit, or a figure is unknown."""

CEIL_TOLERANCE: Final = 1e-9
"""Seconds by which a sum may exceed a whole second through rounding of doubles and still count as that second."""


@dataclass(frozen=True, slots=True)
class MigrationEstimate:
    """What one migration each will cost; all arrays have the broadcast shape of the arguments."""

    strategy: NDArray[np.int8]
    """Index into :data:`slacktide.planner.plan.STRATEGIES`; -1: none works, and the other figures are void."""
    duration_s: NDArray[np.int64]
    """Whole seconds from start to end: setup, brownout, blackout and forwarding, rounded up; void: -1."""
    brownout_s: Floats
    """Seconds of copying while the guest runs: before the blackout, and for post-copy also after; void: NaN."""
    blackout_ms: Floats
    """Milliseconds in which the guest runs nowhere; void: NaN."""
    transfer_mib: Floats
    """MiB sent, local disk included; void: NaN."""
    rounds: NDArray[np.int64]
    """Rounds of copying before the guest is paused."""
    converges: Bools
    """Whether pre-copy alone, without slowing the guest, keeps the blackout limit."""


@dataclass(frozen=True, slots=True)
class _Copy:
    """One strategy's figures, flat; ``works`` says where they hold."""

    works: Bools
    brownout_mib: Floats
    """Memory sent while the guest runs."""
    blackout_mib: Floats
    """Memory sent while it does not."""
    rounds: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Guests:
    """The arguments, flat and of one length, in MiB, MiB/s and seconds."""

    memory: Floats
    hot: Floats
    dirty: Floats
    rate: Floats
    pause: Floats
    """Seconds of the blackout limit left for sending, after the switchover; negative: none."""

    def take(self, rows: NDArray[np.intp]) -> "_Guests":
        return _Guests(self.memory[rows], self.hot[rows], self.dirty[rows], self.rate[rows], self.pause[rows])


def estimate(
    memory_mib: ArrayLike,
    hot_mib: ArrayLike,
    dirty_mib_s: ArrayLike,
    local_disk_mib: ArrayLike,
    blackout_limit_ms: ArrayLike,
    bandwidth_mbit_s: ArrayLike,
    rules: MigrationRules,
) -> MigrationEstimate:
    """Return the gentlest allowed way to migrate each guest live, and what it costs.

    The ladder: pre-copy if it keeps the blackout limit within :data:`MAX_ROUNDS`; else auto-converge; else post-copy;
    each only if ``rules.strategies`` names it.  ``blackout_limit_ms`` NaN means ``rules.blackout_limit_ms``; NaN in any
    other argument, or a bandwidth not above 0, gives strategy -1: what to assume is the caller's to say.  Within one
    strategy, more bandwidth never lengthens a migration.

    The local disk is copied before the memory, at the same bandwidth, once; what the guest writes to it meanwhile is
    mirrored and not modelled.
    """
    memory, hot, dirty, disk, limit, bandwidth = np.broadcast_arrays(
        *(
            np.asarray(argument, dtype=np.float64)
            for argument in (memory_mib, hot_mib, dirty_mib_s, local_disk_mib, blackout_limit_ms, bandwidth_mbit_s)
        )
    )
    shape = memory.shape
    known = np.isfinite(memory) & np.isfinite(hot) & np.isfinite(dirty) & np.isfinite(disk) & (bandwidth > 0)
    known = known.ravel()
    limit_ms = np.where(np.isnan(limit), float(rules.blackout_limit_ms), limit)
    guests = _Guests(
        memory.ravel(),
        np.minimum(hot, memory).ravel(),
        dirty.ravel(),
        units.mib_s(bandwidth * rules.goodput).ravel(),
        ((limit_ms - rules.switchover_ms) / 1000).ravel(),
    )
    strategy, chosen = _ladder(guests, known, rules)
    sending_s = (chosen.brownout_mib + disk.ravel()) / np.where(known, guests.rate, 1.0)
    pause_s = chosen.blackout_mib / np.where(known, guests.rate, 1.0) + rules.switchover_ms / 1000
    return _estimate(strategy, sending_s, pause_s, chosen, disk.ravel(), rules, shape)


def estimate_restart(
    local_disk_mib: ArrayLike, bandwidth_mbit_s: ArrayLike, rules: MigrationRules
) -> MigrationEstimate:
    """Return what it costs to shut each guest down, move it and boot it again.

    The guest stands still for ``rules.restart_s`` and while its local disk is copied; memory is not sent.  Bandwidth
    matters only where there is a local disk; without it, 0 is enough.
    """
    disk, bandwidth = np.broadcast_arrays(
        np.asarray(local_disk_mib, dtype=np.float64), np.asarray(bandwidth_mbit_s, dtype=np.float64)
    )
    shape, disk, bandwidth = disk.shape, disk.ravel(), bandwidth.ravel()
    works = (disk == 0) | ((disk > 0) & (bandwidth > 0))
    rate = np.where(bandwidth > 0, units.mib_s(bandwidth * rules.goodput), 1.0)
    nothing = np.zeros(disk.shape)
    copy = _Copy(works, nothing, nothing, np.zeros(disk.shape, dtype=np.int64))
    strategy = np.where(works, RESTART, NO_STRATEGY).astype(np.int8)
    return _estimate(strategy, nothing, rules.restart_s + disk / rate, copy, disk, rules, shape)


def _ladder(guests: _Guests, known: Bools, rules: MigrationRules) -> tuple[NDArray[np.int8], _Copy]:
    strategy = np.full(known.shape, NO_STRATEGY, dtype=np.int8)
    chosen = _Copy(known, np.zeros(known.shape), np.zeros(known.shape), np.zeros(known.shape, dtype=np.int64))
    for index, name, attempt in (
        (PRECOPY, "precopy", _precopy),
        (AUTOCONVERGE, "autoconverge", _autoconverge),
        (POSTCOPY, "postcopy", _postcopy),
    ):
        open_ = np.flatnonzero(known & (strategy == NO_STRATEGY))
        if name not in rules.strategies or not len(open_):
            continue
        copy = attempt(guests.take(open_))
        taken = open_[copy.works]
        strategy[taken] = index
        chosen.brownout_mib[taken] = copy.brownout_mib[copy.works]
        chosen.blackout_mib[taken] = copy.blackout_mib[copy.works]
        chosen.rounds[taken] = copy.rounds[copy.works]
    return strategy, chosen


def _precopy(guests: _Guests) -> _Copy:
    """Return the geometric rounds in closed form."""
    ratio = guests.dirty / guests.rate
    cold = guests.memory - guests.hot
    second = np.minimum(cold, ratio * guests.memory)
    allowed = guests.rate * guests.pause - guests.hot
    with np.errstate(all="ignore"):
        further = np.ceil(np.log(allowed / second) / np.log(ratio) - CEIL_TOLERANCE)
        further = np.where(second <= allowed, 0.0, further)
        works = (allowed >= 0) & ((second <= allowed) | ((allowed > 0) & (ratio < 1)))
        works &= 1 + further <= MAX_ROUNDS
        further = np.where(works, further, 0.0)
        rest = second * np.where(further > 0, ratio**further, 1.0)
        resent = np.where(further > 0, second * (1 - ratio**further) / (1 - ratio), 0.0)
    # The tolerance above may leave a remainder larger than allowed by a rounding error; the limit is a promise.
    return _Copy(works, guests.memory + resent, np.minimum(rest, allowed) + guests.hot, 1 + further.astype(np.int64))


def _autoconverge(guests: _Guests) -> _Copy:
    """Return rounds in which the guest is throttled more and more.

    A guest that runs a share ``1 - p`` of the time dirties ``(1 - p) D`` cold and re-dirties ``(1 - p) H`` hot pages
    in a round: the model takes dirtying as proportional to running time.  The hot pages are sent in every round, as
    QEMU does.  Guests that dirty from threads which the throttle does not reach converge later than this says.
    """
    cold = guests.memory - guests.hot
    size = guests.memory.copy()
    brownout = np.zeros_like(size)
    blackout = np.zeros_like(size)
    rounds = np.zeros(size.shape, dtype=np.int64)
    open_ = np.ones(size.shape, dtype=np.bool_)
    for number in range(MAX_ROUNDS):
        step = min(number // ROUNDS_PER_THROTTLE_STEP, len(THROTTLE_STEPS) - 1)
        running = 1.0 - THROTTLE_STEPS[step]
        brownout[open_] += size[open_]
        dirtied = np.minimum(cold, running * guests.dirty * size / guests.rate) + running * guests.hot
        fits = open_ & (dirtied <= guests.rate * guests.pause)
        blackout[fits] = dirtied[fits]
        rounds[fits] = number + 1
        open_ &= ~fits
        size = dirtied
    return _Copy(~open_, brownout, blackout, rounds)


def _postcopy(guests: _Guests) -> _Copy:
    """Return one round of pre-copy, after which the guest runs on the target and fetches what it has re-dirtied.

    The blackout is the switchover alone.  What is fetched afterwards, cold pages dirtied in the round and the hot set,
    slows the guest and holds the source, so it counts as brownout.
    """
    cold = guests.memory - guests.hot
    fetched = np.minimum(cold, guests.dirty * guests.memory / guests.rate) + guests.hot
    works = guests.pause >= 0
    return _Copy(works, guests.memory + fetched, np.zeros_like(fetched), np.ones(fetched.shape, dtype=np.int64))


def _estimate(
    strategy: NDArray[np.int8],
    sending_s: Floats,
    pause_s: Floats,
    copy: _Copy,
    disk_mib: Floats,
    rules: MigrationRules,
    shape: tuple[int, ...],
) -> MigrationEstimate:
    """Return the figures of a chosen strategy, void where there is none, in the arguments' shape."""
    works = strategy != NO_STRATEGY
    total_s = np.where(works, rules.setup_s + sending_s + pause_s + rules.forwarding_s, 0.0)
    duration = np.where(works, np.ceil(total_s - CEIL_TOLERANCE), -1).astype(np.int64)

    def valid(values: Floats) -> Floats:
        return np.where(works, values, np.nan).reshape(shape)

    return MigrationEstimate(
        strategy.reshape(shape),
        duration.reshape(shape),
        valid(sending_s),
        valid(pause_s * 1000),
        valid(copy.brownout_mib + copy.blackout_mib + disk_mib),
        np.where(works, copy.rounds, 0).reshape(shape),
        (strategy == PRECOPY).reshape(shape),
    )
