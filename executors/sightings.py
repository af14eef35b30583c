"""What agents see on hosts, compared with what the campaign knows: what others have created, deleted or moved.

Simulated agents say what others do, and are believed.  Of real hosts whole lists are compared: a VM counts as moved
once the host that it was on no longer has it, and as deleted once no host has had it for a while.
"""

from collections.abc import Iterable, Mapping, Sequence
from heapq import heappop, heappush
from math import inf
from typing import Final, NamedTuple

import numpy as np

from slacktide.executors.campaign_state import CampaignState, HostStage
from slacktide.executors.drivers.protocol import HostVms, LookRequest, SeenVm
from slacktide.executors.events import Stage, VmCreated, VmDeleted, VmEvent, VmMoved
from slacktide.executors.vm_state import NOWHERE, is_under_way, migrations_of, place_of
from slacktide.ids import HostId, VmId

GONE_S: Final = 15.0
"""How long no host has a VM before it counts as deleted: longer than agents take to notice one that has come."""
AGAIN_S: Final = 5.0
"""Pause before a look that is not answered, or has found what is passing, is asked for again."""


class Looked(NamedTuple):
    """The answer to a look that was asked for."""

    host: int
    there: frozenset[str]
    """VMs that run there."""
    others: tuple[str, ...]
    """What is there and is no whole VM, or one that the campaign has elsewhere."""


class ToldDeeds:
    """What simulated agents say that others do."""

    def __init__(self) -> None:
        self._told: list[HostVms] = []
        self._known: set[HostVms] = set()
        """Those that were taken: an agent that is started again says them again."""

    def take(self, seen: Iterable[HostVms]) -> None:
        """Take what an agent says, ahead of time."""
        for each in seen:
            if each not in self._known:
                self._known.add(each)
                heappush(self._told, each)

    def next_s(self) -> float | None:
        """Return when others next do something; null: nothing was told of."""
        return self._told[0].at_s if self._told else None

    def judge(self, state: CampaignState, now: float) -> list[VmEvent]:
        """Return what others have done by ``now``.

        They touch no VM whose migration is under way, no host that is being patched, and none twice.  What is heard of
        late counts from now on: something may have been decided since it was done.
        """
        found: list[VmEvent] = []
        while self._told and self._told[0].at_s <= now:
            told = heappop(self._told)
            at_s = told.at_s if told.at_s > state.end_s else now
            if not self._is_out(state, told):
                found += _told_events(state, told, at_s)
        return found

    @staticmethod
    def _is_out(state: CampaignState, told: HostVms) -> bool:
        stage = state.host_stage[state.host_numbers[told.host_id]]
        return bool(told.there) and HostStage.DRAINED < stage < HostStage.RETURNED


def _told_events(state: CampaignState, told: HostVms, at_s: float) -> list[VmEvent]:
    found: list[VmEvent] = []
    hosts = state.program.hosts.ids
    for vm_id in (*(vm.vm_id for vm in told.there), *(told.gone or ())):
        if state.touched.get(vm_id, -1.0) >= told.at_s or _was_under_way(state, vm_id, told.at_s):
            continue
        place, here = place_of(state, vm_id), state.host_numbers[told.host_id]
        if told.gone and vm_id in told.gone:
            if place != NOWHERE:
                found.append(VmDeleted(at_s, vm_id, HostId(hosts[place])))
        elif place == NOWHERE:
            found.append(_made(at_s, told.host_id, next(vm for vm in told.there if vm.vm_id == vm_id)))
        elif place != here:
            found.append(VmMoved(at_s, vm_id, told.host_id, HostId(hosts[place])))
    return found


def _was_under_way(state: CampaignState, vm_id: str, at_s: float) -> bool:
    """Return whether a migration of the VM is under way, or ended after ``at_s``; a lost VM is nobody's any more."""
    number = state.vm_numbers.get(vm_id)
    if number in state.lost_vms:
        return True
    ended = (Stage.DONE, Stage.FAILED)
    return is_under_way(state, vm_id) or any(
        state.times[each, stage] > at_s for each in migrations_of(state, vm_id) for stage in ended
    )


def _made(at_s: float, host: HostId, vm: SeenVm) -> VmCreated:
    return VmCreated(at_s, vm.vm_id, host, vm.vcpus, vm.memory_mib, vm.local_disk_mib, vm.pinned, vm.follows_host)


class _List(NamedTuple):
    """What was last on a host."""

    ticket: int
    whole: dict[str, SeenVm]
    parts: frozenset[str]


class _Doubt(NamedTuple):
    """A VM that a list has, or has not, otherwise than the campaign."""

    place: int
    """Where the campaign has it."""
    since_s: float
    tickets: dict[int, int]
    """Looks at hosts that were asked for when it was noticed: lists of before may be of before the VM came."""


