"""The live driver while hosts and links fail: where the VM is afterwards, and what the operator reads."""

import re
import time

import pytest
from lab_tests import ON_A_LAB
from live_attempts import OUTCOMES
from live_migrations import (
    CALM,
    LIBVIRTD,
    OFF,
    OFF_ON_SOURCE,
    ON_SOURCE,
    ON_TARGET,
    PAUSED,
    QEMU,
    RUNNING,
    Found,
    TwoHosts,
)

from slacktide.executors.events import (
    BlackoutStarted,
    MigrationDone,
    MigrationFailed,
    VmLost,
)
from slacktide.lab import host as hosts

pytestmark = ON_A_LAB


CONTROL_LOST = r"h1's libvirtd lost its connection to h2's|to h1's libvirtd, or from there to h2's, was lost"
"""libvirt words it as the moment has it."""


# Daemons and processes


def test_a_target_whose_libvirtd_ends_while_it_prepares_is_left_clean(two: TwoHosts) -> None:
    moving = two.preparing()
    moving.fault()
    two.kill(two.target, LIBVIRTD)
    ended = moving.outcome()
    assert isinstance(ended, MigrationFailed)
    assert ended.retryable
    assert ended.error.startswith("VM vm1: ")
    assert re.search(CONTROL_LOST, ended.error)
    assert ended.error.endswith("; it runs on h1")
    two.start_libvirtd(two.target)
    assert two.settles(ON_SOURCE) == ON_SOURCE


def test_a_target_whose_libvirtd_ends_while_memory_is_copied_is_left_clean_and_tried_again(two: TwoHosts) -> None:
    moving = two.in_brownout()
    moving.fault()
    two.kill(two.target, LIBVIRTD)
    ended = moving.outcome()
    assert isinstance(ended, MigrationFailed)
    assert (ended.stage, ended.retryable) == ("brownout", True)
    assert re.search(CONTROL_LOST, ended.error)
    two.start_libvirtd(two.target)
    assert two.settles(ON_SOURCE) == ON_SOURCE
    two.tell("rate 0")
    moving.again()
    assert isinstance(moving.outcome(), MigrationDone)
    assert two.found() == ON_TARGET


def test_a_source_whose_libvirtd_ends_while_memory_is_copied_is_asked_again(two: TwoHosts) -> None:
    moving = two.in_brownout()
    two.kill(two.source, LIBVIRTD)
    time.sleep(1.0)
    moving.events += moving.driver.poll(0.0)
    assert not moving.kinds() & set(OUTCOMES), "nothing is known as long as it cannot be asked"
    moving.fault()
    two.start_libvirtd(two.source)
    ended = moving.outcome()
    assert isinstance(ended, MigrationFailed)
    assert ended.retryable
    assert "VM vm1: the connection to h1's libvirtd" in ended.error
    assert two.found() == ON_SOURCE


@pytest.mark.parametrize("after_s", [0.0, 0.12, 0.16, 0.2])
def test_a_source_whose_libvirtd_ends_around_the_switch_is_asked_again(two: TwoHosts, after_s: float) -> None:
    """A blackout lasts some 0.1 s: the guest has moved or not, libvirtd has seen that or not, or not yet cleared up."""
    moving = two.begin(CALM)
    moving.until(BlackoutStarted)
    time.sleep(after_s)
    two.kill(two.source, LIBVIRTD)
    time.sleep(0.5)
    moving.fault()
    two.start_libvirtd(two.source)
    ended = moving.outcome()
    assert isinstance(ended, MigrationDone | MigrationFailed)
    assert two.found() == (ON_TARGET if isinstance(ended, MigrationDone) else ON_SOURCE)


def test_a_target_whose_qemu_ends_leaves_the_guest_on_its_source(two: TwoHosts) -> None:
    moving = two.in_brownout()
    moving.fault()
    two.kill(two.target, QEMU)
    ended = moving.outcome()
    assert isinstance(ended, MigrationFailed)
    assert ended.retryable
    assert ended.error.startswith("VM vm1: ")
    assert "h2" in ended.error
    assert two.found() == ON_SOURCE


