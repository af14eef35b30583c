"""A cluster as docs/deploy.md sets it up: token authentication and TLS on, and a campaign on it."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from campaign_commands import assert_done_once, small_campaign
from cluster_secrets import environment, make_secrets
from ray_cluster import HEAD_IP, ray_cluster

pytestmark = pytest.mark.integration
CONNECT = "import ray; ray.init(log_to_driver=False); print('nodes', len(ray.nodes()))"


def connected(cluster, changes: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Try to be a driver of the cluster with some settings changed; those that are empty are left out."""
    settings = cluster.environment | {"RAY_ADDRESS": cluster.address, "RAY_gcs_server_request_timeout_seconds": "5"}
    environ = {key: value for key, value in (os.environ | settings | changes).items() if value}
    return subprocess.run(
        [sys.executable, "-c", CONNECT], env=environ, capture_output=True, text=True, timeout=120, check=False
    )


def test_a_campaign_runs_on_a_cluster_with_token_and_tls_and_nobody_else_gets_in(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    made = make_secrets(tmp_path / "s", {"head": HEAD_IP, "h1": "127.0.0.11"})
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
        token = {"RAY_AUTH_TOKEN_PATH": others["RAY_AUTH_TOKEN_PATH"]}
        tls = {key: others[key] for key in others if key.startswith("RAY_TLS")}
        strangers = [token, tls, {"RAY_USE_TLS": "0"}]
        with ThreadPoolExecutor() as pool:
            for refused in pool.map(lambda stranger: connected(cluster, stranger), strangers):
                assert refused.returncode != 0
                assert "nodes" not in refused.stdout
