"""Every error that Slacktide raises on purpose.

::

    SlacktideError
    ├── UsageError          the call is wrong: a path that does not exist, an impossible option
    ├── InputError          a file is wrong: carries the findings
    ├── OutputError         a file cannot be written: disk full, no permission
    ├── ExecutionError      a campaign cannot go on
    │   ├── DriverError     a hypervisor refused or failed; ``retryable`` says whether to try again
    │   └── StoreError      the database of campaigns does not answer; ``retryable`` as above
    └── InternalError       Slacktide contradicts itself: a bug, please report it

"No" is not an error: an infeasible plan is a value with reasons.
"""

from collections.abc import Callable, Sequence
from typing import ClassVar

from slacktide.findings import Finding

FINDINGS_SHOWN = 20
"""Findings listed in an error's text; more would hide the first, and ``check --json`` lists all."""


class SlacktideError(Exception):
    """An object, a fact about it, and the remedy."""

    exit_code: ClassVar[int] = 1
    retryable: bool = False
    of_store: bool = False
    """Whether it is about the store: then it says where that is, and as whom it is asked."""
    about: str | None = None
    """What of the store's it is about, in words of ours that anybody may hear; null: the store itself."""

    def __init__(self, subject: str, fact: str, remedy: str) -> None:
        super().__init__(f"{subject}: {fact}. {remedy}")
        self.subject = subject
        self.fact = fact
        self.remedy = remedy

    def said_to_others(self) -> tuple[str, str, str]:
        """Return object, fact and remedy as whoever may not know where the store is may hear them."""
        if self.of_store and self.about is not None:
            return self.about, self.fact, self.remedy
        if self.of_store:
            return "store", self.fact.partition(":")[0], self.remedy
        return self.subject, self.fact, self.remedy

    def __reduce__(self) -> tuple[Callable[..., "SlacktideError"], tuple[object, ...]]:
        return type(self), (self.subject, self.fact, self.remedy)


class UsageError(SlacktideError):
    """The call is wrong."""

    exit_code = 2


class InputError(SlacktideError):
    """A file is wrong; ``findings`` say where."""

    def __init__(self, subject: str, fact: str, remedy: str, findings: Sequence[Finding] = ()) -> None:
        super().__init__(subject, fact, remedy)
        self.findings = tuple(findings)

    def __reduce__(self) -> tuple[Callable[..., "SlacktideError"], tuple[object, ...]]:
        return type(self), (self.subject, self.fact, self.remedy, self.findings)

    def __str__(self) -> str:
        lines = [super().__str__(), *(f"  {finding}" for finding in self.findings[:FINDINGS_SHOWN])]
        if len(self.findings) > FINDINGS_SHOWN:
            lines.append(f"  and {len(self.findings) - FINDINGS_SHOWN} more")
        return "\n".join(lines)


class OutputError(SlacktideError):
    """A file cannot be written."""


class ExecutionError(SlacktideError):
    """A campaign cannot go on."""


class DriverError(ExecutionError):
    """A hypervisor refused or failed."""

    def __init__(self, subject: str, fact: str, remedy: str, *, retryable: bool = False) -> None:
        super().__init__(subject, fact, remedy)
        self.retryable = retryable

    def __reduce__(self) -> tuple[Callable[..., "SlacktideError"], tuple[object, ...]]:
        return _driver_error, (self.subject, self.fact, self.remedy, self.retryable)


class StoreError(ExecutionError):
    """The database that a campaign is kept in does not answer: locked, full, away."""

    of_store = True

    def __init__(self, subject: str, fact: str, remedy: str, *, retryable: bool = False) -> None:
        super().__init__(subject, fact, remedy)
        self.retryable = retryable

    def __reduce__(self) -> tuple[Callable[..., "SlacktideError"], tuple[object, ...]]:
        return _store_error, (self.subject, self.fact, self.remedy, self.retryable)


class InternalError(SlacktideError):
    """Slacktide contradicts itself."""


def _driver_error(subject: str, fact: str, remedy: str, retryable: bool) -> DriverError:
    return DriverError(subject, fact, remedy, retryable=retryable)


def _store_error(subject: str, fact: str, remedy: str, retryable: bool) -> StoreError:
    return StoreError(subject, fact, remedy, retryable=retryable)
