"""What has happened that a plan does not provide for, and what waits whether the rest is planned anew."""

from collections.abc import Sequence

from slacktide.executors.falling import Fall
from slacktide.executors.rules import OnDrift


class Drift:
    """What would be given up because of what has happened, held back until the rest is planned anew or is not."""

    def __init__(self, on_drift: OnDrift) -> None:
        self._on_drift = on_drift
        self._held: list[Fall] = []
        self._why: list[str] = []
        self._giving_way = False

    def hold(self, falls: Sequence[Fall], why: str) -> bool:
        """Hold back what would be given up, and return whether that is done here."""
        if self._on_drift == "ignore" or self._giving_way:
            return False
        if falls:
            self._held += falls
            self._why.append(why)
        return True

    def holds_host(self, host: int) -> bool:
        """Return whether it is held back that a host is given up: it is out, and goes on draining or is given up."""
        return any(fall.is_host and fall.subject == host for fall in self._held)

    def let_go(self) -> list[Fall]:
        """Return what is held back: it is to be given up."""
        held, self._held, self._why = self._held, [], []
        self._giving_way = True
        return held

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
        more = f", and {len(self._why) - 1} more" if len(self._why) > 1 else ""
        return f"{self._why[0]}{more}"

    def waits_for(self) -> str:
        """Return what a person has to decide."""
        return (
            f"{self.words()}; have the rest planned anew with `slacktide campaign revise`, or with `--give-up` leave "
            "what depends on it"
        )
