"""A VXLAN fabric whose tables are programmed: nobody learns, so everybody has to be told.

The two hosts of a move know of it at once, from the moment of the switch; every other endpoint is told, and what it
sends to the source until then is forwarded.
"""

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Final

from slacktide.errors import DriverError
from slacktide.executors.fabrics.endpoint import EndpointTables
from slacktide.executors.fabrics.port_counts import Counting
from slacktide.executors.fabrics.protocol import Move, Passed
from slacktide.executors.fabrics.reminders import Reminders
from slacktide.executors.fabrics.settings import VxlanFabricSettings
from slacktide.ids import HostId

_HAND_BACK: Final = (EndpointTables.arrive, EndpointTables.take, EndpointTables.forget)
"""What hands a card's packets to its guest here again."""


class VxlanFabric:
    """Programs every endpoint, in whatever network namespace of this machine it is."""

    def __init__(self, settings: VxlanFabricSettings) -> None:
        self._settings = settings
        self._address = {host: str(endpoint.address) for host, endpoint in settings.endpoints.items()}
        self._host_at = {address: host for host, address in self._address.items()}
        self._lock = threading.Lock()
        self._tables: dict[HostId, EndpointTables] = {}
        self._countings: dict[Move, list[Counting]] = {}
        self._unread: dict[Move, int] = {}
        """Packets that a guest had not read when it was paused."""
        self._on_their_way: set[tuple[Move, threading.Event]] = set()
        """Announcements that have not arrived, each with what keeps it from arriving."""
        self._behind: set[Move] = set()
        """Moves that not all have confirmed when they were last asked."""
        self._reminders = Reminders(self._remind)
        self._closed = threading.Event()

    @property
    def limit_s(self) -> float:
        """How long a source forwards at most, in seconds; the kernel itself ends it."""
        return self._settings.limit_s

    def _endpoint(self, host: HostId) -> EndpointTables:
        with self._lock:
            if self._closed.is_set():
                raise DriverError("the fabric", "was let go of", "Give the command again", retryable=True)
            if host not in self._tables:
                if host not in self._address:
                    raise DriverError(f"host {host}", "is no endpoint of the fabric", "Name it in the file of --fabric")
                self._tables[host] = EndpointTables(host, self._settings)
            return self._tables[host]

    def locate(self, move: Move) -> Mapping[HostId, HostId | None]:
        """Return where each endpoint sends the packets of the VM's first card."""
        found = {}
        for host in self._address:
            address = self._endpoint(host).sends_to(move.cards[0])
            found[host] = None if address is None else self._host_at.get(address)
        return found

    def prepare(self, move: Move) -> None:
        """Count what the source hands the guest, and aim where it will forward to."""
        source, target = self._endpoint(move.source), self._endpoint(move.target)
        failed = _failures([source.refresh, target.refresh, partial(self._refuse_apart, move)])
        for card in move.cards:
            source.aim(card, self._address[move.target])
        if move not in self._countings:
            found = [source.count(card) for card in move.cards]
            self._countings[move] = [counting for counting in found if counting is not None]
        if failed:
            raise failed[0]

    def _refuse_apart(self, move: Move) -> None:
        """Refuse to forward where devices of one host are unfit, or not those of the other."""
        ours, theirs = (self._endpoint(host).identifiers() for host in (move.source, move.target))
        if ours != theirs:
            names = self._settings.device, self._settings.forward_device
            said = (
                " and ".join(f"{name} {number}" for name, number in zip(names, each, strict=True))
                for each in (ours, theirs)
            )
            fact = f"have different network identifiers: {next(said)}, {next(said)}"
            remedy = "Give both the same; see docs/fabric.md"
            raise DriverError(f"fabric endpoints {move.source} and {move.target}", fact, remedy)

    def forward(self, move: Move) -> None:
        """Have the target keep the VM's packets for it, and the source send them there.

        What counts is how soon: the rest of the two hosts' tables comes after.  It is written though the source may not
        forward, for whoever is there sends to the target by these tables alone.
        """
        source, target = self._endpoint(move.source), self._endpoint(move.target)
        steps: list[Callable[[], object]] = [partial(target.take, card) for card in move.cards]
        if move not in self._countings:
            steps += [partial(source.aim, card, self._address[move.target]) for card in move.cards]
        failed = _failures([*steps, partial(self._refuse_apart, move)])
        forwards = self._settings.forward and not failed
        failed += _failures([partial(source.depart, move.cards, self._settings.limit_s, forward=forwards)])
        self._never_arrive(lambda other: other.vm_id == move.vm_id and other != move)
        failed += _failures(partial(step, card) for card in move.cards for step in self._rest_of_tables(move))
        self._note_unread(move)
        if failed:
            raise failed[0]

    def _rest_of_tables(self, move: Move) -> Sequence[Callable[[str], object]]:
        source, target = self._endpoint(move.source), self._endpoint(move.target)
        pointed = partial(source.point, address=self._address[move.target])
        return target.make_room, pointed, target.arrive, target.forget

    def _note_unread(self, move: Move) -> None:
        if move in self._countings and move not in self._unread:
            source = self._endpoint(move.source)
            with suppress(DriverError):  # it is then not known
                left = [source.unread(counting) for counting in self._countings[move]]
                if None not in left and len(left) == len(move.cards):
                    self._unread[move] = sum(filter(None, left))

    def announce(self, move: Move) -> None:
        """Tell all other endpoints; each hears of it once its delay is over.

        An endpoint that has been told something else meanwhile is left alone: that is newer.  One that cannot be told
        keeps nobody else from hearing, and is not confirmed.
        """
        due_s = time.monotonic() + self._settings.update_delay_ms / 1000
        changes: list[Callable[[], None]] = []
        for host in self._address:
            if host not in (move.source, move.target):
                with suppress(DriverError):
                    changes += self._changes(host, move)

        on_its_way = move, threading.Event()
        with self._lock:
            self._on_their_way.add(on_its_way)

        def arrives() -> None:
            if not on_its_way[1].wait(max(0.0, due_s - time.monotonic())):
                for change in changes:
                    with suppress(DriverError):
                        change()
            with self._lock:
                self._on_their_way.discard(on_its_way)

        if self._settings.update_delay_ms:
            threading.Thread(target=arrives, name=f"announcement of {move.vm_id}", daemon=True).start()
        else:
            arrives()

    def _never_arrive(self, which: Callable[[Move], bool]) -> None:
        """Have announcements of such moves that are on their way never arrive."""
        with self._lock:
            for move, over in self._on_their_way:
                if which(move):
                    over.set()

    def _changes(self, host: HostId, move: Move) -> list[Callable[[], None]]:
        endpoint, address = self._endpoint(host), self._address[move.target]
        before = {card: endpoint.sends_to(card) for card in move.cards}

        def change(card: str) -> None:
            if endpoint.sends_to(card) == before[card] != address:
                endpoint.point(card, address)

        return [partial(change, card) for card in move.cards]

    def confirm(self, move: Move) -> Mapping[HostId, str]:
        """Return the endpoints that do not send to the target yet, and what they do."""
        found = {host: self._instead(host, move) for host in self._address}
        behind = {host: what for host, what in found.items() if what is not None}
        (self._behind.add if behind else self._behind.discard)(move)
        return behind

    def _remind(self, move: Move) -> bool:
        """Tell those again that do not send to the target, if the guest is there; return whether all do.

        Who has moved it on since, in another process perhaps, has had the target send its packets on.
        """
        target, address = self._endpoint(move.target), self._address[move.target]
        with self._lock:
            on_its_way = any(other == move for other, _ in self._on_their_way)
        if on_its_way or not all(target.has_guest(card) for card in move.cards):
            return False
        behind = [host for host in self._address if host != move.target and self._instead(host, move) is not None]
        _failures(
            partial(self._endpoint(host).point, card, address, late=False) for host in behind for card in move.cards
        )
        return not behind

    def _instead(self, host: HostId, move: Move) -> str | None:
        """Return what an endpoint does in place of sending to the target, in words; None: it sends there."""
        wanted = None if host == move.target else self._address.get(move.target)
        try:
            sent = [self._endpoint(host).sends_to(card) for card in move.cards]
        except DriverError as error:
            return error.fact
        wrong = next((address for address in sent if address != wanted), wanted)
        if wrong == wanted:
            return None
        return "sends nowhere" if wrong is None else f"sends to {self._host_at.get(wrong, wrong)}"

    def stop_forwarding(self, move: Move) -> Passed | None:
        """Have the source send nothing on any more, and return what it counted.

        Who has not confirmed yet is told again as long as this fabric is not let go of.
        """
        self._reminders.drop(move.vm_id)
        if move in self._behind:
            self._behind.discard(move)
            self._reminders.add(move)
        source = self._endpoint(move.source)
        counts = [source.departed(card) for card in move.cards]
        for card in move.cards:
            source.arrive(card)
        self._end_counting(move)
        unread = self._unread.pop(move, None)
        known = [each for each in counts if each is not None]
        if len(known) < len(counts):
            return None
        dropped = sum(each.dropped for each in known)
        return Passed(sum(each.forwarded for each in known), None if unread is None else unread + dropped)

    def withdraw(self, move: Move) -> None:
        """Have the source hand the VM's packets to its guest again, and the target send them there."""
        self._never_arrive(lambda other: other == move)
        self._behind.discard(move)
        self._unread.pop(move, None)
        source = self._endpoint(move.source)
        steps: list[Callable[[], object]] = [partial(do, source, card) for card in move.cards for do in _HAND_BACK]
        steps.append(partial(self._end_counting, move))
        steps += [partial(self._point_back, move, card) for card in move.cards]
        failed = _failures(steps)
        if failed:
            raise failed[0]

    def _point_back(self, move: Move, card: str) -> None:
        self._endpoint(move.target).point(card, self._address[move.source])

    def _end_counting(self, move: Move) -> None:
        for counting in self._countings.pop(move, []):
            self._endpoint(move.source).end_counting(counting.port)

    def close(self) -> None:
        """Let go of all endpoints; announcements that have not arrived do not."""
        self._closed.set()
        self._reminders.close()
        self._never_arrive(lambda _: True)
        with self._lock:
            for endpoint in self._tables.values():
                endpoint.close()
            self._tables.clear()


def _failures(steps: Iterable[Callable[[], object]]) -> list[DriverError]:
    """Take steps, each though others fail, and return with what they failed."""
    failed = []
    for step in steps:
        try:
            step()
        except DriverError as error:
            failed.append(error)
    return failed
