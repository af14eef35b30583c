"""Commands on a server that are told to end in the middle, or whose server ends."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from afar_place import FLEET, PATIENCE_S, Place, next_file, until
from http_server import in_process, served

from slacktide.executors.detached import is_running
from slacktide.service.launching import launch_campaign

pytestmark = [pytest.mark.integration]


def test_a_job_whose_asker_is_told_to_end_ends_with_what_it_has(place: Place, tmp_path: Path) -> None:
    words = ["plan", str(FLEET), "--iterations", "1000000", "-o", str(tmp_path / "p"), "--server", place.url]
    command = [sys.executable, "-m", "slacktide.service.cli", *words]
    asking = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    until(lambda: asking.poll() is not None or place.process.get("/v1/jobs?state=running")["items"])
    (job,) = place.process.get("/v1/jobs?state=running")["items"]
    asking.send_signal(signal.SIGTERM)
    _, said = asking.communicate(timeout=PATIENCE_S)
    assert asking.returncode == 143, said
    assert f"job {job['job_id']} is to end with what it has" in said
    until(lambda: place.process.get(f"/v1/jobs/{job['job_id']}")["state"] in ("done", "cancelled"))


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_run_that_is_told_to_end_leaves_the_campaign_to_the_server(
    place: Place, planned: Path, number: signal.Signals, code: int
) -> None:
    command = ["env", "--default-signal=INT", sys.executable, "-m", "slacktide.service.cli"]
    words = [*command, "run", str(FLEET), str(planned), "--server", place.url, "--seed", str(code), "--speed", "60"]
    following = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert following.stderr is not None
    begun = following.stderr.readline()
    until(lambda: place.process.server.streams.open > 0)
    following.send_signal(number)
    _, said = following.communicate(timeout=PATIENCE_S)
    campaign = begun.split()[1]
    assert following.returncode == code, begun + said
    assert f"interrupted: campaign {campaign} goes on on {place.url}; `slacktide campaign watch" in said
    far = place.process.get(f"/v1/campaigns/{campaign}/progress")["now_s"]
    until(lambda: place.process.get(f"/v1/campaigns/{campaign}/progress")["now_s"] > far)
    place.there("campaign", "abort", campaign, "--cancel")
    until(lambda: not is_running(place.folder / "data" / "runs" / campaign))


def test_a_server_that_restarts_is_followed_on(place: Place, planned: Path, tmp_path: Path) -> None:
    """A second server of the same data goes away while a campaign is followed there, and comes back."""
    second = in_process(place.folder, launch_campaign)
    command = [sys.executable, "-m", "slacktide.service.cli", "run", str(FLEET), str(planned), "--seed", "5"]
    environment = {**os.environ, "SLACKTIDE_TOKEN": second.tokens["operator"]}
    with served(second) as url:
        port = int(url.rpartition(":")[2])
        words = [*command, "--speed", "240", "-o", str(tmp_path / "c"), "--server", url]
        following = subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert following.stderr is not None
        assert "is carried out on" in following.stderr.readline()
        campaign = json.loads(next_file(tmp_path / "c" / "server.json"))["campaign_id"]
        until(lambda: second.get(f"/v1/campaigns/{campaign}")["progress"] is not None)
        until(lambda: second.server.streams.open > 0)
    assert "the server is waited for" in following.stderr.readline()
    with served(second, port):
        assert "the server answers" in following.stderr.readline()
        place.there("campaign", "abort", campaign, "--cancel")
        out, said = following.communicate(timeout=PATIENCE_S)
    assert following.returncode == 1, said
    assert f"Campaign {campaign} (simulated)" in out
    assert (tmp_path / "c" / "report.html").is_file()


def test_ctrl_c_ends_planning_with_the_best_plan(place: Place) -> None:
    output = place.folder / "interrupted"
    words = [
        sys.executable,
        "-m",
        "slacktide.service.cli",
        "plan",
        str(FLEET),
        "--server",
        place.url,
        "-o",
        str(output),
    ]
    environment = {**os.environ, "SLACKTIDE_TOKEN": place.process.tokens["operator"]}
    # A search that is never content: iterations without end, and nothing that it would have to improve.
    command = subprocess.Popen([*words, "--iterations", "1000000"], env=environment, stderr=subprocess.PIPE, text=True)
    until(lambda: place.process.get("/v1/jobs?kind=plan&state=running")["items"] or command.poll() is not None)
    command.send_signal(signal.SIGINT)
    _, said = command.communicate(timeout=PATIENCE_S)
    assert command.returncode == 130, said
    assert "this is the best plan until then" in said
    assert place.here("audit", FLEET, output)


def test_a_server_that_is_away_is_waited_for(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLACKTIDE_TOKEN")
    process = in_process(tmp_path, anonymous="viewer")
    with served(process) as url:
        port = int(url.rpartition(":")[2])
    place.called(["server", "status", "--wait-for-server", "1s", "--server", url], 1)
    assert "does not answer" in place.told
    begun = threading.Event()

    def later() -> None:
        time.sleep(1.0)
        with served(process, port):
            begun.wait(PATIENCE_S)

    thread = threading.Thread(target=later)
    thread.start()
    found = place.called(["server", "status", "--server", url, "--wait-for-server", "5min", "--json"], 0)
    begun.set()
    thread.join()
    assert json.loads(found)["server"] == url
    assert "the server is waited for" in place.told
    assert "the server answers" in place.told
