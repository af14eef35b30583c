"""Windows of calendars: by hand where clocks change, and against a walk through every quarter of an hour."""

from datetime import UTC, date, datetime, timedelta
from itertools import takewhile
from zoneinfo import ZoneInfo

import pytest
from dateutil.rrule import rrulestr
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from slacktide.executors.triggers.calendar import Calendar, Window
from slacktide.executors.triggers.recurrence import FREQUENCIES, YEARS, Recurrence

QUARTER = timedelta(minutes=15)


def calendar(rule: str, begins: str, zone: str = "Europe/Berlin", lasts_s: int = 3600, **fields: object) -> Calendar:
    return Calendar.model_validate(
        {"rule": rule, "begins": datetime.fromisoformat(begins), "zone": ZoneInfo(zone), "lasts_s": lasts_s, **fields}
    )


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_a_window_stays_at_its_local_time_when_clocks_change() -> None:
    nights = calendar("FREQ=DAILY", "2026-03-01T22:00:00")
    starts = [window.start for window in nights.between(utc("2026-03-28"), utc("2026-03-31"))]
    assert starts == [utc("2026-03-28T21:00"), utc("2026-03-29T20:00"), utc("2026-03-30T20:00")]
    starts = [window.start for window in nights.between(utc("2026-10-24"), utc("2026-10-27"))]
    assert starts == [utc("2026-10-24T20:00"), utc("2026-10-25T21:00"), utc("2026-10-26T21:00")]


def test_a_local_time_that_is_skipped_is_taken_with_the_offset_before() -> None:
    nights = calendar("FREQ=DAILY", "2026-03-28T02:30:00")
    found = nights.between(utc("2026-03-29"), utc("2026-03-30"))
    assert found == [Window(utc("2026-03-29T01:30"), utc("2026-03-29T02:30"))], "03:30 in Berlin"


def test_of_a_local_time_that_comes_twice_the_first_is_meant() -> None:
    nights = calendar("FREQ=DAILY", "2026-10-24T02:30:00")
    assert [one.start for one in nights.between(utc("2026-10-25"), utc("2026-10-26"))] == [utc("2026-10-25T00:30")]


def test_a_window_lasts_as_long_as_it_says_over_a_change_of_clocks() -> None:
    nights = calendar("FREQ=DAILY", "2026-10-24T22:00:00", lasts_s=6 * 3600)
    window = nights.at(utc("2026-10-25T01:59"))
    assert window == Window(utc("2026-10-24T20:00"), utc("2026-10-25T02:00"))
    assert nights.at(utc("2026-10-25T02:00")) is None, "its end is no longer within"


def test_rules_of_weekdays_and_months_with_an_end() -> None:
    second_tuesday = calendar("FREQ=MONTHLY;BYDAY=2TU;UNTIL=20261231T230000Z", "2026-01-01T20:00:00", "UTC")
    assert second_tuesday.following(utc("2026-11-01")).start == utc("2026-11-10T20:00")
    assert second_tuesday.following(utc("2026-12-09")) is None
    counted = calendar("FREQ=WEEKLY;COUNT=2", "2026-11-02T20:00:00", "America/New_York")
    assert [one.start for one in counted.between(utc("2026-01-01"), utc("2027-01-01"))] == [
        utc("2026-11-03T01:00"),
        utc("2026-11-10T01:00"),
    ]


def test_a_date_can_be_left_out() -> None:
    nights = calendar("FREQ=DAILY", "2026-12-23T22:00:00", except_dates=(date(2026, 12, 24),))
    assert nights.following(utc("2026-12-23T21:00")).start == utc("2026-12-25T21:00")


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"rule": "FREQ=MINUTELY"}, "needs a FREQ"),
        ({"rule": "every night"}, "needs a FREQ"),
        ({"rule": "FREQ=DAILY;BYDAY=XX"}, "cannot be read"),
        ({"rule": "FREQ=DAILY;DTSTART=20260101T000000"}, "write it as `begins`"),
        ({"rule": "FREQ=DAILY;INTERVAL=0"}, "INTERVAL=0; write a whole number from 1"),
        ({"rule": "FREQ=DAILY;INTERVAL=99999999999"}, "write a whole number from 1"),
        ({"rule": "FREQ=DAILY;COUNT=20000"}, "write a whole number from 1 to 10,000"),
        ({"rule": "FREQ=DAILY;COUNT=3\nRDATE:20260101T000000"}, "has to be one rule alone"),
        ({"rule": "FREQ=DAILY;COUNT=3;UNTIL=20261231T220000Z"}, "COUNT and UNTIL"),
        ({"rule": "FREQ=DAILY;FREQ=HOURLY"}, "a part twice"),
        ({"rule": "FREQ=DAILY;BYEASTER=1"}, "does not know"),
        ({"rule": "FREQ=HOURLY;BYMINUTE=0,30"}, "more than one BYMINUTE"),
        ({"rule": "FREQ=DAILY;BYSECOND=0,30"}, "more than one BYSECOND"),
        ({"rule": "FREQ=YEARLY;UNTIL=20991332T000000Z"}, "UNTIL=20991332T000000Z is no time"),
        ({"rule": "FREQ=HOURLY;BYMONTH=2;BYMONTHDAY=30"}, "no occurrence within 40 years"),
        ({"rule": "FREQ=DAILY;INTERVAL=7;BYDAY=TU"}, "no occurrence within 40 years"),
        ({"rule": "FREQ=YEARLY;UNTIL=20250101T000000Z"}, "no occurrence within 40 years"),
        ({"begins": "9999-12-30T22:00:00"}, "is after the year"),
        ({"begins": "2026-11-02T22:00:00+01:00"}, "timezone"),
        ({"zone": "Europe/Nowhere"}, "timezone"),
        ({"lasts_s": 5}, "greater than or equal to 60"),
    ],
)
def test_what_is_no_calendar_is_refused(fields, says) -> None:
    whole = {"rule": "FREQ=DAILY", "begins": "2026-11-02T22:00:00", "zone": "UTC", "lasts_s": 3600} | fields
    with pytest.raises(ValidationError, match=says):
        Calendar.model_validate(whole)


