"""Moves that not every endpoint has confirmed in time: whoever was away is told again once it is back."""

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from slacktide.errors import DriverError
from slacktide.executors.fabrics.protocol import Move
from slacktide.ids import VmId

AGAIN_S: Final = 5.0
"""Pause between two times that all of them are told: endpoints that are away are so for minutes as a rule."""
MOST: Final = 1_000
"""VMs that are kept in mind, the latest: more are late only where a fabric as a whole is away."""


class Reminders:
    """The latest move of each such VM, and the thread that tells of them, which holds no process back from ending."""

    def __init__(self, remind: Callable[[Move], bool]) -> None:
        """``remind``: tells whoever has not confirmed, and returns whether nobody has to be told any more."""
        self._remind = remind
        self._moves: dict[VmId, Move] = {}
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    def add(self, move: Move) -> None:
        """Tell of a move until all have confirmed it, in place of what was told of its VM before."""
        with self._lock:
            self._moves.pop(move.vm_id, None)
            self._moves[move.vm_id] = move
            if len(self._moves) > MOST:
                del self._moves[next(iter(self._moves))]
            if self._thread is None and not self._closed.is_set():
                self._thread = threading.Thread(target=self._run, name="fabric reminders", daemon=True)
                self._thread.start()

    def drop(self, vm_id: VmId) -> None:
        """Tell nobody any more where a VM has gone before."""
        with self._lock:
            self._moves.pop(vm_id, None)

    def __len__(self) -> int:
        """Return of how many VMs somebody is still told."""
        with self._lock:
            return len(self._moves)

    def _run(self) -> None:
        while not self._closed.wait(AGAIN_S):
            with self._lock:
                moves = list(self._moves.values())
            for move in moves:
                if self._closed.is_set() or not self._is_over(move):
                    continue
                with self._lock:
                    if self._moves.get(move.vm_id) == move:
                        del self._moves[move.vm_id]
            with self._lock:
                if not self._moves:
                    self._thread = None
                    return

    def _is_over(self, move: Move) -> bool:
        with suppress(DriverError):
            return self._remind(move)
        return False

    def close(self) -> None:
        """Tell nobody any more."""
        self._closed.set()
