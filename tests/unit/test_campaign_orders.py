"""What people ask of a campaign waits in its store, numbered as it was asked."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from slacktide.errors import ExecutionError, UsageError
from slacktide.executors.events import HostDrained
from slacktide.executors.journal import CampaignRecord, Journal
from slacktide.executors.store.campaigns import list_campaigns
from slacktide.executors.store.orders import ask

RECORD = CampaignRecord("c1", "plan", "s", "p", datetime(2014, 4, 8, 20, tzinfo=UTC), "{}", "plans/a", None)


@pytest.fixture
def journal(store):
    made = Journal.create(store, RECORD)
    yield made
    made.close()


def test_orders_are_read_as_they_were_asked(store, journal) -> None:
    assert journal.orders(0) == []
    assert ask(store, "c1", by="eva", why=None, kind="pause", body="{}") == 1
    assert ask(store, "c1", by="jan", why="the feed is back", kind="resume", body='{"in_s":5}') == 2
    first, second = journal.orders(0)
    assert first[0] == 1
    assert first[2:] == ("eva", None, "pause", "{}")
    assert (second.number, second.by, second.why, second.kind) == (2, "jan", "the feed is back", "resume")
    assert second.body == '{"in_s":5}'
    assert journal.orders(1) == [second]
    assert journal.orders(2) == []
    moments = [datetime.fromisoformat(order.asked_at) for order in (first, second)]
    assert moments == sorted(moments)
    assert abs(moments[0] - datetime.now(UTC)) < timedelta(minutes=1)


def test_orders_are_asked_while_a_coordinator_appends(store, journal) -> None:
    """Many at once: each has its number, none is lost, and the journal goes on."""
    with ThreadPoolExecutor(8) as people:
        asked = [people.submit(ask, store, "c1", by=f"p{n}", why=None, kind="pause", body="{}") for n in range(40)]
        for number in range(50):
            journal.append([HostDrained(float(number), "h1")])
        numbers = [order.result() for order in asked]
    assert sorted(numbers) == list(range(1, 41))
    assert [order.number for order in journal.orders(0)] == list(range(1, 41))
    assert {order.by: order.number for order in journal.orders(0)} == {
        f"p{n}": number for n, number in enumerate(numbers)
    }
    assert journal.last == 50


def test_each_campaign_has_orders_of_its_own(store, journal) -> None:
    other = Journal.create(store, CampaignRecord("c2", "plan", "s", "p", RECORD.origin, "{}"))
    assert ask(store, "c2", by="eva", why=None, kind="abort", body="{}") == 1
    assert ask(store, "c1", by="eva", why=None, kind="pause", body="{}") == 1
    assert [order.kind for order in journal.orders(0)] == ["pause"]
    assert [order.kind for order in other.orders(0)] == ["abort"]
    assert [campaign.record for campaign in list_campaigns(store)] == [RECORD, other.record]
    other.close()


def test_what_cannot_be_asked_is_refused(store, journal) -> None:
    with pytest.raises(ExecutionError, match="no such campaign"):
        ask(store, "c9", by="eva", why=None, kind="pause", body="{}")
    for kind in ("", "k" * 41):
        with pytest.raises(UsageError, match="1 to 40 characters"):
            ask(store, "c1", by="eva", why=None, kind=kind, body="{}")
    assert journal.orders(0) == []


def test_nothing_is_asked_of_a_file_that_is_no_store(tmp_path) -> None:
    (tmp_path / "journal.sqlite").touch()
    with pytest.raises(ExecutionError, match="is no journal"):
        ask(tmp_path / "journal.sqlite", "c1", by="eva", why=None, kind="pause", body="{}")
