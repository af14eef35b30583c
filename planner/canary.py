"""The canary of a revision: filled up to what the policy asks for, as long as it has not passed.

Where it lacks hosts nothing else has begun, and nothing else can keep its moment: the gate opens later, and the hosts
that join the canary need the room that later ones were promised.  So all behind it is decided anew.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from slacktide.planner.listing.decisions import EVACUATION, Schedule, Underway
from slacktide.planner.problem import Problem
from slacktide.planner.situation import Situation

Ints = NDArray[np.int64]


def lacking(problem: Problem, situation: Situation, underway: Underway, promised: Schedule) -> int:
    """Return how many hosts the canary lacks, beside those that have returned, are out or are promised."""
    if not situation.canary_due:
        return 0
    still = problem.hosts.due & problem.hosts.in_service
    still[underway.host] = False
    to_come = int(np.count_nonzero(still[promised.host[promised.wave == 0]]))
    return situation.canary_hosts - underway.wave_hosts - to_come


def given_up_by(schedule: Schedule, underway: Underway) -> Ints:
    """Return the hosts of the canary that are draining and that the schedule gives up."""
    canary = underway.host[underway.wave == 0]
    return np.setdiff1d(canary, schedule.host)


def is_short(schedule: Schedule, situation: Situation) -> bool:
    """Return whether the canary has fewer hosts than it could have."""
    returned = situation.canary_returned
    there = int(np.count_nonzero(schedule.wave == 0)) + returned
    patched = int(np.count_nonzero(schedule.wave != EVACUATION))
    return situation.canary_due and there < min(situation.canary_hosts, patched + returned)


def without_hosts(problem: Problem, underway: Underway, hosts: Ints) -> tuple[Problem, Underway]:
    """Return the problem in which draining hosts of the canary are left alone, and what is under way without them."""
    due = problem.hosts.due.copy()
    due[hosts] = False
    kept = ~np.isin(underway.host, hosts)
    members = underway.wave_hosts - len(hosts)
    return replace(problem, hosts=replace(problem.hosts, due=due)), replace(
        underway,
        host=underway.host[kept],
        wave=underway.wave[kept],
        drain_start_s=underway.drain_start_s[kept],
        drained_s=underway.drained_s[kept],
        return_s=underway.return_s[kept],
        waves=int(members > 0),
        label=0 if members else -1,
        wave_hosts=members,
    )
