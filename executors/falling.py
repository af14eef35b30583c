"""What falls with what: whatever depends on a thing that was given up is given up too.

A journal may end between the two; what was still to fall is then found from the state alone.
"""

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from slacktide.executors.campaign_state import CampaignState, HostStage
from slacktide.executors.events import Stage
from slacktide.executors.numbering import Groups
from slacktide.executors.order_state import asked
from slacktide.executors.program import Program
from slacktide.executors.readable import duration
from slacktide.executors.vm_state import NOWHERE, is_under_way, migrations_of, place_of

REVISED: Final = "revised"
"""Reason of what is given up because the newest plan has it no more: nothing depends on it."""


GONE: Final = "gone"
"""Reason of a migration whose VM others have deleted."""
MOVED_BY_OTHERS: Final = "moved-by-others"
"""Reason of a migration whose VM others have moved from its source."""
NO_FAILURE: Final = (GONE, MOVED_BY_OTHERS)
"""Reasons of migrations that are not needed any more: nothing falls with them."""
VMS_REMAIN: Final = "vms-remain"
"""Reason of a host that has VMs which nothing moves."""


class Fall(NamedTuple):
    """A host or a migration that is to be given up."""

    is_host: bool
    subject: int
    reason: str
    detail: str


def with_host(program: Program, host: int) -> Iterator[Fall]:
    """Yield what falls with a host that stays unpatched."""
    name = program.hosts.ids[host]
    for number in _of(program.hosts.outgoing, host):
        if program.migrations.needs_drain[number]:
            yield Fall(False, number, "source-not-drained", f"{name} is not drained")
    yield from arrivals(program, host, f"{name} stays unpatched")


def with_lost(program: Program, host: int, reason: str) -> Iterator[Fall]:
    """Yield what falls with a host that did not come back from its patch."""
    yield from arrivals(program, host, f"{program.hosts.ids[host]} did not return: {reason}")


def arrivals(program: Program, host: int, detail: str) -> Iterator[Fall]:
    """Yield the migrations that were to go to a host once it is patched."""
    for number in _of(program.hosts.incoming, host):
        if program.migrations.needs_return[number]:
            yield Fall(False, number, "target-not-patched", detail)


def with_migration(program: Program, number: int, name: str, detail: str, *, at_source: bool) -> Iterator[Fall]:
    """Yield what falls with a migration: the VM's next one, and the host that the VM stays on."""
    part = program.migrations
    if part.next_move[number] >= 0:
        yield Fall(False, int(part.next_move[number]), "vm-elsewhere", f"{part.ids[number]} did not bring the VM there")
    source = int(part.source[number])
    if at_source and program.hosts.due[source]:
        yield Fall(True, source, name, f"{part.ids[number]}: {detail}")


def with_wave(program: Program, wave: int, reason: str) -> Iterator[Fall]:
    """Yield the hosts of a wave that never opens, and of those behind it."""
    hosts = program.hosts
    later = np.flatnonzero((hosts.due | hosts.held) & ~hosts.evacuated & (hosts.wave >= wave))
    for host in later[np.argsort(hosts.drain_start_s[later], kind="stable")].tolist():
        yield Fall(True, host, "gate-closed", f"wave {wave} never opens: {reason}")


def with_abort(program: Program, why: str) -> Iterator[Fall]:
    """Yield all that can still be given up of a campaign: what has begun is passed over by who gives up."""
    for host in np.flatnonzero(program.hosts.planned).tolist():
        yield Fall(True, host, "aborted", why)
    for number in np.argsort(program.migrations.rank).tolist():
        yield Fall(False, number, "aborted", why)


def ordered_to_fall(program: Program, state: CampaignState) -> Iterator[Fall]:
    """Yield what is to be given up by order, or because the newest plan has it no more.

    Some of it has been given up since.
    """
    if state.aborted is not None:
        yield from with_abort(program, asked(state.aborted.by, state.aborted.why))
    for host, why in sorted(state.skipped.items()):
        yield Fall(True, host, "skipped", why)
    yield from _revised(program, state)


def not_needed(program: Program, state: CampaignState) -> Iterator[Fall]:
    """Yield the migrations that are not needed any more, for others have deleted or moved their VMs."""
    for vm_id, at_s in sorted(state.touched.items()):
        place = place_of(state, vm_id)
        open_ones = [
            number
            for number in migrations_of(state, vm_id)
            if program.migrations.current[number] and state.stage[number] not in (Stage.DONE, Stage.GIVEN_UP)
        ]
        if not is_under_way(state, vm_id):
            yield from needless(program, open_ones, vm_id, place, at_s)


def needless(program: Program, open_ones: Sequence[int], vm_id: str, place: int, at_s: float) -> Iterator[Fall]:
    """Yield those of a VM's open migrations, in planned order, that do not begin where it is any more."""
    when = duration(at_s)
    for number in open_ones:
        if place == NOWHERE:
            yield Fall(False, number, GONE, f"others deleted {vm_id}, found {when} into the campaign")
        elif program.migrations.source[number] != place:
            fact = f"others moved {vm_id} to {program.hosts.ids[place]}, found {when} into the campaign"
            yield Fall(False, number, MOVED_BY_OTHERS, fact)
        else:
            return


def _revised(program: Program, state: CampaignState) -> Iterator[Fall]:
    """Yield what had begun, or was to come, and is in the newest plan no more."""
    if not state.revisions:
        return
    detail = f"plan {state.revisions[-1].plan_id}, to which the campaign went over, has it no more"
    for host in np.flatnonzero(program.hosts.planned & ~program.hosts.current & ~program.hosts.held).tolist():
        yield Fall(True, host, REVISED, detail)
    for number in np.flatnonzero(~program.migrations.current).tolist():
        if state.stage[number] not in (Stage.DONE, Stage.GIVEN_UP):
            yield Fall(False, number, REVISED, detail)


def dependents_to_fall(program: Program, state: CampaignState) -> Iterator[Fall]:
    """Yield what depends on a thing that ``state`` has given up; some of it has been given up since."""
    for host, (_, reason) in sorted(state.host_reasons.items()):
        stage = state.host_stage[host]
        if stage in (HostStage.FAILED, HostStage.BLOCKED):
            yield from with_host(program, host)
        elif stage == HostStage.LOST:
            yield from with_lost(program, host, reason)
    came_s = _arrivals_s(program, state)
    for number in np.flatnonzero((state.stage == Stage.GIVEN_UP) & program.migrations.current).tolist():
        if state.given_up[number] in NO_FAILURE:
            continue
        here = state.vm_host[program.migrations.vm[number]] == program.migrations.source[number]
        at_source = bool(here and came_s[number] <= state.times[number, Stage.GIVEN_UP])
        name = "migration-failed" if state.attempts[number] else state.given_up[number]
        yield from with_migration(program, number, name, state.errors.get(number, ""), at_source=at_source)


def _arrivals_s(program: Program, state: CampaignState) -> NDArray[np.float64]:
    """Return when each migration's VM came to its source by the move before; 0 where there is none."""
    came_s = np.zeros(len(state.stage))
    before = np.flatnonzero(program.migrations.next_move >= 0)
    came_s[program.migrations.next_move[before]] = np.nan_to_num(state.times[before, Stage.FORWARDING])
    return came_s


def _of(groups: Groups, group: int) -> list[int]:
    start, members = groups.start, groups.members
    found: list[int] = members[start[group] : start[group + 1]].tolist()
    return found
