"""How long it takes from an alert to the first migration's intent in the journal, on simulated hosts.

Begins `slacktide triggers run` on a generated fleet, posts an alert of one host as Alertmanager does, and looks at the
store until an event of the kind ``migration-intended`` is there; repeated for other hosts, one after the other.

    python benchmarks/alert_to_intent.py --hosts 1000 --repeat 3 [--ray]
"""

import argparse
import json
import re
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import httpx
import polars as pl

PROGRAM = [sys.executable, "-m", "slacktide.service.cli"]
SETTINGS = """fleet: {{directory: fleet}}
campaigns: campaigns
run: {{ray: {ray}}}
alerts: {{listen: "127.0.0.1:0"}}
"""


def main() -> None:
    """Measure, and print a line for each alert."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hosts", type=int, default=1000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--ray", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        generate = [
            *PROGRAM,
            "fleet",
            "generate",
            "--hosts",
            str(asked.hosts),
            "--seed",
            "1",
            "-o",
            str(folder / "fleet"),
        ]
        subprocess.run(generate, check=True, capture_output=True)
        (folder / "triggers.yaml").write_text(SETTINGS.format(ray=str(asked.ray).lower()))
        _measure(folder, asked.repeat)


def _measure(folder: Path, repeat: int) -> None:
    vms = pl.read_parquet(folder / "fleet/vms.parquet")
    hosts = vms["host_id"].unique().sort().to_list()
    hosts = hosts[:: max(1, len(hosts) // repeat)][:repeat]
    said = folder / "said.log"
    with (
        said.open("w") as log,
        subprocess.Popen([*PROGRAM, "triggers", "run", str(folder / "triggers.yaml")], stderr=log) as watcher,
    ):
        while not (found := re.search(r"listening for alerts at (\S+)", said.read_text())):
            time.sleep(0.1)
        for number, host in enumerate(hosts, start=1):
            taken_s = _first_intent_s(folder, found[1], host, number)
            print(f"{host}: {vms.filter(pl.col('host_id') == host).height} VMs, first intent after {taken_s:.1f} s")
        watcher.send_signal(signal.SIGTERM)
    print(said.read_text())


def _first_intent_s(folder: Path, address: str, host: str, number: int) -> float:
    """Return the seconds from posting an alert to the first intent of its campaign, and let that campaign end."""
    alert = {
        "status": "firing",
        "labels": {"alertname": "HostAboutToFail", "instance": f"{host}:9100"},
        "startsAt": datetime.now(UTC).isoformat(),
        "fingerprint": f"f{number}",
    }
    begun = time.monotonic()
    answer = httpx.post(f"http://{address}/api/v1/alerts", json={"version": "4", "alerts": [alert]})
    answer.raise_for_status()
    with closing(sqlite3.connect(f"file:{folder}/campaigns/triggers.sqlite?mode=ro", uri=True)) as connection:
        query = "SELECT COUNT(DISTINCT campaign) FROM events WHERE type = 'migration-intended'"
        while connection.execute(query).fetchone()[0] < number:
            time.sleep(0.02)
        taken_s = time.monotonic() - begun
        done = "SELECT COUNT(*) FROM triggers WHERE state = 'done'"
        while connection.execute(done).fetchone()[0] < number:
            time.sleep(0.1)
    print(json.dumps(answer.json()))
    return taken_s


if __name__ == "__main__":
    main()
