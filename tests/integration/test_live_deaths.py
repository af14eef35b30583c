"""Processes end while real VMs migrate: each VM is on one host afterwards, and was moved as often as was planned."""

import os
import secrets
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from campaign_commands import PROGRAM, Running
from lab_tests import ON_A_LAB
from ray_cluster import RayCluster, kill_all, ray_cluster, until

from slacktide.lab.guests import Guest, guests_on
from slacktide.lab.layout import Lab, LabSettings
from slacktide.lab.lifecycle import down, up
from slacktide.lab.questions import verify
from slacktide.service.cli import main

pytestmark = ON_A_LAB
RATE_MBIT_S = 100
"""So slow that a copy takes five seconds: long enough to kill somebody in the middle of it."""
POLICY = """\
name: lab
max_out: {fleet: 1}
objective: [makespan, moves]
link_share: 1.0
migration: {strategies: [precopy, autoconverge], setup_s: 1, forwarding_s: 0}
"""


@pytest.fixture
def lab() -> Iterator[Lab]:
    name = f"t{secrets.token_hex(4)}"
    try:
        yield up(LabSettings(name, 2, RATE_MBIT_S), GUESTS, lambda *_: None)
    finally:
        down(name)


GUESTS = [Guest(1, memory_mib=96, working_set_mib=64), Guest(2, dirty_mib_s=1.0)]


@pytest.fixture
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RayCluster]:
    with ray_cluster(tmp_path_factory.mktemp("r"), ["h1", "h2"], RAY_AUTH_MODE="disabled") as made:
        yield made


@pytest.fixture
def running(lab: Lab, cluster: RayCluster, tmp_path: Path) -> Iterator[Running]:
    fleet, plan, policy = tmp_path / "fleet", tmp_path / "plan", tmp_path / "policy.yaml"
    policy.write_text(POLICY)
    options = ("--migration-mbit-s", str(RATE_MBIT_S), "--vcpus-per-cpu", "8", "--memory-mib", "1024")
    uris = [host.uri for host in lab.hosts]
    assert main(["fleet", "import", "libvirt", *uris, "-o", str(fleet), *options, "--maintenance-s", "2"]) == 0
    assert main(["plan", str(fleet), "--policy", str(policy), "--iterations", "4", "-o", str(plan)]) == 0
    patch = f"{PROGRAM} lab reboot --name {lab.name} {{host}}"
    where = [str(fleet), str(plan), "-o", str(tmp_path / "campaign")]
    command = [str(PROGRAM), "run", *where, "--driver", "libvirt", "--patch-command", patch]
    begun = Running(command, tmp_path / "campaign", os.environ | cluster.environment | {"RAY_ADDRESS": cluster.address})
    try:
        yield begun
    finally:
        begun.close()


def test_an_agent_and_the_coordinator_end_in_mid_copy(lab: Lab, cluster: RayCluster, running: Running) -> None:
    first = running.until_told("brownout-started", within_s=90)
    moves = {one.subject for one in running.entries() if one.kind == "migration-intended"}
    source = until(lambda: draining(running), 5, "a host is drained")
    agent = until(lambda: cluster.actor("HostAgentActor", source), 5, "there is an agent on the source")
    kill_all([agent])
    away = running.until_told("agent-away", source)
    assert not [one for one in running.entries() if one.kind == "migration-done" and one.subject == first.subject]
    back = running.until_told("agent-back", source, after=away.number)
    returned = running.until_told("host-returned", source, within_s=120)
    assert moves

    second = running.until_told("brownout-started", within_s=90, after=returned.number)
    kill_all([until(lambda: cluster.actor("CampaignCoordinator"), 5, "there is a coordinator")])
    resumed = running.until_told("campaign-resumed", after=second.number)
    assert running.end() == 0, running.words

    entries = running.entries()
    assert [one.number for one in entries] == list(range(1, len(entries) + 1))
    begun = Counter(one.subject for one in entries if one.kind == "migration-intended")
    done = Counter(one.subject for one in entries if ended_well(one))
    assert set(done.values()) == {1}, "a migration is done twice"
    assert begun == done, "a migration was repeated"
    assert Counter(one.subject for one in entries if one.kind == "host-returned") == {"h1": 1, "h2": 1}
    assert resumed.number > back.number
    found = [guest for host in lab.hosts for guest in guests_on(host)]
    assert sorted(found) == sorted(guest.name for guest in GUESTS), "each guest is on one host"
    assert verify(lab, GUESTS) == {guest.name: 0 for guest in GUESTS}, "no page is wrong"
    print(f"\nagent back after {back.at_s - away.at_s:.1f} s", file=sys.stderr)  # noqa: T201


def draining(running: Running) -> str | None:
    return next((one.subject for one in running.entries() if one.kind == "host-drain-started"), None)


def ended_well(one) -> bool:
    return one.kind == "migration-done" or (one.kind == "migration-resolved" and '"done"' in one.body)
