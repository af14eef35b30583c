"""Triggers as people and programs read them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from slacktide.executors.triggers.making import campaign_of
from slacktide.service.words import counted

if TYPE_CHECKING:
    from slacktide.executors.store.triggers import Note
    from slacktide.executors.triggers.calendar import Window
    from slacktide.executors.triggers.outlook import Outlook
    from slacktide.executors.triggers.settings import Triggers
    from slacktide.executors.triggers.trigger import Trigger


def trigger_rows(triggers: Iterable["Trigger"], waits: Mapping[int, str]) -> Iterator[tuple[str, ...]]:
    """Yield a row for each trigger: number, what it is, what has become of it; ``waits``: for what, by number."""
    for each in triggers:
        came = f"{each.came_at:%Y-%m-%d %H:%M} UTC from {each.source}"
        times = f", {each.course.times} times" if each.course.times > 1 else ""
        into = "" if each.into is None else f" (trigger {each.into})"
        yield (
            str(each.number),
            f"{_name(each)}: {each.state}{into}",
            "; ".join(part for part in (waits.get(each.number, each.detail), f"came {came}{times}") if part),
        )


def one_rows(
    one: "Trigger", folded: Sequence["Trigger"], notes: Sequence["Note"], settings: "Triggers"
) -> Iterator[tuple[str, ...]]:
    """Yield all of one trigger."""
    asked, campaign = one.asked, campaign_of(settings, one)
    yield "trigger", f"{one.number}, {_name(one)}"
    yield "state", f"{one.state}: {one.detail}"
    yield "came", f"{_moment(one.came_at)} from {one.source}, {counted(one.course.times, 'time')}"
    if asked.by or asked.reason:
        yield "asked", ": ".join(part for part in (asked.by, asked.reason) if part)
    if asked.due is not None:
        yield "due", f"hosts below {asked.due.patch_level}, order `{asked.due.order}`"
    if asked.deadline is not None:
        yield "deadline", _moment(asked.deadline)
    yield "start", f"{asked.start}{'' if asked.calendar is None else f', in windows of calendar {asked.calendar}'}"
    if campaign is not None:
        yield "campaign", str(campaign)
    elif one.course.directory is not None:
        yield "directory", str(settings.campaigns / one.course.directory)
    if one.course.left:
        yield "left", f"{counted(len(one.course.left), 'host')} for the next window"
    for name, since in sorted(one.course.firing.items()):
        yield "fires", f"{name} since {_moment(since)}"
    for each in folded:
        yield "folded", f"trigger {each.number}, {_name(each)}: {each.state}"
    for note in notes:
        yield "noted", f"{note.at[:19].replace('T', ' ')} UTC  {note.words}"


def trigger_document(one: "Trigger", settings: "Triggers") -> dict[str, Any]:
    """Return a trigger as data for JSON."""
    campaign = campaign_of(settings, one)
    return {
        "number": one.number,
        "kind": one.kind,
        "key": one.key,
        "source": one.source,
        "came_at": one.came_at.isoformat(),
        "state": str(one.state),
        "detail": one.detail,
        "into": one.into,
        "times": one.course.times,
        "attempts": one.course.attempt,
        "asked": one.asked.model_dump(mode="json", exclude_defaults=True),
        "campaign": None if campaign is None else str(campaign),
        "campaign_id": one.course.campaign_id,
    }


def outlook_rows(seen: "Outlook") -> Iterator[tuple[str, ...]]:
    """Yield what would be due and when."""
    hosts = "fetched by a command" if seen.hosts is None else counted(seen.hosts, "host")
    yield "fleet", f"{seen.fleet}: {hosts}"
    for name, windows in seen.windows.items():
        for window in windows:
            yield f"calendar {name}", _window(window)
    for each in seen.ahead:
        due = "hosts that are due" if each.due is None else counted(each.due, "host")
        when = "at once" if each.calendar is None else "in no window"
        when = when if each.window is None else f"in the window {_window(each.window)}"
        waits = "waits for approval" if each.start == "approve" else "starts by itself"
        yield each.name, f"{due} {when}; {waits} ({each.source})"
    if seen.listen is not None:
        yield "alerts", f"would be listened for at {seen.listen}"


def outlook_document(seen: "Outlook") -> dict[str, Any]:
    """Return the same as data for JSON."""
    return {
        "fleet": seen.fleet,
        "hosts": seen.hosts,
        "ahead": [each._asdict() | {"window": _window_document(each.window)} for each in seen.ahead],
        "windows": {name: [_window_document(one) for one in windows] for name, windows in seen.windows.items()},
        "listen": seen.listen,
        "findings": [finding.as_dict() for finding in seen.findings],
    }


def _name(one: "Trigger") -> str:
    return f"alert of {one.asked.host or 'no host'}" if one.kind == "alert" else f"{one.kind} {one.key}"


def _moment(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S %Z}"


def _window(window: "Window") -> str:
    return f"{window.start:%a %Y-%m-%d %H:%M} to {window.end:%a %H:%M} UTC"


def _window_document(window: "Window | None") -> dict[str, str] | None:
    return None if window is None else {"start": window.start.isoformat(), "end": window.end.isoformat()}
