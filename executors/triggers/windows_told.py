"""What windows of calendars mean for the triggers that there are: what begins with them, and what was missed."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from slacktide.executors.triggers.calendar import Calendar, Window
from slacktide.executors.triggers.request import Due
from slacktide.executors.triggers.settings import Standing
from slacktide.executors.triggers.trigger import Asked, Change, Course, State, Trigger, changed

MOST_MISSED: Final = 20
"""Missed windows of one calendar that are told one by one, the newest: who was away for longer knows it."""


def begun(
    triggers: Sequence[Trigger],
    standing: Sequence[Standing],
    calendars: Mapping[str, Calendar],
    looked_at: datetime | None,
    now: datetime,
) -> list[Change]:
    """Return what begins with the windows that hold ``now``, and what was missed since ``looked_at``."""
    changes: list[Change] = []
    known = {trigger.key for trigger in triggers if trigger.kind == "window"}
    for each in standing:
        calendar = calendars[each.calendar]
        for window in _since(calendar, looked_at, now):
            if _key(each, window) not in known:
                changes += _window(triggers, each, window, now)
    changes += _missed_by_requests(triggers, calendars, looked_at, now)
    return changes


def keys(
    standing: Sequence[Standing], calendars: Mapping[str, Calendar], looked_at: datetime | None, now: datetime
) -> set[str]:
    """Return the keys of the triggers that :func:`begun` asks for."""
    return {_key(each, window) for each in standing for window in _since(calendars[each.calendar], looked_at, now)}


def _since(calendar: Calendar, looked_at: datetime | None, now: datetime) -> list[Window]:
    """Return the windows that hold ``now``, and before them those of which nothing was seen."""
    lasts = timedelta(seconds=calendar.lasts_s)
    near = calendar.between(min(looked_at or now, now) - lasts, now + timedelta(microseconds=1))
    missed = [window for window in near if window.end <= now and looked_at is not None and window.start > looked_at]
    return [*missed[-MOST_MISSED:], *(window for window in near if window.holds(now))]


def _window(triggers: Sequence[Trigger], standing: Standing, window: Window, now: datetime) -> Iterator[Change]:
    due = Due.model_validate({name: getattr(standing, name) for name in Due.model_fields})
    asked = Asked(start=standing.start, calendar=standing.calendar, due=due, window=(window.start, window.end))
    source = f"calendar {standing.calendar}"
    key = _key(standing, window)
    made = Trigger(0, "window", key, source, now, State.WAITS, asked, Course(last_at=now))
    before = [each for each in triggers if each.is_open and each.kind == "window" and _name(each) == standing.name]
    if window.end <= now:
        why = f"nobody watched while the window was open, until {window.end:%Y-%m-%d %H:%M} UTC"
        yield Change(_closed(made, State.MISSED, why), why)
    elif before:
        why = f"asks for the same as {before[0].words}, which is not done"
        yield Change(_closed(made, State.FOLDED, why, before[0].number), why)
    else:
        yield Change(made, f"its window has begun, and ends at {window.end:%Y-%m-%d %H:%M} UTC")


def _missed_by_requests(
    triggers: Sequence[Trigger], calendars: Mapping[str, Calendar], looked_at: datetime | None, now: datetime
) -> Iterator[Change]:
    """Yield that requests which wait for a window have missed one."""
    if looked_at is None:
        return
    for each in triggers:
        calendar = calendars.get(each.asked.calendar or "")
        if each.kind == "request" and each.state is State.WAITS and calendar is not None:
            missed = [window for window in calendar.between(looked_at, now) if window.end <= now]
            if missed:
                many = f"{len(missed)} windows were" if len(missed) > 1 else "a window was"
                ended = f"{missed[-1].end:%Y-%m-%d %H:%M} UTC"
                yield changed(each, f"{many} missed while nobody watched, the last until {ended}: it waits on")


def _closed(made: Trigger, state: State, why: str, into: int | None = None) -> Trigger:
    return changed(made, why, state=state, into=into).trigger


def _key(standing: Standing, window: Window) -> str:
    return f"{standing.name}@{window.start:%Y-%m-%dT%H:%MZ}"


def _name(trigger: Trigger) -> str:
    return trigger.key.rpartition("@")[0]