def test_a_source_whose_qemu_ends_has_lost_the_guest(two: TwoHosts) -> None:
    moving = two.in_brownout()
    moving.fault()
    two.kill(two.source, QEMU)
    ended = moving.outcome()
    assert isinstance(ended, VmLost)
    assert "VM vm1: runs nowhere any more: on h1 it is there and off, on h2 it is not there; " in ended.error
    assert ended.error.endswith("Start it on h1")
    assert two.found() == OFF_ON_SOURCE


def test_a_source_that_loses_power_is_asked_when_it_is_back_and_has_lost_the_guest(two: TwoHosts) -> None:
    moving = two.in_brownout()
    hosts.power_off(two.source)
    time.sleep(1.0)
    moving.events += moving.driver.poll(0.0)
    assert not moving.kinds() & set(OUTCOMES), "its libvirtd alone could be gone, and the guest alive"
    two.power_on(two.source)
    moving.fault()
    two.start_libvirtd(two.source)
    ended = moving.outcome()
    assert isinstance(ended, VmLost)
    assert "VM vm1: runs nowhere any more: on h1 it is there and off, on h2 it is not there; " in ended.error
    assert two.found() == OFF_ON_SOURCE


# Links


def test_a_copy_whose_link_was_cut_is_cancelled(two: TwoHosts) -> None:
    moving = two.in_brownout()
    two.cut("migration")
    time.sleep(0.5)
    moving.fault()
    moving.cancel()
    ended = moving.outcome()
    assert isinstance(ended, MigrationFailed)
    assert not ended.retryable
    assert ended.error == "VM vm1: stopped: deadline: it takes too long; it runs on h1"
    assert two.found() == ON_SOURCE


def test_a_copy_whose_link_was_cut_ends_by_itself_once_tcp_gives_up(two: TwoHosts) -> None:
    moving = two.in_brownout()
    moving.fault()
    two.cut("migration")
    ended = moving.outcome(40.0)
    assert isinstance(ended, MigrationFailed)
    assert ended.retryable
    assert "what carried its memory from h1 to h2 broke" in ended.error
    assert two.found() == ON_SOURCE


def test_hosts_whose_libvirtds_lose_each_other_leave_the_guest_on_its_source(two: TwoHosts) -> None:
    moving = two.in_brownout()
    moving.fault()
    two.cut("guests")
    ended = moving.outcome()
    assert isinstance(ended, MigrationFailed)
    assert ended.retryable
    assert re.search(CONTROL_LOST, ended.error)
    assert two.found() == ON_SOURCE


# Post-copy, after the guest has moved and before its memory has


def test_a_link_that_is_cut_after_the_switch_tears_the_guest_and_the_attempt_ends(two: TwoHosts) -> None:
    moving = two.switched()
    moving.fault()
    two.cut("migration")
    ended = moving.outcome(60.0)
    assert isinstance(ended, VmLost)
    source = "on h1 it has one part of its memory, of a post-copy that failed, on h2 it "  # which may not know yet
    assert ended.error.startswith(f"VM vm1: is lost, neither half of its memory is of use: {source}")
    assert ended.error.endswith("Destroy it on h1 and h2, then start it on one of them")
    assert two.found() == Found(PAUSED, RUNNING, beats=False, qemus=(1, 1))


@pytest.mark.parametrize(
    ("which", "found"),
    [("source", (OFF, RUNNING, (0, 1))), ("target", (PAUSED, OFF, (1, 0)))],
    ids=["source", "target"],
)
def test_a_qemu_that_ends_after_the_switch_has_lost_the_guest(two: TwoHosts, which: str, found: tuple) -> None:
    moving = two.switched()
    moving.fault()
    two.kill(getattr(two, which), QEMU)
    ended = moving.outcome()
    assert isinstance(ended, VmLost)
    assert "VM vm1: is lost, neither half of its memory is of use: on h1 it " in ended.error
    source, target, qemus = found
    assert two.found() == Found(source, target, beats=False, qemus=qemus), "what there is of it is left as it is"
