"""What the fabric is told of one attempt, from a thread of its own: libvirt's may not wait, and the copy goes on.

===================  =================================================================================
the checks passed    packets to the guest are counted from now on
the source paused    the source forwards from now on, and the target keeps what comes
the source goes on   all of it is taken back: the guest has not moved
the target runs      every endpoint is told, and asked until all have confirmed or the limit is reached
===================  =================================================================================

A fabric that fails ends no migration: where the VM is is the hypervisors' word.  What went wrong is in the journal.
"""

import queue
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final

from slacktide.errors import DriverError
from slacktide.executors import events
from slacktide.executors.drivers.libvirt.hypervisors import Heard
from slacktide.executors.drivers.libvirt.stages import BY_MIGRATION, POSTCOPY, RESUMED, SUSPENDED
from slacktide.executors.drivers.protocol import MigrationRequest
from slacktide.executors.events import Event
from slacktide.executors.fabrics.protocol import Fabric, Move, Passed
from slacktide.ids import HostId

ASK_S: Final = 0.01
"""Pause between two questions whether endpoints have confirmed, at first; it doubles up to ``ASK_AGAIN_S``."""
ASK_AGAIN_S: Final = 0.25
TELL_AGAIN_S: Final = 5.0
"""Endpoints that have not confirmed for so long are told once more."""
NAMED: Final = 5
"""Endpoints named in a finding: more are rarely of different kinds."""
PAUSED, BACK, SWITCHED, OVER = "paused", "back", "switched", "over"
_SWITCHES: Final = ((RESUMED, BY_MIGRATION), (RESUMED, POSTCOPY))
_POSTCOPY_SUSPENDED: Final = 7
"""Detail of a domain that was paused because its memory goes on moving after the switch."""


