"""From what hypervisors say to a fleet snapshot."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import PurePosixPath
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slacktide.errors import InputError, UsageError
from slacktide.executors.inventory.dirty_rates import split
from slacktide.executors.inventory.domain import held_by, observed_disks
from slacktide.executors.inventory.fleet import InventorySettings, connections_of, fleet_of
from slacktide.executors.inventory.observed import ObservedDisk, ObservedHost, ObservedVm
from slacktide.service.cli import main
from slacktide.topology import topology_findings

NOW = datetime(2026, 1, 2, tzinfo=UTC)
SETTINGS = InventorySettings(migration_mbit_s=1000)
VM = ObservedVm("web", "u1", 2, 2048, 700, True, (), "", "", False, 3.5, 20.0)
OLD = ObservedHost("qemu+tls://h1/system", "h1", "a", "Old 8 CPUs 16 GiB", 8, 16384, "QEMU 7.2.0", (VM,), 1)
NEW = replace(OLD, uri="qemu+tls://h2/system", name="h2", uuid="b", machine="New 8 CPUs 16 GiB", vms=(), stopped_vms=0)


def fleet(*hosts: ObservedHost, settings: InventorySettings = SETTINGS, measure_s: int | None = 5):
    return fleet_of(hosts, settings, NOW, measure_s)


def test_hosts_and_guests_become_rows_with_what_was_measured() -> None:
    found = fleet(NEW, OLD)
    assert found.hosts["host_id"].to_list() == ["h1", "h2"]
    assert found.hosts["state"].to_list() == ["active", "empty"]
    assert found.hosts["memory_mib"].to_list() == [14336, 14336]
    assert found.vms.row(0, named=True) == {
        "vm_id": "web",
        "host_id": "h1",
        "service_id": None,
        "vcpus": 2,
        "memory_mib": 2048,
        "used_mib": 700,
        "dirty_mib_s": 3.5,
        "hot_mib": 20.0,
        "local_disk_mib": 0,
        "eviction": "live",
        "notice_s": 0,
        "blackout_limit_ms": None,
        "machine_types": None,
    }
    assert "1 VMs that do not run are left out" in found.meta.note
    assert connections_of([NEW, OLD]) == {"h1": "qemu+tls://h1/system", "h2": "qemu+tls://h2/system"}


def test_nothing_is_to_be_warned_of_in_the_links_that_are_assumed() -> None:
    one = fleet(NEW, OLD)
    assert set(one.links["tail"]) == {"h1", "h2", "leaf/rack-1"}
    two = fleet(NEW, OLD, settings=replace(SETTINGS, racks={"h1": "a", "h2": "b"}))
    assert any(name.startswith("spine/") for name in two.links["tail"])
    for found in (one, two):
        assert not topology_findings(found.hosts["host_id"].to_list(), found.links, found.domains)


def test_settings_say_what_hypervisors_do_not() -> None:
    settings = InventorySettings(
        migration_mbit_s=9000,
        vcpus_per_cpu=2.5,
        memory_mib=4096,
        maintenance_s=60,
        patch_level="may",
        notice_s=30,
        blackout_limit_ms=200,
        racks={"h1": "a", "h2": "b"},
    )
    found = fleet(OLD, NEW, settings=settings)
    assert found.hosts.row(0)[1:] == ("a", "Old 8 CPUs 16 GiB", 20, 4096, 9000, "may", 60, "active")
    assert found.vms["notice_s"].to_list() == [30]
    assert found.vms["blackout_limit_ms"].to_list() == [200]
    assert found.domains["domain_id"].to_list() == ["a", "b"]


def test_a_host_that_sells_less_than_its_guests_have_is_refused_with_its_name() -> None:
    with pytest.raises(InputError, match="h1"):
        fleet(OLD, NEW, settings=replace(SETTINGS, memory_mib=1024))


def test_where_racks_are_named_every_host_has_one() -> None:
    with pytest.raises(UsageError, match="do not name that of h2"):
        fleet(OLD, NEW, settings=replace(SETTINGS, racks={"h1": "a"}))


def test_two_guests_of_one_name_are_refused() -> None:
    with pytest.raises(UsageError, match="web: is the name of VMs on h1 and h2"):
        fleet(OLD, replace(NEW, vms=(replace(VM, uuid="u2"),)))


def test_a_processor_decides_where_a_guest_may_run() -> None:
    bound = replace(VM, name="bound", follows_host=True)
    fancy, plain = replace(VM, name="fancy", cpu_xml="<cpu a=''/>"), replace(VM, name="plain", cpu_xml="<cpu b=''/>")
    hosts = replace(OLD, vms=(bound, fancy, plain), runs=(True, True)), replace(NEW, runs=(False, True))
    types = dict(fleet(*hosts).vms.select("vm_id", "machine_types").iter_rows())
    assert types == {"bound": [OLD.machine], "fancy": [OLD.machine], "plain": None}


def test_what_a_host_holds_is_pinned_and_the_note_says_why() -> None:
    found = fleet(replace(OLD, vms=(replace(VM, held_by="a device of the host is passed through to it"),)), NEW)
    assert found.vms["eviction"].to_list() == ["pinned"]
    assert "Cannot leave their hosts: web (a device of the host is passed through to it)." in found.meta.note


def test_only_local_disks_that_are_written_are_copied() -> None:
    root = ET.fromstring(
        """<domain><devices>
        <disk type='file'><source file='/data/a.img'/><target dev='vda'/></disk>
        <disk type='file'><source file='/nfs/b.img'/><target dev='vdb'/></disk>
        <disk type='file' device='cdrom'><source file='/data/c.iso'/><target dev='sda'/><readonly/></disk>
        <disk type='file' device='cdrom'><target dev='sdb'/></disk>
        <disk type='network'><source protocol='rbd' name='pool/d'/><target dev='vdc'/></disk>
        <disk type='block'><source dev='/dev/e'/><target dev='vdd'/></disk>
        <disk type='file'><source file='/pool/f.img'/><target dev='vde'/></disk>
        </devices></domain>"""
    )
    pools = {"/pool/f.img": "netfs", "/data/a.img": "dir"}
    disks = observed_disks(
        root, {"vda": 7, "vdd": 9}.__getitem__, lambda path: pools.get(path, ""), [PurePosixPath("/nfs")]
    )
    assert disks == [
        ObservedDisk("vda", "/data/a.img", 7),
        ObservedDisk("vdb", "/nfs/b.img", 0),
        ObservedDisk("sda", "/data/c.iso", 0),
        ObservedDisk("vdc", "pool/d", 0),
        ObservedDisk("vdd", "/dev/e", 9),
        ObservedDisk("vde", "/pool/f.img", 0),
    ]


def test_what_holds_a_guest_is_said_in_words() -> None:
    assert held_by(ET.fromstring("<domain><devices/></domain>")) == ""
    held = ET.fromstring("<domain><launchSecurity/><devices><hostdev/></devices></domain>")
    assert held_by(held) == "a device of the host is passed through to it; its memory is encrypted by the host"


@given(st.floats(0, 500), st.floats(0, 200))
def test_two_windows_tell_hot_memory_from_the_rest(hot_mib: float, mib_s: float) -> None:
    found = split(hot_mib + mib_s, 1, hot_mib + 5 * mib_s, 5, memory_mib=10_000)
    assert found.mib_s == pytest.approx(mib_s, abs=1e-6)
    assert found.hot_mib == pytest.approx(hot_mib, abs=1e-6)


def test_a_guest_that_goes_round_its_working_set_has_only_hot_memory() -> None:
    assert split(32, 1, 32, 5, memory_mib=64) == (32, 0)
    assert split(40, 1, 35, 5, memory_mib=64) == (40, 0)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("host_id\nh1\n", "has no column rack_id"),
        ("host_id,rack_id\nh1,\n", "line 2: lacks a host or its rack"),
        ("host_id,rack_id\nh1,a\nh1,b\n", "line 3: names h1 again"),
    ],
)
def test_a_wrong_file_of_racks_is_refused_with_its_line(tmp_path, capsys, content: str, said: str) -> None:
    (tmp_path / "racks.csv").write_text(content)
    options = ["-o", str(tmp_path / "out"), "--migration-mbit-s", "1000", "--racks", str(tmp_path / "racks.csv")]
    assert main(["fleet", "import", "libvirt", "qemu:///none", *options]) == 1
    assert said in capsys.readouterr().err


def test_an_import_without_addresses_is_refused(tmp_path, capsys) -> None:
    assert main(["fleet", "import", "libvirt", "-o", str(tmp_path / "out"), "--migration-mbit-s", "1000"]) == 2
    assert "Give the address of each host" in capsys.readouterr().err


def test_a_window_no_longer_than_the_first_is_refused(tmp_path, capsys) -> None:
    options = ["-o", str(tmp_path / "out"), "--migration-mbit-s", "1000", "--measure-s"]
    for window in ("1", "61", "-1"):
        assert main(["fleet", "import", "libvirt", "qemu:///none", *options, window]) == 2
        assert "Must be 2 to 60, or 0 to measure nothing" in capsys.readouterr().err


def test_a_host_that_does_not_answer_is_not_to_be_left_out(tmp_path, capsys) -> None:
    pytest.importorskip("libvirt")
    options = ["-o", str(tmp_path / "out"), "--migration-mbit-s", "1000"]
    assert main(["fleet", "import", "libvirt", "nothing://h1/system", *options]) == 1
    said = capsys.readouterr().err
    assert "nothing://h1/system: does not answer" in said
    assert "leave it out" not in said
