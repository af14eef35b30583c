"""Single migrations by the driver for real hosts: disks copied along, restarts, post-copy, throttling, persistence."""

import pickle
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
from lab_tests import ON_A_LAB

from slacktide.clock import SystemClock
from slacktide.executors import events
from slacktide.executors.connections_file import HostAddress
from slacktide.executors.drivers.libvirt.driver import LibvirtDriver
from slacktide.executors.drivers.libvirt.settings import LibvirtSettings, ProbeSettings
from slacktide.executors.drivers.protocol import Adoption, CancelRequest, MigrationRequest, PatchRequest
from slacktide.executors.events import Event, Stage
from slacktide.executors.maintenance.action import command_action
from slacktide.ids import HostId, MigrationId, VmId
from slacktide.lab.guests import Guest, connect, disk_of, guests_on
from slacktide.lab.layout import Lab, LabSettings
from slacktide.lab.lifecycle import down, up
from slacktide.lab.questions import ask, verify
from slacktide.planner.policy import MigrationRules

pytestmark = ON_A_LAB
calm = partial(Guest, beat_ms=50)
"""A guest of this lab: nobody counts heartbeats here, and so many guests that beat fast keep a processor busy."""
QUIET, WITH_DISK, BUSY = calm(1), calm(3, disk_mib=24), calm(5, memory_mib=88, working_set_mib=64)
TRANSIENT, RESTARTED, OTHER_DISK, OTHER_ONE = calm(7), calm(9), calm(11, disk_mib=4), calm(13)
SPLIT, LEFT_ALONE = calm(15), calm(17, disk_mib=24)
GUESTS = [QUIET, calm(2), WITH_DISK, calm(4), BUSY, calm(6), TRANSIENT, calm(8), RESTARTED]
GUESTS += [calm(10), OTHER_DISK, calm(12), OTHER_ONE, calm(14), SPLIT, calm(16), LEFT_ALONE]
"""Those with odd numbers begin on the first host."""
BUSY_PAGES_S = 60 * 256
"""Pages that the busy one dirties in a second, once it is told to: 60 MiB."""
PATIENCE_S = 120.0


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """Have a lab of two hosts."""
    name = f"t{secrets.token_hex(4)}"
    try:
        yield up(LabSettings(name, 2, 400), GUESTS, lambda *_: None)
    finally:
        down(name)


def request_for(guest: Guest, strategy: str = "precopy") -> MigrationRequest:
    return MigrationRequest(
        MigrationId("m1"), 1, VmId(guest.name), HostId("h1"), HostId("h2"), strategy,
        predicted_blackout_ms=60.0, predicted_transfer_mib=64.0, at_s=0.0,
        bandwidth_mbit_s=400, blackout_limit_ms=500, predicted_brownout_s=3.0,
    )  # fmt: skip


def driver_of(lab: Lab, *, strategies: tuple = ("precopy",), reached_by: str | None = None) -> LibvirtDriver:
    addresses = {HostId(host.name): HostAddress(host.uri, reached_by) for host in lab.hosts}
    settings = LibvirtSettings(
        addresses=addresses, maintenance=command_action(("true",)), probe=ProbeSettings(namespace=lab.control)
    )
    return LibvirtDriver(
        settings, MigrationRules(strategies=strategies, restart_s=20), datetime.now(UTC), SystemClock()
    )


def outcome_of(driver: LibvirtDriver) -> list[Event]:
    """Return what a driver reports, until one attempt has ended."""
    found: list[Event] = []
    until_s = time.monotonic() + PATIENCE_S
    while not any(isinstance(event, events.MigrationDone | events.MigrationFailed | events.VmLost) for event in found):
        assert time.monotonic() < until_s, found
        time.sleep(0.05)
        found += driver.poll(0.0)
    return found


def carried_out(lab: Lab, guest: Guest, strategy: str = "precopy", **terms) -> list[Event]:
    """Return what a driver reports of one migration from the first host to the second."""
    driver = driver_of(lab, **terms)
    driver.migrate([request_for(guest, strategy)])
    found = outcome_of(driver)
    driver.close()
    return found


def kinds(found: list[Event]) -> list[str]:
    return [event.type for event in found if event.type != "migration-progress"]


def test_a_migration_has_all_stages_and_the_guest_is_as_persistent_as_before(lab: Lab) -> None:
    found = carried_out(lab, QUIET)
    assert kinds(found) == [
        "target-reserved",
        "target-prepared",
        "target-connected",
        "brownout-started",
        "blackout-started",
        "forwarding-started",
        "source-deleted",
        "migration-done",
    ]
    assert [event.at_s for event in found] == sorted(event.at_s for event in found)
    source, target = map(connect, lab.hosts)
    assert QUIET.name not in [domain.name() for domain in source.listAllDomains()], "neither running nor defined"
    assert target.lookupByName(QUIET.name).isPersistent()
    assert verify(lab, [QUIET]) == {QUIET.name: 0}


