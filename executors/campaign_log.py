"""A campaign's log: what its journal was given, for whoever gathers logs.

Migrations are many: of those only what went wrong is logged, unless the level is ``DEBUG``.
"""

import logging
from collections.abc import Sequence
from typing import Any, Final

from slacktide.executors import control_events, events
from slacktide.executors.events import Event
from slacktide.executors.events.event import field_names
from slacktide.executors.journal import Entry
from slacktide.executors.program import Program
from slacktide.ids import CampaignId

LOG: Final = logging.getLogger("slacktide.campaign")
LOG.addHandler(logging.NullHandler())  # a command that nobody asked for logs writes none

_ERRORS: Final = (events.VmLost, events.PatchFailed)
_WARNINGS: Final = (
    *(events.MigrationFailed, events.MigrationGivenUp, events.HostFailed, events.HostBlocked, events.HostRefilled),
    *(events.WaveClosed, events.AgentAway),
    *(control_events.CampaignPaused, control_events.CampaignAborted, control_events.OrderRefused),
    control_events.DecisionAwaited,
)
_STEPS: Final = (events.MigrationEvent, events.HostDrained, events.PatchIntended)
"""What is told in every detail only where that is asked for."""
_NAMES: Final = {
    "migration_id": "migration",
    "host_id": "host",
    "vm_id": "vm",
    "campaign_id": "campaign",
    "plan_id": "plan",
}
"""Fields under the names by which logs are searched."""


class CampaignLog:
    """Logs a campaign's entries."""

    def __init__(self, campaign: CampaignId) -> None:
        self._campaign = campaign
        self._levels: dict[type[Event], int] = {}

    def tell(self, program: Program, numbers: dict[str, int], entries: Sequence[Entry]) -> None:
        """Log entries that the journal holds; ``numbers``: those of the program's migrations by id."""
        least = LOG.getEffectiveLevel()
        for number, event in entries:
            level = self._levels.get(type(event)) or self._level_of(type(event))
            if level >= least:
                about = {"campaign": self._campaign, "entry": number} | _about(program, numbers, event)
                # Made by hand: to look for the line of code that logs takes a third of the time, and it is this one.
                record = LOG.makeRecord(LOG.name, level, "", 0, event.type, (), None, None, {"about": about})
                LOG.handle(record)

    def _level_of(self, kind: type[Event]) -> int:
        level = logging.INFO
        for found, kinds in ((logging.ERROR, _ERRORS), (logging.WARNING, _WARNINGS), (logging.DEBUG, _STEPS)):
            if issubclass(kind, kinds):
                level = found
                break
        self._levels[kind] = level
        return level


def _about(program: Program, numbers: dict[str, int], event: Event) -> dict[str, Any]:
    about = {_NAMES.get(name, name): getattr(event, name) for name in field_names(type(event))}
    number = numbers.get(event.migration_id) if isinstance(event, events.MigrationEvent) else None
    if number is not None:
        part, hosts = program.migrations, program.hosts.ids
        about["vm"] = program.vms.ids[part.vm[number]]
        about["host"], about["target"] = hosts[part.source[number]], hosts[part.target[number]]
    return about
