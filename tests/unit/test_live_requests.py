"""What libvirt is asked for an attempt."""

import pytest

from slacktide.executors.drivers.libvirt.convergence import Ladder
from slacktide.executors.drivers.libvirt.pace import Pace
from slacktide.executors.drivers.libvirt.requests import MOST_STREAMS, STREAM_MBIT_S, Asked, asked, streams_for
from slacktide.executors.drivers.protocol import MigrationRequest
from slacktide.executors.inventory.observed import ObservedDisk
from slacktide.executors.preflight.facts import GuestFacts
from slacktide.ids import HostId, MigrationId, VmId
from slacktide.planner.policy import MigrationRules

libvirt = pytest.importorskip("libvirt")
DISKS = (ObservedDisk("vda", "/images/vm1.raw", 40), ObservedDisk("vdb", "/shared/data.raw", 0))


def request_for(
    strategies: tuple = ("precopy",),
    *,
    strategy: str = "precopy",
    bandwidth_mbit_s: int = 1000,
    persistent: bool = True,
    disks: tuple = (),
    encrypted: bool = True,
) -> Asked:
    rules = MigrationRules(strategies=strategies)
    request = MigrationRequest(
        MigrationId("m1"), 1, VmId("vm1"), HostId("h1"), HostId("h2"), strategy, bandwidth_mbit_s, 500, 3.0, 60, 64, 0.0
    )
    guest = GuestFacts(
        name="vm1",
        uuid="u1",
        host_uuid="u2",
        state="running",
        persistent=persistent,
        memory_mib=64,
        vcpus=1,
        machine="pc",
        arch="x86_64",
        virt_type="kvm",
        emulator="",
        cpu_xml="",
        follows_host=False,
        disks=disks,
        networks=(),
        bridges=(),
        held_by="",
        job="",
        snapshots=0,
    )
    ladder = Ladder(strategy, 3.0, 60.0, 500, rules)
    return asked(request, guest, ladder, Pace(bandwidth_mbit_s, rules.goodput), encrypted=encrypted)


def has(found: Asked, *names: str) -> list[bool]:
    return [bool(found.flags & getattr(libvirt, f"VIR_MIGRATE_{name}")) for name in names]


def test_it_is_live_peer_to_peer_encrypted_and_at_the_planned_rate() -> None:
    found = request_for()
    assert has(found, "LIVE", "PEER2PEER", "TLS") == [True] * 3
    assert found.parameters == {"bandwidth": round(1000 * 0.95 / 8.388608)}
    assert has(found, "AUTO_CONVERGE", "POSTCOPY", "PARALLEL", "NON_SHARED_DISK", "UNSAFE") == [False] * 5
    assert has(request_for(encrypted=False), "TLS") == [False]


def test_a_guest_is_as_persistent_afterwards_as_it_was() -> None:
    assert has(request_for(), "PERSIST_DEST", "UNDEFINE_SOURCE") == [True, True]
    assert has(request_for(persistent=False), "PERSIST_DEST", "UNDEFINE_SOURCE") == [False, False]


def test_throttling_and_post_copy_are_asked_for_only_where_allowed() -> None:
    throttled = request_for(("precopy", "autoconverge"))
    assert has(throttled, "AUTO_CONVERGE", "POSTCOPY") == [True, False]
    assert throttled.parameters["auto_converge.initial"] == 20
    assert throttled.parameters["auto_converge.increment"] == 10
    switched = request_for(("precopy", "postcopy"))
    assert has(switched, "AUTO_CONVERGE", "POSTCOPY") == [False, True]
    assert switched.parameters["bandwidth.postcopy"] == switched.parameters["bandwidth"]


def test_a_bandwidth_that_one_stream_does_not_carry_is_sent_by_several_but_not_in_post_copy() -> None:
    assert [streams_for(rate) for rate in (1, STREAM_MBIT_S, STREAM_MBIT_S + 1, 10**9)] == [1, 1, 2, MOST_STREAMS]
    wide = request_for(bandwidth_mbit_s=25_000)
    assert has(wide, "PARALLEL") == [True]
    assert wide.parameters["parallel.connections"] == 4
    assert has(request_for(("precopy", "postcopy"), bandwidth_mbit_s=25_000), "PARALLEL") == [False]


def test_only_disks_that_the_target_does_not_see_are_copied() -> None:
    found = request_for(disks=DISKS)
    assert has(found, "NON_SHARED_DISK") == [True]
    assert found.parameters["migrate_disks"] == ["vda"]
    assert has(request_for(disks=DISKS[1:]), "NON_SHARED_DISK") == [False]