def test_a_transient_guest_stays_transient(lab: Lab) -> None:
    source, target = map(connect, lab.hosts)
    source.lookupByName(TRANSIENT.name).undefine()
    assert kinds(carried_out(lab, TRANSIENT))[-1] == "migration-done"
    assert not target.lookupByName(TRANSIENT.name).isPersistent()


def test_a_disk_that_only_the_source_has_is_copied_along(lab: Lab) -> None:
    source, target = lab.hosts
    before = disk_of(source, WITH_DISK.name).read_bytes()
    found = carried_out(lab, WITH_DISK)
    done = found[-1]
    assert isinstance(done, events.MigrationDone), done
    assert disk_of(target, WITH_DISK.name).read_bytes() == before
    assert not disk_of(source, WITH_DISK.name).exists(), "what was copied is gone from the source"
    assert done.transfer_mib is not None
    assert done.transfer_mib > WITH_DISK.disk_mib + WITH_DISK.working_set_mib
    assert verify(lab, [WITH_DISK]) == {WITH_DISK.name: 0}


def test_a_disk_is_never_copied_over_a_file_that_is_there(lab: Lab) -> None:
    source, target = lab.hosts
    there = disk_of(target, OTHER_DISK.name)
    there.write_bytes(b"somebody else's")
    found = carried_out(lab, OTHER_DISK)
    assert kinds(found) == ["migration-failed"]
    assert "would be overwritten" in str(found[0])
    assert there.read_bytes() == b"somebody else's"
    assert OTHER_DISK.name in guests_on(source)
    there.unlink()


def test_a_copy_of_a_disk_that_is_stopped_leaves_nothing_and_may_be_tried_again(lab: Lab) -> None:
    source, target = lab.hosts
    driver = driver_of(lab)
    request = request_for(OTHER_DISK)._replace(bandwidth_mbit_s=10)
    driver.migrate([request])
    until_s = time.monotonic() + PATIENCE_S
    while not disk_of(target, OTHER_DISK.name).exists():
        assert time.monotonic() < until_s
        time.sleep(0.01)
    driver.cancel([CancelRequest(request.migration_id, 1, "enough", 0.0)])
    failed = outcome_of(driver)[-1]
    assert isinstance(failed, events.MigrationFailed), failed
    assert OTHER_DISK.name in guests_on(source)
    assert disk_of(source, OTHER_DISK.name).exists()
    assert not disk_of(target, OTHER_DISK.name).exists(), "half a disk is of no use"
    driver.migrate([request_for(OTHER_DISK)._replace(attempt=2)])
    assert isinstance(outcome_of(driver)[-1], events.MigrationDone)
    driver.close()


AN_AGENT_OF_ITS_OWN = """
import pickle, sys, time
from datetime import UTC, datetime
from slacktide.clock import SystemClock
from slacktide.executors.drivers.libvirt.driver import LibvirtDriver
settings, rules, request = pickle.load(open(sys.argv[1], "rb"))
LibvirtDriver(settings, rules, datetime.now(UTC), SystemClock()).migrate([request])
time.sleep(600)
"""


def test_a_copied_disk_whose_agent_is_killed_is_cleared_away_by_the_next(lab: Lab, tmp_path) -> None:
    source, target = lab.hosts
    before = disk_of(source, LEFT_ALONE.name).read_bytes()
    request = request_for(LEFT_ALONE)._replace(bandwidth_mbit_s=40)
    addresses = {HostId(host.name): HostAddress(host.uri, None) for host in lab.hosts}
    settings = LibvirtSettings(addresses=addresses, maintenance=command_action(("true",)))
    given = tmp_path / "given"
    given.write_bytes(pickle.dumps((settings, MigrationRules(), request)))
    with subprocess.Popen([sys.executable, "-c", AN_AGENT_OF_ITS_OWN, str(given)]) as agent:
        until_s = time.monotonic() + PATIENCE_S
        while not disk_of(target, LEFT_ALONE.name).exists():
            assert time.monotonic() < until_s
            time.sleep(0.01)
        agent.kill()
    driver = driver_of(lab)
    driver.adopt(Adoption(((request, Stage.BROWNOUT),), ()))
    done = outcome_of(driver)[-1]
    driver.close()
    assert isinstance(done, events.MigrationDone), done
    assert LEFT_ALONE.name in guests_on(target)
    assert disk_of(target, LEFT_ALONE.name).read_bytes() == before
    assert not disk_of(source, LEFT_ALONE.name).exists(), "what was copied is gone from the source"
    assert verify(lab, [LEFT_ALONE]) == {LEFT_ALONE.name: 0}


def test_memory_is_sent_by_several_streams_where_one_does_not_carry_the_plan(lab: Lab) -> None:
    driver = driver_of(lab)
    driver.migrate([request_for(SPLIT)._replace(bandwidth_mbit_s=17_000)])
    done = outcome_of(driver)[-1]
    driver.close()
    assert isinstance(done, events.MigrationDone), done
    assert verify(lab, [SPLIT]) == {SPLIT.name: 0}


