"""Fleets and plans in a real object store over HTTP, and the nightly job of docs/batch.md."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest
from object_stores import ObjectStore, running_store

import slacktide
from slacktide.planner.plan_files import HEADER_FILE

pytestmark = pytest.mark.integration
DOCS = Path(__file__).parents[2] / "docs" / "batch.md"


@pytest.fixture(scope="module")
def store() -> Iterator[ObjectStore]:
    with running_store() as running, pytest.MonkeyPatch.context() as patch:
        for name, value in running.environment.items():
            patch.setenv(name, value)
        yield running


def command(*words: str, code: int = 0, **environment: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "slacktide.service.cli", *words],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | environment,
        timeout=400,
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


@pytest.fixture(scope="module")
def fleet(store: ObjectStore) -> str:
    """Return the URL of a fleet that the command line has written, and have a policy in the store."""
    url = f"{store.url}/fleets/2026-12-01"
    command("fleet", "generate", "--hosts", "24", "--hosts-per-rack", "6", "--seed", "3", "-o", url)
    policy = slacktide.preset("urgent").model_copy(update={"approve_start": True})
    slacktide.write_policy(policy, f"{store.url}/policy.yaml")
    return url


def documented(calls: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Return what came of calls of the functions of the documentation, word for word, in one shell."""
    blocks = re.findall(r"^```bash\n(.*?)^```", DOCS.read_text(), re.DOTALL | re.MULTILINE)
    assert len(blocks) == 3
    script = "\n".join(blocks) + f"set -eu\n{calls}\n"
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    given = os.environ | environment | {"PATH": path}
    return subprocess.run(
        ["timeout", "400", "bash", "-c", script], cwd=folder, env=given, capture_output=True, text=True
    )


def test_a_night_and_its_morning(store: ObjectStore, fleet: str, tmp_path: Path) -> None:
    calls = "(nightly); (morning); (approved --ask-for-approval --no-ray)"
    ran = documented(calls, tmp_path, STORE=store.url, NIGHT="2026-12-01", LIMIT="0")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    plan = slacktide.read_plan(f"{store.url}/plans/2026-12-01")
    assert json.loads((tmp_path / "summary.json").read_text())["hosts"] == plan.header.summary.hosts > 0
    assert json.loads((tmp_path / "campaign-2026-12-01" / "report.json").read_text())["plan_id"] == plan.header.id
    again = command("report", str(tmp_path / "campaign-2026-12-01"), "--json")
    assert json.loads(again.stdout)["plan_path"] == f"{store.url}/plans/2026-12-01"


def test_nobody_approves_for_ever_what_is_refused(store: ObjectStore, tmp_path: Path) -> None:
    ran = documented("(approved --no-ray)", tmp_path, STORE=store.url, NIGHT="none")
    assert ran.returncode == 2, ran.stdout + ran.stderr
    assert f"error: {store.url}/fleets/none" in ran.stderr


def test_what_the_store_refuses_is_told_with_the_url(store: ObjectStore, fleet: str, tmp_path: Path) -> None:
    said = command("plan", fleet, "-o", "s3://no-such-bucket/plans/night", code=1).stderr
    assert "s3://no-such-bucket/plans/night: cannot be written: The specified bucket does not exist" in said
    said = command("audit", fleet, f"{store.url}/plans/none", code=2).stderr
    assert f"{store.url}/plans/none: there is no such directory" in said
    said = command("plan", fleet, "-o", fleet, code=2).stderr
    assert "is not empty" in said or "would be lost" in said
    said = command("plan", fleet, "-o", f"{store.url}/p/n", AWS_ENDPOINT_URL="http://127.0.0.1:9", code=1).stderr
    assert f"{store.url}/p/n: cannot be written: Could not connect" in said
    said = command("what-if", fleet, "-o", f"{store.url}/what-if", code=2).stderr
    assert "is a URL, where a path on this machine is needed" in said
    said = command("run", fleet, f"{store.url}/plans/2026-12-01", code=2).stderr
    assert "Give a directory" in said
    damaged = f"{store.url}/plans/damaged"
    made = slacktide.plan(fleet, "urgent", iterations=0)
    slacktide.write_plan(made, damaged)
    fsspec.core.url_to_fs(damaged)[0].rm_file(f"{damaged}/{HEADER_FILE}")
    said = command("audit", fleet, damaged, code=1).stderr
    assert f"{damaged}: the plan has" in said
    assert HEADER_FILE in said


def test_importing_slacktide_imports_nothing_else() -> None:
    program = "import sys; before = set(sys.modules); import slacktide; print(*(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert {name for name in done.stdout.split() if name.partition(".")[0] not in sys.stdlib_module_names} == {
        "slacktide"
    }
    program = "import sys, slacktide.service.cli; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "fsspec" not in done.stdout.split()
