"""The endpoint that guests ask: one thread with an event loop for all hosts of an agent, one socket for each."""

import asyncio
import json
import socket
import threading
from collections import defaultdict
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Final, cast

from aiohttp import web

from slacktide.executors.metadata.asked import FLAVOR, Asked, Refused, Resource, asked
from slacktide.executors.metadata.board import NoticeBoard
from slacktide.executors.metadata.connection import Connection
from slacktide.executors.metadata.limits import Gate, Limits
from slacktide.ids import VmId

Who = Callable[[str], VmId | None]
"""From an address on a host's bridge to the VM that has it; may block for some milliseconds."""
WAITS_OF_ONE: Final = 8
"""Polls of one VM that may hang at once, from whatever addresses."""
LOOKING: Final = 4
"""Threads that find out who asks: each question takes milliseconds, but seconds where a hypervisor is slow."""
BACKLOG: Final = 1024
"""Connections of one host that may wait to be taken: all its guests ask at once when a host has come back."""
LET_GO_S: Final = 1.0
"""How long an answer that is being given may take at the end; who waits is told what there is."""
END_S: Final = 5.0
"""How long the thread may take to end."""


class MetadataServer:
    """Answers guests until it is closed."""

    def __init__(
        self, board: NoticeBoard, listening: Mapping[socket.socket, Who], limits: Limits | None = None
    ) -> None:
        """Begin to answer.

        ``listening``: a socket of each host, with what knows that host's guests; they belong to the server now.
        """
        self._board = board
        self._listening = dict(listening)
        self._limits = limits or Limits()
        self._gate = Gate(self._limits)
        self._waiting: dict[VmId, set[asyncio.Event]] = defaultdict(set)
        self._looking = ThreadPoolExecutor(LOOKING, thread_name_prefix="metadata callers")
        self._loop = asyncio.new_event_loop()
        self._closing = asyncio.Event()
        began = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(began,), name="metadata", daemon=True)
        self._thread.start()
        began.wait()
        board.listen(self._changed)

    def _run(self, began: threading.Event) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve(began))

    async def _serve(self, began: threading.Event) -> None:
        try:
            servers = [await self._serve_at(made, who) for made, who in self._listening.items()]
        finally:
            began.set()
        await self._closing.wait()
        for vm in list(self._waiting):
            self._wake(vm)
        for server, answering in servers:
            server.close()
            await answering.shutdown(LET_GO_S)

    async def _serve_at(self, made: socket.socket, who: Who) -> tuple[asyncio.Server, web.Server]:
        async def resolve(address: str) -> VmId | None:
            return await self._loop.run_in_executor(self._looking, who, address)

        answering: web.Server = web.Server(self._answer, handler_cancellation=True)
        server = await self._loop.create_server(
            lambda: Connection(answering, resolve, self._gate, self._limits), sock=made, backlog=BACKLOG
        )
        return server, answering

    def close(self) -> None:
        """Answer nobody any more."""
        self._loop.call_soon_threadsafe(self._closing.set)
        self._thread.join(END_S)
        self._looking.shutdown()

    # Answers

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        connection = cast("Connection", request.protocol)
        connection.received()
        vm = await connection.caller()
        if vm is None:
            return _reply(404)
        wanted = asked(request.method, request.path, request.query, request.headers)
        if isinstance(wanted, Refused):
            return _reply(wanted.status, wanted.text)
        if wanted.resource is Resource.ACKNOWLEDGE:
            if not self._board.acknowledge(vm):
                return _reply(409, "Nothing is announced that you could be ready for.\n")
        elif wanted.wait_s is not None:
            if len(self._waiting.get(vm, ())) >= WAITS_OF_ONE:
                return _reply(503, "Too many of your polls wait already.\n")
            await self._wait(vm, wanted, wanted.wait_s)
            if await connection.caller() != vm:
                return _reply(404)
        body, etag = self._told(vm, wanted)
        return _reply(200, body, etag, as_json=wanted.as_json or wanted.resource is Resource.ACKNOWLEDGE)

    def _told(self, vm: VmId, wanted: Asked) -> tuple[str, str]:
        """Return body and ETag of what a VM is told now."""
        notice = self._board.notice(vm)
        if wanted.resource is not Resource.EVENT:
            body = json.dumps(notice.upcoming) + "\n"
        else:
            body = json.dumps(notice.event) if wanted.as_json else notice.event
        return body, notice.etag(body)

    async def _wait(self, vm: VmId, wanted: Asked, wait_s: float) -> None:
        """Return once what is told differs from what the guest has heard last, or after ``wait_s``."""
        known = wanted.last_etag or self._told(vm, wanted)[1]
        changed = asyncio.Event()
        self._waiting[vm].add(changed)
        try:
            async with asyncio.timeout(wait_s):
                while self._told(vm, wanted)[1] == known and not self._closing.is_set():
                    changed.clear()
                    await changed.wait()
        except TimeoutError:
            return  # it is told what it knows
        finally:
            self._waiting[vm].discard(changed)
            if not self._waiting[vm]:
                del self._waiting[vm]

    def _changed(self, vm: VmId) -> None:
        """Wake who waits; called from other threads."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._wake, vm)

    def _wake(self, vm: VmId) -> None:
        for changed in self._waiting.get(vm, ()):
            changed.set()


def _reply(status: int, text: str = "", etag: str | None = None, *, as_json: bool = False) -> web.Response:
    headers = {"Server": "Slacktide"}
    if etag is not None:
        headers |= {"ETag": etag, FLAVOR: "Google", "Cache-Control": "no-store"}
    kind = "application/json" if as_json else "text/plain"
    response = web.Response(status=status, text=text, content_type=kind, headers=headers)
    response.force_close()
    return response
