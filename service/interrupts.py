"""Ctrl-C, remembered or held back.

A search that is interrupted returns its best plan, and the command must still know.  A campaign is interrupted between
two steps, not in the middle of writing its journal.
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType


@dataclass
class Interruption:
    """Whether Ctrl-C was pressed."""

    happened: bool = False


@contextmanager
def remembered_interrupts() -> Iterator[Interruption]:
    """Raise KeyboardInterrupt at Ctrl-C as ever, and remember it."""
    interruption = Interruption()

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        interruption.happened = True
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, interrupt)
    try:
        yield interruption
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def ends_as_interrupts() -> Iterator[None]:
    """Take a request to end, or a terminal that closes, for Ctrl-C: what was begun is to be taken back."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Terminated(KeyboardInterrupt):
    """A request to end, SIGTERM, in place of Ctrl-C."""


@contextmanager
def told_to_end() -> Iterator[None]:
    """Raise :class:`Terminated` at a request to end, which is then told as Ctrl-C is."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise Terminated

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@dataclass
class HeldInterrupt:
    """A Ctrl-C, or a request to end, that waits for the next moment at which stopping is safe."""

    pressed: type[KeyboardInterrupt] | None = None

    def let_through(self) -> None:
        """Raise the KeyboardInterrupt that was held back, if there was one."""
        if self.pressed is not None:
            raise self.pressed


@contextmanager
def held_interrupts() -> Iterator[HeldInterrupt]:
    """Hold the first Ctrl-C or request to end back until it is let through; a second one interrupts at once."""
    held = HeldInterrupt()

    def hold(number: int, _frame: FrameType | None) -> None:
        kind = Terminated if number == signal.SIGTERM else KeyboardInterrupt
        if held.pressed is not None:
            raise kind
        held.pressed = kind

    before = {number: signal.signal(number, hold) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield held
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
