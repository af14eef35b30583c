"""How a store that does not answer is waited for."""

import time
from collections.abc import Callable
from math import inf
from typing import Final, TypeVar

from slacktide.errors import StoreError

LIMIT_S: Final = 1_800.0
"""How long a store may be away before the campaign ends: time for a person to be woken and to free a disk or start a
database.  What runs on hosts meanwhile goes on there."""
UNKNOWN_HOST: Final = ("Name or service not known", "nodename nor servname")
"""What a machine says of a host's name that nobody knows: while a campaign runs that may pass, but where it begins it
is a slip of the pen."""
FIRST_PAUSE_S: Final = 0.25
LONGEST_PAUSE_S: Final = 5.0
"""Between two tries: what holds a campaign up is over that soon after the store is back."""

Value = TypeVar("Value")


class Patience:
    """When a store is to be tried again, and when it has been away for too long."""

    def __init__(
        self,
        limit_s: float = LIMIT_S,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] | None = None,
    ) -> None:
        self._limit_s = limit_s
        self._clock = clock
        self._sleep = sleep or time.sleep
        self._since: float | None = None
        self._pause_s = FIRST_PAUSE_S
        self._next = 0.0
        self.waits_for: str | None = None
        """What is wrong with the store and its remedy; null: it answers."""

    def bear(self, error: StoreError) -> None:
        """Take an error of the store for one that passes.

        Raises
        ------
        StoreError
            The same, if it does not pass by itself or has lasted for too long.
        """
        now = self._clock()
        if self._since is None:
            self._since, self._pause_s = now, FIRST_PAUSE_S
        if not error.retryable or now - self._since >= self._limit_s:
            raise error
        self._next = now + self._pause_s
        self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)
        self.waits_for = str(error)

    def rest(self, until: float) -> bool:
        """Return whether the store is to be tried; sleep until then, but not beyond ``until`` on its clock."""
        if self._since is None:
            return True
        left_s = min(self._next, until) - self._clock()
        if left_s > 0:
            self._sleep(left_s)
        return self._clock() >= self._next

    def end(self) -> None:
        """Note that the store answers."""
        self._since, self.waits_for = None, None


def patiently(
    look: Callable[[], Value], limit_s: float | None, tell: Callable[[str], None], patience: Patience | None = None
) -> Value:
    """Return what ``look`` returns once the store answers, for which it is asked again and again.

    Parameters
    ----------
    limit_s
        How long it may take; null: however long.
    tell
        Called once with why it is waited for, and once when that is over.

    Raises
    ------
    StoreError
        If the limit is over, or the name of its host is unknown.
    ExecutionError
        If waiting does not mend it, as a wrong password or a database that is not there.
    """
    patience = patience or Patience(inf if limit_s is None else limit_s)
    while True:
        try:
            found = look()
        except StoreError as error:
            if is_unknown_host(error):
                raise
            is_first = patience.waits_for is None
            patience.bear(error)
            if is_first:
                tell(f"nothing is begun yet: {error}")
            patience.rest(inf)
        else:
            if patience.waits_for is not None:
                tell("the store answers")
            return found


def is_unknown_host(error: StoreError) -> bool:
    """Return whether a store does not answer because nobody knows its host's name."""
    return any(words in error.fact for words in UNKNOWN_HOST)
