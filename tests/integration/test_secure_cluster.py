"""A cluster as docs/deploy.md sets it up: token authentication and TLS on, and a campaign on it."""

import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from campaign_commands import assert_done_once, small_campaign
from cluster_secrets import environment, make_secrets
from ray_cluster import HEAD_IP, below, ray_cluster, words_of
from shifted_clocks import ahead_by

from slacktide.errors import ExecutionError
from slacktide.executors.doctor.lines import line_to_ray

pytestmark = pytest.mark.integration
CONNECT = "import ray; ray.init(log_to_driver=False); print('nodes', len(ray.nodes()))"


def connected(cluster, changes: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Try to be a driver of the cluster with some settings changed; those that are empty are left out."""
    settings = cluster.environment | {"RAY_ADDRESS": cluster.address, "RAY_gcs_server_request_timeout_seconds": "5"}
    environ = {key: value for key, value in (os.environ | settings | changes).items() if value}
    return subprocess.run(
        [sys.executable, "-c", CONNECT], env=environ, capture_output=True, text=True, timeout=120, check=False
    )


def doctor(cluster, code: int, **changes: str) -> dict[tuple[str, str], dict[str, str]]:
    """Have the doctor look at the cluster, as on its head."""
    environ = os.environ | cluster.environment | {"RAY_ADDRESS": cluster.address} | changes
    command = [sys.executable, "-m", "slacktide.service.cli", "doctor", "--json"]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return {(check["area"], check["subject"]): check for check in json.loads(done.stdout)["checks"]}


def looked_at(cluster, tmp_path: Path) -> None:
    """Check what the doctor finds: nothing, then a node with a clock of its own and a key for all, then no way in."""
    quiet = {"XDG_DATA_HOME": str(tmp_path / "share")}
    found = doctor(cluster, 0, **quiet)
    assert {check["verdict"] for check in found.values()} == {"ok"}, found
    assert "2 nodes" in found["ray", "cluster"]["fact"]
    assert found["ray", "node of h1"]["fact"].endswith("token and TLS")
    assert "limit 500 ms" in found["clocks", "node of h1"]["fact"]
    assert ("certificates", "Ray's on 127.0.0.11") in found
    (tmp_path / "s" / "h2.key").chmod(0o644)
    cluster.start_node("h2", **environment(tmp_path / "s", "h2"), **ahead_by(4, tmp_path))
    found = doctor(cluster, 1, **quiet)
    clock = found["clocks", "node of h2"]
    assert clock["verdict"] == "error"
    assert clock["fact"].startswith(("3,9", "4,0")), clock["fact"]
    assert "mode 644" in found["certificates", "Ray's on 127.0.0.12"]["fact"]
    assert found["clocks", "node of h1"]["verdict"] == "ok"
    cluster.end_node("h2")
    stranger = tmp_path / "stranger"
    stranger.write_text("f" * 64)
    stranger.chmod(0o600)
    found = doctor(cluster, 1, RAY_AUTH_TOKEN_PATH=str(stranger), **quiet)
    assert "does not answer" in found["ray", "cluster"]["fact"]


def one_hangs(cluster) -> None:
    """Check that a node whose process hangs takes the answers of no other."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in cluster.environment.items():
            patch.setenv(name, value)
        line = line_to_ray(cluster.address)
    try:
        nodes = {each["address"]: each["node"] for each in line.ask("cluster")["nodes"] if each["alive"]}
        hanging = nodes["127.0.0.11"]
        assert line.ask("clock_ms", on=hanging) > 0
        raylet = cluster.nodes["h1"].named("raylet")
        (process,) = [each for each in below(raylet) if words_of(each)[0].startswith("ray::NodeSide")]
        os.kill(process, signal.SIGSTOP)
        with pytest.raises(ExecutionError, match="GetTimeoutError"):
            line.ask("clock_ms", on=hanging, limit_s=2)
        assert line.ask("clock_ms", on=nodes[HEAD_IP]) > 0
        os.kill(process, signal.SIGCONT)
        assert line.ask("clock_ms", on=hanging) > 0
    finally:
        line.close()


def test_a_campaign_runs_on_a_cluster_with_token_and_tls_and_nobody_else_gets_in(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    made = make_secrets(tmp_path / "s", {"head": HEAD_IP, "h1": "127.0.0.11", "h2": "127.0.0.12"})
    assert made["RAY_AUTH_MODE"] == "token"
    assert made["RAY_USE_TLS"] == "1"
    (tmp_path / "other").mkdir()
    others = make_secrets(tmp_path / "other" / "s", {"head": HEAD_IP})
    with ray_cluster(tmp_path_factory.mktemp("r"), **made) as cluster:
        cluster.start_node("h1", **environment(tmp_path / "s", "h1"))
        with small_campaign(tmp_path, cluster.address, cluster.environment, pace=200.0) as running:
            assert running.end() == 0, running.words
            assert_done_once(running)
        assert connected(cluster, {}).stdout.strip() == "nodes 2"
        one_hangs(cluster)
        looked_at(cluster, tmp_path)
        token = {"RAY_AUTH_TOKEN_PATH": others["RAY_AUTH_TOKEN_PATH"]}
        tls = {key: others[key] for key in others if key.startswith("RAY_TLS")}
        strangers = [token, tls, {"RAY_USE_TLS": "0"}]
        with ThreadPoolExecutor() as pool:
            for refused in pool.map(lambda stranger: connected(cluster, stranger), strangers):
                assert refused.returncode != 0
                assert "nodes" not in refused.stdout
