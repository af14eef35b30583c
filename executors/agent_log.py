"""An agent's log: what it is asked to do with guests and hosts, and what goes wrong there."""

import logging
from typing import Any, Final

from slacktide.executors import events
from slacktide.executors.commands import Report, Turn

_LOG: Final = logging.getLogger("slacktide.agent")
_WRONG: Final = (events.MigrationFailed, events.VmLost, events.PatchFailed)


def log_asked(asked: object) -> None:
    """Log what a turn asks for: patches, which are few, and in every detail the rest."""
    if not isinstance(asked, Turn):
        return
    for patch in asked.patch:
        _tell(logging.INFO, "asked to patch", host=patch.host_id)
    if _LOG.isEnabledFor(logging.DEBUG):
        for move in asked.migrate:
            names = {"migration": move.migration_id, "vm": move.vm_id, "host": move.source, "target": move.target}
            _tell(logging.DEBUG, "asked to migrate", **names, attempt=move.attempt)
        for notice in asked.notify:
            _tell(logging.DEBUG, "asked to tell a guest", vm=notice.vm_id, host=notice.host_id, telling=notice.telling)
        for stop in asked.cancel:
            _tell(logging.DEBUG, "asked to stop", migration=stop.migration_id, attempt=stop.attempt)


def log_answered(answer: object) -> None:
    """Log what went wrong by an agent's report."""
    if not isinstance(answer, Report):
        return
    for event in answer.events:
        if isinstance(event, _WRONG):
            named = event.host_id if isinstance(event, events.PatchFailed) else event.migration_id
            kind = "host" if isinstance(event, events.PatchFailed) else "migration"
            why = {"reason": event.reason} if isinstance(event, events.PatchFailed) else {"error": event.error}
            _tell(logging.WARNING, event.type, **{kind: named}, **why)


def _tell(level: int, words: str, **about: Any) -> None:  # noqa: ANN401  (whatever a line can hold)
    _LOG.log(level, words, extra={"about": about})
