"""The watcher: looks at files, calendars and the store again and again, and takes what has come further.

It remembers nothing that matters: all that was decided is in the store, before it is done.
"""

import fcntl
import os
import threading
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

from slacktide.clock import Clock
from slacktide.errors import ExecutionError, OutputError, SlacktideError
from slacktide.executors.control_events import OrderRefused
from slacktide.executors.store.milestones import answer_to, is_evacuated, milestones
from slacktide.executors.store.triggers import Decide, TriggerStore
from slacktide.executors.triggers import windows_told
from slacktide.executors.triggers.alert import Delivery
from slacktide.executors.triggers.deliveries import Deliveries
from slacktide.executors.triggers.making import Maker, Place
from slacktide.executors.triggers.queueing import next_changes, waits_until
from slacktide.executors.triggers.receiver import Receiver, read_token
from slacktide.executors.triggers.request_watch import RequestWatch
from slacktide.executors.triggers.settings import Triggers
from slacktide.executors.triggers.trigger import HOLDING, Change, State, Step, Trigger, applied, step
from slacktide.ids import CampaignId

STEP_S: Final = 0.25
"""How often commands and campaigns are looked at while there are any: so soon one step follows on another."""
IDLE_S: Final = 2.0
"""How often while there are none."""
NOTED_S: Final = 5.0
"""How often windows are looked for, and it is noted that somebody watches."""
WATCHER_LOCK: Final = "watcher.lock"


