"""Requests' files, looked at again and again: what is to be decided about those that have changed."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path

from slacktide.executors.triggers import requests_told
from slacktide.executors.triggers.request_files import Look, look, read_files, settled
from slacktide.executors.triggers.settings import Requests
from slacktide.executors.triggers.trigger import Change, Trigger

Decision = Callable[[Sequence[Trigger]], list[Change]]


class RequestWatch:
    """Looks at files every so many seconds."""

    def __init__(self, terms: Requests, every_s: float) -> None:
        self._terms, self._every_s = terms, every_s
        self._looked: Look | None = None
        self._moment: datetime | None = None
        self._taken: Mapping[Path, str] | None = None
        """What was decided on last; null: some of it was not clear yet."""

    @property
    def away(self) -> tuple[Path, ...]:
        """Places that were not there at the last look."""
        return () if self._looked is None else self._looked.away

    def decisions(self, now: datetime) -> list[Decision]:
        """Look if it is time, and return what is to be decided, one after the other."""
        if self._moment is not None and 0 <= (now - self._moment).total_seconds() < self._every_s:
            return []
        self._moment = now
        before, self._looked = self._looked, look(self._terms.paths)
        if before is None or before.places != self._looked.places:
            return []
        same = settled(before, self._looked)
        is_quiet = before.digests == self._looked.digests
        if is_quiet and same == self._taken:
            return []
        self._taken = same if is_quiet else None
        return self._changed(same, before, self._looked, now)

    def _changed(self, same: Mapping[Path, str], before: Look, after: Look, now: datetime) -> list[Decision]:
        found, terms = read_files(same), self._terms
        told: list[Decision] = [
            partial(requests_told.seen, request=request, source=str(file), terms=terms, now=now)
            for file, request in (*found.requests.items(), *found.copies)
        ]
        told += [
            partial(requests_told.refused, source=str(file), digest=digest, why=why, now=now)
            for file, (digest, why) in found.wrong.items()
        ]
        unclear = {str(file) for file in (*before.digests, *after.digests) if file not in found.requests}
        present = unclear | {request.id for request in found.requests.values()}
        places = [str(place) for place in after.places]
        return [*told, partial(requests_told.gone, present=present, looked_into=places)]
