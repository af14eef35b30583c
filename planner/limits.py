"""A count that may be written as a share: ``3`` hosts, or ``"20%"`` of them."""

import re
from fractions import Fraction
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator

MOST = 10**9
"""Largest count: above any fleet, and far from what overflows."""
_SHARE = re.compile(r"(\d{1,3}(?:\.\d{1,9})?)\s*%")


def _checked(value: object) -> object:
    expected = 'expected a count such as 3 or a share such as "20%"'
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError(expected)
    if isinstance(value, int):
        if value < 0:
            raise ValueError(f"{expected}; a count cannot be negative")
        if value > MOST:
            raise ValueError(f"{expected}; a count is at most {MOST:,}")
        return value
    share = _SHARE.fullmatch(value.strip())
    if share is None:
        raise ValueError(expected)
    if Fraction(share[1]) > 100:
        raise ValueError(f"{expected}, between 0% and 100%")
    return value.strip()


def _above_zero(value: int | str) -> int | str:
    if resolved(value, MOST) == 0:
        raise ValueError("expected at least 1, or a share above 0%; leave it out for no limit")
    return value


CountOrShare = Annotated[int | str, BeforeValidator(_checked)]
"""A count (``3``) or a share (``"20%"``)."""
SomeOrShare = Annotated[int | str, BeforeValidator(_checked), AfterValidator(_above_zero)]
"""A count or a share that is not 0."""


def resolved(limit: int | str, total: int) -> int:
    """Return the limit as a count among ``total``.

    A share is rounded down, but a share above 0 % of anything is at least 1: a rack of four hosts under
    ``"20%"`` could otherwise never be patched.
    """
    if isinstance(limit, int):
        return limit
    share = Fraction(limit.removesuffix("%").strip()) / 100
    return max(1, int(share * total)) if share > 0 else 0
