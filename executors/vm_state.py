"""Where VMs are that others have created, deleted or moved, as far as a campaign's state says."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from slacktide.executors.events import Event, Stage, VmCreated, VmDeleted, VmEvent, VmMoved

if TYPE_CHECKING:
    from slacktide.executors.campaign_state import CampaignState

NOWHERE: Final = -1
"""In place of the number of a host."""


@dataclass(frozen=True, slots=True)
class Stranger:
    """A VM that the plan which is carried out does not have."""

    host: int
    made: VmCreated


class Stray(NamedTuple):
    """A VM on a host that is yet to be drained, of which nothing moves it."""

    vm_id: str
    host: int
    since_s: float


def place_of(state: "CampaignState", vm_id: str) -> int:
    """Return the number of the host that a VM is on; :data:`NOWHERE`: on none."""
    number = state.vm_numbers.get(vm_id)
    if number is not None:
        return int(state.vm_host[number])
    stranger = state.strangers.get(vm_id)
    return NOWHERE if stranger is None else stranger.host


def migrations_of(state: "CampaignState", vm_id: str) -> list[int]:
    """Return the numbers of a VM's migrations, in planned order."""
    number, part = state.vm_numbers.get(vm_id), state.program.migrations
    if number is None:
        return []
    return sorted(np.flatnonzero(part.vm == number).tolist(), key=part.rank.__getitem__)


def is_under_way(state: "CampaignState", vm_id: str) -> bool:
    """Return whether a migration of the VM has been intended and has not ended."""
    return any(Stage.INTENDED <= state.stage[number] < Stage.DONE for number in migrations_of(state, vm_id))


def strays(state: "CampaignState") -> list[Stray]:
    """Return the VMs that others have touched, on hosts that are yet to be drained, and that nothing moves from there.

    Whoever is patched in place has none.
    """
    if not state.touched or state.program.policy.in_place:
        return []
    return [stray for stray in _on_due_hosts(state) if not _leaves(state, stray)]


def _on_due_hosts(state: "CampaignState") -> Iterator[Stray]:
    from slacktide.executors.campaign_state import HostStage

    for vm_id, since_s in sorted(state.touched.items()):
        host = place_of(state, vm_id)
        if host != NOWHERE and state.program.hosts.due[host] and state.host_stage[host] <= HostStage.DRAINED:
            yield Stray(vm_id, host, since_s)


def _leaves(state: "CampaignState", stray: Stray) -> bool:
    part = state.program.migrations
    return any(
        part.current[number] and part.source[number] == stray.host
        for number in migrations_of(state, stray.vm_id)
        if state.stage[number] not in (Stage.DONE, Stage.GIVEN_UP)
    )


def _created(state: "CampaignState", event: VmCreated) -> None:
    host, number = state.host_numbers[event.host_id], state.vm_numbers.get(event.vm_id)
    if number is None:
        state.strangers[event.vm_id] = Stranger(host, event)
    else:
        state.vm_host[number] = host
        state.lost_vms.discard(number)
    _touched(state, event)


def _deleted(state: "CampaignState", event: VmDeleted) -> None:
    number = state.vm_numbers.get(event.vm_id)
    if number is None:
        state.strangers.pop(event.vm_id, None)
    else:
        state.vm_host[number] = NOWHERE
    _touched(state, event)


def _moved(state: "CampaignState", event: VmMoved) -> None:
    host, number = state.host_numbers[event.host_id], state.vm_numbers.get(event.vm_id)
    if number is None:
        state.strangers[event.vm_id] = replace(state.strangers[event.vm_id], host=host)
    else:
        state.vm_host[number] = host
        state.lost_vms.discard(number)
    _touched(state, event)


def _touched(state: "CampaignState", event: VmEvent) -> None:
    state.touched[event.vm_id] = event.at_s
    state.deeds.append(event)


VM_HANDLERS: Final[dict[type[Event], Callable[..., None]]] = {
    VmCreated: _created,
    VmDeleted: _deleted,
    VmMoved: _moved,
}
"""How events about what others do are folded, by kind."""
