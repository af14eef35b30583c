"""``slacktide triggers``: requests, windows and alerts that begin campaigns by themselves."""

import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Final

from cyclopts import App, Parameter

from slacktide.errors import UsageError
from slacktide.service.commands.options import AsJson, Whole
from slacktide.service.console import document, figures, findings_text, progress, tell
from slacktide.service.console import show as say
from slacktide.service.failures import OK, REFUSED
from slacktide.service.stores import VARIABLE
from slacktide.service.words import counted

if TYPE_CHECKING:
    from slacktide.executors.store.address import Store
    from slacktide.executors.store.triggers import TriggerStore
    from slacktide.executors.triggers.settings import Triggers

TriggersFile = Annotated[Path, Parameter(name="FILE", help="YAML or JSON file that says what is watched.")]
STORE_FILE: Final = "triggers.sqlite"

triggers = App(
    name="triggers",
    help="What begins campaigns by itself: requests in files, windows of a calendar, alerts of hosts about to fail.",
    help_epilogue="",
    sort_key=12,
)


@triggers.command(sort_key=1)
def check(path: TriggersFile, /, *, as_json: AsJson = False) -> int:
    """Check a file of triggers, and say what would be due and when.

    Looks at policies, fleet, the requests in their files, and the next windows of each calendar; begins nothing.
    The exit code is 1 if something is wrong.
    """
    from slacktide.clock import SystemClock
    from slacktide.executors.triggers.outlook import outlook
    from slacktide.findings import errors_in
    from slacktide.service.triggers_text import outlook_document, outlook_rows

    settings = _settings(path)
    _store(settings, path)
    with progress("Looking at fleet and requests"):
        seen = outlook(settings, SystemClock().now())
    if as_json:
        document(outlook_document(seen))
    else:
        say(figures(outlook_rows(seen)))
    if seen.findings:
        (tell if as_json else say)(findings_text(seen.findings))
    return REFUSED if errors_in(seen.findings) else OK


@triggers.command(sort_key=2)
def run(path: TriggersFile, /) -> int:
    """Watch, and begin campaigns, until Ctrl-C or SIGTERM.

    Campaigns that it has begun go on without it; given again, the command takes up where it was, and nothing is begun
    twice. What comes, what becomes of it and what is waited for is told line by line on standard error.
    """
    from slacktide.clock import SystemClock
    from slacktide.executors.triggers.making import Place
    from slacktide.executors.triggers.watcher import Watcher

    settings = _settings(path)
    store = _store(settings, path)
    environment = {name: value for name, value in os.environ.items() if name != VARIABLE}
    environment[VARIABLE] = store.url.render_as_string(hide_password=False)
    program = (sys.executable, "-m", "slacktide.service.cli")
    place = Place(store, path.resolve().parent, program, environment)
    watcher = Watcher(settings, place, SystemClock(), tell)
    if watcher.receiver is not None and settings.alerts is not None:
        tell(f"listening for alerts at {settings.alerts.address[0]}:{watcher.receiver.port}")

    def end(_number: int, _frame: FrameType | None) -> None:
        watcher.end()

    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        watcher.run()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    tell("ended: campaigns that were begun go on; the same command takes them up again")
    return OK


@triggers.command(name="list", sort_key=3)
def list_all(
    path: TriggersFile,
    /,
    *,
    every: Annotated[bool, Parameter(name="--all", negative="")] = False,
    as_json: AsJson = False,
) -> int:
    """List what came, from where, and what has become of it: what is open, and the newest of what is not.

    Parameters
    ----------
    every
        Also what is folded into another, superseded or withdrawn.
    """
    from slacktide.clock import SystemClock
    from slacktide.executors.triggers.trigger import State
    from slacktide.executors.triggers.watcher import waiting_words
    from slacktide.service.triggers_text import trigger_document, trigger_rows

    settings = _settings(path)
    store = _opened(settings, path)
    try:
        found = store.all()
    finally:
        store.close()
    hidden = () if every else (State.FOLDED, State.SUPERSEDED, State.WITHDRAWN)
    shown = [each for each in found if each.state not in hidden]
    if as_json:
        document([trigger_document(each, settings) for each in shown])
    elif shown:
        now = SystemClock().now()
        waits = {each.number: waiting_words(each, found, settings, now) for each in found if each.state is State.WAITS}
        say(figures(trigger_rows(shown, waits)))
    else:
        tell("nothing came yet")
    left_out = len(found) - len(shown)
    if left_out and not as_json:
        tell(f"{counted(left_out, 'trigger')} folded, superseded or withdrawn: --all lists them too")
    return OK


@triggers.command(name="show", sort_key=4)
def show_one(
    path: TriggersFile,
    number: Annotated[Whole, Parameter(name="NUMBER", help="Of the trigger, as `list` has it.")],
    /,
    *,
    as_json: AsJson = False,
) -> int:
    """Show one trigger: what it asks for, what was folded into it, its campaign, and all that was noted about it."""
    from slacktide.service.triggers_text import one_rows, trigger_document

    settings = _settings(path)
    store = _opened(settings, path)
    try:
        found = store.all()
        notes = store.notes(number)
    finally:
        store.close()
    one = next((each for each in found if each.number == number), None)
    if one is None:
        raise UsageError(f"trigger {number}", "there is none, or it is long over", "`slacktide triggers list` has them")
    folded = [each for each in found if each.into == number]
    if as_json:
        noted = [note._asdict() for note in notes]
        into = [each.number for each in folded]
        document({**trigger_document(one, settings), "notes": noted, "folded": into})
    else:
        say(figures(one_rows(one, folded, notes, settings)))
    return OK


def _settings(path: Path) -> "Triggers":
    from slacktide.executors.triggers.settings import read_triggers

    return read_triggers(path)


def _store(settings: "Triggers", path: Path) -> "Store":
    """Return the store of triggers and their campaigns."""
    from slacktide.executors.store.address import parse_store, store_in

    if settings.store is None:
        return store_in(settings.campaigns.resolve() / STORE_FILE)
    return parse_store(settings.store, path.resolve().parent)


def _opened(settings: "Triggers", path: Path) -> "TriggerStore":
    """Open the store to look into it.

    Raises
    ------
    UsageError
        If nothing was ever watched for with it.
    """
    from slacktide.executors.store.triggers import TriggerStore

    store = _store(settings, path)
    if store.is_file and not store.path.exists():
        fact = "nothing was watched for yet"
        raise UsageError(str(path), fact, f"Begin with `slacktide triggers run {path}`")
    return TriggerStore(store, settings.fleet.name)
