"""What has happened that a plan does not provide for, and what waits whether the rest is planned anew."""

from collections.abc import Sequence
from typing import Final

from slacktide.executors.falling import Fall
from slacktide.executors.order_state import DECIDE
from slacktide.executors.rules import OnDrift

STUCK: Final = "stuck"
"""Reason of what waits for what will not come, as far as can be seen."""


class Drift:
    """What would be given up because of what has happened, held back until the rest is planned anew or is not."""

    def __init__(self, on_drift: OnDrift) -> None:
        self._on_drift = on_drift
        self._held: list[tuple[Fall, str]] = []
        """With what has happened, in words."""
        self._giving_way = False

    def hold(self, falls: Sequence[Fall], why: str) -> bool:
        """Hold back what would be given up, and return whether that is done here."""
        if self._on_drift == "ignore" or self._giving_way:
            return False
        self._held += [(fall, why) for fall in falls]
        return True

    def holds_host(self, host: int) -> bool:
        """Return whether it is held back that a host is given up: it is out, and goes on draining or is given up."""
        return any(fall.is_host and fall.subject == host for fall, _ in self._held)

    def release(self, host: int, reason: str) -> None:
        """Hold back no longer that a host is given up for a reason: that is none any more."""
        self._held = [
            (fall, why)
            for fall, why in self._held
            if not (fall.is_host and fall.subject == host and fall.reason == reason)
        ]

    def release_stuck(self) -> None:
        """Hold back no longer what was stuck: something has changed, and it is looked anew whether it is."""
        self._held = [(fall, why) for fall, why in self._held if fall.reason != STUCK]

    def let_go(self) -> list[Fall]:
        """Return what is held back: it is to be given up."""
        held, self._held = self._held, []
        self._giving_way = True
        return [fall for fall, _ in held]

    def settled(self) -> None:
        """Hold back again what comes from now on: what was let go has been given up, with all that depended on it."""
        self._giving_way = False

    @property
    def asks(self) -> bool:
        """Whether something is held back until a person decides."""
        return self._on_drift == "ask" and bool(self._held)

    def words(self) -> str | None:
        """Return what has happened since the rest was last planned, in words; null: nothing is held back."""
        if not self._held:
            return None
        why = list(dict.fromkeys(why for _, why in self._held))
        more = f", and {len(why) - 1} more" if len(why) > 1 else ""
        return f"{why[0]}{more}"

    def waits_for(self) -> str:
        """Return what a person has to decide."""
        return f"{self.words()}; {DECIDE}"
