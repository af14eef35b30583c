"""How long a watcher takes for a flood: a delivery of many alerts, a directory that is filled with requests at once.

The watcher is the real one, as a process with its store on disk, and looks at its files each second.  Each flood has a
fleet, a store and a watcher of its own, which SIGINT ends once the flood is taken.  Writing the files is in the time.

    python benchmarks/trigger_flood.py --alerts 1000 --of-one-host 3000 --files 10000 [--limit-s 300]
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
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx

PROGRAM = [sys.executable, "-m", "slacktide.service.cli"]
SETTINGS = """fleet: {directory: fleet}
campaigns: campaigns
look_every_s: 1
run: {ray: false}
requests: {paths: [requests]}
alerts: {listen: "127.0.0.1:0", start: approve}
"""


def main() -> None:
    """Measure, and print a line for each flood."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--alerts", type=int, default=1000)
    parser.add_argument("--of-one-host", type=int, default=3000)
    parser.add_argument("--files", type=int, default=10000)
    parser.add_argument("--limit-s", type=float, default=300.0)
    asked = parser.parse_args()
    unknown = [f"unknown-{number}" for number in range(asked.alerts)]
    _flood("unknown hosts", asked.limit_s, lambda folder, url: _delivered(url, unknown, asked.limit_s))
    one = ["host-000003"] * asked.of_one_host
    _flood("one host", asked.limit_s, lambda folder, url: _delivered(url, one, asked.limit_s))
    for name, hosts in (("newer and newer", ""), ("each of a host", "hosts: [h{0}]\n")):
        _flood(name, asked.limit_s, lambda folder, url, hosts=hosts: _filled(folder, asked.files, hosts, asked.limit_s))


def _flood(name: str, limit_s: float, flood: Callable[[Path, str], int]) -> None:
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        generate = [*PROGRAM, "fleet", "generate", "--hosts", "20", "--seed", "1", "-o", str(folder / "fleet")]
        subprocess.run(generate, check=True, capture_output=True)
        (folder / "requests").mkdir()
        (folder / "triggers.yaml").write_text(SETTINGS)
        said = folder / "said.log"
        with said.open("w") as log:
            watcher = subprocess.Popen([*PROGRAM, "triggers", "run", str(folder / "triggers.yaml")], stderr=log)
        try:
            url = _listening(said, watcher)
            begun_s = time.monotonic()
            count = flood(folder, url)
            took_s = time.monotonic() - begun_s
            ended_s = _ended(watcher, limit_s)
        finally:
            watcher.kill()
            watcher.wait()
        print(f"{name:16}  {count:6,} taken in {took_s:6.1f} s; SIGINT ends it in {ended_s:4.1f} s", flush=True)


def _listening(said: Path, watcher: "subprocess.Popen[bytes]") -> str:
    while not (found := re.search(r"listening for alerts at (\S+)", said.read_text())):
        if watcher.poll() is not None:
            raise SystemExit(said.read_text())
        time.sleep(0.05)
    return f"http://{found[1]}/api/v1/alerts"


def _ended(watcher: "subprocess.Popen[bytes]", limit_s: float) -> float:
    begun_s = time.monotonic()
    watcher.send_signal(signal.SIGINT)
    watcher.wait(limit_s)
    return time.monotonic() - begun_s


def _delivered(url: str, hosts: list[str], limit_s: float) -> int:
    alerts: list[dict[str, Any]] = [
        {
            "status": "firing",
            "labels": {"alertname": "HostAboutToFail", "instance": f"{host}:9100"},
            "startsAt": "2026-11-29T15:00:00Z",
            "fingerprint": f"f{number}",
        }
        for number, host in enumerate(hosts)
    ]
    try:
        answer = httpx.post(url, content=json.dumps({"version": "4", "alerts": alerts}), timeout=limit_s)
    except httpx.TimeoutException:
        return 0
    return len(answer.json()["alerts"])


def _filled(folder: Path, files: int, hosts: str, limit_s: float) -> int:
    for number in range(files):
        text = f"id: k{number}\npatch_level: 6.1.{number}-1\n{hosts.format(number)}"
        (folder / "requests" / f"{number:05}.yaml").write_text(text)
    finish_s = time.monotonic() + limit_s
    found = 0
    while found < files and time.monotonic() < finish_s:
        time.sleep(0.2)
        with closing(sqlite3.connect(folder / "campaigns/triggers.sqlite", timeout=30)) as store:
            found = store.execute("SELECT count(*) FROM triggers").fetchone()[0]
    return int(found)


if __name__ == "__main__":
    main()
