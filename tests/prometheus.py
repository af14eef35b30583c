"""A Prometheus of its own on loopback, as an operator would have it scrape a cluster of Ray."""

import json
import shutil
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from ray_cluster import HEAD_IP, free_ports, until

LOOK_BACK = "30m"
"""How far back a metric counts as there: longer than a test takes."""


class Series(NamedTuple):
    labels: dict[str, str]
    value: float


class Prometheus:
    """A server that answers queries."""

    def __init__(self, url: str) -> None:
        self.url = url

    def get(self, path: str, **query: str) -> Any:
        with urllib.request.urlopen(f"{self.url}{path}?{urllib.parse.urlencode(query)}", timeout=30) as answer:
            return json.load(answer)["data"]

    def query(self, expression: str) -> list[Series]:
        found = self.get("/api/v1/query", query=expression)["result"]
        return [Series(one["metric"], float(one["value"][1])) for one in found]

    def last(self, selector: str) -> list[Series]:
        """Return the last value of each series, whether or not its process still tells."""
        return self.query(f"last_over_time({selector}[{LOOK_BACK}])")

    def names(self) -> set[str]:
        return set(self.get("/api/v1/label/__name__/values"))

    def kinds(self) -> dict[str, str]:
        """Return the kind of each metric, as it was scraped; counters are without their ``_total``."""
        return {name: entries[0]["type"] for name, entries in self.get("/api/v1/metadata").items()}


@contextmanager
def prometheus(folder: Path, configuration: Path) -> Iterator[Prometheus]:
    """Have a Prometheus with a configuration that Ray has written, that scrapes every second and not every ten."""
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("there is no prometheus on the path (apt-get install prometheus)")
    settings = yaml.safe_load(configuration.read_text())
    settings["global"] |= {"scrape_interval": "1s", "evaluation_interval": "1s"}
    for job in settings["scrape_configs"]:
        for found in job["file_sd_configs"]:
            found["refresh_interval"] = "1s"
    ours = folder / "prometheus.yml"
    ours.write_text(yaml.safe_dump(settings))
    (port,) = free_ports(1)
    command = [program, f"--config.file={ours}", f"--storage.tsdb.path={folder / 'tsdb'}"]
    command += [f"--web.listen-address={HEAD_IP}:{port}", "--log.level=warn"]
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    try:
        served = Prometheus(f"http://{HEAD_IP}:{port}")
        until(lambda: _answers(served), 60, f"prometheus answers, see {folder / 'prometheus.log'}")
        yield served
    finally:
        process.terminate()
        process.wait(30)


def _answers(served: Prometheus) -> bool:
    try:
        return bool(served.query("vector(1)"))
    except OSError:
        return False
