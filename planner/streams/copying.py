"""The pre-copy model of one move, taken on step by step at whatever rate it has."""

import math

from slacktide.planner.compiled import compiled, inlined
from slacktide.planner.precopy import (
    AUTOCONVERGE,
    MAX_ROUNDS,
    NO_STRATEGY,
    POSTCOPY,
    PRECOPY,
    RESTART,
    ROUNDS_PER_THROTTLE_STEP,
    THROTTLE_STEPS,
)
from slacktide.planner.streams.arrays import (
    BLACKOUT,
    DISK,
    FETCH,
    FORWARDING,
    PAUSE,
    ROUNDS,
    SETUP,
    Course,
    Moves,
    Rules,
)

SENT = 1e-6
"""MiB that count as nothing left to send: less than a guest's smallest page, more than the rounding of terabytes."""
FITS = 1 + 1e-9
"""A remainder that exceeds what the limit allows by rounding alone fits."""


@inlined
def running_share(round_: int) -> float:
    """Return which share of the time a throttled guest runs in a round."""
    return 1.0 - THROTTLE_STEPS[min(round_ // ROUNDS_PER_THROTTLE_STEP, len(THROTTLE_STEPS) - 1)]


@inlined
def sends(phase: int) -> bool:
    """Return whether a move in this phase uses the network."""
    return phase in (DISK, ROUNDS, BLACKOUT, FETCH)


@compiled
def settle(moves: Moves, rules: Rules, course: Course, move: int, now: float) -> None:
    """Bring what is left, and what the guest has dirtied, up to date at the rate since the last time."""
    span_s = now - course.since_s[move]
    course.since_s[move] = now
    if span_s <= 0.0 or not sends(course.phase[move]):
        return
    sent = min(course.left_mib[move], course.rate[move] * rules.mib_per_mbit * span_s)
    course.left_mib[move] -= sent
    course.sent_mib[move] += sent
    if course.phase[move] == ROUNDS:
        running = running_share(course.round[move]) if course.strategy[move] == AUTOCONVERGE else 1.0
        cold = moves.sent_mib[move] - moves.hot_mib[move]
        dirtied = course.dirtied_mib[move] + running * moves.dirty_mib_s[move] * span_s
        course.dirtied_mib[move] = min(cold, dirtied)


@compiled
def further_rounds(ratio: float, rest: float, allowed: float) -> float:
    """Return after how many more rounds what is left fits at the present rate, infinity: never."""
    if rest <= allowed * FITS:
        return 0.0
    if allowed <= 0.0 or ratio >= 1.0:
        return math.inf
    return math.ceil(math.log(allowed / rest) / math.log(ratio) - 1e-9)


@compiled
def throttled_fits(moves: Moves, move: int, speed: float, allowed: float, size: float, round_: int) -> bool:
    """Return whether a guest that is slowed more and more gets its remainder within the limit, at the present rate."""
    cold = moves.sent_mib[move] - moves.hot_mib[move]
    for number in range(round_, MAX_ROUNDS):
        running = running_share(number)
        size = min(cold, running * moves.dirty_mib_s[move] * size / speed) + running * moves.hot_mib[move]
        if size <= allowed * FITS:
            return True
    return False


@compiled
def choose(moves: Moves, rules: Rules, course: Course, move: int, speed: float) -> int:
    """Return the gentlest strategy that keeps the limit if the present rate lasts, after a round, -1: none does."""
    pause_s = moves.limit_s[move] - rules.switchover_s
    rest, done = course.dirtied_mib[move], course.round[move] + 1
    allowed = speed * pause_s - moves.hot_mib[move]
    if course.strategy[move] != AUTOCONVERGE:
        more = further_rounds(moves.dirty_mib_s[move] / speed, rest, allowed)
        if allowed >= 0.0 and done + more <= MAX_ROUNDS:
            return PRECOPY
    if rules.autoconverge:
        left = rest + running_share(course.round[move]) * moves.hot_mib[move]
        if left <= speed * pause_s * FITS or throttled_fits(moves, move, speed, speed * pause_s, left, done):
            return AUTOCONVERGE
    if rules.postcopy and pause_s >= 0.0:
        return POSTCOPY
    return NO_STRATEGY


@compiled
def after_round(moves: Moves, rules: Rules, course: Course, move: int) -> int:
    """Decide what follows a round of copying, and return the phase: another round, the blackout or the switchover.

    A guest that no strategy serves at this rate is slowed, or copied on, until the last round, and then paused all the
    same: its blackout is longer than its limit.
    """
    speed = course.rate[move] * rules.mib_per_mbit
    chosen = choose(moves, rules, course, move, speed)
    if chosen != NO_STRATEGY:
        course.strategy[move] = chosen
    elif rules.autoconverge:
        course.strategy[move] = AUTOCONVERGE
    strategy, hot = course.strategy[move], moves.hot_mib[move]
    rest = course.dirtied_mib[move]
    pause_s = moves.limit_s[move] - rules.switchover_s
    if strategy == POSTCOPY:
        course.left_mib[move] = rest + hot
        return PAUSE
    again = rest
    if strategy == AUTOCONVERGE:
        hot *= running_share(course.round[move])
        again = rest + hot
    last = course.round[move] + 1 >= MAX_ROUNDS
    if rest + hot <= speed * pause_s * FITS or last:
        course.left_mib[move] = rest + hot
        return BLACKOUT
    course.left_mib[move] = again
    course.dirtied_mib[move] = 0.0
    course.round[move] += 1
    return ROUNDS


@compiled
def enter(moves: Moves, rules: Rules, course: Course, move: int, phase: int, now: float) -> int:
    """Begin a phase, skipping those with nothing to do, and return the phase that is begun."""
    if phase == DISK and (moves.disk_mib[move] == 0.0 or moves.restart[move] > 0):
        phase = BLACKOUT if moves.restart[move] > 0 else ROUNDS
    if phase == DISK or (phase == BLACKOUT and moves.restart[move] > 0):
        course.left_mib[move] = moves.disk_mib[move]
    elif phase == ROUNDS and course.phase[move] != ROUNDS:
        course.left_mib[move] = float(moves.sent_mib[move])
        course.dirtied_mib[move] = 0.0
        course.strategy[move] = PRECOPY
    if phase == BLACKOUT and course.left_mib[move] <= SENT:
        phase = PAUSE
    if phase == FETCH and course.left_mib[move] <= SENT:
        phase = FORWARDING
    course.phase[move] = phase
    course.entered_s[move] = now
    course.since_s[move] = now
    course.version[move] += 1
    return phase


@compiled
def next_phase(moves: Moves, rules: Rules, course: Course, move: int, now: float) -> int:
    """End a phase, its time added to brownout or blackout, and return the one that follows."""
    phase, span_s = course.phase[move], now - course.entered_s[move]
    if phase == SETUP:
        return DISK
    if phase == DISK:
        course.brownout_s[move] += span_s
        return ROUNDS
    if phase == ROUNDS:
        course.brownout_s[move] += span_s
        return after_round(moves, rules, course, move)
    if phase == BLACKOUT:
        course.blackout_s[move] += span_s
        return PAUSE
    if phase == PAUSE:
        course.blackout_s[move] += span_s
        return FETCH if course.strategy[move] == POSTCOPY else FORWARDING
    course.brownout_s[move] += span_s
    return FORWARDING


@compiled
def phase_ends_s(moves: Moves, rules: Rules, course: Course, move: int) -> float:
    """Return when the present phase ends if the rate stays as it is."""
    phase, begun_s = course.phase[move], course.entered_s[move]
    if phase == SETUP:
        return begun_s + rules.setup_s
    if phase == PAUSE:
        return begun_s + (rules.restart_s if course.strategy[move] == RESTART else rules.switchover_s)
    if phase == FORWARDING:
        return begun_s + rules.forwarding_s
    if course.left_mib[move] <= SENT:
        return course.since_s[move]
    if course.rate[move] <= 0.0:
        return math.inf
    return course.since_s[move] + course.left_mib[move] / (course.rate[move] * rules.mib_per_mbit)
