"""Calls to a server: tried again where that helps, waited for while it is away, its refusals as our errors."""

import json
import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from math import inf
from pathlib import Path
from secrets import token_hex
from types import TracebackType
from typing import Any, BinaryIO, Final, NamedTuple

import httpx

from slacktide import __version__
from slacktide.errors import ExecutionError, OutputError, SlacktideError, StoreError, UsageError
from slacktide.executors.store.patience import Patience
from slacktide.service.client.access import Access
from slacktide.service.client.answers import Answer, lines, pieces, read, strange, told_rows, told_whole
from slacktide.service.client.refusals import refusal_of
from slacktide.service.console import tell

KEY_HEADER: Final = "Idempotency-Key"
FIRST_S: Final = 10.0
"""How long a server is tried that has not answered yet: a name or a port that is wrong shows soon."""
ANSWER_S: Final = 60.0
"""How long an answer may take, between two pieces of it."""
UPLOAD_S: Final = 900.0
"""The same for an upload, which is read and checked before it is answered."""
CONNECT_S: Final = 10.0
PAGE_ROWS: Final = 1000
MOST_PAUSE_S: Final = 60.0
"""The longest that a server may have one wait before asking again; it is asked then all the same."""
GLANCE_S: Final = 0.5
"""How often it is looked, while the server is waited for, whether somebody has pressed Ctrl-C."""
SAID_S: Final = 5.0
"""From which on a wait that the server asks for is told."""
_AWAY: Final = (502, 503, 504)
"""Statuses of a proxy whose server is away, or of a server whose store is."""
PROXY_WORDS: Final = "/-/routes"
"""Where Ray Serve's proxy sends who asks for something that nobody serves."""
RESTART_S: Final = 60.0
"""How long a proxy's plain 500 is waited out: a process that has ended is begun again, one that fails goes on so."""
UNKNOWN_HOST: Final = ("Name or service not known", "nodename nor servname", "No address associated")


class Part(NamedTuple):
    """A file of an upload."""

    name: str
    file: Path


