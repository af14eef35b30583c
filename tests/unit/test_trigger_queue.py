"""Which trigger has its turn, joins, gives way; and what windows begin and miss."""

from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from zoneinfo import ZoneInfo

import pytest
from triggers_at_hand import ALERTS, HOSTS, NOW, REQUESTS, Rows, alert, request

from slacktide.executors.triggers import alerts_told, requests_told, windows_told
from slacktide.executors.triggers.calendar import Calendar
from slacktide.executors.triggers.queueing import next_changes, waits_until
from slacktide.executors.triggers.settings import Standing
from slacktide.executors.triggers.trigger import State, applied, step

NIGHTS = Calendar(
    rule="FREQ=DAILY",
    begins=datetime.fromisoformat("2026-11-01T22:00:00"),
    zone=ZoneInfo("UTC"),
    lasts_s=6 * 3600,
)
CALENDARS = {"nights": NIGHTS}
NIGHT = NOW.replace(hour=23)
WINDOWED = REQUESTS.model_copy(update={"calendar": "nights"})
WEEKLY = Standing(name="weekly", calendar="nights", patch_level="6.1.119-1")


def rows_with(*came: str) -> Rows:
    rows = Rows()
    for number, kind in enumerate(came, start=1):
        if kind == "alert":
            one = alert(f"f{number}", HOSTS[number - 1])
            host = HOSTS[number - 1]
            rows.decide(lambda found, one=one, on=host: alerts_told.told(found, one, on, HOSTS, ALERTS, NOW).changes)
        else:
            asked = request(f"r{number}", f"{number}", machine_types=[f"m{number}"], urgency=kind)
            rows.decide(partial(requests_told.seen, request=asked, source=f"{number}", terms=WINDOWED, now=NOW))
    return rows


def goes_on(rows: Rows, now: datetime = NOW) -> list[str]:
    rows.decide(partial(next_changes, calendars=CALENDARS, now=now))
    return rows.states


def test_alerts_go_first_then_urgent_requests_then_others_as_they_came() -> None:
    rows = rows_with("routine", "routine", "alert", "urgent")
    order = []
    for _ in range(4):
        goes_on(rows, NIGHT)
        begun = next(each for each in rows.rows if each.state is State.BEGINS)
        assert begun.course.directory == f"{begun.number:06d}-1"
        order.append(begun.number)
        rows.put(begun.number, State.DONE)
    assert order == [3, 4, 1, 2]


def test_a_fleet_has_one_campaign_at_a_time() -> None:
    rows = rows_with("urgent", "urgent")
    for state in (State.BEGINS, State.RUNS):
        assert goes_on(rows)[1] == "waits"
        rows.put(1, state, launched=True, campaign_id="c1")
    assert goes_on(rows) == ["runs", "waits"]


def test_routine_requests_wait_for_their_window_and_urgent_ones_do_not() -> None:
    rows = rows_with("routine")
    assert goes_on(rows) == ["waits"]
    assert waits_until(rows.rows[0], CALENDARS, NOW) == NOW.replace(hour=22)
    assert goes_on(rows, NIGHT) == ["begins"]
    assert rows.rows[0].course.until == NOW.replace(hour=4) + timedelta(days=1)


def test_an_alert_joins_the_campaign_that_runs_once() -> None:
    rows = rows_with("urgent", "alert")
    rows.put(1, State.RUNS, launched=True, campaign_id="c1")
    assert goes_on(rows) == ["runs", "joined"]
    (change,) = rows.asked
    assert change.asking.campaign_id == "c1"
    assert (change.asking.kind, change.asking.body) == ("evacuate", '{"host_id": "h2"}')
    assert change.asking.why == "Dying, trigger 2"
    assert goes_on(rows) == ["runs", "joined"]
    rows.decide(partial(applied, taken=step(rows.rows[1], "refused", State.WAITS, stayed_out_of=1)))
    assert goes_on(rows) == ["runs", "waits"], "it is not asked twice"
    rows.put(1, State.DONE)
    assert goes_on(rows) == ["done", "begins"]


