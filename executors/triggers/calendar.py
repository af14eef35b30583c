"""Windows in which maintenance may run, by recurrence rules.

Rules are those of RFC 5545, expanded by dateutil in local time; zoneinfo turns each begin into UTC.  As the RFC says, a
local time that a change of clocks skips is taken with the offset from before it (02:30 is then 03:30), and of one that
comes twice the first is meant.  A window lasts so many seconds, whatever clocks do meanwhile.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from dateutil.rrule import rrule, rrulestr
from pydantic import BaseModel, ConfigDict, Field, NaiveDatetime, model_validator

from slacktide.planner.policy import LONGEST_S

MARGIN: Final = timedelta(days=1)
"""More than any two moments' order may differ between local time and UTC."""
FREQUENCIES: Final = ("HOURLY", "DAILY", "WEEKLY", "MONTHLY", "YEARLY")
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
        parts = _parts(self.rule)
        if parts.get("FREQ") not in FREQUENCIES:
            raise ValueError(f"`rule` needs a FREQ; write one of {', '.join(FREQUENCIES)}, as in FREQ=DAILY")
        if "DTSTART" in self.rule.upper():
            raise ValueError("`rule` has a DTSTART; write it as `begins`")
        try:
            self._expanded()
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(f"`rule` {self.rule!r} cannot be read: {error}; RFC 5545 says how rules look") from error
        return self

    def _expanded(self) -> rrule:
        """Return the rule in local time; an UNTIL in UTC is brought to it."""
        parts = _parts(self.rule)
        until = parts.get("UNTIL", "")
        if until.endswith("Z"):
            moment = datetime.strptime(until, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
            parts["UNTIL"] = moment.astimezone(self.zone).strftime("%Y%m%dT%H%M%S")
        text = ";".join(f"{name}={value}" for name, value in parts.items())
        made = rrulestr(text, dtstart=self.begins)
        assert isinstance(made, rrule), "one rule makes no set"
        return made

    def between(self, since: datetime, until: datetime) -> list[Window]:
        """Return the windows that begin from ``since`` on and before ``until``, in order."""
        found = sorted(self._starts(since - MARGIN, until + MARGIN))
        return [Window(start, start + timedelta(seconds=self.lasts_s)) for start in found if since <= start < until]

    def _starts(self, since: datetime, until: datetime) -> Iterator[datetime]:
        """Yield begins in UTC, of some more than are asked for."""
        first, last = (moment.astimezone(self.zone).replace(tzinfo=None) for moment in (since, until))
        for local in self._expanded().between(first, last, inc=True):
            if local.date() not in self.except_dates:
                yield local.replace(tzinfo=self.zone, fold=0).astimezone(UTC)

    def at(self, now: datetime) -> Window | None:
        """Return the window that holds ``now``; of several the one that ends last."""
        return max(
            (
                window
                for window in self.between(now - timedelta(seconds=self.lasts_s), now + timedelta(seconds=1))
                if window.holds(now)
            ),
            key=lambda window: window.end,
            default=None,
        )

    def following(self, now: datetime) -> Window | None:
        """Return the next window that begins after ``now``; None: none within three years."""
        expanded, local = self._expanded(), (now - MARGIN).astimezone(self.zone).replace(tzinfo=None)
        for start in expanded.xafter(local):
            moment = start.replace(tzinfo=self.zone, fold=0).astimezone(UTC)
            if moment > now + FAR:
                return None
            near = self.between(now + timedelta(microseconds=1), moment + MARGIN)
            if near:
                return near[0]
        return None


def _parts(rule: str) -> dict[str, str]:
    """Return the parts of a rule by name."""
    text = rule.strip().removeprefix("RRULE:")
    return dict(part.partition("=")[::2] for part in text.upper().split(";") if part)
