"""The webhook that Alertmanager posts alerts to.

A delivery is answered once it is written down: where that fails the answer is 503, and Alertmanager delivers again.
"""

import asyncio
import hmac
import logging
import socket
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Final

from aiohttp import web

from slacktide.errors import ExecutionError, InputError, SlacktideError, UsageError
from slacktide.executors.triggers.alert import Delivery, parse_delivery

ALERTS_PATH: Final = "/api/v1/alerts"
HEALTH_PATH: Final = "/healthy"
MOST_BYTES: Final = 4 * 2**20
"""Of a delivery: thousands of alerts, far more than Alertmanager puts into one by default."""
LET_GO_S: Final = 1.0
END_S: Final = 2.0
"""How long the end waits for each of the two threads: what is not written by then is not answered, and comes again."""
_LOG: Final = logging.getLogger(__name__)

Deliver = Callable[[Delivery], list[dict[str, Any]]]
"""Writes down what a delivery means, and returns what became of each alert; may block."""


class Receiver:
    """Answers until it is closed, in a thread of its own."""

    def __init__(self, address: tuple[str, int], token: str | None, deliver: Deliver) -> None:
        """Begin to listen.

        Raises
        ------
        ExecutionError
            If the address cannot be listened at.
        """
        self._token, self._deliver = token, deliver
        self._waiting: SimpleQueue[tuple[Delivery, Future[list[dict[str, Any]]]] | None] = SimpleQueue()
        self._socket = _listening(address)
        self.port: int = self._socket.getsockname()[1]
        self._loop = asyncio.new_event_loop()
        self._closing = asyncio.Event()
        self._began = threading.Event()
        self._thread = threading.Thread(target=self._run, name="alerts", daemon=True)
        self._thread.start()
        self._writing = threading.Thread(target=self._write, name="alerts written", daemon=True)
        self._writing.start()
        self._began.wait()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    def _write(self) -> None:
        """Have deliveries written down one after the other."""
        while (taken := self._waiting.get()) is not None:
            delivery, became = taken
            if became.set_running_or_notify_cancel():
                try:
                    became.set_result(self._deliver(delivery))
                except BaseException as error:
                    became.set_exception(error)

    async def _serve(self) -> None:
        app = web.Application(client_max_size=MOST_BYTES)
        app.router.add_post(ALERTS_PATH, self._alerts)
        app.router.add_get(HEALTH_PATH, self._healthy)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.SockSite(runner, self._socket, shutdown_timeout=LET_GO_S)
        try:
            await site.start()
        finally:
            self._began.set()
        await self._closing.wait()
        await runner.cleanup()

    async def _healthy(self, _request: web.Request) -> web.Response:
        return web.json_response({"listening": True})

    async def _alerts(self, request: web.Request) -> web.Response:
        if self._token is not None and not self._is_allowed(request):
            return _refused(401, "the bearer token is missing or wrong", {"WWW-Authenticate": "Bearer"})
        try:
            body = await request.read()
        except web.HTTPRequestEntityTooLarge:
            return _refused(413, f"a delivery may have {MOST_BYTES:,} bytes")
        try:
            delivery = parse_delivery(body)
            written: Future[list[dict[str, Any]]] = Future()
            self._waiting.put((delivery, written))
            became = await asyncio.wrap_future(written)
        except InputError as error:
            return _refused(400, str(error))
        except SlacktideError as error:
            return _refused(503, str(error), {"Retry-After": "5"})
        return web.json_response({"alerts": became})

    def _is_allowed(self, request: web.Request) -> bool:
        given = request.headers.get("Authorization", "").encode(errors="replace")
        return hmac.compare_digest(given, f"Bearer {self._token}".encode())

    def close(self) -> None:
        """Listen no more; a delivery that is being written has :data:`END_S` to be, others come again."""
        self._loop.call_soon_threadsafe(self._closing.set)
        self._waiting.put(None)
        self._thread.join(END_S)
        self._writing.join(END_S)


def read_token(file: Path | None) -> str | None:
    """Return the token in a file; None: none is asked for.

    Raises
    ------
    UsageError
        If it cannot be read, or holds none.
    """
    if file is None:
        return None
    try:
        token = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(str(file), f"cannot be read: {error}", "Write the token into it, readable for us") from error
    if not token:
        raise UsageError(str(file), "is empty", "Write the bearer token of deliveries into it")
    return token


def _listening(address: tuple[str, int]) -> socket.socket:
    host, port = address
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server(address, family=family)
    except OSError as error:
        fact = f"cannot be listened at: {error.strerror or error}"
        raise ExecutionError(f"{host}:{port}", fact, "Choose another `alerts.listen`, or end who has it") from error


def _refused(status: int, fact: str, headers: dict[str, str] | None = None) -> web.Response:
    return web.json_response({"error": fact}, status=status, headers=headers)
