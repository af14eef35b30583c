"""A server's event streams, followed until they end, from server to server."""

import time
from collections.abc import Iterator
from math import inf
from typing import Any, Final

from slacktide.errors import StoreError
from slacktide.service.client.answers import MOST_BYTES, strange, told
from slacktide.service.client.api import Api
from slacktide.service.client.refusals import refusal_of
from slacktide.service.console import tell

AGAIN_S: Final = 1.0
"""Before a stream that was cut off is opened again."""
STEADY_S: Final = 30.0
"""A stream that was open for so long, even if nothing happened, does not go on with the outage before it."""


def followed(api: Api, path: str) -> Iterator[tuple[str, Any]]:
    """Yield the events of a stream, kind and JSON, until the event ``end``; one that breaks off is opened anew.

    It then goes on after the last ``id`` that was heard.  The event ``problem`` is why it cannot be read on.

    Raises
    ------
    SlacktideError
        As the server refuses it, or once it was away for too long.
    """
    patience, heard = api.patience(), _Heard()
    while True:
        opened_s = inf
        try:
            with api.lines(path, heard.last) as lines:
                opened_s = time.monotonic()
                for kind, data in heard.events(lines, api.url):
                    if kind == "problem":
                        raise refusal_of(_status(data), data, api.url)
                    if patience.waits_for is not None:
                        tell("the server answers")
                    patience = api.patience()
                    if kind == "end":
                        return
                    yield kind, data
        except StoreError as error:
            if time.monotonic() - opened_s > STEADY_S:
                patience = api.patience()
            is_first = patience.waits_for is None
            patience.bear(error)
            if is_first:
                tell(f"the server is waited for: {error}")
            patience.rest(inf)
        else:
            time.sleep(AGAIN_S)


def _status(problem: object) -> int:
    found = problem.get("status") if isinstance(problem, dict) else None
    return found if isinstance(found, int) else 500


class _Heard:
    """What a stream has said."""

    def __init__(self) -> None:
        self.last: str | None = None
        """The last ``id``."""

    def events(self, lines: Iterator[str], url: str) -> Iterator[tuple[str, Any]]:
        """Yield the kind and the data of each event; comments are left out."""
        kind, data, number, size = "message", list[str](), self.last, 0
        for line in lines:
            name, _, value = line.partition(":")
            if not line:
                self.last = number
                if data:
                    yield kind, told("\n".join(data), url)
                kind, data, size = "message", [], 0
            elif name == "event":
                kind = value.strip()
            elif name == "data":
                data.append(value.removeprefix(" "))
                size += len(value)
                if size > MOST_BYTES:
                    raise strange(url, f"sends an event of more than {MOST_BYTES // 2**20} MiB")
            elif name == "id":
                number = value.strip()
