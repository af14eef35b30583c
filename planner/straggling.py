"""A few hosts that come back long after all others: the whole fleet waits for them.

What they wait for is in no rehearsal: VMs that may run on few machine types find no room where these are out, and what
is free at the end was dealt out before their turn came.
"""

import numpy as np
from numpy.typing import NDArray

from slacktide.planner.listing.decisions import Schedule
from slacktide.planner.orders import Queue

Ints = NDArray[np.int64]

STRAGGLERS = 0.01
"""Share of the hosts up to which those that come back last are few."""
STRAGGLING = 0.1
"""Share of a mean time out that they come back after all others, at least."""
END = 2.0
"""How long before the stragglers' turn the end begins that is decided anew, in mean times out."""


def stragglers_sooner(order: Ints, schedule: Schedule) -> Ints | None:
    """Return the order with the few hosts that come back long after all others a round sooner, None: there are none."""
    if len(schedule.host) < 2:
        return None
    returns_s = np.sort(schedule.return_s)[::-1]
    out_s = (schedule.return_s - schedule.drain_start_s).astype(np.float64)
    few = max(1, int(STRAGGLERS * len(returns_s)))
    gap_s = returns_s[:few] - returns_s[1 : few + 1]
    last = int(np.argmax(gap_s))
    if gap_s[last] < STRAGGLING * out_s.mean():
        return None
    late = np.isin(order, schedule.host[schedule.return_s >= returns_s[last]])
    round_ = float(out_s.sum()) / float(returns_s[0])
    return order[np.argsort(np.where(late, -round_ - 0.5, 0.0) + np.arange(len(order)), kind="stable")]


def end_anew(due: Ints, schedule: Schedule) -> Queue | None:
    """Return an order for the end of ``schedule`` in which its stragglers leave first, None: nobody straggles.

    All that has left before is kept, so such a pass takes a part of the time.  First plans of 1,000 to 100,000 hosts
    under `urgent`, 75 % full, ended 5.2 to 6.7 % above the bound with it, without it 5.6 to 11.3 %: when the last
    hosts' turn comes there is no room for them, and nobody leaves after them who could make some.
    """
    if len(schedule.host) < 2:
        return None
    ends_s = float(np.quantile(schedule.return_s, 1 - STRAGGLERS, method="lower"))
    mean_s = float((schedule.return_s - schedule.drain_start_s).mean())
    if schedule.makespan_s - ends_s < STRAGGLING * mean_s:
        return None
    late = schedule.return_s > ends_s
    first = (schedule.wave == 0) & (schedule.wave.max() > 0)  # others may wait for it; without a gate all are in it
    ahead = ((schedule.drain_start_s < ends_s - END * mean_s) & ~late) | first
    behind = np.flatnonzero(~ahead)
    order = schedule.host[behind[np.lexsort((schedule.drain_start_s[behind], ~late[behind]))]]
    return Queue(np.concatenate([order, np.setdiff1d(due, schedule.host)]), kept=schedule.part(ahead))
