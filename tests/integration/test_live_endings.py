"""The live driver while guests, people and agents interfere: where the VM is then, and what the operator reads."""

from lab_tests import ON_A_LAB
from live_migrations import (
    ABSENT,
    CALM,
    HOT,
    OFF,
    OFF_ON_SOURCE,
    ON_SOURCE,
    ON_TARGET,
    PAUSED,
    Found,
    TwoHosts,
    connection,
)

from slacktide.executors.events import (
    BlackoutStarted,
    MigrationDone,
    MigrationFailed,
    MigrationForced,
    SourceDeleted,
    Stage,
    VmLost,
)
from slacktide.lab import network
from slacktide.lab.guests import Guest
from slacktide.planner.policy import MigrationRules

pytestmark = ON_A_LAB


# Guests, and people who look after them


def test_a_guest_that_shuts_itself_down_is_told_so(two: TwoHosts) -> None:
    moving = two.in_brownout()
    moving.fault()
    two.tell("poweroff")
    ended = moving.outcome()
    assert isinstance(ended, MigrationFailed)
    assert not ended.retryable
    assert ended.error.startswith("VM vm1: the guest shut itself down during its migration: on h1 it is there and off")
    assert two.found() == OFF_ON_SOURCE


def test_a_guest_that_somebody_destroys_is_told_so(two: TwoHosts) -> None:
    moving = two.in_brownout()
    moving.fault()
    with connection(two.source) as opened:
        opened.lookupByName("vm1").destroy()
    ended = moving.outcome()
    assert isinstance(ended, MigrationFailed)
    assert not ended.retryable
    assert ended.error.startswith("VM vm1: the guest was destroyed by somebody during its migration: on h1 it is")
    assert two.found() == OFF_ON_SOURCE


def test_a_guest_that_somebody_pauses_is_moved_and_runs_on(two: TwoHosts) -> None:
    """libvirt takes a pause during a migration as help to end it: the rest is sent, and the guest goes on."""
    moving = two.in_brownout(CALM)
    moving.fault()
    with connection(two.source) as opened:
        opened.lookupByName("vm1").suspend()
    assert isinstance(moving.outcome(), MigrationDone)
    assert BlackoutStarted in moving.kinds()
    assert two.found() == ON_TARGET


def test_a_guest_that_shuts_itself_down_after_it_has_moved_is_told_so(two: TwoHosts) -> None:
    moving = two.switched()
    moving.fault()
    two.tell("poweroff")
    ended = moving.outcome()
    assert isinstance(ended, VmLost)
    assert ended.error.startswith("VM vm1: the guest shut itself down after it had moved: on h1 it ")
    whole = "on h2 it is there and off. Start it on h2, if it is to run" in ended.error  # all its memory had come
    assert two.found() == Found(*((ABSENT, OFF) if whole else (PAUSED, OFF)), False, qemus=(0 if whole else 1, 0))


def test_a_guest_that_somebody_destroys_after_it_has_moved_is_told_so(two: TwoHosts) -> None:
    moving = two.switched()
    moving.fault()
    with connection(two.target) as opened:
        opened.lookupByName("vm1").destroy()
    ended = moving.outcome()
    assert isinstance(ended, VmLost)
    assert ended.error.startswith(
        "VM vm1: the guest was destroyed by somebody after it had moved: on h1 it has one part"
    )
    assert ended.error.endswith("Destroy it on h1 and h2, then start it on one of them")
    assert two.found() == Found(PAUSED, OFF, beats=False, qemus=(1, 0))


# Copies that take longer than planned


def test_a_copy_on_a_link_that_became_slow_takes_a_step_and_is_cancelled(two: TwoHosts) -> None:
    moving = two.in_brownout(Guest(1, 40, 16, dirty_mib_s=8.0), predicted_brownout_s=1.0)
    moving.fault()
    for host in two.lab.hosts:
        network.shape(two.lab, host, 20)
    forced = moving.until(MigrationForced, patience_s=40.0)
    assert forced.step == "raise-limit"
    assert "MiB remain; the guest dirties " in forced.reason
    moving.fault()
    moving.cancel()
    ended = moving.outcome()
    assert isinstance(ended, MigrationFailed)
    assert ended.error == "VM vm1: stopped: deadline: it takes too long; it runs on h1"
    assert two.found() == ON_SOURCE


def test_a_guest_that_dirties_faster_than_its_link_is_slowed_until_it_fits(two: TwoHosts) -> None:
    rules = MigrationRules(strategies=("precopy", "autoconverge"))
    moving = two.begin(Guest(1, 40, 16, dirty_mib_s=26.0), rules)
    assert isinstance(moving.outcome(90.0), MigrationDone)
    steps = [event.step for event in moving.events if isinstance(event, MigrationForced)]
    assert "throttle" in steps
    assert two.found() == ON_TARGET


def test_a_guest_that_dirties_faster_than_its_link_and_may_not_be_slowed_stays(two: TwoHosts) -> None:
    moving = two.in_brownout(HOT, predicted_brownout_s=1.0)
    assert moving.until(MigrationForced).step == "raise-limit"
    moving.fault()
    moving.cancel()
    assert isinstance(moving.outcome(), MigrationFailed)
    assert two.found() == ON_SOURCE


def test_a_guest_that_has_moved_cannot_be_called_back(two: TwoHosts) -> None:
    moving = two.switched()
    moving.fault()
    moving.cancel()
    assert isinstance(moving.outcome(), MigrationDone)
    assert two.found() == ON_TARGET


# Agents that end


def test_what_libvirt_carries_on_after_its_agent_is_found_and_told(two: TwoHosts) -> None:
    moving = two.in_brownout(CALM)
    moving.fault()
    moving.taken_over(Stage.BROWNOUT)
    assert isinstance(moving.outcome(), MigrationDone)
    assert SourceDeleted in moving.kinds()
    assert two.found() == ON_TARGET
    (location,) = moving.driver.locate([moving.request])
    assert (location.host_id, location.migration_id) == ("h2", None)


def test_a_guest_that_moved_before_its_agent_ended_is_followed_until_its_memory_is_there(two: TwoHosts) -> None:
    moving = two.switched()
    moving.fault()
    moving.taken_over(Stage.FORWARDING)
    assert isinstance(moving.outcome(), MigrationDone)
    assert [event.step for event in moving.events if isinstance(event, MigrationForced)] == ["postcopy"]
    assert two.found() == ON_TARGET


def test_an_attempt_taken_over_can_be_cancelled(two: TwoHosts) -> None:
    moving = two.in_brownout()
    moving.taken_over(Stage.BROWNOUT)
    moving.fault()
    moving.cancel()
    ended = moving.outcome()
    assert isinstance(ended, MigrationFailed)
    assert ended.error == "VM vm1: stopped: deadline: it takes too long; it runs on h1"
    assert two.found() == ON_SOURCE


def test_a_request_that_never_reached_libvirt_has_failed(two: TwoHosts) -> None:
    two.start(CALM)
    moving = two.attempt()
    moving.fault()
    moving.taken_over(Stage.INTENDED)
    ended = moving.outcome()
    assert isinstance(ended, MigrationFailed)
    assert ended.retryable
    assert ended.error == "VM vm1: the agent that began it ended before it was over; it runs on h1"
    assert two.found() == ON_SOURCE
