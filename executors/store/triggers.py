"""Triggers in a store: each a row that is replaced as a whole, with notes of what became of it.

What is decided is decided within the transaction that read the rows, so that nothing is begun twice.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import sqlalchemy as sql

from slacktide.executors.store.address import Store
from slacktide.executors.store.orders import ask_within
from slacktide.executors.store.schema import TRIGGER_LOOKS, TRIGGER_NOTES, TRIGGERS
from slacktide.executors.store.upgrading import opening
from slacktide.executors.triggers.trigger import NEWEST, OPEN, Asked, Change, Course, State, Trigger
from slacktide.ids import CampaignId

_LOCK: Final = 5_127_604_132
"""Number of the lock of PostgreSQL under which triggers are decided on: any that nobody else uses."""
CLOSED_KEPT: Final = 200
"""Newest triggers that are looked through beside the open ones: what comes again is among them, or so old that it is
news."""

Decide = Callable[[tuple[Trigger, ...]], Sequence[Change]]
"""From the triggers of a fleet, the oldest first, to what becomes of some."""


ASKS: Final = "slacktide triggers"
"""Who asks things of campaigns, in their audit logs."""


class Note(NamedTuple):
    """What was noted about a trigger."""

    at: str
    words: str


class TriggerStore:
    """The triggers of one fleet."""

    def __init__(self, store: Store, fleet: str) -> None:
        self.store = store
        self._fleet = fleet
        with opening(store, create=True) as self._connection:
            pass

    def decide(self, decide: Decide, now: datetime) -> list[Change]:
        """Have something decided about the fleet's triggers and return what was, with new ones numbered.

        Raises
        ------
        StoreError
            If the store does not answer now; then nothing is known to be decided.
        """
        with self._connection.writing() as transaction:
            if transaction.dialect.name == "postgresql":
                transaction.execute(sql.select(sql.func.pg_advisory_xact_lock(_LOCK)))
            changes: list[Change] = []
            for change in decide(self._read(transaction)):
                changes.append(self._written(transaction, _placed(change, changes), now))
        return changes

    def all(self) -> tuple[Trigger, ...]:
        """Return the open triggers and the newest others, the oldest first."""
        with self._connection.reading() as transaction:
            return self._read(transaction)

    def notes(self, number: int) -> list[Note]:
        """Return what was noted about a trigger, in order."""
        c = TRIGGER_NOTES.c
        query = sql.select(c.at, c.words).where(c.trigger == number).order_by(c.number)
        with self._connection.reading() as transaction:
            return [Note(*row) for row in transaction.execute(query)]

    def looked_at(self) -> datetime | None:
        """Return when somebody last watched; None: nobody ever did."""
        query = sql.select(TRIGGER_LOOKS.c.looked_at).where(TRIGGER_LOOKS.c.fleet == self._fleet)
        with self._connection.reading() as transaction:
            found = transaction.execute(query).scalar()
        return None if found is None else datetime.fromisoformat(found)

    def look(self, now: datetime) -> None:
        """Note that somebody watches."""
        looks = TRIGGER_LOOKS
        with self._connection.writing() as transaction:
            values = {"looked_at": _text(now)}
            done = transaction.execute(sql.update(looks).where(looks.c.fleet == self._fleet).values(values))
            if not done.rowcount:
                transaction.execute(sql.insert(looks).values(fleet=self._fleet, **values))

    def close(self) -> None:
        """Let go of the store."""
        self._connection.close()

    def _read(self, transaction: sql.Connection) -> tuple[Trigger, ...]:
        c = TRIGGERS.c
        mine = sql.select(TRIGGERS).where(c.fleet == self._fleet)
        open_ones = mine.where(c.state.in_([str(state) for state in OPEN]))
        newest = mine.order_by(c.number.desc()).limit(CLOSED_KEPT)
        rows = [*transaction.execute(open_ones).mappings(), *transaction.execute(newest).mappings()]
        found = {row["number"]: _trigger(dict(row)) for row in rows}
        return tuple(found[number] for number in sorted(found))

    def _written(self, transaction: sql.Connection, change: Change, now: datetime) -> Change:
        trigger = change.trigger
        if change.asking is not None:
            asked = change.asking
            number = ask_within(
                transaction,
                CampaignId(asked.campaign_id),
                self.store.shown,
                by=ASKS,
                why=asked.why or change.note,
                kind=asked.kind,
                body=asked.body,
            )
            trigger = replace(trigger, course=trigger.course.model_copy(update={"order": number}))
        values = {"fleet": self._fleet, **_values(trigger)}
        if trigger.number:
            transaction.execute(sql.update(TRIGGERS).where(TRIGGERS.c.number == trigger.number).values(values))
        else:
            made = transaction.execute(sql.insert(TRIGGERS).values(values))
            assert made.inserted_primary_key is not None
            trigger = replace(trigger, number=int(made.inserted_primary_key[0]))
        if change.note:
            newest = sql.select(sql.func.max(TRIGGER_NOTES.c.number)).where(TRIGGER_NOTES.c.trigger == trigger.number)
            number = (transaction.execute(newest).scalar() or 0) + 1
            noted = {"trigger": trigger.number, "number": number, "at": _text(now), "words": change.note}
            transaction.execute(sql.insert(TRIGGER_NOTES).values(noted))
        return Change(trigger, change.note)


def _placed(change: Change, before: list[Change]) -> Change:
    """Return a change that names the trigger that was just added by its number."""
    if change.trigger.into != NEWEST:
        return change
    return replace(change, trigger=replace(change.trigger, into=before[-1].trigger.number if before else None))


def _values(trigger: Trigger) -> dict[str, Any]:
    return {
        "kind": trigger.kind,
        "key": trigger.key,
        "source": trigger.source,
        "came_at": _text(trigger.came_at),
        "state": str(trigger.state),
        "into": trigger.into,
        "detail": trigger.detail,
        "asked": trigger.asked.model_dump_json(exclude_defaults=True),
        "course": trigger.course.model_dump_json(exclude_defaults=True),
    }


def _trigger(row: dict[str, Any]) -> Trigger:
    return Trigger(
        number=row["number"],
        kind=row["kind"],
        key=row["key"],
        source=row["source"],
        came_at=datetime.fromisoformat(row["came_at"]),
        state=State(row["state"]),
        into=row["into"],
        detail=row["detail"],
        asked=Asked.model_validate_json(row["asked"]),
        course=Course.model_validate_json(row["course"]),
    )


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")
