"""The HTTP API as a whole: operations, description, and what is done in the background."""

import logging
import math
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from slacktide import __version__
from slacktide.errors import SlacktideError
from slacktide.service.campaigning import LOOK_S
from slacktide.service.http.openapi import described
from slacktide.service.http.problems import problem_of, response_of
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
    *(campaigns, reports, events, progress, following, maps, curves, stories, guests),
    *(administration, health, page),
)
DESCRIPTION: Final = "Patch a whole fleet of VM hosts without its guests noticing."
log = logging.getLogger("slacktide.http")


def make_app(make: Callable[[], Server]) -> FastAPI:
    """Return the API; ``make`` is called once, where the API is to be served."""

    @asynccontextmanager
    async def serving(app: FastAPI) -> AsyncIterator[None]:
        if not hasattr(app.state, "server"):
            app.state.server = make()
        over = threading.Event()
        watch = threading.Thread(
            target=_see_to_it, args=(app.state.server, over), name="seeing to campaigns", daemon=True
        )
        watch.start()
        signs = threading.Thread(target=_tell, args=(app.state.server, over), name="signs of calls", daemon=True)
        signs.start()
        try:
            yield
        finally:
            over.set()
            app.state.server.database.close()

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


async def _refused(_request: Request, error: Exception) -> Response:
    return response_of(*problem_of(error, None))


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