def test_what_only_waits_for_approval_gives_way_to_an_alert_and_comes_again() -> None:
    rows = rows_with("urgent", "alert")
    rows.put(1, State.APPROVAL, launched=True, campaign_id="c1")
    assert goes_on(rows) == ["approval", "waits"]
    assert rows.asked[0].asking.kind == "abort"
    assert goes_on(rows) == ["approval", "waits"], "it has not ended yet"
    assert len(rows.asked) == 1
    rows.decide(partial(applied, taken=step(rows.rows[0], "ended", rows.rows[0].course.ending, ending=None)))
    assert goes_on(rows) == ["waits", "begins"]


def test_what_is_being_planned_gives_way_at_once_and_what_is_being_started_does_not() -> None:
    rows = rows_with("urgent", "alert")
    rows.put(1, State.BEGINS, attempt=1)
    goes_on(rows)
    assert goes_on(rows) == ["waits", "begins"]


def test_what_is_being_started_ends_once_it_is_there_to_be_asked() -> None:
    rows = rows_with("urgent", "alert")
    rows.put(1, State.BEGINS, attempt=1, launched=True)
    assert goes_on(rows) == goes_on(rows) == ["begins", "waits"]
    assert (rows.asked, rows.rows[0].course.ending) == ([], State.WAITS)
    rows.put(1, State.APPROVAL, campaign_id="c1")
    goes_on(rows)
    assert [change.asking.campaign_id for change in rows.asked] == ["c1"]


def test_what_starts_by_itself_does_not_give_way() -> None:
    rows = rows_with("urgent", "alert")
    at_once = rows.rows[0].asked.model_copy(update={"start": "at-once"})
    rows.known.put(replace(rows.put(1, State.BEGINS, attempt=1, launched=True), asked=at_once))
    assert goes_on(rows) == ["begins", "waits"]
    assert rows.rows[0].course.ending is None


def test_what_nobody_approves_in_time_waits_for_the_next_window() -> None:
    rows = rows_with("routine")
    until = NOW.replace(hour=4) + timedelta(days=1)
    rows.put(1, State.APPROVAL, launched=True, campaign_id="c1", until=until, plan_s=3600)
    assert goes_on(rows, until - timedelta(hours=1)) == ["approval"]
    assert not rows.asked
    goes_on(rows, until - timedelta(minutes=59))
    assert rows.rows[0].course.ending is State.WAITS
    assert rows.rows[0].course.not_before == until


def test_a_step_of_a_trigger_that_was_withdrawn_meanwhile_is_not_taken() -> None:
    rows = rows_with("urgent")
    goes_on(rows)
    taken = step(rows.rows[0], "launched", launched=True)
    rows.put(1, State.WITHDRAWN)
    assert applied(rows.rows, taken) == []
    rows.put(1, State.BEGINS, attempt=2)
    assert applied(rows.rows, taken) == [], "it has begun anew"


@pytest.fixture
def watching():
    rows = Rows()

    def watch(since, now):
        rows.decide(partial(windows_told.begun, standing=(WEEKLY,), calendars=CALENDARS, looked_at=since, now=now))
        return rows

    return watch


def test_a_window_begins_a_campaign_once(watching) -> None:
    assert watching(NOW, NOW).states == []
    assert watching(NOW, NIGHT).states == ["waits"]
    rows = watching(NIGHT, NIGHT + timedelta(hours=1))
    assert rows.states == ["waits"]
    assert rows.rows[0].key == "weekly@2026-11-29T22:00Z"
    rows.put(1, State.DONE)
    assert watching(NIGHT, NIGHT + timedelta(days=1)).states == ["done", "waits"]
    assert watching(NIGHT, NIGHT + timedelta(days=2)).states == ["done", "waits", "folded"]


def test_windows_that_were_missed_are_said_and_not_caught_up(watching) -> None:
    rows = watching(NIGHT - timedelta(days=3), NIGHT)
    assert rows.states == ["missed", "missed", "waits"], "the one that is open begins; the last seen was known"
    assert "nobody watched" in rows.rows[0].detail
    rows = watching(None, NIGHT)
    assert rows.states == ["missed", "missed", "waits"], "who watches for the first time has missed nothing"


def test_a_request_that_waits_hears_of_the_windows_that_it_missed() -> None:
    rows = rows_with("routine")
    later = NOW + timedelta(days=2)
    made = rows.decide(partial(windows_told.begun, standing=(), calendars=CALENDARS, looked_at=NOW, now=later))
    assert "2 windows were missed" in made[0].note
    assert rows.states == ["waits"]
