"""What an operator sees of a campaign on Ray: names in Ray's state, metrics in Prometheus, and Grafana's dashboard."""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from campaign_commands import Running, small_campaign
from prometheus import Prometheus, prometheus
from ray_cluster import RAY, RayCluster, ray_cluster, until

from slacktide.executors.measuring.dashboard import DASHBOARD_FILE, write_dashboard
from slacktide.executors.measuring.metrics import BLACKOUT, BLACKOUT_BUCKETS_S, METRICS, Kind

pytestmark = pytest.mark.integration
PACE = 30.0


@pytest.fixture(scope="module")
def dashboards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder in which our dashboard is before Ray starts, as docs/observability.md has it."""
    return write_dashboard(tmp_path_factory.mktemp("dashboards")).parent


@pytest.fixture(scope="module")
def cluster(dashboards: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RayCluster]:
    settings = {
        "RAY_AUTH_MODE": "disabled",
        "RAY_enable_metrics_collection": "1",
        "RAY_metrics_report_interval_ms": "1000",
        "RAY_METRICS_GRAFANA_DASHBOARD_OUTPUT_DIR": str(dashboards),
    }
    with ray_cluster(tmp_path_factory.mktemp("r"), ["h1", "h2"], dashboard=True, **settings) as made:
        yield made


@pytest.fixture(scope="module")
def watching(cluster: RayCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    configuration = cluster.folder / "session_latest" / "metrics" / "prometheus" / "prometheus.yml"
    until(configuration.exists, 60, "Ray has written Prometheus' configuration")
    with prometheus(tmp_path_factory.mktemp("p"), configuration) as served:
        yield served


def listed(cluster: RayCluster, what: str) -> list[dict[str, Any]]:
    command = [
        str(RAY),
        "list",
        what,
        "--address",
        cluster.dashboard,
        "--format",
        "json",
        "--detail",
        "--limit",
        "1000",
    ]
    done = subprocess.run(command, env=os.environ | cluster.environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def logged(cluster: RayCluster, actor: str) -> list[dict[str, Any]]:
    """Return the lines of JSON in an actor's log, as ``ray logs`` prints it once its node's agent is there."""
    command = [str(RAY), "logs", "actor", "--id", actor, "--tail", "-1", "--address", cluster.address]

    def lines() -> list[dict[str, Any]]:
        environment = os.environ | cluster.environment
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
        return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]

    found: list[dict[str, Any]] = until(lines, 60, f"there are lines of {actor}")
    return found


def campaign_of(running: Running) -> str:
    (created,) = [one for one in running.entries() if one.kind == "campaign-created"]
    assert created.body is not None
    campaign: str = json.loads(created.body)["campaign_id"]
    return campaign


def test_an_operator_sees_a_campaign_by_its_names_and_in_prometheus(
    cluster: RayCluster, watching: Prometheus, dashboards: Path, tmp_path: Path
) -> None:
    with small_campaign(tmp_path, cluster.address, cluster.environment, PACE) as running:
        running.until_told("brownout-started")
        campaign = campaign_of(running)
        actors = {one["name"]: one["actor_id"] for one in listed(cluster, "actors") if one["state"] == "ALIVE"}
        assert actors.keys() == {
            f"coordinator of campaign {campaign}",
            *(f"agent of host h{number}, campaign {campaign}" for number in range(1, 7)),
        }
        tasks = {f"step of campaign {campaign}", "turn of agent h1"}
        until(lambda: tasks <= {task["name"] for task in listed(cluster, "tasks")}, 60, f"there are {tasks}")
        assert {"name": f"campaign {campaign}"} in [job["metadata"] for job in listed(cluster, "jobs")]
        running.until_told("patch-started", "h1")
        told = logged(cluster, actors[f"coordinator of campaign {campaign}"])
        assert "host-drain-started" in {line["message"] for line in told if line.get("host") == "h1"}
        assert {line["campaign"] for line in told} == {campaign}
        asked = logged(cluster, actors[f"agent of host h1, campaign {campaign}"])
        assert {"begun", "asked to patch"} <= {line["message"] for line in asked}
        assert {(line["campaign"], line["agent"]) for line in asked} == {(campaign, "h1")}
        every_metric_is_of_its_kind(watching)
        assert running.end() == 0, running.words
        moved = sum(one.kind == "forwarding-started" for one in running.entries())
    assert moved == 5

    def blackouts() -> float:
        series = watching.last(f"ray_{BLACKOUT.name}_count")
        return sum(one.value for one in series if one.labels["campaign"] == campaign)

    until(lambda: blackouts() == moved, 60, "Prometheus has every blackout")
    every_metric_is_there(watching, campaign)
    every_query_has_its_metrics(watching, dashboards / DASHBOARD_FILE)
    (provisioning,) = (cluster.folder / "session_latest" / "metrics" / "grafana").glob("provisioning/dashboards/*.yml")
    (provider,) = yaml.safe_load(provisioning.read_text())["providers"]
    assert provider["options"]["path"] == str(dashboards)
    assert (dashboards / "default_grafana_dashboard.json").exists(), "Ray's own are beside it"


def every_metric_is_of_its_kind(watching: Prometheus) -> None:
    """Check what Prometheus takes each metric for; it knows that of what the last scrape had."""
    wanted = {f"ray_{metric.name}".removesuffix("_total"): metric.kind.value for metric in METRICS}
    until(lambda: wanted.keys() <= watching.kinds().keys(), 60, "Prometheus has scraped every metric")
    assert wanted.items() <= watching.kinds().items()


def every_metric_is_there(watching: Prometheus, campaign: str) -> None:
    for metric in METRICS:
        name = f"ray_{metric.name}"
        series = watching.last(f"{name}_count" if metric.kind is Kind.HISTOGRAM else name)
        assert series, name
        for one in series:
            assert one.labels["campaign"] == campaign
            assert set(metric.labels) <= one.labels.keys(), name
    ends = {one.labels["le"] for one in watching.last(f"ray_{BLACKOUT.name}_bucket")}
    assert sorted(map(float, ends)) == [*BLACKOUT_BUCKETS_S, float("inf")]
    values = {name: watching.last(f"ray_slacktide_{name}")[0].value for name in ("hosts_planned", "migrations_planned")}
    assert values == {"hosts_planned": 3, "migrations_planned": 5}
    most = {
        name: max(one.value for one in watching.query(f"max_over_time(ray_slacktide_{name}[30m])"))
        for name in ("hosts_done", "migrations_done", "migrations_in_flight", "link_use_max_ratio", "agents")
    }
    assert (most["hosts_done"], most["migrations_done"], most["agents"]) == (3, 5, 6)
    assert most["migrations_in_flight"] > 0
    assert 0 < most["link_use_max_ratio"] <= 1


def every_query_has_its_metrics(watching: Prometheus, path: Path) -> None:
    """Check that what the dashboard asks for was scraped, and that Prometheus understands and answers it."""
    dashboard = json.loads(path.read_text())
    there = watching.names()
    panels = [panel for panel in dashboard["panels"] if panel["type"] != "row"]
    asked = [variable["definition"] for variable in dashboard["templating"]["list"] if variable["type"] == "query"]
    for panel in panels:
        defaults = panel["fieldConfig"]["defaults"]
        assert "unit" in defaults or panel["options"]["yAxis"]["unit"], panel["title"]
        for target in panel["targets"]:
            asked.append(target["expr"])
            expression = target["expr"].replace("$campaign", ".*").replace("$__rate_interval", "30m")
            watching.query(expression)
    for expression in asked:
        names = set(re.findall(r"\bray_slacktide_\w+", expression))
        assert names, expression
        assert names <= there, expression
    unseen = {metric.name for metric in METRICS if not any(f"ray_{metric.name}" in expression for expression in asked)}
    assert not unseen, "every metric is on the dashboard"
