"""What a report takes from a campaign's journal beside the state that it adds up to."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from slacktide.executors.campaign_directory import journal_of
from slacktide.executors.control_events import OrderRefused
from slacktide.executors.events import Event
from slacktide.executors.order_state import ORDERS
from slacktide.executors.store.address import Store
from slacktide.executors.store.orders import StoredOrder


@dataclass(frozen=True, slots=True)
class JournalNotes:
    """What happened that no table has."""

    untouched: Collection[str] = ()
    """Hosts whose patch failed before anything was done to them."""
    orders: tuple[Event, ...] = ()
    """What was asked of the campaign, as it was answered, in order, and what it did by rules of its own."""
    asked_for: tuple[StoredOrder, ...] = ()
    """The orders as people gave them."""
    coordinators: int = 1
    """How many have carried it out, one after the other."""


def journal_notes(directory: Path, store: Store | None = None) -> JournalNotes:
    """Return what the journal of the campaign in ``directory`` notes.

    Raises
    ------
    ExecutionError
        If there is none, or its store does not answer.
    """
    journal = journal_of(directory, store)
    try:
        kinds: list[type[Event]] = [*ORDERS, OrderRefused]
        orders = journal.of_types(*sorted(kind.type for kind in kinds))
        asked_for = tuple(journal.orders(0))
        return JournalNotes(journal.untouched_hosts(), tuple(orders), asked_for, journal.coordinators())
    finally:
        journal.close()
