"""A campaign as its store has it, whoever carries it out: for looking at it, and for asking something of it."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from slacktide.errors import ExecutionError, UsageError
from slacktide.service.commands.plan import read_both

if TYPE_CHECKING:
    from slacktide.executors.campaign_state import CampaignState
    from slacktide.executors.events import Event
    from slacktide.executors.orders import Order
    from slacktide.executors.store.address import Store
    from slacktide.executors.store.campaigns import StoredCampaign

ANSWER_S: Final = 5.0
"""How long an order is waited for: a coordinator looks for one four times a second."""
PLANNED_S: Final = 60.0
"""How long an order to plan anew is waited for: seconds for a thousand hosts, and somewhat more on a busy machine."""
LOOK_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class Viewed:
    """A campaign and where it stands."""

    stored: "StoredCampaign"
    state: "CampaignState"
    orders: "tuple[Event, ...]"
    """What was asked of it and answered, in order, and the revisions that it has gone over to."""
    first_plan: str
    """Id of the plan that it began with."""

    @property
    def now_s(self) -> float:
        """The campaign's moment: its newest event's, or that of the clock on the wall while real hosts are at work."""
        if self.state.finished or not self.stored.is_held or _simulated(self.stored.record.settings):
            return self.state.end_s
        return max(self.state.end_s, (datetime.now(UTC) - self.stored.record.origin).total_seconds())


def _simulated(settings: str) -> bool:
    return '"driver": "simulated"' in settings


def place_of(directory: Path, store: str | None) -> "tuple[Store, StoredCampaign]":
    """Return the store of a directory's campaign, and the campaign as it lists it.

    Raises
    ------
    UsageError
        If the directory holds none.
    """
    from slacktide.executors.campaign_file import kept_in
    from slacktide.executors.store.campaigns import list_campaigns
    from slacktide.service.stores import store_given

    kept = kept_in(directory, store_given(store, directory))
    if kept is None:
        fact = "holds no campaign" if directory.is_dir() else "there is no such directory"
        raise UsageError(str(directory), fact, "Give the directory that `slacktide run -o` made")
    found = [each for each in list_campaigns(kept.store) if kept.campaign in (None, each.record.campaign_id)]
    if not found:
        raise ExecutionError(kept.store.shown, f"holds no campaign {kept.campaign}", "Restore it from a copy")
    return kept.store, found[-1]


def view(directory: Path, store: str | None = None) -> Viewed:
    """Return where a campaign stands.

    Raises
    ------
    UsageError
        If the directory holds none, or its plan or fleet is not where it was.
    """
    from slacktide.executors.control_events import OrderRefused
    from slacktide.executors.order_state import ORDERS
    from slacktide.executors.standing import standing_in
    from slacktide.executors.store.reading import read_journal

    place, stored = place_of(directory, store)
    record = stored.record
    if record.fleet_path is None or record.plan_path is None:
        fact = "its store does not say where its fleet and its plan are"
        raise UsageError(str(directory), fact, "Look at it with the process that carries it out")
    snapshot, plan = read_both(Path(record.fleet_path), Path(record.plan_path))
    if plan.header.id != record.plan_id:
        fact = f"{record.plan_path} is plan {plan.header.id}; the campaign carries out plan {record.plan_id}"
        raise UsageError(str(directory), fact, "Put that plan back where it was")
    journal = read_journal(place, record.campaign_id)
    try:
        entries = journal.read()
    finally:
        journal.close()
    _, state = standing_in(directory, snapshot, plan, entries)
    asked = tuple(entry.event for entry in entries if type(entry.event) in (*ORDERS, OrderRefused))
    return Viewed(stored, state, asked, plan.header.id)


def ask_for(
    directory: Path, store: str | None, order: "Order", by: str, why: str, most_s: float = PLANNED_S
) -> "Event | None":
    """Ask something of a campaign and return what its coordinator answers; None: none has answered yet.

    Nobody answers while nobody carries the campaign out; the order waits for who does.

    Parameters
    ----------
    most_s
        How long an answer is waited for at most.

    Raises
    ------
    ExecutionError
        If the campaign has finished, or its store does not answer.
    """
    from slacktide.executors.store.campaigns import FINISHED
    from slacktide.executors.store.orders import ask
    from slacktide.executors.store.reading import read_journal

    place, stored = place_of(directory, store)
    if stored.state == FINISHED:
        fact = "its campaign has finished: nothing can be asked of it any more"
        raise ExecutionError(
            str(directory), fact, "Plan anew for what is left: `slacktide campaign show` says how it ended"
        )
    journal = read_journal(place, stored.record.campaign_id)
    try:
        last = journal.last
        name = stored.record.campaign_id
        number = ask(place, name, by=by, why=why or None, kind=order.kind, body=order.body())
        patience_s = min(most_s, PLANNED_S if order.kind == "revise" else ANSWER_S)
        end = time.monotonic() + (patience_s if stored.is_held else 0.0)
        while True:
            for entry in journal.read(last):
                last = entry.number
                if getattr(entry.event, "order", None) == number:
                    return entry.event
            if time.monotonic() >= end:
                return None
            time.sleep(LOOK_S)
    finally:
        journal.close()
