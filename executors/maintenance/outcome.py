"""How one try of an action ended."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one try."""

    done: bool
    reason: str = ""
    """Of a failure: what said what, and what to do."""
    untouched: bool = False
    """Whether a failure came before anything was done to the host."""
    again: bool = True
    """Whether another try may mend it."""
    answered: bool = True
    """False: whether what was asked has begun is not known, so that another try asks for the same once more."""
    occupied: bool = False
    """Whether the host was not touched because guests run on it."""


DONE = Outcome(done=True)


def refused(reason: str, *, again: bool = False, occupied: bool = False) -> Outcome:
    """Return the outcome of a try that has done nothing."""
    return Outcome(done=False, reason=reason, untouched=True, again=again, occupied=occupied)


def failed(reason: str, *, again: bool = True, answered: bool = True) -> Outcome:
    """Return the outcome of a try that may have done something."""
    return Outcome(done=False, reason=reason, again=again, answered=answered)