class Switchover:
    """The fabric's part of one attempt."""

    def __init__(
        self,
        request: MigrationRequest,
        fabric: Fabric | None,
        cards_now: Callable[[], tuple[str, ...] | None],
        now_s: Callable[[], float],
        report: Callable[[Event], None],
    ) -> None:
        """``cards_now``: asks hypervisors for the guest's network cards; null: none of them says."""
        self._request = request
        self._fabric = fabric
        self._cards_now = cards_now
        self._adopted = False
        self._now_s = now_s
        self._report = report
        self._take_back: Callable[[], object] | None = None
        self._words: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._cards: tuple[str, ...] | None = None
        """Those that hypervisors know of; None: they were not asked, or did not say."""
        self._trouble: str | None = None
        """What the fabric could not do when it was last asked to do something."""
        self._ended: events.ForwardingEnded | None = None

    def adopt(self) -> None:
        """Take charge of what another has begun."""
        self._adopted = True
        self._take_up()

    def _take_up(self) -> None:
        """Begin with the cards that hypervisors know of, if they say; it is tried again when that counts."""
        if self._fabric is not None and self._thread is None:
            self._cards = self._cards_now()
            self.begin(self._cards or ())

    @property
    def _unknown(self) -> str:
        return f"no host says which network cards {self._request.vm_id} has"

    def begin(self, cards: tuple[str, ...]) -> None:
        """Begin, for a guest with these network cards."""
        if self._fabric is None or not cards or self._thread is not None:
            return
        request = self._request
        fabric, move = self._fabric, Move(request.vm_id, cards, request.source, request.target)
        self._take_back = lambda: self._try(lambda: fabric.withdraw(move))
        self._thread = threading.Thread(
            target=self._run, args=(fabric, move), name=f"fabric {request.migration_id}", daemon=True
        )
        self._thread.start()

    def hear(self, heard: Heard) -> None:
        """Take note of what a hypervisor told of this VM."""
        if heard.kind != "lifecycle" or self._thread is None:
            return
        if heard.host_id == self._request.source:
            if heard.what == SUSPENDED and heard.detail in (BY_MIGRATION, _POSTCOPY_SUSPENDED):
                self._words.put(PAUSED)
            elif heard.what == RESUMED:
                self._words.put(BACK)
        elif heard.host_id == self._request.target and (heard.what, heard.detail) in _SWITCHES:
            self._words.put(SWITCHED)

    def stay(self) -> str | None:
        """Take back what was made: the VM is on its source, or nowhere.

        Returns what could not be taken back, in words, once that is known; None: all of it was, or there was nothing.
        """
        if self._adopted:
            self._take_up()
            if self._thread is None and self._fabric is not None and self._cards is None:
                return f"The fabric was told nothing: {self._unknown}"
        self._end_with(OVER)
        if self._ended is not None and self._take_back is not None:  # it was heard to run on its target
            self._take_back()
        return self._trouble

    def see_through(self) -> None:
        """Return once the fabric has caught up with a VM that is on its target, or the limit is reached; report it."""
        if self._thread is None and self._fabric is not None:
            self._adopted = True
            self._take_up()
            if self._cards is None:
                self._report(self._forwarding_ended(None, f"{self._unknown}: nobody was told where it is"))
                return
        self._end_with(SWITCHED)
        if self._ended is not None:
            self._report(self._ended)

    def _end_with(self, word: str) -> None:
        if self._thread is not None:
            self._words.put(word)
            self._thread.join()

    def _run(self, fabric: Fabric, move: Move) -> None:
        begun = forwarding = False
        if not self._adopted:
            with suppress(Exception):  # packets are then not counted, and null
                fabric.prepare(move)
        while True:
            word = self._words.get()
            if word == PAUSED and not forwarding:
                begun, forwarding = True, self._try(lambda: fabric.forward(move))
            elif word in (BACK, OVER) and (begun or word == OVER):
                self._try(lambda: fabric.withdraw(move))
                begun = forwarding = False
            elif word == SWITCHED:
                if not forwarding:
                    self._try(lambda: fabric.forward(move))
                self._ended = self._caught_up(fabric, move)
                return
            if word == OVER:
                return

    def _try(self, do: Callable[[], object]) -> bool:
        """Return whether the fabric has done something; why it has not is remembered until it does."""
        try:
            do()
        except Exception as error:  # a bug of ours must not keep a VM of theirs from being settled
            self._trouble = _said(error)
            return False
        self._trouble = None
        return True

    def _caught_up(self, fabric: Fabric, move: Move) -> events.ForwardingEnded:
        """Return what came of the post-migration brownout, once it is over."""
        why = [self._unconfirmed(fabric, move), self._trouble]
        passed: list[Passed | None] = []
        if not self._try(lambda: passed.append(fabric.stop_forwarding(move))):
            why.append(self._trouble)
        return self._forwarding_ended(passed[0] if passed else None, "; ".join(filter(None, why)) or None)

    def _unconfirmed(self, fabric: Fabric, move: Move) -> str | None:
        """Tell endpoints, and wait until all have confirmed; return why not all did in time, None: they did."""
        began_s = told_s = time.monotonic()
        pause_s, told, why = ASK_S, False, None
        while True:
            try:
                if not told or time.monotonic() > told_s + TELL_AGAIN_S:
                    self._tell(fabric, move)
                    told, told_s = True, time.monotonic()
                why = _words(fabric.confirm(move), move, fabric.limit_s)
            except Exception as error:  # as above
                why = _said(error)
            if why is None or time.monotonic() > began_s + fabric.limit_s:
                return why
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, ASK_AGAIN_S)

    def _tell(self, fabric: Fabric, move: Move) -> None:
        """Tell all other endpoints, and the two hosts once more what could not be done there."""
        if self._trouble is not None:
            self._try(lambda: fabric.forward(move))
        fabric.announce(move)

    def _forwarding_ended(self, counted: Passed | None, why: str | None) -> events.ForwardingEnded:
        request = self._request
        return events.ForwardingEnded(
            self._now_s(),
            request.migration_id,
            request.attempt,
            forwarded_packets=None if counted is None else counted.forwarded,
            lost_packets=None if counted is None else counted.lost,
            unconfirmed=why,
        )


def _said(error: Exception) -> str:
    return str(error) if isinstance(error, DriverError) else f"Slacktide failed, please report it: {error!r}"


def _words(behind: Mapping[HostId, str], move: Move, limit_s: float) -> str | None:
    """Return who has not confirmed, and what they do, in words; None: everybody has."""
    if not behind:
        return None
    named = [f"{host} {what}" for host, what in list(behind.items())[:NAMED]]
    more = [f"{len(behind) - NAMED} more"] if len(behind) > NAMED else []
    late = f"{limit_s:g} s after {move.vm_id} moved to {move.target}"
    return f"{late}, {', '.join(named + more)}, and nobody forwards its packets: see docs/fabric.md, told too late"
