"""The arrays that an execution on paper works on; all of them numbered as in the problem."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

WAITING, READY, SETUP, DISK, ROUNDS, BLACKOUT, PAUSE, FETCH, FORWARDING, DONE = range(10)
"""Where a move is: not yet allowed to start; allowed; preparing; copying the local disk; copying memory while the guest
runs; copying it while the guest stands still; switching over or booting; fetching what was left behind; forwarding."""

AT_RETURN, AT_END, AT_PHASE, AT_OPENING, AT_RELEASE = range(5)
"""What happens at a moment: a host returns, a move ends, a phase of a move ends, a wave opens, a notice is over."""

NO_NUMBER = -1
NO_LIMIT = 2**40


class Moves(NamedTuple):
    """What does not change about the moves, in the order in which the plan starts them; M moves."""

    vm: Ints
    source: Ints
    target: Ints
    owner: Ints  # host whose drain, or whose return, the move belongs to
    back: Ints  # 1: to a host that has returned, not out of one that drains
    after_return: Ints  # host that must have returned, -1: none
    in_drain: Ints  # 1: that host returned in the plan only after the owner had begun to drain
    after_move: Ints  # the VM's move before, -1: none
    arrival_for: Ints  # host that drains only after this move, -1: none
    notice_s: Ints
    vcpus: Ints
    memory_mib: Ints  # room that it takes
    sent_mib: Ints  # memory that is sent at first
    service: Ints  # -1: none
    restart: Ints  # 1: shut down and booted again
    hot_mib: Floats
    dirty_mib_s: Floats
    disk_mib: Floats
    limit_s: Floats  # blackout limit


class Hosts(NamedTuple):
    """What does not change about the hosts; N hosts, G groups, R reserves."""

    order: Ints  # hosts to drain, in the plan's order
    wave: Ints  # (N,) -1: not drained
    late: Ints  # (N,) 1: in the plan it drains before all targets have returned
    maintenance_s: Ints
    capacity: Ints  # (N, 2)
    free: Ints  # (N, 2) at the start
    out_groups: Ints  # (N, kinds)
    out_limit: Ints  # (G,)
    reserve_groups: Ints  # (N, families)
    reserve: Ints  # (R, 2)
    reserve_free: Ints  # (R, 2) at the start
    outgoing: Ints  # (N,) moves that may leave a host at once
    incoming: Ints  # (N,)


class Waves(NamedTuple):
    """Which wave waits for which; W waves."""

    behind: Ints  # wave that must be complete before, -1: none
    bake_s: Ints
    pending: Ints  # hosts and moves back that make it complete


class Links(NamedTuple):
    """What streams share; nodes 0..N-1 are the hosts sending, N..2N-1 receiving; B bundles."""

    limit_mbit_s: Floats  # (2 N + B,)
    hosts: int
    access_class: Ints
    classes: int
    route_start: Ints
    route_bundle: Ints
    route_share: Floats


class Rules(NamedTuple):
    """The constants and the migration rules."""

    cluster: int  # moves under way at once
    mib_per_mbit: float  # guest memory carried by one megabit
    setup_s: float
    forwarding_s: float
    switchover_s: float
    restart_s: float
    autoconverge: bool
    postcopy: bool
    slot_s: float  # moves start and end on multiples of this
    everywhere: bool  # share all links anew at every change, not only those that it can reach


class Lists(NamedTuple):
    """Moves by source, target, owner and service; hosts by the return they wait for."""

    source_start: Ints
    source_moves: Ints
    target_start: Ints
    target_moves: Ints
    owner_start: Ints
    owner_moves: Ints
    service_start: Ints
    service_moves: Ints
    service_limit: Ints
    return_start: Ints
    return_moves: Ints
    next_move: Ints  # (M,) the VM's move after, -1: none


class Course(NamedTuple):
    """What changes about moves, and what is measured; M moves."""

    phase: Ints
    version: Ints
    wait: Ints  # things that must happen before the move is ready
    release_s: Floats
    start_s: Floats
    end_s: Floats
    rate: Floats  # Mbit/s
    since_s: Floats  # when `left` and `dirtied` were right
    left_mib: Floats
    dirtied_mib: Floats  # cold pages, in this round
    round: Ints
    strategy: Ints
    entered_s: Floats  # when the phase began
    brownout_s: Floats
    blackout_s: Floats
    sent_mib: Floats


class Fleet(NamedTuple):
    """What changes about hosts, groups and waves."""

    wait: Ints  # (N,) things that must happen before the host may drain
    state: Ints  # (N,) 0: not yet, 1: draining, 2: drained, 3: returned
    moves_left: Ints  # (N,)
    drain_start_s: Floats
    drained_s: Floats
    return_s: Floats
    free: Ints
    reserve_free: Ints
    out_count: Ints
    sending: Ints  # (N,) moves under way from a host
    receiving: Ints
    moving: Ints  # (S,)
    wave_pending: Ints
    wave_open: Ints
    counters: Ints  # moves under way, streams sending, hosts let out against a limit, unfinished


class Shares(NamedTuple):
    """Work space of sharing: nodes of the links, streams."""

    use: Floats  # (2 N + B,) present sum of rates
    left: Floats
    weight: Floats
    count: Ints  # streams of the component on a node
    node_mark: Ints
    nodes: Ints
    stream_mark: Ints
    streams: Ints
    rate: Floats  # (M,)
    active: Ints  # streams that send, in no order
    place: Ints  # (M,) where in `active`
    stamp: Ints
