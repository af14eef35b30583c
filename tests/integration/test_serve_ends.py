"""A server that is told to end in the middle of its work, and the one after it: nothing that was promised is lost."""

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from http_server import parts_of
from page_reader import browser_path, opened_browser
from playwright.sync_api import expect

pytestmark = [pytest.mark.integration]
FLEET = Path(__file__).parents[1] / "replay" / "urgent" / "fleet"
PATIENCE_S = 300.0


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "slacktide.service.cli", *words]


def wait_for(done: Callable[[], Any]) -> Any:
    end = time.monotonic() + PATIENCE_S
    while not (found := done()):
        assert time.monotonic() < end, "nothing has come of it"
        time.sleep(0.1)
    return found


@contextmanager
def server(data: Path, port: int, *options: str) -> Iterator["subprocess.Popen[bytes]"]:
    said = data.parent / f"said-{secrets.token_hex(2)}"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    with said.open("wb") as file:
        words = command("serve", "--data", str(data), "--port", str(port), *options)
        process = subprocess.Popen(words, stdout=file, stderr=file, env=environment)
        try:
            wait_for(lambda: "/openapi.json" in said.read_text() or process.poll() is not None)
            assert process.poll() is None, said.read_text()
            yield process
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE_S) == 0, said.read_text()
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()


class Stream(threading.Thread):
    """Follows events until the stream ends or is cut off."""

    def __init__(self, url: str, headers: dict[str, str], path: str, after: int = 0) -> None:
        super().__init__(daemon=True)
        self.ids: list[int] = []
        self._ask = (f"{url}{path}", {**headers, "Last-Event-ID": str(after)})
        self.over = False
        self.start()

    def run(self) -> None:
        url, headers = self._ask
        with (
            suppress(httpx.HTTPError),
            httpx.stream("GET", url, headers=headers, timeout=PATIENCE_S) as answer,
        ):
            assert answer.status_code == 200
            for line in answer.iter_lines():
                if line.startswith("id: "):
                    self.ids.append(int(line.removeprefix("id: ")))
        self.over = True


class Asking(threading.Thread):
    """Asks for one job after the other, each under a key of its own, until there are enough."""

    def __init__(self, url: str, headers: dict[str, str], fleet: str) -> None:
        super().__init__(daemon=True)
        self.promised: dict[str, str] = {}
        """Job by key."""
        self.unanswered: list[str] = []
        """Keys of calls that broke off: what was asked is done, or its key is free."""
        self.refusals: list[httpx.Response] = []
        self._ask = (f"{url}/v1/plans", headers, {"fleet_id": fleet, "iterations": 0})
        self.enough = threading.Event()
        self.start()

    def run(self) -> None:
        url, headers, body = self._ask
        while not self.enough.wait(0.05):
            key = secrets.token_hex(8)
            try:
                answer = httpx.post(url, json=body, headers={**headers, "Idempotency-Key": key}, timeout=60)
            except httpx.ConnectError:
                continue
            except httpx.HTTPError:
                self.unanswered.append(key)
                continue
            if answer.status_code == 503:
                self.refusals.append(answer)
                continue
            assert answer.status_code == 202, answer.text
            self.promised[key] = answer.json()["job_id"]


class Night:
    """What is under way when the server is told to end."""

    def __init__(self, api: httpx.Client, url: str, headers: dict[str, str]) -> None:
        self.api, self.url, self.headers = api, url, headers
        self.fleet = api.post("/v1/fleets", files=parts_of(FLEET)).json()["fleet_id"]
        asked = {
            "fleet_id": self.fleet,
            "within_s": 14_400,
            "time_limit_s": 0,
            "terms": {"simulation": {"speed": 60.0}},
        }
        urgent = api.post("/v1/campaigns/urgent", json=asked).headers["Location"]
        wait_for(lambda: self.state(urgent) == "done")
        self.campaign = f"/v1/campaigns/{api.get(urgent).json()['result']['campaign_id']}"
        wait_for(lambda: api.get(self.campaign).json()["progress"] is not None)
        self.stream = Stream(url, headers, f"{self.campaign}/events/stream")
        wait_for(lambda: self.stream.ids)
        self.long = api.post("/v1/plans", json={"fleet_id": self.fleet, "time_limit_s": 3600}).headers["Location"]
        wait_for(lambda: self.state(self.long) == "running")
        self.asking = Asking(url, headers, self.fleet)
        wait_for(lambda: len(self.asking.promised) >= 3)

    def state(self, job: str) -> str:
        found: str = self.api.get(job).json()["state"]
        return found

    def repeated(self, key: str) -> httpx.Response:
        """Ask again for what was asked under a key."""
        body = {"fleet_id": self.fleet, "iterations": 0}
        return self.api.post("/v1/plans", json=body, headers={"Idempotency-Key": key})


