"""The watcher: looks at files, calendars and the store again and again, and takes what has come further.

It remembers nothing that matters: all that was decided is in the store, before it is done.
"""

import os
import threading
import time
from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

from slacktide.clock import Clock
from slacktide.errors import ExecutionError, OutputError, SlacktideError, StoreError
from slacktide.executors.control_events import OrderRefused
from slacktide.executors.detached import locked
from slacktide.executors.store.milestones import answer_to, is_evacuated, milestones
from slacktide.executors.store.triggers import Decide, TriggerStore
from slacktide.executors.triggers import windows_told
from slacktide.executors.triggers.alert import Delivery
from slacktide.executors.triggers.deliveries import Deliveries
from slacktide.executors.triggers.known import Known
from slacktide.executors.triggers.making import Maker, Place
from slacktide.executors.triggers.queueing import next_changes, turn, waits_until
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
READING_S: Final = 0.5
"""How long files are read before alerts and campaigns have their turn again."""
DECIDED_AT_ONCE: Final = 500
"""Files that are decided on in one transaction: alerts that come meanwhile wait for less than a second."""
JOINED_AT_ONCE: Final = 20
"""Triggers that were asked of a campaign whose answers are looked for in one step: each takes some queries."""
WAITING_SAID: Final = 20
"""Triggers that wait of which it is said why; `slacktide triggers list` has the others."""
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
        self._store = TriggerStore(place.store, triggers.fleet.name, watches=True)
        self._holds = False
        self._maker = Maker(triggers, place)
        self._files = None if requests is None else RequestWatch(requests, triggers.look_every_s)
        self._woken = threading.Event()
        self._ends = False
        self._noted: datetime | None = None
        self._turn = 0
        self._said: dict[str, str] = {}
        self._since: datetime | None = None
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
        if self.receiver is not None and self._deliveries is not None:
            self._deliveries.end()
            self.receiver.close()
        self._store.close()
        os.close(self._lock)

    def step(self) -> float:
        """Look at everything once, do what is to be done, and return how long nothing need be looked at, in seconds.

        Alerts and campaigns have their turn before files, of which there may be many.
        """
        if not self._has_fleet():
            return IDLE_S
        now = self._clock.now()
        self._look_at_windows(now)
        known = self._store.current()
        if self._decide(partial(next_changes, calendars=self._triggers.calendars, now=now), known):
            known = self._store.current()
        sick = sorted({each.asked.host for each in known if each.asked.host and each.course.firing})
        at_work = self._at_work(known)
        moved = [self._moved(each, known, sick, now) for each in at_work if not self._ends]
        self._say_what_waits(known, now)
        self._look_at_files(now)
        if any(moved) or (self._files is not None and self._files.is_busy):
            return 0.0
        return STEP_S if at_work else min(IDLE_S, self._triggers.look_every_s)

    def _at_work(self, known: Known) -> list[Trigger]:
        """Return the trigger whose campaign is carried out, and some of those that were asked of one, in turn."""
        joined = [each for each in known if each.state is State.JOINED]
        self._turn = self._turn if self._turn < len(joined) else 0
        asked = joined[self._turn : self._turn + JOINED_AT_ONCE]
        self._turn += JOINED_AT_ONCE
        return [each for each in known if each.state in HOLDING] + asked

    def _has_fleet(self) -> bool:
        """Return whether the fleet's triggers are carried out here, or say who does."""
        other = self._store.hold()
        held, self._holds = self._holds, other is None
        if other is not None:
            self._say("fleet", f"waits: fleet {self._triggers.fleet.name} is watched for by {other}")
        elif not held:
            self._since, self._noted = self._store.looked_at(), None
            if self._said.pop("fleet", None) is not None:
                self._tell(f"fleet {self._triggers.fleet.name} is watched for here now")
        return self._holds

    def _moved(self, trigger: Trigger, known: Known, sick: Sequence[str], now: datetime) -> bool:
        """Take a trigger further, and return whether it has come further; one that cannot keeps no other from it."""
        try:
            if trigger.state is State.JOINED:
                taken = self._joined(trigger, known)
            else:
                taken = self._maker.take(trigger, sick, now, self._note)
        except SlacktideError as error:
            self._say(f"error {trigger.number}", f"{trigger.words}: {error}")
            return False
        return taken is not None and self._note(taken) is not None

    def _note(self, taken: Step) -> Trigger | None:
        """Write a step down, and return its trigger; None: it is not to be taken any more."""
        made = self._written([partial(applied, taken=taken)])
        return made[0].trigger if made else None

    def _decide(self, decide: Decide, known: Known, keys: Collection[str] = ()) -> list[Change]:
        """Decide something, unless nothing comes of it: most of the time, and then nobody's writing is held up."""
        return self._written([decide], keys) if decide(known) else []

    def _written(self, decisions: Sequence[Decide], keys: Collection[str] = ()) -> list[Change]:
        changes = self._store.decide_all(decisions, self._clock.now(), keys)
        for change in changes:
            self._told(change)
        return changes

    def _told(self, change: Change) -> None:
        if change.note:
            self._tell(f"{change.trigger.words} {change.trigger.state}: {change.note}")

    # What comes

    def _look_at_files(self, now: datetime) -> None:
        """Take what files say further; whatever is wrong with them keeps alerts and campaigns from nothing."""
        if self._files is None or self._triggers.requests is None or self._ends:
            return
        try:
            self._take_files(self._files, now)
        except StoreError:
            raise
        except Exception as error:
            self._files.give_up()
            said = str(error) if isinstance(error, SlacktideError) else f"{type(error).__name__}: {error}"
            self._say("files", f"what files ask for cannot be looked at, all else goes on: {said}")
            return
        self._said.pop("files", None)
        for place in self._triggers.requests.paths:
            away = place in self._files.away
            self._say(str(place), f"{place} is away: its requests stay as they are" if away else f"watching {place}")

    def _take_files(self, files: RequestWatch, now: datetime) -> None:
        """Read files for a while, and decide on some once all are read."""
        until = time.monotonic() + READING_S
        decisions = files.decisions(now, DECIDED_AT_ONCE, lambda: self._ends or time.monotonic() >= until)
        keys = {key for each in decisions for key in each.keys}
        known = self._store.current(keys) if decisions else Known()
        if any(decide(known) for decide in decisions):
            self._written(decisions, keys)
        files.done(len(decisions))

    def _look_at_windows(self, now: datetime) -> None:
        if self._noted is not None and abs((now - self._noted).total_seconds()) < NOTED_S:
            return
        standing, calendars, since = self._triggers.standing, self._triggers.calendars, self._since
        keys = windows_told.keys(standing, calendars, since, now)
        begun = partial(windows_told.begun, standing=standing, calendars=calendars, looked_at=since, now=now)
        self._decide(begun, self._store.current(keys), keys)
        self._store.look(now)
        self._noted = self._since = now

    def _delivered(self, delivery: Delivery) -> list[dict[str, Any]]:
        """Write down what a delivery means; called in the receiver's thread."""
        assert self._deliveries is not None
        try:
            return self._deliveries.take(delivery, self._told)
        finally:
            self._woken.set()

    def _joined(self, trigger: Trigger, known: Known) -> Step | None:
        """Return how the campaign of another trigger has answered, and that it has ended; None: nothing new."""
        into = known.numbered(trigger.into)
        if into is None and trigger.into is not None:
            into = self._store.numbered(trigger.into)
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

    def _say_what_waits(self, known: Known, now: datetime) -> None:
        waiting = sorted((each for each in known if each.state is State.WAITS), key=turn)
        for each in waiting[:WAITING_SAID]:
            self._say(f"waits {each.number}", f"{each.words}: {waiting_words(each, known, self._triggers, now)}")
        more = len(waiting) - WAITING_SAID
        self._say("waits", f"{more:,} more wait: `slacktide triggers list` has them" if more > 0 else "")

    def _say(self, subject: str, words: str) -> None:
        """Say something about a subject, once until it is something else."""
        if self._said.get(subject, "") != words:
            self._said[subject] = words
            if words:
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
    except OSError as error:
        fact = f"cannot be made: {error.strerror or error}"
        raise OutputError(str(campaigns), fact, "Choose a folder that you may write to") from error
    lock = locked(campaigns / WATCHER_LOCK)
    if lock is None:
        fact = "is watched for by another `slacktide triggers run`"
        raise ExecutionError(str(campaigns), fact, "End that one, or leave it to it")
    return lock
