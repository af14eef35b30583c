"""What an alert that is delivered means for the triggers that there are: new, the same, resolved."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from slacktide.executors.triggers.alert import Alert
from slacktide.executors.triggers.known import Known
from slacktide.executors.triggers.settings import Alerts
from slacktide.executors.triggers.trigger import Asked, Change, Course, State, Trigger, changed, withdrawn


class Told(NamedTuple):
    """What became of an alert."""

    outcome: str
    """In words, for whoever delivered it."""
    changes: list[Change]


def told(
    triggers: Known,
    alert: Alert,
    host: str | None,
    hosts: Collection[str] | None,
    terms: Alerts,
    now: datetime,
) -> Told:
    """Return what becomes of an alert.

    Parameters
    ----------
    host
        The host that it names; null: its label is missing.
    hosts
        Those of the fleet; null: not known yet.
    """
    mine = triggers.of_alert(alert.fingerprint, host)
    if alert.status == "resolved":
        return _resolved(mine, alert)
    if host is None or (hosts is not None and host not in hosts):
        label = terms.label
        fact = f"label `{label}` is missing" if host is None else f"the fleet has no host {host}, by label `{label}`"
        return _refused(mine, alert, host, fact, terms, now)
    if _is_over(mine, alert):
        return Told("resolved already: delivered late", [])
    open_one = next((each for each in mine if each.is_open and each.course.ending is None), None)
    if open_one is not None:
        return _folded(open_one, alert, now)
    closed = next((each for each in reversed(mine) if alert.fingerprint in each.course.firing), None)
    if closed is not None and closed.course.firing[alert.fingerprint] >= alert.startsAt:
        return _repeated(closed, now)
    reason = alert.annotations.get("summary") or alert.annotations.get("description") or ""
    asked = Asked(start=terms.start, host=host, reason=reason, by=alert.labels.get("alertname", ""))
    course = Course(last_at=now, firing={alert.fingerprint: alert.startsAt})
    made = Trigger(0, "alert", alert.fingerprint, _source(alert), now, State.WAITS, asked, course)
    return Told("to be drained", [Change(made, f"came: {_named(alert)} of {host} fires")])


def _is_over(mine: Sequence[Trigger], alert: Alert) -> bool:
    """Return whether this very alert is known to have been resolved."""
    ends = [each.course.resolved[alert.fingerprint] for each in mine if alert.fingerprint in each.course.resolved]
    return any(alert.startsAt <= since for since in ends)


def _resolved(mine: Sequence[Trigger], alert: Alert) -> Told:
    found = [each for each in mine if alert.fingerprint in each.course.firing]
    if not found:
        return Told("resolved: nothing had come of it", [])
    last = found[-1]
    earlier = [changed(each, firing=_without(each, alert)) for each in found[:-1]]
    firing = _without(last, alert)
    resolved = last.course.resolved | {alert.fingerprint: max(alert.startsAt, last.course.firing[alert.fingerprint])}
    course: dict[str, Any] = {"firing": firing, "resolved": resolved}
    if firing or not last.is_open or last.state is State.JOINED or last.course.ending is not None:
        note = f"{_named(alert)} is resolved" if last.is_open else ""
        return Told("resolved: noted", [*earlier, changed(last, note, **course)])
    change = withdrawn(last, State.WITHDRAWN, f"{_named(alert)} is resolved", **course)
    is_over = change.trigger.state is State.WITHDRAWN or change.trigger.course.ending is not None
    return Told("resolved: withdrawn" if is_over else "resolved: its campaign goes on", [*earlier, change])


def _without(trigger: Trigger, alert: Alert) -> dict[str, datetime]:
    """Return what fires of a trigger beside an alert."""
    return {name: since for name, since in trigger.course.firing.items() if name != alert.fingerprint}


def _refused(mine: Sequence[Trigger], alert: Alert, host: str | None, fact: str, terms: Alerts, now: datetime) -> Told:
    before = next((each for each in reversed(mine) if each.state is State.REFUSED), None)
    if before is not None:
        return Told(fact, [changed(before, times=before.course.times + 1, last_at=now)])
    asked = Asked(start=terms.start, host=host, by=alert.labels.get("alertname", ""))
    course = Course(last_at=now)
    made = Trigger(0, "alert", alert.fingerprint, _source(alert), now, State.REFUSED, asked, course, detail=fact)
    return Told(fact, [Change(made, fact)])


def _folded(open_one: Trigger, alert: Alert, now: datetime) -> Told:
    """Return an alert folded into an open trigger of its host."""
    fresh = alert.fingerprint not in open_one.course.firing
    firing = open_one.course.firing | {alert.fingerprint: alert.startsAt}
    note = f"{_named(alert)} fires as well" if fresh else ""
    change = changed(open_one, note, times=open_one.course.times + 1, last_at=now, firing=firing)
    return Told(f"folded into trigger {open_one.number}", [change])


def _repeated(closed: Trigger, now: datetime) -> Told:
    """Return what a repeated delivery means for a trigger that is over: it is tried again where it had failed."""
    times = closed.course.times + 1
    if closed.state is State.FAILED:
        change = changed(closed, "it fires still, and is tried again", state=State.WAITS, times=times, last_at=now)
        return Told("tried again", [change])
    outcome = "drained already" if closed.state is State.DONE else f"{closed.state}: {closed.detail}"
    return Told(outcome, [changed(closed, times=times, last_at=now)])


def _named(alert: Alert) -> str:
    return f"alert {alert.labels.get('alertname', alert.fingerprint)}"


def _source(alert: Alert) -> str:
    return alert.generatorURL or "alertmanager"
