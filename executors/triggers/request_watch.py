"""Requests' files, looked at again and again: what is to be decided about those that have changed."""

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import NamedTuple

from slacktide.executors.triggers import requests_told
from slacktide.executors.triggers.known import Decision
from slacktide.executors.triggers.request_files import Look, Reading, look, named, settled
from slacktide.executors.triggers.settings import Requests


class _Seen(NamedTuple):
    """Two looks that differ from what was decided on last."""

    same: Mapping[Path, str]
    before: Look
    after: Look

    @property
    def is_quiet(self) -> bool:
        """Whether all is as it was a look before."""
        return self.before.digests == self.after.digests


class RequestWatch:
    """Looks at files every so many seconds."""

    def __init__(self, terms: Requests, every_s: float) -> None:
        self._terms, self._every_s = terms, every_s
        self._reading = Reading()
        self._looked: Look | None = None
        self._moment: datetime | None = None
        self._seen: _Seen | None = None
        """What is being read, or decided on; null: nothing that is new."""
        self._pending: list[Decision] = []
        self._taken: Mapping[Path, str] | None = None
        """What was decided on last; null: some of it was not clear yet."""

    @property
    def away(self) -> tuple[Path, ...]:
        """Places that were not there at the last look."""
        return () if self._looked is None else self._looked.away

    @property
    def is_busy(self) -> bool:
        """Whether there is more to be read or decided on, without another look."""
        return self._seen is not None

    def decisions(self, now: datetime, most: int, is_over: Callable[[], bool] = lambda: False) -> list[Decision]:
        """Look if it is time, read for as long as it is not over, and return what is to be decided once all is read.

        At most ``most`` are returned, and again until :meth:`done` says that they are decided.
        """
        if self._seen is None:
            self._look(now)
        if self._seen is not None and not self._pending and self._reading.read(self._seen.same, is_over):
            self._pending = self._told(self._seen, now)
        return self._pending[:most]

    def done(self, count: int) -> None:
        """Note that the first ``count`` of what was to be decided are."""
        if not count or self._seen is None:
            return
        self._pending = self._pending[count:]
        if not self._pending:
            self._taken = self._seen.same if self._seen.is_quiet else None
            self._seen = None

    def give_up(self) -> None:
        """Begin again with the next look: what was read cannot be decided on."""
        self._seen, self._looked, self._pending = None, None, []

    def _look(self, now: datetime) -> None:
        if self._moment is not None and 0 <= (now - self._moment).total_seconds() < self._every_s:
            return
        self._moment = now
        before, self._looked = self._looked, look(self._terms.paths)
        if before is None or before.places != self._looked.places:
            return
        seen = _Seen(settled(before, self._looked), before, self._looked)
        if not seen.is_quiet or seen.same != self._taken:
            self._seen = seen

    def _told(self, seen: _Seen, now: datetime) -> list[Decision]:
        found, terms = self._reading.found(seen.same), self._terms
        told = [
            Decision(
                partial(requests_told.seen, request=request, source=named(file), terms=terms, now=now),
                (request.id, named(file)),
            )
            for file, request in (*found.requests.items(), *found.copies)
        ]
        told += [
            Decision(
                partial(requests_told.refused, source=named(file), digest=digest, why=why, now=now), (named(file),)
            )
            for file, (digest, why) in found.wrong.items()
        ]
        unclear = {named(file) for file in (*seen.before.digests, *seen.after.digests) if file not in found.requests}
        present = unclear | {request.id for request in found.requests.values()}
        places = [named(place) for place in seen.after.places]
        return [*told, Decision(partial(requests_told.gone, present=present, looked_into=places))]
