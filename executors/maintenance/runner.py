"""Carries the maintenance of hosts out, whatever the action is and whatever hypervisor they have.

Every try is a process that outlives this one, and is written down (:mod:`slacktide.executors.maintenance.notes`).
Nobody begins one for a host while another goes on; who finds one takes over what comes of it.  Only a try that was
killed, so that nobody can say what came of it, is begun again.
"""

import hashlib
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from slacktide.errors import DriverError, OutputError
from slacktide.executors import events
from slacktide.executors.drivers.protocol import Condition, PatchRequest
from slacktide.executors.events import Event, HostRefilled
from slacktide.executors.maintenance.action import Check, MaintenanceAction, NoAction
from slacktide.executors.maintenance.filling import Target
from slacktide.executors.maintenance.notes import (
    Ending,
    HostNotes,
    Note,
    notes_folder,
    process_began,
    processes_of,
    signal_all,
)
from slacktide.executors.maintenance.outcome import Outcome, failed, refused
from slacktide.executors.maintenance.starting import Prepared, start
from slacktide.executors.maintenance.tries import GRACE_S, Try
from slacktide.executors.maintenance.verifying import verified
from slacktide.executors.rules import Rules

LOOK_S: Final = 0.25
"""How often a try is looked at."""
KILLED: Final = 137
"""Exit code that a shell gives for what was killed."""


class Obstacle(NamedTuple):
    """Why a host must not be touched now."""

    reason: str
    occupied: bool = False
    """Guests run on it that should have left."""


class Host(Protocol):
    """What is asked of the host itself."""

    def obstacle(self) -> Obstacle | None:
        """Return why it must not be touched now, None: nothing keeps it from being."""
        ...

    def wait(self) -> None:
        """Return once it is in service."""
        ...

    def guests(self) -> tuple[str, ...]:
        """Return the guests that have to run on it after the patch as they do now, none if it is drained.

        Raises
        ------
        DriverError
            If it does not say.
        """
        ...

    def harm(self, guests: Sequence[str]) -> str | None:
        """Return in words which of these guests the patch has ended, None: none."""
        ...


