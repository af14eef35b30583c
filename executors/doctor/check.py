"""One look at one part of an installation, and what came of it."""

from collections.abc import Iterable
from typing import Any, Final, Literal, NamedTuple

Verdict = Literal["ok", "unknown", "warning", "error"]
Area = Literal["machine", "server", "store", "ray", "hosts", "certificates", "clocks", "links"]
AREAS: Final[tuple[Area, ...]] = ("machine", "server", "store", "ray", "hosts", "certificates", "clocks", "links")
"""In the order in which they are shown."""


class Check(NamedTuple):
    """What was looked at, what it is, and what mends it."""

    area: Area
    subject: str
    verdict: Verdict
    """``unknown``: could not be looked at from here; the remedy says what would."""
    fact: str
    remedy: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return self._asdict()


def has_error(checks: Iterable[Check]) -> bool:
    """Return whether one of them is an error."""
    return any(check.verdict == "error" for check in checks)
