"""Numbers as people read them: with thousands separated, few digits, and the unit."""

from datetime import UTC, datetime

UNKNOWN = "\u2013"
"""What stands for null: a dash, never 0."""

_NARROW = "\u202f"
"""Narrow space that does not break, between number and unit."""


def count(number: float | None) -> str:
    """Return a whole number with its thousands separated."""
    return UNKNOWN if number is None else f"{number:,.0f}"


def duration(seconds: float | None) -> str:
    """Return a duration in its two largest units, rounded: ``3 h 12 min``, ``5 min 20 s``, ``42 s``."""
    if seconds is None:
        return UNKNOWN
    whole = round(seconds)
    coarse = next((unit for most, unit in ((86_400, 3600), (3600, 60)) if whole >= most), 1)
    whole = round(whole / coarse) * coarse
    days, hours, minutes, rest = whole // 86_400, whole // 3600 % 24, whole // 60 % 60, whole % 60
    parts = [(days, "d"), (hours, "h"), (minutes, "min"), (rest, "s")]
    first = next((place for place, (number, _) in enumerate(parts) if number), 3)
    shown = [(number, unit) for number, unit in parts[first : first + 2] if number or unit == parts[first][1]]
    return " ".join(f"{number}{_NARROW}{unit}" for number, unit in shown)


def moment(iso: str) -> str:
    """Return a moment that is given as ISO text, in UTC to the second: ``2026-11-29T19:35:30Z``."""
    return datetime.fromisoformat(iso).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def seconds(number: float | None) -> str:
    """Return a short time with one decimal, as for planning."""
    return UNKNOWN if number is None else f"{number:,.1f}{_NARROW}s"


def milliseconds(number: float | None) -> str:
    """Return milliseconds: one decimal below 10, none above."""
    if number is None:
        return UNKNOWN
    return f"{number:,.{1 if number < 10 else 0}f}{_NARROW}ms"


def host_hours(number: float | None) -> str:
    """Return host-hours: two digits that count below 1, one decimal below 100, none above."""
    if number is None:
        return UNKNOWN
    return f"{number:,.{'2g' if 0 < abs(number) < 1 else '1f' if number < 100 else '0f'}}{_NARROW}host-h"


def percent(share: float | None) -> str:
    """Return a share as percent with one decimal, and below 1 % with two digits that count."""
    if share is None:
        return UNKNOWN
    return f"{100 * share:.{'2g' if 0 < share < 0.01 else '1f'}}{_NARROW}%"


def gbit_s(mbit_s: float) -> str:
    """Return a bandwidth in Gbit/s."""
    return f"{mbit_s / 1000:,.1f}{_NARROW}Gbit/s"


def over_bound(value: float | None, bound: float) -> str | None:
    """Return how far a value lies above its bound; None where either is unknown or the bound is 0."""
    if value is None or bound <= 0:
        return None
    return f"{100 * (value - bound) / bound:+.1f}{_NARROW}%"
