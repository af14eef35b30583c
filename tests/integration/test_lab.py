"""The lab on the real thing: hosts, guests, a migration, and nothing left afterwards."""

import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from lab_tests import ON_A_LAB

from slacktide.errors import UsageError
from slacktide.lab import host as hosts
from slacktide.lab import network
from slacktide.lab.guests import Guest, connect
from slacktide.lab.layout import ROOT, Lab, LabSettings, read_lab
from slacktide.lab.lifecycle import add_host, down, listen, status, up
from slacktide.lab.namespaces import namespaces_of

pytestmark = ON_A_LAB
GUESTS = [Guest(1), Guest(2, 96, 64, dirty_mib_s=4.0), Guest(3)]


@pytest.fixture
def name() -> Iterator[str]:
    """Have a name that no other lab has, and take down what got it."""
    name = f"t{secrets.token_hex(4)}"
    yield name
    down(name)


def traces() -> dict[str, set[str]]:
    """Return everything that a lab could leave behind on the machine."""
    links = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout
    commands = subprocess.run(["ps", "-eo", "pid,args"], capture_output=True, text=True, check=True).stdout
    ended = {line for line in commands.splitlines() if "<defunct>" in line}  # nobody has asked how they ended yet
    wanted = ("libvirtd", "qemu-system", "slacktide-lab")
    return {
        "processes": {line for line in commands.splitlines() if any(word in line for word in wanted)} - ended,
        "namespaces": {path.name for path in Path("/run/netns").glob("*")},
        "mounts": set(Path("/proc/self/mountinfo").read_text().splitlines()),
        "links": {line.split(":")[1] for line in links.splitlines()},
        "folders": {str(path) for path in ROOT.glob("*")}
        | {place for place in hosts.BINDS.values() if Path(place).exists()},
    }


def settled_traces(before: dict[str, set[str]]) -> dict[str, set[str]]:
    """Return the traces once they are as before, or after ten seconds.

    A killed command leaves the program that it had just asked for its version to end by itself.
    """
    until_s = time.monotonic() + 10.0
    while (found := traces()) != before and time.monotonic() < until_s:
        time.sleep(0.1)
    return found


def test_guests_beat_and_one_migrates_between_hosts_that_know_each_other(name: str) -> None:
    import libvirt

    before = traces()
    lab = up(LabSettings(name, 2, 1000), GUESTS, lambda *_: None)
    found = status(name)
    assert [(host.on, host.libvirtd) for host in found.hosts] == [(True, True)] * 2
    assert [host.guests for host in found.hosts] == [("vm1", "vm3"), ("vm2",)]
    assert found.beating == ("vm1", "vm2", "vm3")
    assert found.bad_pages == 0
    with listen(lab) as heartbeats:
        source, target = map(connect, lab.hosts)
        assert source.getHostname() == "h1"
        began_s = time.time()
        flags = libvirt.VIR_MIGRATE_LIVE | libvirt.VIR_MIGRATE_PEER2PEER | libvirt.VIR_MIGRATE_TLS
        target.lookupByName("vm2").migrateToURI3("qemu+tls://h1/system", {}, flags)
        assert heartbeats.wait_for(["vm2"], 20, 10.0) == []
        gap = heartbeats.longest_gap("vm2", began_s, time.time())
        assert gap is not None
        job = source.lookupByName("vm2").jobStats(libvirt.VIR_DOMAIN_JOB_STATS_COMPLETED)
        assert gap.gap_ms >= job["downtime"] / 2, "the guest was heard while it was paused"
        last = heartbeats.last("vm2")
        assert last is not None
        assert last.dirtied > 0
        assert last.bad == 0
        source.close()
        target.close()
    assert [host.guests for host in status(name).hosts] == [("vm1", "vm2", "vm3"), ()]
    assert down(name)
    assert traces() == before


def test_a_host_is_added_while_guests_run_and_takes_one(name: str) -> None:
    import libvirt

    before = traces()
    up(LabSettings(name, 1, 1000), [Guest(1)], lambda *_: None)
    added = add_host(name)
    assert added.name == "h2"
    first, second = read_lab(name).hosts
    source = connect(first)
    flags = libvirt.VIR_MIGRATE_LIVE | libvirt.VIR_MIGRATE_PEER2PEER | libvirt.VIR_MIGRATE_TLS
    source.lookupByName("vm1").migrateToURI3("qemu+tls://h2/system", {}, flags)
    source.close()
    assert [host.guests for host in status(name).hosts] == [(), ("vm1",)]
    assert second == added
    assert down(name)
    assert traces() == before


