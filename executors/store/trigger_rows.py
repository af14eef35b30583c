"""Writing triggers within one transaction: each row once, however often it was decided on, and all notes together."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

import sqlalchemy as sql

from slacktide.executors.store.orders import ask_within
from slacktide.executors.store.schema import TRIGGER_NOTES, TRIGGERS
from slacktide.executors.triggers.trigger import Asking, Change, Trigger
from slacktide.ids import CampaignId

ASKS: Final = "slacktide triggers"
"""Who asks things of campaigns, in their audit logs."""


class Writing:
    """What is being written of the triggers of one fleet."""

    def __init__(self, transaction: sql.Connection, shown: str, fleet: str, now: datetime) -> None:
        self._transaction, self._shown, self._fleet, self._now = transaction, shown, fleet, now
        self._changed: dict[int, Trigger] = {}
        self._notes: list[dict[str, Any]] = []
        self._noted: dict[int, int] = {}

    def write(self, change: Change) -> Change:
        """Take a change, and return it with the number of a trigger that is new and of what it asks of a campaign.

        Raises
        ------
        ExecutionError
            If the store has no campaign of which something is to be asked.
        """
        trigger = change.trigger
        if change.asking is not None:
            number = self._asked(change.asking, change.note)
            trigger = replace(trigger, course=trigger.course.model_copy(update={"order": number}))
        if trigger.number:
            self._changed[trigger.number] = trigger
        else:
            made = self._transaction.execute(sql.insert(TRIGGERS).values(self._values(trigger)))
            assert made.inserted_primary_key is not None
            trigger = replace(trigger, number=int(made.inserted_primary_key[0]))
            self._noted[trigger.number] = 0
        if change.note:
            self._note(trigger.number, change.note)
        return Change(trigger, change.note)

    def finish(self) -> None:
        """Write what was taken."""
        if self._changed:
            update = sql.update(TRIGGERS).where(TRIGGERS.c.number == sql.bindparam("changed"))
            rows = [{"changed": each.number, **self._values(each)} for each in self._changed.values()]
            self._transaction.execute(update, rows)
        if self._notes:
            self._transaction.execute(sql.insert(TRIGGER_NOTES), self._notes)

    def _asked(self, asked: Asking, note: str) -> int:
        return ask_within(
            self._transaction,
            CampaignId(asked.campaign_id),
            self._shown,
            by=ASKS,
            why=asked.why or note,
            kind=asked.kind,
            body=asked.body,
        )

    def _note(self, trigger: int, words: str) -> None:
        if trigger not in self._noted:
            newest = sql.select(sql.func.max(TRIGGER_NOTES.c.number)).where(TRIGGER_NOTES.c.trigger == trigger)
            self._noted[trigger] = self._transaction.execute(newest).scalar() or 0
        self._noted[trigger] += 1
        at = moment_text(self._now)
        self._notes.append({"trigger": trigger, "number": self._noted[trigger], "at": at, "words": words})

    def _values(self, trigger: Trigger) -> dict[str, Any]:
        return {
            "fleet": self._fleet,
            "kind": trigger.kind,
            "key": trigger.key,
            "source": trigger.source,
            "came_at": moment_text(trigger.came_at),
            "state": str(trigger.state),
            "into": trigger.into,
            "detail": trigger.detail,
            "asked": trigger.asked.model_dump_json(exclude_defaults=True),
            "course": trigger.course.model_dump_json(exclude_defaults=True),
            "is_current": int(trigger.is_open or bool(trigger.course.firing)),
        }


def moment_text(moment: datetime) -> str:
    """Return a moment as stores keep it: in UTC, as text that sorts as it passes."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")
