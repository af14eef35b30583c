"""Campaigns begun by a request in a file and by an alert over HTTP, with the watcher killed again and again."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from small_fleet import small_fleet

from slacktide.datasets.files import write_snapshot
from slacktide.executors.report import read_summary
from slacktide.executors.store.address import store_in
from slacktide.executors.store.campaigns import list_campaigns
from slacktide.executors.store.reading import read_journal
from slacktide.executors.store.triggers import TriggerStore
from slacktide.executors.triggers.trigger import State, Trigger
from slacktide.ids import CampaignId

PROGRAM = [sys.executable, "-m", "slacktide.service.cli"]
WITHIN_S = 600.0
"""Until it is given up: the planner's code may have to be compiled first."""
SETTINGS = """
fleet: {directory: fleet}
campaigns: campaigns
look_every_s: 0.2
plan: {time_limit_s: 0}
run: {ray: false}
requests: {paths: [requests], start: approve}
alerts: {listen: "127.0.0.1:0", token_file: token}
"""


class Watched:
    """A fleet that `slacktide triggers run` watches."""

    def __init__(self, folder: Path, file: str = "triggers.yaml", said: str = "said.log") -> None:
        self.folder, self.file = folder, folder / file
        self.said = folder / said
        self.begin()

    def begin(self) -> None:
        with self.said.open("a") as said:
            command = [*PROGRAM, "triggers", "run", str(self.file)]
            self.process = subprocess.Popen(command, stderr=said)

    def kill(self) -> None:
        """End the watcher as ``kill -9`` does, and begin it again."""
        self.process.kill()
        self.process.wait(30)
        self.begin()

    def until_said(self, words: str) -> None:
        """Wait until the watcher has said something."""
        finish = time.monotonic() + WITHIN_S
        while words not in self.said.read_text():
            assert self.process.poll() is None, self.said.read_text()
            assert time.monotonic() < finish, self.said.read_text()
            time.sleep(0.05)

    def close(self) -> None:
        """End all that was begun, the watcher first."""
        self.process.kill()
        self.process.wait(30)
        for lock in self.folder.glob("campaigns*/*/lock"):
            end(lock)

    def until(self, found: Callable[[tuple[Trigger, ...]], bool]) -> tuple[Trigger, ...]:
        """Return the triggers once they are as wanted."""
        finish = time.monotonic() + WITHIN_S
        while time.monotonic() < finish:
            assert self.process.poll() is None, self.said.read_text()
            if (self.folder / "campaigns/triggers.sqlite").exists():
                store = TriggerStore(store_in(self.folder / "campaigns/triggers.sqlite"), "fleet")
                rows = store.all()
                store.close()
                if found(rows):
                    return rows
            time.sleep(0.05)
        raise AssertionError(self.said.read_text())

    def post(self, body: dict, token: str = "secret") -> httpx.Response:
        """Post a delivery as Alertmanager does, to where the watcher that runs now listens."""
        finish = time.monotonic() + WITHIN_S
        while time.monotonic() < finish:
            address = re.findall(r"listening for alerts at (\S+)", self.said.read_text())[-1]
            try:
                headers = {"Authorization": f"Bearer {token}"}
                return httpx.post(f"http://{address}/api/v1/alerts", json=body, headers=headers, timeout=60)
            except httpx.ConnectError:
                time.sleep(0.1)
        raise AssertionError(self.said.read_text())


def end(lock: Path) -> None:
    """End the process that holds a lock, if there is one."""
    text = lock.read_text().strip()
    try:
        words = Path(f"/proc/{text}/cmdline").read_bytes() if text else b""
    except FileNotFoundError:
        return
    if str(lock.parent).encode() in words:
        os.kill(int(text), signal.SIGKILL)


def delivery(*hosts: str, status: str = "firing") -> dict:
    alerts = [
        {
            "status": status,
            "labels": {"alertname": "HostAboutToFail", "instance": f"{host}:9100"},
            "startsAt": "2026-11-29T15:00:00Z",
            "fingerprint": f"of {host}",
        }
        for host in hosts
    ]
    return {"version": "4", "status": status, "alerts": alerts}


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    write_snapshot(small_fleet(), tmp_path / "fleet")
    (tmp_path / "requests").mkdir()
    (tmp_path / "token").write_text("secret\n")
    (tmp_path / "triggers.yaml").write_text(SETTINGS)
    watching = Watched(tmp_path)
    try:
        yield watching
    finally:
        watching.close()


