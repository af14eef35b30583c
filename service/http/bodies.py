"""Bodies of requests: read up to a limit; parts of uploads written to files of ours as they arrive."""

import hashlib
import re
import secrets
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from anyio.to_thread import run_sync
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request
from starlette.types import Message

from slacktide.errors import OutputError
from slacktide.service.http.problems import ApiError

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

MOST_PARTS: Final = 64
MOST_HEADER_BYTES: Final = 8192
_REMEDY: Final = "Send multipart/form-data with one part for each table: curl -F hosts=@hosts.parquet ..."
_NAME: Final = re.compile(r"[a-z]{1,20}")


async def with_body(request: Request, most: int) -> tuple[Request, bytes]:
    """Return a request whose body has been read, and the body.

    Raises
    ------
    ApiError
        413, if it is longer than ``most`` bytes.
    """
    _check_length(request, most)
    body = bytearray()
    try:
        async for piece in request.stream():
            body += piece
            if len(body) > most:
                raise too_large(most)
    except ClientDisconnect as error:
        raise _broken_off() from error
    content = bytes(body)

    async def receive() -> Message:
        return {"type": "http.request", "body": content, "more_body": False}

    return Request(request.scope, receive), content


def too_large(most: int) -> ApiError:
    """Return the error of a body that is too long."""
    fact = f"is longer than {most:,} bytes"
    return ApiError(413, "too-large", "body", fact, "Send less; whoever runs the server can allow more")


def _broken_off() -> ApiError:
    return ApiError(400, "broken-off", "body", "broke off", "Send it again")


@asynccontextmanager
async def received_parts(
    request: Request, folder: Path, names: Mapping[str, str], most: int
) -> AsyncIterator[tuple[Path, str]]:
    """Have the parts of an upload as files, in a new folder that is gone after the block.

    Parameters
    ----------
    names
        Parts that are taken, each once and all needed, and what their files are called here; what a client calls its
        files does not count.
    most
        Bytes of the whole body.

    Yields
    ------
    The folder, and a digest of what is in it.

    Raises
    ------
    ApiError
        415 or 400, if it is no such upload; 413, if it is too long; 422, if a part is missing or of another name.
    """
    _check_length(request, most)
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    boundary = options.get(b"boundary", b"")
    if kind != b"multipart/form-data" or not 0 < len(boundary) <= 200:
        raise ApiError(415, "not-multipart", "body", "is no multipart/form-data with a boundary", _REMEDY)
    place = folder / secrets.token_hex(8)
    await run_sync(lambda: place.mkdir(mode=0o700))
    parts = _Parts(place, names)
    try:
        await _fed(request, MultipartParser(boundary, parts.callbacks(), max_size=most + 1), most)
        yield place, parts.finished()
    except FormParserError as error:
        raise ApiError(400, "not-multipart", "body", f"cannot be read: {error}", _REMEDY) from error
    except ClientDisconnect as error:
        raise _broken_off() from error
    except OSError as error:
        fact = f"cannot be written: {error.strerror or error}"
        raise OutputError("upload", fact, "Send it again once whoever runs the server has made room") from error
    finally:
        with suppress(OSError):  # what is left to be written does not fit either
            parts.close()
        shutil.rmtree(place, ignore_errors=True)  # here: of a call that is broken off nothing more is awaited


async def _fed(request: Request, parser: MultipartParser, most: int) -> None:
    received = 0
    async for piece in request.stream():
        received += len(piece)
        if received > most:
            raise too_large(most)
        if piece:
            await run_sync(parser.write, piece)
    parser.finalize()


def _check_length(request: Request, most: int) -> None:
    """Refuse at once what says that it is too long."""
    length = request.headers.get("content-length", "0")
    if not length.isdecimal() or len(length) > 18:
        raise ApiError(400, "bad-length", "Content-Length", "is no number of bytes", "Leave it to the client's library")
    if int(length) > most:
        raise too_large(most)


class _Parts:
    """Writes parts to files as a parser comes to them."""

    def __init__(self, place: Path, names: Mapping[str, str]) -> None:
        self._place, self._names = place, names
        self._field, self._value = bytearray(), bytearray()
        self._headers: dict[bytes, bytes] = {}
        self._file: BinaryIO | None = None
        self._digests: dict[str, hashlib._Hash] = {}
        self._now = ""
        self._ended = False

    def callbacks(self) -> "MultipartCallbacks":
        """Return what the parser calls."""
        return {
            "on_part_begin": self._begin,
            "on_header_field": lambda data, start, end: self._more(self._field, data[start:end]),
            "on_header_value": lambda data, start, end: self._more(self._value, data[start:end]),
            "on_header_end": self._header,
            "on_headers_finished": self._open,
            "on_part_data": self._write,
            "on_part_end": self.close,
            "on_end": self._end,
        }

    def finished(self) -> str:
        """Return a digest of all parts, once every one is there."""
        if not self._ended:
            raise ApiError(400, "not-multipart", "body", "ends before its closing boundary", "Send it again, whole")
        if missing := sorted(self._names.keys() - self._digests.keys()):
            what, fact = ("part", "is missing") if len(missing) == 1 else ("parts", "are missing")
            raise ApiError(422, "part-missing", f"{what} {', '.join(missing)}", fact, _REMEDY)
        state = hashlib.sha256()
        for name in sorted(self._digests):
            state.update(f"{name} {self._digests[name].hexdigest()}\n".encode())
        return state.hexdigest()

    def close(self) -> None:
        """Close the file of the part that is under way."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _begin(self) -> None:
        self._headers.clear()
        if len(self._digests) >= MOST_PARTS:
            raise ApiError(422, "part-unexpected", "body", f"has more than {MOST_PARTS} parts", _REMEDY)

    def _more(self, text: bytearray, piece: bytes) -> None:
        text += piece
        if len(self._field) + len(self._value) > MOST_HEADER_BYTES:
            raise ApiError(400, "not-multipart", "body", "has a header that is too long", _REMEDY)

    def _header(self) -> None:
        self._headers[bytes(self._field).lower()] = bytes(self._value)
        self._field.clear()
        self._value.clear()

    def _open(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        name = options.get(b"name", b"").decode("utf-8", "replace")
        if not _NAME.fullmatch(name) or name not in self._names:
            fact = f"is none of {', '.join(sorted(self._names))}"
            raise ApiError(422, "part-unexpected", f"part {name[:40]!r}", fact, _REMEDY)
        if name in self._digests:
            raise ApiError(422, "part-unexpected", f"part {name}", "is there twice", "Send each table once")
        self._now, self._digests[name] = name, hashlib.sha256()
        self._file = (self._place / self._names[name]).open("xb")

    def _write(self, data: bytes, start: int, end: int) -> None:
        assert self._file is not None
        piece = data[start:end]
        self._digests[self._now].update(piece)
        self._file.write(piece)

    def _end(self) -> None:
        self._ended = True