def test_a_guest_that_dirties_too_fast_moves_first_and_its_memory_follows(lab: Lab) -> None:
    ask(lab, BUSY, f"rate {BUSY_PAGES_S}")
    found = carried_out(lab, BUSY, "postcopy", strategies=("precopy", "postcopy"))
    done = found[-1]
    assert isinstance(done, events.MigrationDone), done
    assert [event.step for event in found if isinstance(event, events.MigrationForced)] == ["postcopy"]
    assert done.blackout_ms is not None, "the hypervisor counts the switch alone, and tells it at the end"
    assert done.probe_blackout_ms is not None
    assert done.probe_blackout_ms > done.blackout_ms, "the probe sees what the guest waits for afterwards"
    assert guests_on(lab.hosts[1]).count(BUSY.name) == 1
    assert verify(lab, [BUSY]) == {BUSY.name: 0}
    ask(lab, BUSY, "rate 0")


def test_a_guest_that_is_restarted_is_shut_down_and_started_on_its_target(lab: Lab) -> None:
    found = carried_out(lab, RESTARTED, "restart")
    assert kinds(found)[-1] == "migration-done", found
    forwarding = next(event for event in found if isinstance(event, events.ForwardingStarted))
    assert forwarding.blackout_ms is not None
    assert forwarding.blackout_ms > 0
    assert RESTARTED.name in guests_on(lab.hosts[1])
    source = connect(lab.hosts[0])
    assert RESTARTED.name not in [domain.name() for domain in source.listAllDomains()]


def test_a_target_without_encryption_is_refused_before_anything_is_touched(lab: Lab) -> None:
    on_second = guests_on(lab.hosts[1])
    found = carried_out(lab, Guest(2), reached_by="qemu+tcp://h2/system")
    assert kinds(found) == ["migration-failed"]
    failed = found[0]
    assert isinstance(failed, events.MigrationFailed)
    assert failed.stage == "intended"
    assert not failed.retryable
    assert "neither encrypts nor authenticates" in failed.error
    assert "migration.allow_unencrypted" in failed.error
    assert guests_on(lab.hosts[1]) == on_second


def test_a_host_with_a_guest_that_the_plan_does_not_know_is_not_patched(lab: Lab, tmp_path: Path) -> None:
    touched = tmp_path / "touched"
    addresses = {HostId(host.name): HostAddress(host.uri) for host in lab.hosts}
    settings = LibvirtSettings(addresses=addresses, maintenance=command_action(("touch", str(touched))))
    driver = LibvirtDriver(settings, MigrationRules(), datetime.now(UTC), SystemClock())
    assert guests_on(lab.hosts[1])
    driver.patch([PatchRequest(HostId("h2"), "patched", 1, 0.0)])
    found: list[Event] = []
    until_s = time.monotonic() + PATIENCE_S
    ends = events.HostRefilled | events.PatchFailed | events.HostReturned
    while not any(isinstance(event, ends) for event in found):
        assert time.monotonic() < until_s, found
        time.sleep(0.05)
        found += driver.poll(0.0)
    driver.close()
    refilled = found[-1]
    assert isinstance(refilled, events.HostRefilled), refilled
    assert "vm10" in refilled.detail
    assert not touched.exists()


def test_a_restart_that_is_cancelled_leaves_the_guest_running_on_its_source(lab: Lab) -> None:
    driver = driver_of(lab)
    driver.migrate([request_for(OTHER_ONE, "restart")])
    while not any(event.type == "brownout-started" for event in driver.poll(0.0)):
        time.sleep(0.01)
    driver.cancel([CancelRequest(MigrationId("m1"), 1, "enough", 0.0)])
    failed = outcome_of(driver)[-1]
    driver.close()
    assert isinstance(failed, events.MigrationFailed), failed
    assert OTHER_ONE.name in guests_on(lab.hosts[0])
    assert OTHER_ONE.name not in guests_on(lab.hosts[1])


@pytest.mark.parametrize("stage", [Stage.INTENDED, Stage.BLACKOUT])
def test_a_restart_whose_agent_ended_leaves_the_guest_running(lab: Lab, stage: Stage) -> None:
    source = connect(lab.hosts[0])
    if stage is Stage.BLACKOUT:
        source.lookupByName(OTHER_ONE.name).destroy()
    driver = driver_of(lab)
    driver.adopt(Adoption(((request_for(OTHER_ONE, "restart"), stage),), ()))
    failed = outcome_of(driver)[-1]
    driver.close()
    assert isinstance(failed, events.MigrationFailed), failed
    assert failed.error.endswith("it runs on h1")
    assert source.lookupByName(OTHER_ONE.name).isActive()


def test_an_outcome_that_nobody_heard_counts_as_under_way_and_is_told_again(lab: Lab) -> None:
    request = request_for(OTHER_ONE)
    driver = driver_of(lab)
    driver.adopt(Adoption(((request, Stage.INTENDED),), ()))
    time.sleep(2.0)
    assert driver.locate([request])[0].migration_id == "m1", "its outcome is known to the driver alone"
    assert isinstance(outcome_of(driver)[-1], events.MigrationFailed)
    assert driver.locate([request])[0].migration_id is None
    driver.migrate([request])
    assert isinstance(outcome_of(driver)[-1], events.MigrationFailed), "the same attempt again is the same outcome"
    driver.close()
