"""Whether a campaign has ended, and what of it waits for what will not come."""

from typing import Final

from slacktide.executors.campaign_state import HostStage
from slacktide.executors.drift import STUCK
from slacktide.executors.falling import Fall
from slacktide.executors.obstacles import waits_for
from slacktide.executors.scheduling.books import ENDED, Books
from slacktide.executors.scheduling.giving_up import GivingUp

_RETURNED: Final = int(HostStage.RETURNED)


class Ending:
    """Looks for the earliest planned thing that has not ended."""

    def __init__(self, books: Books, giving_up: GivingUp) -> None:
        self._books, self._giving_up = books, giving_up
        self._oldest = self._oldest_host = 0
        """Places in planned order; all before has ended."""

    def all_ended(self) -> bool:
        """Return whether every migration and every host has ended."""
        books = self._books
        phases, stages = books.phase, books.host_stage
        order, hosts = books.order, books.drain_order
        while self._oldest < len(order) and phases[order[self._oldest]] == ENDED:
            self._oldest += 1
        while self._oldest_host < len(hosts) and stages[hosts[self._oldest_host]] >= _RETURNED:
            self._oldest_host += 1
        return self._oldest == len(order) and self._oldest_host == len(hosts)

    def drop_oldest(self) -> None:
        """Have given up the earliest planned thing that waits for what will not come, with the reason."""
        books = self._books
        if self._oldest < len(books.order):
            number = books.order[self._oldest]
            source = books.room.source[number]
            if not books.needs_drain[number] or books.host_stage[source] != HostStage.IN_SERVICE:
                why = waits_for(books.program, books.room.obstacle(number, holds=False))
                self._giving_up.drop_stuck(Fall(False, number, STUCK, why))
                return
            host = source
        else:
            host = books.drain_order[self._oldest_host]
        why = books.slots.obstacle(host) or "waits for what will not come"
        self._giving_up.drop_stuck(Fall(True, host, STUCK, why))
