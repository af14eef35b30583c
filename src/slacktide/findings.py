"""A finding: one broken rule in a plan or a snapshot, as data."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One broken rule: what is wrong, where, and what mends it."""

    rule: str
    """Short name of the rule, in kebab-case: ``host-capacity``."""
    message: str
    """The object, the fact and the limit, with units."""
    remedy: str
    """What a person can do about it."""
    severity: Severity = "error"
    subjects: tuple[str, ...] = ()
    """Ids of the hosts, VMs, links, domains or services concerned."""
    at_s: int | None = None
    """Seconds from the plan's origin, where the rule is about a moment."""
    file: str | None = None
    row: int | None = None
    """Row of the table in ``file``, counted from 0."""

    def as_dict(self) -> dict[str, Any]:
        """Return the finding as plain data for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        place = "" if self.file is None else f"{self.file}: " if self.row is None else f"{self.file} row {self.row}: "
        moment = "" if self.at_s is None else f" at {self.at_s} s"
        return f"{place}{self.message}{moment} [{self.rule}]. {self.remedy}"


def errors_in(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return the findings of severity ``error``."""
    return tuple(finding for finding in findings if finding.severity == "error")
