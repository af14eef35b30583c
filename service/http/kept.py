"""Answers that are the same for ever, kept for those who ask again: of a fleet, a plan, a campaign that has ended."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, TypeVar, cast

MOST_KEPT: Final = 32
"""Maps and curves that are kept, and fleets' VMs; of 10,000 hosts each has a megabyte or two."""
MOST_ENDED_KEPT: Final = 10_000
"""Campaigns of which is kept how they ended, less than a kilobyte each: lists of them are looked at again and again."""
Made = TypeVar("Made")


class _Slot:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.is_made = False
        self.value: object = None


class KeptAnswers:
    """Works each answer out once, however many ask for it at the same time; for any thread."""

    def __init__(self, most: int = MOST_KEPT) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._slots: OrderedDict[tuple[str, str], _Slot] = OrderedDict()

    def get(self, what: str, name: str, make: Callable[[], Made]) -> Made:
        """Return what ``make`` makes, or made before under the same names."""
        with self._lock:
            slot = self._slots.setdefault((what, name), _Slot())
            self._slots.move_to_end((what, name))
            while len(self._slots) > self._most:
                self._slots.popitem(last=False)
        with slot.lock:
            if not slot.is_made:
                slot.value = make()
                slot.is_made = True
        return cast("Made", slot.value)
