"""Triggers in a store: decided on and written as one, on SQLite and on PostgreSQL."""

from contextlib import closing
from datetime import timedelta
from functools import partial

import pytest
import sqlalchemy as sql
from campaigns import record_of
from triggers_at_hand import ALERTS, HOSTS, NOW, REQUESTS, alert, request

from slacktide.errors import ExecutionError
from slacktide.executors.store.campaigns import begin_campaign
from slacktide.executors.store.connection import StoreConnection
from slacktide.executors.store.milestones import answer_to, milestones
from slacktide.executors.store.reading import read_journal
from slacktide.executors.store.schema import TRIGGER_LEASES
from slacktide.executors.store.triggers import CLOSED_KEPT, TriggerStore
from slacktide.executors.triggers import alerts_told, requests_told
from slacktide.executors.triggers.known import Known
from slacktide.executors.triggers.trigger import Change, State, changed, withdrawn


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


def test_one_watcher_at_a_time_decides_for_a_fleet(store) -> None:
    with (
        closing(TriggerStore(store, "east", watches=True)) as first,
        closing(TriggerStore(store, "east", watches=True)) as second,
        closing(TriggerStore(store, "west", watches=True)) as others,
        closing(TriggerStore(store, "east")) as alerts,
    ):
        assert first.hold() is None
        holder = first._lease.holder
        assert holder in second.hold()
        assert others.hold() is None, "another fleet's"
        with pytest.raises(ExecutionError, match=rf"another watcher \({holder}\) has taken it over"):
            came(second, "kernel", "1")
        came(alerts, "by-anybody", "2")
        came(first, "kernel", "3")
        run_out(store)
        assert second.hold() is None, "nobody renewed it"
        with pytest.raises(ExecutionError, match="has taken it over"):
            came(first, "late", "4")
        assert [each.key for each in second.all()] == ["by-anybody", "kernel"]
        assert second._lease.holder in first.hold()
        second.close()
        assert first.hold() is None, "it was given back"


def run_out(store) -> None:
    """Have all leases of watchers end, as if their holders were gone for long."""
    with closing(StoreConnection(store)) as connection, connection.writing() as transaction:
        transaction.execute(sql.update(TRIGGER_LEASES).values(lease_until="2026-01-01T00:00:00.000Z"))


def test_a_lease_is_renewed_by_its_holder_alone(store) -> None:
    with (
        closing(TriggerStore(store, "east", watches=True)) as first,
        closing(TriggerStore(store, "east", watches=True)) as second,
    ):
        assert first.hold() is None
        run_out(store)
        first._lease._renewed_s = 0.0
        assert first.hold() is None
        assert first._lease.generation == 1, "nobody had it meanwhile"
        told = second.hold()
        assert told == first._lease.holder
        first._lease._renewed_s = 0.0
        assert first.hold() is None
        assert second.hold() == told, "whoever waits says it once, not at every renewal"


def test_what_was_over_long_ago_is_known_by_its_key_and_while_it_fires(store) -> None:
    with closing(TriggerStore(store, "east")) as mine:
        came(mine, "old", "1")
        mine.decide(lambda rows: [changed(rows[0], state=State.DONE)], NOW)
        mine.decide(lambda rows: alerts_told.told(rows, alert(), "h1", HOSTS, ALERTS, NOW).changes, NOW)
        mine.decide(lambda rows: [changed(rows[1], state=State.DONE)], NOW)
        several = [partial(told, fingerprint=f"x{each}", host=f"unknown-{each}") for each in range(CLOSED_KEPT)]
        assert len(mine.decide_all(several, NOW)) == CLOSED_KEPT
        assert "old" not in [each.key for each in mine.all()]
        assert [each.key for each in mine.current()] == ["f1"], "its host is about to fail still"
        assert [each.key for each in mine.current(["old"])] == ["old", "f1"]
        assert mine.decide(partial(told, fingerprint="x0", host="unknown-0"), NOW, ["x0"])[0].trigger.course.times == 2
        mine.decide(
            lambda rows: alerts_told.told(rows, alert(status="resolved"), "h1", HOSTS, ALERTS, NOW).changes, NOW
        )
        assert list(mine.current()) == []


def told(rows: Known, fingerprint: str, host: str) -> list[Change]:
    return alerts_told.told(rows, alert(fingerprint, host), host, HOSTS, ALERTS, NOW).changes


def test_what_is_decided_together_is_written_once_with_all_notes(store) -> None:
    with closing(TriggerStore(store, "east")) as mine:
        several = [partial(told, fingerprint=f"f{each}", host="h1") for each in range(50)]
        assert len(mine.decide_all(several, NOW)) == 50
        (one,) = mine.all()
        assert (one.course.times, len(one.course.firing)) == (50, 50)
        assert len(mine.notes(one.number)) == 50

        def fails(_rows: Known) -> list[Change]:
            raise ExecutionError("alerts", "the watcher ends", "Deliver again")

        with pytest.raises(ExecutionError):
            mine.decide_all([partial(told, fingerprint="f50", host="h1"), fails], NOW)
        assert list(mine.all()) == [one], "all or nothing"
