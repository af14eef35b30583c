"""Signals, looked at again and again in threads of their own, so that a slow one holds nothing up."""

import os
from collections.abc import Callable
from queue import Empty, SimpleQueue
from threading import Event, Thread
from typing import Any, Final, NamedTuple

from slacktide.errors import DriverError
from slacktide.executors.health.settings import Health, PrometheusCheck, Signal, SignalCheck
from slacktide.executors.maintenance.filling import Target, hidden, referred, revealed
from slacktide.executors.maintenance.verifying import looked as checked
from slacktide.ids import HostId

NOBODY: Final = Target(HostId(""), "")
"""Signals are about no single host."""
WELL: Final = "is well"


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
        self._threads = [Thread(target=self._watch, args=(signal,), daemon=True) for signal in health.signals]
        self._known = [Event() for _ in health.signals]
        self._first = dict(zip((signal.name for signal in health.signals), self._known, strict=True))
        for thread in self._threads:
            thread.start()

    def changes(self) -> list[Verdict]:
        """Return what has changed; the first time, how every signal is: that is waited for."""
        while self._known:
            self._known.pop().wait()
        found = []
        while True:
            try:
                found.append(self._news.get_nowait())
            except Empty:
                return found

    def close(self) -> None:
        """Look no more."""
        self._closed.set()

    def _watch(self, signal: Signal) -> None:
        healthy: bool | None = None
        failed = 0
        while not self._closed.is_set():
            wrong = self._look(signal.check)
            failed = 0 if wrong is None else failed + 1
            if wrong is None and healthy is not True:
                healthy = True
                self._news.put(Verdict(signal.name, True, WELL))
            elif wrong is not None and (healthy is None or (healthy and failed >= signal.tries)):
                healthy = False
                self._news.put(Verdict(signal.name, False, wrong))
            self._first[signal.name].set()
            self._closed.wait(signal.every_s)


def looked(check: SignalCheck) -> str | None:
    """Return what is wrong now, None: all is well."""
    if not isinstance(check, PrometheusCheck):
        return checked(check, NOBODY, os.environ)
    try:
        wrong = _prometheus(check)
    except DriverError as error:
        wrong = str(error)
    return None if wrong is None else hidden(wrong, referred(check.model_dump(mode="json")), os.environ)


def _prometheus(check: PrometheusCheck) -> str | None:
    import httpx

    url = f"{revealed(check.url, os.environ).rstrip('/')}/api/v1/query"
    headers = {name: revealed(value, os.environ) for name, value in check.headers.items()}
    try:
        answer = httpx.get(url, params={"query": check.query}, headers=headers, timeout=check.answer_within_s)
        told: dict[str, Any] = answer.json()
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return f"there is no answer: {' '.join(str(error).split()) or type(error).__name__}"
    except ValueError:
        return f"it was answered with {answer.status_code} and no JSON: is this a Prometheus server?"
    if not isinstance(told, dict) or told.get("status") != "success":
        reason = told.get("error") if isinstance(told, dict) else None
        return f"the query was refused: {reason or answer.status_code}"
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
