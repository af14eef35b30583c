"""Coordinators that are killed after any event, within the test's process."""

from collections.abc import Callable, Sequence
from pathlib import Path

from slacktide.executors import events
from slacktide.executors.coordinator import Coordinator
from slacktide.executors.events import Event
from slacktide.executors.journal import Entry, Journal

TAKING_UP = (events.CampaignResumed, events.MigrationResolved, events.HostResolved)


class KilledError(Exception):
    """Stands for ``kill -9``: nothing after it is carried out."""


class MortalJournal(Journal):
    """Writes as many events as it may, then ends its coordinator: even within what is otherwise written as one.

    What a coordinator writes to take a campaign up does not count: it would get no further.
    """

    left = 0

    def append(self, news: Sequence[Event]) -> list[Entry]:
        for place, event in enumerate(news, start=1):
            self.left -= type(event) not in TAKING_UP
            if self.left == 0:
                super().append(news[:place])
                raise KilledError
        return super().append(news)


def go_on(path: Path, begin: Callable[[Journal], Coordinator], more: int) -> bool:
    """Take the campaign in a journal up and carry it on for ``more`` events; return whether it finished."""
    journal = MortalJournal.hold(path, durability="process")
    journal.left = more
    try:
        coordinator = begin(journal)
        while not coordinator.state.finished:
            coordinator.round()
        return True
    except KilledError:
        return False
    finally:
        journal.close()
