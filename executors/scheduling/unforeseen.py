"""What others do with VMs, for the scheduler: migrations that are needless, hosts that it has to see before it acts."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final, NamedTuple

import numpy as np

from slacktide.executors.campaign_state import CampaignState
from slacktide.executors.events import HostRefilled, VmCreated, VmDeleted, VmEvent, VmMoved
from slacktide.executors.falling import Fall, needless
from slacktide.executors.scheduling.books import ENDED, RUNNING, Books
from slacktide.executors.vm_state import NOWHERE, Stranger, Stray, migrations_of, place_of

UNCLEAR_S: Final = 120.0
"""How long what is no VM of the fleet may be on a drained host before the host counts as one with VMs: migrations of
others to it end within that, or bring their VM."""
BY_OTHERS: Final = frozenset({VmCreated, VmDeleted, VmMoved, HostRefilled})
"""Kinds of events about what others do."""
NAMED: Final = 5
"""VMs that a reason names."""


class Change(NamedTuple):
    """What others' deed changes for the scheduler."""

    hosts: frozenset[int]
    """Where the VM was and where it is."""
    woken: set[int]
    """Migrations that waited for its room."""
    falls: list[Fall]
    """Migrations that are not needed any more."""


class Unforeseen:
    """VMs that others have touched, and looks at hosts."""

    def __init__(self, books: Books, state: CampaignState, *, asked: bool) -> None:
        self._books, self._program = books, books.program
        self._vm_numbers = state.vm_numbers
        self._strangers = dict(state.strangers)
        self._touched = dict(state.touched)
        self._places = {name: place_of(state, name) for name in state.touched}
        self._moves = {name: migrations_of(state, name) for name in state.touched}
        self.asks = asked and not books.program.policy.in_place
        """Whether real hosts are asked."""
        self._awaited: set[int] = set()
        """Hosts that count as drained once nothing is seen on them."""
        self._clear: set[int] = set()
        self._unclear: dict[int, float] = {}
        self._doubts: dict[int, dict[int, Fall]] = {}
        """By source: migrations that are given up if their VM is there."""
        self._crowded: set[int] = set()
        """Migrations that found no room where others have put VMs."""

    # What others did

    def take(self, event: VmEvent) -> Change:
        """Take note of what others did with a VM."""
        before = self._place(event.vm_id)
        after = NOWHERE if isinstance(event, VmDeleted) else self._books.host_numbers[event.host_id]
        vcpus, memory_mib = self._size(event)
        woken = self._books.room.leave(before, vcpus, memory_mib) if before != NOWHERE else set()
        if after != NOWHERE:
            self._books.room.come(after, vcpus, memory_mib)
        self._put(event, after)
        self._touched[event.vm_id], self._places[event.vm_id] = event.at_s, after
        hosts = frozenset({before, after} - {NOWHERE})
        self._clear -= hosts
        open_ones = self._open(event.vm_id)
        if self._runs(open_ones):
            return Change(hosts, woken, [])
        falls = needless(self._program, open_ones, event.vm_id, after, event.at_s)
        return Change(hosts, woken, list(falls))

    def _place(self, vm_id: str) -> int:
        number = self._vm_numbers.get(vm_id)
        if number is not None:
            return self._books.vm_host[number]
        stranger = self._strangers.get(vm_id)
        return NOWHERE if stranger is None else stranger.host

    def _size(self, event: VmEvent) -> tuple[int, int]:
        number = self._vm_numbers.get(event.vm_id)
        if number is not None:
            return int(self._program.vms.vcpus[number]), int(self._program.vms.memory_mib[number])
        made = event if isinstance(event, VmCreated) else self._strangers[event.vm_id].made
        return made.vcpus, made.memory_mib

    def _put(self, event: VmEvent, host: int) -> None:
        number = self._vm_numbers.get(event.vm_id)
        if number is not None:
            self._books.vm_host[number] = host
            moves = np.flatnonzero(self._program.migrations.vm == number).tolist()
            self._moves.setdefault(event.vm_id, sorted(moves, key=self._program.migrations.rank.__getitem__))
        elif isinstance(event, VmCreated):
            self._strangers[event.vm_id] = Stranger(host, event)
        elif host == NOWHERE:
            self._strangers.pop(event.vm_id, None)
        else:
            self._strangers[event.vm_id] = replace(self._strangers[event.vm_id], host=host)

    def _open(self, vm_id: str) -> list[int]:
        current = self._program.migrations.current
        return [each for each in self._moves.get(vm_id, []) if current[each] and self._books.phase[each] != ENDED]

    def _runs(self, migrations: list[int]) -> bool:
        return any(self._books.phase[each] == RUNNING for each in migrations)

    # What no plan provides for

    def strays(self) -> Iterator[Stray]:
        """Yield the VMs on hosts of the newest plan, whatever these have come to, that nothing moves from there."""
        source = self._program.migrations.source
        for vm_id, at_s in sorted(self._touched.items()):
            host = self._places[vm_id]
            if host == NOWHERE or not self._program.hosts.due[host]:
                continue
            if not any(source[each] == host for each in self._open(vm_id)):
                yield Stray(vm_id, host, at_s)

    def crowd(self, number: int, obstacle: tuple[str, int]) -> None:
        """Note a migration that is due and finds something in its way."""
        if obstacle[0] == "room" and obstacle[1] in self._books.room.crowded:
            self._crowded.add(number)

    def crowded(self) -> list[int]:
        """Return the migrations that wait for room where others have put VMs."""
        self._crowded = {number for number in self._crowded if self._books.phase[number] not in (RUNNING, ENDED)}
        return sorted(self._crowded)

    def names_on(self, host: int) -> str:
        """Return the VMs on a host, in words."""
        names = [self._program.vms.ids[vm] for vm, place in enumerate(self._books.vm_host) if place == host]
        names = sorted(names + [name for name, stranger in self._strangers.items() if stranger.host == host])
        return in_words(names)

    # Looks at hosts

    def is_clear(self, host: int) -> bool:
        """Return whether a host that should be empty is known to be; if not, it is to be looked at."""
        if not self.asks or host in self._clear:
            return True
        self._awaited.add(host)
        return False

    def doubt(self, number: int, fall: Fall) -> bool:
        """Have it looked whether a VM whose migration failed for good is there at all; return whether that is done."""
        if not self.asks:
            return False
        source = int(self._program.migrations.source[number])
        self._doubts.setdefault(source, {})[number] = fall
        return True

    def settle(self, host: int, there: frozenset[str]) -> list[Fall]:
        """Return what is given up since a look has found its VM on its source; others wait for word of theirs."""
        doubts = self._doubts.pop(host, {})
        vm, names = self._program.migrations.vm, self._program.vms.ids
        found = {number: fall for number, fall in doubts.items() if names[vm[number]] in there}
        left = {number: doubts[number] for number in doubts.keys() - found.keys() if self._books.phase[number] != ENDED}
        if left:
            self._doubts[host] = left
        return list(found.values())

    def note_clear(self, host: int) -> None:
        """Note that nothing is on a host."""
        self._clear.add(host)
        self._unclear.pop(host, None)
        self._awaited.discard(host)

    def stays_unclear(self, host: int, now: float) -> bool:
        """Note that something is on a host that is no VM of the fleet; return whether it has been for long."""
        return now >= self._unclear.setdefault(host, now) + UNCLEAR_S

    def forget(self, host: int) -> None:
        """Have a host looked at anew before it counts as drained, if it is to be drained at all."""
        self._clear.discard(host)
        self._awaited.discard(host)
        self._unclear.pop(host, None)

    @property
    def looks(self) -> set[int]:
        """Hosts that are to be looked at."""
        open_ones = {
            host for host, doubts in self._doubts.items() if any(self._books.phase[each] != ENDED for each in doubts)
        }
        return self._awaited | open_ones


def in_words(names: list[str]) -> str:
    """Return names as a sentence has them, the first of many."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"{', '.join(names[:NAMED])}{more}"
