"""Planning as tasks and jobs of Ray, as notebooks and ``ray job submit`` do it, with fleets and plans at URLs.

The cluster is started as operators do it, with job server and token; a notebook is a process of its own.
"""

import json
import os
import re
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from object_stores import ObjectStore, running_store
from ray_cluster import RAY, ray_cluster, until

import slacktide
from slacktide.datasets.generator import generate_fleet
from slacktide.datasets.generator_settings import GeneratorSettings

pytestmark = [pytest.mark.integration, pytest.mark.long]
FLEET = generate_fleet(GeneratorSettings(hosts=60, seed=5, hosts_per_rack=6))
DOCS = Path(__file__).parents[2] / "docs" / "python.md"

TASKS = """
import contextlib, json, os, time
from ray.util.state import list_tasks
from ray.util.state.exception import RayStateApiException

def tasks():
    return {(task.name, task.state) for task in list_tasks(address=os.environ["SERVER"])}

def wait_for(expected):
    found = set()
    while not expected <= found:
        time.sleep(0.2)
        with contextlib.suppress(RayStateApiException):  # it does not answer in time on a busy machine
            found = tasks()
"""
NOTEBOOK = """
here = slacktide.plan("s3://fleets/today", "urgent", iterations=1, cells=2)
there = slacktide.plan("s3://fleets/today", "urgent", iterations=1, cells=2, on_ray=True)
decorated = ray.get(task.remote(fleet, "urgent", iterations=1, cells=2))
ids = [made.header.id for made in (here, there, decorated)]
try:
    slacktide.plan("s3://fleets/none", "routine", on_ray=True)
except slacktide.UsageError as error:
    refused = str(error)
wait_for({
    ("plan urgent for s3://fleets/today", "FINISHED"),
    ("plan cell 2 of 2", "FINISHED"),
    ("nightly plan of zone a", "FINISHED"),
    ("plan routine for s3://fleets/none", "FAILED"),
})
print(json.dumps({"ids": ids, "refused": refused, "zones": [made.header.summary.hosts for made in plans]}))
"""
INTERRUPTED = """
import _thread, threading, ray, slacktide
ray.init(log_to_driver=False)
name = "plan urgent for 60 hosts"

def interrupt():
    wait_for({(name, "RUNNING")})
    _thread.interrupt_main()

fleet = slacktide.read_fleet("s3://fleets/today")
threading.Thread(target=interrupt).start()
try:
    slacktide.plan(fleet, "urgent", time_limit_s=3600, on_ray=True)
except KeyboardInterrupt:
    wait_for({(name, "FAILED")})
    print("ended")
"""


class Batch(NamedTuple):
    """A cluster with its job server, and an object store that its processes reach."""

    store: ObjectStore
    server: str
    environment: dict[str, str]

    def notebook(self, program: str, folder: Path) -> str:
        """Have a program run to its end, and return what it printed last."""
        done = subprocess.run(
            [sys.executable, "-c", TASKS + program],
            cwd=folder,
            env=os.environ | self.environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.splitlines()[-1]

    def submit(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Submit a job once the cluster takes jobs, and return what came of it."""
        command = [str(RAY), "job", "submit", "--address", self.server, "--", *words]
        environment = os.environ | self.environment

        def submitted() -> subprocess.CompletedProcess[str] | None:
            done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
            return None if "No available agent to submit job" in done.stderr else done

        found: subprocess.CompletedProcess[str] = until(submitted, 120, "the job server takes jobs")
        return found


@pytest.fixture(scope="module")
def batch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Batch]:
    """Have them for all tests of this file; the fleet is in the store."""
    token = tmp_path_factory.mktemp("secrets") / "token"
    token.write_text(secrets.token_hex(32))
    own = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token)}
    with running_store() as store, pytest.MonkeyPatch.context() as patch:
        for name, value in store.environment.items():
            patch.setenv(name, value)
        for name in ("today", "a", "b"):
            slacktide.write_fleet(FLEET, f"{store.url}/{name}")
        with ray_cluster(tmp_path_factory.mktemp("r"), dashboard=True, **own) as cluster:
            where = {"RAY_ADDRESS": cluster.address, "SERVER": cluster.dashboard}
            yield Batch(store, cluster.dashboard, cluster.environment | where)


def test_the_documentations_notebook(batch: Batch, tmp_path: Path) -> None:
    slacktide.write_fleet(FLEET, tmp_path / "fleet")
    blocks = re.findall(r"^```python\n(.*?)^```", DOCS.read_text(), re.DOTALL | re.MULTILINE)
    assert len(blocks) == 4
    program = "\n".join(blocks).replace("time_limit_s=60", "time_limit_s=0")
    told = json.loads(batch.notebook(program + NOTEBOOK, tmp_path))
    assert len(set(told["ids"])) == 1
    assert "s3://fleets/none: does not exist" in told["refused"]
    assert len(told["zones"]) == 2
    assert slacktide.audit(tmp_path / "fleet", tmp_path / "plan").findings == ()


def test_an_interrupt_ends_the_task(batch: Batch, tmp_path: Path) -> None:
    assert batch.notebook(INTERRUPTED, tmp_path) == "ended"


def test_a_submitted_job_plans_and_tells_its_exit_code(batch: Batch) -> None:
    words = (sys.executable, "-m", "slacktide.service.cli", "plan", f"{batch.store.url}/today", "--preset", "urgent")
    search = ("--ray", "--cells", "2", "--iterations", "1", "--json")
    done = batch.submit(*words, *search, "-o", f"{batch.store.url}/plans/night")
    assert done.returncode == 0, done.stdout + done.stderr
    plan = slacktide.read_plan(f"{batch.store.url}/plans/night")
    assert plan.header.id == slacktide.plan(FLEET, "urgent", iterations=1, cells=2).header.id
    assert f'"makespan_s": {plan.header.summary.makespan_s}' in done.stdout
    failed = batch.submit(*words, *search, "-o", "s3://no-such-bucket/plans/night")
    assert failed.returncode == 1
    assert "entrypoint command failed with exit code 1" in failed.stdout + failed.stderr
    assert "The specified bucket does not exist" in failed.stdout + failed.stderr
