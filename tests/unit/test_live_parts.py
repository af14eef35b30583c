"""Parts of the live driver that need no host: what libvirt's states and errors mean."""

import itertools

import pytest

from slacktide.executors.drivers.libvirt.absence import Absence, Ending, absence
from slacktide.executors.drivers.libvirt.asking import state_of
from slacktide.executors.drivers.libvirt.errors import lasting, remedy, told
from slacktide.executors.drivers.libvirt.verdict import GuestState, Place, verdict
from slacktide.executors.drivers.protocol import MigrationRequest
from slacktide.ids import HostId

RUNNING, PAUSED, SHUT_OFF, CRASHED = 1, 3, 5, 6


@pytest.mark.parametrize(
    ("state", "reason", "on_source", "on_target"),
    [
        (RUNNING, 1, GuestState.RUNNING, GuestState.RUNNING),  # booted
        (RUNNING, 2, GuestState.RUNNING, GuestState.RUNNING),  # migrated
        (RUNNING, 10, GuestState.RUNNING, GuestState.MIGRATING),  # post-copy
        (RUNNING, 11, GuestState.RUNNING, GuestState.TORN),  # post-copy failed
        (PAUSED, 1, GuestState.RUNNING, GuestState.RUNNING),  # by somebody: it is there as a whole
        (PAUSED, 2, GuestState.SENT, GuestState.INCOMING),  # migration
        (PAUSED, 11, GuestState.INCOMING, GuestState.INCOMING),  # starting up
        (PAUSED, 12, GuestState.TORN, GuestState.TORN),  # post-copy
        (PAUSED, 13, GuestState.TORN, GuestState.TORN),  # post-copy failed
        (SHUT_OFF, 3, GuestState.OFF, GuestState.OFF),
        (CRASHED, 0, GuestState.ENDED, GuestState.ENDED),
    ],
)
def test_a_state_means_this(state: int, reason: int, on_source: GuestState, on_target: GuestState) -> None:
    assert state_of(state, reason, is_source=True, under_way=False) is on_source
    assert state_of(state, reason, is_source=False, under_way=False) is on_target


def test_the_numbers_are_libvirts() -> None:
    libvirt = pytest.importorskip("libvirt")
    assert (libvirt.VIR_DOMAIN_RUNNING_POSTCOPY, libvirt.VIR_DOMAIN_PAUSED_MIGRATION) == (10, 2)
    assert (libvirt.VIR_DOMAIN_PAUSED_POSTCOPY, libvirt.VIR_DOMAIN_PAUSED_POSTCOPY_FAILED) == (12, 13)
    assert libvirt.VIR_DOMAIN_PAUSED_STARTING_UP == 11
    assert getattr(libvirt, "VIR_DOMAIN_RUNNING_POSTCOPY_FAILED", 11) == 11


def test_a_post_copy_that_failed_is_over_although_its_job_is_kept() -> None:
    assert state_of(PAUSED, 12, is_source=True, under_way=True) is GuestState.MIGRATING
    assert state_of(PAUSED, 13, is_source=True, under_way=True) is GuestState.TORN


def test_a_guest_torn_on_its_target_is_lost_whatever_its_source_would_say() -> None:
    for source in (GuestState.UNKNOWN, GuestState.TORN, GuestState.OFF, GuestState.ABSENT):
        assert verdict(source, GuestState.TORN).place is Place.NOWHERE


def test_a_guest_torn_on_its_source_may_be_whole_on_its_target() -> None:
    assert verdict(GuestState.TORN, GuestState.RUNNING).place is Place.TARGET
    assert verdict(GuestState.TORN, GuestState.MIGRATING).place is Place.MOVING
    assert verdict(GuestState.TORN, GuestState.UNKNOWN).place is Place.MOVING
    assert verdict(GuestState.TORN, GuestState.OFF).place is Place.NOWHERE


def test_a_guest_that_has_moved_is_never_resumed_on_its_source() -> None:
    assert verdict(GuestState.SENT, GuestState.ABSENT).resume_on_source
    assert verdict(GuestState.SENT, GuestState.ABSENT, moved=True) == (Place.NOWHERE, False, False, False)
    assert verdict(GuestState.SENT, GuestState.OFF) == (Place.NOWHERE, False, False, False)
    stale = said(GuestState.SENT, GuestState.OFF, Ending(ITSELF, moved=True)).text
    assert stale.endswith("Destroy it on h1, where its memory is stale, then start it on h2, if it is to run")


def test_no_definition_from_which_it_could_start_twice_is_left_on_the_source() -> None:
    assert verdict(GuestState.OFF, GuestState.RUNNING).discard_on_source
    assert not verdict(GuestState.ABSENT, GuestState.RUNNING).discard_on_source


def test_nothing_is_cleared_away_of_a_guest_that_is_not_in_one_place() -> None:
    for source, target in itertools.product(GuestState, GuestState):
        found = verdict(source, target)
        if found.place not in (Place.SOURCE, Place.TARGET):
            assert found == (found.place, False, False, False)


