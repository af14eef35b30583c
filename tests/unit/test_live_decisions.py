"""What the driver for real hosts decides, apart from any host: where a VM is, when to force it, how fast to send."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slacktide.errors import DriverError
from slacktide.executors.connections_file import HostAddress
from slacktide.executors.drivers.libvirt.convergence import GRACE_S, LEAST_LIMIT_MS, Ladder, Sample
from slacktide.executors.drivers.libvirt.copying import Copying
from slacktide.executors.drivers.libvirt.pace import CATCH_UP, Pace
from slacktide.executors.drivers.libvirt.peers import Peer, peer_of
from slacktide.executors.drivers.libvirt.verdict import GuestState, Place, Verdict, verdict
from slacktide.executors.drivers.protocol import MigrationRequest
from slacktide.executors.events import Event, MigrationForced
from slacktide.executors.probes.probe import reading
from slacktide.planner.policy import MigrationRules

ABSENT, OFF, RUNNING, UNKNOWN = GuestState.ABSENT, GuestState.OFF, GuestState.RUNNING, GuestState.UNKNOWN
INCOMING, SENT, TORN, ENDED, MIGRATING = (
    GuestState.INCOMING,
    GuestState.SENT,
    GuestState.TORN,
    GuestState.ENDED,
    GuestState.MIGRATING,
)


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        (RUNNING, ABSENT, Verdict(Place.SOURCE)),
        (RUNNING, INCOMING, Verdict(Place.SOURCE, discard_on_target=True)),
        (RUNNING, UNKNOWN, Verdict(Place.SOURCE)),
        (ABSENT, RUNNING, Verdict(Place.TARGET)),
        (OFF, RUNNING, Verdict(Place.TARGET, discard_on_source=True)),
        (SENT, RUNNING, Verdict(Place.TARGET, discard_on_source=True)),
        (UNKNOWN, RUNNING, Verdict(Place.MOVING)),
        (SENT, UNKNOWN, Verdict(Place.MOVING)),
        (SENT, ABSENT, Verdict(Place.SOURCE, resume_on_source=True)),
        (SENT, INCOMING, Verdict(Place.SOURCE, discard_on_target=True, resume_on_source=True)),
        (MIGRATING, RUNNING, Verdict(Place.MOVING)),
        (ABSENT, MIGRATING, Verdict(Place.MOVING)),
        (TORN, TORN, Verdict(Place.NOWHERE)),
        (TORN, ABSENT, Verdict(Place.NOWHERE)),
        (ABSENT, ABSENT, Verdict(Place.NOWHERE)),
        (OFF, ABSENT, Verdict(Place.NOWHERE)),
        (ENDED, INCOMING, Verdict(Place.NOWHERE)),
        (RUNNING, RUNNING, Verdict(Place.TWICE)),
    ],
)
def test_where_a_vm_is(source: GuestState, target: GuestState, expected: Verdict) -> None:
    assert verdict(source, target) == expected


def test_no_verdict_clears_away_a_guest_that_runs_or_that_nobody_could_ask_about() -> None:
    for source, target in itertools.product(GuestState, GuestState):
        found = verdict(source, target)
        if found.discard_on_target:
            assert target is INCOMING
        if found.discard_on_source:
            assert target is RUNNING
            assert source not in (RUNNING, UNKNOWN, MIGRATING)
        if found.resume_on_source:
            assert source is SENT
            assert target in (ABSENT, INCOMING)
        if found.place in (Place.SOURCE, Place.TARGET):
            assert MIGRATING not in (source, target)


def ladder(strategy: str = "precopy", strategies: tuple = ("precopy", "autoconverge"), **changes) -> Ladder:
    figures = {"predicted_brownout_s": 10.0, "predicted_blackout_ms": 130.0, "limit_ms": 500} | changes
    return Ladder(strategy, **figures, rules=MigrationRules(strategies=strategies))


def taken(rungs: Ladder, at: Sample) -> str | None:
    """Return the rung that is to be taken, having taken it."""
    step = rungs.next_step(at)
    if step is None:
        return None
    assert "50 MiB remain" in step.reason
    rungs.took(step)
    return step.name


def sample(at_s: float, iteration: int = 3, throttle: float = 0.0) -> Sample:
    return Sample(at_s, iteration, 100.0, 50.0, 40.0, 20.0, throttle)


def test_a_copy_begins_with_the_predicted_pause_and_may_last_as_long_as_allowed_when_it_is_late() -> None:
    rungs = ladder()
    assert rungs.first_limit_ms == 100
    assert taken(rungs, sample(12.0)) is None
    assert taken(rungs, sample(10.0 * 1.25 + GRACE_S + 0.1)) == "raise-limit"
    assert rungs.longest_ms == 470
    assert taken(rungs, sample(60.0)) is None, "each rung is taken once"


def test_a_rung_that_the_hypervisor_did_not_take_is_asked_for_again() -> None:
    rungs = ladder("postcopy", ("precopy", "postcopy"))
    for at_s in (2.0, 2.1):
        step = rungs.next_step(sample(at_s, iteration=2))
        assert step is not None
        assert step.name == "postcopy"
    rungs.took(step)
    assert rungs.next_step(sample(2.2, iteration=2)) is None


def test_a_copy_tries_again_what_libvirt_refused_and_tells_only_what_was_done() -> None:
    libvirt = pytest.importorskip("libvirt")
    told: list[Event] = []

    class Busy:
        """A domain whose daemon is busy at the first calls."""

        calls = 0

        def jobStats(self) -> dict:  # noqa: N802
            running = {"operation": libvirt.VIR_DOMAIN_JOB_OPERATION_MIGRATION_OUT, "data_total": 1}
            return running | {"memory_iteration": 2}

        def migrateSetMaxDowntime(self, _: int) -> None:  # noqa: N802
            self.refuse_until(2)

        def migrateStartPostCopy(self) -> None:  # noqa: N802
            self.refuse_until(4)

        def migrateSetMaxSpeed(self, *_: int) -> None:  # noqa: N802
            return

        def refuse_until(self, call: int) -> None:
            self.calls += 1
            if self.calls < call:
                raise libvirt.libvirtError("cannot acquire state change lock")

    request = MigrationRequest("m1", 1, "vm1", "h1", "h2", "postcopy", 200, 500, 10.0, 130.0, 64.0, 0.0)
    rungs = ladder("postcopy", ("precopy", "postcopy"))
    copying, domain = Copying(request, rungs, Pace(200, 0.95), told.append), Busy()
    steps = []
    for _ in range(5):
        copying.look(domain, 0.0)
        steps.append([event.step for event in told if isinstance(event, MigrationForced)])
    assert steps == [[], [], ["postcopy"], ["postcopy"], ["postcopy"]]


def test_the_pause_is_never_aimed_above_the_vms_limit_nor_below_what_a_host_can_hit() -> None:
    assert ladder(limit_ms=90).first_limit_ms == 60
    assert ladder(limit_ms=10).first_limit_ms == LEAST_LIMIT_MS


def test_nothing_is_forced_in_the_first_round() -> None:
    assert taken(ladder(strategies=("precopy", "postcopy")), sample(100.0, iteration=1)) is None


def test_post_copy_begins_after_the_first_round_where_it_is_planned_and_late_where_it_is_only_allowed() -> None:
    planned = ladder("postcopy", ("precopy", "postcopy"))
    assert taken(planned, sample(1.0, iteration=1)) is None
    assert taken(planned, sample(2.0, iteration=2)) == "postcopy"
    allowed = ladder("precopy", ("precopy", "postcopy"))
    found = [taken(allowed, sample(at_s)) for at_s in (14.0, 15.0, 21.9, 22.1)]
    assert found == [None, "raise-limit", None, "postcopy"]
    assert taken(allowed, sample(60.0, throttle=0.5)) is None, "after it there is nothing left to force"


def test_what_the_policy_does_not_allow_is_not_done() -> None:
    rungs = ladder(strategies=("precopy",))
    assert not rungs.may_switch
    assert not rungs.may_throttle
    assert [step for at_s in range(200) if (step := taken(rungs, sample(float(at_s))))] == ["raise-limit"]


def test_a_guest_that_is_slowed_is_told_of_once() -> None:
    rungs = ladder(limit_ms=130)
    assert [step for at_s in range(40) if (step := taken(rungs, sample(float(at_s), throttle=0.2)))] == ["throttle"]


def test_an_estimate_is_given_only_where_more_is_sent_than_dirtied() -> None:
    assert sample(1.0).estimate_s is None
    assert Sample(1.0, 2, 0.0, 50.0, 10.0, 20.0, 0.0).estimate_s == 5.0


@given(st.integers(20, 40_000), st.floats(0.0, 0.04))
def test_a_paced_copy_comes_to_its_planned_rate_although_limits_are_whole(bandwidth_mbit_s: int, lost: float) -> None:
    """A sender that loses some of its limit, as QEMU's does: behind it is let go faster, never by more than a tenth."""
    pace = Pace(bandwidth_mbit_s, 0.95)
    sent, limit = 0.0, pace.first_limit_mib_s
    for second in range(1, 121):
        sent += limit * (1 - lost)
        limit = pace.limit_mib_s(sent, float(second))
        assert limit <= np.ceil(pace.planned_mib_s * CATCH_UP)
    assert sent / 120 == pytest.approx(pace.planned_mib_s, rel=0.05, abs=0.3)


