"""What a file of triggers would begin as things stand, and when; nothing is begun."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, NamedTuple

from slacktide.datasets.files import read_snapshot
from slacktide.datasets.snapshot import FleetSnapshot
from slacktide.errors import InputError, SlacktideError
from slacktide.executors.triggers.calendar import Window
from slacktide.executors.triggers.receiver import read_token
from slacktide.executors.triggers.request import Due
from slacktide.executors.triggers.request_files import look, read_files
from slacktide.executors.triggers.settings import Triggers, policy_named
from slacktide.findings import Finding

WINDOWS_SHOWN: Final = 3


class Ahead(NamedTuple):
    """Something that would begin a campaign."""

    name: str
    source: str
    due: int | None
    """Hosts; null: the fleet is fetched by a command, and not known here."""
    start: str
    window: Window | None
    """The one that it would begin in, or wait for; null: at any time, or there is none."""
    calendar: str | None


@dataclass(frozen=True, slots=True)
class Outlook:
    """What would be."""

    fleet: str
    hosts: int | None
    ahead: tuple[Ahead, ...]
    windows: dict[str, tuple[Window, ...]]
    listen: str | None
    findings: tuple[Finding, ...]


def outlook(triggers: Triggers, now: datetime) -> Outlook:
    """Return what would be due and when."""
    findings = [*_policies(triggers), *_files(triggers)]
    snapshot: FleetSnapshot | None = None
    if triggers.fleet.directory is not None:
        try:
            snapshot = read_snapshot(triggers.fleet.directory)
        except SlacktideError as error:
            findings += _of(error)
    ahead, wrong = _ahead(triggers, snapshot, now)
    windows = {name: _next_windows(triggers, name, now) for name in triggers.calendars}
    findings += [
        Finding("calendar-empty", f"calendar {name} has no window within three years", "Look at its rule and begin")
        for name, found in windows.items()
        if not found
    ]
    return Outlook(
        fleet=triggers.fleet.name,
        hosts=None if snapshot is None else snapshot.hosts.height,
        ahead=tuple(ahead),
        windows=windows,
        listen=None if triggers.alerts is None else triggers.alerts.listen,
        findings=tuple([*findings, *wrong]),
    )


def _policies(triggers: Triggers) -> Iterator[Finding]:
    for name in sorted(set(triggers.policies.model_dump().values())):
        try:
            policy_named(name)
        except SlacktideError as error:
            yield from _of(error)


def _files(triggers: Triggers) -> Iterator[Finding]:
    """Yield files that are named and not there."""
    alerts = triggers.alerts
    for file in (triggers.run.connections, triggers.run.maintenance, triggers.run.health):
        if file is not None and not file.is_file():
            yield Finding("file-missing", f"there is no file {file}", "Write it, or name another", file=file.name)
    if alerts is not None:
        try:
            read_token(alerts.token_file)
        except SlacktideError as error:
            yield from _of(error)


def _ahead(triggers: Triggers, snapshot: FleetSnapshot | None, now: datetime) -> tuple[list[Ahead], list[Finding]]:
    ahead: list[Ahead] = []
    findings: list[Finding] = []
    terms = triggers.requests
    if terms is not None:
        seen = look(terms.paths)
        findings += [
            Finding("requests-away", f"{place} is not there, or cannot be read", "Make it", "warning")
            for place in seen.away
        ]
        found = read_files(seen.digests)
        findings += [
            Finding("request-file", why, "It is passed over until then", file=file.name)
            for file, (_, why) in found.wrong.items()
        ]
        for file, request in found.requests.items():
            free = request.urgency == "urgent" and not terms.urgent_waits
            calendar = None if free else terms.calendar
            ahead.append(_one(triggers, request.id, file, request, terms.start, calendar, snapshot, now))
            findings += _late(ahead[-1], request.deadline)
            findings += _strange(request, request.id, snapshot)
    for each in triggers.standing:
        ahead.append(_one(triggers, each.name, Path(), each, each.start, each.calendar, snapshot, now))
        findings += _strange(each, each.name, snapshot)
    return ahead, findings


def _one(
    triggers: Triggers,
    name: str,
    file: Path,
    due: Due,
    start: str,
    calendar: str | None,
    snapshot: FleetSnapshot | None,
    now: datetime,
) -> Ahead:
    windows = triggers.calendar_of(calendar)
    window = None if windows is None else windows.at(now) or windows.following(now)
    hosts = None if snapshot is None else len(due.in_fleet(snapshot))
    return Ahead(name, file.name or f"calendar {calendar}", hosts, start, window, calendar)


def _late(ahead: Ahead, deadline: datetime | None) -> Iterator[Finding]:
    if deadline is not None and ahead.window is not None and ahead.window.start >= deadline:
        fact = f"request {ahead.name}: its deadline {deadline:%Y-%m-%d %H:%M %z} is before its next window"
        yield Finding("deadline-before-window", fact, "Give it `urgency: urgent`, or a window before", "warning")


def _strange(due: Due, name: str, snapshot: FleetSnapshot | None) -> Iterator[Finding]:
    if snapshot is not None and (strange := due.unknown(snapshot)):
        fact = f"{name} names hosts that the fleet does not have, such as {strange[0]}"
        yield Finding("unknown-host", fact, "Correct the names", "warning", subjects=tuple(strange))


def _next_windows(triggers: Triggers, name: str, now: datetime) -> tuple[Window, ...]:
    calendar = triggers.calendars[name]
    found: list[Window] = []
    window = calendar.at(now) or calendar.following(now)
    while window is not None and len(found) < WINDOWS_SHOWN:
        found.append(window)
        window = calendar.following(window.start)
    return tuple(found)


def _of(error: SlacktideError) -> tuple[Finding, ...]:
    if isinstance(error, InputError) and error.findings:
        return error.findings
    return (Finding("unreadable", f"{error.subject}: {error.fact}", error.remedy),)
