"""Campaigns on real hosts while others create, delete and move guests by virsh: the rest is planned anew for them."""

import os
import secrets
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from campaign_commands import PROGRAM, Running
from lab_tests import ON_A_LAB
from ray_cluster import until

from slacktide.datasets.files import read_snapshot
from slacktide.executors.campaign_directory import journal_standing
from slacktide.executors.vm_state import place_of
from slacktide.lab.guest_image import accelerator, bare_image
from slacktide.lab.guests import Guest, domain_xml, guests_on
from slacktide.lab.layout import Lab, LabHost, LabSettings
from slacktide.lab.lifecycle import down, up
from slacktide.lab.questions import verify
from slacktide.planner.plan_files import read_plan
from slacktide.service.cli import main

pytestmark = ON_A_LAB
RATE_MBIT_S = 200
POLICY = """\
name: lab
max_out: {fleet: 1}
objective: [makespan, moves]
link_share: 1.0
assume: {dirty_mib_s: 4, hot_mib: 16}
migration: {strategies: [precopy, autoconverge], setup_s: 1, forwarding_s: 0}
"""
OPTIONS = ("--migration-mbit-s", str(RATE_MBIT_S), "--vcpus-per-cpu", "8", "--memory-mib", "1024")
GUESTS = [Guest(number, memory_mib=48, working_set_mib=16) for number in range(1, 9)]
NEW = Guest(20, memory_mib=48, working_set_mib=16)
PATCHED_S = 240.0
"""How long a host may take to be drained and patched on a busy machine."""


class Others:
    """A lab, a campaign that is carried out on it, and people who use virsh meanwhile."""

    def __init__(self, lab: Lab, folder: Path, on_drift: str) -> None:
        self.lab, self.folder = lab, folder
        self.fleet, self.plan, self.directory = folder / "fleet", folder / "plan", folder / "campaign"
        policy = folder / "policy.yaml"
        policy.write_text(POLICY)
        uris = [host.uri for host in lab.hosts]
        imported = ["fleet", "import", "libvirt", *uris, "-o", str(self.fleet), *OPTIONS, "--maintenance-s", "2"]
        assert main(imported) == 0
        planned = ["plan", str(self.fleet), "--policy", str(policy), "--iterations", "4", "-o", str(self.plan)]
        assert main(planned) == 0
        self.order = read_plan(self.plan).hosts.sort("drain_start_s")["host_id"].to_list()
        """Hosts in the order in which they are to be drained."""
        patch = f"{PROGRAM} lab reboot --name {lab.name} {{host}}"
        where = [str(self.fleet), str(self.plan), "-o", str(self.directory)]
        driver = ["--driver", "libvirt", "--patch-command", patch, "--on-drift", on_drift, "--no-ray"]
        self.running = Running([str(PROGRAM), "run", *where, *driver], self.directory, dict(os.environ))

    def host(self, name: str) -> LabHost:
        return next(host for host in self.lab.hosts if host.name == name)

    def virsh(self, host: str, *words: str) -> None:
        done = subprocess.run(
            ["virsh", "-c", self.host(host).uri, *words], capture_output=True, text=True, check=False, timeout=120
        )
        assert done.returncode == 0, done.stderr

    def start(self, guest: Guest, host: str) -> None:
        image = bare_image()
        by = accelerator([image], self.lab.folder, ["ip", "netns", "exec", self.lab.control])
        xml = self.folder / f"{guest.name}.xml"
        xml.write_text(domain_xml(guest, image, by))
        self.virsh(host, "define", str(xml))
        self.virsh(host, "start", guest.name)

    def told(self) -> Counter:
        return Counter(one.kind for one in self.running.entries())

    def assert_each_where_it_should_be(self, guests: list[Guest]) -> None:
        """Check that every guest is on one host, the one where the journal has it, unharmed."""
        snapshot, plan = read_snapshot(self.fleet), read_plan(self.plan)
        course, state = journal_standing(snapshot, plan, self.directory, None)
        where = [(guest, host.name) for host in self.lab.hosts for guest in guests_on(host)]
        assert sorted(guest for guest, _ in where) == sorted(guest.name for guest in guests)
        assert not [guest for host in self.lab.hosts for guest in guests_on(host, off=True)]
        for guest, host in where:
            assert course.program.hosts.ids[place_of(state, guest)] == host
        assert verify(self.lab, guests) == {guest.name: 0 for guest in guests}
        returned = Counter(one.subject for one in self.running.entries() if one.kind == "host-returned")
        assert returned == {host.name: 1 for host in self.lab.hosts}


@pytest.fixture
def lab() -> Iterator[Lab]:
    name = f"t{secrets.token_hex(4)}"
    try:
        yield up(LabSettings(name, 4, RATE_MBIT_S), GUESTS, lambda *_: None)
    finally:
        down(name)


def test_guests_are_destroyed_started_and_migrated_by_virsh_and_all_hosts_are_patched(lab: Lab, tmp_path: Path) -> None:
    others = Others(lab, tmp_path, "revise")
    try:
        third, last = others.order[2:]
        moved, deleted = guests_on(others.host(third))[0], guests_on(others.host(last))[0]
        others.running.until_told("host-drain-started", within_s=PATCHED_S)
        others.virsh(last, "destroy", deleted)
        others.virsh(last, "undefine", deleted)
        flags = ("--live", "--p2p", "--persistent", "--undefinesource")
        others.virsh(third, "migrate", *flags, moved, f"qemu+tls://{last}/system")
        others.start(NEW, third)
        others.running.until_told("vm-created", NEW.name)
        others.running.until_told("vm-moved", moved)
        others.running.until_told("plan-revised", within_s=PATCHED_S)
        until(others.running.finished, 4 * PATCHED_S, "the campaign ends")
        assert others.running.end() == 0, others.running.words
        told = others.told()
        assert (told["vm-created"], told["vm-moved"], told["vm-deleted"]) == (1, 1, 1)
        assert told["host-failed"] == told["host-blocked"] == told["patch-failed"] == 0
        guests = [*(guest for guest in GUESTS if guest.name != deleted), NEW]
        others.assert_each_where_it_should_be(guests)
    finally:
        others.running.close()


def test_a_person_is_asked_about_a_guest_that_others_started_and_has_the_rest_planned_anew(
    lab: Lab, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    others = Others(lab, tmp_path, "ask")
    try:
        first = others.order[0]
        others.running.until_told("host-drain-started", within_s=PATCHED_S)
        others.start(NEW, first)
        others.running.until_told("vm-created", NEW.name)
        until(lambda: "vm20" in said(others.directory, capsys), PATCHED_S, "the campaign says what waits")
        until(lambda: others.told()["migration-done"] >= 2, PATCHED_S, "the host's own guests leave it")
        assert not [one for one in others.running.entries() if one.kind == "patch-intended"]
        asked = ["campaign", "revise", str(others.directory), "--by", "Ada", "--why", "vm20 is to stay"]
        assert main(asked) == 0
        others.running.until_told("plan-revised")
        until(others.running.finished, 4 * PATCHED_S, "the campaign ends")
        assert others.running.end() == 0, others.running.words
        others.assert_each_where_it_should_be([*GUESTS, NEW])
    finally:
        others.running.close()


def said(campaign: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """Return what `campaign show` says."""
    capsys.readouterr()
    assert main(["campaign", "show", str(campaign)]) == 0
    return capsys.readouterr().out
