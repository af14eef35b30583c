"""Calls under way: others are told that they are, until what came of them is written."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Final, TypeVar

from anyio import CancelScope

from slacktide.service.store.answers import tell_under_way
from slacktide.service.store.database import Database

TELL_S: Final = 5.0
"""How often a replica gives a sign of the calls that it carries out."""


Part = TypeVar("Part")


async def finished(part: Coroutine[Any, Any, Part]) -> Part:
    """Return what comes of a part of a call whose thread goes on whether or not somebody waits; nothing runs after it.

    A caller who hangs up meanwhile is heard once it has ended.
    """
    task = asyncio.ensure_future(part)
    gone: asyncio.CancelledError | None = None
    with CancelScope(shield=True):
        while not task.done():
            try:
                await asyncio.wait({task})
            except asyncio.CancelledError as error:
                gone = error
    if gone is None:
        return task.result()
    task.exception()  # nobody is left to be told
    raise gone


class CallsUnderWay:
    """What a replica carries out under idempotency keys, and ends of calls that the store has not taken; any thread."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._begun: set[str] = set()
        self._unwritten: dict[str, Callable[[], None]] = {}

    def begin(self, request_id: str) -> None:
        """Have signs given of a call from now on."""
        with self._lock:
            self._begun.add(request_id)

    def leave(self, request_id: str) -> None:
        """Give no more signs of a call that nothing came of: its key is free once its last sign is old."""
        with self._lock:
            self._begun.discard(request_id)

    def end(self, request_id: str, write: Callable[[], None]) -> None:
        """Write what came of a call.

        Whatever it raises, it is tried again at every look until it is written.
        """
        try:
            write()
        except Exception:
            with self._lock:
                self._unwritten[request_id] = write
            raise
        with self._lock:
            self._begun.discard(request_id)
            self._unwritten.pop(request_id, None)

    def look(self) -> None:
        """Give a sign of what is under way, and write what could not be written before.

        Each apart: one that cannot be written keeps neither the signs nor the others from it.  The last error is raised
        in the end.
        """
        with self._lock:
            begun, unwritten = tuple(self._begun), dict(self._unwritten)
        tasks: list[Callable[[], None]] = [partial(self.end, *each) for each in unwritten.items()]
        if begun:
            tasks.insert(0, partial(tell_under_way, self._database, begun))
        failed: Exception | None = None
        for task in tasks:
            try:
                task()
            except Exception as error:
                failed = error
        if failed is not None:
            raise failed
