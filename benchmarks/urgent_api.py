"""From an urgent request over HTTP to the first migration, and how soon reads are answered with planning beside.

``python benchmarks/urgent_api.py [HOSTS]`` has a server of its own on a free port, with its data in a temporary folder,
and prints one line of JSON.  The load of the machine stands beside the figures.
"""

import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from slacktide.service.fleet_intake import OWN

READERS = 8
READ_FOR_S = 20.0


def cli(*words: str) -> list[str]:
    """Return the command line of a command of ours."""
    return [sys.executable, "-m", "slacktide.service.cli", *words]


def measured(hosts: int, folder: Path) -> dict[str, Any]:
    """Return the figures of one night."""
    fleet, data = folder / "fleet", folder / "data"
    subprocess.run(cli("fleet", "generate", "--hosts", str(hosts), "-o", str(fleet)), check=True, capture_output=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    said = (folder / "said").open("wb")
    server = subprocess.Popen(cli("serve", "--data", str(data), "--port", str(port)), stdout=said, stderr=said)
    try:
        made = subprocess.run(
            cli("token", "create", "benchmark", "--role", "operator", "--data", str(data), "--json"),
            check=True,
            capture_output=True,
        )
        headers = {"Authorization": f"Bearer {json.loads(made.stdout)['token']}"}
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=600) as api:
            return _night(api, fleet)
    finally:
        server.terminate()
        server.wait()
        said.close()


def _night(api: httpx.Client, fleet: Path) -> dict[str, Any]:
    _until(lambda: _answers(api))
    figures: dict[str, Any] = {"load_before": os.getloadavg()[0]}
    begun_s = time.monotonic()
    parts = {part: (name, (fleet / name).read_bytes()) for part, name in OWN.items()}
    uploaded = api.post("/v1/fleets", files=parts).raise_for_status().json()
    figures |= {"hosts": uploaded["summary"]["hosts"], "vms": uploaded["summary"]["vms"]}
    figures["upload_s"] = round(time.monotonic() - begun_s, 1)
    begun_s = time.monotonic()
    asked = {"fleet_id": uploaded["fleet_id"], "within_s": 6 * 3600, "time_limit_s": 0}
    job = api.post("/v1/campaigns/urgent", json=asked).raise_for_status()
    figures["answered_s"] = round(time.monotonic() - begun_s, 2)
    path = job.headers["Location"]
    _until(lambda: api.get(path).json()["state"] not in ("queued", "running"))
    done = api.get(path).json()
    figures["planned_s"] = round(time.monotonic() - begun_s, 1)
    campaign = f"/v1/campaigns/{done['result']['campaign_id']}"
    first = f"{campaign}/events?type=migration-intended&limit=1"
    _until(lambda: bool(api.get(first).json().get("items")))
    figures["first_migration_s"] = round(time.monotonic() - begun_s, 1)
    figures["reads_beside_campaign"] = _read_while(api, campaign, path)
    _end(api, campaign)
    again = {"plan_id": done["result"]["plan_id"], "terms": {"simulation": {"seed": 1}}}
    campaign = api.post("/v1/campaigns", json=again).raise_for_status().headers["Location"]
    first = f"{campaign}/events?type=migration-intended&limit=1"
    _until(lambda: bool(api.get(first).json().get("items")))
    searched = {"fleet_id": uploaded["fleet_id"], "preset": "urgent", "time_limit_s": 600}
    path = api.post("/v1/plans", json=searched).raise_for_status().headers["Location"]
    _until(lambda: api.get(path).json()["state"] == "running")
    figures["reads_beside_campaign_and_planning"] = _read_while(api, campaign, path)
    api.post(f"{path}/cancel").raise_for_status()
    _end(api, campaign)
    figures["load_after"] = os.getloadavg()[0]
    return figures


def _read_while(api: httpx.Client, campaign: str, job: str) -> dict[str, Any]:
    """Return how soon reads are answered for a while, and what the campaign and the job got done meanwhile."""
    reads = [campaign, f"{campaign}/migrations?limit=100", f"{campaign}/waiting", "/v1/fleets", job]
    for path in reads:
        api.get(path)  # the first look folds the journal up to now
    done, began_s = _done(api, campaign), time.monotonic()
    found = asyncio.run(_read(str(api.base_url), dict(api.headers), reads))
    took_s = time.monotonic() - began_s
    states = {"campaign": api.get(campaign).json()["standing"], "job": api.get(job).json()["state"]}
    return {**found, "migrations_per_s": round((_done(api, campaign) - done) / took_s), "in_the_end": states}


def _done(api: httpx.Client, campaign: str) -> int:
    return int(api.get(campaign).json()["progress"]["migrations"].get("done", 0))


def _end(api: httpx.Client, campaign: str) -> None:
    """End the process that carries a campaign out, if one does: it would go on without the server."""
    order = {"order": {"kind": "abort"}, "why": "measured"}
    if api.get(campaign).json()["holder"] is not None:
        api.post(f"{campaign}/orders", json=order)
        _until(lambda: api.get(campaign).json()["holder"] is None)


async def _read(url: str, headers: dict[str, str], paths: list[str]) -> dict[str, Any]:
    """Return how long reads took, in milliseconds, with several callers at once."""
    took: dict[str, list[float]] = {path: [] for path in paths}
    end_s = time.monotonic() + READ_FOR_S

    async def reader(api: httpx.AsyncClient, number: int) -> None:
        while time.monotonic() < end_s:
            path = paths[number % len(paths)]
            begun_s = time.monotonic()
            (await api.get(path)).raise_for_status()
            took[path].append(1000 * (time.monotonic() - begun_s))
            number += 1

    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=60) as api:
        await asyncio.gather(*(reader(api, number) for number in range(READERS)))
    every = np.concatenate([np.array(times) for times in took.values()])
    return {
        "reads": len(every),
        "reads_per_s": round(len(every) / READ_FOR_S, 1),
        **{f"read_p{share}_ms": round(float(np.percentile(every, share)), 1) for share in (50, 95, 99)},
        "read_p99_ms_of": {path: round(float(np.percentile(times, 99)), 1) for path, times in took.items() if times},
    }


def _answers(api: httpx.Client) -> bool:
    try:
        return api.get("/readyz").status_code == 200
    except httpx.TransportError:
        return False


def _until(done: Callable[[], bool]) -> None:
    while not done():
        time.sleep(0.1)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        print(json.dumps(measured(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000, Path(place))))
