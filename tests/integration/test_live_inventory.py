"""A fleet snapshot of real libvirt hosts, their guests' dirty rates measured."""

import json
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from http_server import in_process, served
from lab_tests import ON_A_LAB

from slacktide.datasets.files import read_snapshot
from slacktide.lab.guests import Guest, connect
from slacktide.lab.layout import Lab, LabSettings
from slacktide.lab.lifecycle import down, up
from slacktide.service.campaign_terms import Profile
from slacktide.service.cli import main

pytestmark = ON_A_LAB
GUESTS = [Guest(1), Guest(2, 544, 512, dirty_mib_s=16.0), Guest(3, 152, 128, dirty_mib_s=200.0), Guest(4)]
"""Large ones, for the hypervisor samples 512 pages of each GiB."""


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """Have a lab of two hosts with four guests."""
    name = f"t{secrets.token_hex(4)}"
    try:
        yield up(LabSettings(name, 2, 1000), GUESTS, lambda *_: None)
    finally:
        down(name)


OPTIONS = ("--migration-mbit-s", "1000", "--vcpus-per-cpu", "8", "--memory-mib", "2048", "--json")


def test_live_hosts_become_a_fleet_with_measured_dirty_rates(lab: Lab, tmp_path: Path, capsys) -> None:
    output = tmp_path / "fleet"
    uris = [host.uri for host in lab.hosts]
    assert main(["fleet", "import", "libvirt", *uris, "-o", str(output), *OPTIONS]) == 0, capsys.readouterr().err
    fleet = read_snapshot(output)
    assert fleet.hosts["host_id"].to_list() == ["h1", "h2"]
    assert fleet.vms.select("vm_id", "host_id", "memory_mib").rows() == [
        ("vm1", "h1", 64),
        ("vm2", "h2", 544),
        ("vm3", "h1", 152),
        ("vm4", "h2", 64),
    ]
    rate = dict(fleet.vms.select("vm_id", "dirty_mib_s").iter_rows())
    hot = dict(fleet.vms.select("vm_id", "hot_mib").iter_rows())
    assert rate["vm1"] < 3
    assert hot["vm1"] < 12
    assert 5 <= rate["vm2"] <= 40, "a guest that writes 16 MiB/s of 512 MiB has nothing hot yet after five seconds"
    assert hot["vm2"] < 40
    assert 48 <= hot["vm3"] <= 152, "a guest that goes round its working set in a second has hot memory only"
    assert rate["vm3"] < 16
    assert "libvirt" in fleet.hosts["patch_level"][0]
    connections = tmp_path / "fleet-connections.json"
    assert json.loads(connections.read_text()) == dict(zip(["h1", "h2"], uris, strict=True))
    capsys.readouterr()
    server = in_process(tmp_path, anonymous="operator", profiles={"lab": Profile(connections=connections)})
    with served(server) as url:
        where = ("--server", url, "--profile", "lab", "--measure-s", "0", "-o", str(tmp_path / "afar"))
        assert main(["fleet", "import", "libvirt", *OPTIONS, *where]) == 0, capsys.readouterr().err
    found = read_snapshot(tmp_path / "afar")
    assert found.hosts.equals(fleet.hosts)
    assert found.vms.select("vm_id", "host_id").equals(fleet.vms.select("vm_id", "host_id"))
    assert json.loads(capsys.readouterr().out)["unknown_dirty_rates"] == 4


def test_hosts_are_asked_over_tls_as_well(lab: Lab, tmp_path: Path) -> None:
    uris = [f"qemu+tls://{host.address}/system?pkipath={lab.folder / 'client'}" for host in lab.hosts]
    command = [
        Path(sys.executable).with_name("slacktide"),
        "fleet",
        "import",
        "libvirt",
        *uris,
        "-o",
        str(tmp_path / "fleet"),
    ]
    inside = ["ip", "netns", "exec", lab.control]
    done = subprocess.run(
        [*inside, *command, *OPTIONS, "--measure-s", "0"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    fleet = read_snapshot(tmp_path / "fleet")
    assert fleet.vms["vm_id"].to_list() == ["vm1", "vm2", "vm3", "vm4"]
    assert fleet.vms["dirty_mib_s"].null_count() == 4


def test_certificates_of_hosts_are_looked_at_where_tls_reaches_them(lab: Lab) -> None:
    client = f"qemu+tls://h/system?pkipath={lab.folder / 'client'}"
    program = (
        "import sys; from datetime import UTC, datetime, timedelta; "
        "from slacktide.executors.certificates import server_reasons; "
        "uri, client, days = sys.argv[1:]; "
        "until = datetime.now(UTC) + timedelta(days=int(days)); "
        "print(*(fact for fact, _ in server_reasons(uri, client, until)), sep='|')"
    )

    def said(address: str, days: int) -> str:
        uri = f"qemu+tls://{address}/system"
        command = ["ip", "netns", "exec", lab.control, sys.executable, "-c", program, uri, client, str(days)]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    for host in lab.hosts:
        assert said(host.address, 1) == ""
        assert "expires on" in said(host.address, 4_000), "a lab's certificates are for ten years"
    assert said("localhost", 4_000) == "", "nobody answers there"


def test_a_host_that_does_not_answer_is_named_and_nothing_is_written(lab: Lab, tmp_path: Path, capsys) -> None:
    gone = f"qemu+unix:///system?socket={tmp_path}/none"
    command = ["fleet", "import", "libvirt", lab.hosts[0].uri, gone, "-o", str(tmp_path / "fleet"), *OPTIONS]
    assert main(command) == 1
    said = capsys.readouterr().err
    assert gone in said
    assert "does not answer" in said
    assert not list(tmp_path.iterdir())


def test_one_host_given_twice_is_refused(lab: Lab, tmp_path: Path, capsys) -> None:
    command = ["fleet", "import", "libvirt", lab.hosts[0].uri, lab.hosts[0].uri, "-o", str(tmp_path / "f"), *OPTIONS]
    assert main(command) == 2
    assert "lead to the same host" in capsys.readouterr().err


def test_a_guest_that_is_stopped_is_counted_and_left_out(lab: Lab, tmp_path: Path, capsys) -> None:
    source = connect(lab.hosts[1])
    source.lookupByName("vm4").destroy()
    source.close()
    output = tmp_path / "fleet"
    uris = [host.uri for host in lab.hosts]
    command = ["fleet", "import", "libvirt", *uris, "-o", str(output), *OPTIONS, "--measure-s", "0"]
    assert main(command) == 0, capsys.readouterr().err
    fleet = read_snapshot(output)
    assert "vm4" not in fleet.vms["vm_id"].to_list()
    assert "1 VMs that do not run are left out" in fleet.meta.note
