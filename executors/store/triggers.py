"""Triggers in a store: each a row that is replaced as a whole, with notes of what became of it.

What is decided is decided within the transaction that read the rows, so that nothing is begun twice.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime
from typing import Any, Final, NamedTuple

import sqlalchemy as sql

from slacktide.errors import SlacktideError
from slacktide.executors.store.address import Store
from slacktide.executors.store.fleet_lease import FleetLease
from slacktide.executors.store.holder import let_go
from slacktide.executors.store.schema import TRIGGER_LOOKS, TRIGGER_NOTES, TRIGGERS
from slacktide.executors.store.trigger_rows import Writing, moment_text
from slacktide.executors.store.upgrading import opening
from slacktide.executors.triggers.known import Known
from slacktide.executors.triggers.trigger import NEWEST, Asked, Change, Course, State, Trigger

_LOCK: Final = 5_127_604_132
"""Number of the lock of PostgreSQL under which triggers are decided on: any that nobody else uses."""
CLOSED_KEPT: Final = 200
"""Newest triggers that are looked through beside those of which something is still to come, and those that are asked
for by their keys: what comes again under another name is among them, or so old that it is news."""
_AT_ONCE: Final = 500
"""Keys that are asked for with one statement: databases take some thousands."""
_MOST_PARSED: Final = 50_000
"""Triggers that are kept as they were read: parsing one takes ten times as long as fetching it."""

Decide = Callable[[Known], Sequence[Change]]
"""From the triggers of a fleet, the oldest first, to what becomes of some."""


class Note(NamedTuple):
    """What was noted about a trigger."""

    at: str
    words: str


class TriggerStore:
    """The triggers of one fleet."""

    def __init__(self, store: Store, fleet: str, *, watches: bool = False) -> None:
        """Open a store; who ``watches`` decides on nothing unless :meth:`hold` has said that the fleet is theirs."""
        self.store = store
        self._fleet = fleet
        self._lease = FleetLease(fleet) if watches else None
        self._parsed: dict[int, tuple[sql.Row[Any], Trigger]] = {}
        with opening(store, create=True) as self._connection:
            pass

    def hold(self) -> str | None:
        """Have the fleet to ourselves for some seconds more; return who else has it.

        Raises
        ------
        StoreError
            If the store does not answer now.
        """
        assert self._lease is not None, "who only looks holds nothing"
        if not self._lease.is_due:
            return None
        with self._connection.reading() as transaction:
            other = self._lease.others(transaction)
        if other is not None:
            self._lease.generation = 0
            return other
        with self._deciding() as transaction:
            return self._lease.hold(transaction)

    def decide(self, decide: Decide, now: datetime, keys: Collection[str] = ()) -> list[Change]:
        """Have something decided about the fleet's triggers and return what was, with new ones numbered.

        Parameters
        ----------
        keys
            Of triggers that are asked for however old they are.

        Raises
        ------
        StoreError
            If the store does not answer now; then nothing is known to be decided.
        ExecutionError
            If another watcher has taken the fleet over.
        """
        return self.decide_all([decide], now, keys)

    def decide_all(self, decisions: Iterable[Decide], now: datetime, keys: Collection[str] = ()) -> list[Change]:
        """Have several things decided, each with what was decided before it, and all of them written or none.

        As :meth:`decide`.
        """
        with self._deciding() as transaction:
            if self._lease is not None:
                self._lease.check(transaction)
            known = Known(self._read(transaction, keys, CLOSED_KEPT))
            writing = Writing(transaction, self.store.shown, self._fleet, now)
            changes: list[Change] = []
            for decide in decisions:
                made: list[Change] = []
                for change in decide(known):
                    made.append(writing.write(_placed(change, made)))
                    known.put(made[-1].trigger)
                changes += made
            writing.finish()
        return changes

    @contextmanager
    def _deciding(self) -> Iterator[sql.Connection]:
        """Have a transaction that others who decide wait for."""
        with self._connection.writing() as transaction:
            if transaction.dialect.name == "postgresql":
                transaction.execute(sql.select(sql.func.pg_advisory_xact_lock(_LOCK)))
            yield transaction

    def all(self) -> Known:
        """Return the triggers of which something is still to come and the newest others, the oldest first."""
        with self._connection.reading() as transaction:
            return Known(self._read(transaction, (), CLOSED_KEPT))

    def current(self, keys: Collection[str] = ()) -> Known:
        """Return the triggers of which something is still to come or whose alerts fire, and those with ``keys``."""
        with self._connection.reading() as transaction:
            return Known(self._read(transaction, keys, 0))

    def numbered(self, number: int) -> Trigger | None:
        """Return a trigger by its number; None: the fleet has none."""
        query = sql.select(TRIGGERS).where(TRIGGERS.c.fleet == self._fleet, TRIGGERS.c.number == number)
        with self._connection.reading() as transaction:
            row = transaction.execute(query).first()
        return None if row is None else _trigger(row)

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
            values = {"looked_at": moment_text(now)}
            done = transaction.execute(sql.update(looks).where(looks.c.fleet == self._fleet).values(values))
            if not done.rowcount:
                transaction.execute(sql.insert(looks).values(fleet=self._fleet, **values))

    def close(self) -> None:
        """Let go of the store, and let others have the fleet at once."""
        if self._lease is not None:
            with suppress(SlacktideError), self._connection.writing() as transaction:
                self._lease.give_back(transaction)
            let_go(self._lease.holder)
        self._connection.close()

    def _read(self, transaction: sql.Connection, keys: Collection[str], newest: int) -> list[Trigger]:
        c = TRIGGERS.c
        mine = sql.select(TRIGGERS).where(c.fleet == self._fleet)
        queries = [mine.where(c.is_current == 1)]
        queries += [mine.order_by(c.number.desc()).limit(newest)] if newest else []
        wanted = sorted(set(keys))
        queries += [mine.where(c.key.in_(wanted[at : at + _AT_ONCE])) for at in range(0, len(wanted), _AT_ONCE)]
        found: dict[int, Trigger] = {}
        for query in queries:
            for row in transaction.execute(query):
                if row.number not in found:
                    found[row.number] = self._trigger(row)
        return list(found.values())

    def _trigger(self, row: sql.Row[Any]) -> Trigger:
        """Return the trigger of a row, parsed once for as long as it is the same."""
        known = self._parsed.get(row.number)
        if known is not None and known[0] == row:
            return known[1]
        if len(self._parsed) >= _MOST_PARSED:
            self._parsed.clear()
        made = _trigger(row)
        self._parsed[made.number] = row, made
        return made


def _placed(change: Change, before: list[Change]) -> Change:
    """Return a change that names the trigger that was just added by its number."""
    if change.trigger.into != NEWEST:
        return change
    return replace(change, trigger=replace(change.trigger, into=before[-1].trigger.number if before else None))


def _trigger(row: sql.Row[Any]) -> Trigger:
    return Trigger(
        number=row.number,
        kind=row.kind,
        key=row.key,
        source=row.source,
        came_at=datetime.fromisoformat(row.came_at),
        state=State(row.state),
        into=row.into,
        detail=row.detail,
        asked=Asked.model_validate_json(row.asked),
        course=Course.model_validate_json(row.course),
    )
