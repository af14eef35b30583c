"""Triggers in a store: decided on and written as one, on SQLite and on PostgreSQL."""

from contextlib import closing
from datetime import timedelta
from functools import partial

import pytest
from campaigns import record_of
from triggers_at_hand import ALERTS, HOSTS, NOW, REQUESTS, alert, request

from slacktide.errors import ExecutionError
from slacktide.executors.store.campaigns import begin_campaign
from slacktide.executors.store.milestones import answer_to, milestones
from slacktide.executors.store.reading import read_journal
from slacktide.executors.store.triggers import TriggerStore
from slacktide.executors.triggers import alerts_told, requests_told
from slacktide.executors.triggers.trigger import State, changed, withdrawn


def came(store: TriggerStore, name: str, level: str) -> None:
    told = partial(requests_told.seen, request=request(name, level), source=f"{name}.yaml", terms=REQUESTS, now=NOW)
    store.decide(told, NOW)


def test_triggers_are_kept_whole_with_their_notes(store) -> None:
    with closing(TriggerStore(store, "east")) as mine, closing(TriggerStore(store, "west")) as others:
        came(mine, "old", "6.1.90-1")
        mine.decide(lambda rows: alerts_told.told(rows, alert(), "h1", HOSTS, ALERTS, NOW).changes, NOW)
        came(others, "other", "6.1.90-1")
        came(mine, "new", "6.1.119-1")
        rows = mine.all()
        assert [(each.key, str(each.state), each.into) for each in rows] == [
            ("old", "superseded", rows[2].number),
            ("f1", "waits", None),
            ("new", "waits", None),
        ]
        assert rows[1].course.firing == {"f1": NOW}
        assert rows[2].asked.request == request("new", "6.1.119-1")
        notes = mine.notes(rows[0].number)
        assert [note.words for note in notes] == [
            "came from old.yaml",
            "request new asks for a newer level of the same hosts",
        ]
        assert [each.key for each in others.all()] == ["other"]


def test_when_it_was_last_watched_is_kept(store) -> None:
    with closing(TriggerStore(store, "east")) as mine:
        assert mine.looked_at() is None
        mine.look(NOW)
        mine.look(NOW + timedelta(seconds=5))
        assert mine.looked_at() == NOW + timedelta(seconds=5)


def test_an_order_is_asked_in_the_transaction_that_changes_the_trigger(store) -> None:
    record = begin_campaign(store, record_of("c1"))
    with closing(TriggerStore(store, "east")) as mine:
        came(mine, "old", "6.1.90-1")
        mine.decide(lambda rows: [changed(rows[0], state=State.APPROVAL, campaign_id="c1")], NOW)
        (change,) = mine.decide(lambda rows: [withdrawn(rows[0], State.WITHDRAWN, "its file is gone")], NOW)
        assert change.trigger.course.order == 1
        assert mine.all()[0].course.order == 1
        mine.decide(lambda rows: [changed(rows[0], state=State.APPROVAL, campaign_id="none", order=None)], NOW)
        with pytest.raises(ExecutionError, match="no such campaign"):
            mine.decide(lambda rows: [withdrawn(rows[0], State.SUPERSEDED, "newer")], NOW)
        assert mine.all()[0].course.ending is State.WITHDRAWN, "nothing of a decision that failed is written"
    journal = read_journal(store, record.campaign_id)
    (order,) = journal.orders(0)
    journal.close()
    assert (order.kind, order.by, order.why) == (
        "abort",
        "slacktide triggers",
        "its file is gone; its campaign is asked to end",
    )
    found = milestones(store, record.campaign_id)
    assert (found.opened, found.aborted, found.finished) == (False, False, False)
    assert answer_to(store, record.campaign_id, 1) is None
