"""Campaigns within the test's process of which something is asked while they are carried out."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from unittest.mock import patch

from slacktide.executors import coordinator as coordinating
from slacktide.executors.coordinator import Coordinator
from slacktide.executors.journal import Entry, Journal
from slacktide.executors.orders import Order
from slacktide.executors.store.orders import StoredOrder, ask
from slacktide.ids import CampaignId

STUCK_ROUNDS = 50
"""Rounds in which nothing happens, after which a person gives way."""


@contextmanager
def orders_looked_for_in_every_round() -> Iterator[None]:
    """Have every round look for orders, and none wait."""
    with (
        patch.object(coordinating, "ORDERS_INTERVAL_S", 0),
        patch.object(coordinating.time, "sleep", lambda _s: None),
    ):
        yield


def ask_it(path: Path, order: Order, by: str = "a person", why: str | None = None) -> None:
    """Ask something of the campaign whose journal is at ``path``."""
    ask(path, CampaignId("test"), by=by, why=why, kind=order.kind, body=order.body())


def carried_out(
    coordinator: Coordinator,
    journal: Journal,
    path: Path,
    asking: Sequence[tuple[int, Order]],
    giving_way: Sequence[Sequence[Order]],
) -> tuple[list[Entry], list[StoredOrder]]:
    """Carry a campaign out to its end; return its journal, which is closed, and what was asked.

    Parameters
    ----------
    asking
        What is asked, each with the number of the round before which it is.
    giving_way
        What a person asks in turn, each time that nothing happens any more, so that the campaign goes on.
    """
    at_round: dict[int, list[Order]] = {}
    for place, order in asking:
        at_round.setdefault(place, []).append(order)
    quiet, last, number, ways = 0, 0, 0, cycle(giving_way)
    with orders_looked_for_in_every_round():
        while not coordinator.state.finished:
            for order in at_round.pop(number, []):
                ask_it(path, order)
            coordinator.round()
            number += 1
            quiet, last = (quiet + 1, last) if journal.last == last else (0, journal.last)
            if quiet > STUCK_ROUNDS:
                quiet = 0
                for order in next(ways):
                    ask_it(path, order)
            assert number < 20_000, "the campaign does not end"
    coordinator.close()
    entries, given_to_it = journal.read(), journal.orders(0)
    journal.close()
    return entries, given_to_it