def is_at(number: int, *states: State) -> Callable[[tuple[Trigger, ...]], bool]:
    return lambda rows: len(rows) >= number and rows[number - 1].state in states


def test_a_request_and_an_alert_begin_campaigns_once_whatever_is_killed(watched) -> None:
    half = watched.folder / "requests" / ".kernel.yaml"
    half.write_text("id: kernel\npatch_level: patched\norder: other\nby: grace\n")
    half.rename(watched.folder / "requests" / "kernel.yaml")

    # The watcher is killed as soon as each of its steps is written down.
    watched.until(lambda rows: len(rows) == 1)
    watched.kill()
    watched.until(lambda rows: rows[0].state is not State.WAITS)
    watched.kill()
    watched.until(lambda rows: rows[0].course.step == "plan" or rows[0].course.launched)
    watched.kill()
    watched.until(lambda rows: rows[0].course.launched)
    watched.kill()
    (one,) = watched.until(is_at(1, State.APPROVAL))
    watched.kill()

    # So is the campaign's own process while it waits: it is begun again, and goes on.
    campaign = watched.folder / "campaigns" / one.course.directory / "campaign"
    end(campaign.parent / "lock")
    approve = [*PROGRAM, "campaign", "approve", str(campaign), "--by", "ada", "--why", "checked"]
    assert subprocess.run(approve, capture_output=True, check=False, timeout=WITHIN_S).returncode == 0
    (one,) = watched.until(is_at(1, State.DONE))
    summary = read_summary(campaign)
    assert summary.hosts == {"returned": summary.hosts["returned"]}, "all that were due"
    assert one.course.attempt == 1

    # An alert of another kind of host: unknown, not allowed, then evacuated at once.
    assert watched.post(delivery("h1"), token="wrong").status_code == 401
    answer = watched.post(delivery("h1", "nobody")).json()
    assert [each["outcome"] for each in answer["alerts"]] == [
        "to be drained",
        "the fleet has no host nobody, by label `instance`",
    ]
    watched.kill()
    assert watched.post(delivery("h1")).status_code == 200
    rows = watched.until(is_at(2, State.DONE))
    assert [str(each.state) for each in rows] == ["done", "done", "refused"]
    assert rows[1].course.times == 2, "a repeated delivery is folded"

    # Each campaign is there once, and the host was evacuated once in it.
    store = store_in(watched.folder / "campaigns/triggers.sqlite")
    campaigns = list_campaigns(store)
    assert [each.record.campaign_id for each in campaigns] == [rows[0].course.campaign_id, rows[1].course.campaign_id]
    journal = read_journal(store, CampaignId(campaigns[1].record.campaign_id))
    events = [entry.event for entry in journal.read()]
    journal.close()
    assert [event.host_id for event in events if event.type == "host-evacuated"] == ["h1"]
    assert {event.type for event in events} >= {"migration-intended", "migration-done"}

    watched.process.send_signal(signal.SIGTERM)
    assert watched.process.wait(60) == 0
    assert "ended: campaigns that were begun go on" in watched.said.read_text()


def test_of_two_watchers_with_one_store_one_carries_out_whatever_lies_among_the_requests(watched) -> None:
    requests = watched.folder / "requests"
    os.mkfifo(requests / "a-pipe.yaml")
    (requests / "b-link.yaml").symlink_to("nowhere")
    (requests / "c-date.yaml").write_text("2026-01-01: x\n")
    (requests / os.fsdecode(b"d-\xff.yaml")).write_text("id: odd\npatch_level: patched\n")
    watched.until(lambda rows: [str(each.state) for each in rows] == ["refused"] * 4)

    store = f"store: sqlite:///{watched.folder}/campaigns/triggers.sqlite\n"
    elsewhere = SETTINGS.replace("campaigns: campaigns", "campaigns: campaigns-too") + store
    (watched.folder / "second.yaml").write_text(elsewhere)
    second = Watched(watched.folder, "second.yaml", "second.log")
    try:
        second.until_said("waits: fleet fleet is watched for by ")
        assert f":{watched.process.pid}:" in second.said.read_text(), "it says who"
        watched.process.kill()
        watched.process.wait(30)
        second.until_said("fleet fleet is watched for here now")
        (requests / "kernel.yaml").write_text("id: kernel\npatch_level: patched\norder: other\n")
        rows = second.until(lambda rows: len(rows) == 5 and rows[4].course.step == "plan")
        assert (watched.folder / "campaigns-too" / rows[4].course.directory).is_dir()
        second.process.send_signal(signal.SIGINT)
        assert second.process.wait(60) == 0
    finally:
        second.close()