class Maintenance:
    """The maintenance of one host, in the background."""

    def __init__(
        self,
        request: PatchRequest,
        action: MaintenanceAction,
        host: Host,
        origin: datetime,
        now_s: Callable[[], float],
        report: Callable[[Event], None],
        folder: Path | None = None,
    ) -> None:
        self.request = request
        self._action = action
        self._host = host
        self._now_s = now_s
        self._report = report
        self._notes = HostNotes(folder or notes_folder(), request.host_id)
        self._target = Target(request.host_id, request.patch_level)
        self._key = _key(request, origin)
        self._limit_s = request.at_s + Rules().patch_limit_s(request.maintenance_s)
        """When the campaign counts the host as lost, on its clock: nothing is begun after that."""
        self._child: subprocess.Popen[bytes] | None = None
        self._begun = 0
        """Number of the newest try that was begun here, whose leader is the child; 0: none."""
        self.condition: Condition = "running"

    def begin(self) -> None:
        """Begin it."""
        self._report(events.PatchStarted(self._now_s(), self.request.host_id))
        self._in_background(self._carry_through)

    def adopt(self) -> None:
        """Go on with it, after an agent that ended: the host may be in the middle of it."""
        self._in_background(self._take_up)

    def _in_background(self, work: Callable[[], None]) -> None:
        def guarded() -> None:
            try:
                work()
            except Exception as error:  # nobody else would hear of it, and the host would be waited for in vain
                fact = f"the agent cannot go on with it: {type(error).__name__}: {error}"
                self._fail(f"{fact}. Look at the host: how far it got is not known", untouched=False)

        threading.Thread(target=guarded, name=f"maintenance of {self.request.host_id}", daemon=True).start()

    def _take_up(self) -> None:
        if self._newest() is None:
            self._host.wait()  # whatever was done to it before, here or elsewhere
        self._carry_through()

    def _carry_through(self) -> None:
        outcome = self._acted()
        if not outcome.done and outcome.occupied and outcome.untouched:
            self.condition = "not-started"
            self._report(HostRefilled(self._now_s(), self.request.host_id, outcome.reason))
            return
        if not outcome.done:
            self._fail(outcome.reason, untouched=outcome.untouched)
            return
        checks: Sequence[Check] = self._action.verify
        failure = verified(checks, self._target, lambda: self._now_s() < self._limit_s)
        if failure is not None:
            self._fail(failure.reason, untouched=False)
            return
        self._host.wait()
        note = self._newest()
        harm = self._host.harm(() if note is None else note.guests)
        if harm is not None:
            self._fail(harm, untouched=False)
            return
        self.condition = "returned"
        self._report(events.HostReturned(self._now_s(), self.request.host_id))

    def _fail(self, reason: str, *, untouched: bool) -> None:
        told = f"it was not touched: {reason}" if untouched else reason
        self._report(events.PatchFailed(self._now_s(), self.request.host_id, told, untouched))

    # Tries

    def _acted(self) -> Outcome:
        """Return what came of the action, tried as often as it may be."""
        action = self._action
        if isinstance(action, NoAction):
            return self._refused_by_host() or Outcome(done=True)
        note = self._newest() or Note(self._key, 1, 1, time.time())
        untouched = note.number == 1
        while True:
            outcome = self._tried(Try(action, self._target, self._wall_s(self._limit_s)), note)
            if outcome.done:
                return outcome
            untouched = untouched and outcome.untouched
            pause_s = action.retry_after_s * 2 ** (note.number - 1)
            in_time = self._now_s() + pause_s < self._limit_s
            if not outcome.again or note.number > action.retries or not in_time:
                tries = f" This was try {note.number}" if note.number > 1 else ""
                return replace(outcome, reason=f"{outcome.reason}{tries and f'.{tries}'}", untouched=untouched)
            time.sleep(pause_s)
            call = note.call + int(outcome.answered)
            note = Note(self._key, note.number + 1, call, time.time(), guests=note.guests)

    def _newest(self) -> Note | None:
        """Return the newest try of this action, begun here or by an agent of before; None: there is none."""
        found = self._notes.read()
        return found if found is not None and found.key == self._key else None

    def _wall_s(self, at_s: float) -> float:
        return time.time() + at_s - self._now_s()

    def _tried(self, one: Try, wanted: Note) -> Outcome:
        """Return what came of a try, begun unless somebody has."""
        while True:
            try:
                with self._notes.lock() as lock:
                    outcome = None if lock is None else self._under_lock(one, wanted, lock)
            except OutputError as error:
                return refused(str(error), again=True)
            if outcome is not None:
                return outcome
            self._stop_late(one)
            self._look_later()

    def _under_lock(self, one: Try, wanted: Note, lock: int) -> Outcome | None:
        """Return what came of the try, None: it goes on, or another does.

        Whoever has the lock knows that no leader lives.  What a killed leader leaves alive is waited for.

        Raises
        ------
        OutputError
            If it cannot be written down.
        """
        if self._child is not None:
            self._child.wait()
        note = self._notes.read()
        own = note is not None and (note.key, note.number) == (wanted.key, wanted.number)
        ending = self._notes.ending() if own else None
        if note is not None and own and ending is not None:
            return one.outcome(note, ending)
        if note is not None and processes_of(note):
            return None
        if note is not None and own:
            if note.stopped:
                return one.outcome(note, Ending(KILLED, ""))
            if self._begun == note.number:
                said = "its process was killed from outside. Look at the host: how far it got is not known"
                return failed(f"{one.name}: {said}", answered=False)
            self._host.wait()
        if self._now_s() > self._limit_s:
            return refused("the campaign does not wait for it any longer. Patch it by hand, or in another campaign")
        return self._refused_by_host() or self._start(one, wanted, lock)

    def _refused_by_host(self) -> Outcome | None:
        obstacle = self._host.obstacle()
        return None if obstacle is None else refused(obstacle.reason, occupied=obstacle.occupied)

    def _start(self, one: Try, note: Note, lock: int) -> Outcome | None:
        """Begin a try, and write it down before and after."""
        before = self._newest()
        try:
            guests = self._host.guests() if before is None else before.guests
        except DriverError as error:
            return refused(str(error))
        note = replace(note, began_wall_s=time.time(), guests=guests)
        prepared = one.prepared(note, self._notes)
        if not isinstance(prepared, Prepared):
            return prepared
        self._notes.clear(keep_answer=before is not None and before.call == note.call)
        self._notes.write(note)
        self._notes.hand(prepared.handed)
        try:
            self._child = start(prepared, self._notes, lock)
        except OSError as error:
            return refused(f"{one.name} cannot be started: {error.strerror or error}", again=True)
        process, self._begun = self._child.pid, note.number
        with suppress(OutputError):  # it runs, with the lock
            self._notes.write(replace(note, process=process, process_began=process_began(process)))
        return None

    def _look_later(self) -> None:
        """Return after a while, or once what was begun here has ended."""
        if self._child is None or self._child.returncode is not None:
            time.sleep(LOOK_S)
            return
        with suppress(subprocess.TimeoutExpired):
            self._child.wait(LOOK_S)

    def _stop_late(self, one: Try) -> None:
        """Have a try of this action end that has had its time."""
        note = self._newest()
        if note is None or note.process is None:
            return
        stop_wall_s = one.stop_wall_s(note)
        if stop_wall_s is None or time.time() < stop_wall_s:
            return
        if not note.stopped:
            with suppress(OutputError):
                self._notes.write(replace(note, stopped=True))
            signal_all(note, kill=False)
        elif time.time() > stop_wall_s + GRACE_S:
            signal_all(note, kill=True)


def _key(request: PatchRequest, origin: datetime) -> str:
    """Return what one patch of a host is known by, to every agent that is asked for it."""
    text = f"{request.host_id}\n{request.patch_level}\n{origin.isoformat()}\n{request.at_s:.3f}"
    return hashlib.sha256(text.encode()).hexdigest()[:24]
