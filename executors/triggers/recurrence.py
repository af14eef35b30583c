"""Recurrence rules of RFC 5545, expanded in local time by dateutil, and only where they are asked for.

dateutil expands a rule from its beginning on, and one that has no further occurrence up to the year 9999.  So the
beginning is moved forward by whole intervals, and all is expanded some multiple of 400 years later, after which the
calendar, its weekdays and its leap years repeat: the end of time is then near.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping
from datetime import MAXYEAR, UTC, datetime, timedelta
from functools import lru_cache
from itertools import takewhile
from typing import Final
from zoneinfo import ZoneInfo

from dateutil.rrule import rrule, rrulestr

FREQUENCIES: Final = ("HOURLY", "DAILY", "WEEKLY", "MONTHLY", "YEARLY")
PARTS: Final = (
    *("FREQ", "INTERVAL", "COUNT", "UNTIL", "WKST", "BYMONTH", "BYWEEKNO", "BYYEARDAY", "BYMONTHDAY", "BYDAY"),
    *("BYHOUR", "BYMINUTE", "BYSECOND", "BYSETPOS"),
)
MOST_COUNT: Final = 10_000
"""Of COUNT: who counts has to begin at the beginning."""
MOST_INTERVAL: Final = 10_000
YEARS: Final = 40
"""Within which a rule has to begin: 29 February comes on a Monday at least so often."""
LATEST_YEAR: Final = MAXYEAR - 2 * YEARS
_CYCLE: Final = 400
_BLOCK: Final = timedelta(days=32)
"""What is expanded at once, and kept."""
_MOST_BLOCKS: Final = 1_000
_ZERO: Final = datetime(1, 1, 1)  # noqa: DTZ001  (local time)
_STEPS: Final = {"HOURLY": timedelta(hours=1), "DAILY": timedelta(days=1), "WEEKLY": timedelta(weeks=1)}
_DAYS: Final = ("BYWEEKNO", "BYYEARDAY", "BYMONTHDAY", "BYDAY")


class Recurrence:
    """Occurrences of a rule in local time, in order."""

    def __init__(self, rule: str, begins: datetime, zone: ZoneInfo) -> None:
        """Read a rule that begins at ``begins`` at the earliest.

        Raises
        ------
        ValueError
            If it is none, or none that windows can follow; the text says why, and what to write.
        """
        self._begins = begins
        self._parts = _parts(rule)
        self._frequency, self._interval = self._parts["FREQ"], int(self._parts["INTERVAL"])
        self._until = _until(self._parts.pop("UNTIL", ""), zone)
        self._blocks: dict[int, tuple[datetime, ...]] = {}
        self._next: tuple[datetime, datetime | None] | None = None
        if begins.year > LATEST_YEAR:
            raise ValueError(f"`begins` is after the year {LATEST_YEAR}; write an earlier one")
        try:
            first = next(self._from(begins, begins), None)
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(f"`rule` {rule!r} cannot be read: {error}; RFC 5545 says how rules look") from error
        if first is None or first.year > begins.year + YEARS:
            fact = f"`rule` {rule!r} has no occurrence within {YEARS} years of `begins`"
            raise ValueError(f"{fact}; look at its days and its INTERVAL")

    def between(self, first: datetime, last: datetime) -> list[datetime]:
        """Return the occurrences from ``first`` up to and with ``last``."""
        found: list[datetime] = []
        for number in range((first - _ZERO) // _BLOCK, (last - _ZERO) // _BLOCK + 1):
            block = self._block(number)
            found += block[bisect_left(block, first) : bisect_right(block, last)]
        return found

    def after(self, moment: datetime) -> Iterator[datetime]:
        """Yield the occurrences after a moment."""
        known = self._next
        if known is None or not known[0] <= moment or (known[1] is not None and known[1] <= moment):
            known = self._next = moment, next(self._from(moment + timedelta.resolution, moment), None)
        if known[1] is not None:
            yield known[1]
            yield from self._from(known[1] + timedelta.resolution, known[1])

    def _block(self, number: int) -> tuple[datetime, ...]:
        if number not in self._blocks:
            if len(self._blocks) >= _MOST_BLOCKS:
                self._blocks.clear()
            first = _ZERO + number * _BLOCK
            within = takewhile(lambda each: each < first + _BLOCK, self._from(first, first + _BLOCK))
            self._blocks[number] = tuple(within)
        return self._blocks[number]

    def _from(self, first: datetime, until: datetime) -> Iterator[datetime]:
        """Yield the occurrences from ``first`` on, up to :data:`YEARS` after ``until`` at least."""
        start, parts = self._moved(first)
        cycles = max(0, (LATEST_YEAR - max(until.year, start.year)) // _CYCLE)
        text = ";".join(f"{name}={value}" for name, value in parts.items())
        made = rrulestr(text, dtstart=_later(start, cycles))
        assert isinstance(made, rrule), "one rule makes no set"
        for late in made.xafter(_later(max(first, start), cycles), inc=True):
            each = _later(late, -cycles)
            if self._until is not None and each > self._until:
                return
            yield each

    def _moved(self, first: datetime) -> tuple[datetime, Mapping[str, str]]:
        """Return a beginning that leaves out what is before ``first``, and the rule's parts for it."""
        begins = self._begins
        if "COUNT" in self._parts or first <= begins:
            return begins, self._parts
        if self._frequency in _STEPS:
            step = _STEPS[self._frequency] * self._interval
            return begins + max(0, (first - begins) // step - 2) * step, self._parts
        per_year = 12 if self._frequency == "MONTHLY" else 1
        apart = (first.year - begins.year) * per_year + (first.month - begins.month if per_year == 12 else 0)
        steps = max(0, apart // self._interval - 2) * self._interval
        if not steps:
            return begins, self._parts
        parts = dict(self._parts)
        if not any(name in parts for name in _DAYS):
            parts["BYMONTHDAY"] = str(begins.day)
            if per_year == 1:
                parts.setdefault("BYMONTH", str(begins.month))
        years, month = divmod(begins.month - 1 + steps, 12) if per_year == 12 else (steps, begins.month - 1)
        return begins.replace(year=begins.year + years, month=month + 1, day=1), parts


@lru_cache(maxsize=256)
def recurrence(rule: str, begins: datetime, zone: ZoneInfo) -> Recurrence:
    """Return a rule with what was expanded of it; errors as :class:`Recurrence`."""
    return Recurrence(rule, begins, zone)


def _later(moment: datetime, cycles: int) -> datetime:
    return moment.replace(year=moment.year + cycles * _CYCLE)


def _parts(rule: str) -> dict[str, str]:
    """Return the parts of a rule by name; of those that are numbers of times it is checked that they are."""
    text = rule.strip().upper().removeprefix("RRULE:")
    if "\n" in text or ":" in text:
        raise ValueError("`rule` has to be one rule alone, such as FREQ=DAILY; write dates without as `except_dates`")
    pairs = [part.partition("=")[::2] for part in text.split(";") if part]
    parts = dict(pairs)
    if parts.get("FREQ") not in FREQUENCIES:
        raise ValueError(f"`rule` needs a FREQ; write one of {', '.join(FREQUENCIES)}, as in FREQ=DAILY")
    if "DTSTART" in parts:
        raise ValueError("`rule` has a DTSTART; write it as `begins`")
    if strange := sorted(parts.keys() - set(PARTS)):
        raise ValueError(f"`rule` has a part {strange[0]!r}, which RFC 5545 does not know; leave it out")
    if len(pairs) > len(parts):
        raise ValueError("`rule` has a part twice; leave one out")
    if "COUNT" in parts and "UNTIL" in parts:
        raise ValueError("`rule` has COUNT and UNTIL; leave one out")
    for name in ("BYMINUTE", "BYSECOND"):
        if "," in parts.get(name, ""):
            raise ValueError(f"`rule` has more than one {name}, and would begin more than once an hour; write one")
    _check_number("INTERVAL", parts.setdefault("INTERVAL", "1"), MOST_INTERVAL)
    _check_number("COUNT", parts.get("COUNT", "1"), MOST_COUNT)
    return parts


def _check_number(name: str, value: str, most: int) -> None:
    is_number = value.isascii() and value.isdecimal() and len(value) <= len(str(most))
    if not is_number or not 1 <= int(value) <= most:
        raise ValueError(f"`rule` has {name}={value}; write a whole number from 1 to {most:,}")


def _until(value: str, zone: ZoneInfo) -> datetime | None:
    """Return UNTIL in local time."""
    if not value:
        return None
    for form in ("%Y%m%dT%H%M%S", "%Y%m%dT%H%M%SZ", "%Y%m%d"):
        try:
            moment = datetime.strptime(value, form)  # noqa: DTZ007  (local time, unless it ends in Z)
        except ValueError:
            continue
        return moment.replace(tzinfo=UTC).astimezone(zone).replace(tzinfo=None) if value.endswith("Z") else moment
    raise ValueError(f"`rule` cannot be read: UNTIL={value} is no time; write it as 20261231T220000Z")