def ends(night: Night, server: "subprocess.Popen[bytes]") -> None:
    """Tell the server to end, see that all goes on while callers leave, and have it end at once."""
    server.send_signal(signal.SIGTERM)
    wait_for(lambda: httpx.get(f"{night.url}/readyz").status_code == 503)
    assert httpx.get(f"{night.url}/readyz").json()["reasons"] == ["the server is shutting down"]
    heard, promised = len(night.stream.ids), len(night.asking.promised)
    wait_for(lambda: len(night.stream.ids) > heard and len(night.asking.promised) > promised)
    assert night.state(night.long) == "running"
    server.send_signal(signal.SIGTERM)
    assert server.wait(PATIENCE_S) == 0
    night.asking.enough.set()
    night.asking.join(PATIENCE_S)
    for refusal in night.asking.refusals:  # of the proxy, where it is asked while replicas end
        assert refusal.headers["Content-Type"] == "application/problem+json"
        assert refusal.json()["object"] == "the server"
        assert refusal.json()["request_id"] == refusal.headers["X-Request-Id"]
        assert refusal.headers["Retry-After"]
    wait_for(lambda: night.stream.over)
    assert night.stream.ids == list(range(1, len(night.stream.ids) + 1))


@contextmanager
def looked_at(night: Night) -> Iterator[Callable[[], None]]:
    """Have the campaign open in a browser, if there is one; what is made checks that the page has gone on by itself."""
    if browser_path() is None:
        yield lambda: None
        return
    with opened_browser() as browser:
        page = browser.new_page()
        token = night.headers["Authorization"].removeprefix("Bearer ")
        page.add_init_script(f"sessionStorage.setItem('slacktide-token', '{token}')")
        page.goto(f"{night.url}{night.campaign.replace('/v1', '/page')}?events=all")
        newest = page.locator(".log .at").first
        expect(newest).to_be_visible()

        def number() -> int:
            title = newest.get_attribute("title") or ""
            return int(title.removeprefix("event ").replace(",", ""))

        def goes_on() -> None:
            expect(page.locator(".banner")).to_be_hidden()
            expect(page.locator(".trouble")).to_have_count(0)
            expect(page.locator(".log + .note")).not_to_contain_text("New ones do not come")
            seen, figures = number(), page.get_by_text("As of, into the campaign:").inner_text()
            wait_for(lambda: number() > max(seen, night.stream.ids[-1]))
            expect(page.get_by_text("As of, into the campaign:")).not_to_have_text(figures)

        yield goes_on


def is_carried_on(night: Night) -> None:
    """Check that every call that was answered counts, the stream goes on, and jobs and the campaign do."""
    goes_on = Stream(night.url, night.headers, f"{night.campaign}/events/stream", night.stream.ids[-1])
    for key, job in night.asking.promised.items():
        again = night.repeated(key)
        assert (again.json()["job_id"], again.headers["Idempotency-Replayed"]) == (job, "true")
    for key in night.asking.unanswered:
        assert night.repeated(key).status_code == 202, "it was done, or its key is free"
    wait_for(lambda: goes_on.ids)
    assert goes_on.ids[0] == night.stream.ids[-1] + 1
    wait_for(lambda: night.api.get(night.long).json()["tries"] == 2 and night.state(night.long) == "running")
    night.api.post(f"{night.long}/cancel")
    wait_for(lambda: night.state(night.long) == "cancelled")
    assert night.api.get(night.long).json()["result"]["plan_id"]
    for job in night.asking.promised.values():
        wait_for(lambda job=job: night.state(f"/v1/jobs/{job}") == "done")
    order = {"order": {"kind": "abort"}, "why": "the test is over"}
    assert night.api.post(f"{night.campaign}/orders", json=order).status_code in (200, 202)
    wait_for(lambda: night.api.get(night.campaign).json()["standing"] in ("finished", "aborted"))


def test_what_was_promised_is_carried_on_by_the_next_server(tmp_path: Path) -> None:
    data, config = tmp_path / "data", tmp_path / "server.yaml"
    config.write_text("rates: {creations: 1000/second, changes: 1000/second}\n")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = command("token", "create", "the night", "--role", "operator", "--data", str(data), "--json")
    made = subprocess.run(words, check=True, capture_output=True)
    headers = {"Authorization": f"Bearer {json.loads(made.stdout)['token']}"}
    url = f"http://127.0.0.1:{port}"
    with httpx.Client(base_url=url, headers=headers, timeout=60) as api, ExitStack() as stack:
        with server(data, port, "--drain-s", "600", "--config", str(config)) as first:
            night = Night(api, url, headers)
            stack.callback(night.asking.enough.set)
            page_goes_on = stack.enter_context(looked_at(night))
            ends(night, first)
        assert not list(data.glob("leaving-*"))
        with server(data, port, "--config", str(config)):
            page_goes_on()
            is_carried_on(night)
