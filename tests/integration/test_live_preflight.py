"""Real libvirt hosts, asked whether they could carry a plan out."""

import json
import os
import secrets
import signal
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from lab_tests import ON_A_LAB

from slacktide.executors.preflight.facts import GuestOnTarget, able, guest_facts, target_facts
from slacktide.lab import host as hosts
from slacktide.lab.guests import Guest, connect
from slacktide.lab.layout import Lab, LabSettings
from slacktide.lab.lifecycle import down, up
from slacktide.service.cli import main

pytestmark = ON_A_LAB
POLICY = """
name: both
deadline_s: 7200
objective: [makespan, moves]
reserve: {share: 0, hosts: 0}
max_out: {fleet: 1}
link_share: 0.5
canary: {hosts: 0, bake_s: 0}
assume: {dirty_mib_s: 1, hot_mib: 16}
"""


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """Have a lab of two hosts with three guests."""
    name = f"t{secrets.token_hex(4)}"
    try:
        yield up(LabSettings(name, 2, 1000), [Guest(1), Guest(2), Guest(3)], lambda *_: None)
    finally:
        down(name)


@pytest.fixture(scope="module")
def planned(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Have the lab's fleet and a plan that patches both hosts, as arguments."""
    folder = tmp_path_factory.mktemp("planned")
    fleet, plan, policy = (str(folder / name) for name in ("fleet", "plan", "policy.yaml"))
    Path(policy).write_text(POLICY)
    uris = [host.uri for host in lab.hosts]
    options = ["--migration-mbit-s", "1000", "--vcpus-per-cpu", "8", "--memory-mib", "2048", "--measure-s", "0"]
    assert main(["fleet", "import", "libvirt", *uris, "-o", fleet, *options]) == 0
    assert main(["plan", fleet, "--policy", policy, "--iterations", "3", "-o", plan]) == 0
    return [fleet, plan]


def asked(capsys, planned: list[str], code: int = 1) -> dict:
    """Return what the command says as JSON, after it has ended with ``code``."""
    capsys.readouterr()
    assert main(["preflight", *planned, "--json"]) == code
    return json.loads(capsys.readouterr().out)


def test_nothing_speaks_against_a_plan_of_sound_hosts(planned: list[str], capsys) -> None:
    said = asked(capsys, planned, 0)
    assert said["refusals"] == []
    assert (said["hosts"], said["vms"]) == (2, 3)
    assert said["migrations"] > 3, "guests that come back migrate twice"
    assert main(["preflight", *planned]) == 0
    assert "3 VMs between 2 hosts checked, nothing speaks against them" in capsys.readouterr().out


def test_another_domain_of_the_same_name_on_the_target_is_a_clash(lab: Lab, planned: list[str], capsys) -> None:
    other = str(uuid.uuid4())
    target = connect(lab.hosts[1])
    xml = f"<domain type='qemu'><name>vm1</name><uuid>{other}</uuid><memory>65536</memory>"
    domain = target.defineXML(f"{xml}<os><type arch='x86_64' machine='pc'>hvm</type></os></domain>")
    try:
        (found,) = asked(capsys, planned)["refusals"]
        assert (found["rule"], found["vm_id"], found["target"]) == ("name-clash", "vm1", "h2")
        assert other in found["fact"]
        assert "virsh undefine" in found["remedy"]
        assert main(["preflight", *planned]) == 1
        assert "1 refusal: 1 name-clash" in capsys.readouterr().out
    finally:
        domain.undefine()
        target.close()


def test_a_guest_that_is_destroyed_or_paused_does_not_run(lab: Lab, planned: list[str], capsys) -> None:
    source = connect(lab.hosts[1])
    guest = source.lookupByName("vm2")
    guest.suspend()
    try:
        (found,) = asked(capsys, planned)["refusals"]
        assert (found["rule"], found["vm_id"]) == ("not-running", "vm2")
        assert "it is paused" in found["fact"]
        guest.destroy()
        (found,) = asked(capsys, planned)["refusals"]
        assert "it is shut off" in found["fact"]
        guest.create()
    finally:
        source.close()
    assert asked(capsys, planned, 0)["refusals"] == []


def test_a_guest_with_a_snapshot_stays(lab: Lab, planned: list[str], capsys) -> None:
    source = connect(lab.hosts[0])
    guest = source.lookupByName("vm3")
    moment = "<name>before</name><creationTime>1</creationTime><state>running</state>"
    described = f"{moment}<memory snapshot='no'/>{guest.XMLDesc()}"
    flags = libvirt_flags("VIR_DOMAIN_SNAPSHOT_CREATE_REDEFINE")
    snapshot = guest.snapshotCreateXML(f"<domainsnapshot>{described}</domainsnapshot>", flags)
    (found,) = asked(capsys, planned)["refusals"]
    assert (found["rule"], found["vm_id"]) == ("snapshots", "vm3")
    snapshot.delete(libvirt_flags("VIR_DOMAIN_SNAPSHOT_DELETE_METADATA_ONLY"))
    source.close()


def test_a_guest_that_migrates_already_is_busy(lab: Lab, planned: list[str], capsys) -> None:
    source, another = connect(lab.hosts[0]), connect(lab.hosts[0])
    guest = source.lookupByName("vm3")
    moving = threading.Thread(target=migrate_slowly, args=[another.lookupByName("vm3")])
    moving.start()
    try:
        while guest.jobInfo()[0] == 0:
            time.sleep(0.02)
        (found,) = asked(capsys, planned)["refusals"]
        assert (found["rule"], found["vm_id"]) == ("busy", "vm3")
    finally:
        guest.abortJob()
        moving.join()
        source.close()
        another.close()
    assert asked(capsys, planned, 0)["refusals"] == []


def libvirt_flags(*names: str) -> int:
    """Return the sum of libvirt's flags of these names; it is imported where a lab runs."""
    import libvirt

    return sum(getattr(libvirt, name) for name in names)


def migrate_slowly(guest) -> None:
    """Migrate a guest at 1 MiB/s, which somebody aborts."""
    import libvirt

    flags = libvirt_flags("VIR_MIGRATE_LIVE", "VIR_MIGRATE_PEER2PEER", "VIR_MIGRATE_TLS")
    with pytest.raises(libvirt.libvirtError):
        guest.migrateToURI3("qemu+tls://h2/system", {libvirt.VIR_MIGRATE_PARAM_BANDWIDTH: 1}, flags)


def test_a_target_says_what_it_lacks_for_a_guest(lab: Lab) -> None:
    source, target = map(connect, lab.hosts)
    guest = guest_facts(source.lookupByName("vm1"))
    assert (guest.running, guest.memory_mib, guest.bridges, guest.networks) == (True, 64, ("br0",), ())
    assert (guest.job, guest.disks, guest.persistent) == ("", (), True)
    facts = target_facts(target)
    assert guest.host_uuid not in ("", facts.uuid)
    assert (facts.name, [(domain.name, domain.active) for domain in facts.domains]) == ("h2", [("vm2", True)])
    assert 0 < facts.available_mib <= facts.memory_mib
    assert able(target, guest) == GuestOnTarget()
    lacks = able(target, replace(guest, machine="pc-i440fx-99.0", networks=("front",)))
    assert "pc-i440fx-99.0" in lacks.machine
    assert lacks.networks == ("front",)
    assert "riscv128" in able(target, replace(guest, arch="riscv128")).machine
    wanted = "<cpu mode='custom' match='exact'><model>qemu64</model>{}</cpu>"
    assert able(target, replace(guest, cpu_xml=wanted.format(""))).cpu == ""
    missing = wanted.format("<feature policy='require' name='rtm'/>")
    assert able(target, replace(guest, cpu_xml=missing)).cpu == "it lacks rtm", "no emulated processor has it"
    source.close()
    target.close()


def test_addresses_that_lead_elsewhere_are_an_error(planned: list[str], tmp_path: Path, capsys) -> None:
    known = json.loads(Path(f"{planned[0]}-connections.json").read_text())
    swapped = tmp_path / "swapped.json"
    swapped.write_text(json.dumps({"h1": known["h2"], "h2": known["h1"]}))
    assert main(["preflight", *planned, "--connections", str(swapped)]) == 1
    assert "leads to a host that is called h2" in capsys.readouterr().err


def test_a_host_whose_libvirtd_is_gone_is_named(lab: Lab, planned: list[str], capsys) -> None:
    second = lab.hosts[1]
    process = hosts.libvirtd_of(second)
    assert process is not None
    os.kill(process, signal.SIGKILL)
    try:
        error = asked(capsys, planned)["error"]
        assert (error["kind"], error["subject"]) == ("ExecutionError", "h2")
        assert "does not answer" in error["fact"]
        assert error["remedy"]
    finally:
        hosts.wait_for_libvirtd(second, hosts.start_libvirtd(second))
    assert asked(capsys, planned, 0)["refusals"] == []
