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
        self._giving_way = self._stuck_gives_way = False
        self._changed = False
        """Whether something has changed since it was last seen what is stuck."""
        self._recalled: str | None = None
        """What a person was asked before the campaign was taken up paused: what is stuck is seen once it goes on."""

    def hold(self, falls: Sequence[Fall], why: str) -> bool:
        """Hold back what would be given up, and return whether that is done here."""
        if self._on_drift == "ignore" or self._giving_way:
            return False
        self._held += [(fall, why) for fall in falls]
        return True

    def hold_stuck(self, fall: Fall, why: str) -> bool:
        """Hold back what waits for what will not come, where a person is asked, and return whether that is done."""
        return self._on_drift == "ask" and not self._stuck_gives_way and self.hold([fall], why)

    def recall(self, why: str) -> None:
        """Ask a person again, of a campaign that was taken up paused, what they were asked before."""
        if self._on_drift == "ask" and not self._held:
            self._recalled, self._changed = why, True

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

    def change(self) -> None:
        """Note that something has changed: with the next decision that may begin something it is seen what is stuck."""
        self._changed = True

    def look_anew(self) -> None:
        """Hold back no longer what was stuck, if something has changed since: what still is comes again."""
        if self._changed:
            self._changed, self._recalled = False, None
            self.release_stuck()

    def release_stuck(self) -> None:
        """Hold back no longer what was stuck."""
        self._held = [(fall, why) for fall, why in self._held if fall.reason != STUCK]

    def let_go(self) -> list[Fall]:
        """Return what is held back: it is to be given up."""
        held, self._held, self._recalled = self._held, [], None
        self._giving_way = self._stuck_gives_way = True
        return [fall for fall, _ in held]

    def settled(self, *, quiet: bool) -> None:
        """Hold back again what comes from now on: what was let go has been given up, with all that depended on it.

        What is stuck as well is seen, and given up, with the first decision that is not ``quiet``.
        """
        self._giving_way = False
        self._stuck_gives_way = self._stuck_gives_way and quiet

    @property
    def asks(self) -> bool:
        """Whether something is held back until a person decides."""
        return self._on_drift == "ask" and self.words() is not None

    def words(self) -> str | None:
        """Return what has happened since the rest was last planned, in words; null: nothing is held back."""
        if not self._held:
            return self._recalled
        why = list(dict.fromkeys(why for _, why in self._held))
        more = f", and {len(why) - 1} more" if len(why) > 1 else ""
        return f"{why[0]}{more}"

    def waits_for(self) -> str:
        """Return what a person has to decide."""
        return f"{self.words()}; {DECIDE}"
