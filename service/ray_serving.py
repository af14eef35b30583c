"""The HTTP API as an application of Ray Serve."""

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout, suppress
from functools import partial
from typing import Final

from fastapi import FastAPI
from ray import serve

from slacktide.errors import ExecutionError
from slacktide.executors.actors import cluster
from slacktide.executors.logs import log_settings, log_to
from slacktide.service.http.app import make_app
from slacktide.service.http.front import CALLBACK, VARIABLE
from slacktide.service.http.readiness import leaving_file
from slacktide.service.http.server import Server, make_server
from slacktide.service.http.settings import ServerSettings
from slacktide.service.places import Places
from slacktide.service.ray_jobs import RayJobs

APPLICATION: Final = "slacktide"
STORE_BYTES: Final = 512 * 2**20
"""Ray's shared memory on one machine: jobs read files, only cells of large fleets are in it."""
CALLS_BESIDE_STREAMS: Final = 256
"""Calls that a replica answers at once, beside event streams; more wait."""
ENDING_S: Final = 10.0
"""How long calls under way may take once the server is to end; streams are cut off."""


def serve_until_told(
    settings: ServerSettings, *, dashboard: bool, ready: Callable[[str | None], None], drain_s: float = 0.0
) -> None:
    """Serve the API until SIGTERM or SIGINT; what is under way is answered, campaigns go on by themselves.

    Parameters
    ----------
    drain_s
        How long all is still answered once the server is to end, while it says that it is not ready, so that balancers
        send their callers elsewhere; a second signal cuts that short.
    ready
        Called once the API answers, with the address of Ray's dashboard, null: it has none.

    Raises
    ------
    ExecutionError
        If Ray does not start, or the API does not.
    """
    told, again = threading.Event(), threading.Event()
    leaving = leaving_file(Places(settings.data), settings)
    logging.getLogger("ray.serve").setLevel(logging.WARNING)
    processors, front = len(os.sched_getaffinity(0)), {VARIABLE: CALLBACK}
    with (
        ExitStack() as ending,
        cluster(processors, STORE_BYTES, job="serve the API", dashboard=dashboard, environment=front) as shown,
    ):
        try:
            _deploy(settings)
            for number in (
                signal.SIGTERM,
                signal.SIGINT,
            ):  # Ray's own handlers, which it sets as it starts, end at once
                signal.signal(number, lambda *_: (again if told.is_set() else told).set())
            ready(shown)
            told.wait()
            with suppress(OSError):  # a disk that is full: it is not ready then either
                leaving.touch()
            again.wait(drain_s)
        finally:
            ending.enter_context(_unheard())
            serve.delete(APPLICATION)
            serve.shutdown()  # type: ignore[no-untyped-call]
            leaving.unlink(missing_ok=True)


@contextmanager
def _unheard() -> Iterator[None]:
    """Have nobody hear what Ray prints: that its own actors, which are being ended, have ended."""
    with open(os.devnull, "w", encoding="utf-8") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
        yield


def _deploy(settings: ServerSettings) -> None:
    options: dict[str, object] = {"host": settings.host, "port": settings.port}
    if settings.certificate is not None:
        options |= {"ssl_certfile": str(settings.certificate), "ssl_keyfile": str(settings.key)}
    quiet = {"log_level": "WARNING", "enable_access_log": False}
    serve.start(proxy_location="HeadOnly", http_options=options, logging_config=quiet)

    def app() -> FastAPI:
        return make_app(partial(_server, settings))

    deployment = serve.deployment(
        name="api",
        num_replicas=settings.replicas,
        ray_actor_options={"num_cpus": 0},
        max_ongoing_requests=settings.limits.streams + CALLS_BESIDE_STREAMS,
        graceful_shutdown_timeout_s=ENDING_S,
        logging_config=quiet,
    )
    try:
        serve.run(deployment(serve.ingress(app)(_Api)).bind(), name=APPLICATION, route_prefix="/")
    except RuntimeError as error:
        fact = f"does not start: {str(error).splitlines()[0]}"
        raise ExecutionError("the API", fact, "See the logs of Ray Serve in Ray's session folder") from error


class _Api:
    """What Ray Serve makes a replica of; the API is its ingress."""


def _server(settings: ServerSettings) -> Server:
    log_to(sys.stdout, log_settings())
    jobs = RayJobs(settings)
    jobs.warm_up()
    return make_server(settings, jobs)