def by_walking(nights: Calendar, days: set[int], minute: int, since: datetime, until: datetime) -> list[datetime]:
    """Return begins by looking at every quarter of an hour: is it that local time, the first of two, on such a day?"""
    found, moment = [], since
    while moment < until:
        local = moment.astimezone(nights.zone)
        on = local.weekday() in days and local.hour * 60 + local.minute == minute and local.fold == 0
        found += [moment] if on else []
        moment += QUARTER
    return found


@given(
    days=st.sets(st.integers(0, 6), min_size=1),
    quarter=st.integers(0, 95),
    zone=st.sampled_from(["Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "UTC"]),
    lasts=st.integers(1, 200),
    begin=st.sampled_from(["2026-03-20", "2026-10-20", "2026-04-01", "2026-03-05"]),
    at=st.integers(0, 20 * 96),
)
def test_windows_are_those_that_a_walk_finds(days, quarter, zone, lasts, begin, at) -> None:
    names = ["MO", "TU", "WE", "TH", "FR", "SA", "SU"]
    rule = f"FREQ=WEEKLY;BYDAY={','.join(names[day] for day in sorted(days))}"
    clock = f"{quarter // 4:02}:{quarter % 4 * 15:02}:00"
    nights = calendar(rule, f"2026-01-01T{clock}", zone, int(lasts * QUARTER.total_seconds()))
    since = utc(begin)
    until = since + timedelta(days=20)
    walked = by_walking(nights, days, quarter * 15, since, until)
    found = [window.start for window in nights.between(since, until)]
    skipped = [start for start in found if start.astimezone(nights.zone).strftime("%H:%M:%S") != clock]
    assert [start for start in found if start not in skipped] == walked
    assert len(skipped) <= 1, "clocks go forward once in that time"
    now = since + at * QUARTER
    window, following = nights.at(now), nights.following(now)
    later = [start for start in found if start > now]
    assert following is not None
    assert following.start == (later[0] if later else following.start)
    holds = [start for start in found if start <= now < start + lasts * QUARTER]
    if now - lasts * QUARTER > since:
        assert (window.start if window else None) == (holds[-1] if holds else None)


PARTS = {
    "BYMONTH": st.integers(1, 12),
    "BYMONTHDAY": st.sampled_from([1, 13, 28, 29, 31, -1, -31]),
    "BYDAY": st.sampled_from(["MO", "TU", "SU"]),
    "BYHOUR": st.integers(0, 23),
    "BYMINUTE": st.sampled_from([0, 30]),
    "WKST": st.sampled_from(["MO", "SU", "WE"]),
    "COUNT": st.integers(1, 2000),
    "UNTIL": st.sampled_from(["20260601T120000", "20261105"]),
    "BYSETPOS": st.sampled_from([1, -1, 2]),
    "BYYEARDAY": st.sampled_from([1, 60, 366, -1]),
    "BYWEEKNO": st.sampled_from([1, 20, 53]),
}


@st.composite
def rules(draw: st.DrawFn) -> str:
    frequency = draw(st.sampled_from(FREQUENCIES))
    allowed = set(PARTS) - (set() if frequency == "YEARLY" else {"BYWEEKNO"})
    names = draw(st.sets(st.sampled_from(sorted(allowed)), max_size=3))
    names -= {"UNTIL"} if "COUNT" in names else set()
    names -= {"BYSETPOS"} if not names & {"BYMONTHDAY", "BYDAY", "BYHOUR", "BYYEARDAY", "BYWEEKNO"} else set()
    parts = [f"INTERVAL={draw(st.sampled_from([1, 2, 3, 5, 24, 100]))}"]
    parts += [f"{name}={draw(PARTS[name])}" for name in sorted(names)]
    return ";".join([f"FREQ={frequency}", *parts])


def local(year: int, month: int) -> datetime:
    return datetime(year, month, 1)  # noqa: DTZ001


@given(
    rule=rules(),
    begins=st.datetimes(local(2016, 1), local(2026, 3)).map(lambda each: each.replace(microsecond=0)),
    looked=st.lists(st.datetimes(local(2025, 12), local(2027, 3)), min_size=1, max_size=4),
)
@settings(max_examples=100, deadline=None)
def test_occurrences_are_those_of_a_plain_expansion(rule, begins, looked) -> None:
    last = local(2027, 6)
    try:
        expanded = rrulestr(rule, dtstart=begins)
    except ValueError:  # hours that no interval comes to
        with pytest.raises(ValueError):  # noqa: PT011
            Recurrence(rule, begins, ZoneInfo("UTC"))
        return
    try:
        found = Recurrence(rule, begins, ZoneInfo("UTC"))
    except ValueError:
        if not rule.startswith(("FREQ=HOURLY", "FREQ=DAILY")):  # of which a plain expansion that is empty takes minutes
            first = next(iter(expanded), None)
            assert first is None or first.year > begins.year + YEARS
        return
    known = list(takewhile(lambda each: each <= last, expanded))
    for moment in looked:
        until = moment + timedelta(days=50)
        assert found.between(moment, until) == [each for each in known if moment <= each <= until]
        following = next(found.after(moment), None)
        later = [each for each in known if each > moment]
        assert following == later[0] if later else following is None or following > last
