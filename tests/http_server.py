"""The HTTP API within the test's process: its own data directory, jobs done in the call that asks for them."""

import asyncio
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI

from slacktide.executors.report_page import write_report_page
from slacktide.executors.run import RunOptions, run_campaign
from slacktide.service.campaigning import Launch
from slacktide.service.fleet_intake import OWN
from slacktide.service.http.app import make_app
from slacktide.service.http.server import Server, make_server
from slacktide.service.http.settings import Rates, ServerSettings
from slacktide.service.jobs.carrying import carry_out
from slacktide.service.launching import CampaignLaunch
from slacktide.service.store.tokens import ROLES, create_token

FAST = Rates(reads="100000/second", changes="100000/second", creations="100000/second", refusals="100000/second")
"""Rates that no test comes near, for tests that are about something else."""


@dataclass
class InProcess:
    """An API and what it was asked to start."""

    folder: Path
    server: Server
    app: FastAPI
    tokens: dict[str, str]
    launched: list[CampaignLaunch]
    named: list[str] = field(default_factory=list)
    """Names of jobs, as operators see them."""
    held: bool = False
    """Whether jobs stay in the queue."""
    apart: bool = False
    """Whether jobs are done in threads of their own, and the call that asks for them is answered before."""

    def start(self, job_id: str, name: str) -> None:
        self.named.append(name)
        if self.held:
            return
        todo = (job_id, self.server.places, self.server.database, self.server.campaigning)
        if self.apart:
            threading.Thread(target=carry_out, args=todo).start()
        else:
            carry_out(*todo)

    def call(self, method: str, path: str, role: str | None = "admin", **how: Any) -> httpx.Response:
        """Ask, with the token of a role, and return the answer."""
        headers: Mapping[str, str] = how.pop("headers", {})
        bearer = {} if role is None else {"Authorization": f"Bearer {self.tokens[role]}"}
        client = how.pop("client", ("127.0.0.1", 4711))
        base = how.pop("base", "http://testserver")

        async def asked() -> httpx.Response:
            transport = httpx.ASGITransport(self.app, raise_app_exceptions=False, client=client)
            async with httpx.AsyncClient(transport=transport, base_url=base) as http:
                return await http.request(method, path, headers={**bearer, **headers}, **how)

        return asyncio.run(asked())

    def get(self, path: str, **how: Any) -> Any:
        """Return the JSON of what is read; it has to be there."""
        answer = self.call("GET", path, **how)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def upload(self, fleet: Path, role: str = "operator", path: str = "/v1/fleets", **how: Any) -> httpx.Response:
        return self.call("POST", path, role, files=parts_of(fleet), **how)


def parts_of(fleet: Path) -> dict[str, tuple[str, bytes, str]]:
    """Return a fleet's files as an upload has them."""
    return {part: (name, (fleet / name).read_bytes(), "application/octet-stream") for part, name in OWN.items()}


def in_process(folder: Path, launch: Launch | None = None, **settings: Any) -> InProcess:
    """Return an API with a token for each role.

    Parameters
    ----------
    launch
        What starts campaigns; None: they are noted, and nothing is started.
    """
    launched: list[CampaignLaunch] = []
    made = ServerSettings(data=folder / "data", **{"rates": FAST, **settings})

    class _Later:
        def start(self, job_id: str, name: str) -> None:
            process.start(job_id, name)

    server = make_server(made, _Later(), launch or launched.append)
    app = make_app(lambda: server)
    app.state.server = server
    tokens = {role: create_token(server.database, f"the {role}", role, "the test")[1] for role in ROLES}
    process = InProcess(folder, server, app, tokens, launched)
    return process


def carry_out_launched(process: InProcess) -> None:
    """Carry out, in this process, the campaigns that the API has launched; on simulated hosts, seed 0."""
    from slacktide.datasets.files import read_snapshot
    from slacktide.planner.plan_files import read_plan

    while process.launched:
        launch = process.launched.pop()
        snapshot, plan = read_snapshot(launch.fleet), read_plan(launch.plan)
        options = RunOptions(use_ray=False, plan_path=launch.plan, fleet_path=launch.fleet, store=launch.store)
        report = run_campaign(snapshot, plan, launch.directory, options=options)
        assert report.summary.campaign_id == launch.directory.name
        write_report_page(launch.directory, snapshot, plan, report)


@contextmanager
def served(process: InProcess, port: int = 0) -> Iterator[str]:
    """Have an API answer at an address of this machine, for clients that speak HTTP; jobs are done apart."""
    process.apart = True
    server = uvicorn.Server(
        uvicorn.Config(process.app, port=port, lifespan="off", log_level="error", timeout_graceful_shutdown=1)
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive(), "the server does not start"
            time.sleep(0.01)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