class SeenLists:
    """Whole lists of what is on real hosts, and looks that are asked for."""

    def __init__(self, hosts: Sequence[str]) -> None:
        self._ids = tuple(hosts)
        self._numbers = {name: number for number, name in enumerate(hosts)}
        self._lists: dict[int, _List] = {}
        self._open: set[int] = set()
        """Hosts that are to be compared: their list is new, or is not what the campaign knows."""
        self._doubts: dict[tuple[str, int], _Doubt] = {}
        """By VM and host whose list differs."""
        self._ticket = 0
        self._wanted: dict[int, int] = {}
        """Tickets of looks that were not answered."""
        self._sent_s: dict[int, float] = {}
        self._answered: set[int] = set()

    # Looks

    def ask(self, host: int) -> int:
        """Have a host looked at from now on; return the ticket of the answer."""
        self._ticket += 1
        self._wanted[host] = self._ticket
        self._sent_s.pop(host, None)
        return self._ticket

    def ask_again(self, host: int, now: float) -> None:
        """Have a host looked at, unless that is asked for or was a moment ago."""
        if host not in self._wanted and now >= self._sent_s.get(host, -inf) + AGAIN_S:
            self.ask(host)

    def requests(self, hosts: Iterable[int], now: float) -> tuple[LookRequest, ...]:
        """Return the looks that are to be asked for now at some hosts, and count them as asked."""
        due = [host for host in hosts if host in self._wanted and now >= self._sent_s.get(host, -inf) + AGAIN_S]
        self._sent_s |= dict.fromkeys(due, now)
        return tuple(LookRequest(HostId(self._ids[host]), self._wanted[host]) for host in due)

    def take(self, seen: Iterable[HostVms]) -> None:
        """Take the lists that an agent sends."""
        for each in seen:
            host = self._numbers[each.host_id]
            whole = {str(vm.vm_id): vm for vm in each.there if vm.whole}
            self._lists[host] = _List(each.ticket, whole, frozenset(vm.vm_id for vm in each.there if not vm.whole))
            self._open.add(host)
            if each.ticket >= self._wanted.get(host, inf):
                del self._wanted[host]
                self._answered.add(host)

    def open(self, host: int) -> None:
        """Have a host's list compared: the campaign has brought a VM there, which the list has yet to show."""
        self._open.add(host)

    def answers(self, state: CampaignState) -> list[Looked]:
        """Return the answers that were not returned before; what they show has been judged."""
        found = []
        for host in sorted(self._answered):
            seen = self._lists[host]
            strange = {name for name in seen.whole if place_of(state, name) != host}
            found.append(Looked(host, frozenset(seen.whole), tuple(sorted(strange | seen.parts))))
        self._answered.clear()
        return found

    # What differs

    def judge(self, state: CampaignState, now: float) -> list[VmEvent]:
        """Return what others have done, as far as it is certain by ``now``."""
        hosts = [host for host in sorted(self._open) if host in self._lists and not _is_patched(state, host)]
        if not hosts:
            return []
        known = _known_on(state, hosts)
        found: dict[str, VmEvent] = {}
        for host in hosts:
            whole = self._lists[host].whole
            differing = sorted(known[host] ^ whole.keys())
            settled = {name for name in differing if self._nobodys(state, host, name)}
            for name in [each for each in differing if each not in settled]:
                event = self._certain(state, host, name, now)
                if event is not None:
                    found.setdefault(name, event)
            if len(settled) == len(differing):
                self._open.discard(host)
        self._forget(known)
        return list(found.values())

    def _nobodys(self, state: CampaignState, host: int, name: str) -> bool:
        """Return whether a VM is lost and its host does not have it: that is known."""
        return state.vm_numbers.get(name) in state.lost_vms and place_of(state, name) == host

    def _certain(self, state: CampaignState, host: int, name: str, now: float) -> VmEvent | None:
        """Return what others did with a VM that a host's list has otherwise than the campaign; null: not certain."""
        if is_under_way(state, name):
            return None
        place, key = place_of(state, name), (name, host)
        doubt = self._doubts.get(key)
        if doubt is None or doubt.place != place:
            tickets = {each: self.ask(each) for each in {host, place} - {NOWHERE}}
            self._doubts[key] = _Doubt(place, now, tickets)
            return None
        if any(each not in self._lists or self._lists[each].ticket < asked for each, asked in doubt.tickets.items()):
            return None
        if place == host:
            return self._deleted(host, name, doubt, now)
        if place == NOWHERE:
            return _made(now, HostId(self._ids[host]), self._lists[host].whole[name])
        there = self._lists[place]
        if name not in there.whole and name not in there.parts:
            return VmMoved(now, VmId(name), HostId(self._ids[host]), HostId(self._ids[place]))
        if now >= doubt.since_s + AGAIN_S:
            del self._doubts[key]
        return None

    def _deleted(self, host: int, name: str, doubt: _Doubt, now: float) -> VmEvent | None:
        elsewhere = any(name in seen.whole or name in seen.parts for seen in self._lists.values())
        if elsewhere or now < doubt.since_s + GONE_S:
            return None
        return VmDeleted(now, VmId(name), HostId(self._ids[host]))

    def _forget(self, known: Mapping[int, set[str]]) -> None:
        """Drop doubts of hosts whose lists are as the campaign has it."""
        for name, host in list(self._doubts):
            if host in known and (name in known[host]) == (name in self._lists[host].whole):
                del self._doubts[name, host]


def _is_patched(state: CampaignState, host: int) -> bool:
    return bool(HostStage.DRAINED < state.host_stage[host] < HostStage.RETURNED)


def _known_on(state: CampaignState, hosts: Sequence[int]) -> dict[int, set[str]]:
    """Return the VMs that the campaign has on hosts."""
    found: dict[int, set[str]] = {host: set() for host in hosts}
    for vm in np.flatnonzero(np.isin(state.vm_host, hosts)).tolist():
        found[int(state.vm_host[vm])].add(state.program.vms.ids[vm])
    for name, stranger in state.strangers.items():
        if stranger.host in found:
            found[stranger.host].add(name)
    return found
