"""One connection of a guest: it asks once, soon and briefly, or is cut."""

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web

from slacktide.executors.metadata.limits import Gate, Limits
from slacktide.ids import VmId

Resolve = Callable[[str], Awaitable[VmId | None]]
"""From an address to the VM that has it now."""

KEEPALIVE: Final = ((socket.TCP_KEEPIDLE, 20), (socket.TCP_KEEPINTVL, 10), (socket.TCP_KEEPCNT, 3))
"""Who waits in silence is asked for a sign of life after 20 s, by the kernel: bridges forget a card after 300 s, hosts
with many guests a neighbour after 60, and then nobody would know any more who waits.  Who does not give one for half a
minute has moved away or ended."""
ACCESS_LOG: Final = logging.getLogger(__name__)
"""Nothing is written to it, unless somebody sets its level so: guests ask every few seconds."""
ACCESS_LOG.setLevel(logging.WARNING)


class Connection(web.RequestHandler):
    """aiohttp's connection, with the limits that it does not have."""

    __slots__ = ("_address", "_first", "_gate", "_late", "_request_s", "_resolve")

    def __init__(self, server: web.Server, resolve: Resolve, gate: Gate, limits: Limits) -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            access_log=ACCESS_LOG,
            lingering_time=0.0,
            max_line_size=limits.line_bytes,
            max_field_size=limits.line_bytes,
            max_headers=limits.headers,
        )
        self._resolve = resolve
        self._gate = gate
        self._request_s = limits.request_s
        self._address: str | None = None
        """Null: it was cut at once."""
        self._late: asyncio.TimerHandle | None = None
        self._first: asyncio.Future[VmId | None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Let it in, and find out at once who it is; or cut it."""
        super().connection_made(transport)
        address: str = transport.get_extra_info("peername")[0]
        if not self._gate.enter(address):
            self._cut()
            return
        self._address = address
        for option, value in KEEPALIVE:
            transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, option, value)
        self._late = self._loop.call_later(self._request_s, self._cut)
        self._first = asyncio.ensure_future(self._resolve(address))

    def connection_lost(self, exc: BaseException | None) -> None:
        """Count it out."""
        if self._address is not None:
            self._gate.leave(self._address)
            self._address = None
        if self._late is not None:
            self._late.cancel()
        if self._first is not None:
            self._first.cancel()
        super().connection_lost(exc)

    def _cut(self) -> None:
        if isinstance(self.transport, asyncio.WriteTransport):
            self.transport.abort()

    def received(self) -> None:
        """Take note that the request has arrived."""
        if self._late is not None:
            self._late.cancel()

    async def first_caller(self) -> VmId | None:
        """Return whose connection it was when it was made."""
        return None if self._first is None else await self._first

    async def caller(self) -> VmId | None:
        """Return whose connection it is now; None also where that has changed."""
        if self._address is None:
            return None
        now = await self._resolve(self._address)
        return now if now == await self.first_caller() else None

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """Answer what cannot be read with a bare number, to whomever."""
        if status >= 500:
            return super().handle_error(request, status, exc, message)
        response = web.Response(status=status)
        response.force_close()
        return response
