"""The arrays that one pass of list scheduling works on.

Hosts, VMs, services, domains and bundles are numbered; amounts are integers; resource 0 is vCPUs, 1 memory.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

KEEPS = 0
"""Host in service that this plan does not drain, or that has returned: a VM moved there has moved once."""
DUE = 1
"""Host in service that is still to be drained: a VM moved there will move again."""
OUT = 2
"""Draining or being patched."""
CLOSED = 3
"""Takes no VM: down or quarantined."""

FAR = 2**62
"""A time after all others, in seconds."""
MOST_BUCKETS = 512
"""Lists of hosts by free capacity at most: one percent of a host between neighbours is close enough for a best fit."""
MOST_LEVELS = 62
"""Levels of the other resource in each of these lists at most: as many bits tell which of them have hosts.

Most hosts that have room for a VM's share of the scarcer resource have none of the other: without levels a pass over
100,000 hosts looked at 114 million hosts to find 0.7 million that had room.
"""
LISTS_PER_LOOK = 16
"""Part of the targets looked at that one list may use up: its hosts are alike, and so is what keeps a VM from them."""
ROUNDING_MBIT_S = 1e-6
"""A stream that fills a link exactly must not be kept out by the rounding of shares; the audit allows as much."""
STARTS_COMPARED = 8
"""Targets whose earliest starts are compared when all are busy: further ones seldom start a VM much earlier."""
IDLE_COMPARED = 16
"""Hosts of one list that are looked at for one that takes all VMs of another: the first idle one is as good as any."""
TOLERATED_DELAY_S = 15
"""A target that must wait this long for its NIC is as good as a free one: shorter than most migrations."""
PATIENCE_S = 300
"""How long a promised host waits for its targets, and each of its moves for links: longer than most campaigns are late
between one host and the next, shorter than most patches, so that nobody waits for one that overran.
"""
SHORT_NOTICE_S = 600
"""A VM with so short a notice may go to a host still to be drained at any time: the notice hardly delays the drain."""
MOST_DOUBLINGS = 6
"""A host that found no room tries again after twice as many returns, as far as the pass lets it wait, and at twice as
many targets, up to 64 times.