class Watcher:
    """Watches one fleet; made and used in one thread."""

    def __init__(self, triggers: Triggers, place: Place, clock: Clock, tell: Callable[[str], None]) -> None:
        """Take the fleet to watch, and begin to listen for alerts.

        Raises
        ------
        ExecutionError
            If another watches for it with the same directory of campaigns, or the address is taken.
        """
        self._triggers, self._place, self._clock, self._tell = triggers, place, clock, tell
        alerts, requests = triggers.alerts, triggers.requests
        token = None if alerts is None else read_token(alerts.token_file)
        self._lock = _only_one(triggers.campaigns)
        self._store = TriggerStore(place.store, triggers.fleet.name)
        self._maker = Maker(triggers, place)
        self._files = None if requests is None else RequestWatch(requests, triggers.look_every_s)
        self._woken = threading.Event()
        self._ends = False
        self._noted: datetime | None = None
        self._said: dict[str, str] = {}
        self._since = self._store.looked_at()
        self._deliveries = None if alerts is None else Deliveries(triggers, alerts, place.store, clock)
        self.receiver = None if alerts is None else Receiver(alerts.address, token, self._delivered)

    def end(self) -> None:
        """Have :meth:`run` return soon; may be called from a signal handler."""
        self._ends = True
        self._woken.set()

    def run(self) -> None:
        """Watch until :meth:`end`; campaigns that run go on without."""
        try:
            while not self._ends:
                self._woken.clear()
                try:
                    pause_s = self.step()
                    self._said.pop("error", None)
                except SlacktideError as error:
                    self._say("error", str(error))
                    pause_s = IDLE_S
                if not self._ends:
                    self._woken.wait(pause_s)
        finally:
            self.close()

    def close(self) -> None:
        """Listen no more, and let the fleet go."""
        if self.receiver is not None:
            self.receiver.close()
        self._store.close()
        os.close(self._lock)

    def step(self) -> float:
        """Look at everything once, do what is to be done, and return how long nothing need be looked at, in seconds."""
        now = self._clock.now()
        self._look_at_files(now)
        self._look_at_windows(now)
        self._decide(partial(next_changes, calendars=self._triggers.calendars, now=now))
        rows = self._store.all()
        sick = sorted({each.asked.host for each in rows if each.asked.host and each.course.firing})
        at_work = [each for each in rows if each.state in (*HOLDING, State.JOINED)]
        moved = [self._moved(each, rows, sick, now) for each in at_work]
        for each in rows:
            if each.state is State.WAITS:
                words = waiting_words(each, rows, self._triggers, now)
                self._say(f"waits {each.number}", f"{each.words}: {words}")
        if any(moved):
            return 0.0
        return STEP_S if at_work else min(IDLE_S, self._triggers.look_every_s)

    def _moved(self, trigger: Trigger, rows: Sequence[Trigger], sick: Sequence[str], now: datetime) -> bool:
        """Take a trigger further, and return whether it has come further; one that cannot keeps no other from it."""
        try:
            if trigger.state is State.JOINED:
                taken = self._joined(trigger, rows)
            else:
                taken = self._maker.take(trigger, sick, now, self._note)
        except SlacktideError as error:
            self._say(f"error {trigger.number}", f"{trigger.words}: {error}")
            return False
        return taken is not None and self._note(taken) is not None

    def _note(self, taken: Step) -> Trigger | None:
        """Write a step down, and return its trigger; None: it is not to be taken any more."""
        made = self._decide(partial(applied, taken=taken))
        return made[0].trigger if made else None

    def _decide(self, decide: Decide) -> list[Change]:
        if not decide(self._store.all()):
            return []  # most of the time, and then nobody's writing is held up
        changes = self._store.decide(decide, self._clock.now())
        for change in changes:
            self._told(change)
        return changes

    def _told(self, change: Change) -> None:
        if change.note:
            self._tell(f"{change.trigger.words} {change.trigger.state}: {change.note}")

    # What comes

    def _look_at_files(self, now: datetime) -> None:
        if self._files is None or self._triggers.requests is None:
            return
        for decision in self._files.decisions(now):
            self._decide(decision)
        for place in self._triggers.requests.paths:
            away = place in self._files.away
            self._say(str(place), f"{place} is away: its requests stay as they are" if away else f"watching {place}")

    def _look_at_windows(self, now: datetime) -> None:
        if self._noted is not None and abs((now - self._noted).total_seconds()) < NOTED_S:
            return
        standing, calendars = self._triggers.standing, self._triggers.calendars
        self._decide(
            partial(windows_told.begun, standing=standing, calendars=calendars, looked_at=self._since, now=now)
        )
        self._store.look(now)
        self._noted = self._since = now

    def _delivered(self, delivery: Delivery) -> list[dict[str, Any]]:
        """Write down what a delivery means; called in the receiver's thread."""
        assert self._deliveries is not None
        try:
            return self._deliveries.take(delivery, self._told)
        finally:
            self._woken.set()

    def _joined(self, trigger: Trigger, rows: Sequence[Trigger]) -> Step | None:
        """Return how the campaign of another trigger has answered, and that it has ended; None: nothing new."""
        into = next((each for each in rows if each.number == trigger.into), None)
        campaign = None if into is None else into.course.campaign_id
        if into is None or campaign is None or trigger.course.order is None:
            return step(trigger, "the campaign that it was asked of is away", State.WAITS)
        store, name = self._place.store, CampaignId(campaign)
        answer = answer_to(store, name, trigger.course.order)
        if isinstance(answer, OrderRefused):
            note = f"refused, {answer.reason}: it has its turn after that campaign"
            return step(trigger, note, State.WAITS, stayed_out_of=into.number)
        if answer is not None and is_evacuated(store, name, trigger.asked.host or ""):
            return step(trigger, f"the host is evacuated by the campaign of {into.words}", State.DONE)
        if milestones(store, name).finished:
            note = "the campaign that it was asked of has ended before the host was empty"
            return step(trigger, note, State.WAITS, stayed_out_of=into.number)
        return None

    def _say(self, subject: str, words: str) -> None:
        """Say something about a subject, once until it is something else."""
        if self._said.get(subject) != words:
            self._said[subject] = words
            self._tell(words)


def waiting_words(trigger: Trigger, rows: Sequence[Trigger], triggers: Triggers, now: datetime) -> str:
    """Return what a trigger that has not begun waits for."""
    until = waits_until(trigger, triggers.calendars, now)
    if until is not None:
        return f"waits until {until:%Y-%m-%d %H:%M:%S} UTC"
    calendar = triggers.calendars.get(trigger.asked.calendar or "")
    if calendar is not None and calendar.at(now) is None:
        return f"waits for a window, and calendar {trigger.asked.calendar} has none within three years"
    holder = next((each for each in rows if each.state in HOLDING), None)
    return "has its turn" if holder is None else f"waits for the campaign of {holder.words}"


def _only_one(campaigns: Path) -> int:
    """Return the lock that a watcher holds of a directory of campaigns.

    Raises
    ------
    ExecutionError
        If another holds it.
    OutputError
        If the directory cannot be made.
    """
    try:
        campaigns.mkdir(parents=True, exist_ok=True)
        lock = os.open(campaigns / WATCHER_LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        fact = f"cannot be made: {error.strerror or error}"
        raise OutputError(str(campaigns), fact, "Choose a folder that you may write to") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        fact = "is watched for by another `slacktide triggers run`"
        raise ExecutionError(str(campaigns), fact, "End that one, or leave it to it") from None
    return lock
