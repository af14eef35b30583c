"""Which of two patch levels is the older one."""

from collections.abc import Sequence
from functools import cmp_to_key, lru_cache
from itertools import zip_longest
from typing import Final, Literal

Order = Literal["version", "listed", "other"]
"""What counts as below a level: ``version``, an older version as Debian compares them; ``listed``, one that comes
before it in a list; ``other``, every level that is not the same."""


def is_below(level: str, wanted: str, order: Order, listed: Sequence[str] = ()) -> bool:
    """Return whether a host at ``level`` is due where ``wanted`` is asked for.

    With ``listed`` a level that the list does not have is not known to be below, and not due.
    """
    if order == "other":
        return level != wanted
    if order == "listed":
        return level in listed and listed.index(level) < listed.index(wanted)
    return compared(level, wanted) < 0


@lru_cache(maxsize=2**14)
def compared(one: str, other: str) -> int:
    """Return -1, 0 or 1: whether the version ``one`` is older than ``other``, as new, or newer.

    Any text is a version: Linux kernels of distributions (``6.1.119-1``, ``5.15.0-91-generic``, ``6.12~rc1``) and dates
    come out in their order.

    References
    ----------
    Debian Policy Manual, section 5.6.12: epoch, upstream version and revision are compared one after the other, each
    from the left in turns of non-digits (letters before all else, ``~`` before even the end) and digits (as numbers).
    """
    for part, against in zip(_parts(one), _parts(other), strict=True):
        found = _compared_part(part, against)
        if found:
            return found
    return 0


AGE: Final = cmp_to_key(compared)
"""Key that sorts versions, the oldest first."""


def _parts(version: str) -> tuple[str, str, str]:
    """Return epoch, upstream version and revision."""
    epoch, colon, rest = version.strip().partition(":")
    if not colon or not epoch.isascii() or not epoch.isdigit():
        epoch, rest = "0", version.strip()
    upstream, dash, revision = rest.rpartition("-")
    return (epoch, upstream, revision) if dash else (epoch, rest, "")


def _compared_part(one: str, other: str) -> int:
    while one or other:
        text, one = _taken(one, digits=False)
        against, other = _taken(other, digits=False)
        weights = zip_longest(map(_weight, text), map(_weight, against), fillvalue=0)
        for weight, counter in weights:
            if weight != counter:
                return -1 if weight < counter else 1
        number, one = _taken(one, digits=True)
        counted, other = _taken(other, digits=True)
        difference = int(number or 0) - int(counted or 0)
        if difference:
            return -1 if difference < 0 else 1
    return 0


def _taken(text: str, *, digits: bool) -> tuple[str, str]:
    """Return the longest beginning of digits, or of anything else, and what follows."""
    end = 0
    while end < len(text) and ("0" <= text[end] <= "9") == digits:
        end += 1
    return text[:end], text[end:]


def _weight(character: str) -> int:
    """Return the place of a character: ``~``, the end (0), letters, all others."""
    if character == "~":
        return -1
    return ord(character) if character.isascii() and character.isalpha() else ord(character) + 256
