"""A store that does not answer where a campaign begins is waited for, unless waiting mends nothing."""

from math import inf

import pytest

from slacktide.errors import ExecutionError, StoreError
from slacktide.executors.store.patience import Patience, patiently


class Clock:
    """Passes while somebody sleeps."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def sleep(self, duration_s: float) -> None:
        self.now_s += duration_s

    def patience(self, limit_s: float = inf) -> Patience:
        return Patience(limit_s, lambda: self.now_s, self.sleep)


def away(fact: str = "does not answer: connection refused", *, passes: bool = True) -> StoreError:
    return StoreError("db", fact, "Start the database", retryable=passes)


def failing(errors: list[Exception]):
    """Return a look that raises these one after the other, and then returns."""

    def look() -> str:
        if errors:
            raise errors.pop(0)
        return "there"

    return look


def test_it_is_waited_for_and_told_once() -> None:
    clock, told = Clock(), []
    assert patiently(failing([away() for _ in range(400)]), None, told.append, clock.patience()) == "there"
    assert told == [
        "nothing is begun yet: db: does not answer: connection refused. Start the database",
        "the store answers",
    ]
    assert clock.now_s > 1_800, "it has no limit of its own"


def test_one_that_answers_is_not_spoken_of() -> None:
    told = []
    assert patiently(failing([]), None, told.append) == "there"
    assert told == []


def test_a_limit_ends_it_with_the_reason() -> None:
    clock = Clock()
    with pytest.raises(StoreError, match="does not answer"):
        patiently(failing([away() for _ in range(400)]), 60.0, lambda _words: None, clock.patience(60.0))
    assert 60 <= clock.now_s < 70


@pytest.mark.parametrize(
    "error",
    [
        ExecutionError("db", "refuses the user", "Give the password"),
        away("does not answer: failed to resolve host 'nosuch': [Errno -2] Name or service not known"),
        away(passes=False),
    ],
    ids=["password", "host", "for good"],
)
def test_what_waiting_does_not_mend_is_an_error_at_once(error: Exception) -> None:
    told = []
    with pytest.raises(type(error)):
        patiently(failing([error]), None, told.append)
    assert told == []
