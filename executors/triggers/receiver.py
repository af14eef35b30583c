"""The webhook that Alertmanager posts alerts to.

A delivery is answered once it is written down: where that fails the answer is 503, and Alertmanager delivers again.
"""

import asyncio
import hmac
import logging
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from aiohttp import web

from slacktide.errors import ExecutionError, InputError, SlacktideError, UsageError
from slacktide.executors.triggers.alert import Delivery, parse_delivery

ALERTS_PATH: Final = "/api/v1/alerts"
HEALTH_PATH: Final = "/healthy"
MOST_BYTES: Final = 4 * 2**20
"""Of a delivery: thousands of alerts, far more than Alertmanager puts into one by default."""
LET_GO_S: Final = 2.0
END_S: Final = 5.0
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
        self._writing = ThreadPoolExecutor(1, thread_name_prefix="alerts written")
        self._socket = _listening(address)
        self.port: int = self._socket.getsockname()[1]
        self._loop = asyncio.new_event_loop()
        self._closing = asyncio.Event()
        self._began = threading.Event()
        self._thread = threading.Thread(target=self._run, name="alerts", daemon=True)
        self._thread.start()
        self._began.wait()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

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
            became = await self._loop.run_in_executor(self._writing, self._deliver, delivery)
        except InputError as error:
            return _refused(400, str(error))
        except SlacktideError as error:
            return _refused(503, str(error), {"Retry-After": "5"})
        return web.json_response({"alerts": became})

    def _is_allowed(self, request: web.Request) -> bool:
        given = request.headers.get("Authorization", "").encode(errors="replace")
        return hmac.compare_digest(given, f"Bearer {self._token}".encode())

    def close(self) -> None:
        """Listen no more; deliveries that are being written are finished."""
        self._loop.call_soon_threadsafe(self._closing.set)
        self._thread.join(END_S)
        self._writing.shutdown()


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
