"""Which patch level is the older one."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slacktide.executors.triggers.levels import AGE, compared, is_below

KERNELS = [
    "5.15.0-91-generic",
    "6.1.0-28-amd64",
    "6.1.90-1",
    "6.1.119-1~deb11u1",
    "6.1.119-1",
    "6.1.119-2",
    "6.1.119-10",
    "6.12~rc1-1",
    "6.12-1",
    "6.12.9+deb13-amd64",
    "1:2.0-1",
]
"""From old to new, as ``dpkg --compare-versions`` has them."""


def test_kernels_come_in_the_order_of_their_age() -> None:
    for (place, one), (other_place, other) in itertools.combinations(enumerate(KERNELS), 2):
        assert compared(one, other) == -1, (one, other)
        assert compared(other, one) == 1, (place, other_place)
    assert sorted(reversed(KERNELS), key=AGE) == KERNELS


@pytest.mark.parametrize(
    ("one", "other", "found"),
    [
        ("1.0", "1.00", 0),
        ("1.0", "1.0-0", 0),
        ("0:1.0", "1.0", 0),
        ("1.0a", "1.0+", -1),
        ("1.0~~", "1.0~", -1),
        ("1.0~", "1.0", -1),
        ("20260101", "20261231", -1),
        ("unpatched", "patched", 1),
        ("", "0", 0),
    ],
)
def test_of_two_versions(one, other, found) -> None:
    assert compared(one, other) == found
    assert compared(other, one) == -found


VERSIONS = st.text(alphabet="019.a~+-:", max_size=8)


@given(VERSIONS, VERSIONS, VERSIONS)
def test_age_is_an_order(one, other, third) -> None:
    assert compared(one, one) == 0
    assert compared(one, other) == -compared(other, one)
    if compared(one, other) <= 0 and compared(other, third) <= 0:
        assert compared(one, third) <= 0


def test_what_is_below_depends_on_what_counts_as_older() -> None:
    assert is_below("6.1.90-1", "6.1.119-1", "version")
    assert not is_below("6.1.120-1", "6.1.119-1", "version")
    assert not is_below("6.1.119-1", "6.1.119-1", "version")
    assert is_below("6.1.120-1", "6.1.119-1", "other")
    assert not is_below("red", "red", "other")
    assert is_below("red", "green", "listed", ("red", "amber", "green"))
    assert not is_below("green", "red", "listed", ("red", "amber", "green"))
    assert not is_below("blue", "green", "listed", ("red", "amber", "green")), "it is not known to be below"
