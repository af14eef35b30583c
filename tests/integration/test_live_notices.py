"""Guests of Linux on real hosts hear of their migration from their host, and one says that it is ready."""

import json
import secrets
import threading
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import polars as pl
import pytest
from lab_tests import ON_LINUX_GUESTS

from slacktide.datasets.files import read_snapshot
from slacktide.errors import SlacktideError
from slacktide.executors.campaign_directory import open_campaign
from slacktide.executors.connections_file import read_connections
from slacktide.executors.drivers.libvirt.settings import LibvirtSettings
from slacktide.executors.maintenance.action import command_action
from slacktide.lab.guests import Guest, guests_on
from slacktide.lab.layout import Lab, LabSettings
from slacktide.lab.lifecycle import down, up
from slacktide.lab.questions import ask, verify
from slacktide.planner.plan_files import read_plan
from slacktide.service.cli import main

pytestmark = ON_LINUX_GUESTS
NOTICE_S = 15
READY_S = 3
LATE_S = 20.0
PATCH_S = 8
"""Long enough for guests to ask their new host: that answers as long as the campaign goes on."""
UNKNOWN = "unknown"
"""What a guest has been told while nobody has answered it."""
SOON_S = 2.0
AGAIN_S = 6.0
"""How long a guest may take to notice that its poll was cut off, and to ask again."""
MOMENTS = ("told_s", "acknowledged_s", "start_s", "end_s", "notice_s")
PATIENT = Guest(1, 100, 16, kind="linux", asks=True)
BARE = Guest(2)
READY = Guest(3, 100, 16, kind="linux", asks=True, acknowledges_s=READY_S)
POLICY = """\
name: lab
selection: {hosts: [h1]}
max_out: {fleet: 1}
objective: [makespan, moves]
link_share: 1.0
canary: {hosts: 0}
migration: {strategies: [precopy, autoconverge], setup_s: 1, forwarding_s: 0}
"""
FIGURES = ("--migration-mbit-s", "1000", "--vcpus-per-cpu", "8", "--memory-mib", "1024", "--maintenance-s", "2")


class Heard(NamedTuple):
    """What a guest said that it was told, and when by the wall clock that was first heard of it."""

    at_s: float
    event: str


class Listening:
    """Asks guests again and again what they were told, and keeps each change."""

    def __init__(self, lab: Lab, guests: list[Guest]) -> None:
        self._lab = lab
        self.heard: dict[str, list[Heard]] = {guest.name: [] for guest in guests}
        self._guests = guests
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Listening":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(0.1):
            for guest in self._guests:
                try:
                    event = ask(self._lab, guest, "status")["event"]
                except SlacktideError:
                    continue  # it is in its blackout
                heard = self.heard[guest.name]
                if not heard or heard[-1].event != event:
                    heard.append(Heard(time.time(), event))


@pytest.fixture
def lab() -> Iterator[Lab]:
    """Have a lab of two hosts, with both guests that ask on the first."""
    name = f"t{secrets.token_hex(4)}"
    try:
        yield up(LabSettings(name, 2, 1000), [PATIENT, BARE, READY], lambda *_: None)
    finally:
        down(name)


def begun_late(fleet: Path, plan: Path, campaign: Path) -> None:
    """Begin a campaign that is then stopped for a while, so that its plan's first notices are late."""
    connections = read_connections(fleet.with_name(f"{fleet.name}-connections.json"))
    settings = LibvirtSettings(addresses=connections, maintenance=command_action(("true",)))
    open_campaign(read_snapshot(fleet), read_plan(plan), settings, campaign, (plan, fleet))
    time.sleep(LATE_S)


@pytest.mark.parametrize("how", [("--no-ray",), pytest.param((), marks=[pytest.mark.ray])], ids=["alone", "on-ray"])
@pytest.mark.usefixtures("ray_ends")
def test_guests_are_told_before_and_no_longer_after_and_one_that_is_ready_waits_shorter(
    lab: Lab, tmp_path: Path, request: pytest.FixtureRequest, how: tuple[str, ...]
) -> None:
    fleet, plan, policy, campaign = (tmp_path / name for name in ("fleet", "plan", "policy.yaml", "campaign"))
    policy.write_text(POLICY)
    uris = [host.uri for host in lab.hosts]
    assert main(["fleet", "import", "libvirt", *uris, "-o", str(fleet), *FIGURES, "--notice-s", str(NOTICE_S)]) == 0
    assert main(["plan", str(fleet), "--policy", str(policy), "--iterations", "4", "-o", str(plan)]) == 0
    begun_late(fleet, plan, campaign)
    told = ("--metadata-address", "169.254.169.254:80", "--metadata-namespace", f"{lab.name}-{{host}}")
    patch = ("--driver", "libvirt", "--patch-command", f"sleep {PATCH_S}")
    with Listening(lab, [PATIENT, READY]) as listening:
        assert main(["run", str(fleet), str(plan), *patch, *told, *how, "-o", str(campaign)]) == 0
    origin_s = datetime.fromisoformat(json.loads((campaign / "report.json").read_text())["origin"]).timestamp()
    moves = {row["vm_id"]: row for row in pl.read_parquet(campaign / "migrations.parquet").iter_rows(named=True)}
    for guest in (PATIENT, READY):
        heard, move = [each for each in listening.heard[guest.name] if each.event != UNKNOWN], moves[guest.name]
        was_told = [(round(each.at_s - origin_s, 1), each.event) for each in heard]
        moments = {name: round(move[name], 1) for name in MOMENTS if move[name] is not None}
        request.node.user_properties += [(guest.name, was_told), (f"{guest.name} moved", moments)]
        assert [each.event for each in heard][-2:] == ["MIGRATE_ON_HOST_MAINTENANCE", "NONE"]
        assert len(heard) <= 3, "it was told nothing else, but that nothing was to come at first"
        told_at, over_at = (each.at_s - origin_s for each in heard[-2:])
        assert move["told_s"] < told_at < move["told_s"] + SOON_S, "a guest that waits hears at once"
        assert told_at < move["start_s"]
        assert move["end_s"] < over_at < move["end_s"] + AGAIN_S, "it asks its new host, and is answered"
        assert guest.name in guests_on(lab.hosts[1])
    assert verify(lab, [PATIENT, READY]) == {PATIENT.name: 0, READY.name: 0}
    patient, ready = moves[PATIENT.name], moves[READY.name]
    assert patient["notice_s"] >= NOTICE_S
    assert patient["acknowledged_s"] is None
    assert READY_S <= ready["acknowledged_s"] - ready["told_s"] < READY_S + SOON_S
    assert ready["start_s"] - ready["acknowledged_s"] < SOON_S, "nothing else holds it up"
    assert ready["notice_s"] < NOTICE_S / 2
    notices = json.loads((campaign / "report.json").read_text())["notices"]
    assert notices == {"promised": 2, "vms": 2, "acknowledged": 1, "cut_short": 1, "short": None}
