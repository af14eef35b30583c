"""Signals, looked at again and again in threads of their own, so that a slow one holds nothing up."""

import os
import time
from collections.abc import Callable
from queue import Empty, SimpleQueue
from threading import Event, Lock, Thread
from typing import Any, Final, NamedTuple

from slacktide.errors import DriverError
from slacktide.executors.health.settings import Health, PrometheusCheck, Signal, SignalCheck
from slacktide.executors.maintenance.answers import ANSWER_BYTES, answer_to
from slacktide.executors.maintenance.filling import Secrets, Target, revealed
from slacktide.executors.maintenance.verifying import looked as checked
from slacktide.ids import HostId

NOBODY: Final = Target(HostId(""), "")
"""Signals are about no single host."""
WELL: Final = "is well"
GRACE_S: Final = 10.0
"""By how much a look may exceed its time: a busy machine may take some seconds to begin a process."""
STOOD_S: Final = 1.0
"""Time between two questions for what has changed that counts at most: while this process stood still it looked at
nothing, which says nothing of a signal."""


class Verdict(NamedTuple):
    """How a signal is now, where that has changed."""

    name: str
    healthy: bool
    detail: str


class Watch:
    """Looks at every signal once when it begins, and then as often as each asks for, until it is closed."""

    def __init__(self, health: Health, look: Callable[[SignalCheck], str | None] | None = None) -> None:
        self._look = look or looked
        self._news: SimpleQueue[Verdict] = SimpleQueue()
        self._closed = Event()
        self._time_s = 0.0
        """Since it began, without that in which nobody asked."""
        self._began_s = time.monotonic()
        self._asked_s: float | None = None
        """When it was asked last for what has changed, on this machine's clock."""
        self._signals = [_Watched(signal, self._news) for signal in health.signals]
        for signal in self._signals:
            Thread(target=self._watch, args=(signal,), daemon=True).start()

    def awaits_first(self, wait_s: float) -> bool:
        """Wait so long for the first look at every signal; return whether one has not ended that still has time to."""
        now_s = time.monotonic()
        for signal in self._signals:
            end_s = self._began_s + signal.first_within_s
            left_s = max(0.0, min(end_s, now_s + wait_s) - time.monotonic())
            if not signal.known.wait(left_s) and time.monotonic() < end_s:
                return True
        return False

    def changes(self) -> list[Verdict]:
        """Return what has changed; the first time, how every signal is: that is waited for.

        A signal that was not looked at in its time is not well.
        """
        while self._asked_s is None and self.awaits_first(STOOD_S):
            pass
        now_s = time.monotonic()
        if self._asked_s is not None:
            self._time_s += min(now_s - self._asked_s, STOOD_S)
        self._asked_s = now_s
        for signal in self._signals:
            if not signal.known.is_set():
                signal.is_late(f"it has not answered within {signal.first_within_s:g} s")
            elif self._time_s > signal.looked_s + signal.again_within_s:
                signal.is_late(f"it was looked at last more than {signal.again_within_s:g} s ago")
        found = []
        while True:
            try:
                found.append(self._news.get_nowait())
            except Empty:
                return found

    def close(self) -> None:
        """Look no more."""
        self._closed.set()

    def _watch(self, watched: "_Watched") -> None:
        signal = watched.signal
        while not self._closed.is_set():
            try:
                wrong = self._look(signal.check)
            except Exception as error:  # otherwise nobody would look again, and it would count as what it was last
                wrong = (
                    f"it cannot be looked at: {type(error).__name__}: {_secrets(signal.check).last_words(str(error))}"
                )
            watched.is_found(wrong, self._time_s)
            self._closed.wait(signal.every_s)


class _Watched:
    """One signal, and how it was found."""

    def __init__(self, signal: Signal, news: "SimpleQueue[Verdict]") -> None:
        self.signal = signal
        self.known = Event()
        """Set once it was looked at."""
        self.looked_s = 0.0
        """When a look has ended last, by the watch's time."""
        self.first_within_s = signal.check.answer_within_s + GRACE_S
        self.again_within_s = signal.every_s + self.first_within_s
        self._news = news
        self._healthy: bool | None = None
        self._failed = 0
        """Looks in a row that have."""
        self._lock = Lock()

    def is_found(self, wrong: str | None, at_s: float) -> None:
        """Take in what is wrong with it, None: all is well."""
        with self._lock:
            self.looked_s = at_s
            self._failed = 0 if wrong is None else self._failed + 1
            if wrong is None and self._healthy is not True:
                self._tell(True, WELL)
            elif wrong is not None and (self._healthy is None or (self._healthy and self._failed >= self.signal.tries)):
                self._tell(False, wrong)
        self.known.set()

    def is_late(self, words: str) -> None:
        """Take in that nobody knows how it is."""
        with self._lock:
            if self._healthy is not False:
                self._tell(False, f"{words}: nobody knows how it is. See what its check waits for")

    def _tell(self, healthy: bool, detail: str) -> None:
        self._healthy = healthy
        self._news.put(Verdict(self.signal.name, healthy, detail))


def looked(check: SignalCheck) -> str | None:
    """Return what is wrong now, None: all is well."""
    if not isinstance(check, PrometheusCheck):
        return checked(check, NOBODY, os.environ)
    try:
        wrong = _prometheus(check)
    except DriverError as error:
        wrong = str(error)
    return None if wrong is None else _secrets(check).hidden(wrong)


def _secrets(check: SignalCheck) -> Secrets:
    return Secrets(check.model_dump(mode="json"), os.environ)


def _prometheus(check: PrometheusCheck) -> str | None:
    url = f"{revealed(check.url, os.environ).rstrip('/')}/api/v1/query"
    headers = {name: revealed(value, os.environ) for name, value in check.headers.items()}
    answer = answer_to(url, headers, check.answer_within_s, {"query": check.query})
    if isinstance(answer, str):
        return answer
    if answer.is_cut:
        return f"its answer has more than {ANSWER_BYTES:,} bytes. Ask for fewer series"
    try:
        told = answer.json()
    except ValueError:
        return f"it was answered with {answer.code} and no JSON: is this a Prometheus server?"
    if not isinstance(told, dict) or told.get("status") != "success":
        reason = told.get("error") if isinstance(told, dict) else None
        return f"the query was refused: {_secrets(check).last_words(str(reason or answer.code))}"
    return _out_of_bounds(check, _values(told.get("data")))


def _values(data: Any) -> list[float]:  # noqa: ANN401  (JSON)
    """Return the values of an instant query's answer, a vector's or the one of a scalar."""
    try:
        if data["resultType"] == "scalar":
            return [float(data["result"][1])]
        return [float(sample["value"][1]) for sample in data["result"]] if data["resultType"] == "vector" else []
    except (TypeError, ValueError, KeyError, IndexError):
        return []


def _out_of_bounds(check: PrometheusCheck, values: list[float]) -> str | None:
    if not values:
        return "the query has no value"
    for value in values:
        if check.below is not None and not value < check.below:
            return f"{check.query} is {value:g}, not below {check.below:g}"
        if check.above is not None and not value > check.above:
            return f"{check.query} is {value:g}, not above {check.above:g}"
    return None
