"""A count that may be written as a share: ``3`` hosts, or ``"20%"`` of them."""

from fractions import Fraction
from typing import Annotated

from pydantic import BeforeValidator


def _checked(value: object) -> object:
    expected = 'expected a count such as 3 or a share such as "20%"'
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError(expected)
    if isinstance(value, int):
        if value < 0:
            raise ValueError(f"{expected}; a count cannot be negative")
        return value
    try:
        share = Fraction(value.strip().removesuffix("%"))
    except ValueError:
        raise ValueError(expected) from None
    if not value.strip().endswith("%") or not 0 <= share <= 100:
        raise ValueError(f"{expected}, between 0% and 100%")
    return value.strip()


CountOrShare = Annotated[int | str, BeforeValidator(_checked)]
"""A count (``3``) or a share (``"20%"``)."""


def resolved(limit: int | str, total: int) -> int:
    """Return the limit as a count among ``total``.

    A share is rounded down, but a share above 0 % of anything is at least 1: a rack of four hosts under
    ``"20%"`` could otherwise never be patched.
    """
    if isinstance(limit, int):
        return limit
    share = Fraction(limit.removesuffix("%")) / 100
    return max(1, int(share * total)) if share > 0 else 0
