"""A real server of HTTP on loopback that answers as a test tells it, and keeps what it was asked."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType
from typing import Any, NamedTuple


class Asked(NamedTuple):
    """One request."""

    method: str
    path: str
    headers: dict[str, str]
    body: str


class Answer(NamedTuple):
    """What is answered to it."""

    code: int = 200
    body: Any = ""
    headers: Mapping[str, str] = MappingProxyType({})


@dataclass
class PatchServer:
    """Answers by ``answer``, which may take its time."""

    answer: Callable[[Asked], Answer]
    asked: list[Asked] = field(default_factory=list)
    port: int = 0
    at_once: int = 0
    """Calls that change something and go on now."""
    most_at_once: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def calls(self) -> list[Asked]:
        """Return the requests that change something."""
        return [asked for asked in self.asked if asked.method != "GET"]

    def handle(self, asked: Asked) -> Answer:
        changes = asked.method != "GET"
        with self.lock:
            self.asked.append(asked)
            self.at_once += changes
            self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            return self.answer(asked)
        finally:
            with self.lock:
                self.at_once -= changes


@contextmanager
def patch_server(answer: Callable[[Asked], Answer]) -> Iterator[PatchServer]:
    """Have a server for the time of a block."""
    server = PatchServer(answer)

    class Handler(BaseHTTPRequestHandler):
        def _handle(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
            answer = server.handle(Asked(self.command, self.path, dict(self.headers), body))
            body = answer.body if isinstance(answer.body, str | bytes) else json.dumps(answer.body)
            content = body if isinstance(body, bytes) else body.encode()
            try:
                self.send_response(answer.code)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)
            except OSError:
                pass  # who asked has gone

        do_GET = do_POST = do_PUT = _handle  # noqa: N815  (names of the standard library)

        def log_message(self, *_: object) -> None:
            pass

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    listening.daemon_threads = True
    server.port = listening.server_address[1]
    thread = threading.Thread(target=listening.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        listening.shutdown()
        listening.server_close()
        thread.join()
