"""Which trigger has its turn: pure.

A fleet has one campaign at a time, since campaigns share its capacity and its limits.  Alerts go first, then urgent
requests, then others in the order in which they came.  A campaign that only waits for approval gives way to what is
more pressing; one that runs is asked to evacuate the hosts of alerts.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from slacktide.executors.orders import Evacuate
from slacktide.executors.triggers.calendar import Calendar, Window
from slacktide.executors.triggers.trigger import HOLDING, Asking, Change, State, Trigger, changed, withdrawn


def next_changes(triggers: Sequence[Trigger], calendars: Mapping[str, Calendar], now: datetime) -> list[Change]:
    """Return what begins now, joins the campaign that runs, or gives way."""
    ready = sorted((each for each in triggers if is_ready(each, calendars, now)), key=turn)
    holder = next((each for each in triggers if each.state in HOLDING), None)
    if holder is None:
        return [_begun(ready[0], calendars, now)] if ready else []
    if holder.course.ending is not None:
        return _ending(holder, holder.course.ending)
    if holder.state is State.RUNS:
        return [_joined(each, holder) for each in ready if _may_join(each, holder)]
    if ready and ready[0].rank < holder.rank and not _is_launching(holder):
        return [withdrawn(holder, State.WAITS, f"it gives way to {ready[0].words}")]
    if holder.state is State.APPROVAL and (late := _too_late(holder, now)) is not None:
        return [withdrawn(holder, State.WAITS, late, not_before=holder.course.until)]
    return []


def is_ready(trigger: Trigger, calendars: Mapping[str, Calendar], now: datetime) -> bool:
    """Return whether only other campaigns keep a trigger."""
    if trigger.state is not State.WAITS:
        return False
    if trigger.course.not_before is not None and now < trigger.course.not_before:
        return False
    return trigger.asked.calendar is None or _window(trigger, calendars, now) is not None


def waits_until(trigger: Trigger, calendars: Mapping[str, Calendar], now: datetime) -> datetime | None:
    """Return when a trigger that waits for its window, or for another try, comes to its turn; None: it has."""
    moment = max(now, trigger.course.not_before or now)
    calendar = calendars.get(trigger.asked.calendar or "")
    if calendar is not None and calendar.at(moment) is None:
        following = calendar.following(moment)
        return None if following is None else following.start
    return moment if moment > now else None


def _window(trigger: Trigger, calendars: Mapping[str, Calendar], now: datetime) -> Window | None:
    calendar = calendars.get(trigger.asked.calendar or "")
    return None if calendar is None else calendar.at(now)


def turn(trigger: Trigger) -> tuple[int, datetime, int]:
    """Return a trigger's place among those that wait; lower ones go first."""
    return trigger.rank, trigger.came_at, trigger.number


def _begun(trigger: Trigger, calendars: Mapping[str, Calendar], now: datetime) -> Change:
    window = _window(trigger, calendars, now)
    attempt = trigger.course.attempt + 1
    return changed(
        trigger,
        "its campaign is made",
        state=State.BEGINS,
        attempt=attempt,
        directory=f"{trigger.number:06d}-{attempt}",
        campaign_id=None,
        launched=False,
        order=None,
        step="",
        tries=0,
        narrowed=0,
        not_before=None,
        only=trigger.course.left or trigger.course.only,
        left=(),
        until=None if window is None else window.end,
        plan_s=None,
        ending=None,
    )


def _ending(holder: Trigger, to: State) -> list[Change]:
    """Return what becomes of a campaign that is to end and was not there to be asked: if it runs by now it goes on."""
    if holder.course.order is not None or holder.state is State.BEGINS:
        return []
    if holder.state is State.APPROVAL:
        return [withdrawn(holder, to, holder.detail, into=holder.into)]
    return [changed(holder, "its campaign has begun and goes on", ending=None)]


def _is_launching(holder: Trigger) -> bool:
    """Return whether a campaign is just being started: it soon waits, or runs."""
    return holder.state is State.BEGINS and holder.course.launched and holder.asked.start == "at-once"


def _may_join(trigger: Trigger, holder: Trigger) -> bool:
    return trigger.kind == "alert" and trigger.course.stayed_out_of != holder.number


def _joined(trigger: Trigger, holder: Trigger) -> Change:
    """Return an alert whose host the campaign that runs is asked to drain first."""
    assert trigger.asked.host is not None
    assert holder.course.campaign_id is not None, "a campaign that runs has one"
    said = ": ".join(part for part in (trigger.asked.by, trigger.asked.reason) if part)
    why = f"{said}, trigger {trigger.number}" if said else f"trigger {trigger.number}"
    order = Evacuate(host_id=trigger.asked.host)
    change = changed(trigger, f"asked of the campaign of {holder.words}", state=State.JOINED, into=holder.number)
    return Change(change.trigger, change.note, Asking(holder.course.campaign_id, order.kind, order.body(), why))


def _too_late(holder: Trigger, now: datetime) -> str | None:
    """Return why a campaign that waits for approval can no longer end within its window; None: it can."""
    until, plan_s = holder.course.until, holder.course.plan_s
    if until is None or plan_s is None or now + timedelta(seconds=plan_s) <= until:
        return None
    return f"nobody approved it while it fitted into the window, which ends at {until:%Y-%m-%d %H:%M} UTC"