class Api:
    """A server's API; to be closed, or used as a context."""

    def __init__(self, access: Access, wait_s: float | None = None) -> None:
        headers = {"User-Agent": f"slacktide/{__version__}", "Accept-Encoding": "gzip"}
        if access.token is not None:
            headers["Authorization"] = f"Bearer {access.token}"
        self.url = access.url
        self._wait_s = wait_s
        self._answered = False
        self._between_tries: Callable[[], None] = lambda: None
        self._http = httpx.Client(
            base_url=access.url,
            headers=headers,
            timeout=httpx.Timeout(ANSWER_S, connect=CONNECT_S),
            verify=access.trusted(),
            trust_env=not access.is_local,  # nor is a proxy asked for what is on this machine
        )

    def __enter__(self) -> "Api":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close connections."""
        self._http.close()

    def get(self, path: str, **query: str | int | float | None) -> Any:  # noqa: ANN401  (JSON)
        """Return the JSON of something that is read.

        Raises
        ------
        SlacktideError
            As the server refuses it, or because it does not answer.
        """
        return self._patiently(lambda: self._json("GET", path, params=_given(query)))

    def find(self, path: str) -> Any:  # noqa: ANN401  (JSON)
        """Return the JSON of an object, None: it is not there; errors as :meth:`get`."""
        return self._patiently(lambda: self._json("GET", path, may_be_absent=True))

    def items(self, path: str, **query: str | int | float | None) -> Iterator[dict[str, Any]]:
        """Yield the rows of a list, page after page; errors as :meth:`get`."""
        cursor, sent = None, set[str]()
        while True:
            rows, cursor = told_rows(self.get(path, **{**query, "limit": PAGE_ROWS, "cursor": cursor}), self.url)
            yield from rows
            if cursor is None:
                return
            if cursor in sent:
                raise strange(self.url, "has a list go on where it was before")
            sent.add(cursor)

    def post(self, path: str, body: object = None) -> Any:  # noqa: ANN401  (JSON)
        """Return the JSON of what is asked for, which is done once, however often the call has to be repeated.

        Raises
        ------
        SlacktideError
            As :meth:`get`.
        """
        headers = {KEY_HEADER: token_hex(16)}
        return self._patiently(lambda: self._json("POST", path, json=body, headers=headers))

    def post_or_find(self, path: str, body: object) -> Any:  # noqa: ANN401  (JSON)
        """Return the JSON of what is created, or of what is there already in its place; errors as :meth:`get`."""
        headers = {KEY_HEADER: token_hex(16)}

        def made() -> Any:  # noqa: ANN401  (JSON)
            answer = self._answer("POST", path, json=body, headers=headers)
            there = answer.headers.get("Location")
            if answer.status == 409 and there is not None and there.startswith("/v1/"):
                return self._json("GET", there)
            return _content(answer, self.url)

        return self._patiently(made)

    def is_ready(self, path: str) -> bool:
        """Return whether there is something to read; False: not yet.  Errors as :meth:`get`."""

        def looked() -> bool:
            with self._http.stream("GET", path) as answer:
                if answer.is_success or answer.status_code == 409:
                    return answer.is_success
                raise _refused(read(answer, self.url), self.url)

        return bool(self._patiently(looked))

    def upload(self, path: str, parts: list[Part]) -> Any:  # noqa: ANN401  (JSON)
        """Return the JSON of the answer to an upload of files, which are read as they are sent; errors as :meth:`get`.

        Raises
        ------
        OutputError
            If a file cannot be read.
        """
        headers = {KEY_HEADER: token_hex(16)}
        timeout = httpx.Timeout(UPLOAD_S, connect=CONNECT_S)

        def sent() -> Any:  # noqa: ANN401  (JSON)
            with _opened(parts) as files:
                return self._json("POST", path, files=files, headers=headers, timeout=timeout)

        return self._patiently(sent)

    def fetch(self, path: str, file: Path, **query: str | int | None) -> None:
        """Write what is at ``path`` to a file of ours, piece by piece; errors as :meth:`get`, and OutputError."""

        def fetched() -> None:
            with self._http.stream("GET", path, params=_given(query)) as answer:
                if answer.status_code != 200:
                    raise _refused(read(answer, self.url), self.url)
                try:
                    with file.open("wb") as output:
                        for piece in pieces(answer, self.url):
                            output.write(piece)
                except OSError as error:
                    fact = f"cannot be written: {error.strerror or error}"
                    raise OutputError(str(file), fact, "Free some space") from error

        self._patiently(fetched)

    @contextmanager
    def lines(self, path: str, last: str | None = None) -> Iterator[Iterator[str]]:
        """Have the lines of a stream as they come, after the event ``last``; the server is not waited for here.

        Raises
        ------
        StoreError
            If it does not answer, or breaks off: to be tried again.
        SlacktideError
            As the server refuses it.
        """
        headers = {"Accept": "text/event-stream"} | ({} if last is None else {"Last-Event-ID": last})
        try:
            with self._http.stream("GET", path, headers=headers) as answer:
                if answer.status_code != 200:
                    raise self._not_streamed(read(answer, self.url))
                self._answered = True
                yield lines(answer, self.url)
        except httpx.TransportError as error:
            raise self._away(error) from error

    def _not_streamed(self, answer: Answer) -> Exception:
        refused = _refused(answer, self.url)
        if isinstance(refused, _AskLaterError):
            return StoreError(self.url, "has as many streams as it may", "Wait, or close others", retryable=True)
        return refused

    @contextmanager
    def stopped_by(self, let_through: Callable[[], None]) -> Iterator[None]:
        """Have a Ctrl-C that is held back in the block be let through between two tries of a call, not during one."""
        self._between_tries = let_through
        try:
            yield
        finally:
            self._between_tries = lambda: None

    def patience(self) -> Patience:
        """Return how long the server is waited for from now on."""
        if self._wait_s is not None:
            return Patience(self._wait_s)
        return Patience(inf if self._answered else FIRST_S)

    def _json(self, method: str, path: str, *, may_be_absent: bool = False, **how: Any) -> Any:  # noqa: ANN401  (JSON)
        answer = self._answer(method, path, **how)
        if may_be_absent and answer.status == 404 and _is_of_ours(_json_of(answer)):
            return None
        return _content(answer, self.url)

    def _answer(self, method: str, path: str, **how: Any) -> Answer:  # noqa: ANN401  (of httpx)
        with self._http.stream(method, path, **how) as answer:
            return read(answer, self.url)

    def _patiently(self, call: Callable[[], Any]) -> Any:  # noqa: ANN401  (JSON)
        """Return what a call returns, made again while the server is away, busy, or asks to wait."""
        patience, asked_s, failed_s = self.patience(), time.monotonic(), inf
        while True:
            try:
                found = call()
            except httpx.TransportError as error:
                self._bear(patience, self._away(error))
            except _AskLaterError as later:
                self._answered = True
                if self._wait_s is not None and time.monotonic() + later.wait_s > asked_s + self._wait_s:
                    fact = f"asks to wait {later.wait_s:.0f} s more, longer than it is to be waited for"
                    raise StoreError(self.url, fact, "Wait longer, or ask less often", retryable=True) from later
                if later.wait_s >= SAID_S:
                    tell(f"the server asks to wait {later.wait_s:.0f} s")
                self._rest(later.wait_s)
            except StoreError as error:
                failed_s = min(failed_s, time.monotonic()) if isinstance(error, _FailedError) else inf
                if time.monotonic() - failed_s > RESTART_S:
                    fact = "goes on to answer 500 in plain text, as a server does that fails over what is asked"
                    raise ExecutionError(self.url, fact, "See the server's log") from error
                self._bear(patience, error)
            else:
                self._answered = True
                if patience.waits_for is not None:
                    tell("the server answers")
                return found

    def _rest(self, wait_s: float) -> None:
        end_s = time.monotonic() + wait_s
        while (left_s := end_s - time.monotonic()) > 0:
            self._between_tries()
            time.sleep(min(left_s, GLANCE_S))

    def _bear(self, patience: Patience, error: StoreError) -> None:
        is_first = patience.waits_for is None
        if any(words in error.fact for words in UNKNOWN_HOST) and not self._answered:
            raise error
        patience.bear(error)
        if is_first:
            tell(f"the server is waited for: {error}")
        self._between_tries()
        patience.rest(inf)
        self._between_tries()

    def _away(self, error: httpx.TransportError) -> StoreError:
        return away(self.url, error)


class _AskLaterError(Exception):
    """The server asks to be asked again later."""

    def __init__(self, wait_s: float) -> None:
        super().__init__(wait_s)
        self.wait_s = wait_s


class _FailedError(StoreError):
    """A proxy has no answer: the process that was to give it has ended, or failed."""


def away(url: str, error: httpx.TransportError) -> StoreError:
    """Return the error of a server that does not answer.

    Raises
    ------
    UsageError
        If it answers in a way that no waiting mends: its certificate is not trusted, or it speaks no TLS.
    """
    said = str(error) or type(error).__name__
    if "CERTIFICATE_VERIFY_FAILED" in said:
        reason = said.partition("CERTIFICATE_VERIFY_FAILED] ")[2].partition(" (_ssl")[0] or said
        remedy = "Give the certificates that signed it: --ca-file, or SLACKTIDE_CA_FILE"
        raise UsageError(url, f"is not trusted: {reason}", remedy) from error
    if isinstance(error, httpx.UnsupportedProtocol | httpx.LocalProtocolError) or "SSL:" in said:
        raise UsageError(url, f"cannot be spoken to: {said}", "See that address and port are the server's") from error
    remedy = "See that the server runs and can be reached"
    if isinstance(error, httpx.RemoteProtocolError) and url.startswith("http://"):
        remedy += f"; one that has a certificate is asked so: https://{url.removeprefix('http://')}"
    return StoreError(url, f"does not answer: {said.rstrip('.')}", remedy, retryable=True)


def _content(answer: Answer, url: str) -> Any:  # noqa: ANN401  (JSON)
    if not answer.is_success:
        raise _refused(answer, url)
    return told_whole(answer, url)


def _refused(answer: Answer, url: str) -> Exception:
    content = _json_of(answer)
    kind = str(content.get("type", "")) if isinstance(content, dict) else ""
    is_of_ours = _is_of_ours(content)
    if answer.status == 429 or kind.endswith(("key-under-way", "streams", "exports")):
        return _AskLaterError(_pause_s(answer.headers.get("Retry-After")))
    if not is_of_ours and answer.status in _AWAY:
        fact = f"does not answer: {answer.status} of what stands before it"
        return StoreError(url, fact, "See that the server runs", retryable=True)
    if not is_of_ours and _is_of_proxy(answer):
        fact = f"does not answer: Ray Serve is there ({answer.status}), and Slacktide is not, or not yet"
        error = _FailedError if answer.status == 500 else StoreError
        return error(url, fact, "See that the server runs", retryable=True)
    return refusal_of(answer.status, content, url, may_pass="Retry-After" in answer.headers)


def _is_of_proxy(answer: Answer) -> bool:
    """Return whether Ray Serve's proxy says, in its own words, that there is nobody to answer."""
    if not answer.headers.get("Content-Type", "").startswith("text/plain"):
        return False
    return answer.status == 500 or (answer.status == 404 and PROXY_WORDS.encode() in answer.content)


def _json_of(answer: Answer) -> object:
    try:
        return json.loads(answer.content)
    except (ValueError, RecursionError):
        return None


def _is_of_ours(content: object) -> bool:
    return isinstance(content, dict) and {"object", "fact", "remedy"} <= content.keys()


def _pause_s(header: str | None) -> float:
    """Return how long to wait, and somewhat more: several clients do not come back at once."""
    wait_s = float(header) if header is not None and header.isdecimal() else 1.0
    return min(MOST_PAUSE_S, wait_s) + random.random()


def _given(query: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in query.items() if value is not None}


@contextmanager
def _opened(parts: list[Part]) -> Iterator[dict[str, tuple[str, BinaryIO, str]]]:
    files: dict[str, tuple[str, BinaryIO, str]] = {}
    try:
        for part in parts:
            files[part.name] = (part.file.name, part.file.open("rb"), "application/octet-stream")
        yield files
    except OSError as error:
        if isinstance(error, SlacktideError):
            raise
        fact = f"cannot be read: {error.strerror or error}"
        raise ExecutionError(str(error.filename or parts[0].file.parent), fact, "See to its permissions") from error
    finally:
        for _, file, _ in files.values():
            file.close()