def test_a_host_without_power_and_one_without_libvirtd_are_seen(name: str) -> None:
    lab = up(LabSettings(name, 2, None), [Guest(1), Guest(2)], lambda *_: None)
    first, second = lab.hosts
    process = hosts.libvirtd_of(first)
    assert process is not None
    os.kill(process, signal.SIGKILL)
    hosts.power_off(second)
    found = status(name)
    assert [(host.on, host.libvirtd) for host in found.hosts] == [(True, False), (False, False)]
    assert found.beating == ("vm1",), "the guest of a host without libvirtd lives on"
    hosts.wait_for_libvirtd(first, hosts.start_libvirtd(first))
    hosts.power_on(second)
    hosts.wait_for_libvirtd(second, hosts.start_libvirtd(second))
    found = status(name)
    assert [host.guests for host in found.hosts] == [("vm1",), ()]
    assert [host.off for host in found.hosts] == [(), ("vm2",)], "what ran where the power went is not forgotten"


def test_a_pulled_link_and_a_rate_show(name: str) -> None:
    lab = up(LabSettings(name, 2, 80), [], lambda *_: None)
    first, second = lab.hosts
    reach = [*hosts.inside(first), sys.executable, "-c", REACH, second.migration_address]
    assert subprocess.run(reach, check=False).returncode == 0
    network.set_link(lab, second, "migration", up=False)
    assert subprocess.run(reach, check=False).returncode == 3
    network.set_link(lab, second, "migration", up=True)
    listening = subprocess.Popen([*hosts.inside(second), sys.executable, "-c", SINK], stdout=subprocess.PIPE)
    try:
        assert listening.stdout is not None
        listening.stdout.readline()
        began_s = time.monotonic()
        subprocess.run([*hosts.inside(first), sys.executable, "-c", SOURCE, second.migration_address], check=True)
        rate_mbit_s = 5 * 8 * 1.048576 / (time.monotonic() - began_s)
    finally:
        listening.wait(10)
        listening.stdout.close()
    assert rate_mbit_s < 90


REACH = """
import socket, sys
try:
    socket.create_connection((sys.argv[1], 9), timeout=0.5)
except ConnectionRefusedError:
    sys.exit(0)
except OSError:
    sys.exit(3)
"""
SINK = """
import socket
with socket.create_server(("", 7003)) as server:
    print("ready", flush=True)
    with server.accept()[0] as one:
        left = 5 << 20
        while left > 0:
            left -= len(one.recv(65536))
        one.sendall(b"!")
"""
SOURCE = """
import socket, sys
with socket.create_connection((sys.argv[1], 7003)) as one:
    one.sendall(bytes(5 << 20))
    one.recv(1)
"""


@pytest.mark.parametrize("after_s", [0.3, 0.8, 1.2, 1.8, 2.6])
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_start_that_is_cut_short_leaves_nothing(name: str, how: signal.Signals, after_s: float) -> None:
    before = traces()
    command = [
        Path(sys.executable).with_name("slacktide"),
        "lab",
        "up",
        "--hosts",
        "3",
        "--guests",
        "6",
        "--name",
        name,
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        time.sleep(after_s)
        process.send_signal(how)
        process.communicate(timeout=60)
    if how != signal.SIGKILL and process.returncode == 130:
        assert traces() == before, "an interrupt is to take down what it began"
    down(name)
    assert settled_traces(before) == before
    assert not down(name)


def test_a_part_of_a_lab_says_so(name: str) -> None:
    Lab(LabSettings(name, 1, None)).begin()
    with pytest.raises(UsageError, match="only there in part"):
        status(name)


def test_two_labs_do_not_hear_each_other(name: str) -> None:
    other = f"{name}b"
    try:
        up(LabSettings(name, 1, None), [Guest(1)], lambda *_: None)
        up(LabSettings(other, 1, None), [Guest(2)], lambda *_: None)
        assert status(name).beating == ("vm1",)
        assert status(other).beating == ("vm2",)
    finally:
        down(other)
    assert status(name).beating == ("vm1",)
    assert not namespaces_of(other)
