"""Windows in which maintenance may run, by recurrence rules.

Rules are those of RFC 5545, expanded in local time; zoneinfo turns each begin into UTC.  As the RFC says, a
local time that a change of clocks skips is taken with the offset from before it (02:30 is then 03:30), and of one that
comes twice the first is meant.  A window lasts so many seconds, whatever clocks do meanwhile.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, NaiveDatetime, model_validator

from slacktide.executors.triggers.recurrence import Recurrence, recurrence
from slacktide.planner.policy import LONGEST_S

MARGIN: Final = timedelta(days=1)
"""More than any two moments' order may differ between local time and UTC."""
FAR: Final = timedelta(days=3 * 366)
"""How far ahead a window is looked for: a rule for 29 February has one within it in most years."""


class Window(NamedTuple):
    """From ``start`` to before ``end``, in UTC."""

    start: datetime
    end: datetime

    def holds(self, moment: datetime) -> bool:
        """Return whether a moment is within."""
        return self.start <= moment < self.end


class Calendar(BaseModel):
    """A series of windows."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rule: str = Field(min_length=1)
    """Such as ``FREQ=WEEKLY;BYDAY=TU,TH``."""
    begins: NaiveDatetime
    """DTSTART: the first begin, in local time without an offset."""
    zone: ZoneInfo
    lasts_s: int = Field(ge=60, le=LONGEST_S)
    except_dates: tuple[date, ...] = ()
    """Local dates on which no window begins."""

    @model_validator(mode="after")
    def _readable(self) -> "Calendar":
        _ = self._rule
        return self

    @property
    def _rule(self) -> Recurrence:
        return recurrence(self.rule, self.begins, self.zone)

    def between(self, since: datetime, until: datetime) -> list[Window]:
        """Return the windows that begin from ``since`` on and before ``until``, in order."""
        found = sorted(self._starts(since - MARGIN, until + MARGIN))
        return [Window(start, start + timedelta(seconds=self.lasts_s)) for start in found if since <= start < until]

    def _starts(self, since: datetime, until: datetime) -> Iterator[datetime]:
        """Yield begins in UTC, of some more than are asked for."""
        first, last = (moment.astimezone(self.zone).replace(tzinfo=None) for moment in (since, until))
        for local in self._rule.between(first, last):
            if local.date() not in self.except_dates:
                yield local.replace(tzinfo=self.zone, fold=0).astimezone(UTC)

    def at(self, now: datetime) -> Window | None:
        """Return the window that holds ``now``; of several the one that ends last."""
        return _window_at(self, now)

    def following(self, now: datetime) -> Window | None:
        """Return the next window that begins after ``now``; None: none within three years."""
        for start in self._rule.after((now - MARGIN).astimezone(self.zone).replace(tzinfo=None)):
            if start.year > now.year + FAR.days // 365:
                return None
            moment = start.replace(tzinfo=self.zone, fold=0).astimezone(UTC)
            if moment > now + FAR:
                return None
            near = self.between(now + timedelta(microseconds=1), moment + MARGIN)
            if near:
                return near[0]
        return None


@lru_cache(maxsize=256)
def _window_at(calendar: Calendar, now: datetime) -> Window | None:
    """Return the window that holds ``now``, which is asked for each trigger that waits for one."""
    near = calendar.between(now - timedelta(seconds=calendar.lasts_s), now + timedelta(seconds=1))
    return max((window for window in near if window.holds(now)), key=lambda window: window.end, default=None)
