"""What is taken of an answer: so many bytes, within a time, and the JSON that Slacktide answers with."""

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple, SupportsIndex

import httpx

from slacktide.errors import ExecutionError, StoreError

MOST_BYTES: Final = 64 * 2**20
"""Of an answer that is kept in memory, unpacked; a page of 1,000 rows has less than one.  Files are as long as they
are: they are written as they come."""
WHOLE_S: Final = 120.0
"""How long such an answer may take from its first piece on; what trickles is not waited for."""
REMEDY: Final = "See that the address is that of Slacktide's API, and of no other service"


class Answer(NamedTuple):
    """An answer that has been read."""

    status: int
    headers: httpx.Headers
    content: bytes

    @property
    def is_success(self) -> bool:
        """Whether what was asked for is done."""
        return 200 <= self.status < 300


def read(answer: httpx.Response, url: str) -> Answer:
    """Return an answer of the server at ``url``, read as a whole.

    Raises
    ------
    ExecutionError
        If it is longer than any answer of Slacktide's.
    StoreError
        If it does not end in time.
    """
    content, begun_s = bytearray(), time.monotonic()
    for piece in pieces(answer, url):
        content += piece
        if len(content) > MOST_BYTES:
            raise strange(url, f"answers {answer.status_code} with more than {MOST_BYTES // 2**20} MiB")
        if time.monotonic() - begun_s > WHOLE_S:
            fact = f"does not answer: {len(content):,} bytes have come within {WHOLE_S:.0f} s, and not the rest"
            raise StoreError(url, fact, "See that the server runs and can be reached", retryable=True)
    return Answer(answer.status_code, answer.headers, bytes(content))


def pieces(answer: httpx.Response, url: str) -> Iterator[bytes]:
    """Yield an answer piece by piece, as it is once it is unpacked.

    Raises
    ------
    ExecutionError
        If it cannot be unpacked.
    """
    try:
        yield from answer.iter_bytes()
    except httpx.DecodingError:
        raise strange(url, f"answers {answer.status_code} with what cannot be unpacked") from None


def lines(answer: httpx.Response, url: str) -> Iterator[str]:
    """Yield the lines of a stream as they come.

    Raises
    ------
    ExecutionError
        If one is longer than any answer of Slacktide's.
    """
    begun = bytearray()
    for piece in pieces(answer, url):
        *ended, rest = piece.split(b"\n")
        for line in ended:
            yield (begun + line).removesuffix(b"\r").decode(errors="replace")
            begun.clear()
        begun += rest
        if len(begun) > MOST_BYTES:
            raise strange(url, f"sends a line of more than {MOST_BYTES // 2**20} MiB")


def told(content: str | bytes, url: str, status: int = 200) -> Any:  # noqa: ANN401  (JSON)
    """Return the JSON that a server has told; a field that is looked for in it has to be there.

    Raises
    ------
    ExecutionError
        If it is none, now, or where a field is read that an object lacks.
    """
    try:
        found = json.loads(content, object_hook=lambda fields: _Told(fields, url))
    except (ValueError, RecursionError):
        raise strange(url, f"answers {status}") from None
    return _ToldList(found, url) if isinstance(found, list) else found


def told_whole(answer: Answer, url: str) -> Any:  # noqa: ANN401  (JSON)
    """Return the object or the list that is answered; errors as :func:`told`, and if it is neither."""
    found = told(answer.content, url, answer.status)
    if not isinstance(found, _Told | _ToldList):
        raise strange(url, f"answers {answer.status}")
    return found


def told_rows(page: dict[str, Any], url: str) -> tuple[list[dict[str, Any]], str | None]:
    """Return the rows of a page and where the next begins; errors as :func:`told`."""
    rows, cursor = page["items"], page["next"]
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise strange(url, "answers with what is no page of a list")
    if cursor is not None and not isinstance(cursor, str):
        raise strange(url, "answers with what is no page of a list")
    return rows, cursor


def strange(url: str, fact: str) -> ExecutionError:
    """Return the error of a server that does what Slacktide's does not."""
    return ExecutionError(url, f"{fact}, and not as Slacktide does", REMEDY)


class _Told(dict[str, Any]):
    """An object of a server's; a field that it lacks is the server's mistake.  Copies are made without an address."""

    __slots__ = ("_url",)

    def __init__(self, fields: Mapping[str, Any] | Iterable[tuple[str, Any]] = (), url: str = "server") -> None:
        super().__init__(fields)
        self._url = url

    def __missing__(self, name: str) -> Any:  # noqa: ANN401  (JSON)
        raise strange(self._url, f"answers without the field {name}")


class _ToldList(list[Any]):
    """A list of a server's; that it is no object is found where a field is looked for."""

    __slots__ = ("_url",)

    def __init__(self, items: Iterable[Any] = (), url: str = "server") -> None:
        super().__init__(items)
        self._url = url

    def __getitem__(self, place: SupportsIndex | slice | str) -> Any:  # noqa: ANN401  (JSON)
        if isinstance(place, str):
            raise strange(self._url, f"answers with a list, without the field {place}")
        return super().__getitem__(place)