@pytest.mark.parametrize(
    ("words", "meaning"),
    [
        ("internal error: client socket is closed", "h1's libvirtd lost its connection to h2's (libvirt: "),
        ("Unable to read TLS confirmation: Input/output error", "h2's libvirtd does not trust h1's client certificate"),
        ("/etc/pki/qemu/client-cert.pem failed validation", "h1's QEMU has a certificate that is not trusted"),
        ("Unable to write to socket: Broken pipe", "what carried its memory from h1 to h2 broke"),
        (
            "Cannot recv data: Connection reset by peer",
            "the connection to h1's libvirtd, or from there to h2's, was lost",
        ),
        ("something\n else", "something else"),
    ],
)
def test_an_error_says_what_it_means_to_who_looks_after_hosts(words: str, meaning: str) -> None:
    said = told(RuntimeError(words), HostId("h1"), HostId("h2"))
    assert said.startswith(meaning)
    assert " ".join(words.split()) in said


@pytest.mark.parametrize(
    ("words", "todo"),
    [
        ("/etc/pki/qemu/client-cert.pem failed validation", "of h1's /etc/pki/qemu/client-cert.pem and of h2's"),
        ("/etc/pki/qemu/server-cert.pem failed validation", "of h2's /etc/pki/qemu/server-cert.pem and of h1's"),
        ("Unable to read TLS confirmation: Input/output error", "of h1's clientcert.pem and of h2's cacert.pem"),
        ("The certificate hasn't got a known issuer", "of h1's clientcert.pem, h2's servercert.pem and the cacert.pem"),
    ],
)
def test_a_certificate_that_is_not_trusted_has_a_remedy(words: str, todo: str) -> None:
    assert todo in str(remedy(RuntimeError(words), HostId("h1"), HostId("h2")))
    assert remedy(RuntimeError("client socket is closed"), HostId("h1"), HostId("h2")) is None
    assert remedy(None, HostId("h1"), HostId("h2")) is None


@pytest.mark.parametrize(
    ("words", "again"),
    [
        ("The certificate hasn't got a known issuer", False),
        ("Unable to read TLS confirmation: Input/output error", False),
        ("domain 'vm1' already exists with uuid 1", False),
        ("Cannot read from TLS channel: The TLS connection was non-properly terminated.", True),
        ("client socket is closed", True),
    ],
)
def test_a_peer_that_ended_is_asked_again_and_one_that_does_not_trust_is_not(words: str, again: bool) -> None:
    libvirt = pytest.importorskip("libvirt")
    error = libvirt.libvirtError("it failed")
    error.err = (libvirt.VIR_ERR_INTERNAL_ERROR, 0, words, 2, None, None, None, 0, 0)
    assert lasting(error) is not again


REQUEST = MigrationRequest("m1", 1, "vm1", "h1", "h2", "precopy", 100, 300, 1.0, 50.0, 60.0, 0.0)
UNHEARD, ITSELF = Ending(None, moved=False), "shut itself down"


def said(source: GuestState, target: GuestState, ending: Ending = UNHEARD, why: str | None = "no word") -> Absence:
    """Return what is said of a VM of which its hosts say this."""
    return absence(REQUEST, source, target, ending, why)


def test_a_guest_that_ended_by_itself_on_its_source_is_not_lost() -> None:
    lost, text = said(GuestState.OFF, GuestState.ABSENT, Ending(ITSELF, moved=False))
    assert not lost
    assert text == (
        "VM vm1: the guest shut itself down during its migration: on h1 it is there and off, on h2 it is not there. "
        "Start it on h1, if it is to run, and plan its host anew"
    )


def test_a_guest_that_ended_by_itself_on_its_target_is_to_be_started_there() -> None:
    lost, text = said(GuestState.ABSENT, GuestState.OFF, Ending(ITSELF, moved=True), None)
    assert lost
    assert text.startswith("VM vm1: the guest shut itself down after it had moved: on h1 it is not there, on h2 it is")
    assert text.endswith(". Start it on h2, if it is to run")


def test_a_guest_in_two_parts_is_to_be_destroyed_on_both() -> None:
    for ending in (UNHEARD, Ending(ITSELF, moved=False), Ending(ITSELF, moved=True)):
        lost, text = said(GuestState.TORN, GuestState.OFF, ending)
        assert lost
        assert text.endswith(". Destroy it on h1 and h2, then start it on one of them")


def test_a_guest_that_is_gone_is_started_where_it_is_defined() -> None:
    assert said(GuestState.OFF, GuestState.ABSENT).text.endswith("not there; no word. Start it on h1")
    assert said(GuestState.ABSENT, GuestState.OFF, why=None).text.endswith("there and off. Start it on h2")
    nowhere = said(GuestState.ABSENT, GuestState.ABSENT).text
    assert "is neither on h1 nor on h2" in nowhere
    assert "no word. Look for it on other hosts first" in nowhere


def test_a_guest_that_runs_twice_endangers_its_disks() -> None:
    lost, text = said(GuestState.RUNNING, GuestState.RUNNING, Ending(ITSELF, moved=True))
    assert lost
    assert "runs on both hosts: on h1 it runs, on h2 it runs; no word. End one of them" in text
