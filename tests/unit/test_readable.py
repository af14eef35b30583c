"""Numbers as people read them."""

import pytest

from slacktide.executors import readable


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.4, "0 s"),
        (59.6, "1 min"),
        (320, "5 min 20 s"),
        (3600, "1 h"),
        (3601, "1 h"),
        (11_520, "3 h 12 min"),
        (3_599.6, "1 h"),
        (13_965, "3 h 53 min"),
        (90_000, "1 d 1 h"),
        (172_000, "2 d"),
        (None, "\u2013"),
    ],
)
def test_durations_have_two_units_at_most(seconds: float | None, text: str) -> None:
    assert readable.duration(seconds).replace("\u202f", " ") == text


@pytest.mark.parametrize(
    ("share", "text"), [(0, "0.0 %"), (0.5, "50.0 %"), (0.00006, "0.006 %"), (0.0038, "0.38 %"), (None, "\u2013")]
)
def test_small_shares_are_not_nothing(share: float | None, text: str) -> None:
    assert readable.percent(share).replace("\u202f", " ") == text


@pytest.mark.parametrize(
    ("hours", "text"),
    [(0, "0.0"), (0.043, "0.043"), (0.0021, "0.0021"), (0.5, "0.5"), (1.26, "1.3"), (2_485, "2,485")],
)
def test_the_exposure_of_a_small_fleet_is_not_nothing(hours: float, text: str) -> None:
    assert readable.host_hours(hours) == f"{text}\u202fhost-h"


def test_a_gap_is_relative_to_its_bound() -> None:
    assert readable.over_bound(110, 100) == "+10.0\u202f%"
    assert readable.over_bound(None, 100) is None
    assert readable.over_bound(5, 0) is None