Without the wait the few hosts that are hard to place cost a large fleet most of its planning time; when nothing else
can start, all wait no longer and look at every target.
"""
ATTEMPTS_PER_MOMENT = 64
"""Waiting hosts that may fail to find room before the pass gives up until the next return: room is scarce then."""
ATTEMPTS_PER_START = 4
"""Every host that starts at a moment allows so many failures more: misfits must not stop a large wave."""


class Instance(NamedTuple):
    """What does not change during a pass; N hosts, V VMs, S services, G out-groups, R reserve groups, L rates."""

    capacity: Ints  # (N, 2)
    type_number: Ints  # (N,) machine type
    maintenance_s: Ints  # (N,)
    rack: Ints  # (N,)
    rack_start: Ints  # (racks + 1,) into rack_hosts
    rack_hosts: Ints
    out_groups: Ints  # (N, kinds) number of the group, -1: none
    out_limit: Ints  # (G,)
    reserve_groups: Ints  # (N, families) number of the group, -1: none
    reserve: Ints  # (R, 2) what stays free
    reserve_of_all: Ints  # (R,) 1: every host in service belongs to the group
    demand: Ints  # (V, 2)
    vm_types: Ints  # (V,) bits of the machine types allowed
    one_way: bool  # no VM goes from a patched host to an unpatched one
    notice_s: Ints  # (V,)
    service: Ints  # (V,) -1: none
    service_start: Ints  # (S + 1,) into service_vms
    service_vms: Ints
    spread_kind: Ints  # (S,) row of spread_domain, -1: none
    spread_limit: Ints  # (S,)
    max_moving: Ints  # (S,) a large number: no limit
    spread_domain: Ints  # (kinds, N)
    rates_mbit_s: Ints  # (L,) ascending; the first is 0, for VMs that restart and send nothing
    duration_s: Ints  # (V, L) -1: not possible at this rate
    egress_mbit_s: Ints  # (N,)
    ingress_mbit_s: Ints  # (N,)
    access_class: Ints  # (N,)
    classes: int
    path_mbit_s: Floats  # (classes * classes,) what one stream may take
    route_start: Ints  # (classes * classes + 1,) into route_bundle
    route_bundle: Ints
    route_share: Floats
    bundle_limit: Floats  # (B,) Mbit/s
    bucket_s: int
    pivot: int  # the scarcer resource
    bucket_size: int  # hosts in one list differ by less in free capacity of it
    level_size: int  # and by less than this in that of the other resource
    from_s: int  # when the pass begins: nobody is notified before
    spared: Ints  # (N,) 1: takes no VMs before it has been patched
    slot_s: int  # what is free beside reserves is known by slots of this length
    evacuated: Ints  # (N,) 1: leaves before all others, takes no VM, and does not come back


class State(NamedTuple):
    """What a pass changes."""

    status: Ints  # (N,)
    patched: Ints  # (N,) 1: at the patch level
    free: Ints  # (N, 2)
    held: Ints  # (N, 2) part of it that promised moves still to come will take
    out_count: Ints  # (G,)
    reserve_free: Ints  # (R, 2) when all that is decided has started
    later: Ints  # (R, 2, slots of time) what hosts give back and VMs take from each slot on, a ring
    coming: Ints  # (R, 2) what it holds of hosts that come back
    least: Ints  # (R, 2, slots) free at least from the slot on that is so many after the present one
    stale: Ints  # (R,) 1: to be worked out anew
    vm_host: Ints  # (V,)
    vm_source: Ints  # (V,) host it came from last
    vm_start: Ints  # (V,) its last migration
    vm_end: Ints  # (V,)
    host_vm: Ints  # (N,) first VM of the host, -1: none
    next_vm: Ints  # (V,)
    inbound: Ints  # (N,) first interval on the NIC, -1: none
    interval: Ints  # (I, 4) start, end, rate, next
    bundle_use: Floats  # (B, buckets of time), a ring
    size_head: Ints  # (2, types, buckets, levels) first host of the list
    size_levels: Ints  # (2, buckets, types) bits of the levels whose lists are not empty
    size_next: Ints  # (N,)
    size_prev: Ints  # (N,) the first of a list: its last
    size_bucket: Ints  # (N,) -1: in no list
    size_level: Ints  # (N,) what the list holds of the other resource
    failures: Ints  # (N,) how often the host found no room
    retry: Ints  # (N,) returns after which it tries again
    counters: Ints  # first unused interval, bucket of the present time, returns so far, slot of the present time


class Moves(NamedTuple):
    """The VMs of one host on their way, in the order in which they were placed."""

    vm: Ints
    target: Ints
    start_s: Ints
    end_s: Ints
    rate: Ints
    old_start_s: Ints
    old_end_s: Ints
    old_source: Ints


class Promises(NamedTuple):
    """What a pass keeps where it still fits; P hosts in the order of their moments, M moves, K loads, T seconds."""

    host: Ints  # (P,)
    wave: Ints  # (P,)
    due_s: Ints  # (P,) when the host was to leave, or the first of what is left on it, if that has begun
    drained_s: Ints  # (P,)
    return_s: Ints  # (P,)
    first: Ints  # (P + 1,) into the moves
    vm: Ints  # (M,)
    target: Ints  # (M,)
    start_s: Ints  # (M,)
    end_s: Ints  # (M,)
    rate: Ints  # (M,) -1: none that may be chosen
    told_s: Ints  # (M,) when the guest was notified, -1: it has not been
    settled: Ints  # (M,) 1: the VM is to stay on the target
    of_host: Ints  # (N,) number of the host's promise, -1: none
    load: Ints  # (K, T) hosts out, and the capacity that they take with them, every `step_s` from `from_s` on
    step_s: int
    behind_s: int  # how late the promised host is that is most overdue when the pass begins: by so much all are counted
    load_limit: Ints  # (K,)
    load_group: Ints  # (N, L) loads that a host adds to, -1: none
    load_weight: Ints  # (N, L)
    progress: Ints  # the next promise; how many of those whose moment has come are late
    late: Ints  # (P,) these, by their moments
    tried_s: Ints  # (P,) when each of them could have left at first, but for its targets, -1: not yet


class Begun(NamedTuple):
    """Hosts that are draining when the pass begins, with VMs still to be moved; B hosts, F moves under way."""

    host: Ints  # (B,)
    wave: Ints  # (B,)
    drain_start_s: Ints  # (B,)
    first: Ints  # (B + 1,) into the moves
    vm: Ints  # (F,)
    target: Ints  # (F,)
    start_s: Ints  # (F,)
    end_s: Ints  # (F,)
    rate: Ints  # (F,)
    of_host: Ints  # (N,) number of the host here, -1: none
    return_host: Ints  # hosts that are drained or nearly so
    return_s: Ints  # when they are expected
    gate: Ints  # end of the last gate, waves so far, the last wave's number, its hosts, how many of them still drain
