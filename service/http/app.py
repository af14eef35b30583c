"""The HTTP API as a whole: operations, description, and what is done in the background."""

import logging
import math
import secrets
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Final

from anyio.to_thread import run_sync
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from slacktide import __version__
from slacktide.errors import SlacktideError
from slacktide.service.campaigning import LOOK_S
from slacktide.service.http.admission import calls_ended
from slacktide.service.http.openapi import described
from slacktide.service.http.problems import ApiError, answer_of
from slacktide.service.http.routes import (
    administration,
    campaigns,
    curves,
    events,
    fleets,
    following,
    guests,
    health,
    jobs,
    maps,
    orders,
    page,
    plans,
    policies,
    profiles,
    progress,
    reports,
    stories,
)
from slacktide.service.http.server import Server
from slacktide.service.http.under_way import TELL_S
from slacktide.service.jobs.carrying import job_name
from slacktide.service.places import LEFT_S
from slacktide.service.store.jobs import claim_silent, find_job

ROUTERS: Final = (
    *(policies, profiles, fleets, jobs, plans),
    *(campaigns, orders, reports, events, progress, following, maps, curves, stories, guests),
    *(administration, health, page),
)
DESCRIPTION: Final = "Patch a whole fleet of VM hosts without its guests noticing."
ENDING_S: Final = 4.0
"""How long calls that nobody waits for may take where the server ends, and what is done in the background after them;
it is ended by force some seconds after."""
MOST_SHOWN: Final = 200
"""Characters of a path that are repeated."""
_NOWHERE: Final = {
    404: ("is not there", "See /openapi.json for what there is"),
    405: ("is not taken", "See /openapi.json for the methods that this path takes"),
}
log = logging.getLogger("slacktide.http")


def make_app(make: Callable[[], Server]) -> FastAPI:
    """Return the API; ``make`` is called once, where the API is to be served."""

    @asynccontextmanager
    async def serving(app: FastAPI) -> AsyncIterator[None]:
        if not hasattr(app.state, "server"):
            app.state.server = make()
        over = threading.Event()
        server: Server = app.state.server
        watch = threading.Thread(target=_see_to_it, args=(server, over), name="seeing to campaigns", daemon=True)
        signs = threading.Thread(target=_tell, args=(server, over), name="signs of calls", daemon=True)
        for thread in (watch, signs):
            thread.start()
        try:
            yield
        finally:
            await calls_ended(ENDING_S)
            over.set()
            await run_sync(_end, server, (watch, signs))

    app = FastAPI(
        title="Slacktide",
        version=__version__,
        description=DESCRIPTION,
        lifespan=serving,
        docs_url=None,
        redoc_url=None,
        exception_handlers={HTTPException: _refused, RequestValidationError: _refused, Exception: _refused},
    )
    for module in ROUTERS:
        app.include_router(module.router)
    described(app)
    return app


def _end(server: Server, threads: Iterable[threading.Thread]) -> None:
    """Let go of the store once nothing needs it any more, and what came of calls is written if it can be."""
    until_s = time.monotonic() + ENDING_S
    for thread in threads:
        thread.join(max(0.0, until_s - time.monotonic()))
    try:
        server.under_way.look()
    except Exception as error:
        log.warning("what came of a call is not written: %s", error)
    server.database.close()


async def _refused(request: Request, error: Exception) -> Response:
    """Answer what reaches no operation: it is about the path, and has an id of its own as every other answer."""
    if isinstance(error, HTTPException) and error.status_code in _NOWHERE:
        asked, (fact, remedy) = f"{request.method} {request.url.path[:MOST_SHOWN]}", _NOWHERE[error.status_code]
        error = ApiError(error.status_code, "http", asked, fact, remedy, error.headers)
    return answer_of(error, secrets.token_hex(8))


def _tell(server: Server, over: threading.Event) -> None:
    """Give signs of calls under way, write what came of those of which it could not be written, clear what is left.

    Apart from what else is done in the background, which may take longer than others wait for a sign.
    """
    cleared_s = -math.inf
    while not over.wait(TELL_S):
        try:
            server.under_way.look()
            if time.monotonic() - cleared_s > LEFT_S:
                server.places.clear_uploads()
                cleared_s = time.monotonic()
        except SlacktideError as error:
            log.warning("%s", error)
        except Exception:
            log.exception("what came of a call is not written; it is tried again")


def _see_to_it(server: Server, over: threading.Event) -> None:
    """See to campaigns that are wanted and to jobs that nobody carries out any more, until it is over."""
    while not over.wait(LOOK_S):
        try:
            server.campaigning.look()
            for job_id in claim_silent(server.database):
                if (job := find_job(server.database, job_id)) is not None:
                    server.jobs.start(job_id, job_name(job))
        except SlacktideError as error:
            log.warning("%s", error)
        except Exception:
            log.exception("seeing to campaigns failed; it is tried again")
