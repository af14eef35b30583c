"""Telling that a campaign stands still, for want of its store or of a person, once, and that it goes on."""

from slacktide.service.console import tell


class Stalled:
    """Whether it was told, and what; a store that is on its way back may give other reasons every second."""

    def __init__(self) -> None:
        self._told: str | None = None

    def tell(self, waits_for: str | None) -> None:
        """Tell what a campaign waits for, where that is new; null: it goes on."""
        if (waits_for is None) == (self._told is None):
            return
        self._told = waits_for
        if waits_for is None:
            tell("the campaign goes on")
        else:
            tell(f"nothing new is begun: {waits_for}")
