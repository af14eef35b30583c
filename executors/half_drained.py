"""Hosts that were left half drained: given up on the way, with some of their VMs gone and the others still there."""

from collections import Counter
from collections.abc import Mapping
from typing import Final

import numpy as np

from slacktide.executors.campaign_state import CampaignState, HostStage
from slacktide.executors.events import Stage
from slacktide.executors.readable import count
from slacktide.executors.report_summary import HalfDrained
from slacktide.executors.vm_state import NOWHERE

TARGETS_NAMED: Final = 4
"""Hosts that one line names as where VMs have gone; report.json has all."""
GIVEN_UP: Final = (HostStage.FAILED, HostStage.BLOCKED)
"""Stages of hosts that are in service, unpatched, with whatever VMs are on them."""


def half_drained(state: CampaignState) -> tuple[HalfDrained, ...]:
    """Return the hosts that were given up after VMs had left them for other hosts, in the order of their ids."""
    part = state.program.migrations
    stopped = np.isin(state.host_stage, GIVEN_UP) & state.program.hosts.planned
    left = (state.stage == Stage.DONE) & stopped[part.source] & (state.vm_host[part.vm] != part.source)
    gone: dict[int, set[int]] = {}
    for number in np.flatnonzero(left).tolist():
        gone.setdefault(int(part.source[number]), set()).add(int(part.vm[number]))
    here = Counter(state.vm_host.tolist()) + Counter(each.host for each in state.strangers.values())
    names = state.program.hosts.ids
    return tuple(
        HalfDrained(
            host_id=names[host],
            gone_vms=len(vms),
            remaining_vms=here[host],
            gone_to=_counted(Counter(int(state.vm_host[vm]) for vm in vms), names),
        )
        for host, vms in sorted(gone.items())
    )


def _counted(places: Mapping[int, int], names: tuple[str, ...]) -> dict[str, int]:
    return {names[place]: number for place, number in sorted(places.items()) if place != NOWHERE}


def half_drained_words(each: HalfDrained) -> str:
    """Return how many VMs of a host have gone, of how many, and where they are now."""
    number = each.gone_vms + each.remaining_vms
    gone = f"{count(each.gone_vms)} of {count(number)} {'VM' if number == 1 else 'VMs'} gone"
    places = places_words(each)
    return f"{gone}, now {places}" if places else gone


def places_words(each: HalfDrained) -> str:
    """Return where the VMs are that have left a host: ``3 on host-000004, 1 on host-000007``."""
    most = sorted(each.gone_to.items(), key=lambda place: (-place[1], place[0]))
    named = [f"{count(many)} on {host}" for host, many in most[:TARGETS_NAMED]]
    elsewhere = sum(many for _, many in most[TARGETS_NAMED:])
    hosts = len(most) - TARGETS_NAMED
    named += [f"{count(elsewhere)} on {count(hosts)} {'host' if hosts == 1 else 'hosts'} more"] if elsewhere else []
    return ", ".join(named)


WHAT_TO_DO: Final = (
    "half-drained hosts are in service, unpatched; VMs that have gone stay where they are, and a later plan takes the "
    "hosts on as they are"
)
"""What becomes of them, and what there is to do about them."""
