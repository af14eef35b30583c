"""The server that the page is looked at from: real HTTP, real campaigns in processes of their own, without Ray."""

import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

import httpx
import uvicorn
from http_server import FAST, parts_of

from slacktide.service.http.app import make_app
from slacktide.service.http.problems import ApiError, problem_of, response_of
from slacktide.service.http.server import Server, make_server
from slacktide.service.http.settings import ServerSettings
from slacktide.service.jobs.carrying import carry_out
from slacktide.service.store.tokens import ROLES, Role, create_token

PATIENCE_S: Final = 240.0
"""For a machine that others use as well."""


def wait_for(done: Callable[[], Any], what: str = "it", within_s: float = PATIENCE_S) -> Any:
    """Return what ``done`` returns once that is true."""
    end = time.monotonic() + within_s
    while not (found := done()):
        assert time.monotonic() < end, f"{what} has not come"
        time.sleep(0.1)
    return found


class _Proxy(BaseHTTPRequestHandler):
    """Answers as Ray Serve's proxy does while no application is behind it."""

    status = 404

    def do_GET(self) -> None:
        content, headers = self.said()
        self.send_response(self.status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def said(self) -> tuple[bytes, Mapping[str, str]]:
        """Return what is answered, and its headers."""
        content = f"Path '{self.path}' not found. Ping http://.../-/routes for available routes.".encode()
        return content, {"Content-Type": "text/plain", "Content-Length": str(len(content))}

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class _Front(_Proxy):
    """Answers in the API's own words, as what stands before the application does in place of that."""

    status = 503

    def said(self) -> tuple[bytes, Mapping[str, str]]:
        """Return the problem that the server is away."""
        remedy = "Ask again in some seconds, under the same key"
        error = ApiError(503, "away", "the server", "is starting", remedy, {"Retry-After": "1"})
        response = response_of(*problem_of(error, "0" * 16))
        return bytes(response.body), response.headers


class PageServer:
    """A server that can end and come back with the same data at the same address; jobs are threads of it."""

    def __init__(self, folder: Path) -> None:
        with closing(socket.socket()) as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._settings = ServerSettings(data=folder / "data", port=self.port, anonymous="viewer", rates=FAST)
        self._jobs: list[threading.Thread] = []
        self.begin()
        self.tokens: dict[Role, str] = {
            role: create_token(self._server.database, f"the {role}", role, "the test")[1] for role in ROLES
        }
        self.api = httpx.Client(
            base_url=self.url, timeout=120, headers={"Authorization": f"Bearer {self.tokens['operator']}"}
        )

    def begin(self) -> None:
        """Start to serve."""
        self._server: Server = make_server(self._settings, self)
        app = make_app(lambda: self._server)
        config = uvicorn.Config(app, "127.0.0.1", self.port, log_level="critical", timeout_graceful_shutdown=1)
        self._web = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._web.run, daemon=True)
        self._thread.start()
        wait_for(lambda: self._web.started, "the server")

    def end(self) -> None:
        """End as an operator ends it: streams are cut off."""
        self._web.should_exit = True
        self._thread.join(PATIENCE_S)
        for job in self._jobs:
            job.join(PATIENCE_S)

    @contextmanager
    def behind_a_proxy(self, status: int) -> Iterator[None]:
        """Be away while the block lasts, with a proxy in its place: 404 in words of its own, or 503 in the API's."""
        self.end()
        try:
            handler = next(each for each in (_Proxy, _Front) if each.status == status)
            with ThreadingHTTPServer(("127.0.0.1", self.port), handler) as proxy:
                serving = threading.Thread(target=proxy.serve_forever, args=(0.1,))
                serving.start()
                try:
                    yield
                finally:
                    proxy.shutdown()
                    serving.join()
        finally:
            self.begin()

    @contextmanager
    def without_streams(self) -> Iterator[None]:
        """Have no room for another stream while the block lasts."""
        taken = []
        while self._server.streams.take(f"other {len(taken)}") is None:
            taken.append(f"other {len(taken)}")
        try:
            yield
        finally:
            for other in taken:
                self._server.streams.leave(other)

    def leave(self) -> None:
        """End for good."""
        self.end()
        self.api.close()

    def start(self, job_id: str, name: str) -> None:
        """Carry a job out beside what is asked."""
        server = self._server
        given = job_id, server.places, server.database, server.campaigning
        self._jobs.append(threading.Thread(target=carry_out, args=given, name=name, daemon=True))
        self._jobs[-1].start()

    def upload(self, fleet: Path) -> str:
        """Return the id of a fleet that is sent."""
        answer = self.api.post("/v1/fleets", files=parts_of(fleet))
        assert answer.status_code in (200, 201), answer.text
        found: str = answer.json()["fleet_id"]
        return found

    def asked(self, path: str, body: object = None) -> dict[str, Any]:
        """Return what is answered to a change."""
        answer = self.api.post(path, json=body)
        assert answer.status_code < 300, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def got(self, path: str) -> dict[str, Any]:
        """Return what is read."""
        answer = self.api.get(path)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def done(self, job: dict[str, Any]) -> dict[str, Any]:
        """Return the result of a job, once there is one."""
        path = f"/v1/jobs/{job['job_id']}"
        ended = wait_for(lambda: (now := self.got(path))["state"] not in ("queued", "running") and now, path)
        assert ended["state"] == "done", ended
        found: dict[str, Any] = ended["result"]
        return found