def test_a_target_is_reached_by_tls_and_without_it_only_where_the_policy_says_so() -> None:
    def reached(uri: str, peer: str | None = None, *, allowed: bool = False) -> Peer:
        return peer_of("h7", HostAddress(uri, peer), allow_unencrypted=allowed)  # type: ignore[arg-type]

    tls = Peer("qemu+tls://h7/system", encrypted=True)
    assert reached("qemu:///system") == tls
    assert reached("qemu+unix:///system?socket=/run/h7") == tls
    assert reached("qemu+tls://h7/system?pkipath=/home/me") == tls
    assert reached("qemu:///system", "qemu+ssh://h7/system") == Peer("qemu+ssh://h7/system", encrypted=True)
    with pytest.raises(DriverError, match=r"neither encrypts nor authenticates.*allow_unencrypted"):
        reached("qemu+tcp://h7/system")
    assert reached("qemu+tcp://h7/system", allowed=True) == Peer("qemu+tcp://h7/system", encrypted=False)


def test_a_blackout_from_outside_is_the_longest_silence_and_after_a_switch_all_of_them() -> None:
    beats = np.arange(0.0, 2.0, 0.005)
    quiet = beats[(beats < 0.5) | (beats >= 0.7)]
    seen = reading(quiet, None)
    assert seen is not None
    assert seen.blackout_ms == pytest.approx(200, abs=1)
    assert seen.resolution_ms == pytest.approx(5, abs=0.1)
    stalling = quiet[(quiet < 1.0) | ((quiet >= 1.1) & (quiet < 1.3)) | (quiet >= 1.35)]
    before, after = reading(stalling, None), reading(stalling, 0.69)
    assert before is not None
    assert after is not None
    assert before.blackout_ms == pytest.approx(200, abs=1)
    assert after.blackout_ms == pytest.approx(350, abs=2)
    assert reading(quiet[:2], None) is None
